"""`vectorize`: probability -> polygons after thresholds, minimum areas, simplification and class rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from landscribe.core.arrays import AnyArray
from landscribe.core.grid import Grid, Window
from landscribe.core.legend import Legend
from landscribe.core.mosaic import cut_to
from landscribe.core.owners import class_of
from landscribe.core.recipe import Recipe, VectorizeTable
from landscribe.core.rules.polygonize import polygonize
from landscribe.core.separate import MOST_PX, FieldReader
from landscribe.core.trace.classes import BLOCK_ROWS
from landscribe.errors import DataError, IntegrityError
from landscribe.io.models.ranges import cautions_of
from landscribe.io.project import Progress, Project, StageResult, require_countable, silent
from landscribe.io.project.batches import Batch, Work, carry_out
from landscribe.io.project.borders import is_border_raster
from landscribe.io.project.catalog import CATALOG, catalog_work
from landscribe.io.project.leftovers import leave_only
from landscribe.io.project.map_files import write_map
from landscribe.io.project.splits import split_of
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.runs import Made, Record, Run, make_item, make_key
from landscribe.io.run.surroundings import Frame, Mosaic, Surroundings, read_among
from landscribe.io.run.tuned import (
    UNADAPTED_FEATURES,
    UNADAPTED_PROBABILITY,
    UNTUNED_FEATURES,
    UNTUNED_PROBABILITY,
    effective_recipe,
)
from landscribe.io.run.tuned import unadapted as unadapted_file
from landscribe.io.vector.vectors import write_features
from landscribe.late import geopandas as gpd

FORMAT = 3
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""
MAP = "map"
"""Stage name of the record of `features.gpkg`: no stage of its own."""
SEPARATE_BYTES = 96
"""Memory for a pixel around a polygon that may be cut."""
BLOCK_BYTES = 16
"""Memory for a pixel of a block while it is traced."""
MARGIN_PX = 128
"""So far polygons are traced into tiles beside a scene."""
NO_FRAME = Frame()
MOST_THREADS = 8
"""Each holds a block of a class."""


def vectorize(project: Project, run: Run, progress: Progress = silent) -> StageResult:
    """Turn the probabilities of every predicted scene into polygons.

    Where something was tuned in this run, the held-out scenes are also made polygons of as the recipe alone says, for
    `score` to compare with.

    Args:
        project: The recipe with its data.
        run: The run folder; `predict` must have run.
        progress: Told of each scene.

    Returns:
        What was made, what was up to date, what failed.

    Raises:
        DataError: If `[vectorize].tuned` is set and nothing was tuned.
        RecipeError: If `[vectorize].separate` names a class that is unknown or not countable.

    Examples:
        >>> import landscribe as ls
        >>> ls.vectorize(project, run).current
        ['6020_0_0', '6020_0_1']
    """
    return carry_out(run, "vectorize", vectorize_work(project, run), progress)


def vectorize_work(project: Project, run: Run) -> Work:
    """Yield what `vectorize` does scene by scene, as `io.project.batches` has it."""
    predicted = run.require("predict")
    require_countable(project, project.recipe.vectorize.separate)
    recipe = effective_recipe(project.recipe, run)
    own = yield _features(project, run, recipe, "vectorize", predicted)
    scored: dict[str, Record] = {}
    if recipe != project.recipe and project.recipe.tune.folds:
        same_views = recipe.predict == project.recipe.predict
        found = predicted if same_views else run.records(UNTUNED_PROBABILITY)
        scored = {i: found[i] for i in split_of(project, run).validate if i in found}
    if scored:
        yield _features(project, run, project.recipe, UNTUNED_FEATURES, scored)
    unadapted = run.records(UNADAPTED_PROBABILITY)
    if unadapted:
        yield _features(project, run, recipe, UNADAPTED_FEATURES, unadapted)

    catalog = catalog_work(project, run, predicted)
    if catalog is not None:
        yield catalog

    def end(result: StageResult) -> None:
        result.notes += leave_only(run, "vectorize", predicted)
        result.notes += leave_only(run, CATALOG, () if catalog is None else predicted)
        result.notes += leave_only(run, UNTUNED_FEATURES, scored)
        result.notes += leave_only(run, UNADAPTED_FEATURES, unadapted)
        kept = [i for i in predicted if i not in own.failed]
        result.notes += _combine(project, run, kept, {i: cautions_of(predicted[i]) for i in kept})

    return end


def _features(project: Project, run: Run, recipe: Recipe, stage: str, predicted: Mapping[str, Record]) -> Batch:
    """Return the work of vectorizing what was predicted of some scenes, one raster each, by a recipe."""
    settings = recipe.vectorize.deciding()
    rules = [rule.model_dump(mode="json") for rule in recipe.rules]
    places = {scene.id: scene.place for scene in project.scenes.scenes}
    classes = [(c.id, c.name, c.colour) for c in project.legend]
    mosaic = Mosaic(run, tuple(predicted) if project.recipe.mosaic.context else ())

    def beside(scene_id: str) -> dict[str, Record]:
        found = mosaic.around(scene_id, (), MARGIN_PX)
        return {} if found is None else {other.id: predicted[other.id] for other, _ in found.beside}

    def key_of(scene_id: str) -> str:
        others = beside(scene_id)
        return make_key(
            FORMAT,
            inputs=predicted[scene_id].outputs,
            **({"beside": {i: record.outputs for i, record in others.items()}} if others else {}),
            settings=settings,
            rules=rules,
            legend=classes,
            place=places.get(scene_id),
        )

    def raster_of(record: Record) -> Path:
        return run.checked(run.path(next(iter(record.outputs))))

    def border_rasters(scene_id: str) -> dict[str, Path]:
        """Return where things end, of a scene and those beside it, as far as networks have learned it."""
        records = {scene_id: predicted[scene_id], **beside(scene_id)} if recipe.vectorize.separate else {}
        names = {i: [name for name in one.outputs if is_border_raster(name)] for i, one in records.items()}
        return {i: run.checked(run.path(own[0])) for i, own in names.items() if own}

    def make(scene_id: str, threads: int) -> Made:
        target = _target(run, scene_id, stage)
        path = raster_of(predicted[scene_id])
        around = mosaic.around(scene_id, (), MARGIN_PX)
        features, counts = vectorize_scene(
            path,
            scene_id,
            recipe,
            project.legend,
            places.get(scene_id),
            threads=min(threads, MOST_THREADS),
            beside=[] if around is None else around.rasters({i: raster_of(one) for i, one in beside(scene_id).items()}),
            frame=Frame() if around is None else around.frame,
            borders=_borders_among(scene_id, around, border_rasters(scene_id)),
        )
        caution = "; ".join(cautions_of(predicted[scene_id]))
        write_features(target, features, legend=project.legend, caution=caution)
        return Made((target,), counts)

    def need_bytes(scene_id: str) -> int:
        return _need_bytes(run.path(next(iter(predicted[scene_id].outputs))), recipe.vectorize, len(project.legend))

    name = "" if stage == "vectorize" else stage.partition("-")[0]
    return Batch(stage, tuple(predicted), key_of, make, need_bytes, beside=name)


def _target(run: Run, scene_id: str, stage: str) -> Path:
    """Return where the polygons of a scene go."""
    if stage == "vectorize":
        return run.features(scene_id)
    beside = run.untuned if stage == UNTUNED_FEATURES else partial(unadapted_file, run)
    return beside(scene_id, ".parquet")


def _borders_among(
    scene_id: str, around: Surroundings | None, paths: Mapping[str, Path]
) -> list[tuple[Path, Window | None]]:
    """Return rasters of where things end and where each lies, the scene's own first; none where it has none."""
    if scene_id not in paths:
        return []
    beside = () if around is None else around.beside
    others = [(paths[one.id], windows[one.reference]) for one, windows in beside if one.id in paths]
    return [(paths[scene_id], None), *others]


def _need_bytes(path: Path, table: VectorizeTable, classes: int) -> int:
    """Return about how much memory a scene takes while it is traced; 0 for one that cannot be opened."""
    try:
        with open_raster(path) as raster:
            shape_hw = raster.info.grid.shape_hw
    except (DataError, IntegrityError):
        return 0
    if table.shared_borders:
        return math.prod(shape_hw) * classes * BLOCK_BYTES
    block = min(shape_hw[0], BLOCK_ROWS) * shape_hw[1]
    looked_at = min(math.prod(shape_hw), MOST_PX) * SEPARATE_BYTES if table.separate else 0
    return block * BLOCK_BYTES * (classes if table.exclusive else 1) + looked_at


def vectorize_scene(
    path: Path,
    scene_id: str,
    recipe: Recipe,
    legend: Legend,
    place: str | None = None,
    *,
    threads: int = 1,
    beside: Sequence[tuple[Path, Window]] = (),
    frame: Frame = NO_FRAME,
    borders: Sequence[tuple[Path, Window | None]] = (),
) -> tuple[gpd.GeoDataFrame, dict[str, int]]:
    """Trace one probability raster and apply the class rules.

    Args:
        path: GeoTIFF, uint8, 0..255 for 0..1, one band per class of `legend`.
        scene_id: Scene id for the features.
        recipe: Thresholds, minimum areas, rules.
        legend: Classes in band order.
        place: Place of the scene, for rules that name places.
        threads: Classes that are traced at once.
        beside: Rasters of tiles beside it, and where each lies in its pixels.
        frame: How far into them polygons are traced: these are cut at the scene's edge afterwards, so that what two
            scenes have of an object fits, and is left out for its size only where the whole is small.
        borders: Rasters of where things of some classes end, for `[vectorize] separate`: that of the scene, without a
            window, and those of tiles beside it.

    Returns:
        Features in ground coordinates, and polygons kept and dropped by class and reason; of what is dropped the frame
        has a part.
    """
    with ExitStack() as files:
        rasters = [files.enter_context(open_raster(one)) for one in (path, *(other for other, _ in beside))]
        own = rasters[0].info.grid
        places = [own.window, *(window for _, window in beside)]

        def read(window: Window, bands: Sequence[int]) -> AnyArray:
            numbers = [band + 1 for band in bands]
            parts = [(partial(one.read, bands=numbers), at) for one, at in zip(rasters, places, strict=True)]
            image_chw, valid_hw = read_among(parts, frame.moved_back(window))
            return np.where(valid_hw, image_chw, np.uint8(0))

        ends = _border_fields(files, borders, own, frame)
        around = frame.around(own)
        features, counts = polygonize(read, around, scene_id, recipe, legend, place, threads=threads, border=ends)
    if not any(frame):
        return features, counts
    features = cut_to(features, own.footprint, math.sqrt(own.footprint.area / math.prod(own.shape_hw)))
    kept = features["class_name"].value_counts()
    return features, counts | {f"{name}: kept": int(kept.get(name, 0)) for name in legend.names}


def _border_fields(
    files: ExitStack, borders: Sequence[tuple[Path, Window | None]], own: Grid, frame: Frame
) -> dict[str, FieldReader]:
    """Return what says where things of a class end, by class, among tiles as the probabilities are."""
    rasters = [files.enter_context(open_raster(path)) for path, _ in borders]
    places = [at or own.window for _, at in borders]

    def field(band: int) -> FieldReader:
        def read(window: Window) -> AnyArray:
            parts = [(partial(one.read, bands=[band + 1]), at) for one, at in zip(rasters, places, strict=True)]
            image_chw, valid_hw = read_among(parts, frame.moved_back(window))
            return np.where(valid_hw, image_chw[0], np.uint8(0))

        return read

    names = rasters[0].info.descriptions if rasters else ()
    return {class_of(name): field(band) for band, name in enumerate(names) if name}


def _combine(project: Project, run: Run, scene_ids: list[str], cautions: Mapping[str, list[str]]) -> list[str]:
    """Write the maps for the eye, unless they are up to date; return what is to be said of them."""
    made = run.records("vectorize")
    classes = [(c.id, c.name, c.colour) for c in project.legend]
    mosaic = project.recipe.mosaic
    key = make_key(
        FORMAT,
        features={i: made[i].outputs for i in scene_ids},
        legend=classes,
        cautions=cautions,
        mosaic=mosaic.model_dump(mode="json"),
        outputs=project.recipe.outputs.model_dump(mode="json", include={"map", "largest_gpkg_mb"}),
    )
    record, _ = make_item(run, MAP, "all", key, lambda: write_map(project, run, scene_ids, cautions))
    unused = [f"mosaic.priority names {pattern!r}, and no scene is called so" for pattern in mosaic.unused(scene_ids)]
    return [*record.notes, *unused]
