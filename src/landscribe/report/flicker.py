"""The worst shift as a picture before and after: red is the reference, cyan the sensor, grey where both agree."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from landscribe.core.arrays import BoolArray, FloatArray
from landscribe.core.grid import Grid, Window
from landscribe.core.markup import Html, el
from landscribe.core.register import Move, correction
from landscribe.core.register.ecc import resample
from landscribe.io.project.alignment import read_applied
from landscribe.io.run.prepared import PreparedScene, open_prepared
from landscribe.io.run.runs import Run
from landscribe.report.pictures import choose_bands, encode, stretch

SIDE_PX = 64
"""Side of the crop in pixels of the sensor."""
SMALLEST_PX, LARGEST_PX = 160, 800
"""Limits of it in pixels of the reference."""
LIMIT_BYTES = 60_000
LEAST_PX = 0.1
"""A smaller shift, in pixels of the sensor, cannot be seen."""


@dataclass(frozen=True)
class Flicker:
    """One place twice."""

    scene: str
    sensor: str
    shift_px: float
    before: bytes
    """WebP with the sensor where its georeference says."""
    after: bytes
    """The same with the sensor moved."""
    height: int
    width: int


def picture_worst(run: Run, rows: Sequence[Mapping[str, str]]) -> Flicker | None:
    """Picture the shift that was worst for its sensor, in its own pixels; None where there is none to be seen.

    Args:
        run: The run folder.
        rows: Of `alignment.csv`.
    """
    worst: tuple[float, float, PreparedScene, str] | None = None
    for row in rows:
        if row.get("decision", "").startswith("applied"):
            scene = open_prepared(run, row["scene"])
            pixel = abs(scene.grids[row["sensor"]].pixel_map(scene.grid).determinant) ** 0.5
            own_px = float(np.hypot(float(row["row_px"]), float(row["col_px"]))) / pixel
            if own_px > (worst[0] if worst else LEAST_PX):
                worst = own_px, pixel, scene, row["sensor"]
    if worst is None:
        return None
    own_px, pixel, scene, sensor = worst
    move = read_applied(run, scene.id)[sensor]
    window = _liveliest(scene, min(max(round(SIDE_PX * pixel), SMALLEST_PX), LARGEST_PX))
    fixed, band = _grey(scene, scene.reference, window)
    pictures = []
    for undo in (True, False):
        seen, there = _sensor(scene, sensor, window, move if undo else None)
        stacked = np.stack([fixed, seen, seen])
        pictures.append(encode(stretch(stacked, band & there), LIMIT_BYTES))
    (before, shape_hw), (after, _) = pictures
    return Flicker(scene.id, sensor, own_px * pixel, before, after, *shape_hw)


def flicker_panel(flicker: Flicker | None) -> Html | None:
    """Show both pictures in turn, or the one that is chosen."""
    if flicker is None:
        return None
    frames = []
    for name, picture in (("before", flicker.before), ("after", flicker.after)):
        source = "data:image/webp;base64," + base64.b64encode(picture).decode("ascii")
        text = f"{flicker.sensor} of {flicker.scene} over the reference, {name} the shift"
        image = el("img", src=source, alt=text, width=str(flicker.width), height=str(flicker.height))
        frames.append(el("div", image, el("span", name), class_=f"frame {name}"))
    choices = [
        el("label", el("input", type="radio", name="flicker", id=f"flicker-{key}", checked=checked), text)
        for key, text, checked in (("both", "in turn", "checked"), ("before", "before", None), ("after", "after", None))
    ]
    words = f"The worst shift: {flicker.sensor} of {flicker.scene}, {flicker.shift_px:.1f} px. Red is the reference, "
    words += "cyan the sensor, grey where they agree."
    return el("figure", el("div", frames, class_="frames"), el("p", choices), el("figcaption", words), class_="flicker")


def _liveliest(scene: PreparedScene, side: int) -> Window:
    """Return the crop of the reference with the most detail, on a coarse raster of places."""
    height, width = scene.grid.shape_hw
    side_h, side_w = min(side, height), min(side, width)
    best, most = Window(0, 0, side_h, side_w), -1.0
    for row in np.unique(np.linspace(0, height - side_h, 4).astype(int)):
        for col in np.unique(np.linspace(0, width - side_w, 4).astype(int)):
            window = Window(int(row), int(col), side_h, side_w)
            grey_hw, valid_hw = _grey(scene, scene.reference, window)
            detail = float(np.abs(np.diff(grey_hw, axis=1))[valid_hw[:, 1:]].sum())
            if detail > most:
                best, most = window, detail
    return best


def _grey(scene: PreparedScene, sensor: str, window: Window) -> tuple[FloatArray, BoolArray]:
    _, bands = choose_bands({sensor: scene.bands[sensor]})
    image_chw, valid_hw = scene.read(sensor, window)
    grey_hw = np.where(valid_hw, image_chw[list(bands)].mean(axis=0), 0).astype(np.float32)
    return grey_hw, valid_hw


def _sensor(scene: PreparedScene, sensor: str, window: Window, undo: Move | None) -> tuple[FloatArray, BoolArray]:
    grid: Grid = scene.grids[sensor]
    grey_hw, valid_hw = _grey(scene, sensor, grid.window)
    here = scene.grid.crop(window).pixel_map(grid)
    if undo is not None:
        # Where the moved content is now, the content of another place was before.
        crop = scene.grid.crop(window).pixel_map(scene.grid)
        here = scene.grid.pixel_map(grid) @ correction(undo, scene.grid) @ crop
    seen_hw = resample(grey_hw, here, window.shape_hw)
    there_hw = resample(valid_hw.astype(np.float32), here, window.shape_hw, fill=0.0) > 0.5
    return seen_hw, there_hw
