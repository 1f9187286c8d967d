"""The pictures: one painted, lit landscape as RGB, P, M and A see it, each in its own moment and place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator

from landscribe.core.arrays import AnyArray, FloatArray
from landscribe.worlds.ground.canvas import Canvas, Stamp, stamp
from landscribe.worlds.ground.light import lit_band
from landscribe.worlds.ground.spectra import BANDS, GAIN, OFFSET, PAN_GAIN, PAN_OFFSET, PAN_SHARES, SKYLIGHT, SPECTRA
from landscribe.worlds.objects.vehicles import Vehicle
from landscribe.worlds.sensors import Sampling, pansharpen, sample, to_numbers

M_BANDS: Final = 8
RGB_OF_M: Final = (4, 2, 1)
BAND_COUNTS: Final = {"RGB": 3, "P": 1, "M": 8, "A": 8}
# RGB shows one moment; the other sensors look a little later, so that what drives is elsewhere: a lorry may be off by
# two metres, which also is what misleads an alignment by a few tenths of a pixel in a small scene.
SECONDS: Final = {"RGB": 0.0, "P": 0.05, "M": 0.3, "A": 0.4}
# Standard deviation of the point spread in the sensor's own pixels.
BLUR: Final = {"RGB": 0.45, "P": 0.45, "M": 0.40, "A": 0.42}
COLOUR_BLEED_PX: Final = 1.7

Layers = list[tuple[Stamp, FloatArray | None]]


@dataclass(frozen=True)
class View:
    """All that the sensors look at."""

    canvas: Canvas
    blocked_hw: FloatArray
    """Share of direct sunlight that is blocked, float32, of the canvas's shape."""
    vehicles: list[Vehicle]
    sun_xyz: FloatArray
    """Unit vector to the sun."""
    haze: float
    """Factor on the path radiance."""
    shape_hw: tuple[int, int]
    """Rows and columns of RGB."""
    shifts_px: dict[str, tuple[float, float]]
    """Rows and columns by which each sensor's content lies further down and to the right, in RGB pixels."""


def take_images(rng: Generator, view: View) -> dict[str, AnyArray]:
    """Take the picture of each sensor.

    Args:
        rng: Source of the noise.
        view: The scene.

    Returns:
        uint16 (bands, rows, cols) by sensor: RGB, P, M, A.
    """
    height, width = view.shape_hw
    shapes = {
        "RGB": view.shape_hw,
        "P": (height + int(rng.integers(0, 2)), width),
        "M": (max(1, round(height / 4)), max(1, round(width / 4))),
        "A": (max(1, round(height / 25)), max(1, round(width / 25))),
    }
    images = {sensor: np.empty((count, *shapes[sensor]), np.uint16) for sensor, count in BAND_COUNTS.items()}
    vehicles = {sensor: _vehicle_layers(view, SECONDS[sensor]) for sensor in shapes}

    def shoot(plane_hw: FloatArray, sensor: str, shares: dict[int, float]) -> FloatArray:
        how = Sampling(shapes[sensor], view.shifts_px[sensor], BLUR[sensor])
        return sample(_add_vehicles(view, plane_hw, vehicles[sensor], shares), view.shape_hw, view.canvas.margin, how)

    pan_hw = np.zeros(view.canvas.shape_hw, dtype=np.float32)
    for band, share in PAN_SHARES.items():
        pan_hw += np.float32(share) * lit_band(view.canvas, view.blocked_hw, band)
    images["P"][0] = to_numbers(rng, shoot(pan_hw, "P", PAN_SHARES), PAN_GAIN, PAN_OFFSET * view.haze, 11)
    sharp_hw = shoot(pan_hw, "RGB", PAN_SHARES)
    for band in range(BANDS):
        lit_hw = lit_band(view.canvas, view.blocked_hw, band)
        gain, offset = float(GAIN[band]), float(OFFSET[band]) * view.haze
        sensor, own, bits = ("M", band, 11) if band < M_BANDS else ("A", band - M_BANDS, 14)
        images[sensor][own] = to_numbers(rng, shoot(lit_hw, sensor, {band: 1.0}), gain, offset, bits)
        if band in RGB_OF_M:
            colour_hw = pansharpen(shoot(lit_hw, "RGB", {band: 1.0}), sharp_hw, COLOUR_BLEED_PX)
            images["RGB"][RGB_OF_M.index(band)] = to_numbers(rng, colour_hw, gain, offset, 11)
    return images


def _vehicle_layers(view: View, seconds: float) -> Layers:
    """Return what is drawn for the vehicles, bottom first; None stands for shade."""
    layers: Layers = []
    for vehicle in view.vehicles:
        shade = stamp(view.canvas, vehicle.shadow(seconds, view.sun_xyz))
        body = stamp(view.canvas, vehicle.body(seconds))
        if shade is None or body is None:
            continue
        layers += [(shade, None), (body, SPECTRA[vehicle.paint])]
        panes = [stamp(view.canvas, pane) for pane in vehicle.panes(seconds)]
        layers += [(pane, SPECTRA["glass"]) for pane in panes if pane is not None]
    return layers


def _add_vehicles(view: View, plane_hw: FloatArray, layers: Layers, shares: dict[int, float]) -> FloatArray:
    """Draw the vehicles on a copy of a band, or of a mix of bands with those shares."""
    bands, weights = list(shares), np.array(list(shares.values()), dtype=np.float32)
    sky = np.float32(SKYLIGHT[bands] @ weights / weights.sum())
    plane = plane_hw.copy()
    for on, material in layers:
        part = plane[on.window]
        direct = (1 - sky) * (1 - view.blocked_hw[on.window])
        if material is None:
            part *= 1 - on.share_hw * direct / (direct + sky)
        else:
            part += on.share_hw * (np.float32(material[bands] @ weights) * (direct + sky) - part)
    return plane
