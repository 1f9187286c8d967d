"""Writing GeoTIFFs: tiled, compressed, with statistics and overviews, whole or not at all."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from affine import Affine
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.windows import Window as RasterioWindow

from landscribe.core.arrays import AnyArray, BoolArray
from landscribe.core.grid import Grid, Window
from landscribe.core.legend import Legend
from landscribe.errors import DataError, problem
from landscribe.io.atomic import atomic_path
from landscribe.io.raster.gdal import GDAL_ERRORS, change_dataset, create_dataset, gdal, open_dataset, reason_of
from landscribe.io.raster.georeference import grid_of, to_rasterio_crs
from landscribe.io.raster.moments import moments_of
from landscribe.io.raster.nodata import is_data
from landscribe.io.safety import check_output
from landscribe.workers import stop_if_asked

Packing: TypeAlias = Literal["none", "lzw", "zstd", "deflate"]
"""How the pixels of a TIFF are compressed, all without loss."""

TILE, SMALL_TILE = 512, 256
THREADS = 2
ZSTD_LEVEL = 3
"""Writes 4 times as fast as GDAL's 9 and makes files up to 10 % larger (11-bit imagery, smooth probability)."""


@dataclass
class RasterWriter:
    """A raster that is being written. Every pixel has to be written exactly once."""

    grid: Grid
    _dataset: Any
    written_pixels: int = 0
    valid_pixels: int | None = None
    """That were let through; None where there is no mask."""
    sums: AnyArray = field(init=False)
    """Of each band, as `_sums` gives it, by which a part that was lost on its way is noticed."""

    def __post_init__(self) -> None:
        self.sums = np.zeros(self._dataset.count, np.uint64)

    def write(self, window: Window, image_chw: AnyArray) -> None:
        """Write a window of all bands.

        Args:
            window: Part inside the raster.
            image_chw: (C, h, w) of the raster's type.

        Raises:
            DataError: If the shape or the type is not the raster's, or the window reaches over the edge.
            OSError: If the disk is full.
        """
        stop_if_asked()
        where, need = "raster writer", (self._dataset.count, *window.shape_hw)
        if image_chw.shape != need:
            raise DataError(problem(where, "wrong shape", got=image_chw.shape, need=need))
        if image_chw.dtype != np.dtype(self._dataset.dtypes[0]):
            raise DataError(problem(where, "wrong type", got=image_chw.dtype, need=self._dataset.dtypes[0]))
        if self.grid.window.intersection(window) != window:
            raise DataError(problem(where, "window reaches over the edge", got=window, need=self.grid.shape_hw))
        with _write_errors():
            self._dataset.write(image_chw, window=to_rasterio_window(window))
        self.written_pixels += window.height * window.width
        self.sums += _sums(image_chw)

    def write_mask(self, window: Window, valid_hw: BoolArray) -> None:
        """Write which pixels of a window are valid, (h, w); what no mask is written for is invalid."""
        if valid_hw.shape != window.shape_hw:
            raise DataError(problem("raster writer", "wrong shape", got=valid_hw.shape, need=window.shape_hw))
        with _write_errors():
            self._dataset.write_mask(valid_hw.astype(np.bool_), window=to_rasterio_window(window))
        if self.valid_pixels is not None:
            self.valid_pixels += int(np.count_nonzero(valid_hw))


def write_probabilities(
    path: Path, grid: Grid, legend: Legend, caution: str = ""
) -> contextlib.AbstractContextManager[RasterWriter]:
    """Write probabilities or covered shares, uint8 0..255 for 0..1, a band for each class; errors as `write_raster`.

    Args:
        path: Where it shall be.
        grid: Size and georeference.
        legend: Classes in band order; their names and colours go into the file.
        caution: What is to be known of it, kept with the file.
    """
    tags = {"LANDSCRIBE": "probability", "COLOURS": ",".join(c.colour for c in legend)}
    return write_raster(
        path, grid, count=len(legend), dtype="uint8", descriptions=legend.names, mask=True, scale=1 / 255,
        tags=tags | ({"CAUTION": caution} if caution else {}),
    )  # fmt: skip


@contextlib.contextmanager
def write_raster(
    path: str | Path,
    grid: Grid,
    *,
    count: int,
    dtype: str,
    descriptions: Sequence[str | None] | None = None,
    nodata: float | None = None,
    mask: bool = False,
    colours: Mapping[int, str] | None = None,
    tags: Mapping[str, str] | None = None,
    overviews: bool = True,
    scale: float | None = None,
    rgb: bool = False,
    packing: Packing = "zstd",
    by_band: bool = False,
) -> Iterator[RasterWriter]:
    """Write a tiled, compressed GeoTIFF, whole or not at all.

    Args:
        path: Where it shall be; what stood there is replaced when all is written.
        grid: Size and georeference.
        count: Number of bands.
        dtype: NumPy name of the pixel type.
        descriptions: Name of each band.
        nodata: Value that means "no data".
        mask: Make room for a mask inside the file; what `write_mask` leaves out is invalid.
        colours: `#RRGGBB` of each value of a raster with one uint8 band.
        tags: Text kept with the file.
        overviews: Add reduced copies for viewers where the raster is larger than a tile.
        scale: Factor from stored to true values, e.g. 1/255 for a probability in uint8.
        rgb: The first three bands are red, green, blue.
        packing: How pixels are compressed; zstd becomes deflate where this GDAL cannot write it.
        by_band: One band after the other in the file, rather than the bands of each pixel side by side.

    Yields:
        The writer.

    Raises:
        DataError: If a part was not written, or the CRS cannot be written to a GeoTIFF.
        OSError: If the disk is full.
        LimitError: If it is plain beforehand that the disk will not hold it.

    Examples:
        >>> import landscribe as ls, numpy as np
        >>> from affine import Affine
        >>> grid = ls.Grid(3, 5, Affine(2, 0, 500000, 0, -2, 4000000))
        >>> with ls.write_raster("small.tif", grid, count=1, dtype="uint8", descriptions=["height"]) as writer:
        ...     writer.write(grid.window, np.full((1, 3, 5), 7, np.uint8))
        >>> with ls.open_raster("small.tif") as raster:
        ...     raster.info.descriptions
        ('height',)
    """
    path = Path(path)
    check_output(path, grid.height * grid.width * count * np.dtype(dtype).itemsize)
    with atomic_path(path) as temporary:
        dataset = _create(temporary, grid, count, dtype, nodata=nodata, rgb=rgb, packing=packing, by_band=by_band)
        try:
            with _write_errors():
                _annotate(dataset, descriptions, colours, tags, scale)
                if mask:
                    dataset.write_mask(False)
            writer = RasterWriter(grid, dataset, valid_pixels=0 if mask else None)
            yield writer
            if writer.written_pixels != grid.height * grid.width:
                got, need = f"{writer.written_pixels} pixels", f"{grid.height * grid.width}, each once"
                raise DataError(problem(str(path), "not completely written", got=got, need=need))
        finally:
            with _write_errors():
                dataset.close()
        _finish(temporary, path, writer, overviews)


def to_rasterio_window(window: Window) -> RasterioWindow:
    """Hand a window over to rasterio."""
    return RasterioWindow(window.col, window.row, window.width, window.height)


def _create(
    path: Path,
    grid: Grid,
    count: int,
    dtype: str,
    *,
    nodata: float | None,
    rgb: bool,
    packing: Packing,
    by_band: bool,
) -> Any:
    # Viewers read small tiles faster; a raster smaller than one wastes what it does not fill.
    tile = TILE if max(grid.shape_hw) > SMALL_TILE else SMALL_TILE
    placed = grid.crs is not None or grid.transform != Affine.identity()
    # Without photometric, GDAL takes three or four bands of bytes for RGB and the fourth for alpha.
    options = {
        "height": grid.height,
        "width": grid.width,
        "count": count,
        "dtype": dtype,
        "nodata": nodata,
        "transform": grid.transform if placed else None,
        "crs": None if grid.crs is None else to_rasterio_crs(grid.crs),
        "tiled": True,
        "blockxsize": tile,
        "blockysize": tile,
        "interleave": "band" if by_band else "pixel",
        "photometric": "RGB" if rgb else "MINISBLACK",
        "bigtiff": "IF_SAFER",
        "num_threads": THREADS,
    }
    if packing != "none":
        options |= compression() if packing == "zstd" else {"compress": packing}
        whole = 2 if np.dtype(dtype).itemsize < 8 else 1  # older libtiff has none for whole numbers of 64 bits
        options["predictor"] = 3 if np.issubdtype(dtype, np.floating) else whole
    with _write_errors():
        return create_dataset(path, "GTiff", **options)


def _annotate(
    dataset: Any,
    descriptions: Sequence[str | None] | None,
    colours: Mapping[int, str] | None,
    tags: Mapping[str, str] | None,
    scale: float | None,
) -> None:
    for number, text in enumerate(descriptions or (), start=1):
        if text is not None:
            dataset.set_band_description(number, text)
    if colours is not None:
        dataset.write_colormap(1, {value: _rgba(text) for value, text in colours.items()})
    if tags is not None:
        dataset.update_tags(**tags)
    if scale is not None:
        dataset.scales = (scale,) * dataset.count


def _finish(temporary: Path, path: Path, writer: RasterWriter, overviews: bool) -> None:
    # Statistics read every tile once more, so a file that cannot be read back is noticed before it gets its name. A
    # tile whose write failed as the file was closed is not: GDAL fills the hole with zeros and says nothing.
    grid, masked = writer.grid, writer.valid_pixels
    factors = _overview_factors(grid) if overviews else []
    with _write_errors(ZSTD_LEVEL_OVERVIEW=ZSTD_LEVEL, GDAL_NUM_THREADS=str(THREADS)):
        with change_dataset(temporary, "GTiff", num_threads=THREADS) as dataset:
            if factors:
                dataset.build_overviews(factors, Resampling.average)
            for number in dataset.indexes:
                tags, total, valid = _statistics(dataset, number)
                if total != writer.sums[number - 1] or masked not in (None, valid):
                    raise lost_pixels(path)
                dataset.update_tags(number, **tags)
        with open_dataset(temporary, "GTiff", num_threads=THREADS) as dataset:
            written, _ = grid_of(dataset, path)
    if not _same_place(written, grid):
        got, need = written.crs and written.crs.name, grid.crs and grid.crs.name
        raise DataError(problem(str(path), "georeference cannot be kept in a GeoTIFF", got=got, need=need))


def _sums(image_chw: AnyArray) -> AnyArray:
    """Return the sum of each band, uint64 (C,), numbers taken for whole ones without sign: the same in any order."""
    return image_chw.view(f"u{image_chw.dtype.itemsize}").sum(axis=(1, 2), dtype=np.uint64)


def sums_of(dataset: Any) -> tuple[list[int], int]:
    """Return the sum of each band of an open raster, as `_sums` has it, and how many pixels its mask lets through."""
    sums, valid = np.zeros(dataset.count, np.uint64), 0
    for row in range(0, dataset.height, TILE):
        part = RasterioWindow(0, row, dataset.width, min(TILE, dataset.height - row))
        sums += _sums(dataset.read(window=part))
        valid += int(np.count_nonzero(dataset.read_masks(1, window=part)))
    return sums.tolist(), valid


def lost_pixels(path: Path) -> OSError:
    """Return what is raised where a file that was just written holds other pixels than it was given."""
    what, do = "what can be read back is not what was written", "look at the disk, and run again"
    return OSError(problem(str(path), what, got="other pixels", do=do))


def _statistics(dataset: Any, number: int) -> tuple[dict[str, str], int, int]:
    """Return the statistics of a band's valid pixels under GDAL's names, its sum, and how many the mask lets through.

    There are none where there is no valid pixel.
    """
    # GDAL's own take masked pixels in where the type is uint16 (measured with 3.10).
    n, low, high, total, square = 0, np.inf, -np.inf, 0.0, 0.0
    whole, unmasked = np.zeros(1, np.uint64), 0
    for row in range(0, dataset.height, TILE):
        stop_if_asked()
        part = RasterioWindow(0, row, dataset.width, min(TILE, dataset.height - row))
        band_hw = dataset.read(number, window=part)
        mask_hw = dataset.read_masks(number, window=part) > 0
        whole, unmasked = whole + _sums(band_hw[None]), unmasked + int(np.count_nonzero(mask_hw))
        valid_hw = is_data(band_hw[None], [dataset.nodata]) & mask_hw
        own = moments_of(band_hw[None], valid_hw)
        if own is not None:
            n, low, high = n + own.n, min(low, own.low[0]), max(high, own.high[0])
            total, square = total + own.total[0], square + own.square[0]
    if n == 0:
        return {}, int(whole[0]), unmasked
    mean = total / n
    numbers = {"MINIMUM": low, "MAXIMUM": high, "MEAN": mean, "STDDEV": math.sqrt(max(square / n - mean * mean, 0.0))}
    numbers["VALID_PERCENT"] = 100 * n / (dataset.height * dataset.width)
    return {f"STATISTICS_{name}": f"{value:.14g}" for name, value in numbers.items()}, int(whole[0]), unmasked


def _same_place(one: Grid, other: Grid) -> bool:
    # The order of axes is no matter to an affine, nor is a vertical datum, whose name GeoTIFF does not keep.
    if one.transform != other.transform or one.crs is None or other.crs is None:
        return one == other
    return one.crs.to_2d().equals(other.crs.to_2d(), ignore_axis_order=True)


def _overview_factors(grid: Grid) -> list[int]:
    factors, factor = [], 2
    while max(grid.shape_hw) > SMALL_TILE * factor:
        factors.append(factor)
        factor *= 2
    return factors


def _rgba(colour: str) -> tuple[int, int, int, int]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue, 255


@lru_cache(maxsize=1)
def compression() -> dict[str, Any]:
    """Return the options of the best lossless compression that this GDAL can write: zstd, else deflate."""
    pixel, placed = np.zeros((1, 16, 16), dtype=np.uint8), Affine.scale(2)  # GDAL warns of what has no place
    options = {"driver": "GTiff", "height": 16, "width": 16, "count": 1, "dtype": "uint8", "transform": placed}
    try:
        with gdal(), MemoryFile() as memory, memory.open(**options, compress="zstd") as dataset:
            dataset.write(pixel)
    except RasterioError:
        return {"compress": "deflate"}
    return {"compress": "zstd", "zstd_level": ZSTD_LEVEL}


@contextlib.contextmanager
def _write_errors(**settings: Any) -> Iterator[None]:
    """Hold GDAL's settings, and raise its errors as what they are here."""
    try:
        with gdal(GDAL_TIFF_INTERNAL_MASK=True, **settings):
            yield
    except GDAL_ERRORS as error:
        raise OSError(problem("raster writer", "GDAL could not write", got=reason_of(error))) from error
