"""What a network sees of a scene: its sensors on one grid, mirrored at the edges, read only where it is looked at."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from affine import Affine
from torch import Tensor

from landscribe.core.arrays import AnyArray, BoolArray, IntArray
from landscribe.core.grid import Window
from landscribe.core.pixel_source import PixelSource
from landscribe.errors import RecipeError, problem
from landscribe.nn.device import Engine
from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.predict.stem_table import TABLE_TYPES, ReadyStem
from landscribe.nn.sample import Raster, RasterBank, copy_pixels, pack_rasters, sample
from landscribe.nn.sample.pixels import NATIVE_TYPES
from landscribe.nn.sample.sending import send
from landscribe.workers import stop_if_asked

STEM_ROWS = 32
"""Rows of a tile that are normalised at a time."""


@dataclass(frozen=True)
class TileInput:
    """What one model sees of one tile, or of several of the same size."""

    stacks: dict[int, Tensor]
    """Normalised, by stride, (B, C, H / stride, W / stride) channels-last, in the type of the engine."""
    keep: Window
    """The tile within that."""


@dataclass(frozen=True)
class _InPlace:
    """Pixels of a sensor that lies pixel on pixel on the reference grid, and where they go."""

    image_chw: AnyArray
    valid_hw: BoolArray
    row_i: IntArray
    """Row of the image for each row of the windows; mirrored at the scene's edges."""
    col_bj: Sequence[IntArray]
    """Column of the image for each column of each window."""

    def rows(self, top: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return values and validity of some rows of all windows."""
        some_i = self.row_i[top:stop]
        parts = [copy_pixels(self.image_chw, self.valid_hw, some_i, col_j) for col_j in self.col_bj]
        values, valid = zip(*parts, strict=True)
        return torch.cat(values), torch.cat(valid)

    def sent(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return what `rows` does of all rows, on a device that gets the numbers as they are stored."""
        image_chw = self.image_chw
        if image_chw.dtype.name not in NATIVE_TYPES:
            image_chw = image_chw.astype(np.float32)
        unsigned = image_chw.dtype == np.uint16
        columns = {f"col {b}": col_j for b, col_j in enumerate(self.col_bj)}
        stored = image_chw.view(np.int16) if unsigned else image_chw
        there = send({"image": stored, "valid": self.valid_hw, "row": self.row_i, **columns}, device)
        image, valid = there["image"].index_select(1, there["row"]), there["valid"].index_select(0, there["row"])
        image = torch.stack([image.index_select(2, there[name]) for name in columns])
        known = torch.stack([valid.index_select(1, there[name]) for name in columns])[:, None]
        values = ((image.int() & 0xFFFF) if unsigned else image).float()
        if image.is_floating_point():
            known &= values.isfinite().all(dim=1, keepdim=True)
        return torch.where(known, values, 0.0).contiguous(memory_format=torch.channels_last), known


@dataclass(frozen=True)
class _Resampled:
    """Pixels of a sensor on a grid of its own."""

    bank: RasterBank
    windows: Sequence[Window]
    step: int

    def rows(self, top: int, stop: int) -> tuple[Tensor, Tensor]:
        """Return values and validity of some rows of all windows."""
        places = np.array([tuple(Affine.translation(w.col, w.row + top))[:6] for w in self.windows])
        shape = ((stop - top) // self.step, self.windows[0].width // self.step)
        return sample(self.bank, np.zeros(len(places), np.int64), places, shape, step=self.step)

    def sent(self, _device: torch.device) -> tuple[Tensor, Tensor]:
        """Return what `rows` does of all rows, where the bank is."""
        return self.rows(0, self.windows[0].height)


Source = _InPlace | _Resampled


@dataclass(frozen=True)
class SceneReader:
    """Reads what a model that was made ready for it sees of a tile."""

    source: PixelSource
    maps: Mapping[str, Affine]
    """Reference (col, row) to (col, row) of each sensor that is looked at."""
    engine: Engine
    sends: bool = False
    """Whether the device gets raw numbers and makes stacks of them itself."""

    @property
    def shape_hw(self) -> tuple[int, int]:
        """Size of the reference grid."""
        return self.source.grid.shape_hw

    def load(self, net: SegmentationNet, tile: Window) -> TileInput:
        """Return what a network must see to predict a tile."""
        window = input_window(net, tile, self.shape_hw)
        keep = Window(tile.row - window.row, tile.col - window.col, tile.height, tile.width)
        return TileInput(self.load_many(net, [window]), keep)

    def load_many(self, net: SegmentationNet, windows: Sequence[Window]) -> dict[int, Tensor]:
        """Return the stacks of windows of one size in one row, from left to right; sensors are read once."""
        stem: ReadyStem = net.stem  # type: ignore[assignment]  # `make_ready` sees to that
        cubic = net.cubic_sensors
        seen = {name: self._source(name, windows, step, name in cubic) for name, step in net.sensor_steps.items()}
        if self.sends:
            raw = {name: source.sent(self.engine.device) for name, source in seen.items()}
            return stem(
                {name: values for name, (values, _) in raw.items()}, {name: known for name, (_, known) in raw.items()}
            )
        stacks = {stride: _by_table(stem, stride, seen) for stride in stem.channels}
        found = {stride: stack.to(self.engine.device) for stride, stack in stacks.items() if stack is not None}
        rest = [stride for stride in stacks if stride not in found]
        return found | (self._sample(net, stem, rest, seen, windows[0].height) if rest else {})

    def _sample(
        self, net: SegmentationNet, stem: ReadyStem, strides: Sequence[int], seen: Mapping[str, Source], height: int
    ) -> dict[int, Tensor]:
        """Return some stacks by way of raw numbers.

        The stem looks at each pixel alone, so a processor takes a few rows at a time, which stay in its cache.
        """
        names = {stride: stem.sensors(stride) for stride in strides}
        rows = round_up(STEM_ROWS, net.divisor) if self.engine.device.type == "cpu" else height
        found: dict[int, Tensor] = {}
        for top in range(0, height, rows):
            stop_if_asked()
            stop = min(top + rows, height)
            for stride in strides:
                images, valid = {}, {}
                for name in names[stride]:
                    values, known = seen[name].rows(top, stop)
                    images[name], valid[name] = values.to(self.engine.device), known.to(self.engine.device)
                if stride not in found:
                    batch, _, _, width = values.shape
                    shape = (batch, height // stride, width, stem.channels[stride])
                    found[stride] = values.new_empty(shape, dtype=stem.dtype, device=self.engine.device).permute(
                        0, 3, 1, 2
                    )
                stem.write(stride, images, valid, found[stride][:, :, top // stride : stop // stride])
        return found

    def read_raw(self, name: str, window: Window, *, step: int = 1, cubic: bool = False) -> tuple[Tensor, Tensor]:
        """Return what a network gets of one sensor before its stem.

        Args:
            name: Of the sensor.
            window: Of the mirrored reference grid; its sides are multiples of `step`.
            step: Reference pixels on a side that become one.
            cubic: Mix sixteen neighbours in place of four.

        Returns:
            Raw values, float32 (1, C, h / step, w / step), and validity, bool (1, 1, h / step, w / step).
        """
        return self._source(name, [window], step, cubic).rows(0, window.height)

    def _source(self, name: str, windows: Sequence[Window], step: int, cubic: bool) -> Source:
        """Read a sensor once for all windows."""
        first = windows[0]
        whole = Window(first.row, first.col, first.height, windows[-1].col_stop - first.col)
        if step == 1 and self.maps[name] == Affine.identity() and self.source.grids[name].shape_hw == self.shape_hw:
            return self._in_place(name, whole, windows)
        there = self._sensor_window(name, whole)
        image_chw, valid_hw = self.source.read(name, there)
        from_reference = Affine.translation(-there.col, -there.row) @ self.maps[name]
        raster = Raster(image_chw, valid_hw, from_reference, self.shape_hw)
        device = self.engine.device if self.sends else None
        return _Resampled(pack_rasters([raster], device, cubic=cubic), windows, step)

    def _in_place(self, name: str, whole: Window, windows: Sequence[Window]) -> _InPlace:
        rows, cols = (
            _mirrored_pixels(start, stop, size)
            for start, stop, size in zip(
                (whole.row, whole.col), (whole.row_stop, whole.col_stop), self.shape_hw, strict=True
            )
        )
        (top, bottom), (left, right) = ((int(i.min()), int(i.max()) + 1) for i in (rows, cols))
        image_chw, valid_hw = self.source.read(name, Window(top, left, bottom - top, right - left))
        col_bj = [cols[w.col - whole.col : w.col_stop - whole.col] - left for w in windows]
        return _InPlace(image_chw, valid_hw, rows - top, col_bj)

    def _sensor_window(self, name: str, window: Window) -> Window:
        """Return the part of a sensor's raster that a window of the mirrored reference grid is sampled from."""
        height, width = self.source.grids[name].shape_hw
        rows = _mirrored_span(window.row, window.row_stop, self.shape_hw[0])
        cols = _mirrored_span(window.col, window.col_stop, self.shape_hw[1])
        corners = [self.maps[name] @ (col, row) for row in rows for col in cols]
        (left, right), (top, bottom) = ((min(values), max(values)) for values in zip(*corners, strict=True))
        # Two pixels more on each side, for a bicubic. A tile off the raster reads the nearest pixel and ignores it.
        row, row_stop = _clip_span(top - 2, bottom + 2, height)
        col, col_stop = _clip_span(left - 2, right + 2, width)
        return Window(row, col, row_stop - row, col_stop - col)


def scene_reader(models: Sequence[SegmentationNet], source: PixelSource, engine: Engine) -> SceneReader:
    """Return a reader of all that some networks want to see of a scene.

    Raises:
        RecipeError: If the scene lacks a sensor.
        DataError: If one sensor has a CRS and the reference has none, or the other way round.
    """
    names = sorted({name for net in models for name in net.sensor_steps})
    missing = [name for name in names if name not in source.grids]
    if missing:
        raise RecipeError(problem(f"scene {source.id!r}", "sensor missing", got=", ".join(missing)))
    maps = {name: source.grid.pixel_map(source.grids[name]) for name in names}
    return SceneReader(source, maps, engine, engine.samples)


def _by_table(stem: ReadyStem, stride: int, seen: Mapping[str, Source]) -> Tensor | None:
    """Return a stack by its table, where all of it lies pixel on pixel in whole numbers; else None."""
    sources = {name: seen[name] for name in stem.sensors(stride)}
    pixels = {name: source for name, source in sources.items() if isinstance(source, _InPlace)}
    if len(pixels) < len(sources) or any(p.image_chw.dtype.name not in TABLE_TYPES for p in pixels.values()):
        return None
    table = stem.table(stride)
    if table is None:
        return None
    some = next(iter(pixels.values()))
    shape = (len(some.col_bj), len(some.row_i), len(some.col_bj[0]), len(table.values))
    stack = table.values.new_empty(shape).permute(0, 3, 1, 2)
    for name, source in pixels.items():
        for one, col_j in zip(stack, source.col_bj, strict=True):
            table.fill(name, source.image_chw, source.valid_hw, source.row_i, col_j, one)
    return stack


def input_window(net: SegmentationNet, tile: Window, shape_hw: tuple[int, int]) -> Window:
    """Return what a network must see to predict a tile: all that reaches it, up to the mirrored frame of the scene."""
    return reaching_window(tile, shape_hw, net.divisor, net.spec.context, net.receptive_radius)


def reaching_window(tile: Window, shape_hw: tuple[int, int], divisor: int, context: int, radius: int) -> Window:
    """Return the part of a mirrored scene that reaches a tile, on the pooling grid.

    Args:
        tile: Part of the scene that begins on the pooling grid.
        shape_hw: Size of the scene.
        divisor: Of the pooling grid, in pixels.
        context: By which the scene is mirrored at its edges.
        radius: Pixels around one that reach it.
    """
    (row, row_stop), (col, col_stop) = (
        _input_span(start, stop, size, divisor, context, radius)
        for start, stop, size in (
            (tile.row, tile.row_stop, shape_hw[0]),
            (tile.col, tile.col_stop, shape_hw[1]),
        )
    )
    return Window(row, col, row_stop - row, col_stop - col)


def _input_span(start: int, stop: int, size: int, divisor: int, context: int, radius: int) -> tuple[int, int]:
    frame = round_up(context, divisor)
    first, last = -frame, round_up(size + frame, divisor)
    return max(first, start - round_up(radius, divisor)), min(last, round_up(stop + radius, divisor))


def round_up(value: int, divisor: int) -> int:
    """Return the next multiple of `divisor`."""
    return math.ceil(value / divisor) * divisor


def _mirrored_span(start: int, stop: int, size: int) -> tuple[int, int]:
    """Return the smallest and largest coordinate that start..stop has after mirroring at 0 and `size`."""
    folded = np.abs((np.arange(start, stop + 1) + size) % (2 * size) - size)
    return int(folded.min()), int(folded.max())


def _mirrored_pixels(start: int, stop: int, size: int) -> IntArray:
    """Return which pixel each of start..stop is after mirroring at 0 and `size`."""
    folded = np.arange(start, stop) % (2 * size)
    return np.minimum(folded, 2 * size - 1 - folded)


def _clip_span(start: float, stop: float, size: int) -> tuple[int, int]:
    first = min(max(math.floor(start), 0), size - 1)
    return first, max(first + 1, min(math.ceil(stop), size))
