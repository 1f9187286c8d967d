"""Choosing windows one after the other, so that each adds something to those before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from landscribe.core.arrays import FloatArray
from landscribe.core.grid import Window
from landscribe.core.suggest.looks import apart
from landscribe.core.suggest.windows import REST, shared

EARTH_RADIUS_M = 6_371_000.0
NEAR_SIDES = 2.0
"""Two windows so many sides apart are 1/e as like each other as neighbours, whatever they look like."""


@dataclass(frozen=True)
class Spot:
    """Where a window lies."""

    scene: str
    place: str
    window: Window
    frame: str
    """Windows of one frame have distances; those of others are far away."""
    centre: tuple[float, float, float]
    """In the unit of `side`."""
    side: float
    """Of the window."""


def on_earth(lon_deg: float, lat_deg: float) -> tuple[float, float, float]:
    """Return a point of the earth as metres in space, so that distances are right in any CRS and across them."""
    lon, lat = np.radians(lon_deg), np.radians(lat_deg)
    x, y, z = EARTH_RADIUS_M * np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    return float(x), float(y), float(z)


def choose(worth_n: FloatArray, looks_nf: FloatArray, spots: Sequence[Spot], count: int) -> list[int]:
    """Choose windows greedily: the largest worth times what is new in a window, divided among places.

    A window is as new as it is unlike the chosen one that is most like it, in looks or by lying near; one that looks
    exactly like a chosen one has nothing new and comes after all that have. The worth of windows of a place is divided
    by one more than how many were chosen there, as seats are by d'Hondt. Ties go to the first.

    Args:
        worth_n: Of each window, 0 or more.
        looks_nf: What each looks like, in units (N, F).
        spots: Where each lies.
        count: How many to choose; fewer where windows would share ground.

    Returns:
        Positions of the chosen windows in the order of choice.
    """
    if not len(spots):
        return []
    frames = np.array([spot.frame for spot in spots])
    places = np.array([spot.place for spot in spots])
    scenes = np.array([spot.scene for spot in spots])
    centres = np.array([spot.centre for spot in spots])
    scale = _usual_distance(looks_nf)
    new_n = np.ones(len(spots))
    taken_n = np.zeros(len(spots))
    free_n = np.ones(len(spots), np.bool_)
    chosen: list[int] = []
    while len(chosen) < count and free_n.any():
        now = np.where(free_n, worth_n * new_n / (1 + taken_n), -1.0)
        if now.max() <= 0:  # nothing is new any more
            now = np.where(free_n, worth_n / (1 + taken_n), -1.0)
        best = int(np.argmax(now))
        chosen.append(best)
        free_n[best] = False
        for k in np.flatnonzero(free_n & (scenes == scenes[best])).tolist():
            free_n[k] = shared(spots[k].window, spots[best].window) <= REST
        taken_n += places == places[best]
        like_n = np.exp(-apart(looks_nf, looks_nf[best : best + 1])[:, 0] / scale) if scale > 0 else np.ones(len(spots))
        near_n = np.exp(-np.linalg.norm(centres - centres[best], axis=1) / (NEAR_SIDES * spots[best].side))
        new_n = np.minimum(new_n, 1 - np.maximum(like_n, np.where(frames == frames[best], near_n, 0.0)))
    return chosen


def _usual_distance(looks_nf: FloatArray) -> float:
    """Return half of the mean distance of windows from the mean look; 0 where all look the same."""
    middle = looks_nf.mean(axis=0, keepdims=True)
    return float(apart(looks_nf, middle).mean()) / 2
