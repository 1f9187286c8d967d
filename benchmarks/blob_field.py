"""A field of blobs to trace and to burn."""

from __future__ import annotations

import cv2
import numpy as np


def blobs(side: int, seed: int = 0, grain_px: float = 4.75) -> np.ndarray:
    """Return a field (side, side) of float32 0..1 with about 10,000 blobs above 0.5 per 3400 x 3400 pixels."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((side, side), dtype=np.float32)
    field = cv2.GaussianBlur(noise, (0, 0), grain_px)
    field += 0.02 * field.std() * noise
    return (0.5 + 0.25 * (field / field.std() - 0.75)).clip(0, 1).astype(np.float32)
