"""Trees: crowns built of leaf clumps, alone, in rows and in woods."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.random import Generator
from shapely.geometry import LineString
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import AnyArray, FloatArray, GeometryArray
from landscribe.late import compiled
from landscribe.worlds.ground.canvas import Canvas, px, stamp
from landscribe.worlds.ground.regions import Region, pick
from landscribe.worlds.ground.spectra import SPECTRA

LOBES = 10
CORNERS = 36
_HEIGHT_PER_RADIUS = {"conifer": 4.2, "olive_scrub": 1.5}


@dataclass(frozen=True)
class Crowns:
    """Crowns of a scene, lowest first."""

    species: tuple[str, ...]
    lobes_nk4: FloatArray
    """Leaf clumps of each crown: x, y, radius in scene pixels, height of their centre in metres."""
    outlines: GeometryArray
    """Polygon of each crown as seen from above."""

    @cached_property
    def union(self) -> BaseGeometry:
        """All the ground under crowns."""
        return shapely.union_all(self.outlines)


def plan_crowns(rng: Generator, xy_n2: FloatArray, radius_px: FloatArray, species: list[str]) -> Crowns:
    """Grow crowns of those radii at those places."""
    count = len(radius_px)
    radius = radius_px[:, None]
    angle = np.arange(LOBES - 1) * (2 * np.pi / (LOBES - 1)) + rng.uniform(0, 2 * np.pi, (count, 1))
    angle = angle + rng.normal(0, 0.25, (count, LOBES - 1))
    reach = radius * rng.uniform(0.42, 0.66, (count, LOBES - 1))
    size = np.maximum(radius * rng.uniform(0.30, 0.46, (count, LOBES - 1)), 0.8)
    per_radius = np.array([_HEIGHT_PER_RADIUS.get(name, 2.3) for name in species]).reshape(count, 1)
    tall = radius * 0.31 * per_radius * rng.uniform(0.8, 1.2, (count, 1))
    lobes = np.empty((count, LOBES, 4))
    lobes[:, 0] = np.concatenate([xy_n2, radius * 0.62, tall * 0.72], axis=1)
    lobes[:, 1:, 0] = xy_n2[:, :1] + reach * np.cos(angle)
    lobes[:, 1:, 1] = xy_n2[:, 1:] + reach * np.sin(angle)
    lobes[:, 1:, 2] = size
    lobes[:, 1:, 3] = tall * rng.uniform(0.45, 0.72, (count, LOBES - 1))
    order = np.argsort(tall[:, 0], kind="stable")
    lobes = lobes[order]
    return Crowns(tuple(species[i] for i in order), lobes, _outlines(lobes))


def _outlines(lobes_nk4: FloatArray) -> GeometryArray:
    theta = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    ray = np.stack([np.cos(theta), np.sin(theta)])
    centre = lobes_nk4[:, :1, :2]
    offset = lobes_nk4[:, :, :2] - centre
    along = offset @ ray
    clear2 = (offset**2).sum(axis=2)[:, :, None] - along**2
    beyond = lobes_nk4[:, :, 2:3] ** 2 - clear2
    far = np.where(beyond > 0, along + np.sqrt(np.maximum(beyond, 0)), 0).max(axis=1)
    xy = centre + far[:, :, None] * ray.T[None]
    return shapely.polygons(xy)


def tree_cover(crowns: Crowns) -> GeometryArray:
    """Return the polygons covered by crowns: single trees, and groups without gaps under 3 square metres."""
    if len(crowns.outlines) == 0:
        return crowns.outlines
    gap = px(3**0.5) ** 2
    filled = []
    for part in shapely.get_parts(crowns.union):
        holes = [ring for ring in part.interiors if shapely.Polygon(ring).area > gap]
        filled.append(shapely.Polygon(part.exterior, holes))
    return np.array(filled, dtype=object)


def wood_places(rng: Generator, wood: BaseGeometry, spacing_px: float) -> FloatArray:
    """Return places of trees in a wood, (n, 2), about `spacing_px` apart."""
    left, top, right, bottom = wood.bounds
    x, y = np.meshgrid(np.arange(left, right, spacing_px), np.arange(top, bottom, spacing_px * 0.87))
    x[1::2] += spacing_px / 2
    xy = np.column_stack([x.ravel(), y.ravel()])
    xy += rng.normal(0, 0.34 * spacing_px, xy.shape)
    # Waves of random direction thin the stand here and there: glades and a frayed edge.
    thin = np.zeros(len(xy))
    for wave_m in (23, 37, 61):
        angle, phase = rng.uniform(0, 2 * np.pi, 2)
        thin += np.cos((xy @ [np.cos(angle), np.sin(angle)]) * 2 * np.pi / px(wave_m) + phase)
    edge = shapely.distance(shapely.points(xy), wood.boundary) < px(7)
    keep = rng.random(len(xy)) > np.clip(0.28 * thin - 0.15, 0, 0.7) + 0.3 * edge
    keep &= shapely.contains_xy(wood, xy[:, 0], xy[:, 1])
    found: FloatArray = xy[keep]
    return found


def hedge_places(rng: Generator, line: LineString) -> FloatArray:
    """Return places of bushes and trees along a line, (n, 2), with gaps."""
    places = []
    at = 0.0
    while at < line.length:
        if rng.random() < 0.06:
            at += px(rng.uniform(4, 12))
        point = np.array(line.interpolate(at).coords[0])
        places.append(point + rng.normal(0, px(0.5), 2))
        at += px(rng.uniform(1.3, 3.0))
    return np.array(places).reshape(-1, 2)


def species_of(rng: Generator, region: Region, count: int, stand: str | None = None) -> list[str]:
    """Draw species; with a `stand` species, nine in ten are of it."""
    names = []
    for _ in range(count):
        own = stand is not None and rng.random() < 0.9
        names.append(stand if own and stand is not None else pick(rng, region.character.trees))
    return names


def paint_crowns(canvas: Canvas, rng: Generator, crowns: Crowns, sun_xyz: FloatArray) -> None:
    """Paint crowns from low to high: leaves, height, and the light on each clump.

    Args:
        canvas: Painted in place.
        rng: Draws the colour of each tree.
        crowns: Lowest first.
        sun_xyz: Unit vector to the sun: x along columns, y along rows, z up.
    """
    for i, outline in enumerate(crowns.outlines):
        on = stamp(canvas, outline)
        if on is None:
            continue
        leaves = SPECTRA[crowns.species[i]] * np.float32(rng.uniform(0.78, 1.2))
        turning = np.float32(rng.uniform(0, 0.25))
        leaves = leaves * (1 - turning) + SPECTRA["broadleaf_yellow"] * turning
        _paint_crown(
            canvas.reflectance_chw,
            canvas.height_hw,
            canvas.shade_hw,
            canvas.fine_hw,
            on.row,
            on.col,
            on.share_hw,
            crowns.lobes_nk4[i] + np.array([canvas.margin, canvas.margin, 0, 0]),
            leaves,
            sun_xyz,
        )


@compiled
def _paint_crown(
    canvas_chw: AnyArray,
    height_hw: AnyArray,
    shade_hw: AnyArray,
    fine_hw: AnyArray,
    row: int,
    col: int,
    share_hw: AnyArray,
    lobes_k4: AnyArray,
    leaves: AnyArray,
    sun_xyz: AnyArray,
) -> None:
    rows, cols = share_hw.shape
    top = 0.0
    for k in range(len(lobes_k4)):
        top = max(top, lobes_k4[k, 3] + 0.31 * lobes_k4[k, 2])
    for i in range(rows):
        for j in range(cols):
            share = share_hw[i, j]
            if share <= 0:
                continue
            y, x = row + i + 0.5, col + j + 0.5
            best, facing = 0.35 * top, 0.55 * sun_xyz[2]
            for k in range(len(lobes_k4)):
                dx, dy, r = x - lobes_k4[k, 0], y - lobes_k4[k, 1], lobes_k4[k, 2]
                rest = r * r - dx * dx - dy * dy
                if rest > 0:
                    z = lobes_k4[k, 3] + 0.31 * np.sqrt(rest)
                    if z > best:
                        best = z
                        facing = (dx * sun_xyz[0] + dy * sun_xyz[1] + np.sqrt(rest) * sun_xyz[2]) / r
            # Leaves let light through and stand at all angles: a crown is never as hard as a ball.
            light = 0.32 + 0.78 * max(facing, 0.0) / sun_xyz[2]
            deep = 0.72 + 0.28 * best / top
            grain = 1.0 + 0.16 * fine_hw[row + i, col + j]
            shade = min(light * deep, 1.5)
            shade_hw[row + i, col + j] += np.float32(share * (shade - shade_hw[row + i, col + j]))
            if share >= 0.5 and best > height_hw[row + i, col + j]:
                height_hw[row + i, col + j] = best
            factor = max(grain * deep, 0.2)
            for band in range(canvas_chw.shape[0]):
                old = canvas_chw[band, row + i, col + j]
                canvas_chw[band, row + i, col + j] = old + share * (np.float32(leaves[band] * factor) - old)
