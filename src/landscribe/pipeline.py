"""All stages of a run in order, and `run.json`: what a run was made from and what came out, in one file."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, TypeAlias

from landscribe import __version__
from landscribe.apart import start
from landscribe.core.seal import seal
from landscribe.errors import DataError, IntegrityError, RecipeError, problem
from landscribe.io.atomic import write_text
from landscribe.io.bundle.models import models_at
from landscribe.io.models.finished import FinishedModels, forget_finished, look_at_models
from landscribe.io.models.image_recipe import recipe_of_models
from landscribe.io.project import Progress, Project, StageResult, as_run, fit_models, open_project, silent, use_models
from landscribe.io.project.batches import HERE, Part, Way, Work, carry_out
from landscribe.io.project.splits import require_drawn, split_of
from landscribe.io.publish import Published, open_published
from landscribe.io.run.owner import alone_in
from landscribe.io.run.runs import COMBINED, Run, open_run
from landscribe.io.run.scored import run_score
from landscribe.io.run.tuned import TUNED, read_tuned
from landscribe.io.settings import RUN_FILE, recipe_dict
from landscribe.io.source.images import find_images
from landscribe.late import ahead
from landscribe.workers import usable_processors

BY_SCENE = ("prepare", "predict", "vectorize", "score")
"""Stages whose scenes can be shared out."""
STAGES = ("check", "prepare", "train", "adapt", "predict", "tune", "vectorize", "score", "submit", "report", "map")
"""In the order in which each needs what those before it wrote."""

TRAINING = ("landscribe.nn.train.loop", "landscribe.nn.train.setup")
PREDICTING = ("landscribe.nn.network.bundle", "landscribe.nn.predict.whole")
"""What stages import when they begin with networks, torch with it."""

RUN_INSIDE = "run"
"""Folder, in the folder of results, of a run of images without a recipe."""

Reporting: TypeAlias = Callable[[], AbstractContextManager[Progress]]
"""Opens what is told of progress while one stage runs."""

VERSIONS = ("torch", "numpy", "numba", "rasterio", "pyogrio", "shapely", "geopandas", "opencv-python-headless")


@contextlib.contextmanager
def silently() -> Iterator[Progress]:
    """Tell nobody of progress."""
    yield silent


def run_pipeline(
    project: Project, run: Run, models: Path | None = None, *, reporting: Reporting = silently, way: Way = HERE
) -> Iterator[StageResult]:
    """Do all stages of a recipe in order, leaving out what is up to date.

    A stage is done when its result is asked for, so whoever stops asking stops the run; `list` does all of it.

    Args:
        project: The recipe with its data.
        run: The run folder.
        models: Folder of finished models to use instead of training.
        reporting: Opens a callback of progress for each stage.
        way: How scenes are worked on.

    Yields:
        What each stage did; scenes that failed are in it, and the others go on.

    Raises:
        RecipeError: If `models` are none, or read other sensors than the recipe has, before anything is done.
        LimitError: If another process is at work in the run folder.
    """
    with alone_in(run):
        yield from _run_stages(project, run, models, reporting, way)


def _run_stages(
    project: Project, run: Run, models: Path | None, reporting: Reporting, way: Way
) -> Iterator[StageResult]:
    project = _bound(project, run, models)
    for name in stages_of(project, models):
        if name == "score" and not split_of(project, run).validate:
            which = "held out" if models is None else "new to the models"
            yield StageResult(name, left_out=f"no labelled scene is {which}, nothing to score")
            continue
        with reporting() as progress, ahead(_needed_after(name, project, run, models, way)):
            result = do_stage(name, project, run, progress, models=models, way=way)
        if name != "check" and (result.made or result.failed):
            write_run_json(project, run)
        yield result
    write_run_json(project, run)


def _needed_after(stage: str, project: Project, run: Run, models: Path | None, way: Way) -> Sequence[str]:
    """Return what the stage after a first `prepare` imports, in which this process only waits for readers."""
    if stage != "prepare" or way is not HERE or usable_processors() < 2 or run.records("prepare"):
        return ()
    if not start(*project.libraries):  # it forks, and may not once there is a thread
        return ()
    return TRAINING if models is None else PREDICTING


def stages_of(project: Project, models: Path | None = None) -> list[str]:
    """Return the stages that a recipe asks for, in order."""
    names = [name for name in STAGES if not (name in ("train", "adapt") and models is not None)]
    if models is None and not project.recipe.adapt.epochs:
        names.remove("adapt")
    elif models is None and project.recipe.adapt.scenes == "unlabelled" and _all_labelled(project):
        do = "add scenes without labels, or [adapt].scenes = 'new' for the pixels of held-out ones"
        raise DataError(problem("[adapt]", "no scene without labels to adapt to", do=do))
    if project.scenes.sample_submission is None:
        names.remove("submit")
    if not project.recipe.tune.folds or models is not None:
        names.remove("tune")
    elif project.recipe.vectorize.tuned:
        names.insert(names.index("tune") + 1, "predict")  # again where fewer views were found to be better
    return names


def _all_labelled(project: Project) -> bool:
    return all(scene.has_labels for scene in project.scenes.scenes)


def do_stage(
    name: str,
    project: Project,
    run: Run,
    progress: Progress = silent,
    *,
    models: Path | None = None,
    way: Way = HERE,
) -> StageResult:
    """Run one stage by its name; a stage's code is imported when it runs.

    Args:
        name: Of the stage.
        project: The recipe with its data.
        run: The run folder.
        progress: Told of what is done.
        models: Folder of finished models to use instead of training.
        way: How scenes are worked on, in the stages of `BY_SCENE`.
    """
    if name != "check":
        own = models is None and name not in ("train", "adapt", "predict")
        project = as_run(project, run) if own else _bound(project, run, models)
    if name in BY_SCENE:
        return carry_out(run, name, work_of(name, project, run, progress, models=models), progress, way)
    module = {"masks": "pictures", "chips": "pictures.chips", "map": "maps.map"}.get(name, name)
    stage: Any = getattr(import_module(f"landscribe.stages.{module}"), "check_run" if name == "check" else name)
    options: Mapping[str, Any] = {"looks": way.look_at} if name == "check" else {}
    result: StageResult = stage(project, run, progress, **options)
    return result


def work_of(name: str, project: Project, run: Run, progress: Progress = silent, *, models: Path | None = None) -> Work:
    """Return what a stage of `BY_SCENE` does, scene by scene.

    Args:
        name: Of the stage.
        project: The recipe with its data, bound to the models that are used.
        run: The run folder, which is only read until the ending.
        progress: Told of what is done within a scene.
        models: Folder of finished models.
    """
    begin: Any = getattr(import_module(f"landscribe.stages.{name}"), f"{name}_work")
    work: Work = begin(project, run, progress, models=models) if name == "predict" else begin(project, run)
    return work


def do_part(
    name: str, project: Project, run: Run, progress: Progress, part: Part, *, models: Path | None = None
) -> StageResult:
    """Do a part of a stage of `BY_SCENE`, beside other processes that do others.

    Raises:
        RecipeError: If one of the scenes that are named is none.
        DataError: If a stage before this one was not ended by a call without a part.
    """
    strange = sorted(part.only - {scene.id for scene in project.scenes.scenes} - set(project.scenes.broken))
    if strange:
        raise RecipeError(problem("--only", "no such scene", got=strange[0], need="one that `check` lists"))
    if name != "prepare":
        require_drawn(as_run(project, run) if models is None else _bound(project, run, models), run)
    result = do_stage(name, project, run, progress, models=models, way=part)
    result.notes += part.of_others()
    which = f"part {part.number}/{part.count}" if part.count > 1 else "the scenes that were named"
    result.notes.append(f"{which} only; `landscribe {name}` without it, or `run`, writes what all scenes share")
    return result


def _bound(project: Project, run: Run, models: Path | None) -> Project:
    """Bind project and run to finished models; without, a run uses its own."""
    if models is None:
        forget_finished(run)
        return replace(project, finished=None) if project.finished is not None else project
    return use_models(project, run, models)


def write_run_json(project: Project, run: Run) -> None:
    """Write the record of a run as far as it has come: recipe with all defaults, data, split, versions, times, score.

    Args:
        project: The recipe with its data.
        run: The run folder.
    """
    project = as_run(project, run)
    prepared = run.records("prepare")
    split = split_of(project, run)
    sides = dict.fromkeys(prepared, "unlabelled") | split.sides
    stages = (
        "check",
        "prepare",
        "train",
        "adapt",
        "predict",
        "oof",
        "tune",
        "vectorize",
        "score",
        "submit",
        "report",
        "webmap",
    )
    seconds = {stage: round(sum(r.seconds for r in run.records(stage).values()), 2) for stage in stages}
    scenes = {s.id: {"place": s.place, "split": sides[s.id]} for s in project.scenes.scenes if s.id in sides}
    content: dict[str, Any] = {
        "landscribe": __version__,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe_name": project.name,
        "recipe": recipe_dict(project.recipe),
        "recipe_text": project.text,
        "data_root": str(project.root),
        "recipe_folder": str(project.home or project.root),
        "seed": project.recipe.seed,
        "classes": [{"id": c.id, "name": c.name, "colour": c.colour} for c in project.legend],
        "scenes": scenes,
        "split": {"why": split.why, "edited": split.edited, "notes": split.notes},
        "data": {item: record.key for item, record in prepared.items()},
        "models": None if project.finished is None else _used(project.finished),
        "images": [str(path) for path in project.images],
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in VERSIONS}},
        "seconds": {stage: value for stage, value in seconds.items() if value},
        "score": _mean_score(run),
        "tuned": read_tuned(run) or None,
        "failed": {stage: run.failures(stage) for stage in stages if run.failures(stage)},
    }
    write_text(run.path(RUN_FILE), seal(content))


def predict_images(
    given: Sequence[str],
    models: Path,
    out: Path,
    overrides: Sequence[str] = (),
    *,
    anyway: bool = False,
    trust: bool = False,
    reporting: Reporting = silently,
) -> Iterator[StageResult]:
    """Predict images without a recipe: what the models keep of the recipe that they were trained by says the rest.

    The run lies in `out/run`; probabilities (`IMAGE.tif`) and polygons (`features.gpkg`, or `IMAGE.gpkg` for pictures
    without georeference) are laid into `out`. Images that were predicted there before stay.

    Args:
        given: Image files, or patterns of them.
        models: Folder or bundle of finished models, all of which read the same one sensor.
        out: Folder of the results.
        overrides: `table.key=value` each, over the recipe of the models.
        anyway: Predict images that lie outside of what the models were trained on too, with a caution.
        trust: Take models that somebody has edited, too.
        reporting: Opens a callback of progress for each stage.

    Yields:
        What each stage did; images that failed are in it, and the others go on.

    Raises:
        RecipeError: If an image or the models are missing, the models want more than one image shows, two images have
            one name, or a file in `out` would be lost; all of it before anything is done.
    """
    import_module("landscribe.stages.prepare")  # so that workers have it
    start()
    images = find_images(given)
    with models_at(models) as folder:
        yield from _predict_images(images, folder or models, models, out, overrides, anyway, trust, reporting)


def _predict_images(
    images: Sequence[Path],
    models: Path,
    named: Path,
    out: Path,
    overrides: Sequence[str],
    anyway: bool,
    trust: bool,
    reporting: Reporting,
) -> Iterator[StageResult]:
    finished = look_at_models(models, trust=trust)
    finished = replace(finished, given=named.resolve() if named != models else None)
    loaded, notes = recipe_of_models(finished, overrides)
    if loaded.recipe.predict.snapshots:
        look_at_models(models, snapshots=True, trust=trust)
    published = open_published(out, out / RUN_INSIDE)
    sources = {path.stem: path for path in images}
    published.require_same(sources)
    run = Run(out / RUN_INSIDE)
    done = {i: Path(published.sources[i]) for i in run.records("vectorize") if i in published.sources}
    before = [path for i, path in done.items() if i not in sources and path.is_file()]
    project = fit_models(replace(open_project(loaded), images=(*before, *images), anyway=anyway), finished)
    combined = run.path("features", COMBINED)
    published.require_free({f"{name}.tif": run.probability(name) for name in sources} | {COMBINED: combined})
    run = open_run(run.root)
    with alone_in(run):
        yield from _predict_and_lay(project, run, published, sources, notes, models, reporting)


def _predict_and_lay(
    project: Project,
    run: Run,
    published: Published,
    sources: Mapping[str, Path],
    notes: Sequence[str],
    models: Path,
    reporting: Reporting,
) -> Iterator[StageResult]:
    published.sources |= {name: str(path) for name, path in sources.items()}
    published.write()
    if project.recipe.vectorize.tuned:
        beside = models.resolve().parent
        read_tuned(Run(beside))  # refuses one that was changed, by its own name
        write_text(run.path(TUNED), (beside / TUNED).read_text(encoding="utf-8"))
    for name in ("prepare", "predict", "vectorize"):
        with reporting() as progress, ahead(_needed_after(name, project, run, models, HERE)):
            result = do_stage(name, project, run, progress, models=models)
        result.notes += notes
        result.count_only(sources)
        write_run_json(project, run)
        yield result
    combined = run.path("features", COMBINED)
    for scene_id in run.records("vectorize"):
        published.lay(run.checked(run.probability(scene_id)), f"{scene_id}.tif", link=True)
        alone = run.features(scene_id).with_suffix(".gpkg")
        if alone.is_file():
            published.lay(alone, f"{scene_id}.gpkg")
    if combined.is_file():
        published.lay(combined, COMBINED)
    published.write()


def _used(finished: FinishedModels) -> dict[str, Any]:
    return {"folder": str(finished.named), "digests": dict(finished.digests)}


def _mean_score(run: Run) -> Any:
    try:
        score = run_score(run)
    except IntegrityError:
        return None  # `score` finds it changed and makes it again; the stages before it need not stop
    return None if score is None else score.mean.to_plain()
