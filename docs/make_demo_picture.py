"""Draw the README's picture: python docs/make_demo_picture.py landscribe-demo/run docs/images/demo.jpg."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from landscribe.core.features import of_class
from landscribe.core.legend import DSTL_LEGEND
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import open_run
from landscribe.io.vector.vectors import read_own

SCALE = 2
ORDER = (
    "crop",
    "tree",
    "standing-water",
    "waterway",
    "track",
    "road",
    "structure",
    "building",
    "large-vehicle",
    "small-vehicle",
)


def draw(run_folder: Path, target: Path, scene_id: str) -> None:
    """Write the picture and, beside it, the polygons over the faded picture."""
    run = open_run(run_folder)
    scene = open_prepared(run, scene_id)
    image_chw, _ = scene.read("RGB")
    low, high = np.percentile(image_chw, (1, 99), axis=(1, 2))
    picture = np.clip((image_chw.transpose(1, 2, 0) - low) / (high - low), 0, 1)
    picture = cv2.resize(
        (255 * picture[..., ::-1]).astype(np.uint8), None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC
    )
    faded = (0.55 * picture + 0.45 * 255).astype(np.uint8)
    features = read_own(run.features(scene_id))
    for name in ORDER:
        red, green, blue = (int(DSTL_LEGEND.by_name(name).colour[k : k + 2], 16) for k in (1, 3, 5))
        layer = faded.copy()
        for polygon in scene.grid.ground_to_pixels(of_class(features, name)):
            for part in getattr(polygon, "geoms", [polygon]):
                rings = [np.array(r.coords) * SCALE * 16 for r in (part.exterior, *part.interiors)]
                shapes = [ring.round().astype(np.int32) for ring in rings]
                cv2.fillPoly(layer, shapes, (blue, green, red), cv2.LINE_AA, shift=4)
                cv2.polylines(faded, shapes, True, (blue, green, red), 2, cv2.LINE_AA, shift=4)
        faded = cv2.addWeighted(layer, 0.55, faded, 0.45, 0)
    gap = np.full((picture.shape[0], 12, 3), 255, np.uint8)
    target.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(target), np.hstack([picture, gap, faded]), [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else "6010_0_1")
