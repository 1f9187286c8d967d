"""A scene with labels in memory, as training and validation take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from affine import Affine

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray
from landscribe.core.grid import Grid, Window
from landscribe.core.sensors import SensorSpec
from landscribe.errors import DataError, problem


@dataclass(frozen=True)
class SceneArrays:
    """A `PixelSource` of arrays, every sensor at its own resolution.

    Raises:
        DataError: If an array is not of the size of its grid.
    """

    id: str
    grid: Grid
    """The reference grid."""
    sensors: Mapping[str, SensorSpec]
    grids: Mapping[str, Grid]
    """Grid of each sensor."""
    images_chw: Mapping[str, AnyArray]
    """Raw values of each sensor (C, h, w): uint8, uint16, int16 or float32."""
    valid_hw: Mapping[str, BoolArray]
    """Of each sensor (h, w): False where there is no data."""
    coverage_khw: ByteArray
    """Covered share of each class, 0..255, on the reference grid."""
    labelled_hw: BoolArray
    """False where nobody looked or the reference sensor has no data: neither learned from nor scored."""
    absent: frozenset[str] = frozenset()
    """Sensors of which the scene has nothing but one pixel without data."""

    def __post_init__(self) -> None:
        sizes = [(self.grid, self.coverage_khw), (self.grid, self.labelled_hw)]
        sizes += [(self.grids[name], some[name]) for some in (self.images_chw, self.valid_hw) for name in some]
        for grid, array in sizes:
            if array.shape[-2:] != grid.shape_hw:
                raise DataError(problem(f"scene {self.id!r}", "array", got=array.shape[-2:], need=grid.shape_hw))

    @property
    def shape_hw(self) -> tuple[int, int]:
        """Size of the reference grid."""
        return self.grid.shape_hw

    @cached_property
    def maps(self) -> dict[str, Affine]:
        """Reference (col, row) to each sensor's (col, row), continuous, counted from the top-left corner."""
        return {name: self.grid.pixel_map(grid) for name, grid in self.grids.items()}

    def dtype(self, sensor: str) -> str:
        """Return the NumPy name of a sensor's pixel type."""
        return self.images_chw[sensor].dtype.name

    def read(self, sensor: str, window: Window) -> tuple[AnyArray, BoolArray]:
        """Return raw values (C, h, w) and validity (h, w) of a window inside a sensor's grid."""
        return self.images_chw[sensor][:, *window.slices], self.valid_hw[sensor][window.slices]

    def read_coverage(self, window: Window) -> tuple[ByteArray, BoolArray]:
        """Return covered shares (K, h, w), 0..255, and where they are known (h, w), of a window of the reference."""
        return self.coverage_khw[:, *window.slices], self.labelled_hw[window.slices]
