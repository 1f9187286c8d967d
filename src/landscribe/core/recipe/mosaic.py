"""The table of the recipe about scenes that lie side by side or over each other."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from pydantic import BaseModel

from landscribe.core.recipe.values import Name


class MosaicTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[mosaic]`: scenes that show the same ground, and scenes that meet (see docs/borders.md)."""

    priority: tuple[Name, ...] = ()
    """Scenes whose word counts on ground that several show, best first: names, or patterns such as `*_2025`. Scenes
    that none of these names come last. Among equals a point is of the scene in which it lies deepest."""

    context: bool = True
    """Let networks see the pixels of neighbours where scenes are tiles of one grid, in place of a mirrored edge. Never
    where scenes overlap, and never labels."""

    def rank(self, scene_id: str) -> int:
        """Return the place of a scene in `priority`; the smaller one owns."""
        named = (k for k, pattern in enumerate(self.priority) if fnmatchcase(scene_id, pattern))
        return next(named, len(self.priority))

    def unused(self, scene_ids: Sequence[str]) -> list[str]:
        """Return what `priority` names and no scene is."""
        return [p for p in self.priority if not any(fnmatchcase(scene_id, p) for scene_id in scene_ids)]
