"""Which places validate: splits and folds that keep the ground of one side off the other.

A place is whatever its owner says: a city, a region, an image and its twin of another season. Whether two scenes
show the same ground, told or not, is looked for in `landscribe.core.split.leaks`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from landscribe.core.arrays import AnyArray, FloatArray, IntArray
from landscribe.errors import DataError, problem

DSTL_SAME_GROUND = (("6110", "6140"), ("6020", "6130"), ("6030", "6150"))
"""Regions of the DSTL data that show the same ground in two seasons."""

DSTL_FIVE = ("6140_3_1", "6110_1_2", "6160_2_1", "6170_0_4", "6100_2_2")
"""Images that DSTL's fifth place validated on. Two of them have a twin of another season among the others."""

DRAWS = 4096
"""Random splits looked at before the best is improved by exchanges."""

LACKING = 1.0
"""Price of a class that lacks on a side that could have it, in shares of area; above any price of imbalance."""


def dstl_place(scene: str) -> str:
    """Return the place of a DSTL image: its region and cell, under one name for the two seasons of one region.

    Args:
        scene: Image id such as ``6140_3_1``.

    Returns:
        ``6110_3_1`` for both ``6110_3_1`` and ``6140_3_1``.
    """
    region, _, cell = scene.partition("_")
    first = {late: early for early, late in DSTL_SAME_GROUND}
    return "_".join((first.get(region, region), cell)) if cell else first.get(region, region)


def split_places(
    scene_places: Mapping[str, str],
    share: float,
    seed: int,
    class_areas: Mapping[str, FloatArray] | None = None,
) -> frozenset[str]:
    """Choose the places that validate.

    With class areas, among thousands of random choices the one is taken that puts each class on both sides where it
    occurs in two places or more, and whose shares of area come closest to `share`.

    Args:
        scene_places: Place of each scene.
        share: Share of the places that validate, in (0, 1); at least one place stands on each side.
        seed: Of the choice; the order of the mapping does not matter.
        class_areas: Area of each class per scene, (K,), any unit; None ignores classes.

    Returns:
        Validation places; none where there is only one place.

    Raises:
        DataError: If `share` is out of range, or a scene lacks its areas.
    """
    if not 0 < share < 1:
        raise DataError(problem("[validate].share", "out of range", got=share, need="above 0 and below 1"))
    names = sorted(set(scene_places.values()))
    if len(names) < 2:
        return frozenset()
    count = min(max(round(share * len(names)), 1), len(names) - 1)
    sides = np.zeros(len(names), dtype=np.int64)
    sides[:count] = 1
    chosen = _assign(sides, _area_shares(scene_places, names, class_areas), np.array([1 - share, share]), seed)
    return frozenset(name for name, side in zip(names, chosen, strict=True) if side == 1)


def stratify(areas: Mapping[str, float], *, every: int = 4, first: int = 1) -> frozenset[str]:
    """Choose scenes that validate by how much they show: sorted by area, every so many-th of them.

    Args:
        areas: Area of the classes that matter in each scene, any unit.
        every: Distance of the chosen ones in the order.
        first: Place of the first one, the scene with the largest area being 0.

    Source:
        DSTL's fifth place: descending by (area, id), every fourth from the second one on.
    """
    order = sorted(areas, key=lambda scene: (areas[scene], scene), reverse=True)
    return frozenset(order[first::every])


def folds(
    scene_places: Mapping[str, str],
    count: int,
    seed: int,
    class_areas: Mapping[str, FloatArray] | None = None,
) -> tuple[frozenset[str], ...]:
    """Deal the places into folds of equal number of places, give or take one.

    Args:
        scene_places: Place of each scene.
        count: Number of folds, 2 or more.
        seed: Of the choice.
        class_areas: Area of each class per scene, (K,); folds then get like shares of each class.

    Returns:
        The validation places of each fold; together all places, each once.

    Raises:
        DataError: If there are fewer places than folds, or a scene lacks its areas.
    """
    names = sorted(set(scene_places.values()))
    if not 2 <= count <= len(names):
        raise DataError(problem("folds", "wrong number of folds", got=count, need=f"2 to {len(names)}, one per place"))
    sides = np.arange(len(names)) % count
    chosen = _assign(sides, _area_shares(scene_places, names, class_areas), np.full(count, 1 / count), seed)
    return tuple(
        frozenset(name for name, side in zip(names, chosen, strict=True) if side == fold) for fold in range(count)
    )


def unlikeness(first_k: FloatArray, second_k: FloatArray) -> float:
    """Say how unlike two sides of a split are in what they show: half the summed difference of class shares.

    Args:
        first_k: Area of each class on one side, (K,).
        second_k: The same of the other side.

    Returns:
        0 where the mixtures are the same, 1 where they have no class in common; NaN where a side is empty.
    """
    if not (first_k.sum() > 0 and second_k.sum() > 0):
        return float("nan")
    return float(np.abs(first_k / first_k.sum() - second_k / second_k.sum()).sum() / 2)


def _area_shares(
    scene_places: Mapping[str, str], names: list[str], class_areas: Mapping[str, FloatArray] | None
) -> FloatArray | None:
    """Return each place's share of every class, (P, K + 1); the last column is its share of the scenes."""
    if class_areas is None:
        return None
    lost = sorted(set(scene_places) - set(class_areas))
    if lost:
        raise DataError(problem("split", "scenes without class areas", got=", ".join(lost[:5])))
    position = {name: i for i, name in enumerate(names)}
    n_classes = max((len(areas) for areas in class_areas.values()), default=0)
    table_pk = np.zeros((len(names), n_classes + 1))
    for scene, place in sorted(scene_places.items()):
        table_pk[position[place], :-1] += class_areas[scene]
        table_pk[position[place], -1] += 1
    total = table_pk.sum(0)
    return table_pk[:, total > 0] / total[total > 0]


def _assign(sides: IntArray, shares_pk: FloatArray | None, targets: FloatArray, seed: int) -> IntArray:
    """Permute `sides` over the places: at random, or the best of many draws improved by exchanges."""
    rng = np.random.default_rng(seed)
    if shares_pk is None:
        return rng.permutation(sides)
    draws = max(64, min(DRAWS, 40_000_000 // (shares_pk.size * len(targets))))
    tried = rng.permuted(np.broadcast_to(sides, (draws, len(sides))), axis=1)
    best: IntArray = tried[int(np.argmin(_price(tried, shares_pk, targets)))]
    return _exchange(best, shares_pk, targets)


def _exchange(sides: IntArray, shares_pk: FloatArray, targets: FloatArray) -> IntArray:
    """Exchange pairs of places between sides as long as that lowers the price."""
    price = _price(sides[None], shares_pk, targets)[0]
    for _ in range(len(sides)):
        first, second = np.nonzero(sides[:, None] < sides[None, :])
        if len(first) * shares_pk.size * len(targets) > 40_000_000:
            return sides  # so many places that chance alone balances them
        tried = np.repeat(sides[None], len(first), axis=0)
        row = np.arange(len(first))
        tried[row, first], tried[row, second] = sides[second], sides[first]
        prices = _price(tried, shares_pk, targets)
        if not len(prices) or prices.min() >= price - 1e-12:
            break
        sides, price = tried[int(np.argmin(prices))], prices.min()
    return sides


def _price(tried_np: IntArray, shares_pk: FloatArray, targets: FloatArray) -> FloatArray:
    """Return (N,) prices: distance of each side's shares from its target, plus `LACKING` per side without a class."""
    present_pk = (shares_pk > 0).astype(np.float64)
    reachable_k = np.minimum(present_pk.sum(0), len(targets))
    price: AnyArray = np.zeros(len(tried_np))
    sides_having_k = np.zeros((len(tried_np), shares_pk.shape[1]))
    for side, target in enumerate(targets):
        here = (tried_np == side).astype(np.float64)
        price += np.abs(here @ shares_pk - target).sum(1) / shares_pk.shape[1] / len(targets)
        sides_having_k += here @ present_pk > 0
    return price + LACKING * (reachable_k - sides_having_k).sum(1)
