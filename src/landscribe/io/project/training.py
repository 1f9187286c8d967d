"""Models that are to be trained, and what a training run keeps in the folder of its model while it goes on."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

from landscribe.core.arrays import FloatArray
from landscribe.core.legend import Legend
from landscribe.core.owners import border_of
from landscribe.core.pixel_source import PixelSource
from landscribe.core.recipe import ChipTable, ModelTable, SpectralTable
from landscribe.core.recipe.chips import LATER
from landscribe.core.seal import seal, unseal
from landscribe.core.split.split import Split
from landscribe.errors import DataError, IntegrityError, RecipeError, problem
from landscribe.io.atomic import write_bytes, write_text
from landscribe.io.digests import file_digest
from landscribe.io.models.finished import what_it_knows
from landscribe.io.models.formulas import Formula
from landscribe.io.models.known_weights import KnownWeights, find_weights, weights_digest
from landscribe.io.models.model_files import (
    MODEL_FILES,
    keep_snapshots,
    read_model,
    snapshot_folder,
    snapshot_folders,
    write_model,
)
from landscribe.io.project import Project
from landscribe.io.project.borders import with_borders
from landscribe.io.project.splits import open_side
from landscribe.io.run.prepared import quantiles_to_plain, scene_quantiles
from landscribe.io.run.runs import Record, Run

ADAPTED = "adapted"
"""Folder of models that were trained on with soft labels."""
STATE, MARKER, HISTORY = "state", "progress.json", "history.csv"
FOLD = "{name}~fold{number}"
"""Item name of a fold's model; no model of a recipe has a tilde in its name."""
SETTLING = 2
"""Raise it when networks with encoders, or whose statistics are taken again, come out otherwise than before."""
Row: TypeAlias = dict[str, float]
"""What happened in an epoch."""


@dataclass(frozen=True)
class Job:
    """A model to be trained."""

    item: str
    table: ModelTable
    classes: tuple[str, ...]
    seed: int
    folder: Path
    split: Split
    weights: str | None = None
    """SHA-256 of what its encoder begins with; None where chance draws it."""
    colours: Mapping[str, Mapping[str, FloatArray]] | None = field(default=None, repr=False, compare=False)
    """Scene -> sensor -> quantiles of every scene whose colours chips may take, with `chips.match`."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """What the network predicts: its classes, and where single things of some of them end."""
        return (*self.classes, *map(border_of, self.table.borders))

    def bands(self, legend: Legend) -> list[int]:
        """Return where each output stands in the coverage of `scenes`."""
        borders = range(len(legend), len(legend) + len(self.table.borders))
        return [*(legend.index(name) for name in self.classes), *borders]

    def scenes(self, run: Run, side: Literal["train", "validate"]) -> list[PixelSource]:
        """Open the scenes of one side of the split, with what the network learns of them."""
        ids = self.split.train if side == "train" else self.split.validate
        opened = [open_side(run, i, self.split, side) for i in ids]
        table = self.table
        return [with_borders(s, table.borders, table.border_px) for s in opened] if table.borders else [*opened]

    def made_from(self, prepared: Mapping[str, Record], *, validates: bool = True) -> dict[str, object]:
        """Return all that decides what it learns, as plain values; with what validates, which decides its history."""
        looked_at = (*self.split.train, *(self.split.validate if validates else ()))
        inputs = {i: prepared[i].outputs for i in looked_at}
        settings = self.table.model_dump(mode="json", exclude={"seeds"})
        if self.table.network.encoder is None:  # what older runs have not said has changed nothing of theirs
            for key in ("encoder", "weights", "encoder_rate"):
                del settings["network"][key]
        if self.table.network.norm == "batch":
            del settings["network"]["norm"]
        for key in LATER:
            if settings["chips"][key] == ChipTable.model_fields[key].default:
                del settings["chips"][key]
        if not self.table.borders:
            del settings["borders"], settings["border_px"]
        if self.table.network.encoder is not None or self.table.schedule.settle:
            settings["settling"] = SETTLING
        if self.table.schedule.settle is None:
            del settings["schedule"]["settle"]
        if self.weights is not None:
            settings["weights"] = self.weights
        if self.quantiles is not None:
            settings["quantiles"] = {
                i: {name: quantiles_to_plain(q_cq) for name, q_cq in own.items()} for i, own in self.quantiles.items()
            }
        if self.split.corners:
            settings["corners"] = self.split.corners_of(self.split.train)
        return {"inputs": inputs, "train": self.split.train, "settings": settings, "seed": self.seed}

    @property
    def quantiles(self) -> Mapping[str, Mapping[str, FloatArray]] | None:
        """What `set_up` takes for `chips.match`; None where the recipe does not ask for it."""
        if self.colours is None or self.table.chips.match_scenes == "all":
            return self.colours
        return {i: own for i, own in self.colours.items() if i in set(self.split.train)}

    def begins_with(self, root: Path) -> KnownWeights | None:
        """Return the file that its encoder begins with, as `find_weights`."""
        return find_weights(self.table.network, root)

    def formula(self, run: Run, legend: Legend, spectral: SpectralTable, trained_on: tuple[str, ...]) -> Formula:
        """Return the finished model of a row without weights.

        Args:
            run: The run folder; the scenes are prepared.
            legend: Classes of the run.
            spectral: The rule, settled where it had a search.
            trained_on: Scenes that this looked at.
        """
        table = self.table
        return Formula(
            name=table.name, kind="index" if table.kind == "index" else "labels", classes=self.classes,
            spectral=spectral, sensors=table.inputs.sensors, trained_on=trained_on, held_out=self.split.validate,
            knows=what_it_knows(run, legend, trained_on, self.split.train),
        )  # fmt: skip

    @property
    def origin(self) -> dict[str, object]:
        """What the finished model says of the scenes that it comes from, as JSON values."""
        split = self.split
        return {"trained_on": split.train, "held_out": split.validate, "corners": split.corners_of(split.train)}

    @property
    def counts(self) -> dict[str, int]:
        """What the record of the finished model says of its scenes."""
        lent = {} if self.quantiles is None else {"scenes whose colours chips take": len(self.quantiles)}
        return {"training scenes": len(self.split.train), "validation scenes": len(self.split.validate)} | lent


def training_jobs(project: Project, run: Run, split: Split) -> dict[str, Job]:
    """Return the models of a recipe by item, one for each seed, and each once more without each fold of the split.

    Raises:
        DataError: If there is no scene to train on.
    """
    if not split.train:
        need = "labels for at least one scene outside of [validate]"
        got = f"{len(run.require('prepare'))} scenes"
        raise DataError(problem("train", "no labelled scene to train on", got=got, need=need))
    colours = _colours(project, run)
    jobs = [
        Job(
            name, table, table.classes or project.legend.names, seed, run.path("models", name), split,
            weights_digest(table.network, project.root), colours if table.chips.match else None,
        )
        for table in project.recipe.models
        for name, seed in table.members(project.recipe.seed).items()
    ]  # fmt: skip
    found = {job.item: job for job in jobs}
    for number, left_out in enumerate(split.folds, start=1):
        # Validation would cost time and choose nothing: the last average of weights is used in any case.
        kept = Split(tuple(i for i in split.train if i not in set(left_out)))
        for job in jobs:
            item = FOLD.format(name=job.item, number=number)
            found[item] = replace(job, item=item, folder=run.fold(number) / job.item, split=kept)
    return found


def _colours(project: Project, run: Run) -> dict[str, Mapping[str, FloatArray]] | None:
    """Return the quantiles of all scenes, where chips of a network take the colours of others."""
    matches = any(table.kind == "network" and table.chips.match for table in project.recipe.models)
    return {i: scene_quantiles(run, i) for i in sorted(run.require("prepare"))} if matches else None


def adapting_jobs(project: Project, run: Run, split: Split) -> dict[str, Job]:
    """Return the networks of a recipe that are trained on with soft labels, by item; what they begin with is ready."""
    table, colours = project.recipe.adapt, _colours(project, run)
    jobs = {}
    for row in project.recipe.models:
        schedule = row.schedule.model_copy(
            update={
                "epochs": table.epochs, "steps": table.steps or row.schedule.steps, "rate": table.rate, "stages": (),
                "restart_every": 0, "prior": 0.0, "snapshots": 0, "snapshot_mean": False,
            }
        )  # fmt: skip
        # Hard chips are those of one set of scenes, and here are two.
        update = {"schedule": schedule, "chips": row.chips.model_copy(update={"hard": 0.0})}
        for name, seed in row.members(project.recipe.seed).items() if row.kind == "network" else ():
            classes, folder = row.classes or project.legend.names, run.path(ADAPTED, name)
            taken = colours if row.chips.match else None
            jobs[name] = Job(name, row.model_copy(update=update), classes, seed, folder, split, colours=taken)
    return jobs


def models_folder(project: Project, run: Run) -> Path:
    """Return where the models lie that a run predicts with: those that were trained, or trained on."""
    return run.path(ADAPTED if project.recipe.adapt.epochs else "models")


def wavelengths_of(project: Project) -> dict[str, tuple[float, ...]]:
    """Return the wavelengths in nm of each sensor's bands, by sensor; 0 where nobody said one."""
    sensors = {name: sensor for scene in project.scenes.scenes for name, sensor in scene.absent.items()}
    sensors |= {name: file.sensor for scene in project.scenes.scenes for name, file in scene.sensors.items()}
    return {name: tuple(band.wavelength_nm for band in sensor.bands) for name, sensor in sensors.items()}


@dataclass(frozen=True)
class KeptTraining:
    """A network in training; one process writes."""

    folder: Path
    """Of the model."""
    key: str
    """Digest of all that decides what it learns."""
    rows: list[Row]
    """Of the epochs that are done."""
    state: dict[str, bytes] | None
    """Files to go on from; None where it begins."""
    board: Callable[[Row], None]
    """Told of each epoch."""

    @property
    def news(self) -> str:
        """What happened in the last epoch, in a few words."""
        shown = [name for name in ("loss", "valid_loss", "valid_jaccard") if name in self.rows[-1]]
        return ", ".join(f"{name} {self.rows[-1][name]:.3g}" for name in shown)

    def keep_snapshots(self, count: int, last: int, files: Mapping[str, bytes] | None = None) -> None:
        """Keep the snapshots of `count` epochs up to the `last` one, whose files these are, and no others."""
        if files is not None:
            write_model(snapshot_folder(self.folder, last), files)
        keep_snapshots(self.folder, count, last)

    def read_snapshots(self) -> list[dict[str, bytes]]:
        """Return the files of all snapshots in the order of their epochs."""
        return [read_model(path) for path in snapshot_folders(self.folder)]

    def keep(self, row: Row, files: Mapping[str, bytes]) -> None:
        """Keep what happened in another epoch and the state after it, and no older state."""
        self.rows.append(row)
        folder, stem = self.folder / STATE, f"epoch-{len(self.rows):05d}-"
        names = {name: stem + name for name in files}
        for name, content in files.items():
            write_bytes(folder / names[name], content)
        digests = {names[name]: hashlib.sha256(content).hexdigest() for name, content in files.items()}
        write_text(folder / MARKER, seal({"key": self.key, "rows": self.rows, "files": names, "digests": digests}))
        for old in folder.glob("epoch-*"):
            if not old.name.startswith(stem):
                old.unlink()
        self.board(row)

    def finish(self, files: Mapping[str, bytes]) -> tuple[Path, ...]:
        """Write the finished model and its history, and remove what only going on has use for; return what there is."""
        written = [path / name for path in snapshot_folders(self.folder) for name in MODEL_FILES]
        written += write_model(self.folder, files)
        text = io.StringIO()
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(self.rows)
        write_text(self.folder / HISTORY, text.getvalue())
        for leftover in (self.folder / STATE).glob("*"):
            leftover.unlink()
        return (*written, self.folder / HISTORY)


def open_training(folder: Path, key: str, *, tensorboard: bool = False) -> KeptTraining:
    """Return what a training run that was cut off has left; of one with another key, nothing.

    Args:
        folder: Of the model.
        key: Digest of all that decides what it learns.
        tensorboard: Write each row of the history for TensorBoard, too.

    Raises:
        RecipeError: If the package for that is not installed.
        IntegrityError: If what is left was changed since.
    """
    board = _tensorboard(folder) if tensorboard else lambda _row: None
    # The marker is written last and names the files of its epoch, so that a kill between two files is harmless.
    marker = folder / STATE / MARKER
    do = f"delete {folder / STATE} to begin anew"
    known = unseal(marker.read_bytes(), str(marker), do=do, sealed=False) if marker.is_file() else {}
    if known.get("key") != key:
        return KeptTraining(folder, key, [], None, board)
    for file, digest in known.get("digests", {}).items():
        path = folder / STATE / file
        if not path.is_file() or file_digest(path) != digest:
            raise IntegrityError(problem(str(path), "is not what was written", do=do))
    state = {name: (folder / STATE / file).read_bytes() for name, file in known["files"].items()}
    return KeptTraining(folder, key, known["rows"], state, board)


def _tensorboard(folder: Path) -> Callable[[Row], None]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        do = 'pip install "landscribe[tensorboard]", or tensorboard = false'
        raise RecipeError(problem("tensorboard", "the package is not installed", do=do)) from None
    board = SummaryWriter(str(folder / "tensorboard"))

    def write(row: Row) -> None:
        for name, value in row.items():
            board.add_scalar(name, value, int(row["step"]))
        board.flush()

    return write
