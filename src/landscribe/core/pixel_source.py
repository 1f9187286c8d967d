"""A scene as those who look at its pixels take it, wherever these are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray
from landscribe.core.grid import Grid, Window
from landscribe.core.sensors import SensorSpec


class PixelSource(Protocol):
    """Rasters of one scene, each at its own resolution, and what is known of the ground; read a window at a time.

    A prepared scene on disk is one, and so are arrays. Nothing is resampled: whoever looks says how.
    """

    @property
    def id(self) -> str:
        """Name of the scene."""

    @property
    def grid(self) -> Grid:
        """The reference grid, on which labels and results lie."""

    @property
    def sensors(self) -> Mapping[str, SensorSpec]:
        """What each raster holds, by its name, the reference first."""

    @property
    def grids(self) -> Mapping[str, Grid]:
        """Grid of each sensor."""

    @property
    def absent(self) -> frozenset[str]:
        """Sensors of which the scene has nothing: each is one pixel without data over the whole scene."""

    def dtype(self, sensor: str) -> str:
        """Return the NumPy name of a sensor's pixel type."""

    def read(self, sensor: str, window: Window) -> tuple[AnyArray, BoolArray]:
        """Return raw values (C, h, w) and validity (h, w), False where there is no data.

        Args:
            sensor: Its name.
            window: Inside the sensor's grid.
        """

    def read_coverage(self, window: Window) -> tuple[ByteArray, BoolArray]:
        """Return the covered share of each class (K, h, w), 0..255, and where it is known (h, w).

        Args:
            window: Inside the reference grid.
        """
