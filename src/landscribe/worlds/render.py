"""From the plan to a painted canvas, bottom layer first."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.random import Generator

from landscribe.core.arrays import FloatArray
from landscribe.worlds.ground.canvas import Canvas, Stamp, blank_canvas, paint, px, raise_height, stamp
from landscribe.worlds.ground.regions import Character
from landscribe.worlds.ground.spectra import SPECTRA, spectrum
from landscribe.worlds.landscape import Landscape
from landscribe.worlds.objects.buildings import paint_building
from landscribe.worlds.objects.fields import paint_fields, passes, stripes
from landscribe.worlds.objects.roads import paint_ways
from landscribe.worlds.objects.trees import paint_crowns
from landscribe.worlds.objects.village import Village
from landscribe.worlds.objects.water import paint_water


def render(rng: Generator, landscape: Landscape, shape_hw: tuple[int, int], margin: int, sun_xyz: FloatArray) -> Canvas:
    """Paint a landscape: everything that does not move.

    Args:
        rng: Source of randomness of the textures.
        landscape: The plan.
        shape_hw: Rows and columns of the scene.
        margin: Frame around the scene, pixels.
        sun_xyz: Unit vector to the sun.
    """
    canvas = blank_canvas(rng, shape_hw, margin)
    character = landscape.region.character
    _paint_ground(canvas, character)
    _paint_meadows(canvas, rng, landscape)
    _paint_wood_floor(canvas, landscape)
    paint_fields(canvas, rng, landscape.parcels.fields, character.soil)
    _paint_yards(canvas, rng, landscape.village, character)
    paint_water(canvas, landscape.water, character.soil)
    paint_ways(canvas, rng, landscape.ways, character.soil)
    for outline, material, height in landscape.village.fences:
        on = stamp(canvas, outline)
        if on is not None:
            texture = 1 + 0.08 * canvas.fine_hw[on.window] + 0.05 * canvas.mid_hw[on.window]
            paint(canvas, on, SPECTRA[material], texture_hw=texture)
            # Fences and poles are thinner than a pixel.
            raise_height(canvas, on, height, least_share=0.25)
    for building in (*landscape.village.sheds, *landscape.village.buildings):
        paint_building(canvas, building, sun_xyz)
    paint_crowns(canvas, rng, landscape.crowns, sun_xyz)
    return canvas


def _paint_wood_floor(canvas: Canvas, landscape: Landscape) -> None:
    """Darken the ground below groups of trees, out to where their litter falls."""
    cover = landscape.crowns.union.simplify(1.0)
    for reach_m, strength in ((1.6, 0.3), (0.2, 0.5)):
        closed = cover.buffer(px(reach_m + 1.2), quad_segs=2).buffer(-px(1.2), quad_segs=2)
        for part in shapely.get_parts(closed):
            on = stamp(canvas, part) if part.area > px(5) ** 2 else None
            if on is not None:
                fine, mid = canvas.fine_hw[on.window], canvas.mid_hw[on.window]
                paint(
                    canvas,
                    on.times(np.clip(strength + 0.25 * mid + 0.1 * fine, 0, 1)),
                    SPECTRA["forest_floor"],
                    texture_hw=1 + 0.15 * fine + 0.1 * mid,
                )


def _paint_ground(canvas: Canvas, character: Character) -> None:
    whole = Stamp(0, 0, np.ones(canvas.shape_hw, dtype=np.float32))
    fine, mid, coarse = canvas.fine_hw, canvas.mid_hw, canvas.coarse_hw
    paint(canvas, whole, SPECTRA[character.soil], texture_hw=1 + 0.05 * fine + 0.08 * mid + 0.06 * coarse)
    straw = np.clip(0.82 + 0.12 * mid + 0.08 * fine, 0, 1) * (0.45 + 0.55 * character.greenness)
    paint(canvas, whole.times(straw), SPECTRA["dry_grass"], texture_hw=1 + 0.07 * fine + 0.06 * mid)
    green = np.clip(character.greenness + 0.20 * coarse + 0.12 * mid + 0.06 * fine, 0, 1)
    paint(canvas, whole.times(green), SPECTRA["grass"], texture_hw=1 + 0.08 * fine + 0.07 * mid + 0.05 * coarse)


def _paint_meadows(canvas: Canvas, rng: Generator, landscape: Landscape) -> None:
    """Give each meadow its own use: grazed, mown in swaths, or left to dry."""
    for meadow in landscape.parcels.meadows:
        on = stamp(canvas, meadow)
        if on is None:
            continue
        fine, mid = canvas.fine_hw[on.window], canvas.mid_hw[on.window]
        kind = str(rng.choice(["grass", "dry_grass", "lawn"], p=[0.4, 0.35, 0.25]))
        share = rng.uniform(0.1, 0.5) + 0.12 * mid
        if rng.random() < 0.4:
            share = share + 0.1 * passes(rng, on, rng.uniform(0, np.pi), px(rng.uniform(2.5, 5)), 2 * mid)
        paint(canvas, on.times(np.clip(share, 0, 0.8)), SPECTRA[kind], texture_hw=1 + 0.08 * fine + 0.05 * mid)


def _paint_yards(canvas: Canvas, rng: Generator, village: Village, character: Character) -> None:
    lawn = spectrum(("lawn", 2 * character.greenness), ("dry_grass", 1.2 - character.greenness), (character.soil, 0.2))
    for plot in village.plots:
        on = stamp(canvas, plot)
        if on is not None:
            green = np.clip(rng.uniform(0.3, 0.9) + 0.3 * canvas.mid_hw[on.window], 0, 1)
            paint(canvas, on.times(green), lawn, texture_hw=1 + 0.06 * canvas.fine_hw[on.window])
    for outline, material in village.yards:
        on = stamp(canvas, outline)
        if on is None:
            continue
        fine, mid = canvas.fine_hw[on.window], canvas.mid_hw[on.window]
        texture = 1 + 0.05 * fine + 0.07 * mid
        if material == "yard":
            worn = np.clip(rng.uniform(0.1, 0.6) + 0.4 * mid + 0.1 * fine, 0, 0.9)
            paint(canvas, on.times(worn), spectrum((character.soil, 2), ("gravel", 1)), texture_hw=texture)
        else:
            paint(canvas, on.times(np.clip(0.9 + 0.1 * mid, 0, 1)), SPECTRA[material], texture_hw=texture)
    for bed, angle in village.beds:
        on = stamp(canvas, bed)
        if on is not None:
            rows = stripes(on, angle, px(rng.uniform(0.8, 1.2)), canvas.mid_hw[on.window])
            dark = SPECTRA[character.soil] * np.float32(rng.uniform(0.6, 0.95))
            paint(canvas, on, dark, texture_hw=1 + 0.06 * canvas.fine_hw[on.window])
            growth = np.clip(rng.uniform(0, 0.9) + 0.25 * rows + 0.2 * canvas.mid_hw[on.window], 0, 1)
            paint(canvas, on.times(growth), SPECTRA[str(rng.choice(["potato", "lawn", "grass", "maize"]))])
