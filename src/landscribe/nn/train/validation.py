"""Scores of a network on whole scenes that it has not learned from."""

from __future__ import annotations

import contextlib
import functools
import math
import operator
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import torch

from landscribe.core.arrays import BoolArray, ByteArray, IntArray
from landscribe.core.grid import Window
from landscribe.core.owners import is_border
from landscribe.core.pixel_source import PixelSource
from landscribe.core.recipe import LossTable, PredictTable
from landscribe.errors import RecipeError, problem
from landscribe.nn.device import Engine
from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.predict.prepare_network import make_ready_for
from landscribe.nn.predict.reading import scene_reader
from landscribe.nn.predict.tiles import predict_logits, tile_side, tile_windows
from landscribe.nn.sample.sending import send
from landscribe.nn.train.losses import LossSums, class_weights, combine_terms, frame_of, split_frame, sum_pixels
from landscribe.workers import stop_if_asked

ROWS = 256
"""Of a tile whose sums a device makes at once: in float64 they take some of its memory."""


def evaluate(
    net: SegmentationNet, scenes: Sequence[PixelSource], engine: Engine, loss: LossTable, *, tile: int | None = None
) -> dict[str, float]:
    """Return loss and pixel Jaccard on whole scenes, without symmetries, on labelled pixels.

    Everything is summed over all scenes before it is divided. A pixel is of a class where half of it is covered, and
    predicted where the logit is above 0, that is the probability above a half.

    Args:
        net: The network.
        scenes: Validation scenes with the coverage of the network's classes.
        engine: Device and precision.
        loss: As in training.
        tile: Side of a forward pass in reference pixels; None takes what memory allows.

    Returns:
        `valid_loss`, `valid_jaccard` (the mean over classes that occur or are predicted) and `jaccard/<class>`, NaN
        for a class that neither occurs nor is predicted.

    Raises:
        RecipeError: If there is no scene.
    """
    if not scenes:
        raise RecipeError(problem("validation", "no scene"))
    count = _count_on_device if engine.samples else _count
    parts = [count(net, scene, engine, loss, tile) for scene in scenes]
    sums, counts_k2 = parts[0]
    for more, counts in parts[1:]:
        sums, counts_k2 = sums + more, counts_k2 + counts
    weights = torch.tensor(class_weights(loss, net.spec.classes), dtype=torch.float64)
    value, _ = combine_terms(sums, loss, weights)
    jaccard = [float(tp / union) if union else math.nan for tp, union in counts_k2]
    named = list(zip(net.spec.classes, jaccard, strict=True))
    defined = [j for name, j in named if not is_border(name) and not math.isnan(j)]
    row = {"valid_loss": float(value), "valid_jaccard": float(np.mean(defined)) if defined else math.nan}
    return row | {f"jaccard/{name}": j for name, j in named}


def _count(
    net: SegmentationNet, scene: PixelSource, engine: Engine, loss: LossTable, tile: int | None
) -> tuple[LossSums, IntArray]:
    """Return what the loss needs of a scene, and for each class pixels of both and of either, int64 (K, 2)."""
    sums: list[LossSums] = []
    counts_k2 = np.zeros((len(net.spec.classes), 2), np.int64)
    with contextlib.closing(predict_logits(net, scene, engine, tile)) as tiles:
        for window, logits_khw in tiles:
            share_khw, known_hw = scene.read_coverage(window)
            true_khw, found_khw = (share_khw >= 128) & known_hw, (logits_khw > 0) & known_hw
            counts_k2[:, 0] += (true_khw & found_khw).sum((1, 2))
            counts_k2[:, 1] += (true_khw | found_khw).sum((1, 2))
            logits = torch.from_numpy(logits_khw).double()[None]
            share, known = (torch.from_numpy(a) for a in _labels(scene, window, frame_of(loss)))
            sums.append(sum_pixels(logits, *split_frame(share[None] / 255, known[None, None].float(), loss)))
    return functools.reduce(operator.add, sums), counts_k2


@torch.inference_mode()
def _count_on_device(
    net: SegmentationNet, scene: PixelSource, engine: Engine, loss: LossTable, tile: int | None
) -> tuple[LossSums, IntArray]:
    """Count as `_count` where the logits are: labels are a quarter of them, and a processor takes longer for the sums.

    Nothing is waited for before the end, so the next tile is read while this one is computed.
    """
    shape_hw, frame, device = scene.grid.shape_hw, frame_of(loss), engine.device
    side = tile_side([net], PredictTable(tile=tile, symmetries=1), shape_hw, engine)
    reader = scene_reader([net], scene, engine)
    ready = make_ready_for(net, reader, engine)
    sums: list[LossSums] = []
    counts_k2 = torch.zeros((len(net.spec.classes), 2), dtype=torch.int64, device=device)
    for window in tile_windows(shape_hw, side):
        stop_if_asked()
        seen = reader.load(ready, window)
        logits = ready.unet(seen.stacks, seen.keep).float()
        share_khw, known_hw = _labels(scene, window, frame)
        there = send({"share": share_khw, "known": known_hw}, device)
        target, weight, near = split_frame(there["share"][None] / 255, there["known"][None, None].float(), loss)
        true, found = (target >= 0.5) & (weight > 0), (logits > 0) & (weight > 0)
        both = [(true & found).sum((0, 2, 3)), (true | found).sum((0, 2, 3))]
        counts_k2 += torch.stack(both, dim=1)
        for top in range(0, window.height, ROWS):
            rows = (..., slice(top, top + ROWS), slice(None))
            sums.append(
                sum_pixels(logits[rows].double(), target[rows], weight[rows], None if near is None else near[rows])
            )
    total = functools.reduce(operator.add, sums)
    return LossSums(*(getattr(total, f.name).cpu() for f in fields(total))), counts_k2.cpu().numpy()


def _labels(scene: PixelSource, window: Window, frame: int) -> tuple[ByteArray, BoolArray]:
    """Return shares (K, h, w) and where they are known (h, w), of a window and its frame; nothing is off the scene."""
    wide = window.pad(frame)
    there = wide.intersection(scene.grid.window) or window
    share_khw, known_hw = scene.read_coverage(there)
    beyond = (
        (there.row - wide.row, wide.row_stop - there.row_stop),
        (there.col - wide.col, wide.col_stop - there.col_stop),
    )
    return np.pad(share_khw, ((0, 0), *beyond)), np.pad(known_hw, beyond)
