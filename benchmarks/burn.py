"""Burning against other ways: python benchmarks/burn.py [--json] [--side 3400] [--repeats 5]."""

from __future__ import annotations

import argparse

import cv2
import numpy as np
import shapely
from rasterio.features import rasterize

from blob_field import blobs
from landscribe.core.burn import burn_bits, burn_mask, burn_share
from landscribe.core.trace import trace
from side_by_side import finish, report, time_in_turn

CLASSES = 10


def layers_of(side: int) -> list[np.ndarray]:
    """Ten classes of blobs with about 400,000 vertices on 3400 x 3400 pixels, in sub-pixel positions."""
    layers = []
    for seed in range(CLASSES):
        field = blobs(side, seed=seed, grain_px=7.0)
        traced = trace(field, threshold=0.6, sharp=False, min_area_px=4.0)
        layers.append(shapely.simplify(traced.geometries, 1.3))
    return layers


def rasterize_layers(layers: list[np.ndarray], side: int) -> list[np.ndarray]:
    """0/1 masks by GDAL."""
    return [rasterize([(g, 1) for g in layer], out_shape=(side, side), dtype="uint8") for layer in layers]


def rasterize_supersampled(layer: np.ndarray, side: int, factor: int = 4) -> np.ndarray:
    """Shares by counting GDAL's sub-pixels."""
    large = shapely.transform(layer, lambda xy: xy * factor)
    fine = rasterize([(g, 1) for g in large], out_shape=(side * factor, side * factor), dtype="uint8")
    return np.round(cv2.resize(fine * np.uint8(255), (side, side), interpolation=cv2.INTER_AREA)).astype(np.uint8)


def exact_errors(layer: np.ndarray, share: np.ndarray, seed: int = 0) -> float:
    """Largest error of a share on some hundred border pixels, against exact intersections."""
    rng = np.random.default_rng(seed)
    rows, cols = np.nonzero((share > 0) & (share < 255))
    chosen = rng.choice(len(rows), min(400, len(rows)), replace=False)
    squares = shapely.box(cols[chosen], rows[chosen], cols[chosen] + 1, rows[chosen] + 1)
    at, hits = shapely.STRtree(layer).query(squares)
    exact = np.bincount(at, shapely.area(shapely.intersection(squares[at], layer[hits])), len(chosen))
    return float(np.abs(exact - share[rows[chosen], cols[chosen]] / 255).max())


def run(side: int, repeats: int) -> list[dict[str, object]]:
    """Measure one size."""
    layers = layers_of(side)
    shape = (side, side)
    vertices = int(sum(shapely.get_num_coordinates(layer).sum() for layer in layers))
    masks = rasterize_layers(layers, side)
    bits = burn_bits(layers, shape)
    equal = all(np.array_equal((bits >> k) & 1, mask) for k, mask in enumerate(masks))
    size = f"{side} x {side}, {sum(map(len, layers))} polygons, {vertices} vertices"
    title = f"0/1 masks of {CLASSES} classes, {size}, same pixels: {equal}"
    hard = time_in_turn(
        {
            "rasterio.features.rasterize": lambda: rasterize_layers(layers, side),
            "landscribe burn_bits, all classes in one array": lambda: burn_bits(layers, shape),
            "landscribe burn_mask, one array a class": lambda: [burn_mask(layer, shape) for layer in layers],
        },
        repeats,
    )
    first = report(title, hard, "rasterio.features.rasterize")
    first["same_pixels"] = equal
    layer = layers[0]
    ours, theirs = burn_share(layer, shape), rasterize_supersampled(layer, side)
    soft = time_in_turn(
        {
            "rasterize at 4 x 4 sub-pixels": lambda: rasterize_supersampled(layer, side),
            "landscribe burn_share": lambda: burn_share(layer, shape),
        },
        repeats,
    )
    errors = {
        "rasterize at 4 x 4 sub-pixels": f"largest error {exact_errors(layer, theirs):.3f}",
        "landscribe burn_share": f"largest error {exact_errors(layer, ours):.4f}",
    }
    second = report(f"covered shares of one class, {side} x {side}", soft, "rasterize at 4 x 4 sub-pixels", errors)
    return [first, {**second, "errors": errors}]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", type=int, nargs="*", default=[3400])
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    finish([table for side in arguments.side for table in run(side, arguments.repeats)], arguments.json)


if __name__ == "__main__":
    main()
