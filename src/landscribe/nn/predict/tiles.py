"""Prediction over a whole scene, tile by tile, with the result that one pass over the whole scene would have.

The scene is thought of as mirrored at its edges by the model's context and zero beyond. A tile is read with as much of
that picture around it as reaches its pixels through the network, on the same pooling grid; so no seam can appear and
nothing has to be blended. Flips and turns map the pooling grid onto itself for the same reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from landscribe.core.arrays import BoolArray, FloatArray
from landscribe.core.grid import Window
from landscribe.core.pixel_source import PixelSource
from landscribe.core.recipe import PredictTable
from landscribe.errors import RecipeError, problem
from landscribe.nn.device import BYTES, Engine
from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.network.unet import UNet
from landscribe.nn.predict.prepare_network import make_ready_for
from landscribe.nn.predict.reading import SceneReader, TileInput, round_up, scene_reader
from landscribe.nn.predict.streamed import can_stream, column_bytes, strip_rows
from landscribe.process import trim_memory
from landscribe.workers import result_of, stop_if_asked, thread_pool

VIEWS: dict[str, tuple[tuple[int, bool], ...]] = {
    "turns": tuple((turns, flip) for flip in (False, True) for turns in range(4)),
    "mirrors": (
        (0, False), (2, True), (0, True), (1, True),
        (1, False), (2, False), (3, False), (3, True),
    ),
}  # fmt: skip
"""Quarter turns and whether columns are reversed first; one symmetry is the first of them, four are the first four."""
NumberedView = tuple[int, tuple[int, bool]]
"""Its place among the symmetries, then turns and whether it is flipped."""
AT_ONCE_PX = 2**19
"""Pixels up to which views go through a network together on a processor: larger ones gain nothing there."""
TILE_BYTES, ROWS_BYTES = 7 * 2**27, 2**29
"""Memory of a forward pass on a processor; of one that goes through a plain U-Net row by row. Encoders see so far that
smaller tiles would look at most of the ground several times."""
LARGE_PX = 2**20
"""Tiles from this on begin with what earlier ones left free given back: pieces of other sizes seldom fit there."""
GPU_SHARE = 0.4
"""Share of a GPU's memory for a forward pass."""
LIVE_MAPS, LIVE_IN_STRIPS = 6, 3
"""Maps of the first level's width that are in memory at once; where the decoder makes them strip by strip."""
GROUP_NORM_BYTES = 16
"""Of a map while it is normalised pixel by pixel, which takes float32 on the way."""
RAW_BYTES = 5
"""Of a band and its validity while a tile is read."""
BLOCK_PX = 1024
"""Side of a tile where no network looks at it."""


def tile_side(
    models: Sequence[SegmentationNet], predict: PredictTable, shape_hw: tuple[int, int], engine: Engine
) -> int:
    """Return the tile's side: `predict.tile`, or what memory allows, rounded up to what every model divides by.

    Args:
        models: Models that look at the tile; none gives `BLOCK_PX` where the recipe gives no side.
        predict: The recipe's table.
        shape_hw: Size of the reference grid; the side is such that tiles are alike.
        engine: Device and precision.
    """
    divisor = max((net.divisor for net in models), default=1)
    if predict.tile is not None or not models:
        return round_up(predict.tile or BLOCK_PX, divisor)
    views = max(predict.views_of(name) for net in models for name in net.spec.classes)
    sides = []
    for net in models:
        budget, pixel, line = _budget_bytes(net, engine), pixel_bytes(net, engine, views), line_bytes(net, engine)
        height, width = (size + 2 * (net.spec.context + divisor) for size in shape_hw)
        fits = bool(line) and height * width * pixel + max(height, width) * line <= budget
        seen = _largest_side(budget, pixel, line) - 2 * round_up(net.receptive_radius, divisor)
        sides.append(max(shape_hw) if fits else seen)
    largest = max(divisor, min(sides))
    count = math.ceil(max(shape_hw) / largest)
    return round_up(math.ceil(max(shape_hw) / count), divisor)


def _largest_side(budget: int, of_pixel: int, of_line: int) -> int:
    """Return the side of the largest square for whose pixels and columns there is memory."""
    return int((math.sqrt(of_line**2 + 4 * of_pixel * budget) - of_line) / (2 * of_pixel))


def _budget_bytes(net: SegmentationNet, engine: Engine) -> int:
    """Return how much memory a forward pass of a network may take."""
    plain = _is_streamed(net, engine) and net.unet.known is None
    return ROWS_BYTES if plain else tile_budget_bytes(engine)


def tile_budget_bytes(engine: Engine) -> int:
    """Return how much memory a forward pass may take.

    On a processor this is fixed, so that a run gives the same bytes however busy the machine is.
    """
    if engine.device.type != "cuda":
        return TILE_BYTES
    return int(GPU_SHARE * torch.cuda.get_device_properties(engine.device).total_memory)


def pixel_bytes(net: SegmentationNet, engine: Engine, views: int = 1) -> int:
    """Return about how much memory a forward pass takes for each pixel that it sees.

    Args:
        net: The network.
        engine: Device and precision.
        views: How many are averaged.
    """
    bands = sum(len(sensor.bands) for sensor in net.spec.sensors) + len(net.spec.inputs.indices)
    of_type = engine.dtype.itemsize
    stack = bands * (2 if engine.dtype == BYTES else 1) * of_type
    # Stacks of this tile, of the next, and of a turned view; logits and the result that is being written, or also sums.
    stacks, results = (2, 2) if views == 1 else (3, 4)
    maps = LIVE_IN_STRIPS if engine.device.type == "cpu" and net.unet.has_strips else LIVE_MAPS
    live = maps * of_type + (GROUP_NORM_BYTES if net.spec.network.norm == "group" else 0)
    live = 0 if _is_streamed(net, engine) else live
    return live * net.unet.width + bands * RAW_BYTES + stacks * stack + results * len(net.spec.classes) * 4


def line_bytes(net: SegmentationNet, engine: Engine) -> int:
    """Return about how much memory a forward pass takes for each column that it sees; 0 where all is in its pixels."""
    if not _is_streamed(net, engine):
        return 0
    rows = strip_rows(net.unet, engine.dtype)
    extra = GROUP_NORM_BYTES * rows * net.unet.width if net.spec.network.norm == "group" else 0
    return column_bytes(net.unet, engine.dtype) + extra


def _is_streamed(net: SegmentationNet, engine: Engine) -> bool:
    return engine.device.type == "cpu" and isinstance(net.unet, UNet) and can_stream(net.unet)


def tile_windows(shape_hw: tuple[int, int], tile: int) -> list[Window]:
    """Return the windows of a scene, row by row; those at the far edges are cut off.

    Args:
        shape_hw: Size of the reference grid.
        tile: Side of a tile; from `tile_side` where the windows are for `predict_tiles`.
    """
    height, width = shape_hw
    return [
        Window(row, col, min(tile, height - row), min(tile, width - col))
        for row in range(0, height, tile)
        for col in range(0, width, tile)
    ]


def predict_tiles(
    models: Sequence[SegmentationNet],
    source: PixelSource,
    engine: Engine,
    predict: PredictTable,
    windows: Sequence[Window] | None = None,
) -> Generator[tuple[Window, FloatArray], None, None]:
    """Predict a scene tile by tile; reading, computing and what the caller does with a tile go on at the same time.

    Memory depends on the tile's size, not on the scene's. Pixels without data in the reference sensor get some
    probability like all others: the caller masks them.

    Args:
        models: At least one.
        source: The scene; read from one other thread, one window at a time.
        engine: Device and precision.
        predict: Tile, symmetries and how they are combined.
        windows: Some of `tile_windows(shape_hw, tile_side(...))`; None takes all.

    Yields:
        Window and probability, float32 (K, h, w), the classes of all models in model order.

    Raises:
        RecipeError: If a window does not begin on the pooling grid, or a sensor is missing.
    """

    def probability(net: SegmentationNet, tile: TileInput, window: Window) -> FloatArray:
        mean = average_views(net, tile, engine, predict)[0]
        p_khw: FloatArray = (mean.exp() if predict.combine == "geometric" else mean).cpu().numpy()
        blank_frame(p_khw, window, source.grid.shape_hw, net, predict)
        return p_khw

    shape_hw = source.grid.shape_hw
    chosen = tile_windows(shape_hw, tile_side(models, predict, shape_hw, engine)) if windows is None else windows
    return sweep_tiles(models, scene_reader(models, source, engine), chosen, probability)


def predict_logits(
    net: SegmentationNet, source: PixelSource, engine: Engine, tile: int | None = None
) -> Generator[tuple[Window, FloatArray], None, None]:
    """Sweep over a scene as `predict_tiles` does, without symmetries; of these logits, its result is the sigmoid.

    Args:
        net: The network.
        source: The scene.
        engine: Device and precision.
        tile: Side of a tile in reference pixels; None takes what memory allows.

    Yields:
        Window and logits, float32 (K, h, w).

    Raises:
        RecipeError: If a sensor is missing.
    """

    @torch.inference_mode()
    def logits(net: SegmentationNet, seen: TileInput, _window: Window) -> FloatArray:
        found: FloatArray = net.unet(seen.stacks, seen.keep).float()[0].cpu().numpy()
        return found

    shape_hw = source.grid.shape_hw
    side = tile_side([net], PredictTable(tile=tile, symmetries=1), shape_hw, engine)
    return sweep_tiles([net], scene_reader([net], source, engine), tile_windows(shape_hw, side), logits)


def sweep_tiles(
    models: Sequence[SegmentationNet],
    scene: SceneReader,
    windows: Sequence[Window],
    compute: Callable[[SegmentationNet, TileInput, Window], FloatArray],
) -> Generator[tuple[Window, FloatArray], None, None]:
    """Yield windows and what is computed there of all models, (..., h, w) each, one after the other.

    While the caller writes a tile, the next one is computed; while that goes on, the one after it is read.
    """
    divisor = max(net.divisor for net in models)
    off = [w for w in windows if w.row % divisor or w.col % divisor]
    if off:
        raise RecipeError(problem("windows", "off the pooling grid", got=off[0], need=f"multiples of {divisor}"))
    ready = [make_ready_for(net, scene, scene.engine) for net in models]

    def load(window: Window) -> list[TileInput]:
        return [scene.load(net, window) for net in ready]

    def compute_all(window: Window, inputs: Future[list[TileInput]]) -> FloatArray:
        stop_if_asked()
        if scene.engine.device.type == "cpu" and window.height * window.width >= LARGE_PX:
            trim_memory()
        return np.concatenate([compute(net, tile, window) for net, tile in zip(ready, inputs.result(), strict=True)])

    with thread_pool(1, "tiles-read") as reader, thread_pool(1, "tiles-compute") as computer:
        running = computer.submit(compute_all, windows[0], reader.submit(load, windows[0])) if windows else None
        for i, window in enumerate(windows):
            following = reader.submit(load, windows[i + 1]) if i + 1 < len(windows) else None
            result = result_of(running) if running is not None else np.empty((0, *window.shape_hw), np.float32)
            running = computer.submit(compute_all, windows[i + 1], following) if following is not None else None
            yield window, result


@torch.inference_mode()
def average_views(net: SegmentationNet, seen: TileInput, engine: Engine, predict: PredictTable) -> Tensor:
    """Return the mean over the symmetries, float32 (B, K, h, w): of probabilities, or of their logarithms.

    Args:
        net: A network made ready.
        seen: What it sees.
        engine: Device and precision.
        predict: Symmetries, and by `combine` what the mean is taken of.
    """
    # Views of fewer symmetries are the first ones of those of more, so each class stops adding up at its own number.
    counts = [predict.views_of(name) for name in net.spec.classes]
    counts_k = torch.tensor(counts, dtype=torch.float32, device=engine.device)[:, None, None]
    total: Tensor | None = None
    for number, seen_p in each_view(net, seen, engine, predict, max(counts)):
        p = seen_p * (number < counts_k) if number >= min(counts) else seen_p
        total = p if total is None else total.add_(p)
    if total is None:
        raise RecipeError(problem("predict.symmetries", "none"))
    return total if max(counts) == 1 else total.div_(counts_k)


def each_view(
    net: SegmentationNet, seen: TileInput, engine: Engine, predict: PredictTable, count: int
) -> Iterator[tuple[int, Tensor]]:
    """Yield what each of the first views gives, with its place among all: float32 (B, K, h, w), as `average_views`."""
    size_hw = (int(seen.stacks[1].shape[-2]), int(seen.stacks[1].shape[-1]))
    take = functional.logsigmoid if predict.combine == "geometric" else torch.sigmoid_
    views = list(enumerate(VIEWS[predict.views][:count]))
    for some in _groups(views, views_at_once(net, engine, len(views), seen.stacks[1][:, 0].numel())):
        stop_if_asked()
        turned = {step: _join([_turn(stack, *view) for _, view in some]) for step, stack in seen.stacks.items()}
        keeps = [_turn_window(seen.keep, size_hw, *view) for _, view in some]
        hull = _hull(keeps)
        logits = net.unet(turned, hull).float()
        for (number, view), keep, part in zip(some, keeps, logits.chunk(len(some)), strict=True):
            own = Window(keep.row - hull.row, keep.col - hull.col, keep.height, keep.width)
            yield number, _unturn(take(part[..., *own.slices]), *view)


def blank_frame(
    p_khw: FloatArray, window: Window, shape_hw: tuple[int, int], net: SegmentationNet, predict: PredictTable
) -> None:
    """Set to 0, in place, what classes with empty edges have within the model's context of a scene's edge.

    Args:
        p_khw: Probability of a window, (K, h, w).
        window: Where it lies.
        shape_hw: Size of the scene.
        net: Its context and classes.
        predict: Its `edges` and `empty_edges`.
    """
    empty_khw = empty_frame(window, shape_hw, net.spec.context, predict.empty_of(net.spec.classes))
    if empty_khw is not None:
        p_khw[empty_khw] = 0


def empty_frame(window: Window, shape_hw: tuple[int, int], margin: int, empty_k: Sequence[bool]) -> BoolArray | None:
    """Return where nothing is predicted in a window, (K, h, w); None where that is nowhere.

    Args:
        window: Part of a scene.
        shape_hw: Size of the scene.
        margin: Width of its frame.
        empty_k: Classes whose frame is empty.
    """
    rows = np.arange(window.row, window.row_stop)[:, None]
    cols = np.arange(window.col, window.col_stop)[None, :]
    frame_hw = np.minimum(np.minimum(rows, shape_hw[0] - 1 - rows), np.minimum(cols, shape_hw[1] - 1 - cols)) < margin
    return np.array(empty_k)[:, None, None] & frame_hw if any(empty_k) and frame_hw.any() else None


def views_at_once(net: SegmentationNet, engine: Engine, views: int, pixels: int) -> int:
    """Return how many of the views, of that many pixels each, go through a network together."""
    most = AT_ONCE_PX if engine.device.type == "cpu" else tile_budget_bytes(engine) // pixel_bytes(net, engine, views)
    return max(1, most // pixels)


def _groups(views: Sequence[NumberedView], at_once: int) -> Iterator[Sequence[NumberedView]]:
    """Yield views that go together: those of one shape."""
    for odd in (0, 1):
        alike = [view for view in views if view[1][0] % 2 == odd]
        for first in range(0, len(alike), at_once):
            yield alike[first : first + at_once]


def _join(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _hull(windows: Sequence[Window]) -> Window:
    row, col = min(w.row for w in windows), min(w.col for w in windows)
    return Window(row, col, max(w.row_stop for w in windows) - row, max(w.col_stop for w in windows) - col)


def _turn(x: Tensor, turns: int, flip: bool) -> Tensor:
    if not turns and not flip:
        return x
    flipped = x.flip(-1) if flip else x
    return torch.rot90(flipped, turns, (-2, -1)).contiguous(memory_format=torch.channels_last)


def _unturn(x: Tensor, turns: int, flip: bool) -> Tensor:
    back = torch.rot90(x, -turns, (-2, -1)) if turns else x
    return back.flip(-1) if flip else back


def _turn_window(window: Window, size_hw: tuple[int, int], turns: int, flip: bool) -> Window:
    """Return where a window comes to lie when a picture of that size is flipped and turned by `_turn`."""
    height, width = size_hw
    if flip:
        window = Window(window.row, width - window.col_stop, window.height, window.width)
    for _ in range(turns):
        window = Window(width - window.col_stop, window.row, window.width, window.height)
        height, width = width, height
    return window
