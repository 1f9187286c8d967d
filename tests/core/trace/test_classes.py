"""Several classes of one raster, by the ways that a recipe and the command line know."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import shapely

from landscribe.core.owners import one_against_the_best_other
from landscribe.core.trace import trace
from landscribe.core.trace.classes import trace_classes
from landscribe.core.tracing import EXACT, Tracing
from landscribe.errors import RecipeError

TRACINGS = [replace(EXACT, threshold=t, simplify_px=d) for t, d in ((0.5, 0.0), (0.4, 0.3), (0.6, 0.0))]


@pytest.fixture
def fields() -> np.ndarray:
    """Three classes (3, 59, 43), uint8."""
    rng = np.random.default_rng(2)
    smooth = np.stack([cv2.GaussianBlur(rng.random((59, 43)), (0, 0), 2.5) for _ in range(3)])
    return np.round(255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)


def reader(fields_khw: np.ndarray):
    return lambda window, bands: fields_khw[np.array(list(bands))][(slice(None), *window.slices)]


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("threads", [1, 3])
def test_each_class_is_traced_by_its_own_settings(fields, kind, threads):
    fields = fields if kind is np.uint8 else fields / np.float32(255)
    found = trace_classes(reader(fields), (59, 43), TRACINGS, threads=threads)
    for field, tracing, traced in zip(fields, TRACINGS, found, strict=True):
        assert shapely.equals_exact(traced.geometries, trace(field, tracing).geometries, 0).all()


def test_exclusive_classes_have_thresholds_on_their_share(fields):
    found = trace_classes(reader(fields), (59, 43), TRACINGS, exclusive=True)
    for band, (tracing, traced) in enumerate(zip(TRACINGS, found, strict=True)):
        expected = trace(one_against_the_best_other(fields, band), tracing)
        assert shapely.equals_exact(traced.geometries, expected.geometries, 0).all()
    as_floats = trace_classes(reader(fields / np.float32(255)), (59, 43), TRACINGS, exclusive=True)
    for one, other in zip(found, as_floats, strict=True):
        assert shapely.equals_exact(one.geometries, other.geometries, 1e-4).all()


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_shared_borders_give_each_pixel_to_its_most_probable_class(fields, kind):
    fields[:, 7:13, 5:11] = 0  # no class is there
    given = fields if kind is np.uint8 else fields / np.float32(255)
    found = trace_classes(reader(given), (59, 43), [EXACT] * 3, shared_borders=True)
    assert sum(traced.area_px.sum() for traced in found) == 59 * 43 - 6 * 6
    best = np.where(fields.max(axis=0) > 0, fields.argmax(axis=0), -1)
    for band, traced in enumerate(found):
        assert traced.area_px.sum() == (best == band).sum()
    with pytest.raises(RecipeError, match="tear shared borders apart"):
        trace_classes(reader(given), (59, 43), [Tracing(right_angles=True)] * 3, shared_borders=True)
