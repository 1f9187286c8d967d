"""Rules: declared steps on features, in order. Which class wins where is said in the recipe and nowhere else.

Every scene is worked on in a frame of its own: pixel coordinates times the size of a pixel, so that lengths and areas
are metres (pixels where the scene has no CRS). Features that no rule touches keep their coordinates to the last bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import shapely

from landscribe.core.arrays import BoolArray, FloatArray
from landscribe.core.features import COLUMNS, one_at_a_time
from landscribe.core.grid import Grid
from landscribe.core.legend import Legend
from landscribe.core.polygons.repair import repair
from landscribe.core.recipe import RuleTable, name_list
from landscribe.core.rules.actions import ACTIONS, ALL, SCENE, Site, rows_of, setting_of
from landscribe.core.rules.overlay import Counts, Rows
from landscribe.errors import DataError, RecipeError, problem
from landscribe.late import geopandas as gpd
from landscribe.late import pandas as pd
from landscribe.workers import stop_if_asked

NO_AREA = "dropped, without area on the ground"


def apply_rules(
    features: gpd.GeoDataFrame,
    rules: Sequence[RuleTable],
    legend: Legend,
    grids: Mapping[str, Grid],
    *,
    places: Mapping[str, str] | None = None,
) -> tuple[gpd.GeoDataFrame, list[dict[str, int]]]:
    """Apply rules to features, one after the other, each scene by itself.

    Args:
        features: Features in ground coordinates, of one scene or several.
        rules: Rules in order.
        legend: Classes that they may name.
        grids: Grid of every scene in `features`.
        places: Place of each scene; None takes the scene id.

    Returns:
        New features, single Polygons except those left as they were, in order of scene and origin; and for each rule
        how many polygons there were before and after it and what became of the others, by reason.

    Raises:
        RecipeError: If a rule names a class that the legend lacks.
        DataError: If the grid of a scene is missing.
    """
    check_rules(rules, legend)
    counts: list[Counts] = [Counter() for _ in rules]
    if not len(rules):
        return features, []
    parts = []
    scene_of = features["scene"].to_numpy()
    for scene in pd.unique(scene_of):
        if scene not in grids:
            raise DataError(problem(f"scene {str(scene)!r}", "no grid for it", need="the grid of every scene"))
        place = scene if places is None else places.get(scene, scene)
        chosen = np.flatnonzero(scene_of == scene)
        wanted = [
            (rule.places is None or place in rule.places) and (rule.scenes is None or scene in rule.scenes)
            for rule in rules
        ]
        with one_at_a_time:
            here = features.iloc[chosen]
        parts.append(_apply_to_scene(here, rules, wanted, legend, grids[scene], counts))
    if not parts:
        return features, [dict(count) for count in counts]
    with one_at_a_time:
        result = gpd.GeoDataFrame(pd.concat(parts, ignore_index=True), geometry="geometry", crs=features.crs)
    return result, [dict(count) for count in counts]


def check_rules(rules: Sequence[RuleTable], legend: Legend) -> None:
    """Refuse rules that name unknown classes.

    Raises:
        RecipeError: With the number of the rule, from 1.
    """
    for number, rule in enumerate(rules, start=1):
        named = [*name_list(rule.classes)]
        if rule.erase is not None:
            named += [*name_list(rule.erase.from_), *name_list(rule.erase.by)]
        if rule.vote is not None:
            named += rule.vote.sources
        if rule.clip is not None and rule.clip != SCENE:
            named += name_list(rule.clip)
        for name in named:
            if name != ALL and name not in legend.names:
                where = f"rule {number} ({rule.action})"
                raise RecipeError(problem(where, "unknown class", got=repr(name), need=" | ".join(legend.names)))


def _apply_to_scene(
    features: gpd.GeoDataFrame,
    rules: Sequence[RuleTable],
    wanted: Sequence[bool],
    legend: Legend,
    grid: Grid,
    counts: Sequence[Counts],
) -> gpd.GeoDataFrame:
    plane = Grid(grid.height, grid.width, grid.plane)  # lengths and areas are true in it, whatever shape pixels have
    pixels = grid.ground_to_pixels(features.geometry.to_numpy())
    ids = {c.id: k for k, c in enumerate(legend)}
    rows = Rows(
        geometry=plane.pixels_to_ground(pixels),
        class_index=np.array([ids.get(i, -1) for i in features["class_id"]], dtype=np.int64),
        score=features["score"].to_numpy(dtype=np.float64),
        origin=np.arange(len(features), dtype=np.int64),
        changed=np.zeros(len(features), dtype=np.bool_),
    )
    for rule, here, count in zip(rules, wanted, counts, strict=True):
        if here:
            stop_if_asked()
            count["before"] += len(rows)
            chosen = rows_of(rows, rule.classes, legend)
            site = Site(rule, legend, plane.footprint, count)
            rows = ACTIONS[rule.action].apply(rows, chosen, setting_of(rule, grid), site)
            count["after"] += len(rows)
    changed = rows.changed
    area = features["area"].to_numpy(dtype=np.float64)[rows.origin]
    area[changed] = shapely.area(rows.geometry[changed])
    geometry = features.geometry.to_numpy()[rows.origin]
    ground = grid.pixels_to_ground(plane.ground_to_pixels(rows.geometry[changed]))
    geometry[changed], _ = repair(ground)
    gone = shapely.is_empty(geometry)
    if gone.any():  # numbers so large that the ground cannot tell its vertices apart
        counts[-1][NO_AREA] += int(np.count_nonzero(gone))
        counts[-1]["after"] -= int(np.count_nonzero(gone))
    return _with_rows(features, replace(rows, geometry=geometry), area, ~gone, legend)


@one_at_a_time
def _with_rows(
    features: gpd.GeoDataFrame, rows: Rows, area: FloatArray, kept: BoolArray, legend: Legend
) -> gpd.GeoDataFrame:
    result = features.iloc[rows.origin].copy()
    classes = [legend.classes[k] if k >= 0 else None for k in rows.class_index]
    result["class_id"] = np.array(
        [c.id if c else i for c, i in zip(classes, result["class_id"], strict=True)], dtype=np.int32
    )
    names = [c.name if c else n for c, n in zip(classes, result["class_name"], strict=True)]
    result["class_name"] = pd.Series(names, index=result.index, dtype="string")
    result["score"], result["area"] = rows.score, area
    result = result.set_geometry(gpd.GeoSeries(rows.geometry, index=result.index, crs=features.crs))[kept]
    return result[[*COLUMNS, *(c for c in result.columns if c not in COLUMNS)]]
