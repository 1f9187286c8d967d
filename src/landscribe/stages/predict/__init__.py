"""`predict`: models and prepared scenes -> one probability raster per scene."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from landscribe.core.grid import Window
from landscribe.core.owners import Owners
from landscribe.core.recipe import PredictTable
from landscribe.core.score.tuning import fewer_views
from landscribe.core.split.split import Split
from landscribe.errors import DataError, IntegrityError, LandscribeError, problem
from landscribe.io.models.finished import forget_finished
from landscribe.io.models.ranges import CAUTION, cautions_of, outside_of
from landscribe.io.project import Progress, Project, StageResult, silent, use_models
from landscribe.io.project.batches import Batch, Work, carry_out
from landscribe.io.project.leftovers import leave_only
from landscribe.io.project.splits import split_of
from landscribe.io.project.training import models_folder
from landscribe.io.run.prepared import PreparedScene, open_prepared
from landscribe.io.run.runs import Made, Record, Run, make_key
from landscribe.io.run.surroundings import Mosaic, Surroundings, files_of
from landscribe.io.run.tuned import UNADAPTED_PROBABILITY, UNTUNED_PROBABILITY, effective_recipe, unadapted
from landscribe.process import release_memory
from landscribe.stages.predict.adapted import STATISTICS, Adapting, adapting_to
from landscribe.stages.predict.models import LoadedModels, load_models, owners_of
from landscribe.stages.predict.scene import IN_BYTES, Job, looked_at, parts_of, predict_scene, predict_window

FORMAT = 1
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""
MOST_REACH_PX = 512
"""Pixels of a neighbour that are looked at, at most."""
WINDOWS = "predict-windows"
"""Stage name of the records of windows of a scene that is not laid together yet: no stage of its own."""
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
    trained_on = models is None and bool(project.recipe.adapt.epochs)
    if models is None:
        run.require("adapt" if trained_on else "train")
    loaded = load_models(models or models_folder(project, run), project, own=models is None)
    split = split_of(project, run)
    scene_ids = list(prepared) if models else _own_scenes(project, split, list(prepared))
    table = effective_recipe(project.recipe, run, needed=False).predict
    mosaic = Mosaic(run, tuple(prepared) if project.recipe.mosaic.context else ())
    adapting = adapting_to(project, run, loaded, prepared)
    make = _Predicting(project, run, loaded, prepared, mosaic, owners_of(loaded, project), progress, adapting)
    folds = () if models else split.folds
    adapted = [adapting.places_of(scene_ids)] if adapting else []
    if adapting:
        yield adapting.batch(adapted[0])
    yield make.windows(scene_ids, table, project.recipe.scale.window)
    yield make.batch("predict", scene_ids, table, run.probability)
    plain = project.recipe.predict
    tuned = table != plain and models is None
    scored = [i for i in split.validate if i in scene_ids] if tuned else []
    with_and_without = [i for i in split.validate if i in scene_ids] if adapting or trained_on else []
    if with_and_without:  # `score` compares with networks as they were trained
        plain_models = load_models(run.path("models"), project, own=True) if trained_on else loaded
        without = replace(make, loaded=plain_models, owners=owners_of(plain_models, project), adapting=None)
        own_table = table.model_copy(update={"adapt": "none"})
        beside = partial(unadapted, run, ending=".tif")
        yield without.batch(UNADAPTED_PROBABILITY, with_and_without, own_table, beside, "unadapted")
    if tuned:  # views were tuned: `score` compares with what the recipe says
        yield make.batch(UNTUNED_PROBABILITY, scored, plain, lambda i: run.untuned(i, ".tif"), "untuned")
    for number, left_out in enumerate(folds, start=1):
        loaded = _models_of_fold(project, run, number, left_out)
        own = adapting_to(project, run, loaded, prepared, f"fold{number}/")
        if own:
            adapted.append(own.places_of(left_out))
            yield own.batch(adapted[-1])
        yield _fold(project, run, prepared, mosaic, left_out, loaded, own, progress)

    def end(result: StageResult) -> None:
        release_memory()
        if project.finished is not None:
            result.notes += [f"{name}: edited, and trusted as --trust says" for name in project.finished.edited]
        done = run.records("predict")
        for item in run.records(WINDOWS):
            if item.rpartition("/")[0] in done:  # whose tiles are in its raster
                run.forget(WINDOWS, item)
        result.notes += [line for i in scene_ids if i in done for line in cautions_of(done[i])]
        for stage, wanted in (
            ("predict", scene_ids),
            (UNTUNED_PROBABILITY, scored),
            (UNADAPTED_PROBABILITY, with_and_without),
            (OUT_OF_FOLD, [i for left_out in folds for i in left_out]),
            (STATISTICS, [item for items in adapted for item in items]),
        ):
            result.notes += leave_only(run, stage, wanted)
        if adapting:
            result.notes.append(f"{adapting.note}: {len(adapted[0])} places")
        in_bytes = sum(bool(done[i].counts.get(IN_BYTES)) for i in scene_ids if i in done)
        if in_bytes and table.precision is None:
            text = f"predicted in bytes, for speed: {in_bytes} of {len(scene_ids)} scenes"
            result.notes.append(f'{text}; `precision = "float32"` would keep all digits')

    return end


@dataclass(frozen=True)
class _Predicting:
    """Scenes that are predicted by some models."""

    project: Project
    run: Run
    loaded: LoadedModels
    prepared: Mapping[str, Record]
    mosaic: Mosaic
    owners: tuple[Owners, ...]
    progress: Progress
    adapting: Adapting | None = None
    """Where batch norm takes statistics of each place."""

    def batch(
        self, stage: str, items: Sequence[str], table: PredictTable, target_of: Callable[[str], Path], beside: str = ""
    ) -> Batch:
        """Return the work of predicting them as a table says."""

        def make(scene_id: str, _threads: int) -> Made:
            job = self._job(scene_id, table, target_of(scene_id))
            made = predict_scene(job, self.progress)
            said = [*([job.caution] if job.caution else []), *([self.adapting.note] if self.adapting else [])]
            return replace(made, notes=(*made.notes, *said))

        return Batch(stage, tuple(items), lambda i: self._key(i, table), make, beside=beside, tells=True, gpu=True)

    def windows(self, scene_ids: Sequence[str], table: PredictTable, side: int) -> Batch:
        """Return the work of predicting windows of those that are longer than one and not up to date."""
        parts = {
            f"{scene_id}/{part.row}_{part.col}": (scene_id, part)
            for scene_id in scene_ids
            for part in ([] if table.patch is not None else self._parts(scene_id, side))
        }
        long = dict.fromkeys(scene_id for scene_id, _ in parts.values())
        waiting = {scene_id for scene_id in long if not self._is_current(scene_id, table)}

        def make(item: str, _threads: int) -> Made:
            scene_id, part = parts[item]
            return predict_window(self._job(scene_id, table, self.run.probability(scene_id)), part, self.progress)

        return Batch(
            WINDOWS,
            tuple(item for item, (scene_id, _) in parts.items() if scene_id in waiting),
            lambda item: make_key(FORMAT, scene=self._key(parts[item][0], table), side=side),
            make,
            inner=True,
            pieces=True,
            tells=True,
            gpu=True,
            scene_of=lambda item: parts[item][0],
        )

    def _scene(self, scene_id: str) -> PreparedScene:
        known = self.mosaic.scenes.get(scene_id)
        return open_prepared(self.run, scene_id) if known is None else known

    def _parts(self, scene_id: str, side: int) -> list[Window]:
        try:
            return parts_of(self._scene(scene_id), side)
        except LandscribeError:
            return []  # the scene itself tells of it

    def _is_current(self, scene_id: str, table: PredictTable) -> bool:
        """Tell whether nothing is left to do of a scene, be it that it cannot be done, of which the scene tells."""
        try:
            return self.run.is_current("predict", scene_id, self._key(scene_id, table))
        except LandscribeError:
            return True

    def _key(self, scene_id: str, table: PredictTable) -> str:
        loaded, project = self.loaded, self.project
        inputs = {i: self.prepared[i].outputs for i in looked_at(loaded.formulas, self.prepared, scene_id)}
        outside = _outside(loaded, self._scene(scene_id))
        if outside and not project.anyway:
            where, what = f"scene {scene_id!r}", "lies outside of what the models were trained on"
            raise DataError(f"{problem(where, what)}: {'; '.join(outside)}; --anyway predicts it all the same")
        return make_key(
            FORMAT, inputs=inputs, models=loaded.digests, settings=table.said(),
            legend=project.legend.names, outside=outside,
            **_beside(self.prepared, self.mosaic, loaded, table, scene_id),
            **(self.adapting.said_of(scene_id) if self.adapting else {}),
        )  # fmt: skip

    def _job(self, scene_id: str, table: PredictTable, target: Path) -> Job:
        project, run, loaded = self.project, self.run, self.loaded
        scene = open_prepared(run, scene_id)
        caution = _caution(scene_id, _outside(loaded, scene))
        surroundings = _surroundings(self.mosaic, loaded, table, scene_id)
        key = self._key(scene_id, table)
        used = self.adapting.models_for(scene_id) if self.adapting else loaded
        return Job(project, run, scene, surroundings, target, used, self.owners, table, key, caution)


def _models_of_fold(project: Project, run: Run, number: int, scene_ids: tuple[str, ...]) -> LoadedModels:
    """Load the models of a fold.

    Raises:
        IntegrityError: If one of them has seen a scene of it.
    """
    loaded = load_models(run.fold(number), project, own=True)
    seen = sorted(loaded.trained_on & set(scene_ids))
    if seen:
        where = f"models of fold {number}"
        raise IntegrityError(
            problem(where, "trained on the scenes to tune on", got=seen[0], do="run `landscribe train`")
        )
    return loaded


def _fold(
    project: Project,
    run: Run,
    prepared: Mapping[str, Record],
    mosaic: Mosaic,
    scene_ids: tuple[str, ...],
    loaded: LoadedModels,
    adapting: Adapting | None,
    progress: Progress,
) -> Batch:
    """Return the work of predicting the training scenes that the models of a fold have not seen."""
    owners = owners_of(loaded, project)
    table = project.recipe.predict
    settings = table.said(exclude={"scenes"})
    # Beside what the recipe says, so that `tune` can compare.
    fewer = fewer_views(project.recipe, project.legend.names)

    def key_of(scene_id: str) -> str:
        inputs = {i: prepared[i].outputs for i in looked_at(loaded.formulas, prepared, scene_id)}
        names = project.legend.names
        return make_key(
            FORMAT, inputs=inputs, models=loaded.digests, settings=settings, fewer=fewer, legend=names,
            **_beside(prepared, mosaic, loaded, table, scene_id),
            **(adapting.said_of(scene_id) if adapting else {}),
        )  # fmt: skip

    def make(scene_id: str, _threads: int) -> Made:
        scene = open_prepared(run, scene_id)
        surroundings = _surroundings(mosaic, loaded, table, scene_id)
        target, key = run.out_of_fold(scene_id), key_of(scene_id)
        used = adapting.models_for(scene_id) if adapting else loaded
        job = Job(project, run, scene, surroundings, target, used, owners, table, key)
        made = predict_scene(job, progress)
        paths = [*made.outputs]
        for views in fewer:
            other = table.model_copy(update={"symmetries": views, "class_symmetries": {}})
            job = replace(job, target=run.out_of_fold(scene_id, views), table=other)
            paths += predict_scene(job, progress).outputs
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
