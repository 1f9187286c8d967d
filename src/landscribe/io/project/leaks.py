"""Ground that stands on both sides of a run's split: found by footprints and by looks."""

from __future__ import annotations

import functools

from landscribe.core.split.leaks import (
    THUMBNAIL_PX,
    Leak,
    find_overlaps,
    find_shared,
    find_twins,
    require_no_leak,
    thumbnail_of,
)
from landscribe.core.split.split import Split
from landscribe.io.project import Project
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import Run

MAX_TWINS = 100
"""More scenes without a CRS are not compared by their looks: the pairs would take minutes."""


def refuse_leaks(project: Project, run: Run, split: Split) -> None:
    """Refuse a split with the same ground on both sides, by footprint or by looks, unless `leak_check` is off.

    A split that was drawn by whole places has been drawn so that there is none. A place that somebody has put on both
    sides by hand is one too. Corners of one scene are known to be neighbours.

    Raises:
        DataError: With the names of two scenes.
    """
    table = project.recipe.validation
    if table.leak_check and (split.edited or not keeps_apart(project)):
        sides, leaks = find_leaks(project, run, split)
        for validation in (frozenset({"validate"}), frozenset({"validate", "both"})):
            require_no_leak(leaks, sides, validation)


def keeps_apart(project: Project) -> bool:
    """Return whether a split is drawn by whole places: places that show the same ground are then taken for one."""
    table = project.recipe.validation
    return table.split in ("place", "random", "stratified") and table.whole_places and table.leak_check


def find_leaks(project: Project, run: Run, split: Split) -> tuple[dict[str, str], tuple[Leak, ...]]:
    """Return the side of each scene, and pairs of scenes across the sides that show the same ground."""
    table = project.recipe.validation
    both = set(split.train) & set(split.validate)
    sides = {i: "both" if i in both else side for i, side in split.sides.items()}
    if len(set(sides.values())) < 2:
        return sides, ()
    scenes = [open_prepared(run, i) for i in sides]
    leaks = list(find_overlaps({scene.id: scene.grid for scene in scenes}, sides))
    if split.edited and table.whole_places:
        leaks += find_shared({scene.id: scene.place for scene in scenes}, sides)
    afloat = [scene for scene in scenes if scene.grid.crs is None]
    if len(afloat) <= MAX_TWINS:
        largest = max((max(scene.grid.shape_hw) for scene in afloat), default=1)
        thumbnails = {}
        for scene in afloat:
            side = round(THUMBNAIL_PX * max(scene.grid.shape_hw) / largest)
            with scene.open_rasters([scene.reference]) as opened:
                read = functools.partial(opened.read, scene.reference)
                thumbnails[scene.id] = thumbnail_of(read, scene.grid.shape_hw, side)
        leaks += find_twins(thumbnails, sides)
    return sides, tuple(leaks)
