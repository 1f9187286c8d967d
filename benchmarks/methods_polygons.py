"""Vertices of a whole submission, ours and as method L made them: python benchmarks/methods_polygons.py [--json].

Scenes of a synthetic world; the masks are those of the labels, clean and as ragged as a network's. Each way gets the
masks that belong to it (covered shares, or painted by OpenCV), and everything is written, read and checked as a
submission.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import shapely

from landscribe.core.burn import burn_mask, burn_share_float
from landscribe.core.grid import dstl_grid
from landscribe.core.legend import DSTL_LEGEND
from landscribe.core.polygons.rings import polygon_parts
from landscribe.core.rules.overlay import simplify
from landscribe.core.score.areas import polygon_areas, sum_areas
from landscribe.core.trace import trace
from landscribe.io.source.submissions import check_submission
from landscribe.io.vector.wkt_csv import write_wkt_csv
from landscribe.worlds import WorldSpec, make_scene

Way = Callable[[np.ndarray, str], np.ndarray]
SMALL = ("structure", "large-vehicle", "small-vehicle")
VEHICLES = ("large-vehicle", "small-vehicle")
MEASURED_PX = 1500
"""Distances are measured on scenes of a shorter side than this: on others it takes an hour."""
ORIGINAL = "the original: findContours TC89, approxPolyDP, buffer(0)"


def epsilon(name: str) -> float:
    """Return method L's tolerance of a class."""
    return 1.0 if name in VEHICLES else 2.0


def least(name: str) -> float:
    """Return its smallest area."""
    return 10.0 if name in SMALL else 50.0


def original(mask_hw: np.ndarray, name: str) -> np.ndarray:
    """Make polygons as method L did."""
    rings, links = cv2.findContours(mask_hw.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_KCOS)
    thinned = [cv2.approxPolyDP(ring, epsilon(name), True) for ring in rings]
    shells = {}
    for k, ring in enumerate(thinned):
        if links[0][k][3] < 0 and len(ring) > 2 and cv2.contourArea(ring) >= least(name):
            shells[k] = (ring[:, 0], [])
    for k, ring in enumerate(thinned):
        parent = links[0][k][3]
        if parent in shells and len(ring) > 2 and cv2.contourArea(ring) >= least(name):
            shells[parent][1].append(ring[:, 0])
    whole = shapely.MultiPolygon([shapely.Polygon(shell, holes) for shell, holes in shells.values()])
    return polygon_parts(np.array([whole.buffer(0)], dtype=object))[0]


def ours(mode: str, tolerance: bool, free: bool) -> Way:
    """Return our way: simplified while traced, held by pixel centres, or afterwards by the rule, or not at all."""

    def way(mask_hw: np.ndarray, name: str) -> np.ndarray:
        options = {"mode": mode, "connectivity": 8 if mode == "opencv" else 4, "threshold": 0.5}
        distance = epsilon(name) if tolerance and not free else 0.0
        found = trace(mask_hw, min_area_px=least(name), simplify_px=distance, **options).geometries
        if not free:
            return found
        parts = polygon_parts(simplify(found, epsilon(name)))[0]
        return parts[shapely.area(parts) >= least(name)]

    return way


WAYS: dict[str, tuple[str, Way]] = {
    ORIGINAL: ("opencv", original),
    "opencv, simplify_px": ("opencv", ours("opencv", True, False)),
    "opencv, rule simplify": ("opencv", ours("opencv", True, True)),
    "contour, simplify_px": ("share", ours("contour", True, False)),
    "contour, rule simplify (the recipe)": ("share", ours("contour", True, True)),
}


def masks(polygons: np.ndarray, shape_hw: tuple[int, int], rng: np.random.Generator, rag: float) -> dict:
    """Return the mask of a class as shares and as painted by OpenCV, both with the same ragged edge."""
    noise = cv2.GaussianBlur(rng.standard_normal(shape_hw, dtype=np.float32), (0, 0), 1.5)
    noise *= rag / max(float(noise.std()), 1e-9)
    fields = {
        "share": burn_share_float(polygons, shape_hw),
        "opencv": burn_mask(polygons, shape_hw, mode="opencv").astype(np.float32),
    }
    if rag:
        fields = {key: np.clip(cv2.GaussianBlur(f, (0, 0), 1.5) + noise, 0, 1) for key, f in fields.items()}
    return {"share": fields["share"], "opencv": fields["opencv"] >= 0.5}


def farthest(polygons: np.ndarray, exact: np.ndarray) -> float:
    """Return how far from all outlines with all vertices a part of an outline is, in pixels."""
    points = shapely.points(shapely.get_coordinates(shapely.segmentize(shapely.boundary(polygons), 1.0)))
    tree = shapely.STRtree(shapely.get_parts(shapely.boundary(exact)))
    return float(tree.query_nearest(points, return_distance=True, all_matches=False)[1].max()) if len(points) else 0.0


def run(spec: WorldSpec, rag: float, folder: Path) -> dict[str, object]:
    """Make the submissions of all ways, and measure them."""
    rng = np.random.default_rng(1)
    rows: dict[str, list] = {name: [] for name in WAYS}
    areas: dict[str, dict[str, list]] = {name: {} for name in WAYS}
    moved = dict.fromkeys(WAYS, 0.0)
    for number in range(spec.scenes):
        scene = make_scene(spec, number)
        shape_hw = spec.height, spec.width
        grid = dstl_grid(*shape_hw, scene.x_max, scene.y_min)
        for land_class in DSTL_LEGEND:
            truth = np.array(list(scene.polygons.get(land_class.id, ())), dtype=object)
            fields = masks(truth, shape_hw, rng, rag)
            for name, (kind, way) in WAYS.items():
                found = way(fields[kind], land_class.name)
                if min(shape_hw) < MEASURED_PX:
                    mode = "opencv" if kind == "opencv" else "contour"
                    exact = trace(fields[kind], mode=mode, connectivity=8).geometries
                    moved[name] = max(moved[name], farthest(found, exact))
                # Outlines of OpenCV count pixels from their centres; the original takes the numbers as they are.
                areas[name].setdefault(land_class.name, []).append(polygon_areas(found, truth))
                rows[name].append((scene.scene_id, land_class.id, found, grid))
    result = {}
    for name, made in rows.items():
        path = folder / "submission.csv.gz"
        if name == ORIGINAL:
            write_original(path, made)
        else:
            write_wkt_csv(path, [(i, c, grid.pixels_to_ground(found)) for i, c, found, grid in made], decimals=8)
        check = check_submission(path, decimals=8)
        with gzip.open(path) as text:
            size = len(text.read())
        ratios = [sum_areas(parts).jaccard for parts in areas[name].values()]
        result[name] = {
            "polygons": int(check.polygons),
            "vertices": int(check.vertices),
            "mb": size / 1e6,
            "mb_gz": check.bytes / 1e6,
            "jaccard": float(np.nanmean(ratios)),
            "invalid_rows": len(check.problems),
            "farthest_px": moved[name] if min(shape_hw) < MEASURED_PX else None,
        }
    return result


def write_original(path: Path, made: list) -> None:
    """Write a submission as method L did: rounded in pixels, then scaled, then rounded again, whatever comes of it."""
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("ImageId,ClassType,MultipolygonWKT\n")
        for image_id, class_id, found, grid in made:
            whole = shapely.MultiPolygon(list(grid.pixels_to_ground(found)))
            file.write(f'{image_id},{class_id},"{shapely.to_wkt(whole, rounding_precision=8)}"\n')


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--scenes", type=int, default=2)
    parser.add_argument("--height", type=int, default=3349)
    parser.add_argument("--width", type=int, default=3391)
    arguments = parser.parse_args()
    spec = WorldSpec(scenes=arguments.scenes, height=arguments.height, width=arguments.width, seed=7)
    tables = {}
    with tempfile.TemporaryDirectory() as folder:
        for title, rag in (("masks of the labels", 0.0), ("ragged masks", 0.12)):
            tables[title] = run(spec, rag, Path(folder))
            print(f"\n{title}", file=sys.stderr)
            for name, row in tables[title].items():
                values = "  ".join(f"{key} {value:.4g}" for key, value in row.items() if value is not None)
                print(f"  {name:<58} {values}", file=sys.stderr)
    if arguments.json:
        print(json.dumps(tables, indent=1))


if __name__ == "__main__":
    main()
