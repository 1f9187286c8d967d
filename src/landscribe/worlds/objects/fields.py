"""Parcels of open land: how they are cut, what grows on them, and how rows and tractor lines look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
import shapely.affinity
from numpy.random import Generator
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import FloatArray
from landscribe.worlds.ground.canvas import Canvas, Stamp, paint, px, stamp
from landscribe.worlds.ground.regions import Region, pick
from landscribe.worlds.ground.spectra import SPECTRA, spectrum
from landscribe.worlds.objects.roads import STEP_PX

_SEAM_M = {"track": 2.6, "hedge": 2.2, "grass": 0.8}
"""Half the width of the strip between two parcels, by what stands there."""
_ROW_M = {"potato": 1.5, "maize": 1.5, "ploughed": 1.8}


@dataclass(frozen=True)
class Field:
    """A field under one crop: the label is its outline."""

    outline: Polygon
    crop: str
    row_angle: float
    """Direction of the rows, radians from x towards y."""
    cover: float
    """Growth stage: share of the ground the plants hide, 0..1."""
    row_px: float
    """Distance between rows."""
    tram_px: float
    """Distance between tractor lines."""


@dataclass(frozen=True)
class Parcels:
    """Open land, cut up."""

    fields: list[Field]
    woods: list[Polygon]
    meadows: list[Polygon]
    seams: list[tuple[LineString, str]]
    """Lines between parcels and what stands there: `track`, `hedge` or `grass`."""


def plan_parcels(rng: Generator, extent: Polygon, free: BaseGeometry, region: Region) -> Parcels:
    """Cut the free land into parcels and give each a use.

    Woods and crops are handed out until the region's shares of the extent are reached; what remains is meadow.
    """
    character = region.character
    seams: list[tuple[LineString, str]] = []
    leaves: list[Polygon] = []
    side_px = min(px(character.field_m), 0.42 * float(np.sqrt(extent.area)))
    for part in shapely.get_parts(free):
        _cut(rng, part, region.heading + rng.normal(0, 0.1), side_px, leaves, seams)
    strips = [line.buffer(px(_SEAM_M[kind]), cap_style="flat") for line, kind in seams]
    between = shapely.union_all(strips)
    leaves = [piece for leaf in leaves for piece in shapely.get_parts(leaf.difference(between))]
    leaves = [leaf for leaf in leaves if leaf.area > px(7) ** 2]
    crop_left = character.crop_share * extent.area
    wood_left = character.wood_share * extent.area
    parcels = Parcels([], [], [], seams)
    # Woods first, on the parcels that fit them best; then crops on large parcels.
    for leaf in sorted(leaves, key=lambda leaf: abs(leaf.area - wood_left * rng.uniform(0.5, 1.1))):
        if wood_left > 0.6 * leaf.area:
            parcels.woods.append(leaf)
            wood_left -= leaf.area
    rest = [leaf for leaf in leaves if not any(leaf is wood for wood in parcels.woods)]
    for leaf in sorted(rest, key=lambda leaf: -leaf.area * rng.uniform(0.3, 1.0)):
        if crop_left > 0.35 * leaf.area and leaf.area > px(24) ** 2:
            made = _make_fields(rng, leaf, region)
            parcels.fields.extend(made)
            crop_left -= sum(field.outline.area for field in made)
        else:
            parcels.meadows.append(leaf)
    return parcels


def _long_side(shape: Polygon) -> FloatArray:
    corners = shapely.get_coordinates(shape.minimum_rotated_rectangle)
    edges = np.diff(corners, axis=0)
    longest: FloatArray = edges[int(np.argmax(np.hypot(edges[:, 0], edges[:, 1])))]
    return longest


def _cut(
    rng: Generator,
    part: Polygon,
    heading: float,
    side_px: float,
    leaves: list[Polygon],
    seams: list[tuple[LineString, str]],
) -> None:
    if part.area < side_px**2 * rng.uniform(0.7, 1.5):
        leaves.append(part)
        return
    longest = _long_side(part)
    towards = heading + np.pi / 2 * round((np.arctan2(longest[1], longest[0]) - heading) / (np.pi / 2))
    across = towards + np.pi / 2 + rng.normal(0, 0.06)
    middle = np.array(part.centroid.coords[0]) + rng.normal(0, 0.08, 2) * side_px
    reach = float(np.hypot(*longest)) * 1.5
    along = np.arange(-reach, reach, STEP_PX)
    bow = px(rng.normal(0, 2.5)) * np.cos(np.pi * along / reach)
    forward = np.array([np.cos(across), np.sin(across)])
    side = np.array([-forward[1], forward[0]])
    line = LineString(middle + along[:, None] * forward + bow[:, None] * side).intersection(part)
    pieces = [piece for piece in shapely.get_parts(part.difference(line.buffer(0.05))) if piece.area > 1]
    if len(pieces) < 2:
        leaves.append(part)
        return
    kind = str(rng.choice(["track", "hedge", "grass"], p=[0.45, 0.28, 0.27]))
    seams.extend((run, kind) for run in shapely.get_parts(line) if run.length > px(6))
    for piece in pieces:
        _cut(rng, piece, heading, side_px, leaves, seams)


def _make_fields(rng: Generator, leaf: Polygon, region: Region) -> list[Field]:
    longest = _long_side(leaf)
    angle = float(np.arctan2(longest[1], longest[0]))
    sown = leaf.buffer(-px(rng.uniform(0.6, 1.6)) - px(2)).buffer(px(2), quad_segs=4)
    narrow = rng.random() < region.character.strips
    pieces = _strips(rng, sown, angle) if narrow else list(shapely.get_parts(sown))
    made = []
    for outline in pieces:
        if outline.area < px(14) ** 2:
            continue
        crop = pick(rng, region.character.crops)
        made.append(
            Field(
                outline=outline.simplify(0.3),
                crop=crop,
                row_angle=angle,
                cover=float(rng.uniform(0.35, 0.98)) if crop not in ("ploughed", "stubble") else 0.0,
                row_px=px(_ROW_M.get(crop, 1.25) * rng.uniform(0.9, 1.25)),
                tram_px=px(float(rng.choice([12, 16, 18, 24]))),
            )
        )
    return made


def _strips(rng: Generator, sown: BaseGeometry, angle: float) -> list[Polygon]:
    """Cut a field along its length into the narrow strips of smallholders."""
    centre = sown.centroid
    level = shapely.affinity.rotate(sown, -angle, origin=centre, use_radians=True)
    left, top, right, bottom = level.bounds
    pieces: list[Polygon] = []
    y = top
    while y < bottom - px(3):
        wide = px(float(rng.choice([rng.uniform(7, 14), rng.uniform(14, 30)])))
        band = shapely.clip_by_rect(level, left, y, right, min(y + wide, bottom) - px(0.5))
        turned = shapely.affinity.rotate(band, angle, origin=centre, use_radians=True)
        pieces += [piece for piece in shapely.get_parts(turned) if isinstance(piece, Polygon)]
        y += wide
    return pieces


def _across(on: Stamp, angle: float, warp_hw: FloatArray | float) -> FloatArray:
    rows, cols = on.share_hw.shape
    y = (np.arange(rows, dtype=np.float32) + np.float32(on.row))[:, None]
    x = (np.arange(cols, dtype=np.float32) + np.float32(on.col))[None, :]
    across: FloatArray = x * np.float32(-np.sin(angle)) + y * np.float32(np.cos(angle)) + warp_hw
    return across


def stripes(on: Stamp, angle: float, period_px: float, warp_hw: FloatArray | float = 0.0) -> FloatArray:
    """Return parallel waves, float32 of the stamp's shape, -1..1; `warp_hw` bends them by that many pixels."""
    waves: FloatArray = np.cos(_across(on, angle, warp_hw) * np.float32(2 * np.pi / period_px))
    return waves


def passes(rng: Generator, on: Stamp, angle: float, width_px: float, warp_hw: FloatArray | float = 0.0) -> FloatArray:
    """Return bands as wide as a machine, each with a random value of standard deviation 1, with soft borders."""
    across = _across(on, angle, warp_hw)
    across -= across.min()
    values = rng.standard_normal(int(across.max() / width_px) + 3).astype(np.float32)
    knots = np.arange(len(values), dtype=np.float32)
    # Two knots per band, close to its borders, make flat tops with soft sides.
    places = np.sort(np.concatenate([knots - 0.38, knots + 0.38]))
    bands: FloatArray = np.interp(across / width_px, places, np.repeat(values, 2)).astype(np.float32)
    return bands


def paint_fields(canvas: Canvas, rng: Generator, fields: list[Field], soil: str) -> None:
    """Paint each field: soil, plants by growth and rows, headlands, tractor lines."""
    for field in fields:
        on = stamp(canvas, field.outline)
        if on is not None:
            _paint_field(canvas, rng, field, on, soil)


def _paint_field(canvas: Canvas, rng: Generator, field: Field, on: Stamp, soil: str) -> None:
    fine, mid, coarse = (t[on.window] for t in (canvas.fine_hw, canvas.mid_hw, canvas.coarse_hw))
    bare = spectrum((soil, 1.0)) * np.float32(rng.uniform(0.75, 1.1))
    warp = 1.2 * coarse + 0.3 * mid
    rows = stripes(on, field.row_angle, field.row_px, warp)
    wide = passes(rng, on, field.row_angle, field.row_px * rng.uniform(2.2, 4.5), warp)
    earth = 1 + 0.06 * fine + 0.035 * mid + 0.08 * coarse + 0.045 * rows + 0.035 * wide
    paint(canvas, on, bare, texture_hw=earth)
    if field.crop == "stubble":
        straw = np.clip(0.7 + 0.08 * rows + 0.08 * wide + 0.10 * mid + 0.08 * coarse, 0, 1)
        paint(canvas, on.times(straw), SPECTRA["stubble"], texture_hw=1 + 0.05 * fine + 0.05 * coarse)
    elif field.crop != "ploughed":
        gap = 0.40 * (1 - field.cover) + 0.04
        uneven = 0.07 * coarse + 0.035 * mid + 0.05 * fine + 0.03 * wide
        plants = np.clip(field.cover + uneven + gap * rows, 0.02, 1)
        tone = np.float32(rng.uniform(0.9, 1.25))
        leaves = 1 + 0.07 * fine + 0.03 * mid + 0.05 * coarse + 0.03 * wide + 0.03 * rows
        paint(canvas, on.times(plants), SPECTRA[field.crop] * tone, texture_hw=leaves)
        # Green never stands alone: dead leaves and weeds show between the plants.
        litter = np.clip(0.10 + 0.06 * mid - 0.05 * coarse, 0, 0.4)
        paint(canvas, on.times(litter), SPECTRA["dry_grass"])
    if field.crop != "ploughed":
        rim = stamp(canvas, shapely.difference(field.outline, field.outline.buffer(-px(rng.uniform(2, 6)))))
        if rim is not None:
            paint(canvas, rim.times(np.clip(0.12 + 0.12 * canvas.mid_hw[rim.window], 0, 0.5)), bare)
    if field.crop not in ("ploughed", "potato"):
        _paint_tram_lines(canvas, field, bare)


def _paint_tram_lines(canvas: Canvas, field: Field, bare: FloatArray) -> None:
    centre = field.outline.centroid
    left, top, right, bottom = field.outline.bounds
    reach = float(np.hypot(right - left, bottom - top))
    lines = []
    for offset in np.arange(-reach / 2, reach / 2, field.tram_px):
        for wheel in (-px(0.9), px(0.9)):
            y = centre.y + offset + wheel
            lines.append(LineString([(centre.x - reach, y), (centre.x + reach, y)]))
    turned = shapely.affinity.rotate(shapely.MultiLineString(lines), field.row_angle, origin=centre, use_radians=True)
    inside = turned.intersection(field.outline.buffer(-px(2)))
    on = stamp(canvas, inside.buffer(px(0.22), cap_style="flat"))
    if on is not None:
        paint(canvas, on.times(np.clip(0.4 + 0.25 * canvas.mid_hw[on.window], 0, 0.8)), bare)
