"""Soft labels of scenes in files, and a scene that shows these in place of its own labels, which it cannot reach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray
from landscribe.core.grid import Grid, Window
from landscribe.core.sensors import SensorSpec
from landscribe.io.atomic import atomic_path
from landscribe.io.run.prepared import PreparedScene


@dataclass(frozen=True)
class SoftScene:
    """A `PixelSource` of a prepared scene with other labels than its own."""

    scene: PreparedScene
    soft_khw: ByteArray
    """Probability of each class, then the weight, (K + 1, H, W)."""

    @property
    def id(self) -> str:
        """Name of the scene."""
        return self.scene.id

    @property
    def grid(self) -> Grid:
        """The reference grid."""
        return self.scene.grid

    @property
    def sensors(self) -> Mapping[str, SensorSpec]:
        """What each raster holds."""
        return self.scene.sensors

    @property
    def grids(self) -> Mapping[str, Grid]:
        """Grid of each sensor."""
        return self.scene.grids

    @property
    def absent(self) -> frozenset[str]:
        """Sensors of which the scene has nothing."""
        return self.scene.absent

    def dtype(self, sensor: str) -> str:
        """Return the NumPy name of a sensor's pixel type."""
        return self.scene.dtype(sensor)

    def read(self, sensor: str, window: Window) -> tuple[AnyArray, BoolArray]:
        """Return raw values (C, h, w) and validity (h, w) of a window inside the sensor's grid."""
        return self.scene.read(sensor, window)

    def read_coverage(self, window: Window) -> tuple[ByteArray, BoolArray]:
        """Return probabilities and weight (K + 1, h, w), and which pixels count (h, w)."""
        part_khw = np.array(self.soft_khw[:, *window.slices])
        return part_khw, part_khw[-1] > 0


def soft_scene(scene: PreparedScene, file: Path, classes: int) -> SoftScene:
    """Return a scene with the soft labels of a file, which `write_soft` has written."""
    return SoftScene(scene, np.memmap(file, np.uint8, "r", shape=(classes + 1, *scene.grid.shape_hw)))


def write_soft(file: Path, shape_khw: tuple[int, ...], windows: Iterable[tuple[Window, ByteArray]]) -> float:
    """Write soft labels window by window; return the mean weight, 0..1.

    Args:
        file: Where they go.
        shape_khw: Classes and one more, height, width.
        windows: All of a scene, with labels and weight.
    """
    total = 0
    with atomic_path(file) as path:
        soft_khw = np.memmap(path, np.uint8, "w+", shape=shape_khw)
        for window, part_khw in windows:
            soft_khw[:, *window.slices] = part_khw
            total += int(part_khw[-1].sum(dtype=np.int64))
        soft_khw.flush()
        del soft_khw
    return total / 255 / (shape_khw[1] * shape_khw[2])
