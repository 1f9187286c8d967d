"""The actions of rules: what each makes of the features of one scene, and whether its setting is a length or an area.

One row of `ACTIONS` is one action; its setting is the field of the same name in `core/recipe/rules.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import shapely

from landscribe.core.arrays import BoolArray, GeometryArray
from landscribe.core.grid import Grid
from landscribe.core.legend import Legend
from landscribe.core.recipe import AreaWindowTable, EraseTable, Names, RuleTable, VoteTable, name_list
from landscribe.core.rules.overlay import (
    Counts,
    Rows,
    clip,
    drop,
    erase,
    fill_holes,
    merge,
    outline,
    reshape,
    simplify,
    vote,
)

ALL = "*"
SCENE = "scene"


@dataclass(frozen=True)
class Site:
    """Where a rule works: what an action may need beside the rows and its own setting."""

    rule: RuleTable
    legend: Legend
    footprint: shapely.Polygon
    counts: Counts
    """What became of polygons, by reason; actions add to it."""


@dataclass(frozen=True)
class Action:
    """One action."""

    apply: Callable[[Rows, BoolArray, Any, Site], Rows]
    """Takes the rows of a scene, which of them the rule works on, the setting and the site; returns the new rows."""
    unit: Literal["length", "area", "areas", "none"] = "none"
    """What the setting is; `areas` is a window of areas, or several."""


def setting_of(rule: RuleTable, grid: Grid) -> Any:
    """Return the setting of a rule's action, its lengths and areas in metres where the scene has a CRS."""
    value = getattr(rule, rule.action)
    scale = {"length": grid.pixel_length, "area": grid.pixel_area, "areas": grid.pixel_area, "none": 1.0}
    unit = ACTIONS[rule.action].unit
    if rule.unit == "ground" or unit == "none":
        return value
    if unit == "areas":
        return tuple(_scaled(window, scale[unit]) for window in _windows(value))
    return value * scale[unit]


def _scaled(window: AreaWindowTable, factor: float) -> AreaWindowTable:
    return window.model_copy(update={k: v * factor for k, v in window.model_dump().items() if v is not None})


def _windows(given: AreaWindowTable | tuple[AreaWindowTable, ...]) -> tuple[AreaWindowTable, ...]:
    return given if isinstance(given, tuple) else (given,)


def rows_of(rows: Rows, names: Names, legend: Legend, *, but: Names = ()) -> BoolArray:
    """Flag rows of the named classes; `*` is every class that is not named in `but`."""
    if ALL in name_list(names):
        return ~np.isin(rows.class_index, [legend.index(name) for name in name_list(but) if name != ALL])
    return np.isin(rows.class_index, [legend.index(name) for name in name_list(names)])


def _erase(rows: Rows, chosen: BoolArray, table: EraseTable, site: Site) -> Rows:
    losers = rows_of(rows, table.from_, site.legend, but=table.by)
    return erase(rows, losers & chosen, rows_of(rows, table.by, site.legend, but=table.from_), site.counts)


def _clip(rows: Rows, chosen: BoolArray, names: Names, site: Site) -> Rows:
    if names == SCENE:
        return clip(rows, chosen, np.array([site.footprint], dtype=object), site.counts)
    keep = rows_of(rows, names, site.legend)
    return clip(rows, chosen & ~keep, rows.geometry[keep], site.counts)


def _area_window(
    rows: Rows,
    chosen: BoolArray,
    given: AreaWindowTable | tuple[AreaWindowTable, ...],
    site: Site,
) -> Rows:
    area = shapely.area(rows.geometry)
    inside = np.zeros(len(rows), dtype=np.bool_)
    for window in _windows(given):
        high, below = (np.inf if limit is None else limit for limit in (window.max, window.below))
        above = -1.0 if window.above is None else window.above
        inside |= (area >= window.min) & (area <= high) & (area > above) & (area < below)
    return drop(rows, chosen & ~inside, "area outside of the window", site.counts)


def _keep_largest(rows: Rows, chosen: BoolArray, number: int, site: Site) -> Rows:
    index = np.flatnonzero(chosen)
    order = index[np.lexsort((-shapely.area(rows.geometry[index]), rows.class_index[index]))]
    classes = rows.class_index[order]
    rank = np.arange(len(order)) - np.searchsorted(classes, classes)
    gone = np.zeros(len(rows), dtype=np.bool_)
    gone[order[rank >= number]] = True
    return drop(rows, gone, "not among the largest", site.counts)


def _fill_holes(rows: Rows, chosen: BoolArray, area: float, site: Site) -> Rows:
    filled, holes = fill_holes(rows.geometry, area)
    site.counts["holes filled"] += int(holes[chosen].sum())
    index = np.flatnonzero(chosen & (holes > 0))
    return reshape(rows, index, filled[index], "vanished", site.counts)


def _opened(polygons: GeometryArray, distance: float) -> GeometryArray:
    kept = outline(outline(polygons, -distance), distance)
    # A mitred corner may stick out of what was there before; opening never adds ground.
    opened: GeometryArray = shapely.intersection(kept, polygons)
    return opened


def _changed(change: Callable[[GeometryArray, Any], GeometryArray]) -> Callable[[Rows, BoolArray, Any, Site], Rows]:
    """Return the action that gives each chosen polygon another shape."""

    def apply(rows: Rows, chosen: BoolArray, value: Any, site: Site) -> Rows:
        index = np.flatnonzero(chosen)
        return reshape(rows, index, change(rows.geometry[index], value), "vanished", site.counts)

    return apply


def _vote(rows: Rows, _chosen: BoolArray, table: VoteTable, site: Site) -> Rows:
    sources = [site.legend.index(name) for name in table.sources]
    target = site.legend.index(name_list(site.rule.classes)[0])
    return vote(rows, sources, table.at_least, target, site.counts)


def _drop_small(rows: Rows, chosen: BoolArray, area: float, site: Site) -> Rows:
    return drop(rows, chosen & (shapely.area(rows.geometry) < area), "small", site.counts)


def _min_score(rows: Rows, chosen: BoolArray, score: float, site: Site) -> Rows:
    return drop(rows, chosen & (rows.score < score), "score too low", site.counts)


ACTIONS = {
    "erase": Action(_erase),
    "clip": Action(_clip),
    "vote": Action(_vote),
    "drop_small": Action(_drop_small, "area"),
    "fill_holes": Action(_fill_holes, "area"),
    "area_window": Action(_area_window, "areas"),
    "min_score": Action(_min_score),
    "keep_largest": Action(_keep_largest),
    "buffer": Action(_changed(outline), "length"),
    "open": Action(_changed(_opened), "length"),
    "close": Action(lambda rows, chosen, reach, site: merge(rows, chosen, site.counts, reach=reach), "length"),
    "simplify": Action(_changed(simplify), "length"),
    "merge_touching": Action(lambda rows, chosen, _yes, site: merge(rows, chosen, site.counts)),
}
"""By name, in no order: a recipe says the order of its rules."""
