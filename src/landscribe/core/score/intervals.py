"""95 % intervals of scores, from drawing pieces of evidence with replacement.

What is drawn are places, because scenes of one place are no independent evidence. Where a class stands in one place
only, its scenes are drawn, and where it stands in one scene only, the parts of that scene. Such an interval knows
nothing about other places and is too narrow for them; its basis is named beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from landscribe.core.arrays import FloatArray

Basis = Literal["places", "scenes", "parts"]

BASES: tuple[Basis, ...] = ("places", "scenes", "parts")
"""What may be drawn, the best evidence first."""
DRAWS = 2000
"""Bootstrap samples; the ends of a 95 % interval then rest on 50 of them."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Ends of a 95 % interval; NaN where there is no evidence for one."""

    low: float
    high: float


NO_INTERVAL = Interval(math.nan, math.nan)


@dataclass(frozen=True)
class Evidence:
    """Areas of every class in pieces of three sizes: the same areas each time."""

    tables: Mapping[Basis, FloatArray]
    """TP, FP, FN per piece and class, float64 (N, K, 3); a basis that was not measured is missing."""
    draws: int
    seed: int
    known: dict[Basis, FloatArray] = field(default_factory=dict)
    """What was drawn already."""

    def basis_of(self, classes: Sequence[int]) -> Basis | None:
        """Return the best basis with two pieces or more that show one of the classes; None where there is none.

        For one class, its own pieces count. For several, it is enough that one of them stands in two pieces: the
        others then move together with it.
        """
        for basis in BASES:
            table_nk3 = self.tables.get(basis)
            if table_nk3 is not None and any(np.count_nonzero(table_nk3[:, k].sum(-1) > 0) > 1 for k in classes):
                return basis
        return None

    def draw(self, basis: Basis) -> FloatArray:
        """Return the Jaccard of every class in every sample, float64 (draws, K), NaN where a class is not drawn."""
        if basis not in self.known:
            self.known[basis] = jaccard_of(bootstrap(self.tables[basis], self.draws, self.seed))
        return self.known[basis]


def bootstrap(areas_pk3: FloatArray, draws: int = DRAWS, seed: int = 0) -> FloatArray:
    """Draw pieces with replacement and sum their areas.

    Args:
        areas_pk3: TP, FP, FN per piece and class, float64 (P, K, 3).
        draws: Number of samples, each of P pieces.
        seed: Of the draw; the same seed draws the same pieces, so that two runs can be compared pair by pair.

    Returns:
        Sums, float64 (draws, K, 3).
    """
    n_pieces, n_classes, _ = areas_pk3.shape
    if not n_pieces:
        return np.zeros((draws, n_classes, 3))
    rng = np.random.default_rng(seed)
    flat = areas_pk3.reshape(n_pieces, -1)
    sums = np.empty((draws, flat.shape[1]))
    # In blocks, so that ten thousand places need no gigabyte of counts.
    block = max(1, 4_000_000 // n_pieces)
    for start in range(0, draws, block):
        size = min(block, draws - start)
        sums[start : start + size] = rng.multinomial(n_pieces, np.full(n_pieces, 1 / n_pieces), size) @ flat
    return sums.reshape(draws, n_classes, 3)


def interval(samples: FloatArray) -> Interval:
    """Return the central 95 % of samples, NaN left out.

    Args:
        samples: Any shape; NaN where a sample has no value.
    """
    known = samples[~np.isnan(samples)]
    if not known.size:
        return NO_INTERVAL
    low, high = np.percentile(known, (2.5, 97.5))
    return Interval(float(low), float(high))


def jaccard_of(areas_nk3: FloatArray) -> FloatArray:
    """Return the Jaccard of TP, FP, FN on the last axis, NaN where there is nothing on either side."""
    whole = areas_nk3.sum(-1)
    return np.divide(areas_nk3[..., 0], whole, out=np.full(whole.shape, math.nan), where=whole > 0)


def f1_of(jaccard: FloatArray) -> FloatArray:
    """Return the F1 that belongs to a Jaccard of the same counts."""
    return 2 * jaccard / (1 + jaccard)
