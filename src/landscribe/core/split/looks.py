"""How unlike scenes look: distances of their brightness, band by band, in units that training pixels vary by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from landscribe.core.arrays import FloatArray


@dataclass(frozen=True)
class Look:
    """Brightness of the valid pixels of a scene or of several."""

    pixels: int
    mean: FloatArray
    """Mean of each band, of all sensors one after the other, float64 (B,)."""
    std: FloatArray
    """Standard deviation of each band, float64 (B,)."""


def pool_looks(looks: Sequence[Look]) -> Look | None:
    """Return the brightness of all pixels together; None where there are none, or the bands differ in number."""
    seen = [look for look in looks if look.pixels]
    if not seen or len({len(look.mean) for look in seen}) > 1:
        return None
    weight = np.array([look.pixels for look in seen], np.float64)
    mean_sb = np.array([look.mean for look in seen])
    square_sb = np.array([look.std for look in seen]) ** 2 + mean_sb**2
    mean = weight @ mean_sb / weight.sum()
    square = weight @ square_sb / weight.sum()
    return Look(int(weight.sum()), mean, np.sqrt(np.maximum(square - mean**2, 0.0)))


def looks_apart(scene: Look | None, known: Look | None) -> float:
    """Say how far a scene's mean brightness lies from that of known pixels.

    Args:
        scene: The scene, or several pooled.
        known: What it is held against, such as the training scenes.

    Returns:
        Root mean square over the bands of the difference of means, in standard deviations of the known pixels; NaN
        where either is missing or no band varies.
    """
    if scene is None or known is None or len(scene.mean) != len(known.mean) or not scene.pixels:
        return float("nan")
    varies = known.std > 0
    if not varies.any():
        return float("nan")
    steps = (scene.mean - known.mean)[varies] / known.std[varies]
    return float(np.sqrt((steps**2).mean()))
