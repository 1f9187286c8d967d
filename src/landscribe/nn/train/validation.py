"""Scores of a network on whole scenes that it has not learned from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from landscribe.core.arrays import AnyArray, BoolArray
from landscribe.core.grid import Window
from landscribe.core.recipe import LossTable
from landscribe.errors import RecipeError, problem
from landscribe.nn.device import Engine
from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.predict.tiles import predict_logits
from landscribe.nn.scene import SceneArrays
from landscribe.nn.train.losses import LossSums, class_weights, combine_terms, frame_of, split_frame, sum_pixels


def evaluate(
    net: SegmentationNet, scenes: Sequence[SceneArrays], engine: Engine, loss: LossTable, *, tile: int | None = None
) -> dict[str, float]:
    """Return loss and pixel Jaccard on whole scenes, without symmetries, on labelled pixels.

    Everything is summed over all scenes before it is divided. A pixel is of a class where half of it is covered, and
    predicted where the logit is above 0, that is the probability above a half.

    Args:
        net: The network.
        scenes: Validation scenes.
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
        shapes = {name: image.shape[1:] for name, image in scene.images_chw.items()}
        for window, logits_khw in predict_logits(net, _reader(scene), scene.shape_hw, scene.maps, shapes, engine, tile):
            known_hw = scene.labelled_hw[window.slices]
            share_khw = scene.coverage_khw[:, *window.slices]
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
    defined = [j for j in jaccard if not math.isnan(j)]
    row = {"valid_loss": float(value), "valid_jaccard": float(np.mean(defined)) if defined else math.nan}
    return row | {f"jaccard/{name}": j for name, j in zip(net.spec.classes, jaccard, strict=True)}


def _labels(scene: SceneArrays, window: Window, frame: int) -> tuple[Tensor, Tensor]:
    """Return share (1, K, h, w) and weight (1, 1, h, w) of a window and its frame; nothing is known off the scene."""
    rows, off_rows = _span(window.row - frame, window.row_stop + frame, scene.shape_hw[0])
    cols, off_cols = _span(window.col - frame, window.col_stop + frame, scene.shape_hw[1])
    share_khw = np.pad(scene.coverage_khw[:, rows, cols], ((0, 0), off_rows, off_cols))
    known_hw = np.pad(scene.labelled_hw[rows, cols], (off_rows, off_cols))
    return torch.from_numpy(share_khw)[None] / 255, torch.from_numpy(known_hw)[None, None].float()


def _span(start: int, stop: int, size: int) -> tuple[slice, tuple[int, int]]:
    """Return the part of a span that lies on the scene, and how much of it lies before and behind."""
    return slice(max(start, 0), min(stop, size)), (max(-start, 0), max(stop - size, 0))


def _reader(scene: SceneArrays) -> Callable[[str, Window], tuple[AnyArray, BoolArray]]:
    def read(sensor: str, window: Window) -> tuple[AnyArray, BoolArray]:
        return scene.images_chw[sensor][:, *window.slices], scene.valid_hw[sensor][window.slices]

    return read
