"""Random shapes and slow twins that several tests of the polygon pair use."""

from __future__ import annotations

import cv2
import numpy as np
import shapely
from shapely import affinity


def star(rng: np.random.Generator, x: float, y: float, radius: float, n: int) -> shapely.Geometry:
    """Return a valid random polygon around (x, y)."""
    angle = np.sort(rng.uniform(0, 2 * np.pi, n))
    far = radius * rng.uniform(0.3, 1, n)
    return shapely.make_valid(shapely.Polygon(np.c_[x + far * np.cos(angle), y + far * np.sin(angle)]))


def crowd(rng: np.random.Generator, shape_hw: tuple[int, int], n: int, grid: float = 0.0) -> np.ndarray:
    """Return up to `n` valid polygons that overlap, touch, have holes and reach over the scene."""
    height, width = shape_hw
    shapes = []
    for _ in range(n):
        x, y = rng.uniform(-5, width + 5), rng.uniform(-5, height + 5)
        one = star(rng, x, y, rng.uniform(0.3, 15), int(rng.integers(3, 12)))
        if rng.random() < 0.4:
            one = one.difference(star(rng, x, y, 6, 5))
        shapes.append(one)
    snapped = shapely.set_precision(shapely.set_precision(np.array(shapes, dtype=object), grid), 0)
    polygons = shapely.make_valid(snapped, method="structure", keep_collapsed=False)
    return polygons[shapely.area(polygons) > 0]


def exact_share(geometries: np.ndarray, shape_hw: tuple[int, int]) -> np.ndarray:
    """Covered share of every pixel, by intersecting every pixel with the union."""
    height, width = shape_hw
    rows, cols = np.mgrid[:height, :width]
    squares = shapely.box(cols, rows, cols + 1, rows + 1)
    return shapely.area(shapely.intersection(squares, shapely.union_all(geometries)))


def rectangle(rng: np.random.Generator, length: float, width: float, shape_hw: tuple[int, int]) -> shapely.Polygon:
    """Return a rectangle near the middle of the scene, at a random place and angle."""
    turned = affinity.rotate(shapely.box(0, 0, length, width), rng.uniform(0, 180))
    x, y = np.array(shape_hw[::-1]) / 2 + rng.uniform(-4, 4, 2)
    return affinity.translate(turned, x - turned.centroid.x, y - turned.centroid.y)


def jaccard(a: shapely.Geometry, b: shapely.Geometry) -> float:
    """Area of the intersection over that of the union."""
    return float(a.intersection(b).area / a.union(b).area)


def random_field(seed: int) -> np.ndarray:
    """A field of any size, type and roughness; noise is the worst case for topology."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 62), rng.integers(1, 48)
    field = rng.random((height, width)).astype(np.float32)
    if rng.random() < 0.6:
        field = cv2.GaussianBlur(field, (0, 0), rng.uniform(0.3, 3)).reshape(height, width)
        field = (field - field.min()) / max(float(np.ptp(field)), 1e-9)
    if rng.random() < 0.2:
        field = np.round(field)
    return field if rng.random() < 0.6 else np.round(field * 255).astype(np.uint8)


def inside(field: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    return field / 255 >= threshold if field.dtype == np.uint8 else field >= threshold
