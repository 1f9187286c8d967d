"""`train`: prepared scenes -> networks, resumable at every epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landscribe.core.spectral.rules import settle
from landscribe.io.models.finished import what_it_knows
from landscribe.io.models.formulas import write_formula
from landscribe.io.project import Progress, Project, StageResult, check_models, follow_items, make_items, silent
from landscribe.io.project.label_facts import require_ground
from landscribe.io.project.leaks import refuse_leaks
from landscribe.io.project.splits import open_side, split_of
from landscribe.io.project.training import STATE, Job, open_training, training_jobs, wavelengths_of
from landscribe.io.run.decoded_files import BlockFiles, Room, memory_room
from landscribe.io.run.runs import Made, Run, is_first_process, make_key
from landscribe.io.settings import recipe_dict

if TYPE_CHECKING:  # torch takes seconds to import, and not every command needs it
    from landscribe.nn.network.bundle import ModelSpec
    from landscribe.nn.train.decoded import DecodedScenes
    from landscribe.nn.train.loop import Epoch

FORMAT = 2
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""


def train(project: Project, run: Run, progress: Progress = silent) -> StageResult:
    """Train every model of a recipe, and with `[tune].folds` each once more without each fold.

    Several processes started by `torchrun` train each model together; the first one writes.

    Args:
        project: The recipe with its data.
        run: The run folder; `prepare` must have run.
        progress: Told of each epoch.

    Returns:
        What was made, what was up to date.

    Raises:
        DataError: If there is no labelled scene to train on, or nothing of a class, or nothing without it.
        RecipeError: If a model names an unknown class or sensor.
    """
    split = split_of(project, run)
    prepared = run.require("prepare", split.sides)
    jobs = training_jobs(project, run, split)
    require_ground(project, prepared, split)
    refuse_leaks(project, run, split)
    check_models(project)
    if project.recipe.predict.patch is not None:
        from landscribe.nn.predict.patches import require_models_fit

        require_models_fit(project.recipe.predict, project.recipe.models)

    def key_of(item: str) -> str:
        return make_key(FORMAT, **jobs[item].made_from(prepared))

    def make(item: str) -> Made:
        job = jobs[item]
        if job.table.kind == "network":
            return _train_network(project, run, job, key_of(item), progress)
        return _settle_formula(project, run, job)

    if is_first_process():
        result = make_items(run, "train", jobs, key_of, make)
        result.notes += split.notes
        return result
    return follow_items(run, "train", [i for i, job in jobs.items() if job.table.kind == "network"], key_of, make)


def _decode(
    project: Project, run: Run, job: Job, key: str, progress: Progress
) -> tuple[ModelSpec, dict[str, DecodedScenes], Room]:
    """Return the structure of a network, its scenes by side of the split, and what memory they take."""
    from landscribe.nn.network.bundle import model_spec
    from landscribe.nn.train.decoded import decode_scenes, decoded_bytes, in_memory

    scenes = {"train": job.scenes(run, "train"), "validate": job.scenes(run, "validate")}
    spec = model_spec(job.table, job.outputs, scenes["train"])
    wanted = [sensor.name for sensor in spec.sensors], job.bands(project.legend)
    room = memory_room(sum(decoded_bytes(some, *wanted) for some in scenes.values()), project.recipe.memory_share)
    progress(f"train {job.item}: {room}", 0, job.table.schedule.epochs)
    stores = {side: in_memory if room.fits else BlockFiles(job.folder / STATE, side, key) for side in scenes}
    decoded = {side: decode_scenes(some, *wanted, stores[side]) for side, some in scenes.items() if some}
    return spec, decoded, room


def _train_network(project: Project, run: Run, job: Job, key: str, progress: Progress) -> Made:
    from landscribe.nn.device import bank_device, choose_engine
    from landscribe.nn.network.bundle import to_files
    from landscribe.nn.network.pretrained import teach
    from landscribe.nn.train.loop import Callbacks, train
    from landscribe.nn.train.ranks import join_ranks, wait_for_all
    from landscribe.nn.train.settle import mean_settled
    from landscribe.nn.train.setup import set_up
    from landscribe.nn.train.validation import evaluate

    table, schedule = job.table, job.table.schedule
    weights = job.begins_with(project.root)  # before anything that takes time
    spec, decoded, room = _decode(project, run, job, key, progress)
    notes, engine = [] if room.fits else [f"{job.item}: {room}"], choose_engine()
    ranks = join_ranks(engine.device)
    kept = open_training(job.folder, key, tensorboard=project.recipe.tensorboard and ranks.is_first)
    if ranks.is_first:
        kept.keep_snapshots(schedule.snapshots, len(kept.rows))
    knows = {"knows": what_it_knows(run, project.legend, job.split.train)}
    extra = {"recipe": recipe_dict(project.recipe), **job.origin} | knows | (weights.said if weights else {})

    def on_epoch(epoch: Epoch) -> None:
        held = decoded["validate"].scenes if "validate" in decoded else ()
        row = epoch.row | (evaluate(epoch.net, held, engine, table.loss) if held else {})
        if schedule.snapshots:
            kept.keep_snapshots(schedule.snapshots, epoch.number, to_files(epoch.net, extra | {"epoch": epoch.number}))
        kept.keep(row, epoch.state())
        progress(f"train {job.item}: {kept.news}", epoch.number, schedule.epochs)

    def on_warning(text: str) -> None:
        notes.append(f"{job.item}: {text}")
        progress(f"train {job.item}: {text}", len(kept.rows), schedule.epochs)

    home = bank_device(engine, room.need_bytes, project.recipe.memory_share)
    setup = set_up(table, spec, decoded["train"], engine, home, job.seed, kept.state, ranks, job.quantiles)
    if weights is not None and kept.state is None:
        teach(setup.net, weights.path, wavelengths_of(project), project.limits)
    net = train(setup, Callbacks(on_epoch=on_epoch, on_warning=on_warning))
    if ranks.is_first:
        if schedule.snapshot_mean:
            net = mean_settled(kept.read_snapshots(), setup)
        outputs = kept.finish(to_files(net, extra))
    wait_for_all(ranks)
    steps = {"steps": int(kept.rows[-1]["step"])} if ranks.is_first else {}  # the others have no history
    return Made(outputs, job.counts | steps, tuple(notes)) if ranks.is_first else Made(())


def _settle_formula(project: Project, run: Run, job: Job) -> Made:
    """Write a model without weights; a spectral rule with a search looks at the training scenes first."""
    from landscribe.nn.predict.spectral import scan_scene, spectral_scene

    table, spectral = job.table, job.table.spectral
    trained_on: tuple[str, ...] = ()
    if table.kind == "index" and spectral.search is not None:
        trained_on = job.split.train
        scenes = [open_side(run, i, job.split, "train") for i in trained_on]
        truth = [project.legend.index(name) for name in spectral.search.truth or job.classes]
        scans = {s.id: scan_scene(spectral_scene(s, table.inputs.sensors), spectral, truth) for s in scenes}
        spectral = settle(spectral, scans, {scene.id: scene.place for scene in scenes})
    formula = job.formula(run, project.legend, spectral, trained_on)
    return Made((write_formula(job.folder, formula),), {"training scenes": len(trained_on)})
