"""Polygons as whole numbers: small in a page, quick to unpack in a browser, and the same from the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from affine import Affine

from landscribe.core.arrays import AnyArray, FloatArray, GeometryArray, IntArray

THOUSAND = 1000
"""Shares are kept in thousandths, -1 where there is none."""
STEPS_PER_PX = 8
"""Coordinates are whole eighths of a pixel."""


def pack(
    polygons: GeometryArray,
    to_frame: Affine,
    origin: tuple[float, float],
    step: float,
    columns: Mapping[str, Sequence[Any]] | None = None,
) -> dict[str, Any]:
    """Pack polygons with what is known of each.

    Args:
        polygons: (N,) Polygons and MultiPolygons in any linear coordinates.
        to_frame: From their coordinates to the frame.
        origin: Frame coordinates from which steps are counted.
        step: Frame units of one step.
        columns: Name -> (N,) plain values.

    Returns:
        Plain values. `xy` holds all vertices one behind the other, each as its difference to the one before, the first
        to `origin`; the vertex that closes a ring is left out. `rings` are vertices per ring, `parts` rings per part
        (the shell first), `members` parts per polygon, which is left out where all are 1. `row` are the numbers of the
        polygons that are still there, left out where all are: what is thinner than a step vanishes.
    """
    parts, polygon_of = shapely.get_parts(np.asarray(polygons, dtype=object), return_index=True)
    rings, part_of = shapely.get_rings(parts, return_index=True)
    xy, ring_of = shapely.get_coordinates(rings, return_index=True)
    steps = np.rint((_moved(xy, to_frame) - origin) / step).astype(np.int64)
    begins = np.append(True, ring_of[1:] != ring_of[:-1])[: len(xy)]
    ends = np.append(ring_of[1:] != ring_of[:-1], True)[: len(xy)]
    # The vertex before: a ring's first one has none, its last one says the first again.
    moved = np.append(True, (np.diff(steps, axis=0) != 0).any(axis=1))[: len(xy)]
    kept = begins | (moved & ~ends)
    sizes = np.bincount(ring_of[kept], minlength=len(rings))
    is_shell = np.append(True, part_of[1:] != part_of[:-1])[: len(rings)]
    part_lives = np.zeros(len(parts), np.bool_)
    part_lives[part_of[is_shell]] = sizes[is_shell] >= 3
    ring_lives = (sizes >= 3) & part_lives[part_of]
    kept &= ring_lives[ring_of]
    members = np.bincount(polygon_of[part_lives], minlength=len(polygons))
    alive = np.flatnonzero(members)
    packed: dict[str, Any] = {
        "origin": [float(v) for v in origin],
        "step": float(step),
        "n": len(alive),
        "xy": np.diff(steps[kept], axis=0, prepend=np.zeros((1, 2), np.int64)).ravel().tolist(),
        "rings": sizes[ring_lives].tolist(),
        "parts": np.bincount(part_of[ring_lives], minlength=len(parts))[part_lives].tolist(),
    }
    if (members[alive] > 1).any():
        packed["members"] = members[alive].tolist()
    if len(alive) < len(polygons):
        packed["row"] = alive.tolist()
    for name, values in (columns or {}).items():
        packed[name] = [values[k] for k in alive.tolist()]
    return packed


def unpack(packed: Mapping[str, Any]) -> GeometryArray:
    """Return the polygons in frame coordinates, as the page draws them."""
    steps = np.cumsum(np.array(packed["xy"], np.int64).reshape(-1, 2), axis=0)
    xy = steps * packed["step"] + packed["origin"]
    rings = [np.vstack((ring, ring[:1])) for ring in _cut(xy, packed["rings"])]
    parts = [shapely.Polygon(own[0], list(own[1:])) for own in _cut(rings, packed["parts"])]
    members = packed.get("members", [1] * packed["n"])
    polygons: GeometryArray = np.empty(packed["n"], dtype=object)
    polygons[:] = [own[0] if len(own) == 1 else shapely.MultiPolygon(list(own)) for own in _cut(parts, members)]
    return polygons


def thousandths(values: FloatArray) -> list[int]:
    """Return shares 0..1 in thousandths, -1 where one is NaN."""
    known: IntArray = np.where(np.isfinite(values), np.rint(np.nan_to_num(values) * THOUSAND), -1).astype(np.int64)
    return list(known.tolist())


def three_digits(values: FloatArray) -> list[float | int]:
    """Return numbers rounded to three digits, as short as they can be written."""
    return [int(v) if v >= 100 else float(v) for v in (float(f"{value:.3g}") for value in values)]


def _moved(xy: FloatArray, to_frame: Affine) -> FloatArray:
    a, b, c, d, e, f = tuple(to_frame)[:6]
    x, y = xy[:, 0], xy[:, 1]
    return np.column_stack((a * x + b * y + c, d * x + e * y + f))


def _cut(values: AnyArray | list[Any], sizes: Sequence[int]) -> list[Any]:
    ends = np.cumsum(sizes).tolist()
    return [values[end - size : end] for size, end in zip(sizes, ends, strict=True)]
