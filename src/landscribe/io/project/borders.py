"""Where single things of a class end: as a network learns it from label polygons, and where a prediction of it lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import shapely

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray, GeometryArray
from landscribe.core.burn import burn_share
from landscribe.core.features import of_class
from landscribe.core.grid import Grid, Window
from landscribe.core.sensors import SensorSpec
from landscribe.core.separate.border import border_ground
from landscribe.io.run.prepared import PreparedScene

_ENDING = "~border"
"""No file that is called by an id ends so, and it comes after that file in any order."""


def border_raster(path: Path) -> Path:
    """Return where the probability that things end lies, beside a raster of probabilities."""
    return path.with_name(f"{path.stem}{_ENDING}{path.suffix}")


def is_border_raster(name: str) -> bool:
    """Tell whether a file of a record is one."""
    return Path(name).stem.endswith(_ENDING)


@dataclass(frozen=True)
class BorderScene:
    """A prepared scene whose coverage also says where single things of some classes end; a `PixelSource`."""

    scene: PreparedScene
    borders: tuple[str, ...]
    """Classes."""
    reach_px: float
    """Ground no farther than this from an outline is border."""

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
        """Return raw values (C, h, w) and validity (h, w)."""
        return self.scene.read(sensor, window)

    def read_coverage(self, window: Window) -> tuple[ByteArray, BoolArray]:
        """Return the covered share of each class, then of where single things of some end, and where it is known."""
        coverage_khw, known_hw = self.scene.read_coverage(window)
        return np.concatenate([coverage_khw, *(self._burn(name, window)[None] for name in self.borders)]), known_hw

    def _burn(self, class_name: str, window: Window) -> ByteArray:
        ground = self._ground[class_name]
        _, top, _, bottom = shapely.bounds(ground).T
        near = ground[(bottom >= window.row) & (top <= window.row_stop)]
        return burn_share(near, self.grid.shape_hw, window=window)

    @cached_property
    def _ground(self) -> dict[str, GeometryArray]:
        labels, grid = self.scene.read_labels(), self.scene.grid
        things = {name: grid.ground_to_pixels(of_class(labels, name)) for name in self.borders}
        return {name: border_ground(own, self.reach_px) for name, own in things.items()}
