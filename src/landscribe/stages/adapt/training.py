"""A finished network, trained on with labelled chips and softly labelled ones in turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from landscribe.errors import DataError, problem
from landscribe.io.models.model_files import MODEL_FILES, read_model
from landscribe.io.project import Progress, Project
from landscribe.io.project.training import STATE, Job, open_training
from landscribe.io.run.decoded_files import BlockFiles, memory_room
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import Made, Run
from landscribe.io.settings import recipe_dict
from landscribe.nn.device import bank_device, choose_engine
from landscribe.nn.network.bundle import from_files, to_files
from landscribe.nn.sample.tones import colours_of
from landscribe.nn.train.chips import load_bank
from landscribe.nn.train.decoded import DecodedScenes, decode_scenes, decoded_bytes, in_memory
from landscribe.nn.train.loop import Callbacks, Epoch, train
from landscribe.nn.train.ranks import join_ranks, wait_for_all
from landscribe.nn.train.setup import set_up
from landscribe.stages.adapt.soft_scene import soft_scene

HALF = 128
"""Probability, of 255, from which a pixel shows a class, where chips are drawn by classes."""


def train_on(project: Project, run: Run, job: Job, soft: Mapping[str, Path], key: str, progress: Progress) -> Made:
    """Train a network on; an interrupted training goes on where it was.

    Args:
        project: The recipe with its data.
        run: The run folder.
        job: The network as it is to be trained; that which it begins as lies in `models` under the same name.
        soft: Files of soft labels by scene.
        key: Digest of all that decides what it learns.
        progress: Told of each epoch.

    Raises:
        DataError: If no pixel has a soft label that counts.
    """
    begins = run.path("models", job.item)
    for name in MODEL_FILES:
        run.checked(begins / name)
    net, spec, known = from_files(read_model(begins), str(begins))
    engine, schedule = choose_engine(), job.table.schedule
    ranks = join_ranks(engine.device)
    labelled, new, notes = _decode(project, run, job, soft, key, [sensor.name for sensor in spec.sensors])
    if not any(scene.labelled_hw.any() for scene in new.scenes):
        do = "train longer, or lower [adapt].least"
        raise DataError(problem(f"adapt {job.item}", "networks are sure of no pixel of the new scenes", do=do))
    kept = open_training(job.folder, key, tensorboard=project.recipe.tensorboard and ranks.is_first)
    room = sum(block.values_nc.nbytes for some in (labelled, new) for block in (*some.blocks.values(), some.labels))
    home = bank_device(engine, room, project.recipe.memory_share)
    setup = set_up(job.table, spec, labelled, engine, home, job.seed, kept.state, ranks, job.quantiles)
    bank = load_bank(new.scenes, net.sensor_steps, home, cubic=net.cubic_sensors, decoded=new, touched=HALF)
    if job.colours is not None:
        known_colours = {**(job.quantiles or {}), **{i: job.colours[i] for i in soft}}
        bank = replace(bank, colours=colours_of(new.scenes, bank.sensors, known_colours))
    setup = replace(setup, soft=replace(bank, of_class=bank.of_class[:-1]))  # the last one is the weight
    if kept.state is None:
        setup.net.load_state_dict(net.state_dict())

    def on_epoch(epoch: Epoch) -> None:
        kept.keep(epoch.row, epoch.state())
        progress(f"adapt {job.item}: {kept.news}", epoch.number, schedule.epochs)

    def on_warning(text: str) -> None:
        notes.append(f"{job.item}: {text}")

    finished = train(setup, Callbacks(on_epoch=on_epoch, on_warning=on_warning))
    outputs: tuple[Path, ...] = ()
    if ranks.is_first:
        extra = known | {"recipe": recipe_dict(project.recipe), "adapted_to": sorted(soft)}
        outputs = kept.finish(to_files(finished, extra))
    wait_for_all(ranks)
    notes.append(f"{job.item}: scenes adapted to, without their labels: {len(soft)}")
    counts = {"training scenes": len(job.split.train), "scenes adapted to": len(soft), "steps": setup.total_steps}
    return Made(outputs, counts, tuple(notes)) if outputs else Made(())


def _decode(
    project: Project, run: Run, job: Job, soft: Mapping[str, Path], key: str, names: list[str]
) -> tuple[DecodedScenes, DecodedScenes, list[str]]:
    """Return labelled and softly labelled scenes, and what is to be said of the memory that they take."""
    bands = job.bands(project.legend)
    labelled = job.scenes(run, "train")
    new = [soft_scene(open_prepared(run, i), file, len(bands)) for i, file in soft.items()]
    all_bands = list(range(len(bands) + 1))
    need = decoded_bytes(labelled, names, bands) + decoded_bytes(new, names, all_bands)
    room = memory_room(need, project.recipe.memory_share)

    stores = {side: in_memory if room.fits else BlockFiles(job.folder / STATE, side, key) for side in ("train", "new")}
    decoded = (
        decode_scenes(labelled, names, bands, stores["train"]),
        decode_scenes(new, names, all_bands, stores["new"]),
    )
    return (*decoded, [] if room.fits else [f"{job.item}: {room}"])
