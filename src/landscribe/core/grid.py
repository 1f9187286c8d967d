"""Grid and Window: where pixels lie on the ground.

Pixel coordinates are continuous and count from the top-left *corner* of the top-left pixel: the centre of
pixel (0, 0) is at row 0.5, col 0.5. Polygons in pixel coordinates have x = col and y = row.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS, Geod, Transformer
from shapely.geometry import Polygon

from landscribe.core.arrays import FloatArray, GeometryArray
from landscribe.errors import DataError, problem

WGS84 = Geod(ellps="WGS84")
ANGLE_STEP_PX = 100.0
"""Angles between steps are told over so many pixels: over one, the last digits of longitudes would tilt them."""
SQUARE = 1e-6
"""Cosine below which the sides of a pixel stand square on each other."""


STRIP_ROWS = 1024
"""Rows to hold at a time where a raster is read from top to bottom."""
LOW_ROWS, STRIP_PIXELS = 256, 1 << 23
"""Rows of a tile, and pixels to hold where a raster is only looked at."""


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of whole pixels on a grid; it may reach over the grid's edge.

    Examples:
        >>> import landscribe as ls
        >>> window = ls.Window(row=10, col=20, height=30, width=40)
        >>> window.pad(5).shape_hw
        (40, 50)
        >>> window.intersection(ls.Window(0, 0, 15, 25))
        Window(row=10, col=20, height=5, width=5)
    """

    row: int
    col: int
    height: int
    width: int

    @property
    def row_stop(self) -> int:
        """First row below the window."""
        return self.row + self.height

    @property
    def col_stop(self) -> int:
        """First column right of the window."""
        return self.col + self.width

    @property
    def shape_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices into an array of the whole grid."""
        return slice(self.row, self.row_stop), slice(self.col, self.col_stop)

    def pad(self, pixels: int) -> Window:
        """Grow (or, with a negative number, shrink) by `pixels` on each side."""
        return Window(self.row - pixels, self.col - pixels, self.height + 2 * pixels, self.width + 2 * pixels)

    def strips(self, rows: int = STRIP_ROWS) -> list[Window]:
        """Cut into windows of full width and at most so many rows, from top to bottom."""
        tops = range(self.row, self.row_stop, rows)
        return [Window(top, self.col, min(rows, self.row_stop - top), self.width) for top in tops]

    def low_strips(self) -> list[Window]:
        """Cut as `strips` does, into lower windows where they are wide, so that one holds about `STRIP_PIXELS`."""
        return self.strips(min(STRIP_ROWS, max(LOW_ROWS, STRIP_PIXELS // self.width // LOW_ROWS * LOW_ROWS)))

    def intersection(self, other: Window) -> Window | None:
        """Return the common rectangle, or None where there is none."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        height = min(self.row_stop, other.row_stop) - row
        width = min(self.col_stop, other.col_stop) - col
        return Window(row, col, height, width) if height > 0 and width > 0 else None


@dataclass(frozen=True)
class Grid:
    """Height, width, the affine map from pixel (col, row) to ground (x, y), and the CRS or None.

    A picture without georeference has the identity; a DSTL image has an affine and no CRS.

    Examples:
        >>> import landscribe as ls
        >>> from affine import Affine
        >>> grid = ls.Grid(100, 200, Affine(0.5, 0, 500000, 0, -0.5, 4000000))
        >>> grid.footprint.bounds
        (500000.0, 3999950.0, 500100.0, 4000000.0)
        >>> grid.crop(ls.Window(10, 20, 30, 40)).transform.c
        500010.0
    """

    height: int
    width: int
    transform: Affine
    crs: CRS | None = None

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise DataError(problem("grid", "empty", got=f"{self.height} x {self.width}", need="at least 1 x 1"))
        values = tuple(self.transform)[:6]
        if not all(math.isfinite(v) for v in values) or self.transform.determinant == 0:
            raise DataError(problem("grid", "transform is not invertible", got=values))

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON values, from which `from_plain` makes the same."""
        crs = None if self.crs is None else self.crs.to_json_dict()
        return {"shape": [*self.shape_hw], "transform": list(tuple(self.transform)[:6]), "crs": crs}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Grid:
        """Return what `to_plain` gave."""
        height, width = values["shape"]
        crs = None if values["crs"] is None else read_crs(json.dumps(values["crs"]))
        return cls(height, width, Affine(*values["transform"]), crs)

    @property
    def shape_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    @property
    def window(self) -> Window:
        """The window of the whole grid."""
        return Window(0, 0, self.height, self.width)

    def crop(self, window: Window) -> Grid:
        """Return the grid of a window, which may reach over the edge."""
        moved = self.transform @ Affine.translation(window.col, window.row)
        return Grid(window.height, window.width, moved, self.crs)

    def shift(self, rows_px: float, cols_px: float) -> Grid:
        """Move the georeference so that the content lies `rows_px` further down and `cols_px` to the right."""
        return Grid(self.height, self.width, self.transform @ Affine.translation(cols_px, rows_px), self.crs)

    def resize(self, height: int, width: int) -> Grid:
        """Return a grid of the same footprint with another number of pixels."""
        scale = Affine.scale(self.width / width, self.height / height)
        return Grid(height, width, self.transform @ scale, self.crs)

    def pixels_to_ground(self, geometries: GeometryArray) -> GeometryArray:
        """Map geometries from pixel coordinates (x = col, y = row) to ground coordinates."""
        return _apply(geometries, self.transform)

    def ground_to_pixels(self, geometries: GeometryArray) -> GeometryArray:
        """Map geometries from ground coordinates to pixel coordinates (x = col, y = row)."""
        return _apply(geometries, ~self.transform)

    def pixel_map(self, other: Grid) -> Affine:
        """Return the affine map from this grid's pixels (col, row) to `other`'s.

        Where the two CRS differ, it is the best affine over the footprint, exact at three of its corners.

        Raises:
            DataError: If one grid has a CRS and the other has none.
        """
        if self.crs == other.crs:
            return ~other.transform @ self.transform
        if self.crs is None or other.crs is None:
            got = " and ".join("none" if crs is None else crs.name for crs in (self.crs, other.crs))
            raise DataError(problem("grid", "one sensor has a CRS and the other has none", got=got))
        to_other = Transformer.from_crs(self.crs, other.crs, always_xy=True)
        corners = [(0.0, 0.0), (float(self.width), 0.0), (0.0, float(self.height))]
        ends = [~other.transform @ to_other.transform(*(self.transform @ corner)) for corner in corners]
        (x0, y0), (x1, y1), (x2, y2) = ends
        w, h = self.width, self.height
        return Affine((x1 - x0) / w, (x2 - x0) / h, x0, (y1 - y0) / w, (y2 - y0) / h, y0)

    @cached_property
    def footprint(self) -> Polygon:
        """The outline on the ground."""
        corners = [(0, 0), (self.width, 0), (self.width, self.height), (0, self.height)]
        return Polygon([self.transform @ corner for corner in corners])

    @cached_property
    def pixel_size_m(self) -> tuple[float, float] | None:
        """Length of a step down and of one to the right, in metres at the grid's centre; None without a CRS.

        Raises:
            DataError: If the centre lies outside of where the CRS is defined.
        """
        if self.crs is None:
            return None
        (down_m, _), (right_m, _) = self._steps(1.0)
        return down_m, right_m

    @cached_property
    def plane(self) -> Affine:
        """The affine map from pixels (col, row) to a plane in metres that keeps angles; the identity without a CRS.

        Its origin is the first pixel's corner and its x-axis the first row. Areas, lengths and buffers are right in it
        on sheared grids, and on grids in degrees.
        """
        size = self.pixel_size_m
        if size is None:
            return Affine.identity()
        (_, down_deg), (_, right_deg) = self._steps(ANGLE_STEP_PX)
        angle = math.radians(down_deg - right_deg)
        cosine, sine = math.cos(angle), abs(math.sin(angle))
        if abs(cosine) < SQUARE:
            cosine, sine = 0.0, 1.0
        return Affine(size[1], size[0] * cosine, 0.0, 0.0, size[0] * sine, 0.0)

    def _steps(self, length_px: float) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return metres and azimuth in degrees of a step down and of one to the right at the grid's centre."""
        col, row = self.width / 2, self.height / 2
        points = [self.transform @ p for p in ((col, row), (col, row + length_px), (col + length_px, row))]
        to_lonlat = _to_lonlat(self.crs)
        (lon, lat), (lon_r, lat_r), (lon_c, lat_c) = (to_lonlat.transform(*p) for p in points)
        ends = np.array([lon, lat, lon_r, lat_r, lon_c, lat_c])
        if not np.isfinite(ends).all() or np.abs(ends[1::2]).max() > 90:
            got = f"{points[0][0]:.10g}, {points[0][1]:.10g} in {self.crs.name if self.crs else None}"
            raise DataError(problem("grid", "lies outside of where its CRS is defined", got=got, do="check its CRS"))
        down, right = WGS84.inv(lon, lat, lon_r, lat_r), WGS84.inv(lon, lat, lon_c, lat_c)
        return (float(down[2]), float(down[0])), (float(right[2]), float(right[0]))

    @property
    def unit(self) -> str:
        """Unit of lengths in a recipe: ``m`` with a CRS, ``px`` without."""
        return "px" if self.crs is None else "m"

    @property
    def pixel_area(self) -> float:
        """Area of one pixel in square metres with a CRS, else 1 (square pixels)."""
        return float(self.plane.determinant)

    @property
    def pixel_length(self) -> float:
        """Side of a square of one pixel's area, in metres with a CRS, else 1."""
        return math.sqrt(self.pixel_area)


@lru_cache(maxsize=64)
def read_crs(text: str) -> CRS:
    """Read a CRS, which takes PROJ a millisecond, once: thousands of scenes have the same."""
    return CRS.from_json(text)


@lru_cache(maxsize=64)
def _to_lonlat(crs: CRS) -> Transformer:
    """Return what moves a CRS to longitude and latitude; making it takes longer than a thousand points."""
    return Transformer.from_crs(crs, CRS.from_epsg(4326), always_xy=True)


def dstl_grid(height: int, width: int, x_max: float, y_min: float) -> Grid:
    """Return the frame of a DSTL image.

    Args:
        height: Rows of the RGB raster.
        width: Columns of the RGB raster.
        x_max: `Xmax` of grid_sizes.csv, above 0.
        y_min: `Ymin` of grid_sizes.csv, below 0.

    Raises:
        DataError: If the signs are wrong.

    Source:
        DSTL's evaluation page: x_px = x W' / Xmax with W' = W W / (W + 1), likewise for rows.
    """
    if not (x_max > 0 > y_min):
        raise DataError(
            problem("grid_sizes.csv", "wrong sign", got=f"Xmax {x_max}, Ymin {y_min}", need="Xmax > 0 > Ymin")
        )
    scaled_w, scaled_h = width * width / (width + 1), height * height / (height + 1)
    return Grid(height, width, Affine.scale(x_max / scaled_w, y_min / scaled_h))


def _apply(geometries: GeometryArray, transform: Affine) -> GeometryArray:
    a, b, c, d, e, f = tuple(transform)[:6]

    def move(xy: FloatArray) -> FloatArray:
        x, y = xy[:, 0], xy[:, 1]
        return np.column_stack((a * x + b * y + c, d * x + e * y + f))

    return shapely.transform(shapely.force_2d(np.asarray(geometries, dtype=object)), move)
