"""A scene predicted as a bundle's maker, torch and ONNX Runtime predict it, and how far apart two of them are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from landscribe.core.arrays import ByteArray, FloatArray
from landscribe.core.grid import Window
from landscribe.core.owners import average_owners
from landscribe.core.pixel_source import PixelSource
from landscribe.nn.device import choose_engine
from landscribe.nn.export.graph import PROBABILITY, GraphSpec
from landscribe.nn.export.onnx_file import GraphRunner
from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.predict.patches import patch_starts, predict_patches
from landscribe.nn.predict.reading import SceneReader, round_up
from landscribe.nn.predict.tiles import empty_frame, predict_tiles
from landscribe.workers import stop_if_asked

NOISE_STEPS = 0.02
"""Steps of 255 by which sums in another order may differ: what rounds otherwise for no more than that is the same."""
MOST_STEPS = 1
GRAPH_TILE_PX = 512


@dataclass(frozen=True)
class Agreement:
    """How far probabilities are from those that are expected."""

    count: int
    """Probabilities compared."""
    other: int
    """Those that are another byte by more than noise."""
    most_steps: int
    """Largest difference in steps of 255; 0 where only noise rounds otherwise."""

    @property
    def fine(self) -> bool:
        """Whether none is more than a step away."""
        return self.most_steps <= MOST_STEPS

    def __str__(self) -> str:
        if not self.other:
            return f"all {self.count:,} probabilities the same"
        steps = "step" if self.most_steps == 1 else "steps"
        return f"{self.other:,} of {self.count:,} probabilities differ, by {self.most_steps} {steps} of 255 at most"


def predict_by_torch(nets: Sequence[SegmentationNet], spec: GraphSpec, source: PixelSource) -> FloatArray:
    """Return the probability of each class of a whole scene, float32 (K, H, W), as `predict` has it in float32.

    Raises:
        RecipeError: If the scene lacks a sensor.
    """
    engine = choose_engine("cpu", "float32")
    table = spec.predict.model_copy(update={"tile": None, "precision": None})
    running = predict_patches if table.patch is not None else predict_tiles
    p_khw = np.empty((len(spec.legend), *source.grid.shape_hw), np.float32)
    for window, net_khw in running(nets, source, engine, table):
        for k, p_hw in enumerate(average_owners(list(net_khw), spec.owners, table.combine)):
            p_khw[k][window.slices] = p_hw
    return _only_valid(p_khw, source)


def predict_by_graph(graph: GraphRunner, spec: GraphSpec, source: PixelSource) -> FloatArray:
    """Return the probability of each class of a whole scene, float32 (K, H, W), as a graph gives it.

    Raises:
        RecipeError: If the scene lacks a sensor.
    """
    engine = choose_engine("cpu", "float32")
    maps = {each.sensor.name: source.grid.pixel_map(source.grids[each.sensor.name]) for each in spec.inputs}
    reader = SceneReader(source, maps, engine)
    sweep = _in_patches if spec.predict.patch is not None else _in_tiles
    p_khw = sweep(graph, spec, reader)
    empty_k = spec.predict.empty_of(spec.legend)
    empty_khw = empty_frame(source.grid.window, source.grid.shape_hw, spec.context, empty_k)
    if empty_khw is not None:
        p_khw[empty_khw] = 0
    return _only_valid(p_khw, source)


def compare(p_khw: FloatArray, expected_khw: ByteArray) -> tuple[ByteArray, Agreement]:
    """Compare probabilities with bytes that are expected.

    Returns:
        The probabilities as bytes, those that only noise rounds otherwise as they are expected; and how far they are.
    """
    steps_khw = p_khw.astype(np.float64) * 255
    same_khw = np.abs(steps_khw - expected_khw) <= 0.5 + NOISE_STEPS
    bytes_khw = np.where(same_khw, expected_khw, np.rint(steps_khw)).astype(np.uint8)
    apart_khw = np.abs(bytes_khw.astype(np.int16) - expected_khw)
    return bytes_khw, Agreement(expected_khw.size, int((apart_khw > 0).sum()), int(apart_khw.max(initial=0)))


def _only_valid(p_khw: FloatArray, source: PixelSource) -> FloatArray:
    _, valid_hw = source.read(next(iter(source.sensors)), source.grid.window)
    return np.where(valid_hw, p_khw, np.float32(0))


def _run(graph: GraphRunner, spec: GraphSpec, reader: SceneReader, window: Window) -> FloatArray:
    stop_if_asked()
    images = {}
    for each in spec.inputs:
        values, valid = reader.read_raw(each.sensor.name, window, step=each.step, cubic=each.cubic)
        images[each.name] = np.where(valid.numpy(), values.numpy(), np.float32(np.nan))
    found: FloatArray = graph.run(images, [PROBABILITY])[0][0]
    return found


def _in_tiles(graph: GraphRunner, spec: GraphSpec, reader: SceneReader) -> FloatArray:
    height, width = shape_hw = reader.shape_hw
    p_khw = np.empty((len(spec.legend), height, width), np.float32)
    side = round_up(GRAPH_TILE_PX, spec.divisor)
    for row in range(0, height, side):
        for col in range(0, width, side):
            tile = Window(row, col, min(side, height - row), min(side, width - col))
            seen = spec.seen(tile, shape_hw)
            inner = Window(row - seen.row, col - seen.col, tile.height, tile.width)
            p_khw[:, *tile.slices] = _run(graph, spec, reader, seen)[:, *inner.slices]
    return p_khw


def _in_patches(graph: GraphRunner, spec: GraphSpec, reader: SceneReader) -> FloatArray:
    side, context = spec.predict.patch or 0, spec.context
    logs = spec.predict.combine == "geometric"
    rows, cols = (patch_starts(size, spec.predict, context) for size in reader.shape_hw)
    height, width = (max(size, starts[-1] + side) for size, starts in zip(reader.shape_hw, (rows, cols), strict=True))
    sum_khw = np.zeros((len(spec.legend), height, width), np.float32)
    hits_hw = np.zeros((height, width), np.int64)
    for row in rows:
        for col in cols:
            window = Window(row - context, col - context, side + 2 * context, side + 2 * context)
            p_khw = _run(graph, spec, reader, window)[:, context : context + side, context : context + side]
            with np.errstate(divide="ignore"):
                sum_khw[:, row : row + side, col : col + side] += np.log(p_khw) if logs else p_khw
            hits_hw[row : row + side, col : col + side] += 1
    mean_khw = sum_khw / np.maximum(hits_hw, 1)
    whole_khw = np.where(hits_hw > 0, np.exp(mean_khw) if logs else mean_khw, 0).astype(np.float32)
    return whole_khw[:, : reader.shape_hw[0], : reader.shape_hw[1]]
