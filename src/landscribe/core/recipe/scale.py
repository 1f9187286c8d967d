"""The table of the recipe about work that several processes share."""

from __future__ import annotations

from pydantic import BaseModel

from landscribe.core.recipe.values import Count


class ScaleTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[scale]`: how work is shared among processes; results do not depend on it (see docs/borders.md)."""

    window: Count = 8192
    """Side, in pixels of the reference, of the windows in which a scene that is longer is predicted, by any of the
    processes that share the stage."""
