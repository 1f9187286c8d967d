"""What is done with all pixels of a picture beside predicting: python benchmarks/pictures.py [--side 3250].

Statistics, pictures of reports and maps, each beside the plain numpy way to the same, on a picture of noise and blocks.
Tiles of a map are timed on the wall, by one thread and by one for each processor: their bytes are compared.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray
from landscribe.io.raster.moments import moments_of
from landscribe.report.map.tiles import Tiled, _half, tile_within
from landscribe.report.pictures import ends_of, shrink
from landscribe.workers import usable_processors
from side_by_side import finish, report, time_in_turn

STRIP, FACTOR, LIMIT = 1024, 3, 100_000_000
PLAIN, OURS = "numpy", "landscribe"


def picture(side: int) -> ByteArray:
    """Return a picture, uint8 (side, side, 3): smooth noise and houses."""
    rng = np.random.default_rng(1)
    image_hwc = rng.normal(60, 14, (side, side, 3))
    for row, col in rng.integers(0, side - 30, (side, 2)):
        image_hwc[row : row + 20, col : col + 30] += 110
    return np.asarray(cv2.GaussianBlur(image_hwc, (0, 0), 0.8).clip(0, 255), np.uint8)


def plain_moments(image_chw: AnyArray, valid_hw: BoolArray) -> list[AnyArray]:
    """Sum as one does: the valid pixels of all bands at once."""
    values = image_chw[:, valid_hw].astype(np.float64)
    return [values.sum(axis=1), (values**2).sum(axis=1), values.min(axis=1), values.max(axis=1)]


def plain_shrink(image_chw: AnyArray, valid_hw: BoolArray) -> AnyArray:
    """Average blocks by sums over rows and columns."""
    filled_chw = np.where(valid_hw, image_chw, 0).astype(np.float32)
    starts = [np.arange(0, side, FACTOR) for side in valid_hw.shape]
    sums, known = (
        np.add.reduceat(np.add.reduceat(part, starts[0], axis=1), starts[1], axis=2)
        for part in (filled_chw, valid_hw.astype(np.float32)[None])
    )
    return np.divide(sums, known, out=np.zeros_like(sums), where=known > 0)


def plain_half(image_hwc: ByteArray, valid_hw: BoolArray) -> ByteArray:
    """Average four pixels as floats."""
    even = tuple(side // 2 * 2 for side in valid_hw.shape)
    weights = valid_hw[: even[0], : even[1], None].astype(np.float32)
    blocks = even[0] // 2, 2, even[1] // 2, 2, -1
    known = weights.reshape(blocks).sum(axis=(1, 3))
    sums = (image_hwc[: even[0], : even[1]] * weights).reshape(blocks).sum(axis=(1, 3))
    return np.rint(np.divide(sums, known, out=np.zeros_like(sums), where=known > 0)).astype(np.uint8)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=3250)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--save", type=Path)
    asked = parser.parse_args()
    image_hwc = picture(asked.side)
    image_chw = np.ascontiguousarray(image_hwc.transpose(2, 0, 1))
    valid_hw = np.ones(image_hwc.shape[:2], np.bool_)
    strip_chw, strip_hw = np.ascontiguousarray(image_chw[:, :STRIP]), valid_hw[:STRIP]
    size, band_hw = f"{asked.side} x {asked.side} RGB", image_chw[0]

    def read(row: int, rows: int) -> tuple[AnyArray, BoolArray]:
        return image_chw[:, row : row + rows], valid_hw[row : row + rows]

    pairs = {
        f"sums, squares and ends of {strip_hw.shape[0]} rows": (
            lambda: plain_moments(strip_chw, strip_hw), lambda: moments_of(strip_chw, strip_hw)),
        f"{size}, blocks of {FACTOR} x {FACTOR} averaged": (
            lambda: plain_shrink(image_chw, valid_hw), lambda: shrink(read, valid_hw.shape, FACTOR)),
        f"{size} halved": (lambda: plain_half(image_hwc, valid_hw), lambda: _half(image_hwc, valid_hw)),
        f"ends of the stretch of {band_hw.size} pixels": (
            lambda: np.percentile(band_hw, (2, 98)), lambda: ends_of(band_hw.ravel(), band_hw.shape[1])),
    }  # fmt: skip
    tables = []
    for title, (plain, ours) in pairs.items():
        tables.append(report(title, time_in_turn({PLAIN: plain, OURS: ours}, asked.repeats), PLAIN))

    made: dict[int, Tiled] = {}

    def tiles(threads: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            made[threads] = tile_within(lambda _: (image_hwc, valid_hw), valid_hw.shape, asked.side, LIMIT, pool)

    one, all_of_them = "1 thread", f"{usable_processors()} threads"
    ways = {one: lambda: tiles(1), all_of_them: lambda: tiles(usable_processors())}
    on_wall: dict[str, float] = {}
    time_in_turn(ways, asked.repeats, wall=on_wall)
    tables.append(report(f"{size} in tiles, on the wall", on_wall, one))
    if len(set(made.values())) > 1:
        sys.exit("tiles depend on the number of threads")
    finish(tables, asked.json, asked.save)


if __name__ == "__main__":
    main()
