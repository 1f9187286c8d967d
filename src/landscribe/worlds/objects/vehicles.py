"""Vehicles: where they stand or drive, and how each sensor sees them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import shapely
from numpy.random import Generator
from shapely.geometry import Polygon

from landscribe.core.arrays import FloatArray
from landscribe.worlds.ground.canvas import px
from landscribe.worlds.ground.regions import Mix, pick
from landscribe.worlds.objects.buildings import Frame

_PAINTS: Final[Mix] = (
    ("paint_white", 5),
    ("paint_silver", 4),
    ("paint_black", 3),
    ("paint_red", 2),
    ("paint_blue", 2),
    ("paint_orange", 0.5),
)


@dataclass(frozen=True)
class Vehicle:
    """A car, van, lorry or tractor."""

    frame: Frame
    """Its middle when RGB was taken; u points ahead."""
    length: float
    """Pixels."""
    width: float
    """Pixels."""
    height_m: float
    paint: str
    large: bool
    speed: float = 0.0
    """Pixels per second along u."""

    @cached_property
    def outline(self) -> Polygon:
        """The body as RGB sees it: the label."""
        return self.body(0.0)

    def body(self, seconds: float) -> Polygon:
        """Return the body `seconds` after RGB was taken."""
        moved = self.frame.at(self.speed * seconds, 0.0)
        round_px = px(0.3)
        core = moved.rectangle(0, 0, self.length - 2 * round_px, self.width - 2 * round_px)
        return core.buffer(round_px, quad_segs=3)

    def panes(self, seconds: float) -> list[Polygon]:
        """Return windscreen and rear window."""
        moved = self.frame.at(self.speed * seconds, 0.0)
        if self.large:
            return [moved.rectangle(self.length / 2 - px(0.5), 0, px(0.5), self.width * 0.8)]
        return [
            moved.rectangle(self.length * 0.17, 0, px(0.75), self.width * 0.78),
            moved.rectangle(-self.length * 0.3, 0, px(0.6), self.width * 0.74),
        ]

    def shadow(self, seconds: float, sun_xyz: FloatArray) -> Polygon:
        """Return the ground that it shades, itself included."""
        body = self.body(seconds)
        throw = -sun_xyz[:2] / sun_xyz[2] * px(self.height_m)
        moved = shapely.transform(body, lambda xy: xy + throw)
        return shapely.union_all([body, moved]).convex_hull


def make_car(rng: Generator, frame: Frame, speed_m: float = 0.0) -> Vehicle:
    """Make a car; `speed_m` in metres per second."""
    length, width = rng.uniform(3.8, 4.9), rng.uniform(1.7, 1.95)
    return Vehicle(frame, px(length), px(width), 1.4, pick(rng, _PAINTS), large=False, speed=px(speed_m))


def make_lorry(rng: Generator, frame: Frame, speed_m: float = 0.0) -> Vehicle:
    """Make a lorry or bus; `speed_m` in metres per second."""
    length, width = rng.uniform(7.5, 14), rng.uniform(2.35, 2.6)
    return Vehicle(frame, px(length), px(width), 3.0, pick(rng, _PAINTS), large=True, speed=px(speed_m))
