"""Buildings: footprints, roofs of several shapes and materials, sheds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import shapely
from numpy.random import Generator
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import FloatArray
from landscribe.worlds.ground.canvas import GSD_M, Canvas, paint, px, raise_height, set_shade, stamp
from landscribe.worlds.ground.spectra import SPECTRA
from landscribe.worlds.objects.fields import stripes

_SHEETS: Final = ("zinc", "rust", "green_metal", "blue_metal", "fibre_cement")


@dataclass(frozen=True)
class Frame:
    """A right-angled frame on the ground: a place and a direction."""

    x: float
    y: float
    angle: float
    """Direction of the u axis, radians from x towards y; v is a quarter turn further."""

    def to_scene(self, uv_n2: FloatArray) -> FloatArray:
        """Map (u, v) pixels of the frame to (x, y) pixels of the scene."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        turned: FloatArray = uv_n2 @ np.array([[cos, sin], [-sin, cos]]) + np.array([self.x, self.y])
        return turned

    def rectangle(self, u: float, v: float, width: float, depth: float) -> Polygon:
        """Return the rectangle of that size (pixels) centred on (u, v)."""
        a, b = width / 2, depth / 2
        return Polygon(self.to_scene(np.array([[u - a, v - b], [u + a, v - b], [u + a, v + b], [u - a, v + b]])))

    def at(self, u: float, v: float, turn: float = 0.0) -> Frame:
        """Return a frame at (u, v) of this one, turned."""
        x, y = self.to_scene(np.array([[u, v]]))[0]
        return Frame(float(x), float(y), self.angle + turn)


@dataclass(frozen=True)
class Block:
    """A rectangular part of a building; its ridge runs along u."""

    frame: Frame
    length: float
    """Pixels along u."""
    width: float
    """Pixels along v."""
    roof: str
    """`gable`, `hip`, `shed` or `flat`."""
    eaves_m: float
    pitch: float
    """Rise over run."""

    @cached_property
    def outline(self) -> Polygon:
        """Footprint, eaves included."""
        return self.frame.rectangle(0, 0, self.length, self.width)

    def facets(self) -> list[tuple[Polygon, FloatArray]]:
        """Return each roof plane and its downhill direction in (u, v); (0, 0) for level ones."""
        a, b = self.length / 2, self.width / 2
        hip = min(b, a * 0.8) if self.roof == "hip" else 0.0
        if self.roof in ("flat", "shed"):
            fall = np.array([0.0, 1.0]) if self.roof == "shed" else np.zeros(2)
            return [(self.outline, fall)]
        ridge = [(-a + hip, 0.0), (a - hip, 0.0)]
        uv = [
            ([(-a, -b), (a, -b), ridge[1], ridge[0]], (0.0, -1.0)),
            ([(a, b), (-a, b), ridge[0], ridge[1]], (0.0, 1.0)),
        ]
        if hip:
            uv += [([(a, -b), (a, b), ridge[1]], (1.0, 0.0)), ([(-a, b), (-a, -b), ridge[0]], (-1.0, 0.0))]
        return [(Polygon(self.frame.to_scene(np.array(ring))), np.array(fall)) for ring, fall in uv]


@dataclass(frozen=True)
class Building:
    """A building or, where it is small, a shed."""

    blocks: tuple[Block, ...]
    material: str
    tone: float
    """Factor on the reflectance: age and colour of this roof."""
    chimneys: tuple[tuple[float, float], ...] = ()

    @cached_property
    def outline(self) -> BaseGeometry:
        """Footprint: the label."""
        return shapely.union_all([block.outline for block in self.blocks])


def make_house(rng: Generator, frame: Frame, length_m: float, width_m: float, material: str) -> Building:
    """Build a dwelling centred on the frame, sometimes with a wing."""
    roof = str(rng.choice(["gable", "gable", "hip"]))
    eaves, pitch = float(rng.uniform(2.8, 4.2)), float(rng.uniform(0.42, 0.85))
    blocks = [Block(frame, px(length_m), px(width_m), roof, eaves, pitch)]
    if rng.random() < 0.35:
        wing_width, wing_length = width_m * rng.uniform(0.55, 0.8), width_m * rng.uniform(0.9, 1.25)
        u = rng.choice([-1, 1]) * px(length_m - wing_width) / 2 * rng.uniform(0.6, 1.0)
        side = rng.choice([-1, 1])
        wing = frame.at(u, side * px(wing_length) / 2 * 0.95, np.pi / 2)
        blocks.insert(0, Block(wing, px(wing_length), px(wing_width), "gable", eaves, pitch))
    if rng.random() < 0.5:
        # A porch: lower, leaning on a long side.
        porch_length, porch_width = rng.uniform(2.5, 5.0), rng.uniform(1.6, 2.8)
        side = rng.choice([-1, 1])
        u = px(rng.uniform(-0.4, 0.4) * (length_m - porch_length))
        porch = frame.at(u, side * px(width_m + porch_width * 0.9) / 2, 0.0 if side > 0 else np.pi)
        blocks.insert(0, Block(porch, px(porch_length), px(porch_width), "shed", eaves * 0.72, 0.25))
    spot = frame.at(px(rng.uniform(-0.25, 0.25) * length_m), px(rng.uniform(-0.8, 0.8)))
    return Building(tuple(blocks), material, float(rng.uniform(0.8, 1.2)), ((spot.x, spot.y),))


def make_hall(rng: Generator, frame: Frame, length_m: float, width_m: float, material: str) -> Building:
    """Build a barn, workshop or warehouse."""
    roof = str(rng.choice(["gable", "gable", "flat"]))
    block = Block(frame, px(length_m), px(width_m), roof, float(rng.uniform(4.5, 7)), 0.22 if roof == "gable" else 0.0)
    return Building((block,), material, float(rng.uniform(0.85, 1.15)))


def make_shed(rng: Generator, frame: Frame, length_m: float, width_m: float, material: str) -> Building:
    """Build a garage or shed with a lean-to roof."""
    block = Block(frame, px(length_m), px(width_m), "shed", float(rng.uniform(1.9, 2.5)), 0.18)
    return Building((block,), material, float(rng.uniform(0.75, 1.15)))


def paint_building(canvas: Canvas, building: Building, sun_xyz: FloatArray) -> None:
    """Paint the roof planes with their material, height and light.

    Args:
        canvas: Painted in place.
        building: What to paint.
        sun_xyz: Unit vector to the sun: x along columns, y along rows, z up.
    """
    material = SPECTRA[building.material] * np.float32(building.tone)
    for block in building.blocks:
        for facet, fall in block.facets():
            _paint_facet(canvas, block, facet, fall, material, building.material in _SHEETS, sun_xyz)
        if block.roof in ("gable", "hip"):
            a = block.length / 2 - (min(block.width / 2, block.length * 0.4) if block.roof == "hip" else 0)
            ridge = block.frame.rectangle(0, 0, 2 * a, px(0.3))
            on = stamp(canvas, ridge)
            if on is not None:
                paint(canvas, on.times(0.6), material * np.float32(1.25))
    top = max(block.eaves_m + block.pitch * block.width * GSD_M / 2 for block in building.blocks)
    for x, y in building.chimneys:
        on = stamp(canvas, shapely.Point(x, y).buffer(px(0.4), quad_segs=1))
        if on is not None:
            paint(canvas, on, SPECTRA["tile_brown"])
            raise_height(canvas, on, top + 0.8)


def _paint_facet(
    canvas: Canvas,
    block: Block,
    facet: Polygon,
    fall_uv: FloatArray,
    material: FloatArray,
    sheets: bool,
    sun_xyz: FloatArray,
) -> None:
    on = stamp(canvas, facet)
    if on is None:
        return
    fall = Frame(0, 0, block.frame.angle).to_scene(fall_uv[None])[0]
    normal = np.array([fall[0] * block.pitch, fall[1] * block.pitch, 1.0])
    facing = float(normal @ sun_xyz / np.linalg.norm(normal) / sun_xyz[2])
    texture = 1 + 0.055 * canvas.fine_hw[on.window] + 0.06 * canvas.mid_hw[on.window]
    level = not fall_uv.any()
    if sheets and not level:
        # Sheets lie side by side along the ridge; each has weathered in its own way.
        texture = texture + 0.05 * stripes(on, float(np.arctan2(fall[1], fall[0])), px(1.1), np.float32(0) * texture)
    paint(canvas, on, material, texture_hw=texture)
    set_shade(canvas, on, max(facing, 0.0))
    rows, cols = on.share_hw.shape
    y = (np.arange(rows) + on.row + 0.5 - canvas.margin)[:, None] - block.frame.y
    x = (np.arange(cols) + on.col + 0.5 - canvas.margin)[None, :] - block.frame.x
    # Run from the ridge down to the eaves, in pixels; a lean-to starts at its upper edge.
    run = fall[0] * x + fall[1] * y
    half = (block.length if fall_uv[0] else block.width) / 2
    height = block.eaves_m + block.pitch * GSD_M * np.clip(half - run, 0, 2 * half)
    raise_height(canvas, on, height.astype(np.float32) if not level else block.eaves_m)
