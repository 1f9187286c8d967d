"""`tune`: out-of-fold probabilities and labels -> `tuned.json`, what each class is best made polygons with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import shapely

from landscribe.core.arrays import AnyArray, FloatArray, GeometryArray
from landscribe.core.features import make_features, of_class
from landscribe.core.grid import Grid
from landscribe.core.legend import LandClass, Legend
from landscribe.core.owners import border_of, one_against_the_best_other
from landscribe.core.recipe import Recipe, VectorizeTable
from landscribe.core.rules import apply_rules
from landscribe.core.score.areas import match_objects, polygon_areas
from landscribe.core.score.tuning import (
    Candidates,
    Choice,
    Evidence,
    Tuned,
    candidates_of,
    default_choice,
    fewer_views,
    filtered_areas,
    flat_truth,
    tune_class,
)
from landscribe.core.seal import seal
from landscribe.core.separate import separate
from landscribe.core.trace import trace
from landscribe.errors import DataError, RecipeError, problem
from landscribe.io.atomic import write_text
from landscribe.io.project import Progress, Project, StageResult, make_items, silent
from landscribe.io.project.borders import border_raster
from landscribe.io.project.splits import split_of
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.prepared import PreparedScene, open_prepared
from landscribe.io.run.runs import Made, Run, make_key
from landscribe.io.run.tuned import TUNED
from landscribe.workers import stop_if_asked, thread_pool

FORMAT = 2
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""

OUT_OF_FOLD = "oof"
FIELD_BYTES = 1 << 29
"""Fields of one class that are kept in memory; what is beyond is read again for each choice."""
WORKERS = 2
JACCARD, F1 = "jaccard", "f1"
"""Names of what was made as large as possible."""


def tune(project: Project, run: Run, progress: Progress = silent) -> StageResult:
    """Choose threshold, minimum area and shape of each class on training scenes, by models that have not seen them.

    The scored scenes are not looked at.

    Args:
        project: The recipe with its data.
        run: The run folder; `predict` must have run with `[tune].folds`.
        progress: Told of each class.

    Raises:
        RecipeError: If `[tune].folds` is 0.
        DataError: If there are no out-of-fold probabilities.

    Examples:
        >>> import landscribe as ls
        >>> ls.tune(project, run).failed
        {}
    """
    recipe = project.recipe
    if not recipe.tune.folds:
        raise RecipeError(
            problem("[tune].folds", "nothing to tune on", got=0, need="2 or more, then run `train` again")
        )
    folds = split_of(project, run).folds
    scene_ids = [i for left_out in folds for i in left_out]
    prepared = run.require("prepare", scene_ids)
    records = run.records(OUT_OF_FOLD)
    wanted = (0, *fewer_views(recipe, project.legend.names))
    files = {i: {run.out_of_fold(i, n).relative_to(run.root).as_posix() for n in wanted} for i in scene_ids}
    missing = [i for i in scene_ids if i not in records or files[i] - set(records[i].outputs)]
    if missing:
        do = "run `landscribe train` and `landscribe predict` with this recipe first"
        raise DataError(problem("tune", f"no out-of-fold probabilities of {', '.join(missing[:5])}", do=do))
    by_objects = recipe.tune.by == "objects"
    key = make_key(
        FORMAT,
        probabilities={i: records[i].outputs for i in scene_ids},
        truth={i: prepared[i].outputs for i in scene_ids},
        table=recipe.tune.model_dump(mode="json", exclude=set() if by_objects else {"by"}),
        vectorize={key: value for key, value in recipe.vectorize.deciding().items() if key != "tuned"},
        seed=recipe.seed,
        legend=[(c.name, c.countable) for c in project.legend] if by_objects else project.legend.names,
    )
    target = run.path(TUNED)

    def make(_item: str) -> Made:
        content = _tune(project, run, scene_ids, len(folds), progress)
        write_text(target, seal(content, allow_nan=False))
        used = sum(row["accepted"] for row in content["classes"].values())
        return Made((target,), {"scenes": len(scene_ids), "classes tuned": used})

    return make_items(run, "tune", ["all"], lambda _item: key, make)


def _tune(project: Project, run: Run, scene_ids: list[str], folds: int, progress: Progress) -> dict[str, Any]:
    recipe, legend = project.recipe, project.legend
    scenes = tuple(_TunedScene(run, open_prepared(run, i), recipe, legend) for i in scene_ids)
    places = tuple(sorted({scene.prepared.place for scene in scenes}))
    # Candidates are in pixels, rules and minimum areas in units of the ground: the middle scene says how they relate.
    length = float(np.median([s.prepared.grid.pixel_length for s in scenes])) if scenes else 1.0
    area = length**2 if recipe.vectorize.min_area.unit == "m2" else 1.0
    classes = {}
    for band, land_class in enumerate(legend):
        progress(f"tune {land_class.name}", band, len(legend))
        default = default_choice(recipe, land_class.name)
        candidates = candidates_of(recipe.tune, default, length, area, fewer_views(recipe, [land_class.name]))
        truths = tuple(scene.truth(land_class.name) for scene in scenes)
        shown = {scene.prepared.place for scene, truth in zip(scenes, truths, strict=True) if len(truth)}
        evidence = Evidence(len(places), len(shown), sum(len(truth) for truth in truths))
        objects = recipe.tune.by == "objects" and land_class.countable
        measure = _ClassMeasure(scenes, truths, places, band, land_class, candidates, recipe.vectorize, objects)
        found = tune_class(measure, candidates, default, evidence, objects=objects, seed=recipe.seed)
        classes[land_class.name] = _row(found, evidence, F1 if objects else JACCARD)
    return {
        "folds": folds,
        "folds_wanted": recipe.tune.folds,
        "scenes": scene_ids,
        "places": len(places),
        "units": {"min_area": recipe.vectorize.min_area.unit, "length_of_a_pixel": length},
        "classes": classes,
    }


def _row(found: Tuned, evidence: Evidence, value: str) -> dict[str, Any]:
    return {
        "accepted": not found.refused,
        "why_not": found.refused,
        "default": _choice(found.default),
        "chosen": _choice(found.chosen),
        value: {
            "default": _number(found.value_default),
            "nested": _number(found.value_nested),
            "on_the_same_places": _number(found.value_chosen),
        },
        "gain": {"low": _number(found.gain.low), "high": _number(found.gain.high)},
        "places": evidence.shown,
        "objects": evidence.objects,
    }


def _choice(choice: Choice) -> dict[str, Any]:
    return asdict(choice) | {"max_area": _number(choice.max_area)}


@dataclass(frozen=True)
class _TunedScene:
    """A training scene with its out-of-fold probabilities."""

    run: Run
    prepared: PreparedScene
    recipe: Recipe
    legend: Legend

    @cached_property
    def ground(self) -> GeometryArray | None:
        """Labelled ground in pixels; None where it is the whole scene."""
        grid = self.prepared.grid
        ground = self.prepared.labelled_ground()
        if ground.equals(grid.footprint):
            return None
        return shapely.get_parts(grid.ground_to_pixels(np.array([ground], dtype=object)))

    @cached_property
    def labels(self) -> Any:
        """Label polygons in ground coordinates."""
        return self.prepared.read_labels()

    def truth(self, class_name: str) -> GeometryArray:
        """Return true polygons in pixels that overlap nowhere, cut to the labelled ground."""
        grid = self.prepared.grid
        window = grid.window
        ground = np.array([shapely.box(0, 0, window.width, window.height)]) if self.ground is None else self.ground
        return flat_truth(self.objects(class_name), ground)

    def objects(self, class_name: str) -> GeometryArray:
        """Return true polygons in pixels as they were drawn."""
        return self.prepared.grid.ground_to_pixels(of_class(self.labels, class_name))

    def field(self, band: int, views: int = 0) -> AnyArray:
        """Read the field of a class that `vectorize` would trace, (H, W), with so many views averaged."""
        parts = []
        with open_raster(self.run.checked(self.run.out_of_fold(self.prepared.id, views))) as raster:
            for window in self.prepared.grid.window.strips():
                if self.recipe.vectorize.exclusive:
                    image_chw, valid_hw = raster.read(window)
                    parts.append(np.where(valid_hw, one_against_the_best_other(image_chw, band), np.float32(0)))
                else:
                    image_chw, valid_hw = raster.read(window, bands=[band + 1])
                    parts.append(np.where(valid_hw, image_chw[0], np.uint8(0)))
        return np.concatenate(parts)

    def border(self, class_name: str, views: int = 0) -> AnyArray | None:
        """Read where things of a class end, (H, W); None where no network has learned it."""
        path, wanted = border_raster(self.run.out_of_fold(self.prepared.id, views)), border_of(class_name)
        record = self.run.read_record(OUT_OF_FOLD, self.prepared.id)
        if record is None or path.relative_to(self.run.root).as_posix() not in record.outputs:
            return None
        with open_raster(self.run.checked(path)) as raster:
            names = raster.info.descriptions
            if wanted not in names:
                return None
            image_chw, valid_hw = raster.read(bands=[names.index(wanted) + 1])
        return np.where(valid_hw, image_chw[0], np.uint8(0))


@dataclass(frozen=True)
class _ClassMeasure:
    """Areas of one class by place, for any choice; each is measured once, all without change of shape at once."""

    scenes: tuple[_TunedScene, ...]
    truths: tuple[GeometryArray, ...]
    places: tuple[str, ...]
    band: int
    land_class: LandClass
    candidates: Candidates
    table: VectorizeTable
    objects: bool = False
    """Whether objects are counted in place of areas."""
    known: dict[Choice, FloatArray] = field(default_factory=dict)
    fields: dict[tuple[str, int], AnyArray] = field(default_factory=dict)
    """Fields that were read, by scene and number of views, up to FIELD_BYTES."""

    def __call__(self, choice: Choice) -> FloatArray:
        """Return TP, FP, FN per place, (P, 3), in squared ground units or in objects."""
        if not self.known and not self.objects:
            self.known.update(self._measure_plain())
        if choice not in self.known:
            self.known[choice] = self._measure_shaped(choice)
        return self.known[choice]

    def _measure_plain(self) -> dict[Choice, FloatArray]:
        thresholds, min_areas = self.candidates.thresholds, self.candidates.min_areas
        table_tap3 = np.zeros((len(thresholds), len(min_areas), len(self.places), 3))

        def measure(scene: _TunedScene, truth: GeometryArray) -> FloatArray:
            grid, field_hw = scene.prepared.grid, self._field(scene, 0)
            limits = [self._in_pixels(area, grid) for area in min_areas]
            fill, found = self.table.min_hole is None, []
            for threshold in thresholds:
                parts = shapely.get_parts(self._trace(field_hw, threshold, 0.0, grid))
                found.append(filtered_areas(parts, truth, limits, scene.ground, fill=fill) * grid.pixel_area)
            return np.array(found)

        for scene, areas_ta3 in zip(self.scenes, self._each_scene(measure), strict=True):
            table_tap3[:, :, self.places.index(scene.prepared.place)] += areas_ta3
        return {Choice(t, a): table_tap3[k, m] for k, t in enumerate(thresholds) for m, a in enumerate(min_areas)}

    def _measure_shaped(self, choice: Choice) -> FloatArray:
        areas_p3 = np.zeros((len(self.places), 3))

        def measure(scene: _TunedScene, truth: GeometryArray) -> FloatArray:
            stop_if_asked()
            grid, name = scene.prepared.grid, scene.prepared.id
            field_hw = self._field(scene, choice.symmetries)
            traced = self._apart(scene, field_hw, choice)
            features = make_features(name, self.land_class, grid.pixels_to_ground(traced), crs=grid.crs)
            shaped, _ = apply_rules(features, choice.rules(self.land_class.name), scene.legend, {name: grid})
            ours = grid.ground_to_pixels(shaped.geometry.to_numpy())
            region = None if scene.ground is None else shapely.multipolygons(scene.ground)
            if self.objects:  # true ones are cut at the scene's edge, as `score` cuts them
                counts = region or shapely.box(0, 0, grid.width, grid.height)
                found = match_objects(ours, scene.objects(self.land_class.name), region=counts)
                return np.array((found.tp, found.fp, found.fn), np.float64)
            areas = polygon_areas(ours, truth, region).scale(grid.pixel_area)
            return np.array((areas.tp, areas.fp, areas.fn))

        for scene, areas_3 in zip(self.scenes, self._each_scene(measure), strict=True):
            areas_p3[self.places.index(scene.prepared.place)] += areas_3
        return areas_p3

    def _each_scene(self, work: Callable[[_TunedScene, GeometryArray], FloatArray]) -> list[FloatArray]:
        # GEOS and the tracer work outside the interpreter lock, so threads share the cores.
        with thread_pool(WORKERS, "tune") as pool:
            return list(pool.map(work, self.scenes, self.truths))

    def _field(self, scene: _TunedScene, views: int) -> AnyArray:
        key = (scene.prepared.id, views)
        if key in self.fields:
            return self.fields[key]
        field_hw = scene.field(self.band, views)
        if field_hw.nbytes + sum(kept.nbytes for kept in list(self.fields.values())) <= FIELD_BYTES:
            self.fields[key] = field_hw
        return field_hw

    def _apart(self, scene: _TunedScene, field_hw: AnyArray, choice: Choice) -> GeometryArray:
        """Return the polygons of a choice before its rules, cut where `[vectorize] separate` asks for it."""
        grid, name = scene.prepared.grid, self.land_class.name
        tracing = self.table.tracing(name, grid.pixel_area)
        tracing = replace(tracing, threshold=choice.threshold, min_area_px=self._in_pixels(choice.min_area, grid))
        traced = trace(field_hw, tracing)
        if name in self.table.separate:
            end_hw = scene.border(name, choice.symmetries)
            ends = None if end_hw is None else lambda w: end_hw[w.slices]
            traced, _ = separate(traced, lambda w: field_hw[w.slices], grid.shape_hw, tracing, self.table.neck, ends)
        return traced.geometries

    def _trace(self, field_hw: AnyArray, threshold: float, min_area_px: float, grid: Grid) -> GeometryArray:
        tracing = self.table.tracing(self.land_class.name, grid.pixel_area)
        return trace(field_hw, replace(tracing, threshold=threshold, min_area_px=min_area_px)).geometries

    def _in_pixels(self, area: float, grid: Grid) -> float:
        return area / grid.pixel_area if self.table.min_area.unit == "m2" else area


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
