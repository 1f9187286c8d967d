"""Alignment against OpenCV's ECC: python benchmarks/register.py [--json] [--repeats 3] [--world N].

One band against one band at the size of a DSTL image: ground with 1/f texture, seen twice with noise and a known shift.
With --world N the sensors of N synthetic scenes instead, whose shifts are known, by both ways that a recipe can name.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys

import cv2
import numpy as np
from affine import Affine

from landscribe.core.grid import Grid
from landscribe.core.recipe import PrepareTable
from landscribe.core.register import Source, align_scene, estimate_fit
from landscribe.core.sensors import find_sensor
from landscribe.io.source.dstl_files import SENSORS
from landscribe.worlds import WorldSpec, make_scene
from side_by_side import finish, report, time_in_turn

Shifts = tuple[tuple[float, float], ...]
ECC, FIT = "cv2.findTransformECC, full size", "landscribe, align = 'fit'"
MARGIN = 64
SMALL = ((0.37, -0.61), (-1.8, 2.45), (3.25, 1.15))
LARGE = ((-18.3, 21.6), (24.45, 6.2), (11.7, -27.8))
"""Rows and columns by which the second picture's content lies further down and to the right."""


def make_ground(height: int, width: int, seed: int, largest: float | None = None) -> np.ndarray:
    """Return 1/f noise, float32, with the margin that shifts need; forms larger than `largest` pixels fade away."""
    rng = np.random.default_rng(seed)
    shape = (height + 2 * MARGIN, width + 2 * MARGIN)
    rows, cols = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    size = np.maximum(np.hypot(rows, cols), 1 / max(shape))
    spectrum = np.fft.rfft2(rng.standard_normal(shape, dtype=np.float32)) / size**1.1
    # What a sensor's optics lets through.
    spectrum *= np.exp(-2 * (np.pi * 0.6 * size) ** 2)
    if largest is not None:
        spectrum *= 1 - np.exp(-((size * largest) ** 2))
    ground = np.fft.irfft2(spectrum, shape)
    return (ground / ground.std()).astype(np.float32)


def shift_exactly(ground: np.ndarray, rows: float, cols: float) -> np.ndarray:
    """Move a picture by a part of a pixel without interpolation, by the phase of its spectrum."""
    spectrum = np.fft.rfft2(ground)
    turn = np.exp(-2j * np.pi * (np.fft.fftfreq(ground.shape[0])[:, None] * rows))
    turn = turn * np.exp(-2j * np.pi * (np.fft.rfftfreq(ground.shape[1])[None] * cols))
    return np.fft.irfft2(spectrum * turn, ground.shape).astype(np.float32)


def take_pictures(
    height: int, width: int, shift: tuple[float, float], seed: int, largest: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return both pictures, uint16 (H, W); the second has another gain and some ground that changed."""
    rng = np.random.default_rng(seed + 1)
    ground = make_ground(height, width, seed, largest)
    pictures = []
    for field, gain, offset in ((ground, 60, 400), (shift_exactly(ground, *shift), 45, 320)):
        inside = field[MARGIN:-MARGIN, MARGIN:-MARGIN]
        numbers = offset + gain * inside + rng.normal(0, 6, inside.shape)
        pictures.append(np.clip(numbers, 1, 2047).astype(np.uint16))
    for _ in range(400):  # what drives
        row, col = int(rng.integers(0, height - 12)), int(rng.integers(0, width - 24))
        pictures[1][row : row + 5, col : col + 12] = 900
    return pictures[0], pictures[1]


def as_source(name: str, picture: np.ndarray) -> Source:
    """Wrap a picture as an estimator reads it."""
    valid = np.ones(picture.shape, bool)
    grid = Grid(*picture.shape, Affine.identity())
    return Source(name, grid, ("grey",), (0.0,), lambda w: (picture[None, *w.slices], valid[w.slices]))


def by_ecc(fixed: np.ndarray, moved: np.ndarray) -> tuple[float, float]:
    """Return the move that OpenCV's ECC finds at full size, to the convergence that it needs under 1/f noise."""
    stop = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-6)
    start = np.eye(2, 3, dtype=np.float32)
    try:
        _, warp = cv2.findTransformECC(
            fixed.astype(np.float32), moved.astype(np.float32), start, cv2.MOTION_TRANSLATION, stop, None, 5
        )
    except cv2.error:
        return 0.0, 0.0
    return -float(warp[1, 2]), -float(warp[0, 2])


def by_fit(fixed: np.ndarray, moved: np.ndarray) -> tuple[float, float]:
    """Return the move that ours finds."""
    move = estimate_fit(as_source("moved", moved), [as_source("fixed", fixed)], 40.0)
    return move.row_px, move.col_px


def run(
    title: str, shifts: Shifts, largest: float | None, shape_hw: tuple[int, int], repeats: int
) -> dict[str, object]:
    """Measure both ways on one kind of ground."""
    ways = {ECC: by_ecc, FIT: by_fit}
    times: dict[str, list[float]] = {name: [] for name in ways}
    errors: dict[str, list[float]] = {name: [] for name in ways}
    for seed, shift in enumerate(shifts):
        pictures = take_pictures(*shape_hw, shift, seed, largest)
        for name, way in ways.items():
            row, col = way(*pictures)
            errors[name].append(float(np.hypot(row + shift[0], col + shift[1])))
        timed = {name: functools.partial(way, *pictures) for name, way in ways.items()}
        for name, seconds in time_in_turn(timed, repeats).items():
            times[name].append(seconds)
    notes = {name: f"error px, median {statistics.median(e):.3f}, largest {max(e):.3f}" for name, e in errors.items()}
    medians = {name: statistics.median(values) for name, values in times.items()}
    return report(f"{shape_hw[0]} x {shape_hw[1]}, {title}", medians, ECC, notes) | {"errors_px": errors}


def run_world(scenes: int) -> dict[str, object]:
    """Measure the errors of `fit` and `ecc` on synthetic scenes, in pixels of RGB (A: of A)."""
    spec = WorldSpec(scenes=scenes, height=768, width=812, seed=21, max_shift_px=20.0)
    errors: dict[str, dict[str, list[float]]] = {"none": {}, "ecc": {}, "fit": {}}
    for number in range(scenes):
        scene = make_scene(spec, number)
        frame = Grid(spec.height, spec.width, Affine.identity())
        sources = [sensor_source(name, image, frame) for name, image in scene.images_chw.items()]
        for method, by_sensor in errors.items():
            for name, move in align_scene(sources, PrepareTable(align=method)).items():
                if name != "RGB":
                    rows, cols = scene.shifts_px[name]
                    own = spec.height / scene.images_chw["A"].shape[1] if name == "A" else 1.0
                    by_sensor.setdefault(name, []).append(float(np.hypot(move.row_px + rows, move.col_px + cols)) / own)
    for method, by_sensor in errors.items():
        for name, values in by_sensor.items():
            line = f"  {method:5} {name}  error px, median {statistics.median(values):.3f}, largest {max(values):.3f}"
            print(line, file=sys.stderr)
    return {"title": f"{scenes} synthetic scenes", "errors_px": errors}


def sensor_source(name: str, image: np.ndarray, frame: Grid) -> Source:
    """Wrap a sensor of a synthetic scene as an estimator reads it."""
    sensor = find_sensor(SENSORS[name])
    nm = tuple(band.wavelength_nm for band in sensor.bands)
    grid = frame.resize(*image.shape[1:])
    return Source(name, grid, sensor.band_names, nm, lambda w: (image[:, *w.slices], np.ones(w.shape_hw, bool)))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--height", type=int, default=3349)
    parser.add_argument("--width", type=int, default=3391)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--world", type=int, help="errors on so many synthetic scenes")
    arguments = parser.parse_args()
    if arguments.world:
        finish([run_world(arguments.world)], arguments.json)
        return
    shape_hw = arguments.height, arguments.width
    tables = [
        run(title, shifts, largest, shape_hw, arguments.repeats)
        for title, shifts, largest in (
            ("shifts up to 3.4 px", SMALL, None),
            ("shifts from 25 to 30 px", LARGE, None),
            ("shifts from 25 to 30 px, no form on the ground larger than 60 px", LARGE, 60.0),
        )
    ]
    finish(tables, arguments.json)


if __name__ == "__main__":
    main()
