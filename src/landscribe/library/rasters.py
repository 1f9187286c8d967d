"""A raster with a band for each class, in memory: what is predicted, and what polygons cover."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from pyproj import CRS

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray, FloatArray
from landscribe.core.grid import Grid
from landscribe.core.legend import Legend
from landscribe.core.shown import box, lines, table
from landscribe.io.raster.geotiff import write_probabilities
from landscribe.io.safety import require_output

RASTERS = (".tif", ".tiff")


@dataclass(frozen=True, repr=False)
class ClassRaster:
    """Probabilities, covered shares or masks of classes on a Grid, as a run keeps them: a byte for each.

    Examples:
        >>> import landscribe as ls, numpy as np
        >>> from affine import Affine
        >>> grid = ls.Grid(3, 5, Affine(2, 0, 500000, 0, -2, 4000000))
        >>> legend = ls.Legend((ls.LandClass(1, "road", "#4D4D4D"),))
        >>> raster = ls.ClassRaster(np.full((1, 3, 5), 51, np.uint8), np.ones((3, 5), bool), grid, legend)
        >>> raster.classes, raster.grid.shape_hw
        (('road',), (3, 5))
        >>> float(raster.probability("road")[0, 0])
        0.2...
    """

    values_khw: ByteArray
    """uint8 (K, H, W), 0..255 for 0..1; 0 where there is no data."""
    valid_hw: BoolArray
    """False where there is no data, (H, W)."""
    grid: Grid
    """Where it lies."""
    legend: Legend
    """Classes in band order."""
    name: str = "image"
    """Of the scene, for the column `scene` of features."""
    notes: tuple[str, ...] = ()
    """What is to be known of it, one line each."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What was left out or mended on the way, by reason."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in band order."""
        return self.legend.names

    @property
    def transform(self) -> Affine:
        """From pixels (column, row) to ground (x, y)."""
        return self.grid.transform

    @property
    def crs(self) -> CRS | None:
        """CRS of the ground, or None."""
        return self.grid.crs

    @property
    def shape(self) -> tuple[int, ...]:
        """Classes, rows and columns."""
        return self.values_khw.shape

    def probability(self, class_name: str) -> FloatArray:
        """Return the probability, or covered share, of one class, float32 (H, W), 0..1, NaN where there is no data.

        Raises:
            RecipeError: If there is no such class.
        """
        share_hw = self.values_khw[self.legend.index(class_name)] / np.float32(255)
        return np.where(self.valid_hw, share_hw, np.float32(np.nan))

    def write(self, path: str | Path) -> Path:
        """Write the GeoTIFF that `landscribe predict` writes, whole or not at all.

        Raises:
            RecipeError: If the name is that of no GeoTIFF.
            DataError: If the CRS cannot be written.
            LimitError: If the disk will not hold it.
        """
        target = Path(path)
        require_output(target, (), RASTERS)
        with write_probabilities(target, self.grid, self.legend, "; ".join(self.notes)) as writer:
            for window in self.grid.window.strips():
                writer.write(window, self.values_khw[:, *window.slices])
                writer.write_mask(window, self.valid_hw[window.slices])
        return target

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        return np.array(self.values_khw, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        crs = "no CRS" if self.crs is None else self.crs.name
        height, width = self.grid.shape_hw
        return f"ClassRaster({', '.join(self.classes)}; {height} x {width} px, {crs})"

    def _repr_html_(self) -> str:
        rows = [[name, f"{self._share(k):.1%}"] for k, name in enumerate(self.classes)]
        size = " x ".join(str(n) for n in self.grid.shape_hw)
        crs = "no CRS" if self.crs is None else self.crs.name
        head = f"{size} px, {crs}; {self.valid_hw.mean():.1%} of the pixels have data"
        return box(f"ClassRaster {self.name}", head, table(["class", "at or above one half"], rows), lines(self.notes))

    def _share(self, band: int) -> float:
        valid = int(self.valid_hw.sum())
        return float(((self.values_khw[band] >= 128) & self.valid_hw).sum()) / max(valid, 1)
