"""Prediction in patches that see nothing but their own context, as both DSTL methods predicted and as chips are.

Zeros at a patch's edge reach into what is kept of it, so that a prediction depends on where the patch lies; patches
that overlap average that out (shift averaging). 96 px seen for 64 kept are 2.25 times the products, and steps of a
third of a patch 9 times those; in `nn/predict/tiles.py` nothing depends on where tiles lie.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from landscribe.core.arrays import FloatArray, IntArray
from landscribe.core.grid import Window
from landscribe.core.pixel_source import PixelSource
from landscribe.core.recipe import ModelTable, PredictTable
from landscribe.errors import RecipeError, problem
from landscribe.nn.device import Engine
from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.network.layouts import level_strides
from landscribe.nn.predict.prepare_network import make_ready_for
from landscribe.nn.predict.reading import SceneReader, TileInput, scene_reader
from landscribe.nn.predict.tiles import average_views, blank_frame

STRIP_ROWS = 256
"""Rows of a scene that are given out at once."""
BATCH = 32
"""Patches of a forward pass."""


def patch_starts(size: int, predict: PredictTable, context: int) -> list[int]:
    """Return where patches begin along one axis.

    Without a step they lie side by side and the last one hangs over the edge. With one, the last lies at the edge. With
    `edges = "empty"` all of them, and their context, lie within the scene.

    Args:
        size: Of the scene in pixels.
        predict: The recipe's table; its `patch` is given.
        context: Of the model.

    Source:
        `reference_methods.md` 2.10 (with a step) and 3.6 (without).
    """
    side, margin = _side(predict), context if predict.edges == "empty" else 0
    if predict.step is None and not margin:
        return list(range(0, size, side))
    last = max(margin, size - side - margin)
    return [*range(margin, last, predict.step or side), last]


def require_fit(predict: PredictTable, context: int, divisor: int) -> None:
    """Refuse a patch that a network cannot take, if the recipe has patches.

    Raises:
        RecipeError: If a patch with its context on both sides is no multiple of the network's divisor.
    """
    seen = (predict.patch or 0) + 2 * context
    if predict.patch is not None and seen % divisor:
        got, need = f"{predict.patch} + 2 x {context} = {seen}", f"a multiple of {divisor}"
        raise RecipeError(problem("predict.patch", "with its context does not divide", got=got, need=need))


def require_models_fit(predict: PredictTable, models: Sequence[ModelTable]) -> None:
    """Refuse patches that a network of a recipe cannot take, before anything is trained.

    Raises:
        RecipeError: As `require_fit`.
    """
    for table in models:
        if table.kind == "network":
            require_fit(predict, table.chips.context, level_strides(table.network)[-1])


def predict_patches(
    models: Sequence[SegmentationNet], source: PixelSource, engine: Engine, predict: PredictTable
) -> Generator[tuple[Window, FloatArray], None, None]:
    """Predict a scene patch by patch and average where patches overlap.

    Args:
        models: At least one.
        source: The scene; read one window at a time.
        engine: Device and precision.
        predict: Patch, step, edges, symmetries and how they are combined.

    Yields:
        Window of `strips` and probability, float32 (K, h, w), the classes of all models in model order.

    Raises:
        RecipeError: If a patch with its context does not fit a model, or a sensor is missing.
    """
    for net in models:
        require_fit(predict, net.spec.context, net.divisor)
    scene = scene_reader(models, source, engine)
    running = [_strips_of(make_ready_for(net, scene, engine), scene, engine, predict) for net in models]
    for window in source.grid.window.strips(STRIP_ROWS):
        yield window, np.concatenate([next(one) for one in running])


@torch.inference_mode()
def _strips_of(net: SegmentationNet, scene: SceneReader, engine: Engine, predict: PredictTable) -> Iterator[FloatArray]:
    """Yield the probability of one strip of the scene after the other."""
    side, context = _side(predict), net.spec.context
    rows, cols = (patch_starts(size, predict, context) for size in scene.shape_hw)
    weight_r, weight_c = (_hits(starts, side, size) for starts, size in zip((rows, cols), scene.shape_hw, strict=True))
    width = max(scene.shape_hw[1], cols[-1] + side)
    sums = torch.zeros(len(net.spec.classes), STRIP_ROWS + side, width, device=engine.device)
    waiting = list(rows)
    for window in Window(0, 0, *scene.shape_hw).strips(STRIP_ROWS):
        while waiting and waiting[0] < window.row_stop:
            row = waiting.pop(0)
            for first in range(0, len(cols), BATCH):
                some = cols[first : first + BATCH]
                p_bkhw = _predict_batch(net, scene, engine, predict, row, some)
                for col, p_khw in zip(some, p_bkhw, strict=True):
                    sums[:, row - window.row : row - window.row + side, col : col + side] += p_khw
        hits_hw = weight_r[window.row : window.row_stop, None] * weight_c[None, :]
        mean = sums[:, : window.height, : window.width].cpu().numpy() / np.maximum(hits_hw, 1)
        p_khw = np.where(hits_hw > 0, np.exp(mean) if predict.combine == "geometric" else mean, 0).astype(np.float32)
        blank_frame(p_khw, window, scene.shape_hw, net, predict)
        yield p_khw
        sums[:, :side] = sums[:, STRIP_ROWS:].clone()
        sums[:, side:] = 0


def _predict_batch(
    net: SegmentationNet, scene: SceneReader, engine: Engine, predict: PredictTable, row: int, cols: Sequence[int]
) -> Tensor:
    context, side = net.spec.context, _side(predict)
    size = side + 2 * context
    windows = [Window(row - context, col - context, size, size) for col in cols]
    seen = TileInput(scene.load_many(net, windows), Window(context, context, side, side))
    return average_views(net, seen, engine, predict)


def _hits(starts: Sequence[int], side: int, size: int) -> IntArray:
    hits = np.zeros(max(size, starts[-1] + side), np.int64)
    for start in starts:
        hits[start : start + side] += 1
    return hits[:size]


def _side(predict: PredictTable) -> int:
    if predict.patch is None:
        raise RecipeError(problem("predict.patch", "not given", need="the side of a patch"))
    return predict.patch
