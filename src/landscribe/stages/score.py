"""`score`: features against labels -> `score.json`, Jaccard on polygons and on pixels with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import BoolArray, GeometryArray
from landscribe.core.burn import burn_mask
from landscribe.core.features import of_class
from landscribe.core.grid import Grid, Window
from landscribe.core.ground import add_ground
from landscribe.core.legend import Legend
from landscribe.core.owners import against_the_best_other
from landscribe.core.recipe import Recipe
from landscribe.core.score.areas import Areas, mask_areas, sum_areas
from landscribe.core.score.compare import tuning_of
from landscribe.core.score.left_out import LeftOut, add_left_out, count_outside, scenes_left_out
from landscribe.core.score.measure import Measured, Measures, measure, standing_alone, with_parts, with_pixels
from landscribe.core.score.score import Score, Unit
from landscribe.core.score.scores import summarise
from landscribe.core.split.split import Split
from landscribe.errors import DataError, problem
from landscribe.io.atomic import write_text
from landscribe.io.labels.legend import classes_of_labels
from landscribe.io.models.finished import read_finished
from landscribe.io.project import Progress, Project, StageResult, make_items, silent
from landscribe.io.project.batches import Batch, Work, carry_out
from landscribe.io.project.label_facts import LABELLED, ground_of, require_negative_ground
from landscribe.io.project.leftovers import leave_only
from landscribe.io.project.reviewed_sides import NOT_SCORED, require_unreviewed, reviewed_scenes
from landscribe.io.project.shared_ground import SharedGround, find_shared_ground
from landscribe.io.project.splits import SPLIT, open_side, refuse_taught, split_of
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.measured import MEASURED, SceneMeasured, measured_file, read_measured, write_measured
from landscribe.io.run.prepared import PreparedScene
from landscribe.io.run.runs import Made, Record, Run, make_key
from landscribe.io.run.scored import SCORE, run_score
from landscribe.io.run.tuned import UNADAPTED_FEATURES, UNTUNED_FEATURES, effective_recipe, unadapted
from landscribe.io.vector.vectors import read_own
from landscribe.late import geopandas as gpd

FORMAT = 3
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""

HALF = 128
"""A pixel counts as truth where at least half of it is covered."""
PAINTED = "vertices rounded to whole pixels, outlines painted too, as OpenCV fills polygons"
BOUNDARY_PX = 3.0
"""Width of the strip of the boundary score, in reference pixels."""


def score(project: Project, run: Run, progress: Progress = silent) -> StageResult:
    """Score the polygons of a run on the labelled scenes that no model was trained on.

    Nodata and unlabelled ground counts on neither side; `left_out` says how much it is, and what else was not scored.
    Where something was tuned in this run, `tuning` compares with the same scenes as the recipe alone makes them.

    Args:
        project: The recipe with its data.
        run: The run folder; `vectorize` must have run.
        progress: Told of each scene.

    Raises:
        DataError: If no scene that validates was predicted, or a class covers all that is labelled in them.
        IntegrityError: If the models in the run folder were trained on one of them.

    Examples:
        >>> import landscribe as ls
        >>> ls.score_run(project, run).failed
        {}
        >>> ls.compare(run, run).mean.difference
        0.0
    """
    return carry_out(run, "score", score_work(project, run), progress)


def score_work(project: Project, run: Run) -> Work:
    """Yield what `score` measures scene by scene, as `io.project.batches` has it; its ending adds up.

    Ground that several of the scenes show counts in one of them.
    """
    vectorized, split = run.require("vectorize"), split_of(project, run)
    prepared = run.require("prepare", split.sides)
    scene_ids = [i for i in split.validate if i in vectorized]
    if not scene_ids:
        why = f"; {split.why}" if split.why and not split.validate else ""
        got, need = f"{len(vectorized)} predicted{why}", "a predicted scene with labels that no model was trained on"
        raise DataError(problem("score", "no scene to score", got=got, need=need))
    refuse_taught(run, split, scene_ids)
    require_unreviewed(prepared, split, SPLIT)
    legend = _scored_legend(project, run)
    bands = [project.legend.index(name) for name in legend.names]
    ground = add_ground([ground_of(prepared[i], legend.names) for i in scene_ids])
    require_negative_ground(ground, "scored scenes")
    recipe = effective_recipe(project.recipe, run)
    untuned = run.records(UNTUNED_FEATURES) if recipe != project.recipe else {}
    untuned = untuned if set(scene_ids) <= set(untuned) else {}
    without = run.records(UNADAPTED_FEATURES)
    without = without if set(scene_ids) <= set(without) else {}
    settings = {
        "thresholds": (recipe.vectorize.threshold.model_dump(mode="json"), recipe.vectorize.exclusive),
        "legend": [(c.name, c.countable) for c in legend],
    }

    shared = find_shared_ground(run, split, scene_ids, recipe.mosaic)

    def key_of(scene_id: str) -> str:
        ranks = shared.rests_on(scene_id)
        others = {i: (rank, split.corners_of((i,)), prepared[i].outputs) for i, rank in ranks.items()}
        return make_key(
            FORMAT,
            **({"others": others} if others else {}),
            **({"unadapted": without[scene_id].outputs} if without else {}),
            features=vectorized[scene_id].outputs,
            untuned=untuned[scene_id].outputs if untuned else None,
            truth=prepared[scene_id].outputs,
            corner=split.corners_of((scene_id,)),
            **settings,
        )

    def make(scene_id: str, _threads: int) -> Made:
        truth = _truth(run, scene_id, split, shared)
        predicted = _read(run, run.features(scene_id))
        plain = _measure(_read(run, run.untuned(scene_id, ".parquet")), truth, legend) if untuned else {}
        apart = _measure(_read(run, unadapted(run, scene_id, ".parquet")), truth, legend) if without else {}
        target = measured_file(run, scene_id)
        write_measured(
            target,
            SceneMeasured(
                "px2" if truth.scene.grid.crs is None else "m2",
                truth.scene.place,
                _score_scene(run, predicted, truth, recipe, legend, bands),
                plain,
                tuple(_outside(predicted, truth)),
                apart,
            ),
        )
        return Made((target,))

    yield Batch(MEASURED, tuple(scene_ids), key_of, make)

    def end(result: StageResult) -> None:
        result.made, result.current = [], []
        result.notes += leave_only(run, MEASURED, scene_ids)
        if result.failed:  # a mean of what is left would be that of other scenes
            run.forget("score", "all")
            return
        not_scored = _scenes_left_out(prepared, vectorized, split)
        measured = run.records(MEASURED)
        key = make_key(
            FORMAT,
            not_scored=not_scored,
            measured={i: measured[i].outputs for i in scene_ids},
            untuned=bool(untuned),
            **({"unadapted": True} if without else {}),
            seed=recipe.seed,
            **settings,
        )

        def add_up(_item: str) -> Made:
            found = {i: read_measured(run.checked(measured_file(run, i))) for i in scene_ids}
            sums = partial(_add_up, project, run, split, shared, legend)
            score = sums({i: one.classes for i, one in found.items()}, found, run.features)
            if untuned:
                beside = partial(run.untuned, ending=".parquet")
                plain = sums({i: one.by_default for i, one in found.items()}, found, beside)
                score = replace(score, tuning=tuning_of(plain, score, seed=project.recipe.seed))
            if without:
                beside = partial(unadapted, run, ending=".parquet")
                plain = sums({i: one.unadapted for i, one in found.items()}, found, beside)
                score = replace(score, adapting=tuning_of(plain, score, seed=project.recipe.seed))
            left_out = [*not_scored, *(row for one in found.values() for row in one.left_out)]
            write_text(run.path(SCORE), replace(score, left_out=add_left_out(left_out)).to_json())
            return Made((run.path(SCORE),), {"scenes": len(scene_ids)})

        summed = make_items(run, "score", ["all"], lambda _item: key, add_up)
        result.made += summed.made
        result.current += summed.current
        result.notes += split.notes
        summary = run_score(run) if without else None
        if summary is not None and summary.adapting is not None:
            row = summary.adapting.mean
            result.notes.append(f"adapted: mean Jaccard {_said(row.tuned)}, without {_said(row.default)}")
        unnamed = [name for name in project.legend.names if name not in legend.names]
        if unnamed:
            result.notes.append(f"not scored, since the labels say nothing of them: {', '.join(unnamed)}")

    return end


def _add_up(
    project: Project,
    run: Run,
    split: Split,
    shared: SharedGround,
    legend: Legend,
    measures: Measures,
    found: Mapping[str, SceneMeasured],
    file_of: Callable[[str], Path],
) -> Score:
    places = {i: one.place for i, one in found.items()}
    # A class that stands in one scene only is drawn in parts of it, the same ones whatever it is compared with.
    for scene_id, names in standing_alone({i: one.classes for i, one in found.items()}).items():
        truth = _truth(run, scene_id, split, shared)
        measures = _with_parts(measures, run.checked(file_of(scene_id)), truth, names)
    units = {one.unit for one in found.values()}
    if len(units) > 1:
        raise DataError(problem("score", "some scenes have a CRS and some have none", do="score them in two runs"))
    return _summary(measures, project, legend, places, units.pop())


def _said(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _scored_legend(project: Project, run: Run) -> Legend:
    """Return the classes that are scored: of finished models, those that the labels could have named."""
    if read_finished(run) is None:
        return project.legend  # whoever trains by labels has said that they show all classes
    named = classes_of_labels(project.scenes.label_tables, project.legend)
    return Legend(tuple(land_class for land_class in project.legend if land_class.name in named))


def _scenes_left_out(
    prepared: Mapping[str, Record], vectorized: Mapping[str, Record], split: Split
) -> tuple[LeftOut, ...]:
    """Say which prepared scenes are not scored, and why."""
    reviewed = set(reviewed_scenes(prepared)) - set(split.validate)
    labelled = [i for i, record in prepared.items() if LABELLED in record.counts]
    train, valid = set(split.train) - set(split.validate), set(split.validate)
    reasons = {
        "held out from training, but not predicted": [i for i in split.validate if i not in vectorized],
        NOT_SCORED: sorted(reviewed),
        "labelled, but on neither side of the split": [i for i in labelled if i not in train | valid | reviewed],
        "trained on": [i for i in labelled if i in train - reviewed],
        "without labels": [i for i in prepared if i not in set(labelled)],
    }
    return add_left_out(scenes_left_out(why, names, len(prepared)) for why, names in reasons.items())


@dataclass(frozen=True)
class _Truth:
    """What a scene is scored against."""

    scene: PreparedScene
    labels: gpd.GeoDataFrame
    labelled: BaseGeometry
    lost: BaseGeometry | None
    """What counts in another scene; None where that is nothing."""

    @cached_property
    def region(self) -> BaseGeometry:
        """Ground that counts."""
        return self.labelled if self.lost is None else self.labelled.difference(self.lost)

    def counts_hw(self, window: Window) -> BoolArray:
        """Tell which pixels of a window count, by their centres where others own the ground, (h, w)."""
        counts_hw = self.scene.counts_hw(window)
        if self.lost is None:
            return counts_hw
        lost = self.scene.grid.ground_to_pixels(np.array([self.lost], dtype=object))
        return counts_hw & (burn_mask(lost, self.scene.grid.shape_hw, window=window) == 0)


def _truth(run: Run, scene_id: str, split: Split, shared: SharedGround) -> _Truth:
    scene = open_side(run, scene_id, split, "validate")
    return _Truth(scene, scene.read_labels(), scene.labelled_ground(), shared.lost(scene_id))


def _read(run: Run, path: Path) -> gpd.GeoDataFrame:
    return read_own(run.checked(path))


def _outside(predicted: gpd.GeoDataFrame, truth: _Truth) -> list[LeftOut]:
    """Say how much of a scored scene does not count, and how many polygons lie there."""
    scene, grid = truth.scene, truth.scene.grid
    whole = grid.height * grid.width
    kept = whole if scene.within is None else scene.within.height * scene.within.width
    unknown, twice = kept - whole * truth.labelled.area / grid.footprint.area, 0.0
    if truth.lost is not None:
        twice = whole * (truth.labelled.area - truth.region.area) / grid.footprint.area
    ours, theirs = predicted.geometry.to_numpy(), truth.labels.geometry.to_numpy()
    return [
        _ground("outside of the corner that is held out", whole - kept, grid),
        # Shares of areas round; less than half a pixel is nothing.
        _ground("without data, or nobody said what it is", unknown if unknown > 0.5 else 0.0, grid),
        _ground("shown by another scored scene too, and counted there", twice, grid),
        LeftOut("polygons", "predicted on such ground", count_outside(ours, truth.region), len(ours)),
        LeftOut("polygons", "true on such ground", count_outside(theirs, truth.region), len(theirs)),
    ]


def _ground(why: str, pixels: float, grid: Grid) -> LeftOut:
    return LeftOut("ground", why, pixels * grid.pixel_area, grid.height * grid.width * grid.pixel_area)


def _score_scene(
    run: Run, predicted: gpd.GeoDataFrame, truth: _Truth, recipe: Recipe, legend: Legend, bands: list[int]
) -> dict[str, Measured]:
    scene = truth.scene
    found = {scene.id: _measure(predicted, truth, legend, BOUNDARY_PX * scene.grid.pixel_length)}
    half, painted = _pixel_areas(run, truth, recipe, legend, bands)
    return with_pixels(found, {scene.id: half}, {scene.id: painted})[scene.id]


def _measure(
    predicted: gpd.GeoDataFrame, truth: _Truth, legend: Legend, boundary: float | None = None
) -> dict[str, Measured]:
    scene_id = truth.scene.id
    grids, regions = {scene_id: truth.scene.grid}, {scene_id: truth.region}
    return measure(predicted, truth.labels, legend, [scene_id], grids, regions, boundary=boundary)[scene_id]


def _with_parts(measures: Measures, path: Path, truth: _Truth, names: tuple[str, ...]) -> Measures:
    scene_id = truth.scene.id
    grids, regions = {scene_id: truth.scene.grid}, {scene_id: truth.region}
    return with_parts(measures, read_own(path), truth.labels, {scene_id: names}, grids, regions)


def _pixel_areas(
    run: Run, truth: _Truth, recipe: Recipe, legend: Legend, bands: list[int]
) -> tuple[dict[str, Areas], dict[str, Areas]]:
    """Compare thresholded pixels with truth by both conventions: half covered, and painted as OpenCV does."""
    parts: dict[str, tuple[list[Areas], list[Areas]]] = {name: ([], []) for name in legend.names}
    table = recipe.vectorize
    cut = {name: max(1e-6, table.threshold.of(name)) for name in legend.names}
    scene, grid = truth.scene, truth.scene.grid
    outlines = {name: grid.ground_to_pixels(of_class(truth.labels, name)) for name in legend.names}
    with open_raster(run.checked(run.probability(scene.id))) as predicted, open_raster(scene.coverage) as coverage:
        for window in grid.window.strips():
            stored_khw, _ = predicted.read(window)
            p_khw = against_the_best_other(stored_khw) if table.exclusive else stored_khw / np.float32(255)
            coverage_khw, labelled_hw = coverage.read(window)
            labelled_hw &= truth.counts_hw(window)
            for k, name in zip(bands, legend.names, strict=True):
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


def _summary(measures: Measures, project: Project, legend: Legend, places: dict[str, str], unit: Unit) -> Score:
    found = summarise(measures, legend, places, unit, seed=project.recipe.seed)
    said = replace(
        found.conventions,
        boundary_width_px=BOUNDARY_PX,
        pixel_truth="covered by half or more",
        pixel_opencv_truth=PAINTED,
    )
    return replace(found, conventions=said)
