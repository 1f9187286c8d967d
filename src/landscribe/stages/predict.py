"""`predict`: models and prepared scenes -> one probability raster per scene."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landscribe.core.arrays import ByteArray
from landscribe.core.grid import Window
from landscribe.core.legend import Legend
from landscribe.core.owners import Owners, find_owners, row_of
from landscribe.core.recipe import PredictTable
from landscribe.core.score.tuning import fewer_views
from landscribe.core.sensors import SensorSpec
from landscribe.core.spectral.rules import needs_lowest, region_of, rule_of
from landscribe.core.split.split import Split
from landscribe.errors import DataError, IntegrityError, RecipeError, problem
from landscribe.io.digests import file_digest
from landscribe.io.models.finished import forget_finished, read_description
from landscribe.io.models.formulas import FORMULA, Formula, read_formula
from landscribe.io.models.model_files import DESCRIPTION, model_folders, read_model
from landscribe.io.models.ranges import CAUTION, Ranges, cautions_of, outside_of
from landscribe.io.project import Progress, Project, StageResult, make_items, silent, use_models
from landscribe.io.project.leftovers import leave_only
from landscribe.io.project.splits import split_of
from landscribe.io.raster.geotiff import write_probabilities
from landscribe.io.run.kept_tiles import open_tiles
from landscribe.io.run.prepared import PreparedScene, open_prepared
from landscribe.io.run.runs import Made, Record, Run, make_key
from landscribe.io.run.tuned import UNTUNED_PROBABILITY, effective_recipe

if TYPE_CHECKING:  # torch takes seconds to import, and not every command needs it
    from landscribe.nn.network.bundle import SegmentationNet

FORMAT = 1
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""

OUT_OF_FOLD = "oof"
"""Stage name of the records of out-of-fold probabilities: no stage of its own, and not what `vectorize` reads."""


@dataclass(frozen=True)
class LoadedModels:
    """Networks that together own the classes of a run."""

    rows: tuple[str, ...]
    """Row of `[[models]]` that each network belongs to."""
    folders: tuple[Path, ...]
    """Of each network."""
    described: tuple[str, ...]
    """Digest of what was read of each network's description."""
    classes: tuple[tuple[str, ...], ...]
    """Of each network, in the order of its outputs."""
    sensors: tuple[tuple[str, ...], ...]
    """Names of those that each network reads."""
    digests: dict[str, str]
    trained_on: frozenset[str]
    formulas: tuple[Formula, ...] = ()
    """Models without weights."""
    ranges: tuple[Ranges, ...] = ()
    """What each network was trained on, as `io.models.ranges` has it."""
    trusted: bool = False
    """Whether edited ones are meant so."""

    @cached_property
    def nets(self) -> tuple[SegmentationNet, ...]:
        """Built when they are first asked for: a run that is up to date has no need of them."""
        from landscribe.nn.network.bundle import from_files

        nets = []
        for folder, digest in zip(self.folders, self.described, strict=True):
            files = read_model(folder)
            if sha256(files[DESCRIPTION]).hexdigest() != digest:
                raise IntegrityError(problem(str(folder / DESCRIPTION), "changed while it was read", do="run again"))
            nets.append(from_files(files, str(folder), trusted=self.trusted)[0])
        return tuple(nets)

    @property
    def outputs(self) -> list[tuple[str, tuple[str, ...]]]:
        """Row of `[[models]]` and classes in the order of outputs: of networks, then of models without weights."""
        return [*zip(self.rows, self.classes, strict=True)] + [
            (row_of(formula.name), formula.classes) for formula in self.formulas
        ]


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
    prepared = run.require("prepare")
    if models is None:
        run.require("train")
        forget_finished(run)
    else:
        project = use_models(project, run, models)
    loaded = load_models(models or run.path("models"), project, own=models is None)
    owners = owners_of(loaded, project)
    split = split_of(project, run)
    scene_ids = list(prepared) if models else _own_scenes(project, split, list(prepared))
    table = effective_recipe(project.recipe, run, needed=False).predict

    def predict_by(table: PredictTable, stage: str, items: list[str], target_of: Callable[[str], Path]) -> StageResult:
        settings = table.model_dump(mode="json")

        def key_of(scene_id: str) -> str:
            inputs = {i: prepared[i].outputs for i in _looked_at(loaded.formulas, prepared, scene_id)}
            outside = _outside(loaded, open_prepared(run, scene_id))
            if outside and not project.anyway:
                where, what = f"scene {scene_id!r}", "lies outside of what the models were trained on"
                raise DataError(f"{problem(where, what)}: {'; '.join(outside)}; --anyway predicts it all the same")
            return make_key(
                FORMAT, inputs=inputs, models=loaded.digests, settings=settings, legend=project.legend.names,
                outside=outside,
            )  # fmt: skip

        def make(scene_id: str) -> Made:
            scene, target = open_prepared(run, scene_id), target_of(scene_id)
            caution = _caution(scene_id, _outside(loaded, scene))
            made = _predict_scene(
                project, run, scene, target, loaded, owners, table, key_of(scene_id), progress, caution=caution
            )
            return replace(made, notes=(*made.notes, *([caution] if caution else [])))

        return make_items(run, stage, items, key_of, make)

    result = predict_by(table, "predict", scene_ids, run.probability)
    if project.finished is not None:
        result.notes += [f"{name}: edited, and trusted as --trust says" for name in project.finished.edited]
    done = run.records("predict")
    result.notes += [line for i in scene_ids if i in done for line in cautions_of(done[i])]
    plain = project.recipe.predict
    tuned = table != plain and models is None
    scored = [i for i in split.validate if i in scene_ids] if tuned else []
    folds = () if models else split.folds
    for stage, wanted in (
        ("predict", scene_ids),
        (UNTUNED_PROBABILITY, scored),
        (OUT_OF_FOLD, [i for left_out in folds for i in left_out]),
    ):
        result.notes += leave_only(run, stage, wanted)
    if tuned:  # views were tuned: `score` compares with what the recipe says
        result.add(predict_by(plain, UNTUNED_PROBABILITY, scored, lambda i: run.untuned(i, ".tif")), "untuned")
    for number, left_out in enumerate(folds, start=1):
        result.add(_predict_fold(project, run, number, left_out, progress), OUT_OF_FOLD)
    return result


def _predict_fold(
    project: Project, run: Run, number: int, scene_ids: tuple[str, ...], progress: Progress
) -> StageResult:
    """Predict the training scenes that the models of a fold have not seen.

    Raises:
        IntegrityError: If a model of the fold has seen one of them.
    """
    prepared = run.require("prepare")
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
        return make_key(FORMAT, inputs=inputs, models=loaded.digests, settings=settings, fewer=fewer, legend=names)

    def make(scene_id: str) -> Made:
        scene = open_prepared(run, scene_id)
        target, key = run.out_of_fold(scene_id), key_of(scene_id)
        made = _predict_scene(project, run, scene, target, loaded, owners, table, key, progress)
        paths = [*made.outputs]
        for views in fewer:
            target = run.out_of_fold(scene_id, views)
            other = table.model_copy(update={"symmetries": views, "class_symmetries": {}})
            paths += _predict_scene(project, run, scene, target, loaded, owners, other, key, progress).outputs
        return replace(made, outputs=tuple(paths))

    return make_items(run, OUT_OF_FOLD, scene_ids, key_of, make)


def load_models(folder: Path, project: Project, *, own: bool) -> LoadedModels:
    """Load models, or with `[predict].snapshots` those of their last epochs, checked against their own descriptions.

    Args:
        folder: One folder for each model, or the folder of one.
        project: The recipe with its data.
        own: Take only those that the recipe names.

    Raises:
        DataError: If there is none, or one is missing.
        IntegrityError: If a file is damaged or foreign.
    """
    recipe = project.recipe
    names = [name for table in recipe.models for name in table.members(recipe.seed)] if own else None
    rows, folders, formulas, trained_on = [], [], [], set[str]()
    known, digests = [], {}
    trusted = project.finished is not None and project.finished.trusted
    for name, paths in model_folders(folder, names, snapshots=recipe.predict.snapshots).items():
        for path in paths:
            file = path / (DESCRIPTION if (path / DESCRIPTION).is_file() else FORMULA)
            if file.name == FORMULA:
                digests[file.relative_to(folder).as_posix()] = file_digest(file)
                formulas.append(read_formula(file, trusted=trusted))
                trained_on |= set(formulas[-1].trained_on)
                continue
            rows.append(row_of(name))
            folders.append(path)
            known.append(read_description(file, trust=trusted))
            digests[file.relative_to(folder).as_posix()] = known[-1].digest
            trained_on |= set(known[-1].trained_on)
    classes = tuple(each.classes for each in known)
    sensors = tuple(tuple(sensor.name for sensor in each.sensors) for each in known)
    ranges = tuple((each.knows or {}).get("ranges") or {} for each in known)
    return LoadedModels(
        tuple(rows), tuple(folders), tuple(each.described for each in known), classes, sensors, digests,
        frozenset(trained_on), tuple(formulas), ranges, trusted,
    )  # fmt: skip


def _outside(loaded: LoadedModels, scene: PreparedScene) -> list[str]:
    """Return what of a scene lies outside of what networks were trained on, once for each thing."""
    found: list[str] = []
    for sensors, ranges in zip(loaded.sensors, loaded.ranges, strict=True):
        found += outside_of(ranges, scene, [name for name in sensors if name in scene.kinds])
    return list(dict.fromkeys(found))


def _caution(scene_id: str, outside: Sequence[str]) -> str:
    return f"{scene_id}: {CAUTION}: {'; '.join(outside)}" if outside else ""


def owners_of(loaded: LoadedModels, project: Project) -> tuple[Owners, ...]:
    """Return, for each class of a project's legend, which outputs of models are averaged for it.

    Raises:
        RecipeError: If a model has a class that the legend lacks, or two rows own a class and the recipe does not allow
            it.
    """
    legend = project.legend.names
    unknown = sorted({name for _, classes in loaded.outputs for name in classes} - set(legend))
    if unknown:
        need = "classes of the legend: " + ", ".join(legend)
        raise RecipeError(problem("models", "a model knows other classes", got=", ".join(unknown), need=need))
    return find_owners(legend, loaded.outputs, project.recipe.predict)


def _own_scenes(project: Project, split: Split, prepared: list[str]) -> list[str]:
    if project.recipe.predict.scenes == "all":
        return prepared
    fresh = [scene_id for scene_id in prepared if split.sides.get(scene_id) != "train"]
    return fresh or prepared


def _predict_scene(
    project: Project,
    run: Run,
    scene: PreparedScene,
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
        source = files.enter_context(scene.open_rasters(wanted))
        reference = files.enter_context(scene.open_rasters([scene.reference]))
        writer = files.enter_context(write_probabilities(target, grid, legend, caution))

        fields = [_field(run, scene, formula, legend) for formula in loaded.formulas]
        bands = len(legend) + 1
        # Strips of patches begin with what the one above left over.
        keeps = len(windows) > 1 and not in_patches(loaded.nets, table)
        missing = [window for window in windows if not keeps or tiles.load(window, bands) is None]
        # Its threads read the scene: they have to end before its rasters are closed.
        predicted = files.enter_context(closing(predict_windows(loaded.nets, source, engine, table, missing)))
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
