"""Exact scoring of 25 full-size scenes with 10 classes, side by side with method L's way.

Truth has the numbers of objects, perimeters and areas of the DSTL training set; the prediction is the truth moved,
roughened to a contour's number of vertices, with a tenth missed and a tenth invented.
Method L's `--valid-polygons` intersects and subtracts the whole MultiPolygons of an image and class with shapely,
after buffer(0) where they are invalid.

    python benchmarks/score.py [--scenes 25] [--repeats 3] [--boundaries] [--json] [--save FILE]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

from landscribe.core.features import join_features, make_features, of_class
from landscribe.core.legend import DSTL_LEGEND
from landscribe.core.score.areas import Areas, polygon_areas
from landscribe.core.score.scores import score_features
from side_by_side import finish, report

SIDE_PX = 3400
# Objects and perimeter in pixels over 25 scenes, and share of the area, in the order of the legend.
DSTL = (
    (12011, 1_432_739, 0.033008), (12315, 1_687_605, 0.007047), (14, 146_987, 0.008081), (239, 1_560_520, 0.029990),
    (48347, 4_036_159, 0.101726), (422, 704_711, 0.275076), (28, 44_898, 0.005006), (224, 29_367, 0.001683),
    (66, 3_485, 0.000037), (1060, 25_470, 0.000152),
)  # fmt: skip
MORE = 1.04
"""Times the objects, so that each side has at least 77,000 polygons."""
TRUTH_STEP_PX, CONTOUR_STEP_PX = 5.0, 2.5
"""Distance of vertices along labels drawn by hand, and along contours after simplification."""


def make_scene(scene: str, rng: np.random.Generator) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    """Make prediction and truth of one scene."""
    ours, theirs = [], []
    for land_class, (objects, perimeter, share) in zip(DSTL_LEGEND, DSTL, strict=True):
        count = max(1, rng.poisson(MORE * objects / 25))
        area, length = share * SIDE_PX**2 * 25 / objects, perimeter / objects
        truth = _objects(rng, count, area, length, TRUTH_STEP_PX)
        kept = truth[rng.random(count) > 0.1]
        moved = shapely.transform(kept, lambda xy: xy + rng.normal(0, 1.2, 2) + 0.6 * np.sin(xy[:, ::-1] * 0.9))
        rough = shapely.segmentize(moved, CONTOUR_STEP_PX)
        invented = _objects(rng, count - len(kept), area, length, CONTOUR_STEP_PX)
        theirs.append(make_features(scene, land_class, truth))
        ours.append(make_features(scene, land_class, np.concatenate((rough, invented))))
    return join_features(ours), join_features(theirs)


def _objects(rng: np.random.Generator, count: int, area: float, length: float, step: float) -> np.ndarray:
    """Make ribbons and blobs of about this area and outline: a rectangle bent along a wave."""
    if not count:
        return np.empty(0, dtype=object)
    half = length / 2
    # The sides of a rectangle with this area and outline; a square where no rectangle is that compact.
    width = (half - np.sqrt(max(half**2 - 4 * area, 0.0))) / 2
    shapes = []
    for _ in range(count):
        scale = rng.lognormal(0, 0.3)
        long, short = max(half - width, width) * scale, max(width, 1.0) * scale
        n = max(2, int(long / step) + 1)
        t = np.linspace(-0.5, 0.5, n)
        bend = min(long, SIDE_PX) * 0.08 * np.sin(5 * t + rng.uniform(0, 6))
        spine = np.stack((t * min(long, SIDE_PX), bend), -1)
        edge = short / 2 * (1 + 0.15 * rng.uniform(-1, 1, (2, n)))
        left, right = (np.stack((0 * t, side), -1) for side in edge)
        outline = np.concatenate((spine + left, (spine - right)[::-1]))
        turn = rng.uniform(0, 2 * np.pi)
        rotation = np.array(((np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))))
        shapes.append(outline @ rotation.T + rng.uniform(0, SIDE_PX, 2))
    return np.array([shapely.Polygon(xy) for xy in shapes], dtype=object)


def method_l(predicted: gpd.GeoDataFrame, truth: gpd.GeoDataFrame) -> dict[str, Areas]:
    """Score as method L's `--valid-polygons` does."""
    totals = dict.fromkeys(DSTL_LEGEND.names, Areas(0.0, 0.0, 0.0))
    for scene in truth["scene"].unique():
        for name in DSTL_LEGEND.names:
            sides = [shapely.multipolygons(of_class(side, name, scene)) for side in (predicted, truth)]
            ours, theirs = (side if side.is_valid else side.buffer(0) for side in sides)
            totals[name] += Areas(
                ours.intersection(theirs).area, ours.difference(theirs).area, theirs.difference(ours).area
            )
    return totals


def brute_force(predicted: gpd.GeoDataFrame, truth: gpd.GeoDataFrame, scene: str, name: str) -> Areas:
    """Score one class of one scene by uniting whole layers."""
    ours, theirs = (shapely.union_all(shapely.make_valid(of_class(side, name, scene))) for side in (predicted, truth))
    return Areas(ours.intersection(theirs).area, ours.difference(theirs).area, theirs.difference(ours).area)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=25)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--boundaries", action="store_true", help="time boundary scores too")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--save", type=Path, help="file to write the JSON object to")
    options = parser.parse_args()
    rng = np.random.default_rng(7)
    ids = [f"scene_{i}" for i in range(options.scenes)]
    pairs = [make_scene(scene, rng) for scene in ids]
    predicted, truth = (join_features(side) for side in zip(*pairs, strict=True))
    counts = " and ".join(
        f"{len(frame)} {side} polygons of {int(shapely.get_num_coordinates(frame.geometry.to_numpy()).sum())} vertices"
        for side, frame in (("predicted", predicted), ("true", truth))
    )
    jobs = {
        "method L": lambda: method_l(predicted, truth),
        "landscribe": lambda: score_features(predicted, truth, DSTL_LEGEND),
        "landscribe, one thread": lambda: score_features(predicted, truth, DSTL_LEGEND, workers=1),
    }
    if options.boundaries:
        jobs["landscribe, boundaries too"] = lambda: score_features(predicted, truth, DSTL_LEGEND, boundary=3.0)
    wall: dict[str, list[float]] = {name: [] for name in jobs}
    processor: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(options.repeats):
        for name, job in jobs.items():
            begin, busy = time.perf_counter(), time.process_time()
            job()
            wall[name].append(time.perf_counter() - begin)
            processor[name].append(time.process_time() - busy)
    score = score_features(predicted, truth, DSTL_LEGEND)
    theirs = method_l(predicted, truth)
    apart = max(abs(row.polygon.jaccard - theirs[name].jaccard) for name, row in score.classes.items())
    worst = max(
        abs(polygon_areas(of_class(predicted, n, ids[0]), of_class(truth, n, ids[0])).jaccard
            - brute_force(predicted, truth, ids[0], n).jaccard)
        for n in DSTL_LEGEND.names
    )  # fmt: skip
    title = f"exact scores of {options.scenes} scenes x {len(DSTL_LEGEND)} classes, {counts}"
    notes = {name: f"wall {statistics.median(found):.2f} s, best {min(found):.2f} s" for name, found in wall.items()}
    table = report(title, {name: statistics.median(found) for name, found in processor.items()}, "method L", notes)
    said = f"largest difference of Jaccard: from method L {apart:.1e}, from whole unions on {ids[0]} {worst:.1e}"
    print(f"  {said}", file=sys.stderr)
    finish([{**table, "wall_s": wall, "differences": said}], options.json, options.save)


if __name__ == "__main__":
    main()
