"""Ground: how much of the labelled ground is of a class, and whether that can teach and score it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LEAST_NEGATIVE = 0.001
"""With a smaller share of its labelled ground without the class, hardly any find of it could be false."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Ground of one class, in square metres or square pixels."""

    positive: float = 0.0
    """Labelled, and of the class."""
    negative: float = 0.0
    """Labelled, and not of the class."""
    unlabelled: float = 0.0
    """Seen, and nobody said what it is."""

    def __add__(self, other: Ground) -> Ground:
        return Ground(
            self.positive + other.positive, self.negative + other.negative, self.unlabelled + other.unlabelled
        )

    def scaled(self, factor: float) -> Ground:
        """Return the same ground in another unit."""
        return Ground(self.positive * factor, self.negative * factor, self.unlabelled * factor)

    @property
    def share(self) -> float:
        """Share of the labelled ground that is of the class: what saying yes everywhere would score."""
        labelled = self.positive + self.negative
        return self.positive / labelled if labelled > 0 else 0.0

    @property
    def has_negative(self) -> bool:
        """Say whether a false find could count."""
        return self.negative > 0 and self.negative >= LEAST_NEGATIVE * (self.positive + self.negative)


def add_ground(parts: list[Mapping[str, Ground]]) -> dict[str, Ground]:
    """Add up the ground of several scenes, class by class."""
    total: dict[str, Ground] = {}
    for part in parts:
        for name, ground in part.items():
            total[name] = total.get(name, Ground()) + ground
    return total


def without_negative(ground: Mapping[str, Ground]) -> list[str]:
    """Return the classes that cover all labelled ground, so that no find of them could be false."""
    return [name for name, own in ground.items() if own.positive > 0 and not own.has_negative]


def without_positive(ground: Mapping[str, Ground]) -> list[str]:
    """Return the classes of which there is nothing."""
    return [name for name, own in ground.items() if not own.positive > 0]
