"""The loss: binary cross entropy and soft overlap terms per class, on labelled pixels only."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from landscribe.core.owners import is_border
from landscribe.core.recipe import LossTable
from landscribe.errors import RecipeError, problem
from landscribe.nn.loss.sums import LossSums, sum_pixels

__all__ = [
    "LossSums",
    "class_weights",
    "combine_terms",
    "distance_target",
    "frame_of",
    "frame_px",
    "segmentation_loss",
    "split_frame",
    "sum_pixels",
]

BORDER_WEIGHT = 0.5
"""Of what says where things of a class end, against a class."""
LOG_SMOOTHING = 1e-12
"""Keeps -ln J finite where nothing is right; as in the second DSTL method."""


def class_weights(table: LossTable, classes: Sequence[str]) -> tuple[float, ...]:
    """Return the weight of each output: 1 where the table has none, less for where things of one end.

    Raises:
        RecipeError: If the table names a class that the model does not have, or a weight is not positive.
    """
    unknown = sorted(set(table.class_weight) - set(classes))
    if unknown:
        raise RecipeError(
            problem("loss.class_weight", "unknown class", got=", ".join(unknown), need=" | ".join(classes))
        )
    wrong = {name: w for name, w in table.class_weight.items() if not 0 < w < float("inf")}
    if wrong:
        raise RecipeError(problem("loss.class_weight", "not a positive number", got=wrong))
    own = {name: BORDER_WEIGHT if is_border(name) else 1.0 for name in classes}
    return tuple((own | table.class_weight).values())


def frame_of(table: LossTable) -> int:
    """Return how many pixels around what is learned from the loss wants to know labels of."""
    return frame_px(table.distance_px) if _wants_distance(table) else 0


def split_frame(target_bkhw: Tensor, weight_b1hw: Tensor, table: LossTable) -> tuple[Tensor, Tensor, Tensor | None]:
    """Cut the frame of `frame_of` off and return target, weight, and the distance target if the loss has use for it."""
    frame = frame_of(table)
    if not frame:
        return target_bkhw, weight_b1hw, None
    inner = (..., slice(frame, -frame), slice(frame, -frame))
    near = distance_target(target_bkhw, weight_b1hw, table.distance_px)
    return target_bkhw[inner], weight_b1hw[inner], near[inner]


def combine_terms(sums: LossSums, table: LossTable, class_weight_k: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss and its part of each class.

    A term whose denominator is 0 (no labelled pixel; nothing there and nothing predicted) is 0 for that class.

    Args:
        sums: From `sum_pixels`.
        table: Weights of the terms; divided by their sum.
        class_weight_k: Float (K,), divided by its sum.

    Returns:
        The weighted mean over classes, scalar, and the classes' own losses, (K,).

    Raises:
        RecipeError: If all weights are zero.

    Source:
        Soft dice: Milletari et al. (2016), arXiv:1606.04797, with the factor 2. Soft Jaccard: Rahman & Wang (2016),
        doi:10.1007/978-3-319-50835-1_22. Sums over the whole batch, the factor 1, distances: `reference_methods.md`
        2.6; -ln J: 3.4 there.
    """
    if not any(getattr(table, name) > 0 for name in TERMS):
        raise RecipeError(problem("loss", "every term has weight 0", need=f"one of {', '.join(TERMS)} above 0"))
    weights = {name: getattr(table, name) for name in TERMS if getattr(table, name) > 0}
    parts = sum(weight * TERMS[name](sums, table) for name, weight in weights.items()) / sum(weights.values())
    return (parts * class_weight_k).sum() / class_weight_k.sum(), parts


def segmentation_loss(
    logits_bkhw: Tensor, target_bkhw: Tensor, weight_b1hw: Tensor, table: LossTable, class_weight_k: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the loss of a batch and its part of each class; see `sum_pixels` and `combine_terms`.

    The loss is a mean. Any constant factor on it (the first DSTL method takes the sum over classes times the batch
    size, the second does not divide by the weights) makes gradients as many times longer, which the optimisers here,
    all of Adam's kind, divide out again, up to their epsilon of 1e-8.

    Args:
        logits_bkhw: Float (B, K, H, W).
        target_bkhw: Covered share 0..1, larger by `frame_of(table)` on each side.
        weight_b1hw: 0 where nothing is known, else 1; of the target's size.
        table: Weights of the terms.
        class_weight_k: Float (K,).
    """
    target, weight, near = split_frame(target_bkhw, weight_b1hw, table)
    return combine_terms(sum_pixels(logits_bkhw, target, weight, near), table, class_weight_k)


def _wants_distance(table: LossTable) -> bool:
    return any((table.distance, table.distance_dice, table.distance_jaccard))


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    # Where b is 0 so is a; the inner `where` keeps the gradient finite.
    return torch.where(b > 0, a / torch.where(b > 0, b, torch.ones_like(b)), torch.zeros_like(a))


def _dice(p: Tensor, y: Tensor, py: Tensor, factor: int) -> Tensor:
    return (p + y > 0) * (1 - _ratio(factor * py, p + y))


def _jaccard(p: Tensor, y: Tensor, py: Tensor) -> Tensor:
    union = p + y - py
    return (union > 0) * (1 - _ratio(py, union))


def _log_jaccard(s: LossSums) -> Tensor:
    return torch.log(s.p + s.y - s.py + LOG_SMOOTHING) - torch.log(s.py + LOG_SMOOTHING)


TERMS: dict[str, Callable[[LossSums, LossTable], Tensor]] = {
    "bce": lambda s, _t: _ratio(s.cross_entropy, s.pixels),
    "dice": lambda s, t: _dice(s.p, s.y, s.py, t.dice_factor),
    "jaccard": lambda s, _t: _jaccard(s.p, s.y, s.py),
    "log_jaccard": lambda s, _t: _log_jaccard(s),
    "distance": lambda s, _t: _ratio(s.squared, s.pixels),
    "distance_dice": lambda s, t: _dice(s.p, s.d, s.pd, t.dice_factor),
    "distance_jaccard": lambda s, _t: _jaccard(s.p, s.d, s.pd),
}
"""Terms of the loss by their name in the recipe, each float (K,)."""


def distance_target(share_bkhw: Tensor, weight_b1hw: Tensor, limit_px: float) -> Tensor:
    """Return a ramp across the border of each class: 0 far outside, a half between the two sides, 1 far inside.

    A pixel is inside where half of it is covered. Its value is (1 + inner - outer) / 2 with the Euclidean distances to
    the nearest pixel outside and inside, in units of `limit_px` and at most 1. Pixels of which nothing is known are on
    neither side.

    Args:
        share_bkhw: Covered share, float (B, K, H, W).
        weight_b1hw: Float (B, 1, H, W), 0 where nothing is known.
        limit_px: Where the ramp ends, in pixels.

    Returns:
        float32 (B, K, H, W). Within `limit_px` of the chip's edge it is what the chip alone says.

    Source:
        `reference_methods.md` 2.4, whose distances are up to 5 % shorter than these exact ones (a 3 x 3 chamfer).
    """
    known = weight_b1hw > 0
    inner = _distance_to((share_bkhw < 0.5) & known, limit_px)
    outer = _distance_to((share_bkhw >= 0.5) & known, limit_px)
    return (1 + (inner - outer) / limit_px) / 2


def frame_px(limit_px: float) -> int:
    """Return how many pixels around a chip its distances depend on."""
    return math.ceil(limit_px)


def _distance_to(there_bkhw: Tensor, limit_px: float) -> Tensor:
    """Return the distance to the nearest marked pixel, at most `limit_px`: first along columns, then along rows."""
    reach, far = frame_px(limit_px), limit_px**2
    squared = torch.where(there_bkhw, 0.0, far)
    for dim, padding in ((-2, (0, 0, reach, reach)), (-1, (reach, reach, 0, 0))):
        size = squared.shape[dim]
        padded = functional.pad(squared, padding, value=far)
        for offset in range(2 * reach + 1):
            squared = torch.minimum(squared, padded.narrow(dim, offset, size) + (offset - reach) ** 2)
    return squared.sqrt()
