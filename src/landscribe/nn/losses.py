"""The loss: binary cross entropy and soft overlap terms per class, on labelled pixels only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from landscribe.core.recipe import LossTable
from landscribe.errors import RecipeError, problem


@dataclass(frozen=True)
class LossSums:
    """What the loss needs of any number of pixels; sums of parts add up. Each tensor is float (K,)."""

    cross_entropy: Tensor
    """Sum of the binary cross entropy."""
    p: Tensor
    """Sum of the probability."""
    y: Tensor
    """Sum of the target."""
    py: Tensor
    """Sum of probability times target."""
    pixels: Tensor
    """Sum of the weight, the same for all classes."""

    def __add__(self, other: LossSums) -> LossSums:
        return LossSums(
            self.cross_entropy + other.cross_entropy,
            self.p + other.p,
            self.y + other.y,
            self.py + other.py,
            self.pixels + other.pixels,
        )


def class_weights(table: LossTable, classes: Sequence[str]) -> tuple[float, ...]:
    """Return the weight of each class, 1 where the table has none.

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
    return tuple(table.class_weight.get(name, 1.0) for name in classes)


def sum_pixels(logits_bkhw: Tensor, target_bkhw: Tensor, weight_b1hw: Tensor) -> LossSums:
    """Sum over batch and pixels, in float32 at least.

    Args:
        logits_bkhw: Float (B, K, H, W), any precision.
        target_bkhw: Float (B, K, H, W), covered share 0..1.
        weight_b1hw: Float (B, 1, H, W), 0 where nothing is known, else 1.
    """
    logits = logits_bkhw.float() if logits_bkhw.dtype in {torch.bfloat16, torch.float16} else logits_bkhw
    target, weight = target_bkhw.to(logits.dtype), weight_b1hw.to(logits.dtype)
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight
    p = torch.sigmoid(logits) * weight
    over = (0, 2, 3)
    pixels = weight.sum().expand(logits.shape[1])
    return LossSums(entropy.sum(over), p.sum(over), (target * weight).sum(over), (p * target).sum(over), pixels)


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
        doi:10.1007/978-3-319-50835-1_22. Sums over the whole batch: `reference_methods.md` 2.6.
    """
    total = table.bce + table.dice + table.jaccard
    if not total > 0:
        raise RecipeError(problem("loss", "every term has weight 0", need="bce, dice or jaccard above 0"))
    both = sums.p + sums.y
    parts = table.bce / total * _ratio(sums.cross_entropy, sums.pixels)
    if table.dice:
        parts = parts + table.dice / total * (both > 0) * (1 - _ratio(2 * sums.py, both))
    if table.jaccard:
        union = both - sums.py
        parts = parts + table.jaccard / total * (union > 0) * (1 - _ratio(sums.py, union))
    return (parts * class_weight_k).sum() / class_weight_k.sum(), parts


def segmentation_loss(
    logits_bkhw: Tensor, target_bkhw: Tensor, weight_b1hw: Tensor, table: LossTable, class_weight_k: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the loss of a batch and its part of each class; see `sum_pixels` and `combine_terms`."""
    return combine_terms(sum_pixels(logits_bkhw, target_bkhw, weight_b1hw), table, class_weight_k)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    # Where b is 0 so is a; the inner `where` keeps the gradient finite.
    return torch.where(b > 0, a / torch.where(b > 0, b, torch.ones_like(b)), torch.zeros_like(a))
