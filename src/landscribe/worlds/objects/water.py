"""Rivers with banks, and ponds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.random import Generator
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import FloatArray
from landscribe.worlds.ground.canvas import Canvas, paint, px, stamp
from landscribe.worlds.ground.regions import Region
from landscribe.worlds.ground.spectra import SPECTRA, spectrum
from landscribe.worlds.objects.roads import Way, crossing, make_way


@dataclass(frozen=True)
class Water:
    """A river or a pond."""

    outline: BaseGeometry
    """The water surface: the label."""
    flows: bool
    """True for a waterway, False for standing water."""
    material: str


def plan_river(rng: Generator, extent: Polygon, region: Region, roads: list[Way]) -> tuple[Water, LineString]:
    """Lay a river along the general direction of the roads, away from them where there is room."""
    left, top, right, bottom = extent.bounds
    size = np.array([right - left, bottom - top])
    scale = min(1.0, float(size.min()) / px(300))
    avoid = shapely.union_all([way.line for way in roads])
    near = avoid.buffer(px(12))
    best: tuple[float, LineString] | None = None
    for _ in range(14):
        through = np.array([left, top]) + size * rng.uniform(0.1, 0.9, 2)
        heading = region.heading + rng.normal(0, 0.3)
        line = crossing(rng, extent, through, heading, px(14) * scale, px(150))
        inside = line.intersection(extent)
        room = min(inside.distance(avoid), px(40)) + 0.05 * min(inside.length, float(size.min()))
        # One bridge is fine; a river that keeps under the road is not.
        room -= 0.5 * inside.intersection(near).length
        if best is None or room > best[0]:
            best = (room, line)
    line = best[1] if best is not None else LineString([(left, top), (right, bottom)])
    bed = make_way(rng, line, rng.uniform(5, 9), "dirt")
    outline = bed.outline.buffer(3, quad_segs=4).buffer(-3, quad_segs=4)
    return Water(outline, True, region.character.water[0]), line


def plan_pond(rng: Generator, centre_xy: FloatArray, radius_px: float, region: Region) -> Water:
    """Shape a pond with a smooth, irregular shore."""
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    radius = np.ones_like(angle)
    for waves in (2, 3, 4, 5, 7):
        radius += rng.normal(0, 0.22 / waves) * np.cos(waves * angle + rng.uniform(0, 2 * np.pi))
    stretch, turn = rng.uniform(0.6, 0.95), rng.uniform(0, np.pi)
    x, y = np.cos(angle) * radius, np.sin(angle) * radius * stretch
    turned = np.column_stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)])
    return Water(Polygon(centre_xy + radius_px * turned).buffer(0), False, region.character.water[1])


def paint_water(canvas: Canvas, water: list[Water], soil: str) -> None:
    """Paint banks of mud and reeds, then the surfaces."""
    for body in water:
        for reach_m, parts, strength in (
            (3.2, (("reeds", 2.0), ("grass", 1.0)), 0.75),
            (1.1, (("mud", 2.0), (soil, 1.0)), 0.8),
        ):
            bank = stamp(canvas, body.outline.buffer(px(reach_m), quad_segs=4))
            if bank is not None:
                patchy = strength + 0.3 * canvas.mid_hw[bank.window] + 0.1 * canvas.fine_hw[bank.window]
                texture = 1 + 0.12 * canvas.fine_hw[bank.window] + 0.1 * canvas.mid_hw[bank.window]
                paint(canvas, bank.times(np.clip(patchy, 0, 1)), spectrum(*parts), texture_hw=texture)
        on = stamp(canvas, body.outline)
        if on is None:
            continue
        ripple = 1 + 0.025 * canvas.fine_hw[on.window] + 0.05 * canvas.coarse_hw[on.window]
        paint(canvas, on, SPECTRA[body.material], texture_hw=ripple)
        shallow = stamp(canvas, shapely.difference(body.outline, body.outline.buffer(-px(1.0), quad_segs=4)))
        if shallow is not None:
            paint(canvas, shallow.times(0.3), SPECTRA["mud"])
        if not body.flows:
            floating = np.clip(canvas.mid_hw[on.window] * 0.8 - 0.9, 0, 0.5)
            paint(canvas, on.times(floating), SPECTRA["algae"])
