"""Scores of a network on whole scenes that it has not learned from."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from landscribe.core.grid import Window
from landscribe.core.owners import is_border
from landscribe.core.pixel_source import PixelSource
from landscribe.core.recipe import LossTable
from landscribe.errors import RecipeError, problem
from landscribe.nn.device import Engine
from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.predict.tiles import predict_logits
from landscribe.nn.train.losses import LossSums, class_weights, combine_terms, frame_of, split_frame, sum_pixels


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
    sums: LossSums | None = None
    counts_k2 = np.zeros((len(net.spec.classes), 2), np.int64)
    for scene in scenes:
        with contextlib.closing(predict_logits(net, scene, engine, tile)) as tiles:
            for window, logits_khw in tiles:
                share_khw, known_hw = scene.read_coverage(window)
                true_khw, found_khw = (share_khw >= 128) & known_hw, (logits_khw > 0) & known_hw
                counts_k2[:, 0] += (true_khw & found_khw).sum((1, 2))
                counts_k2[:, 1] += (true_khw | found_khw).sum((1, 2))
                logits = torch.from_numpy(logits_khw).double()[None]
                part = sum_pixels(logits, *split_frame(*_labels(scene, window, frame_of(loss)), loss))
                sums = part if sums is None else sums + part
    if sums is None:
        raise RecipeError(problem("validation", "no scene"))
    weights = torch.tensor(class_weights(loss, net.spec.classes), dtype=torch.float64)
    value, _ = combine_terms(sums, loss, weights)
    jaccard = [float(tp / union) if union else math.nan for tp, union in counts_k2]
    named = list(zip(net.spec.classes, jaccard, strict=True))
    defined = [j for name, j in named if not is_border(name) and not math.isnan(j)]
    row = {"valid_loss": float(value), "valid_jaccard": float(np.mean(defined)) if defined else math.nan}
    return row | {f"jaccard/{name}": j for name, j in named}


def _labels(scene: PixelSource, window: Window, frame: int) -> tuple[Tensor, Tensor]:
    """Return share (1, K, h, w) and weight (1, 1, h, w) of a window and its frame; nothing is known off the scene."""
    wide = window.pad(frame)
    there = wide.intersection(scene.grid.window) or window
    share_khw, known_hw = scene.read_coverage(there)
    beyond = (
        (there.row - wide.row, wide.row_stop - there.row_stop),
        (there.col - wide.col, wide.col_stop - there.col_stop),
    )
    share, known = torch.from_numpy(np.pad(share_khw, ((0, 0), *beyond))), torch.from_numpy(np.pad(known_hw, beyond))
    return share[None] / 255, known[None, None].float()
