"""The folder of reviews beside a recipe: copies that nobody edits, and who said what when, of which model's finds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from landscribe.core.seal import seal, unseal
from landscribe.errors import IntegrityError, RecipeError, problem
from landscribe.io.atomic import write_text
from landscribe.io.digests import file_digest

HISTORY = "reviews.json"
REVIEWS = "reviews"
"""Folder beside a recipe, where the recipe names no other."""
FORMAT = 1
_DO = "bring it back as it was; reviews are changed by `landscribe absorb` alone"


@dataclass(frozen=True)
class Absorbed:
    """A review that was absorbed."""

    file: str
    """In the folder of reviews."""
    sha256: str
    content: str
    """Digest of what it says, by which it is known again when it is given a second time."""
    at: str
    """When it was absorbed, ISO 8601."""
    who: str
    """Who absorbed it."""
    source: str
    """Name of the file that was given."""
    run: str
    """Name of the run whose polygons were looked at; empty where the file does not say."""
    models: tuple[str, ...]
    """Digests of the models that found them."""
    people: tuple[str, ...]
    """Who looked."""
    scenes: Mapping[str, Mapping[str, int]]
    """Scene -> what is said of it, in numbers."""
    over_labels: bool = False
    """Whether it holds over label files."""
    conflicts: tuple[str, ...] = ()
    """Where it and older labels do not agree, one line each."""
    notes: tuple[str, ...] = ()
    """What was mended, understood or left out."""
    undone: str = ""
    """When it was taken back; empty where it holds."""
    call: str = ""
    """The first file of those that were absorbed together with it."""

    @property
    def holds(self) -> bool:
        """Whether it was not taken back."""
        return not self.undone


@dataclass(frozen=True)
class History:
    """All that was absorbed for a recipe."""

    folder: Path
    reviews: tuple[Absorbed, ...] = field(default=())
    """Oldest first."""

    @property
    def holding(self) -> tuple[Absorbed, ...]:
        """Those that were not taken back."""
        return tuple(review for review in self.reviews if review.holds)

    def of_scene(self, scene: str) -> tuple[Absorbed, ...]:
        """Return the reviews that hold and speak of a scene."""
        return tuple(review for review in self.holding if scene in review.scenes)


def read_history(folder: Path) -> History:
    """Read what was absorbed, none where nothing was.

    Raises:
        RecipeError: If there is no such folder.
        IntegrityError: If the history was changed, or is none.
    """
    if not folder.is_dir():
        do = "bring it back, or take the line out of the recipe"
        raise RecipeError(problem("[data].reviews", "no such folder", got=str(folder), do=do))
    file = folder / HISTORY
    if not file.is_file():
        raise IntegrityError(problem(str(file), "missing", do=_DO))
    values = unseal(file.read_bytes(), str(file), do=_DO, sealed=True)
    try:
        return History(folder, tuple(_absorbed(row) for row in values["reviews"]))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise IntegrityError(problem(str(file), "not a history of reviews", got=repr(error)[:80], do=_DO)) from None


def write_history(history: History) -> None:
    """Write what was absorbed."""
    rows = json.loads(json.dumps([asdict(review) for review in history.reviews]))
    write_text(history.folder / HISTORY, seal({"format": FORMAT, "reviews": rows}))


def require_as_absorbed(path: Path, sha256: str) -> Path:
    """Return a review of the folder, once it was compared with its digest.

    Raises:
        IntegrityError: If it is missing or was changed.
    """
    if not path.is_file():
        raise IntegrityError(problem(str(path), "missing: it was absorbed, and labels are made of it", do=_DO))
    if file_digest(path) != sha256:
        raise IntegrityError(problem(str(path), "was changed since it was absorbed", do=_DO))
    return path


def strays(history: History) -> list[str]:
    """Return GeoPackages in the folder that nobody has absorbed, as a killed command may leave them."""
    known = {review.file for review in history.reviews}
    return sorted(path.name for path in history.folder.glob("[!.]*.gpkg") if path.name not in known)


def _absorbed(row: Mapping[str, Any]) -> Absorbed:
    lists = ("models", "people", "conflicts", "notes")
    return Absorbed(**{**row, **{name: tuple(str(item) for item in row[name]) for name in lists}})
