"""`train`: prepared scenes -> networks, resumable at every epoch."""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray
from landscribe.core.grid import Window
from landscribe.core.recipe import ModelTable
from landscribe.core.spectral.rules import Scan, settle
from landscribe.core.split.split import Split
from landscribe.errors import DataError, IntegrityError, RecipeError, problem
from landscribe.io.atomic import write_bytes, write_text
from landscribe.io.run.decoded_files import BlockFiles, memory_room
from landscribe.io.run.formulas import Formula, write_formula
from landscribe.io.run.label_facts import require_training_ground
from landscribe.io.run.model_files import (
    MODEL_FILES,
    keep_snapshots,
    read_model,
    snapshot_folder,
    snapshot_folders,
    write_model,
)
from landscribe.io.run.prepared import PreparedScene
from landscribe.io.run.projects import (
    Progress,
    Project,
    StageResult,
    check_models,
    make_items,
    silent,
)
from landscribe.io.run.runs import Made, Run, is_first_process, make_key
from landscribe.io.run.splits import open_side, refuse_leaks, split_of
from landscribe.io.settings import recipe_dict

FORMAT = 1
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""

STATE = "state"
FOLD = "{name}~fold{number}"
"""Item name of a fold's model; no model of a recipe has a tilde in its name."""


@dataclass(frozen=True)
class _Job:
    """A model to be trained."""

    table: ModelTable
    seed: int
    folder: Path
    split: Split


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
    prepared = run.require("prepare")
    split = split_of(project, run)
    if not split.train:
        need = "labels for at least one scene outside of [validate]"
        raise DataError(problem("train", "no labelled scene to train on", got=f"{len(prepared)} scenes", need=need))
    require_training_ground(project, prepared, split.train)
    refuse_leaks(project, run, split)
    check_models(project)
    _check_patches(project)
    networks = [
        (name, table, seed)
        for table in project.recipe.models
        for name, seed in table.members(project.recipe.seed).items()
    ]
    jobs = {name: _Job(table, seed, run.path("models", name), split) for name, table, seed in networks}
    for number, left_out in enumerate(split.folds, start=1):
        kept = Split(tuple(i for i in split.train if i not in set(left_out)))
        for name, table, seed in networks:
            # Validation would cost time and choose nothing: the last average of weights is used in any case.
            jobs[FOLD.format(name=name, number=number)] = _Job(table, seed, run.fold(number) / name, kept)

    def key_of(name: str) -> str:
        job = jobs[name]
        inputs = {i: prepared[i].outputs for i in (*job.split.train, *job.split.validate)}
        settings = job.table.model_dump(mode="json", exclude={"seeds"})
        if job.split.corners:
            settings["corners"] = job.split.corners_of(job.split.train)
        return make_key(FORMAT, inputs=inputs, train=job.split.train, settings=settings, seed=job.seed)

    def make(name: str) -> Made:
        if jobs[name].table.kind != "network":
            return _settle_formula(project, run, jobs[name])
        return _train_model(project, run, name, jobs[name], key_of(name), progress)

    if is_first_process():
        result = make_items(run, "train", jobs, key_of, make)
        result.notes += split.notes
        return result
    for name, job in jobs.items():
        # Without a record, since the first process writes it; an item that fails does so in every process.
        with contextlib.suppress(DataError, IntegrityError):
            if job.table.kind == "network" and not run.is_current("train", name, key_of(name)):
                make(name)
    return StageResult("train")


def _check_patches(project: Project) -> None:
    from landscribe.nn.network.layouts import level_strides
    from landscribe.nn.predict.patches import require_fit

    for table in project.recipe.models:
        if table.kind == "network":
            require_fit(project.recipe.predict, table.chips.context, level_strides(table.network)[-1])


def _train_model(project: Project, run: Run, item: str, job: _Job, key: str, progress: Progress) -> Made:
    from landscribe.nn.device import bank_device, choose_engine
    from landscribe.nn.network.bundle import build_network, from_files, to_files
    from landscribe.nn.network.stem import compute_statistics
    from landscribe.nn.train.chips import load_bank
    from landscribe.nn.train.decoded import decode_scenes, decoded_bytes, in_memory
    from landscribe.nn.train.loop import Callbacks, Epoch, train
    from landscribe.nn.train.ranks import join_ranks, wait_for_all
    from landscribe.nn.train.setup import Setup
    from landscribe.nn.train.snapshot import mean_of
    from landscribe.nn.train.validation import evaluate

    table, folder = job.table, job.folder
    classes = table.classes or project.legend.names
    bands = [project.legend.index(name) for name in classes]
    scenes = [open_side(run, i, job.split, "train") for i in job.split.train]
    spec = model_spec(table, classes, *scenes)
    stored = [stored_scene(scene, spec.sensors, bands) for scene in scenes]
    held = [stored_scene(open_side(run, i, job.split, "validate"), spec.sensors, bands) for i in job.split.validate]
    room = memory_room(decoded_bytes(stored) + decoded_bytes(held), project.recipe.memory_share)
    progress(f"train {item}: {room}", 0, table.schedule.epochs)
    notes = [] if room.fits else [f"{item}: {room}"]

    def decode(side: str, some: Sequence[Any]) -> Any:
        return decode_scenes(some, in_memory if room.fits else BlockFiles(folder / STATE, side, key))

    decoded = decode("train", stored)
    validation = decode("validate", held).scenes if held else ()
    engine = choose_engine()
    ranks = join_ranks(engine.device)
    net = build_network(spec, compute_statistics(decoded.scenes, table.inputs.clip_percent), seed=job.seed)
    extra = {
        "recipe": recipe_dict(project.recipe),
        "trained_on": job.split.train,
        "held_out": job.split.validate,
        "corners": job.split.corners_of(job.split.train),
    }
    rows, state = _resume(folder, key)
    if ranks.is_first:
        keep_snapshots(folder, range(len(rows) + 1 - table.schedule.snapshots, len(rows) + 1))
    board = _tensorboard(folder) if project.recipe.tensorboard and ranks.is_first else None

    def on_epoch(epoch: Epoch) -> None:
        row = epoch.row | (evaluate(epoch.net, validation, engine, table.loss) if validation else {})
        if table.schedule.snapshots:
            write_model(snapshot_folder(folder, epoch.number), to_files(epoch.net, extra | {"epoch": epoch.number}))
            keep_snapshots(folder, range(epoch.number + 1 - table.schedule.snapshots, epoch.number + 1))
        rows.append(row)
        _write_state(folder, key, rows, epoch.state())
        if board is not None:
            for name, value in row.items():
                board.add_scalar(name, value, int(row["step"]))
            board.flush()
        progress(f"train {item}: {_say(row)}", epoch.number, table.schedule.epochs)

    def on_warning(text: str) -> None:
        notes.append(f"{item}: {text}")
        progress(f"train {item}: {text}", len(rows), table.schedule.epochs)

    home = bank_device(engine, room.need_bytes, project.recipe.memory_share)
    bank = load_bank(decoded.scenes, net.sensor_steps, home, cubic=net.cubic_sensors, decoded=decoded)
    setup = Setup(net, bank, engine, table.loss, table.chips, table.schedule, job.seed, state, ranks)
    net = train(setup, Callbacks(on_epoch=on_epoch, on_warning=on_warning))
    if not ranks.is_first:
        wait_for_all(ranks)
        return Made(())
    snapshots = snapshot_folders(folder)
    outputs = [path / name for path in snapshots for name in MODEL_FILES]
    if table.schedule.snapshot_mean:
        net = mean_of([from_files(read_model(path))[0] for path in snapshots])
    outputs += write_model(folder, to_files(net, extra))
    outputs.append(folder / "history.csv")
    write_text(outputs[-1], _table(rows))
    for leftover in (folder / STATE).glob("*"):
        leftover.unlink()
    wait_for_all(ranks)
    steps = int(rows[-1]["step"]) if rows else 0
    return Made(
        tuple(outputs),
        {"training scenes": len(job.split.train), "validation scenes": len(job.split.validate), "steps": steps},
        tuple(notes),
    )


def _settle_formula(project: Project, run: Run, job: _Job) -> Made:
    """Write a model without weights; a spectral rule with a search looks at the training scenes first."""
    table, spectral = job.table, job.table.spectral
    classes = table.classes or project.legend.names
    if table.kind == "index" and len(classes) != 1:
        need = "one class; write a model for each"
        raise RecipeError(problem(f"model {table.name!r}", "a spectral rule owns", got=len(classes), need=need))
    searched = table.kind == "index" and spectral.search is not None
    if searched:
        scenes = [open_side(run, i, job.split, "train") for i in job.split.train]
        truth = (spectral.search and spectral.search.truth) or classes
        bands = [project.legend.index(name) for name in truth]
        scans = {scene.id: _scan(scene, table, bands) for scene in scenes}
        spectral = settle(spectral, scans, {scene.id: scene.place for scene in scenes})
    trained_on = job.split.train if searched else ()
    formula = Formula(
        name=table.name, kind="index" if table.kind == "index" else "labels", classes=classes, spectral=spectral,
        sensors=table.inputs.sensors,
        trained_on=trained_on, held_out=job.split.validate,
    )  # fmt: skip
    return Made((write_formula(job.folder, formula),), {"training scenes": len(trained_on)})


def _scan(scene: PreparedScene, table: ModelTable, bands: list[int]) -> Scan:
    from landscribe.nn.predict.spectral import scan_scene, spectral_scene

    seen = spectral_scene(scene.id, scene.read, scene.kinds, scene.bands, scene.grids, table.inputs.sensors)

    def truth(window: Window) -> tuple[AnyArray, BoolArray]:
        coverage_khw, labelled_hw = scene.read_coverage(window)
        return coverage_khw[bands], labelled_hw

    return scan_scene(seen, table.spectral, truth)


def model_spec(table: ModelTable, classes: tuple[str, ...], *scenes: PreparedScene) -> Any:
    """Return the description of a model for the sensors of prepared scenes.

    Pixel sizes are those of the first scene, or for a sensor that it lacks of the first that has it.

    Raises:
        RecipeError: If the model wants a sensor that a scene lacks, or none of them has.
    """
    from landscribe.nn.network.bundle import ModelSpec
    from landscribe.nn.network.stem import describe_sensors

    where = f"model {table.name!r}"
    names = table.inputs.sensors or tuple(scenes[0].kinds)
    for scene in scenes:
        missing = [name for name in names if name not in scene.kinds]
        if missing:
            do = f"the scene has {', '.join(scene.kinds)}; [data].optional says what a scene may lack"
            raise RecipeError(problem(where, f"sensor {missing[0]!r} is not in scene {scene.id!r}", do=do))
    unknown = sorted(set(table.chips.sensor_dropout) - set(names))
    if unknown:
        raise RecipeError(problem(where, "chips.sensor_dropout names no sensor of its own", got=unknown[0], need=names))
    sensors, scales = describe_sensors({name: scenes[0].kinds[name] for name in names}, scenes[0].bands), {}
    for name in names:
        scene = next((s for s in scenes if name not in s.absent), scenes[0])
        if name in scene.absent:
            raise RecipeError(problem(where, f"no training scene has sensor {name!r}"))
        to_sensor = scene.grid.pixel_map(scene.grids[name])
        scales[name] = float(1 / np.sqrt(abs(to_sensor.determinant)))
    return ModelSpec(table.name, classes, sensors, scales, table.inputs, table.network, table.chips.context)


def scene_arrays(scene: PreparedScene, sensors: Any, bands: list[int]) -> Any:
    """Read a prepared scene whole, with the coverage of the classes at `bands`."""
    from landscribe.nn.train.decoded import decode_scenes, in_memory

    return decode_scenes([stored_scene(scene, sensors, bands)], in_memory).scenes[0]


def stored_scene(scene: PreparedScene, sensors: Any, bands: list[int]) -> Any:
    """Describe a prepared scene for decoding, with the coverage of the classes at `bands`."""
    from landscribe.nn.train.decoded import StoredRaster, StoredScene

    def coverage(window: Window) -> tuple[AnyArray, BoolArray]:
        coverage_khw, labelled_hw = scene.read_coverage(window)
        return coverage_khw[bands], labelled_hw

    rasters = {
        sensor.name: StoredRaster(
            functools.partial(scene.read, sensor.name),
            scene.grids[sensor.name].shape_hw,
            len(sensor.bands),
            scene.dtype(sensor.name),
        )
        for sensor in sensors
    }
    maps = {name: scene.grid.pixel_map(scene.grids[name]) for name in rasters}
    return StoredScene(scene.id, rasters, maps, StoredRaster(coverage, scene.grid.shape_hw, len(bands), "uint8"))


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        do = 'pip install "landscribe[tensorboard]", or tensorboard = false'
        raise RecipeError(problem("tensorboard", "the package is not installed", do=do)) from None
    return SummaryWriter(str(folder / "tensorboard"))


def _resume(folder: Path, key: str) -> tuple[list[dict[str, Any]], dict[str, bytes] | None]:
    # progress.json is written last and names the files of its epoch, so that a kill between two files is harmless.
    marker = folder / STATE / "progress.json"
    if not marker.is_file():
        return [], None
    progress = json.loads(marker.read_text(encoding="utf-8"))
    if progress["key"] != key:
        return [], None
    return progress["rows"], {name: (folder / STATE / file).read_bytes() for name, file in progress["files"].items()}


def _write_state(folder: Path, key: str, rows: list[dict[str, Any]], files: Mapping[str, bytes]) -> None:
    stem = f"epoch-{len(rows):05d}-"
    names = {name: stem + name for name in files}
    for name, content in files.items():
        write_bytes(folder / STATE / names[name], content)
    write_text(folder / STATE / "progress.json", json.dumps({"key": key, "rows": rows, "files": names}))
    for old in (folder / STATE).glob("epoch-*"):
        if not old.name.startswith(stem):
            old.unlink()


def _table(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def _say(row: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {row[key]:.3g}" for key in ("loss", "valid_loss", "valid_jaccard") if row.get(key) is not None
    )
