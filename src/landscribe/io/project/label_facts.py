"""What the records of `prepare` say of labels: ground by class, and whether that can teach and score a class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from landscribe.core.ground import Ground, add_ground, without_negative, without_positive
from landscribe.core.split.split import Split
from landscribe.errors import DataError, problem, some
from landscribe.io.labels.findings import no_negative
from landscribe.io.labels.reviewed import REVIEWED
from landscribe.io.project import Project
from landscribe.io.run.runs import Record

LABELLED, UNLABELLED, AREA = "labelled pixels", "unlabelled pixels", "area "
UNTOUCHED = "labels: shared file has nothing"
ONE_SIDED = "labels: shared file leaves this part empty on one side"
NO_FILE = "labels: no file, taken for empty"
"""Counts of a record: pixels, pixels, and pixels of a class; 1; a part of the scene; files."""
BEFORE = "before reviews: "
"""Counts of a reviewed scene that its label files alone would give begin with this."""


def counts_before(record: Record) -> Mapping[str, int | float]:
    """Return the counts of a scene as its label files alone give them, without what reviews say."""
    if REVIEWED not in record.counts:
        return record.counts
    return {name.removeprefix(BEFORE): n for name, n in record.counts.items() if name.startswith(BEFORE)}


def named_classes(project: Project) -> tuple[str, ...]:
    """Return the classes that somebody chose; those of DSTL's fixed list may be without ground."""
    if project.recipe.data.source != "dstl" or project.recipe.classes:
        return project.legend.names
    return tuple(dict.fromkeys(name for table in project.recipe.models for name in table.classes or ()))


def ground_of(record: Record, names: Iterable[str]) -> dict[str, Ground]:
    """Return the ground of each class in a prepared scene, in pixels of its reference."""
    labelled, unlabelled = (float(record.counts.get(key, 0)) for key in (LABELLED, UNLABELLED))
    areas = {name: float(record.counts.get(f"{AREA}{name}", 0)) for name in names}
    return {name: Ground(area, max(labelled - area, 0.0), unlabelled) for name, area in areas.items()}


def require_ground(project: Project, prepared: Mapping[str, Record], split: Split) -> None:
    """Refuse to train a class on scenes that show nothing of it, or nothing but it; nor could the latter be scored.

    Raises:
        DataError: In one line, with the class and the cure.
    """
    learnt = {
        n for table in project.recipe.models if table.kind == "network" for n in table.classes or project.legend.names
    }
    sides = {"training": split.train, "validation": () if split.corners else split.validate}
    of_sides = {}
    for side, scene_ids in sides.items():
        ground = add_ground([ground_of(prepared[i], project.legend.names) for i in scene_ids])
        of_sides[side] = {name: own for name, own in ground.items() if name in learnt}
        require_negative_ground(of_sides[side], f"{side} scenes")
    ground = of_sides["training"]
    chosen = named_classes(project)
    missing = [name for name in without_positive(ground) if name in chosen]
    if missing:
        what = f"no ground of class {' or '.join(repr(name) for name in missing)} to learn from"
        do = "label some, change [validate], or take the class out of the recipe"
        raise DataError(problem("training scenes", what, got=some(list(split.train)), do=do))


def require_negative_ground(ground: Mapping[str, Ground], where: str) -> None:
    """Refuse classes that cover all labelled ground, so that no find of them could be false.

    Raises:
        DataError: In one line, with the class and the cure.
    """
    for name in without_negative(ground):
        raise DataError(no_negative(where, name, ground[name], "px"))
