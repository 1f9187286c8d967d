"""A scene as it is predicted: all of it, or a window that another process may make the rest of."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landscribe.core.arrays import ByteArray
from landscribe.core.grid import Window
from landscribe.core.legend import Legend
from landscribe.core.owners import Owners
from landscribe.core.recipe import PredictTable
from landscribe.core.sensors import SensorSpec
from landscribe.core.spectral.rules import needs_lowest, region_of, rule_of
from landscribe.errors import DataError, problem
from landscribe.io.models.formulas import Formula
from landscribe.io.project import Progress, Project
from landscribe.io.project.borders import border_raster
from landscribe.io.raster.geotiff import RasterWriter, write_probabilities, write_raster
from landscribe.io.run.kept_tiles import KeptTiles, open_tiles
from landscribe.io.run.prepared import PreparedScene, open_prepared
from landscribe.io.run.runs import Made, Record, Run, make_key
from landscribe.io.run.surroundings import Frame, Surroundings, open_among
from landscribe.stages.predict.models import LoadedModels

if TYPE_CHECKING:  # torch takes seconds to import, and not every command needs it
    from landscribe.nn.device import Engine

FORMAT = 1
"""Raise it when tiles that older code kept are of no use."""
IN_BYTES = "scenes in bytes"
"""Name of a count."""
BLOCK_ROWS = 512
"""Rows of a block of a raster, or a multiple of them."""


@dataclass(frozen=True)
class Job:
    """A scene, and all that decides what is predicted of it."""

    project: Project
    run: Run
    scene: PreparedScene
    surroundings: Surroundings | None
    """The scene among its neighbours, where it has some."""
    target: Path
    loaded: LoadedModels
    owners: tuple[Owners, ...]
    table: PredictTable
    key: str
    """Digest of everything that the result depends on."""
    caution: str = ""

    @property
    def wanted(self) -> dict[str, SensorSpec]:
        """Sensors that networks look at."""
        return {sensor.name: sensor for net in self.loaded.nets for sensor in net.spec.sensors}

    @property
    def bands(self) -> int:
        """Of what is kept of a tile: the classes, where things of some end, and where there is data."""
        return len(self.owners) + 1

    @contextmanager
    def writers(self) -> Iterator[list[tuple[slice, RasterWriter]]]:
        """Yield the rasters to write, each with its bands of what is kept; the second only where a network knows it."""
        grid, legend, borders = self.scene.grid, self.project.legend, self.loaded.borders
        count = len(legend)
        with ExitStack() as files:
            first = files.enter_context(write_probabilities(self.target, grid, legend, self.caution))
            writers = [(slice(0, count), first)]
            border_raster(self.target).unlink(missing_ok=True)  # of a network that knew more than this one
            if borders:
                path, tags = border_raster(self.target), {"LANDSCRIBE": "border"}
                second = write_raster(
                    path, grid, count=len(borders), dtype="uint8", descriptions=borders, mask=True, scale=1 / 255,
                    tags=tags,
                )  # fmt: skip
                writers.append((slice(count, count + len(borders)), files.enter_context(second)))
            yield writers

    @property
    def outputs(self) -> tuple[Path, ...]:
        """Rasters that `writers` writes."""
        return (self.target, border_raster(self.target)) if self.loaded.borders else (self.target,)


@dataclass(frozen=True)
class _Plan:
    """How a scene is gone over."""

    engine: Engine
    windows: Sequence[Window]
    tiles: KeptTiles
    keeps: bool
    """Whether finished windows are kept until all are."""


def predict_scene(job: Job, progress: Progress) -> Made:
    """Predict a scene and write its raster; tiles that are kept from a run that was cut off, or by others, hold.

    Raises:
        DataError: If the scene lacks a sensor or has other bands.
    """
    plan, legend = _plan(job), job.project.legend
    missing = _missing(job, plan, plan.windows)
    done = plan.windows if plan.keeps else []
    if done:
        with closing(_predicted(job, plan, missing)) as predicted:
            for number, window in enumerate(done, start=1):
                if window in missing:
                    next(predicted)  # which keeps it
                progress(f"predict {job.scene.id}", number, len(done))
    with job.writers() as writers:
        for window, stack_khw in _strips(job, plan) if done else _as_they_come(job, plan, progress):
            for bands, writer in writers:
                writer.write(window, stack_khw[bands])
                writer.write_mask(window, stack_khw[-1] > 0)
    plan.tiles.clear()
    without = [name for name, shares in zip(legend.names, job.owners, strict=False) if not shares]
    counts = {"tiles": len(plan.windows)} | ({IN_BYTES: 1} if plan.engine.precision == "int8" else {})
    return Made(job.outputs, counts, tuple(f"no model owns {name!r}" for name in without))


def predict_window(job: Job, part: Window, progress: Progress) -> Made:
    """Predict the tiles that begin in a window and keep them, for the scene to be laid together.

    Raises:
        DataError: If the scene lacks a sensor or has other bands.
    """
    plan = _plan(job)
    own = [w for w in plan.windows if part.row <= w.row < part.row_stop and part.col <= w.col < part.col_stop]
    if not plan.keeps:
        return Made(())
    missing = _missing(job, plan, own)
    with closing(_predicted(job, plan, missing)) as predicted:
        for number, _ in enumerate(predicted, start=1):
            progress(f"predict {job.scene.id} {part.row}, {part.col}", number, len(missing))
    return Made(tuple(plan.tiles.file(window) for window in own), {"tiles": len(own)})


def parts_of(scene: PreparedScene, side: int) -> list[Window]:
    """Return the windows in which a scene is shared among processes; none where it is no longer than one."""
    height, width = scene.grid.shape_hw
    if max(height, width) <= side:
        return []
    return [
        Window(row, col, min(side, height - row), min(side, width - col))
        for row in range(0, height, side)
        for col in range(0, width, side)
    ]


def _plan(job: Job) -> _Plan:
    from landscribe.nn.device import choose_engine
    from landscribe.nn.predict.prepare_network import engine_for
    from landscribe.nn.predict.whole import are_kept, windows_of

    _check_sensors(job.scene, job.wanted, other_bands=job.project.anyway)
    precision, shape_hw, alone = job.table.precision, job.scene.grid.shape_hw, job.surroundings is None
    engine = engine_for(choose_engine(precision=precision), job.loaded.nets, precision, shape_hw, alone=alone)
    windows = windows_of(job.loaded.nets, job.table, shape_hw, engine)
    key = make_key(FORMAT, key=job.key, table=job.table.said(), windows=len(windows), precision=engine.precision)
    keeps = are_kept(windows, job.loaded.nets, job.table, engine)
    return _Plan(engine, windows, open_tiles(job.target, key), keeps)


def _as_they_come(job: Job, plan: _Plan, progress: Progress) -> Iterator[tuple[Window, ByteArray]]:
    """Yield windows of which none is kept."""
    with closing(_predicted(job, plan, plan.windows)) as predicted:
        for number, (window, stack_khw) in enumerate(zip(plan.windows, predicted, strict=True), start=1):
            yield window, stack_khw
            progress(f"predict {job.scene.id}", number, len(plan.windows))


def _strips(job: Job, plan: _Plan) -> Iterator[tuple[Window, ByteArray]]:
    """Yield a scene in strips of whole blocks, laid together of kept tiles.

    Each block of the raster is then written once and in order, whoever made the tiles and whatever else was read
    meanwhile, so the file has the same bytes.
    """
    for strip in job.scene.grid.window.strips(BLOCK_ROWS):
        stack_khw = np.empty((job.bands, *strip.shape_hw), np.uint8)
        for window in plan.windows:
            part = strip.intersection(window)
            if part is None:
                continue
            tile_khw = plan.tiles.load(window, job.bands)
            if tile_khw is None:  # it was damaged a moment ago
                tile_khw = next(_predicted(job, plan, [window]))
            here, there = (
                Window(part.row - other.row, part.col - other.col, *part.shape_hw) for other in (strip, window)
            )
            stack_khw[:, *here.slices] = tile_khw[:, *there.slices]
        yield strip, stack_khw


def _missing(job: Job, plan: _Plan, windows: Sequence[Window]) -> list[Window]:
    return [window for window in windows if not plan.keeps or plan.tiles.load(window, job.bands) is None]


def _predicted(job: Job, plan: _Plan, windows: Sequence[Window]) -> Generator[ByteArray, None, None]:
    """Yield what is kept of windows of a scene, uint8 (K + 1, h, w), one after the other."""
    from landscribe.nn.predict.whole import makes_bytes, predict_classes, predict_windows, to_bytes, with_validity

    scene, legend = job.scene, job.project.legend
    frame = Frame() if job.surroundings is None else job.surroundings.frame

    def keep(window: Window, stack_khw: ByteArray) -> ByteArray:
        if plan.keeps:
            plan.tiles.save(window, stack_khw)
        return stack_khw

    with ExitStack() as files:
        # Networks read in a thread of their own; a raster that is open is read in one thread.
        source = files.enter_context(open_among(job.surroundings or scene, job.wanted))
        reference = files.enter_context(scene.open_rasters([scene.reference]))
        fields = [_field(job.run, scene, formula, legend) for formula in job.loaded.formulas]
        moved = [frame.moved(window) for window in windows]
        # Threads of what predicts read the scene: they have to end before its rasters are closed.
        given = job.loaded.nets, source, plan.engine, job.table
        if not fields and makes_bytes(job.loaded.nets, job.table, plan.engine):
            classes = files.enter_context(closing(predict_classes(*given, job.owners, moved)))
            for window, classes_khw in zip(windows, classes, strict=True):
                yield keep(window, with_validity(classes_khw, reference.read(scene.reference, window)[1]))
            return
        predicted = files.enter_context(closing(predict_windows(*given, moved)))
        for window, (_, net_khw) in zip(windows, predicted, strict=True):
            from_fields = (band_hw for field in fields for band_hw in field(window) / np.float32(255))
            _, valid_hw = reference.read(scene.reference, window)
            yield keep(window, to_bytes([*net_khw, *from_fields], valid_hw, job.owners, job.table))


def looked_at(formulas: Iterable[Formula], prepared: Mapping[str, Record], scene_id: str) -> list[str]:
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
        region = looked_at((formula,), run.records("prepare"), scene.id)
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
