"""`predict`: models and prepared scenes -> one probability raster per scene."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from landscribe.core.arrays import ByteArray
from landscribe.core.grid import Window
from landscribe.core.legend import Legend
from landscribe.core.owners import Owners
from landscribe.core.recipe import PredictTable
from landscribe.core.score.tuning import fewer_views
from landscribe.core.sensors import SensorSpec
from landscribe.core.spectral.rules import needs_lowest, region_of, rule_of
from landscribe.core.split.split import Split
from landscribe.errors import DataError, IntegrityError, problem
from landscribe.io.models.finished import forget_finished
from landscribe.io.models.formulas import Formula
from landscribe.io.models.ranges import CAUTION, cautions_of, outside_of
from landscribe.io.project import Progress, Project, StageResult, silent, use_models
from landscribe.io.project.batches import Batch, Work, carry_out
from landscribe.io.project.leftovers import leave_only
from landscribe.io.project.splits import split_of
from landscribe.io.raster.geotiff import write_probabilities
from landscribe.io.run.kept_tiles import open_tiles
from landscribe.io.run.prepared import PreparedScene, open_prepared
from landscribe.io.run.runs import Made, Record, Run, make_key
from landscribe.io.run.surroundings import Frame, Mosaic, Surroundings, files_of, open_among
from landscribe.io.run.tuned import UNTUNED_PROBABILITY, effective_recipe
from landscribe.stages.predict.models import LoadedModels, load_models, owners_of

FORMAT = 1
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""

MOST_REACH_PX = 1024
"""Pixels of a neighbour that are looked at, at most."""
OUT_OF_FOLD = "oof"
"""Stage name of the records of out-of-fold probabilities: no stage of its own, and not what `vectorize` reads."""


def predict(project: Project, run: Run, progress: Progress = silent, *, models: Path | None = None) -> StageResult:
    """Predict scenes of a project; with `[tune].folds` also the training scenes, by models that have not seen them.

    Args:
        project: The recipe with its data.
        run: The run folder; `prepare` must have run.
        progress: Told of each tile.
        models: Folder of finished models from elsewhere, one folder each; None takes the run's own. With models
            from elsewhere every scene is predicted.

    Returns:
        What was made, what was up to date, what failed.

    Raises:
        DataError: If there are no models.
        IntegrityError: If a model file is not what its description says.
        RecipeError: If a model has a class that the legend lacks, or two rows own a class and the recipe does not allow
            it.

    Examples:
        >>> import landscribe as ls
        >>> ls.predict(project, run).current[:2]
        ['6020_0_0', '6020_0_1']
    """
    if models is None:
        forget_finished(run)
    else:
        project = use_models(project, run, models)
    return carry_out(run, "predict", predict_work(project, run, progress, models=models), progress)


def predict_work(project: Project, run: Run, progress: Progress = silent, *, models: Path | None = None) -> Work:
    """Yield what `predict` does scene by scene, as `io.project.batches` has it.

    Args:
        project: The recipe with its data, bound to `models` if there are some.
        run: The run folder.
        progress: Told of each tile.
        models: Folder of finished models; None takes the run's own.
    """
    prepared = run.require("prepare")
    if models is None:
        run.require("train")
    loaded = load_models(models or run.path("models"), project, own=models is None)
    split = split_of(project, run)
    scene_ids = list(prepared) if models else _own_scenes(project, split, list(prepared))
    table = effective_recipe(project.recipe, run, needed=False).predict
    mosaic = Mosaic(run, tuple(prepared) if project.recipe.mosaic.context else ())
    make = _Predicting(project, run, loaded, prepared, mosaic, progress)
    yield make.batch("predict", scene_ids, table, run.probability)
    plain = project.recipe.predict
    tuned = table != plain and models is None
    scored = [i for i in split.validate if i in scene_ids] if tuned else []
    folds = () if models else split.folds
    if tuned:  # views were tuned: `score` compares with what the recipe says
        yield make.batch(UNTUNED_PROBABILITY, scored, plain, lambda i: run.untuned(i, ".tif"), "untuned")
    for number, left_out in enumerate(folds, start=1):
        yield _fold(project, run, prepared, mosaic, number, left_out, progress)

    def end(result: StageResult) -> None:
        if project.finished is not None:
            result.notes += [f"{name}: edited, and trusted as --trust says" for name in project.finished.edited]
        done = run.records("predict")
        result.notes += [line for i in scene_ids if i in done for line in cautions_of(done[i])]
        for stage, wanted in (
            ("predict", scene_ids),
            (UNTUNED_PROBABILITY, scored),
            (OUT_OF_FOLD, [i for left_out in folds for i in left_out]),
        ):
            result.notes += leave_only(run, stage, wanted)

    return end


@dataclass(frozen=True)
class _Predicting:
    """Scenes that are predicted by some models."""

    project: Project
    run: Run
    loaded: LoadedModels
    prepared: Mapping[str, Record]
    mosaic: Mosaic
    progress: Progress

    def batch(
        self, stage: str, items: Sequence[str], table: PredictTable, target_of: Callable[[str], Path], beside: str = ""
    ) -> Batch:
        """Return the work of predicting them as a table says."""
        project, run, loaded = self.project, self.run, self.loaded
        owners = owners_of(loaded, project)
        settings = table.model_dump(mode="json")

        def key_of(scene_id: str) -> str:
            inputs = {i: self.prepared[i].outputs for i in _looked_at(loaded.formulas, self.prepared, scene_id)}
            outside = _outside(loaded, open_prepared(run, scene_id))
            if outside and not project.anyway:
                where, what = f"scene {scene_id!r}", "lies outside of what the models were trained on"
                raise DataError(f"{problem(where, what)}: {'; '.join(outside)}; --anyway predicts it all the same")
            return make_key(
                FORMAT, inputs=inputs, models=loaded.digests, settings=settings, legend=project.legend.names,
                outside=outside, **_beside(self.prepared, self.mosaic, loaded, table, scene_id),
            )  # fmt: skip

        def make(scene_id: str, _threads: int) -> Made:
            scene, target = open_prepared(run, scene_id), target_of(scene_id)
            caution = _caution(scene_id, _outside(loaded, scene))
            surroundings = _surroundings(self.mosaic, loaded, table, scene_id)
            made = _predict_scene(
                project, run, scene, surroundings, target, loaded, owners, table, key_of(scene_id), self.progress,
                caution=caution,
            )  # fmt: skip
            return replace(made, notes=(*made.notes, *([caution] if caution else [])))

        return Batch(stage, tuple(items), key_of, make, beside=beside, tells=True, gpu=True)


def _fold(
    project: Project,
    run: Run,
    prepared: Mapping[str, Record],
    mosaic: Mosaic,
    number: int,
    scene_ids: tuple[str, ...],
    progress: Progress,
) -> Batch:
    """Return the work of predicting the training scenes that the models of a fold have not seen.

    Raises:
        IntegrityError: If a model of the fold has seen one of them.
    """
    loaded = load_models(run.fold(number), project, own=True)
    seen = sorted(loaded.trained_on & set(scene_ids))
    if seen:
        where = f"models of fold {number}"
        raise IntegrityError(
            problem(where, "trained on the scenes to tune on", got=seen[0], do="run `landscribe train`")
        )
    owners = owners_of(loaded, project)
    table = project.recipe.predict
    settings = table.model_dump(mode="json", exclude={"scenes"})
    # Beside what the recipe says, so that `tune` can compare.
    fewer = fewer_views(project.recipe, project.legend.names)

    def key_of(scene_id: str) -> str:
        inputs = {i: prepared[i].outputs for i in _looked_at(loaded.formulas, prepared, scene_id)}
        names = project.legend.names
        return make_key(
            FORMAT, inputs=inputs, models=loaded.digests, settings=settings, fewer=fewer, legend=names,
            **_beside(prepared, mosaic, loaded, table, scene_id),
        )  # fmt: skip

    def make(scene_id: str, _threads: int) -> Made:
        scene = open_prepared(run, scene_id)
        surroundings = _surroundings(mosaic, loaded, table, scene_id)
        target, key = run.out_of_fold(scene_id), key_of(scene_id)
        made = _predict_scene(project, run, scene, surroundings, target, loaded, owners, table, key, progress)
        paths = [*made.outputs]
        for views in fewer:
            target = run.out_of_fold(scene_id, views)
            other = table.model_copy(update={"symmetries": views, "class_symmetries": {}})
            paths += _predict_scene(
                project, run, scene, surroundings, target, loaded, owners, other, key, progress
            ).outputs
        return replace(made, outputs=tuple(paths))

    return Batch(OUT_OF_FOLD, scene_ids, key_of, make, beside=OUT_OF_FOLD, tells=True, gpu=True)


def _outside(loaded: LoadedModels, scene: PreparedScene) -> list[str]:
    """Return what of a scene lies outside of what networks were trained on, once for each thing."""
    found: list[str] = []
    for sensors, ranges in zip(loaded.sensors, loaded.ranges, strict=True):
        found += outside_of(ranges, scene, [name for name in sensors if name in scene.kinds])
    return list(dict.fromkeys(found))


def _beside(
    prepared: Mapping[str, Record], mosaic: Mosaic, loaded: LoadedModels, table: PredictTable, scene_id: str
) -> dict[str, dict[str, dict[str, str]]]:
    """Return what a prediction reads of a scene's neighbours, as a part of its key; nothing where that is nothing."""
    if not _looks_around(mosaic, loaded, table):
        return {}
    found = mosaic.around(scene_id, {name for names in loaded.sensors for name in names}, MOST_REACH_PX)
    files = {} if found is None else files_of(found)
    return {"beside": {i: {n: prepared[i].outputs[n] for n in names} for i, names in files.items()}} if files else {}


def _surroundings(mosaic: Mosaic, loaded: LoadedModels, table: PredictTable, scene_id: str) -> Surroundings | None:
    """Return a scene among its neighbours, as far as networks see."""
    if not _looks_around(mosaic, loaded, table):
        return None
    divisor = math.lcm(*(net.divisor for net in loaded.nets))
    seen = max(max(net.receptive_radius, net.spec.context) for net in loaded.nets)
    reach = min(math.ceil(seen / divisor), MOST_REACH_PX // divisor) * divisor
    return mosaic.around(scene_id, {sensor.name for net in loaded.nets for sensor in net.spec.sensors}, reach)


def _looks_around(mosaic: Mosaic, loaded: LoadedModels, table: PredictTable) -> bool:
    """Tell whether networks see beyond a scene: patches see no more than their own context."""
    return len(mosaic.scene_ids) > 1 and bool(loaded.folders) and table.patch is None


def _caution(scene_id: str, outside: Sequence[str]) -> str:
    return f"{scene_id}: {CAUTION}: {'; '.join(outside)}" if outside else ""


def _own_scenes(project: Project, split: Split, prepared: list[str]) -> list[str]:
    if project.recipe.predict.scenes == "all":
        return prepared
    fresh = [scene_id for scene_id in prepared if split.sides.get(scene_id) != "train"]
    return fresh or prepared


def _predict_scene(
    project: Project,
    run: Run,
    scene: PreparedScene,
    surroundings: Surroundings | None,
    target: Path,
    loaded: LoadedModels,
    owners: tuple[Owners, ...],
    table: PredictTable,
    key: str,
    progress: Progress,
    *,
    caution: str = "",
) -> Made:
    from landscribe.nn.device import choose_engine
    from landscribe.nn.predict.whole import in_patches, predict_windows, to_bytes, windows_of

    wanted = {sensor.name: sensor for net in loaded.nets for sensor in net.spec.sensors}
    _check_sensors(scene, wanted, other_bands=project.anyway)
    legend, grid = project.legend, scene.grid
    engine = choose_engine(precision=table.precision)
    windows = windows_of(loaded.nets, table, grid.shape_hw, engine)
    tiles = open_tiles(
        target,
        make_key(
            FORMAT, key=key, table=table.model_dump(mode="json"), windows=len(windows), precision=engine.precision
        ),
    )
    with ExitStack() as files:
        # Networks read in a thread of their own; a raster that is open is read in one thread.
        source = files.enter_context(open_among(surroundings or scene, wanted))
        frame = Frame() if surroundings is None else surroundings.frame
        reference = files.enter_context(scene.open_rasters([scene.reference]))
        writer = files.enter_context(write_probabilities(target, grid, legend, caution))

        fields = [_field(run, scene, formula, legend) for formula in loaded.formulas]
        bands = len(legend) + 1
        # Strips of patches begin with what the one above left over.
        keeps = len(windows) > 1 and not in_patches(loaded.nets, table)
        missing = [window for window in windows if not keeps or tiles.load(window, bands) is None]
        # Its threads read the scene: they have to end before its rasters are closed.
        predicted = files.enter_context(
            closing(predict_windows(loaded.nets, source, engine, table, [frame.moved(window) for window in missing]))
        )
        # In the order of windows, kept or not: the file then has the same bytes however often its making was cut off.
        for number, window in enumerate(windows, start=1):
            stack_khw = None if window in missing else tiles.load(window, bands)
            if stack_khw is None:
                _, net_khw = next(predicted)
                from_fields = (band_hw for field in fields for band_hw in field(window) / np.float32(255))
                _, valid_hw = reference.read(scene.reference, window)
                stack_khw = to_bytes([*net_khw, *from_fields], valid_hw, owners, table)
                if keeps:
                    tiles.save(window, stack_khw)
            writer.write(window, stack_khw[:-1])
            writer.write_mask(window, stack_khw[-1] > 0)
            progress(f"predict {scene.id}", number, len(windows))
    tiles.clear()
    without = [name for name, shares in zip(legend.names, owners, strict=True) if not shares]
    return Made((target,), {"tiles": len(windows)}, tuple(f"no model owns {name!r}" for name in without))


def _looked_at(formulas: Iterable[Formula], prepared: Mapping[str, Record], scene_id: str) -> list[str]:
    """Return the scenes that a prediction depends on: others of the region only where a rule asks for them."""
    if any(needs_lowest(formula.spectral, scene_id) for formula in formulas):
        return [i for i in prepared if region_of(i) == region_of(scene_id)]
    return [scene_id]


def _field(run: Run, scene: PreparedScene, formula: Formula, legend: Legend) -> Callable[[Window], ByteArray]:
    """Return a function from a window to what a model without weights gives there, uint8 (K, h, w)."""
    from landscribe.nn.predict.spectral import spectral_field, spectral_scene

    if formula.kind == "labels":
        bands = [legend.index(name) for name in formula.classes]

        def read_labels(window: Window) -> ByteArray:
            if not scene.is_labelled:
                return np.zeros((len(bands), *window.shape_hw), np.uint8)
            return scene.read_coverage(window)[0][bands]

        return read_labels

    lowest = None
    if needs_lowest(formula.spectral, scene.id):
        region = _looked_at((formula,), run.records("prepare"), scene.id)
        lowest = min(spectral_scene(open_prepared(run, i), formula.sensors).lowest(formula.spectral) for i in region)
    field = spectral_field(
        spectral_scene(scene, formula.sensors), formula.spectral, rule_of(formula.spectral, scene.id, lowest)
    )
    return lambda window: field(window)[None]


def _check_sensors(scene: PreparedScene, wanted: Mapping[str, SensorSpec], *, other_bands: bool) -> None:
    for name, sensor in wanted.items():
        if name not in scene.sensors:
            got = ", ".join(scene.sensors)
            raise DataError(problem(f"scene {scene.id!r}", f"sensor {name!r} of the model is missing", got=got))
        found = scene.sensors[name].bands
        if len(found) != len(sensor.bands) or (found != sensor.bands and not other_bands):
            got, need = ", ".join(scene.sensors[name].bands), ", ".join(sensor.bands)
            raise DataError(problem(f"scene {scene.id!r}, {name}", "other bands than the model's", got=got, need=need))
