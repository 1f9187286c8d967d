"""Python gives what numba's loops give, bit by bit: small rasters are traced by it, large ones are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely

from landscribe.core.trace import Traced, trace
from landscribe.core.trace.classes import trace_classes
from landscribe.core.trace.partition import trace_partition
from landscribe.core.tracing import EXACT, Tracing
from landscribe.late import in_python

SHAPE_HW = (47, 61)


def fields() -> dict[str, Any]:
    """Return a noise, discs as shares, boxes, and a smooth field with pixels that mean nothing."""
    rng = np.random.default_rng(11)
    y, x = np.mgrid[: SHAPE_HW[0], : SHAPE_HW[1]]
    shares = np.zeros(SHAPE_HW, np.float32)
    for row, col, radius in ((11.3, 14.1, 7.7), (30.2, 40.9, 11.1), (12.0, 50.0, 4.2)):
        shares = np.maximum(shares, np.clip(radius + 0.5 - np.hypot(y - row, x - col), 0, 1)).astype(np.float32)
    boxes = np.zeros(SHAPE_HW, bool)
    boxes[3:17, 5:29], boxes[7:11, 9:13], boxes[17:23, 29:37], boxes[40:, 50:] = True, False, True, True
    smooth = (0.5 + 0.5 * np.sin(y / 5) * np.cos(x / 7)).astype(np.float32)
    smooth[20:26, 30:33] = np.nan
    shares[31:41, 3:17] = 1
    return {
        "noise": rng.random(SHAPE_HW, np.float32), "shares": shares, "boxes": boxes, "smooth": smooth,
        "bytes": (shares * 255).astype(np.uint8),
    }  # fmt: skip


def said(traced: Traced) -> tuple[Any, ...]:
    numbers = (traced.score, traced.minimum, traced.area_px)
    return shapely.to_wkb(traced.geometries).tolist(), *(part.tobytes() for part in numbers), traced.dropped


@pytest.mark.parametrize("name", ["noise", "shares", "boxes", "smooth", "bytes"])
@pytest.mark.parametrize(
    "tracing",
    [
        Tracing(), EXACT, Tracing(threshold=0.37, connectivity="mean"), Tracing(smooth=2, connectivity=8),
        Tracing(right_angles=True), Tracing(sharp=False, simplify_px=0.9), Tracing(mode="edge"),
        Tracing(mode="edge", connectivity=8, simplify_px=1.0), Tracing(mode="opencv", threshold=0.6),
    ],
    ids=["run", "exact", "mean", "smoothed", "squared", "plain", "edge", "corners", "opencv"],
)  # fmt: skip
def test_python_traces_what_numba_traces(name: str, tracing: Tracing) -> None:
    field = fields()[name]
    compiled = said(trace(field, tracing))
    with in_python():
        assert said(trace(field, tracing)) == compiled


def test_python_shares_classes_as_numba_does() -> None:
    rng = np.random.default_rng(12)
    codes = np.kron(rng.integers(0, 4, (8, 11)), np.ones((5, 7), int)).astype(np.int16) - 1
    field_chw = rng.random((3, *codes.shape), np.float32)
    tracings = [Tracing(simplify_px=0.7).with_shared_borders()] * 3

    def both() -> list[tuple[Any, ...]]:
        shared = trace_partition(codes, range(3), tracings)
        split = trace_classes(
            lambda w, b: field_chw[(list(b), *w.slices)], codes.shape, [Tracing()] * 3, exclusive=True
        )
        return [said(traced) for traced in (*shared, *split)]

    compiled = both()
    with in_python():
        assert both() == compiled
