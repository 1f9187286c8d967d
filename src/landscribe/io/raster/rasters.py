"""Opening rasters safely, reading windows, writing atomically.

The first bytes of a file choose the one driver that may open it; nothing beside the file is followed.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags, PhotometricInterp
from rasterio.windows import Window as RasterioWindow

from landscribe.core.arrays import AnyArray, BoolArray
from landscribe.core.grid import Grid, Window
from landscribe.errors import DataError, LimitError, problem
from landscribe.io.raster.georeference import grid_of, webmercator_tile_grid
from landscribe.io.raster.geotiff import GDAL_ERRORS, THREADS, RasterWriter, reason_of, to_rasterio_window, write_raster
from landscribe.io.raster.nodata import is_data
from landscribe.io.raster.png import require_whole_png
from landscribe.io.safety import GDAL_SETTINGS, check_claim, check_size, require_local_file

__all__ = ["Raster", "RasterInfo", "RasterWriter", "open_raster", "webmercator_tile_grid", "write_raster"]

MAGIC = {
    b"II*\x00": "GTiff",
    b"MM\x00*": "GTiff",
    b"II+\x00": "GTiff",
    b"MM\x00+": "GTiff",
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\x00\x00\x00\x0cjP  \r\n\x87\n": "JP2OpenJPEG",
}
"""First bytes -> GDAL driver: TIFF and BigTIFF of either byte order, JPEG, PNG, JPEG 2000."""
SIDECARS = (".aux.xml", ".ovr", ".msk")
MAX_BANDS = 4096


@dataclass(frozen=True)
class RasterInfo:
    """What is known of a raster without reading its pixels."""

    path: Path
    grid: Grid
    count: int
    """Bands in the file, alpha included."""
    dtype: str
    nodata: float | None
    """The value that means "no data" in every band; None where the file has none or has a different one per band."""
    descriptions: tuple[str | None, ...]
    has_mask: bool
    """True where the file has a mask of its own beside the bands."""
    alpha_band: int | None
    """Number of the alpha band, from 1."""
    georeferenced: bool
    """True where the file or a world file places the grid on the ground."""
    palette: Mapping[int, tuple[int, int, int]] | None = None
    """Value -> red, green, blue of a palette picture; None for any other."""
    ignored: tuple[str, ...] = ()
    """Files beside the raster that other programs would have read with it."""


@dataclass(frozen=True)
class Raster:
    """An open raster. Of use to one thread at a time."""

    info: RasterInfo
    _dataset: Any
    _nodata: tuple[float | None, ...]

    def read(
        self, window: Window | None = None, bands: Sequence[int] | None = None, *, limit_bytes: int | None = None
    ) -> tuple[AnyArray, BoolArray]:
        """Read pixels and which of them are valid.

        A pixel is invalid where every band has its nodata value, where the mask or the alpha band is 0, where any
        band is not finite, or where the file lacks the tile. Which bands are asked for makes no difference to that.

        Args:
            window: Part inside the raster; None reads all of it.
            bands: Numbers from 1, in the order wanted, alpha not counted; None takes all but alpha.
            limit_bytes: Largest array to read; None takes half of the free memory and refuses decompression bombs.

        Returns:
            Pixels (C, h, w) in the file's own type, and valid (h, w).

        Raises:
            DataError: If the window reaches over the edge, a band does not exist, or the file is damaged.
            LimitError: If it would not fit into memory.
        """
        window = self.info.grid.window if window is None else window
        colour = [number for number in range(1, self.info.count + 1) if number != self.info.alpha_band]
        wanted = list(range(1, len(colour) + 1)) if bands is None else list(bands)
        self._check_request(window, wanted, len(colour))
        all_needed = any(v is not None for v in self._nodata) or np.issubdtype(self.info.dtype, np.floating)
        numbers = colour if all_needed else [colour[k - 1] for k in wanted]
        self._check_memory(window, len(numbers), limit_bytes)
        part = to_rasterio_window(window)
        try:
            with _gdal():
                image_chw = self._dataset.read(numbers, window=part)
                valid_hw = self._read_mask(part, window)
        except GDAL_ERRORS as error:
            raise DataError(problem(str(self.info.path), "damaged or cut short", got=reason_of(error))) from error
        except MemoryError as error:
            raise LimitError(problem(str(self.info.path), "out of memory", got=window)) from error
        valid_hw &= is_data(image_chw, [self._nodata[n - 1] for n in numbers])
        return (image_chw[[k - 1 for k in wanted]] if all_needed and bands is not None else image_chw), valid_hw

    def _check_request(self, window: Window, wanted: list[int], count: int) -> None:
        where, grid = str(self.info.path), self.info.grid
        if grid.window.intersection(window) != window:
            raise DataError(problem(where, "window reaches over the edge", got=window, need=f"inside {grid.shape_hw}"))
        if not wanted or min(wanted) < 1 or max(wanted) > count:
            raise DataError(problem(where, "no such band", got=wanted, need=f"1 to {count}"))

    def _check_memory(self, window: Window, count: int, limit_bytes: int | None) -> None:
        path, itemsize = self.info.path, np.dtype(self.info.dtype).itemsize
        # A block is unpacked whole, however small the window and with however many bands it holds.
        block_bytes = math.prod(self._dataset.block_shapes[0]) * self.info.count * itemsize
        need_bytes = window.height * window.width * (count * itemsize + 1) + block_bytes
        check_size(str(path), need_bytes, limit_bytes=limit_bytes, file_bytes=path.stat().st_size)

    def _read_mask(self, part: RasterioWindow, window: Window) -> BoolArray:
        if self.info.alpha_band is not None:
            valid_hw: BoolArray = self._dataset.read(self.info.alpha_band, window=part) != 0
        elif self.info.has_mask:
            valid_hw = self._dataset.read_masks(1, window=part) != 0
        else:
            valid_hw = np.ones(window.shape_hw, dtype=np.bool_)
            if self._nodata[0] is None and self._dataset.driver == "GTiff":
                self._leave_out_absent(window, valid_hw)
        return valid_hw

    def _leave_out_absent(self, window: Window, valid_hw: BoolArray) -> None:
        # A TIFF may lack tiles: left out on purpose, or never written by a program that was killed. GDAL reads
        # them as zeros, which only a nodata value would tell from data.
        block_h, block_w = self._dataset.block_shapes[0]
        for i in range(window.row // block_h, -(-window.row_stop // block_h)):
            for j in range(window.col // block_w, -(-window.col_stop // block_w)):
                if self._dataset.get_tag_item(f"BLOCK_OFFSET_{j}_{i}", "TIFF", bidx=1) is None:
                    part = Window(i * block_h, j * block_w, block_h, block_w).intersection(window)
                    if part is not None:
                        rows, cols = Window(part.row - window.row, part.col - window.col, *part.shape_hw).slices
                        valid_hw[rows, cols] = False


@contextlib.contextmanager
def open_raster(path: Path, *, nodata: float | None = None, palette: bool = False) -> Iterator[Raster]:
    """Open a local GeoTIFF, JPEG, PNG or JPEG 2000 for reading.

    Args:
        path: The file.
        nodata: Value that means "no data" in every band; None takes what the file says.
        palette: Let pictures with a colour table in; their values are places in the table, not brightness.

    Raises:
        DataError: If it is not such a file, damaged, holds complex numbers, CMYK or Lab colours, or is placed by
            ground control points only.
        LimitError: If it claims more than `MAX_BANDS` bands, or a size that no imagery of its bytes has.
    """
    with _gdal():
        dataset = _open(path)
    try:
        with _gdal():
            raster = _described(dataset, path, nodata, palette=palette)
        yield raster
    finally:
        dataset.close()


def _gdal() -> Any:
    # Inside, GDAL's errors become exceptions instead of lines on the terminal, and PROJ finds its tables.
    return rasterio.Env(**GDAL_SETTINGS)


def _open(path: Path) -> Any:
    require_local_file(path)
    with path.open("rb") as file:
        head = file.read(16)
    driver = next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)
    if driver is None:
        got, need = f"first bytes {head[:8]!r}", "TIFF, JPEG, PNG or JPEG 2000"
        raise DataError(problem(str(path), "not a raster", got=got, need=need))
    if driver == "PNG":
        require_whole_png(path)
    try:
        # Two threads unpack a window three times as fast as one, when it has more than one tile.
        options = {"num_threads": THREADS} if driver == "GTiff" else {}
        return rasterio.open(path.absolute(), driver=driver, **options)
    except GDAL_ERRORS as error:
        got = reason_of(error).replace(f"{path.absolute()}:", "").replace(f"{path.name}:", "")
        raise DataError(problem(str(path), f"not a readable {driver}", got=got)) from error


def _described(dataset: Any, path: Path, nodata: float | None, *, palette: bool) -> Raster:
    try:
        return _describe(dataset, path, nodata, palette=palette)
    except GDAL_ERRORS as error:
        raise DataError(problem(str(path), "damaged or cut short", got=reason_of(error))) from error


def _describe(dataset: Any, path: Path, nodata: float | None, *, palette: bool) -> Raster:
    where, count = str(path), dataset.count
    if count > MAX_BANDS:
        raise LimitError(problem(where, "too many bands", got=count, need=f"at most {MAX_BANDS}"))
    if count == 0:
        raise DataError(problem(where, "no bands"))
    if len(set(dataset.dtypes)) > 1 or np.issubdtype(dataset.dtypes[0], np.complexfloating):
        raise DataError(problem(where, "type of pixels", got=dataset.dtypes[0], need="one type of real numbers"))
    if dataset.photometric in (PhotometricInterp.cmyk, PhotometricInterp.cielab, PhotometricInterp.icclab):
        got = dataset.photometric.value
        raise DataError(problem(where, "colours that are no sensor's bands", got=got, do="convert it to RGB"))
    claimed_bytes = dataset.height * dataset.width * count * np.dtype(dataset.dtypes[0]).itemsize
    check_claim(where, claimed_bytes, path.stat().st_size)
    table = _palette_of(dataset)
    if table is not None and not palette:
        do = "convert it: gdal_translate -expand rgb"
        raise DataError(problem(where, "values stand for entries of a colour table, not for brightness", do=do))
    grid, georeferenced = grid_of(dataset, path)
    per_band = tuple(dataset.nodatavals) if nodata is None else (nodata,) * count
    alpha = [number for number, kind in enumerate(dataset.colorinterp, start=1) if kind == ColorInterp.alpha]
    flags = dataset.mask_flag_enums[0]
    info = RasterInfo(
        path=path,
        grid=grid,
        count=count,
        dtype=dataset.dtypes[0],
        nodata=per_band[0] if len({str(v) for v in per_band}) == 1 else None,
        descriptions=tuple(dataset.descriptions),
        has_mask=MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags,
        alpha_band=alpha[-1] if alpha and count > 1 else None,
        georeferenced=georeferenced,
        palette=table,
        ignored=_ignored(dataset, path),
    )
    return Raster(info, dataset, per_band)


def _palette_of(dataset: Any) -> dict[int, tuple[int, int, int]] | None:
    """Return the colour table, unless it is the grey ramp that GDAL gives to one-bit pictures."""
    if dataset.colorinterp[0] != ColorInterp.palette:
        return None
    table = {value: colour[:3] for value, colour in dataset.colormap(1).items()}
    top = max(table)
    ramp = all(colour == (value * 255 // top,) * 3 for value, colour in table.items()) if top else False
    return None if ramp else table


def _ignored(dataset: Any, path: Path) -> tuple[str, ...]:
    beside = [path.name + suffix for suffix in SIDECARS if path.with_name(path.name + suffix).exists()]
    pages = len(dataset.subdatasets)
    return (*beside, f"{pages - 1} further pages") if pages > 1 else tuple(beside)
