"""The split of a run: which scenes train, which validate, and how that came about.

As text it is one JSON object that a person can read and edit: one scene per line. It carries a digest of what was
drawn, so that an edited split is known from one that is merely old.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from landscribe.core.grid import Window
from landscribe.errors import RecipeError, problem

ABOUT = (
    "Which labelled scenes train and which validate. Edited, this file is kept as it is; deleted, it is drawn again. "
    "`folds` may be left out; a scene with a corner stands on both sides, and validates there."
)
_REDRAW = "mend it, or delete it to have it drawn again"


@dataclass(frozen=True)
class Split:
    """Which scenes train and which validate."""

    train: tuple[str, ...] = ()
    validate: tuple[str, ...] = ()
    folds: tuple[tuple[str, ...], ...] = ()
    """Training scenes that each fold model does not see; together all of them, or none where nothing is tuned."""
    corners: Mapping[str, Window] = field(default_factory=dict)
    """Part of a scene that validates, in pixels of the reference; the rest of it trains."""
    why: str = ""
    """How it was drawn."""
    edited: bool = False
    """By hand, since it was drawn."""
    notes: tuple[str, ...] = ()
    """What whoever works with it should know."""

    @cached_property
    def sides(self) -> dict[str, str]:
        """Scene -> `train` or `validate`; a scene with a corner counts as validating."""
        return dict.fromkeys(self.train, "train") | dict.fromkeys(self.validate, "validate")

    @property
    def digest(self) -> str:
        """SHA-256 of what it says, whatever the order of scenes."""
        said = [sorted(self.train), sorted(self.validate), sorted(sorted(fold) for fold in self.folds)]
        corners = sorted((scene, *asdict(window).values()) for scene, window in self.corners.items())
        return hashlib.sha256(json.dumps([*said, corners]).encode("utf-8")).hexdigest()

    def sealed(self, drawn_from: str, about: str = ABOUT) -> str:
        """Return the SHA-256 of all that its file says, its words included."""
        text = json.dumps([about, self.digest, self.why, drawn_from])
        return hashlib.sha256(text.encode("utf-8")).hexdigest()

    def corners_of(self, scenes: tuple[str, ...]) -> dict[str, list[int]]:
        """Return the corners of some scenes as plain numbers: row, column, height, width."""
        return {i: list(asdict(self.corners[i]).values()) for i in scenes if i in self.corners}


def write_split(split: Split, drawn_from: str) -> str:
    """Return a drawn split as text.

    Args:
        split: What was drawn.
        drawn_from: Digest of the scenes and settings that it was drawn from.
    """

    def listed(items: list[str], indent: int = 1) -> str:
        pad = " " * indent
        return f"[\n{pad} " + f",\n{pad} ".join(items) + f"\n{pad}]" if items else "[]"

    def scenes(ids: tuple[str, ...], indent: int = 1) -> str:
        return listed([_text(i) for i in ids], indent)

    corners = [f"{_text(i)}: {_text(asdict(window))}" for i, window in split.corners.items()]
    rows = {
        "about": _text(ABOUT),
        "why": _text(split.why),
        "train": scenes(split.train),
        "validate": scenes(split.validate),
        "folds": listed([scenes(fold, 2) for fold in split.folds]),
        "corners": "{\n  " + ",\n  ".join(corners) + "\n }" if corners else "{}",
        "drawn": _text({"from": drawn_from, "digest": split.digest, "seal": split.sealed(drawn_from)}),
    }
    return "{\n " + ",\n ".join(f'"{name}": {text}' for name, text in rows.items()) + "\n}\n"


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def read_split(text: str, where: str) -> tuple[Split, str]:
    """Read a split, with what it was drawn from (empty where it does not say).

    Args:
        text: As `write_split` returns it, or as a person made it.
        where: Name of the file, for errors.

    Raises:
        RecipeError: If it is no JSON, or does not say what a split says.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        got = f"{error.msg}, line {error.lineno}" if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise RecipeError(problem(where, "not JSON", got=got, do=_REDRAW)) from None
    known = ("about", "why", "train", "validate", "folds", "corners", "drawn")
    if not isinstance(content, dict) or set(content) - set(known):
        got = ", ".join(sorted(set(content) - set(known))) if isinstance(content, dict) else type(content).__name__
        raise RecipeError(problem(where, "not a split", got=got, need=", ".join(known), do=_REDRAW))
    drawn, why = content.get("drawn", {}), content.get("why", "")
    if not isinstance(why, str) or not isinstance(drawn, dict):
        raise RecipeError(problem(where, "'why' is a text and 'drawn' a table", do=_REDRAW))
    folds = content.get("folds", [])
    if not isinstance(folds, list):
        raise RecipeError(problem(where, "'folds' is no list of lists of scenes", do=_REDRAW))
    split = Split(
        _scenes(content.get("train", []), "train", where),
        _scenes(content.get("validate", []), "validate", where),
        tuple(_scenes(fold, f"fold {number}", where) for number, fold in enumerate(folds, start=1)),
        _corners(content.get("corners", {}), where),
        why,
    )
    drawn_from = str(drawn.get("from", ""))
    edited = drawn.get("digest") != split.digest
    # Files of older versions seal what is drawn alone; whoever wrote a split by hand has sealed nothing.
    kept = edited or drawn.get("seal") in (None, split.sealed(drawn_from, str(content.get("about"))))
    notes = () if kept else (f"{where}: words in it were changed since it was drawn; scenes and sides were not",)
    return Split(**split.__dict__ | {"edited": edited, "notes": notes}), drawn_from


def _scenes(value: Any, side: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(i, str) for i in value):
        raise RecipeError(problem(where, f"{side!r} is no list of scenes", got=str(value)[:80], do=_REDRAW))
    twice = [i for i in value if value.count(i) > 1]
    if twice:
        raise RecipeError(problem(where, f"scene {twice[0]!r} stands in {side!r} twice", do=_REDRAW))
    return tuple(value)


def _corners(value: Any, where: str) -> dict[str, Window]:
    names = ("row", "col", "height", "width")
    rows = value.items() if isinstance(value, dict) else ()
    if not isinstance(value, dict) or not all(
        isinstance(row, dict) and sorted(row) == sorted(names) for _, row in rows
    ):
        got, need = str(value)[:80], "scenes with row, col, height, width"
        raise RecipeError(problem(where, "wrong corners", got=got, need=need, do=_REDRAW))
    for scene, row in rows:
        if not all(type(n) is int and n >= low for n, low in zip((row[k] for k in names), (0, 0, 1, 1), strict=True)):
            got, need = _text(row), "whole pixels"
            raise RecipeError(problem(where, f"wrong corner of scene {scene!r}", got=got, need=need, do=_REDRAW))
    return {scene: Window(**row) for scene, row in rows}


def require_sound(
    split: Split,
    labelled: Mapping[str, tuple[int, int]],
    others: frozenset[str],
    where: str,
    *,
    needs_training: bool = True,
) -> None:
    """Refuse a split that cannot be carried out.

    Args:
        split: As a person made it.
        labelled: Scenes that can be on a side, with height and width in pixels of the reference.
        others: Scenes of the recipe that are not prepared, or have no labels.
        where: Name of the file, for errors.
        needs_training: Whether a scene has to train; none does where models are finished.

    Raises:
        RecipeError: If it names other scenes, one on both sides without a corner, no training scene, corners that are
            not a part of their scene, or folds that do not deal the training scenes.
    """

    def refuse(what: str, need: str | None = None) -> None:
        raise RecipeError(problem(where, what, need=need, do=_REDRAW))

    for scene in (*split.train, *split.validate, *(i for fold in split.folds for i in fold), *split.corners):
        if scene not in labelled:
            refuse(f"scene {scene!r} has no prepared labels" if scene in others else f"unknown scene {scene!r}")
    if not split.train and needs_training:
        refuse("no training scene", need="one or more in 'train'")
    both = set(split.train) & set(split.validate)
    for scene in sorted(both - set(split.corners)):
        refuse(f"scene {scene!r} stands on both sides", need="one side, or a corner of it that validates")
    for scene, window in split.corners.items():
        height, width = labelled[scene]
        if scene not in both:
            refuse(f"scene {scene!r} has a corner", need="the scene in 'train' and in 'validate'")
        if window.row_stop > height or window.col_stop > width or window.shape_hw == (height, width):
            refuse(f"the corner of scene {scene!r} is no part of it", need=f"less than {height} x {width} pixels")
    dealt = [i for fold in split.folds for i in fold]
    if dealt and (sorted(dealt) != sorted(split.train) or len(split.folds) < 2 or not all(split.folds)):
        refuse("the folds do not deal the training scenes", need="each training scene in one of two or more folds")
