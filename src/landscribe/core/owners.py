"""Which networks own a class, the mean of what they predict, and which class owns a pixel that only one may have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

import numpy as np

from landscribe.core.arrays import AnyArray, FloatArray
from landscribe.errors import RecipeError, problem

Owners: TypeAlias = tuple[tuple[int, float], ...]
"""Outputs that predict a class, counted over all networks in their order, with their weights (sum 1)."""

MEMBER = "+"
"""Stands between the name of a row of `[[models]]` and what tells its networks apart; no row has it in its name."""


BORDER = "~border"
"""Ends the name of an output that says where the outlines of the things of a class are; no class has it in its name."""


class Ensembling(Protocol):
    """What `[predict]` says about several owners of a class."""

    @property
    def ensemble(self) -> bool:
        """Whether rows of `[[models]]` may own the same class."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Weights of rows, by name; 1 where none is given."""


def border_of(class_name: str) -> str:
    """Return the name of the output that says where the outlines of the things of a class are."""
    return class_name + BORDER


def is_border(output: str) -> bool:
    """Tell whether an output is of no class, but of the outlines of the things of one."""
    return output.endswith(BORDER)


def class_of(output: str) -> str:
    """Return the class that an output is about."""
    return output.removesuffix(BORDER)


def row_of(network: str) -> str:
    """Return the name of the row of `[[models]]` that a network belongs to."""
    return network.partition(MEMBER)[0]


def require_owners(classes_of: Mapping[str, Sequence[str]], predict: Ensembling) -> None:
    """Refuse rows of `[[models]]` that own the same class without `[predict].ensemble`, and weights of no row.

    Args:
        classes_of: Classes of each row.
        predict: The table.

    Raises:
        RecipeError: If two rows own a class and the recipe does not allow it, or a weight is of no row or not
            positive.
    """
    owned = [name for classes in classes_of.values() for name in dict.fromkeys(classes)]
    twice = sorted({name for name in owned if owned.count(name) > 1})
    if twice and not predict.ensemble:
        do = "set predict.ensemble = true to average them"
        raise RecipeError(problem("[[models]]", "two models own a class", got=", ".join(twice), do=do))
    unknown = sorted(set(predict.weights) - set(classes_of))
    if unknown:
        need = " | ".join(classes_of)
        raise RecipeError(problem("predict.weights", "no such model", got=unknown[0], need=need))
    wrong = {name: weight for name, weight in predict.weights.items() if not 0 < weight < float("inf")}
    if wrong:
        raise RecipeError(problem("predict.weights", "not a positive number", got=wrong))


def find_owners(
    legend: Sequence[str], networks: Sequence[tuple[str, Sequence[str]]], predict: Ensembling
) -> tuple[Owners, ...]:
    """Return, for each class of the legend, which outputs predict it; none where no network does.

    Args:
        legend: Class names.
        networks: Row of `[[models]]` and classes of each network, in the order of their outputs.
        predict: Its `ensemble` and `weights`.

    Raises:
        RecipeError: As `require_owners`.
    """
    classes_of: dict[str, list[str]] = {}
    for row, classes in networks:
        classes_of.setdefault(row, []).extend(classes)
    require_owners(classes_of, predict)
    outputs = [(name, row) for row, classes in networks for name in classes]
    result = []
    for wanted in legend:
        rows = [row for name, row in outputs if name == wanted]
        shares = {
            i: predict.weights.get(row, 1.0) / rows.count(row) for i, (n, row) in enumerate(outputs) if n == wanted
        }
        total = sum(shares.values())
        result.append(tuple((i, share / total) for i, share in shares.items()))
    return tuple(result)


def average_owners(p_ohw: Sequence[FloatArray], owners: Sequence[Owners], combine: str) -> Iterator[FloatArray]:
    """Yield the probability of each class, float32 (h, w), 0 for a class without owner.

    Args:
        p_ohw: Probability of each output, float32 (h, w).
        owners: Of each class.
        combine: `arithmetic` or `geometric`.
    """
    for shares in owners:
        if len(shares) == 1:
            yield p_ohw[shares[0][0]]
        elif shares:
            yield _mean(np.stack([p_ohw[i] for i, _ in shares]), np.array([w for _, w in shares], np.float32), combine)
        else:
            yield np.zeros_like(p_ohw[0])


def _mean(p_nhw: FloatArray, weight_n: FloatArray, combine: str) -> FloatArray:
    if combine == "arithmetic":
        return np.tensordot(weight_n, p_nhw, 1)
    with np.errstate(divide="ignore"):
        return np.exp(np.tensordot(weight_n, np.log(p_nhw), 1))


def against_the_best_other(probability_khw: AnyArray) -> FloatArray:
    """Return the probability of each class as a share of itself and the best other class.

    It is above 0.5 exactly where the class is the most probable one, and crosses 0.5 between pixels where two classes
    tie, so that their contours at 0.5 run along the same line.

    Args:
        probability_khw: (K, H, W): uint8, 0..255 for 0..1, or bool or float, 0..1.

    Returns:
        float32 (K, H, W), 0..1; 0 where all classes are 0, and the probability itself where there is one class.
    """
    p_khw = _as_floats(probability_khw)
    if len(p_khw) == 1:
        return p_khw
    ordered = np.partition(p_khw, -2, axis=0)
    best_hw, second_hw = ordered[-1], ordered[-2]
    other_khw = np.where(p_khw == best_hw, second_hw, best_hw)
    # Where two classes tie for the best, each has the other beside it.
    other_khw = np.where((p_khw == best_hw) & (best_hw == second_hw), best_hw, other_khw)
    whole_khw = p_khw + other_khw
    return np.divide(p_khw, whole_khw, out=np.zeros_like(p_khw), where=whole_khw > 0)


def one_against_the_best_other(probability_khw: AnyArray, index: int) -> FloatArray:
    """Return one class of `against_the_best_other`, float32 (H, W), without making the others."""
    p_hw = _as_floats(probability_khw[index])
    if len(probability_khw) == 1:
        return p_hw
    others_khw = probability_khw[np.arange(len(probability_khw)) != index]
    whole_hw = p_hw + _as_floats(others_khw.max(axis=0))
    return np.divide(p_hw, whole_hw, out=np.zeros_like(p_hw), where=whole_hw > 0)


def _as_floats(probability: AnyArray) -> FloatArray:
    p = probability.astype(np.float32)
    return p / 255 if probability.dtype == np.uint8 else p
