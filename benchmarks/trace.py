"""Tracing against other ways: python benchmarks/trace.py [--json] [--side 3400] [--large 20000] [--save FILE]."""

from __future__ import annotations

import argparse
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import contourpy
import cv2
import numpy as np
import shapely
from rasterio.features import shapes

from blob_field import blobs
from landscribe.core.grid import Window
from landscribe.core.trace import trace, trace_blocks
from landscribe.core.trace._strips import trace_edges
from landscribe.core.tracing import EXACT
from side_by_side import finish, report, time_in_turn


def rasterio_shapes(mask: np.ndarray) -> list[shapely.Geometry]:
    """GDAL's polygons as shapely ones."""
    return [shapely.geometry.shape(geometry) for geometry, _ in shapes(mask.view(np.uint8), mask=mask)]


def contourpy_polygons(field: np.ndarray) -> np.ndarray:
    """Sub-pixel contours by contourpy, as polygons with holes."""
    generator = contourpy.contour_generator(z=field, fill_type=contourpy.FillType.OuterOffset)
    points, offsets = generator.filled(0.5, np.inf)
    rings = np.concatenate([np.diff(o) for o in offsets])
    ring_start = np.concatenate(([0], np.cumsum(rings)))
    polygon_start = np.concatenate(([0], np.cumsum([len(o) - 1 for o in offsets])))
    return shapely.from_ragged_array(shapely.GeometryType.POLYGON, np.concatenate(points), (ring_start, polygon_start))


def same_polygons(ours: np.ndarray, theirs: list[shapely.Geometry]) -> bool:
    """Tell whether two sets of polygons are equal up to the order of vertices, rings and polygons."""
    a = sorted(shapely.to_wkb(shapely.normalize(ours)))
    return a == sorted(shapely.to_wkb(shapely.normalize(np.array(theirs, dtype=object))))


def run(side: int, repeats: int) -> list[dict[str, object]]:
    """Measure one size."""
    field = blobs(side)
    mask = field >= 0.5
    share = np.round(field * 255).astype(np.uint8)
    ours, theirs = trace(mask, mode="edge"), rasterio_shapes(mask)
    equal = same_polygons(ours.geometries, theirs)
    vertices = int(shapely.get_num_coordinates(ours.geometries).sum())
    title = f"pixel-edge trace, {side} x {side}, {len(ours)} polygons, {vertices} vertices, same polygons: {equal}"

    def passes_only() -> None:
        for _ in trace_edges(lambda w: mask[w.slices], mask.shape, 256, 0.5):
            pass

    wall: dict[str, float] = {}
    edge = time_in_turn(
        {
            "rasterio.features.shapes + shapely.shape": lambda: rasterio_shapes(mask),
            "landscribe trace(mode='edge')": lambda: trace(mask, mode="edge"),
            "landscribe, rings only (no shapely)": passes_only,
            "floor: cv2.connectedComponents, one pass": lambda: cv2.connectedComponents(
                mask.view(np.uint8), connectivity=4
            ),
        },
        repeats,
        wall=wall,
    )
    first = _report(title, edge, "rasterio.features.shapes + shapely.shape", wall)
    first["same_polygons"] = equal
    count = int(shapely.get_num_coordinates(trace(field, sharp=False).geometries).sum())
    contour = time_in_turn(
        {
            "contourpy + shapely": lambda: contourpy_polygons(field),
            "landscribe trace(float), plain": lambda: trace(field, sharp=False),
            "landscribe trace(uint8), plain": lambda: trace(share, sharp=False),
            "landscribe trace(uint8), sharp": lambda: trace(share),
            "landscribe trace(uint8), sharp, simplify 0.25 px": lambda: trace(share, simplify_px=0.25),
        },
        repeats,
        wall=wall,
    )
    title = f"sub-pixel trace, {side} x {side}, {count} vertices; ours with scores and areas, contourpy outlines only"
    return [first, _report(title, contour, "contourpy + shapely", wall)]


def _report(title: str, seconds: dict[str, float], base: str, wall: dict[str, float]) -> dict[str, object]:
    """Report processor seconds, with those on the wall beside them: ours uses two threads."""
    notes = {name: f"wall {wall[name]:.4f} s, {wall[base] / wall[name]:.2f} x" for name in seconds}
    return {**report(title, seconds, base, notes), "wall_s": {name: wall[name] for name in seconds}}


def run_large(side: int, block: int = 512) -> dict[str, object]:
    """Trace a scene that is never in memory: one tile of blobs over and over, read row by row."""
    tile = np.round(blobs(2500) * 255).astype(np.uint8)

    def read(window: Window) -> np.ndarray:
        rows = np.arange(window.row, window.row_stop) % len(tile)
        return np.tile(tile[rows], (1, -(-side // len(tile))))[:, : window.width]

    begin, began = time.process_time(), time.perf_counter()
    traced = trace_blocks(read, (side, side), replace(EXACT, simplify_px=0.25), block=block)
    seconds, wall = time.process_time() - begin, time.perf_counter() - began
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    vertices = int(shapely.get_num_coordinates(traced.geometries).sum())
    title = f"{side} x {side} in strips of {block} rows: {len(traced)} polygons, {vertices} vertices"
    print(
        f"\n{title}\n  {seconds:.1f} s, wall {wall:.1f} s, peak memory of the process {peak_gib:.2f} GiB",
        file=sys.stderr,
    )
    return {"title": title, "seconds": seconds, "wall_s": wall, "peak_gib": peak_gib}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", type=int, nargs="*", default=[3400, 10_000])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--large", type=int, help="trace one scene of this side in strips, for time and memory")
    parser.add_argument("--save", type=Path, help="file to write the JSON object to")
    arguments = parser.parse_args()
    # First, since the memory that is told is the most that the process ever had.
    tables = [run_large(arguments.large)] if arguments.large else []
    tables += [table for side in arguments.side for table in run(side, arguments.repeats)]
    finish(tables, arguments.json, arguments.save)


if __name__ == "__main__":
    main()
