"""`score`: features against labels -> `score.json`, Jaccard on polygons and on pixels with intervals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely

from landscribe.core.arrays import GeometryArray
from landscribe.core.burn import burn_mask
from landscribe.core.features import of_class
from landscribe.core.grid import Window
from landscribe.core.ground import add_ground
from landscribe.core.legend import Legend
from landscribe.core.owners import against_the_best_other
from landscribe.core.recipe import Recipe
from landscribe.core.score.areas import Areas, mask_areas, sum_areas
from landscribe.core.score.compare import tuning_of
from landscribe.core.score.measure import Measured, Measures, measure, standing_alone, with_parts, with_pixels
from landscribe.core.score.score import Score, Unit
from landscribe.core.score.scores import summarise
from landscribe.errors import DataError, problem
from landscribe.io.atomic import write_text
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.label_facts import ground_of, require_negative_ground
from landscribe.io.run.prepared import COVERAGE, PreparedScene
from landscribe.io.run.projects import Progress, Project, StageResult, make_items, silent
from landscribe.io.run.runs import Made, Run, make_key
from landscribe.io.run.scored import SCORE
from landscribe.io.run.splits import open_side, refuse_taught, split_of
from landscribe.io.run.tuned import UNTUNED_FEATURES, effective_recipe
from landscribe.io.vector.vectors import read_own

FORMAT = 1
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""

HALF = 128
"""A pixel counts as truth where at least half of it is covered."""
PAINTED = "vertices rounded to whole pixels, outlines painted too, as OpenCV fills polygons"
NAMED = 6
"""Scenes named in one line at most."""
BOUNDARY_PX = 3.0
"""Width of the strip of the boundary score, in reference pixels."""


def score(project: Project, run: Run, progress: Progress = silent) -> StageResult:
    """Score the polygons of a run on the labelled scenes that no model was trained on.

    Nodata and unlabelled ground counts on neither side. Where something was tuned in this run, `tuning` compares with
    the same scenes as the recipe alone makes them.

    Args:
        project: The recipe with its data.
        run: The run folder; `vectorize` must have run.
        progress: Told of each scene.

    Raises:
        DataError: If no scene that validates was predicted, or a class covers all that is labelled in them.
        IntegrityError: If the models in the run folder were trained on one of them.
    """
    prepared, vectorized = run.require("prepare"), run.require("vectorize")
    split = split_of(project, run)
    scene_ids = [i for i in split.validate if i in vectorized]
    if not scene_ids:
        got, need = f"{len(vectorized)} predicted", "a predicted scene with labels that no model was trained on"
        raise DataError(problem("score", "no scene to score", got=got, need=need))
    refuse_taught(run, split, scene_ids)
    names = project.legend.names
    require_negative_ground(add_ground([ground_of(prepared[i], names) for i in scene_ids]), "scored scenes")
    recipe = effective_recipe(project.recipe, run)
    thresholds = (recipe.vectorize.threshold.model_dump(mode="json"), recipe.vectorize.exclusive)
    untuned = run.records(UNTUNED_FEATURES) if recipe != project.recipe else {}
    untuned = untuned if set(scene_ids) <= set(untuned) else {}
    key = make_key(
        FORMAT,
        features={i: vectorized[i].outputs for i in scene_ids},
        **({"untuned": {i: untuned[i].outputs for i in scene_ids}} if untuned else {}),
        truth={i: prepared[i].outputs for i in scene_ids},
        thresholds=thresholds,
        seed=recipe.seed,
        corners=split.corners_of(tuple(scene_ids)),
        legend=[(c.name, c.countable) for c in project.legend],
    )
    target = run.path(SCORE)

    def make(_item: str) -> Made:
        measures: Measures = {}
        by_default: Measures = {}
        places: dict[str, str] = {}
        units: set[Unit] = set()
        for number, scene_id in enumerate(scene_ids):
            progress(f"score {scene_id}", number, len(scene_ids))
            scene = open_side(run, scene_id, split, "validate")
            places[scene_id] = scene.place
            units.add("px2" if scene.grid.crs is None else "m2")
            measures[scene_id] = _score_scene(run, scene, recipe, project.legend)
            if untuned:
                by_default[scene_id] = _measure(run, run.untuned(scene_id, ".parquet"), scene, project.legend)
        # A class that stands in one scene only is drawn in parts of it, the same for both.
        for scene_id, names in standing_alone(measures).items():
            scene = open_side(run, scene_id, split, "validate")
            measures = _with_parts(measures, run.features(scene_id), scene, names)
            if untuned:
                by_default = _with_parts(by_default, run.untuned(scene_id, ".parquet"), scene, names)
        if len(units) > 1:
            raise DataError(problem("score", "some scenes have a CRS and some have none", do="score them in two runs"))
        unit = units.pop()
        found = _summary(measures, project, places, unit)
        if untuned:
            plain = _summary(by_default, project, places, unit)
            found = replace(found, tuning=tuning_of(plain, found, seed=project.recipe.seed))
        write_text(target, found.to_json())
        return Made((target,), {"scenes": len(scene_ids)})

    result = make_items(run, "score", ["all"], lambda _item: key, make)
    result.notes += split.notes
    lost = [i for i in split.validate if i not in vectorized]
    if lost:
        more = f" and {len(lost) - NAMED} more" if len(lost) > NAMED else ""
        result.notes.append(f"held-out scenes not predicted, so not scored: {', '.join(lost[:NAMED])}{more}")
    return result


def _score_scene(run: Run, scene: PreparedScene, recipe: Recipe, legend: Legend) -> dict[str, Measured]:
    boundary = BOUNDARY_PX * scene.grid.pixel_length
    found = {scene.id: _measure(run, run.features(scene.id), scene, legend, boundary)}
    half, painted = _pixel_areas(run, scene, recipe, legend)
    return with_pixels(found, {scene.id: half}, {scene.id: painted})[scene.id]


def _measure(
    run: Run, path: Path, scene: PreparedScene, legend: Legend, boundary: float | None = None
) -> dict[str, Measured]:
    run.digest(path)
    regions, grids = {scene.id: scene.labelled_ground()}, {scene.id: scene.grid}
    return measure(read_own(path), scene.read_labels(), legend, [scene.id], grids, regions, boundary=boundary)[scene.id]


def _with_parts(measures: Measures, path: Path, scene: PreparedScene, names: tuple[str, ...]) -> Measures:
    features, regions = read_own(path), {scene.id: scene.labelled_ground()}
    return with_parts(measures, features, scene.read_labels(), {scene.id: names}, {scene.id: scene.grid}, regions)


def _pixel_areas(
    run: Run, scene: PreparedScene, recipe: Recipe, legend: Legend
) -> tuple[dict[str, Areas], dict[str, Areas]]:
    """Compare thresholded pixels with truth by both conventions: half covered, and painted as OpenCV does."""
    parts: dict[str, tuple[list[Areas], list[Areas]]] = {name: ([], []) for name in legend.names}
    table = recipe.vectorize
    cut = {name: max(1e-6, table.threshold.of(name)) for name in legend.names}
    labels, grid = scene.read_labels(), scene.grid
    outlines = {name: grid.ground_to_pixels(of_class(labels, name)) for name in legend.names}
    with open_raster(run.probability(scene.id)) as predicted, open_raster(scene.folder / COVERAGE) as truth:
        for window in scene.grid.window.strips():
            stored_khw, _ = predicted.read(window)
            p_khw = against_the_best_other(stored_khw) if table.exclusive else stored_khw / np.float32(255)
            coverage_khw, labelled_hw = truth.read(window)
            labelled_hw &= scene.counts_hw(window)
            for k, name in enumerate(legend.names):
                ours_hw = p_khw[k] >= cut[name]
                painted_hw = burn_mask(_in_rows(outlines[name], window), grid.shape_hw, mode="opencv", window=window)
                parts[name][0].append(mask_areas(ours_hw, coverage_khw[k] >= HALF, labelled_hw))
                parts[name][1].append(mask_areas(ours_hw, painted_hw > 0, labelled_hw))
    halves = {name: sum_areas(half) for name, (half, _) in parts.items()}
    return halves, {name: sum_areas(painted) for name, (_, painted) in parts.items()}


def _in_rows(polygons: GeometryArray, window: Window) -> GeometryArray:
    """Return the polygons that rounding of vertices to whole pixels may bring into a strip."""
    _, top, _, bottom = shapely.bounds(polygons).T
    return polygons[(bottom >= window.row - 1) & (top <= window.row_stop + 1)]


def _summary(measures: Measures, project: Project, places: dict[str, str], unit: Unit) -> Score:
    found = summarise(measures, project.legend, places, unit, seed=project.recipe.seed)
    said = replace(
        found.conventions,
        boundary_width_px=BOUNDARY_PX,
        pixel_truth="covered by half or more",
        pixel_opencv_truth=PAINTED,
    )
    return replace(found, conventions=said)
