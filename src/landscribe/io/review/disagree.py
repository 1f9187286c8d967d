"""Where reviews do not agree: with each other, and with older labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely

from landscribe.core.arrays import GeometryArray
from landscribe.core.grid import Grid
from landscribe.io.review.ground import Said, mostly_in


def place_of(polygon: shapely.Geometry, scene: str, class_name: str, grid: Grid) -> str:
    """Say which polygon is meant: scene, class, a point inside, area."""
    point = shapely.point_on_surface(polygon)
    pixels = grid.ground_to_pixels(np.array([polygon], dtype=object))
    unit = "px" if grid.crs is None else "m²"
    digits = 6 if grid.crs is not None and grid.crs.is_geographic else 1
    where = f"{point.x:.{digits}f}, {point.y:.{digits}f}"
    return f"scene {scene!r}, {class_name} at {where} ({pixels[0].area * grid.pixel_area:,.1f} {unit})"


def disagreements(first: Said, second: Said, scene: str, names: Sequence[str], grid: Grid) -> list[str]:
    """Return the polygons that one review calls right and another one wrong, by more than half of their area.

    Args:
        first: What one review says of a scene, in the CRS of its grid.
        second: What the other one says.
        scene: The scene.
        names: Classes of the legend.
        grid: Of the scene's reference.
    """
    lines = []
    for one, other in ((first, second), (second, first)):
        for name in names:
            no = _parts(other.wrong[name])
            lines += [place_of(p, scene, name, grid) for p in one.right[name][mostly_in(one.right[name], no)]]
    lines += _other_class(first, second, scene, names, grid)
    return list(dict.fromkeys(lines))


def _other_class(first: Said, second: Said, scene: str, names: Sequence[str], grid: Grid) -> list[str]:
    """Return polygons that two reviews have the shape of, and not the class."""
    lines = []
    for name in names:
        for other in names:
            if other == name:
                continue
            same = _same_shape(first.right[name], second.right[other])
            lines += [f"{place_of(p, scene, name, grid)}, or {other}" for p in same]
    return lines


def _same_shape(first: GeometryArray, second: GeometryArray) -> GeometryArray:
    inside = first[mostly_in(first, second)]
    tree = shapely.STRtree(second)
    kept = [
        p for p in inside
        if any(p.intersection(q).area > p.union(q).area / 2 for q in second[tree.query(p, predicate="intersects")])
    ]  # fmt: skip
    found: GeometryArray = np.empty(len(kept), dtype=object)
    found[:] = kept
    return found


def _parts(ground: shapely.Geometry) -> GeometryArray:
    parts: GeometryArray = shapely.get_parts(np.array([ground], dtype=object))
    return parts
