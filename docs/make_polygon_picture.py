"""Draw docs/images/polygons.svg, a car as pixels and what comes back: python docs/make_polygon_picture.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import shapely

from landscribe.core.arrays import ByteArray
from landscribe.core.burn import burn_mask, burn_share
from landscribe.core.trace import trace

SCALE, HEIGHT, WIDTH = 18, 13, 19
TARGET = Path(__file__).parent / "images" / "polygons.svg"


def draw() -> str:
    """Return the picture: exact shares with their contour, and a 0/1 mask with its pixel borders."""
    car = shapely.affinity.rotate(shapely.box(2.6, 3.4, 16.6, 9.4), 24)
    one = np.array([car], dtype=object)
    share_hw, mask_hw = burn_share(one, (HEIGHT, WIDTH)), burn_mask(one, (HEIGHT, WIDTH))
    panels = [
        ("covered shares, contour at 0.5", share_hw, trace(share_hw).geometries[0]),
        ("0/1 mask, pixel borders", mask_hw * 255, trace(mask_hw > 0, mode="edge").geometries[0]),
    ]
    parts = []
    for number, (title, field_hw, found) in enumerate(panels):
        jaccard = found.intersection(car).area / found.union(car).area
        parts.append(f'<g transform="translate({number * (WIDTH * SCALE + 24)} 0)">')
        parts.append(_pixels(field_hw))
        parts.append(_outline(car, "#d62728", "6 4") + _outline(found, "#005f56", "none"))
        parts.append(f'<text x="0" y="{HEIGHT * SCALE + 20}">{title}: Jaccard {jaccard:.3f}</text></g>')
    width, height = 2 * WIDTH * SCALE + 24, HEIGHT * SCALE + 30
    box = f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="14"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box}>'
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>"]) + "\n"


def _pixels(field_hw: ByteArray) -> str:
    cells = []
    for row, col in np.ndindex(field_hw.shape):
        grey = 255 - int(field_hw[row, col]) // 2
        place = f'x="{col * SCALE}" y="{row * SCALE}" width="{SCALE}" height="{SCALE}"'
        cells.append(f'<rect {place} fill="rgb({grey},{grey},{grey})" stroke="#ddd" stroke-width="0.5"/>')
    return "".join(cells)


def _outline(polygon: shapely.Polygon, colour: str, dashes: str) -> str:
    points = " ".join(f"{x * SCALE:.1f},{y * SCALE:.1f}" for x, y in polygon.exterior.coords)
    return f'<polygon points="{points}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>'


if __name__ == "__main__":
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(draw())
