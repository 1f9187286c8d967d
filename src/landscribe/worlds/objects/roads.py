"""Roads and tracks: where they run, their outlines, and how they look."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
import shapely.ops
from numpy.random import Generator
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import FloatArray
from landscribe.worlds.ground.canvas import Canvas, Stamp, paint, px, stamp
from landscribe.worlds.ground.regions import Region
from landscribe.worlds.ground.spectra import SPECTRA, spectrum

STEP_PX = 6.0


@dataclass(frozen=True)
class Way:
    """A road or a track."""

    line: LineString
    """Centre line in scene pixels."""
    half_widths: tuple[float, ...]
    """Half the width at each vertex, pixels."""
    surface: str
    """`asphalt`, `asphalt_worn`, `asphalt_new` or `concrete` for a road; `dirt` for a track."""

    @property
    def paved(self) -> bool:
        """True for a road, False for a track."""
        return self.surface != "dirt"

    @cached_property
    def outline(self) -> BaseGeometry:
        """The surface from edge to edge: the label."""
        return self.ribbon(0.0, 1.0)

    def ribbon(self, across: float, share: float, fixed_px: float | None = None) -> BaseGeometry:
        """Return a band along the way.

        Args:
            across: Where its middle lies, from -1 (left edge) to 1 (right edge).
            share: Its width relative to the way.
            fixed_px: Its half width in pixels, in place of `share`.
        """
        xy = shapely.get_coordinates(self.line)
        normal = _normals(xy)
        half = np.asarray(self.half_widths)
        reach = half * share if fixed_px is None else np.full_like(half, fixed_px)
        left = xy + normal * (half * across - reach)[:, None]
        right = xy + normal * (half * across + reach)[:, None]
        ring = Polygon(np.vstack([left, right[::-1]]))
        return ring if ring.is_valid else shapely.make_valid(ring, method="structure", keep_collapsed=False)


def _normals(xy: FloatArray) -> FloatArray:
    along = np.gradient(xy, axis=0)
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-9)[:, None]
    return np.column_stack([-along[:, 1], along[:, 0]])


def make_way(rng: Generator, line: LineString, width_m: float, surface: str) -> Way:
    """Give a centre line its width: even for roads, uneven for tracks."""
    count = len(line.coords)
    rough = 0.16 if surface == "dirt" else 0.025
    knots = rng.standard_normal(max(2, count // 5 + 2))
    wobble = np.interp(np.linspace(0, len(knots) - 1, count), np.arange(len(knots)), knots)
    half = px(width_m) / 2 * np.clip(1 + rough * wobble, 0.6, 1.5)
    return Way(line, tuple(float(h) for h in half), surface)


def bent_line(
    rng: Generator, start_xy: FloatArray, heading: float, length_px: float, bend_px: float, scale_px: float
) -> LineString:
    """Return a smooth, slightly winding line.

    Args:
        rng: Source of randomness.
        start_xy: First point.
        heading: General direction, radians from x towards y.
        length_px: Length along the heading.
        bend_px: Typical sideways excursion.
        scale_px: Length of a bend.
    """
    along = np.arange(0.0, length_px + STEP_PX, STEP_PX)
    aside = np.zeros_like(along)
    for share, wave in ((0.7, scale_px), (0.4, scale_px * 0.45)):
        aside += (
            share * bend_px * np.sin(2 * np.pi * along / (wave * rng.uniform(0.8, 1.3)) + rng.uniform(0, 2 * np.pi))
        )
    aside -= aside[0]
    forward = np.array([np.cos(heading), np.sin(heading)])
    side = np.array([-forward[1], forward[0]])
    return LineString(start_xy + along[:, None] * forward + aside[:, None] * side)


def crossing(
    rng: Generator, extent: Polygon, through_xy: FloatArray, heading: float, bend_px: float, scale_px: float
) -> LineString:
    """Return a winding line from one side of the extent to another, close to a given point."""
    left, top, right, bottom = extent.bounds
    reach = float(np.hypot(right - left, bottom - top))
    back = bent_line(rng, through_xy, heading + np.pi, reach, bend_px, scale_px)
    ahead = bent_line(rng, through_xy, heading, reach, bend_px, scale_px)
    return LineString(np.vstack([shapely.get_coordinates(back)[:0:-1], shapely.get_coordinates(ahead)]))


def plan_roads(rng: Generator, extent: Polygon, region: Region) -> list[Way]:
    """Lay main roads across the extent and side streets off them."""
    left, top, right, bottom = extent.bounds
    size = np.array([right - left, bottom - top])
    origin = np.array([left, top])
    ways: list[Way] = []
    mains = max(1, round(float(size.mean()) / px(520)))
    for number in range(mains):
        turn = np.pi / 2 if number % 2 else 0.0
        through = origin + size * (rng.uniform(0.32, 0.68, 2) if mains < 3 else rng.uniform(0.15, 0.85, 2))
        surface = str(rng.choice(["asphalt", "asphalt", "asphalt_worn", "asphalt_new"]))
        line = crossing(rng, extent, through, region.heading + turn + rng.normal(0, 0.12), px(9), px(330))
        ways.append(make_way(rng, line, rng.uniform(4.8, 6.4), surface))
    for main in tuple(ways):
        inside = main.line.intersection(extent)
        for at in np.arange(rng.uniform(px(25), px(70)), inside.length, px(rng.uniform(95, 150))):
            point = np.array(inside.interpolate(at).coords[0])
            ahead = np.array(inside.interpolate(at + 5).coords[0]) - point
            heading = np.arctan2(ahead[1], ahead[0]) + rng.choice([-1, 1]) * (np.pi / 2 + rng.normal(0, 0.14))
            line = bent_line(rng, point, heading, px(rng.uniform(70, 190)), px(4), px(160))
            if any(line.intersects(other.line.buffer(px(45))) for other in ways if other is not main):
                continue
            # A place always has a dirt street: not every seam between fields has a track.
            paved = len(ways) > mains and rng.random() < region.character.paved_street
            ways.append(make_way(rng, line, rng.uniform(3.4, 4.6), "asphalt_worn" if paved else "dirt"))
    return ways


def paint_ways(canvas: Canvas, rng: Generator, ways: list[Way], soil: str) -> None:
    """Paint shoulders, then tracks, then roads with their markings."""
    ground = spectrum((soil, 3), ("gravel", 1))
    for way in ways:
        _paint_fuzzy(canvas, way.ribbon(0.0, 1.0 + (0.32 if way.paved else 0.22)), ground, 0.75)
    for way in ways:
        if not way.paved:
            _paint_track(canvas, way, soil)
    roads = [way for way in ways if way.paved]
    for way in roads:
        _paint_surface(canvas, rng, way)
    for way in roads:
        if max(way.half_widths) > px(2.6):
            _paint_markings(canvas, way, [other for other in roads if other is not way])


def _paint_fuzzy(canvas: Canvas, shape: BaseGeometry, material: FloatArray, strength: float) -> None:
    on = stamp(canvas, shape)
    if on is not None:
        wear = strength + 0.35 * canvas.mid_hw[on.window] + 0.2 * canvas.fine_hw[on.window]
        paint(canvas, on.times(np.clip(wear, 0, 1)), material, texture_hw=_grain(canvas, on, 0.06, 0.08))


def _grain(canvas: Canvas, on: Stamp, fine: float, mid: float) -> FloatArray:
    grain: FloatArray = 1 + fine * canvas.fine_hw[on.window] + mid * canvas.mid_hw[on.window]
    return grain


def _paint_track(canvas: Canvas, way: Way, soil: str) -> None:
    on = stamp(canvas, way.outline)
    if on is None:
        return
    bare = spectrum((soil, 3), ("gravel", 2)) * np.float32(1.08)
    paint(canvas, on.times(0.92), bare, texture_hw=_grain(canvas, on, 0.05, 0.10))
    middle = stamp(canvas, way.ribbon(0.0, 0.2))
    if middle is not None:
        grassy = np.clip(0.35 + 0.4 * canvas.coarse_hw[middle.window] + 0.3 * canvas.mid_hw[middle.window], 0, 0.8)
        paint(canvas, middle.times(grassy), spectrum(("grass", 1), ("dry_grass", 1), (soil, 0.6)))
    for side in (-0.5, 0.5):
        rut = stamp(canvas, way.ribbon(side, 0.24))
        if rut is not None:
            paint(canvas, rut.times(0.7), bare * np.float32(1.22), texture_hw=_grain(canvas, rut, 0.04, 0.05))


def _paint_surface(canvas: Canvas, rng: Generator, way: Way) -> None:
    on = stamp(canvas, way.outline)
    if on is None:
        return
    material = SPECTRA[way.surface] * np.float32(rng.uniform(0.9, 1.12))
    paint(canvas, on, material, texture_hw=_grain(canvas, on, 0.025, 0.03) + 0.04 * canvas.coarse_hw[on.window])
    for side in (-0.62, -0.28, 0.28, 0.62):
        wheel = stamp(canvas, way.ribbon(side, 0.13))
        if wheel is not None:
            paint(canvas, wheel.times(0.5), material * np.float32(1.1), texture_hw=_grain(canvas, wheel, 0.02, 0.03))
    for _ in range(int(way.line.length / px(45))):
        at = rng.uniform(0, way.line.length)
        piece = shapely.ops.substring(way.line, at, at + px(rng.uniform(2, 14)))
        if piece.length > 4:
            shape = piece.buffer(way.half_widths[0] * rng.uniform(0.3, 0.95), cap_style="flat")
            patch = stamp(canvas, shape.intersection(way.outline))
            if patch is not None:
                paint(canvas, patch.times(0.35), SPECTRA[str(rng.choice(["asphalt_new", "asphalt", "asphalt_worn"]))])


def _paint_markings(canvas: Canvas, way: Way, others: list[Way]) -> None:
    clear = shapely.unary_union([other.outline for other in others]).buffer(px(3)) if others else Polygon()
    lines = [way.ribbon(side, 0.0, fixed_px=px(0.09)) for side in (-0.92, 0.92)]
    period = px(9)
    for at in np.arange(0, way.line.length, period):
        dash = shapely.ops.substring(way.line, at, at + period / 3)
        lines.append(dash.buffer(px(0.09), cap_style="flat"))
    on = stamp(canvas, shapely.difference(shapely.unary_union(lines), clear))
    if on is not None:
        worn = np.clip(0.65 + 0.25 * canvas.mid_hw[on.window], 0, 1)
        paint(canvas, on.times(worn), SPECTRA["road_paint"])
