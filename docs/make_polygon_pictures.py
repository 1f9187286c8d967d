"""Draw the pictures of docs/polygons.md, all made by the program itself: python docs/make_polygon_pictures.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely

from landscribe.core.arrays import ByteArray
from landscribe.core.burn import MaskMode, burn_mask, burn_share
from landscribe.core.trace import trace

SCALE, GAP, TEXT = 18, 24, 20
IMAGES = Path(__file__).parent / "images"
TRUE, FOUND, SHIFTED = "#d62728", "#005f56", "#6a3d9a"


def draw_pair() -> str:
    """Return a car as exact shares with their contour, and as a 0/1 mask with its pixel borders."""
    shape_hw = (13, 19)
    car = shapely.affinity.rotate(shapely.box(2.6, 3.4, 16.6, 9.4), 24)
    share_hw, mask_hw = burn_share(_one(car), shape_hw), burn_mask(_one(car), shape_hw)
    panels = []
    for title, field_hw, found in (
        ("covered shares, contour at 0.5", share_hw, trace(share_hw)),
        ("0/1 mask, pixel borders", mask_hw * 255, trace(mask_hw > 0, mode="edge")),
    ):
        outline = found.geometries[0]
        text = f"{title}: Jaccard {_jaccard(car, outline):.3f}"
        panels.append(_panel(field_hw, [(car, TRUE, "6 4"), (outline, FOUND, "none")], [text]))
    return _page(panels, shape_hw, lines=1)


def draw_masks() -> str:
    """Return one roof as masks of the three conventions, with the borders that come back."""
    shape_hw = (10, 12)
    roof = shapely.affinity.rotate(shapely.box(2.7, 2.9, 9.2, 6.9), 18)
    rules: tuple[tuple[MaskMode, str], ...] = (
        ("gdal", "the pixel's centre is inside"),
        ("touched", "any part is covered"),
        ("opencv", "the outline is painted too"),
    )
    panels = []
    for mode, rule in rules:
        mask_hw = burn_mask(_one(roof), shape_hw, mode=mode)
        outline = trace(mask_hw > 0, mode="edge").geometries[0]
        share = 100 * (outline.area / roof.area - 1)
        text = [f"{mode}: {rule}", f"area {share:+.0f} %, Jaccard {_jaccard(roof, outline):.2f}"]
        panels.append(_panel(mask_hw * 255, [(roof, TRUE, "6 4"), (outline, FOUND, "none")], text, dots=True))
    return _page(panels, shape_hw, lines=2)


def draw_half_pixel() -> str:
    """Return where the same numbers lie by either origin, and what mixing the conventions does."""
    shape_hw = (8, 11)
    field = shapely.box(2, 2, 8, 6)
    mask_hw = burn_mask(_one(field), shape_hw)
    off = shapely.affinity.translate(field, 0.5, 0.5)
    grown_hw = burn_mask(_one(field), shape_hw, mode="opencv")
    grown = trace(grown_hw > 0, mode="edge").geometries[0]
    panels = [
        _panel(mask_hw * 255, [(field, FOUND, "none")], ["corner (2, 2) to (8, 6), here", "counted from pixel corners"],
               dots=True),
        _panel(mask_hw * 255, [(field, TRUE, "6 4"), (off, SHIFTED, "none")],
               ["the same numbers taken for", "pixel centres: half a pixel off"], dots=True),
        _panel(grown_hw * 255, [(field, TRUE, "6 4"), (grown, SHIFTED, "none")],
               ["painted as opencv, read here:", "a pixel too far right and down"], dots=True),
    ]  # fmt: skip
    return _page(panels, shape_hw, lines=2)


def draw_corners() -> str:
    """Return two pixels that meet at a corner, by connectivity."""
    shape_hw = (6, 8)
    mask_hw = np.zeros(shape_hw, dtype=np.bool_)
    mask_hw[1:3, 1:4] = mask_hw[3:5, 4:7] = True
    panels = []
    for connectivity, mode in ((4, "edge"), (4, "contour"), (8, "edge"), (8, "contour")):
        found = trace(mask_hw, mode=mode, connectivity=connectivity).geometries
        kind = "MultiPolygon" if found[0].geom_type == "MultiPolygon" else "polygon"
        text = [f"{connectivity}, {mode}:", f"{len(found)} {kind}{'s' if len(found) > 1 else ''}"]
        outlines = [(part, FOUND, "none") for part in shapely.get_parts(found)]
        panels.append(_panel(mask_hw.astype(np.uint8) * 255, outlines, text))
    return _page(panels, shape_hw, lines=2)


def _one(polygon: shapely.Polygon) -> np.ndarray:
    return np.array([polygon], dtype=object)


def _jaccard(a: shapely.Geometry, b: shapely.Geometry) -> float:
    return float(a.intersection(b).area / a.union(b).area)


def _page(panels: Sequence[str], shape_hw: tuple[int, int], *, lines: int) -> str:
    step = shape_hw[1] * SCALE + GAP
    width, height = len(panels) * step - GAP, shape_hw[0] * SCALE + lines * TEXT + 8
    box = f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13"'
    parts = [f'<g transform="translate({number * step} 0)">{panel}</g>' for number, panel in enumerate(panels)]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>"]) + "\n"


def _panel(
    field_hw: ByteArray,
    outlines: Sequence[tuple[shapely.Polygon, str, str]],
    texts: Sequence[str],
    *,
    dots: bool = False,
) -> str:
    parts = [_pixels(field_hw, dots=dots), *(_outline(*outline) for outline in outlines)]
    bottom = len(field_hw) * SCALE
    parts += [f'<text x="0" y="{bottom + TEXT * (k + 1) - 4}">{text}</text>' for k, text in enumerate(texts)]
    return "".join(parts)


def _pixels(field_hw: ByteArray, *, dots: bool) -> str:
    cells = []
    for row, col in np.ndindex(field_hw.shape):
        grey = 255 - int(field_hw[row, col]) // 2
        centre = "#fff" if grey < 192 else "#777"
        place = f'x="{col * SCALE}" y="{row * SCALE}" width="{SCALE}" height="{SCALE}"'
        cells.append(f'<rect {place} fill="rgb({grey},{grey},{grey})" stroke="#ddd" stroke-width="0.5"/>')
        if dots:
            cells.append(f'<circle cx="{(col + 0.5) * SCALE}" cy="{(row + 0.5) * SCALE}" r="1.3" fill="{centre}"/>')
    return "".join(cells)


def _outline(polygon: shapely.Polygon, colour: str, dashes: str) -> str:
    points = " ".join(f"{x * SCALE:.1f},{y * SCALE:.1f}" for x, y in polygon.exterior.coords)
    return f'<polygon points="{points}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>'


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, draw in (
        ("polygons", draw_pair),
        ("masks", draw_masks),
        ("half-pixel", draw_half_pixel),
        ("corners", draw_corners),
    ):
        (IMAGES / f"{name}.svg").write_text(draw(), encoding="utf-8")
