"""How far the seed alone moves a score: what networks that differ in nothing else give."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

NOISE = 2.0
"""A difference of more than so many standard deviations is not of the seeds alone."""
OF_CLASS = "jaccard/"
"""How columns of a history begin that have the Jaccard of a class, of pixels, in one view."""


@dataclass(frozen=True)
class RowSeeds:
    """The networks of one row of `[[models]]`, each alone on the held-out scenes."""

    name: str
    jaccard: Sequence[Mapping[str, float]]
    """Of each network, by class: of pixels, in one view; classes that are neither there nor predicted are left out."""

    @property
    def networks(self) -> int:
        """How many are averaged."""
        return len(self.jaccard)

    def means(self, classes: Collection[str] | None = None) -> list[float]:
        """Return the mean over classes of each network, over those classes that all of them have."""
        names = self.shared(classes)
        return [statistics.fmean(own[name] for name in names) for own in self.jaccard] if names else []

    def shared(self, classes: Collection[str] | None = None) -> list[str]:
        """Return the classes that all networks have a value of."""
        first = self.jaccard[0] if self.jaccard else {}
        return [
            name for name in first if (classes is None or name in classes) and all(name in own for own in self.jaccard)
        ]

    @property
    def spread(self) -> float | None:
        """Standard deviation of their means; None of one network."""
        return deviation(self.means())

    @property
    def noise(self) -> float | None:
        """Below this, two runs of so many averaged networks may differ by their seeds alone."""
        spread = self.spread
        return None if spread is None else NOISE * spread * math.sqrt(2 / self.networks)


def class_jaccards(row: Mapping[str, float]) -> dict[str, float]:
    """Return the Jaccard of each class of a row of a history, without those that have none."""
    found = {name.removeprefix(OF_CLASS): value for name, value in row.items() if name.startswith(OF_CLASS)}
    return {name: value for name, value in found.items() if not math.isnan(value)}


def deviation(values: Sequence[float]) -> float | None:
    """Return the standard deviation of a sample, None of fewer than two values."""
    return statistics.stdev(values) if len(values) > 1 else None


def seed_noise(
    first: Sequence[RowSeeds], second: Sequence[RowSeeds], classes: Collection[str]
) -> tuple[float | None, dict[str, float | None]]:
    """Return by how much two runs differ by their seeds alone: the standard deviation of the difference.

    The mean of n networks varies less than one of them by the square root of n. A side of one network is taken to vary
    as the other side does.

    Args:
        first: Networks of a run, row by row.
        second: Of another.
        classes: That are compared.

    Returns:
        Of the mean over classes, and of each class; None where neither side has two networks.
    """
    of_class = {name: _both([_of(rows, {name}) for rows in (first, second)]) for name in classes}
    return _both([_of(rows, classes) for rows in (first, second)]), of_class


def _of(rows: Sequence[RowSeeds], classes: Collection[str]) -> tuple[float | None, int]:
    """Return how far one network for each class varies in the mean over classes, and how many are averaged."""
    shared = {row.name: row.shared(classes) for row in rows}
    known = [row for row in rows if shared[row.name]]
    total = sum(len(shared[row.name]) for row in known)
    spreads = [deviation(row.means(classes)) for row in known]
    least = min((row.networks for row in known), default=1)
    if not known or any(spread is None for spread in spreads):
        return None, least
    parts = [len(shared[row.name]) / total * (spread or 0.0) for row, spread in zip(known, spreads, strict=True)]
    return math.hypot(*parts), least


def _both(sides: Sequence[tuple[float | None, int]]) -> float | None:
    known = [spread for spread, _ in sides if spread is not None]
    if not known:
        return None
    return math.hypot(*((known[0] if spread is None else spread) / math.sqrt(count) for spread, count in sides))
