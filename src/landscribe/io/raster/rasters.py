"""Opening rasters safely, reading windows, writing atomically.

The first bytes of a file choose the one driver that may open it. Of what lies beside it only two things are taken: a
world file, and a mask that is itself a TIFF of the same size; nothing else is followed.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags, PhotometricInterp
from rasterio.windows import Window as RasterioWindow

from landscribe.core.arrays import AnyArray, BoolArray
from landscribe.core.grid import Grid, Window
from landscribe.errors import DataError, LimitError, problem
from landscribe.io.raster.gdal import GDAL_ERRORS, gdal, open_dataset, reason_of
from landscribe.io.raster.georeference import grid_of, webmercator_tile_grid
from landscribe.io.raster.geotiff import THREADS, RasterWriter, to_rasterio_window, write_raster
from landscribe.io.raster.nodata import is_data
from landscribe.io.raster.odd import refusing_odd_files
from landscribe.io.raster.png import require_whole_png
from landscribe.io.safety import check_claim, check_size, require_local_file
from landscribe.workers import stop_if_asked

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
MASK_FILE = ".msk"
SIDECARS = (".aux.xml", ".ovr", MASK_FILE)
MAX_BANDS = 4096


@dataclass(frozen=True)
class RasterInfo:
    """What is known of a raster without reading its pixels."""

    path: Path
    grid: Grid
    count: int
    """Bands, alpha included."""
    dtype: str
    nodata: float | None
    """The value that means "no data" in every band; None where the file has none or has a different one per band."""
    descriptions: tuple[str | None, ...]
    has_mask: bool
    """True where the file has a mask of its own beside the bands, or one lies beside it."""
    alpha_band: int | None
    """Number of the alpha band, from 1."""
    georeferenced: bool
    """True where the file or a world file places the grid on the ground."""
    palette: Mapping[int, tuple[int, int, int]] | None = None
    """Value -> red, green, blue of a palette picture; None for any other."""
    ignored: tuple[str, ...] = ()
    """Files beside the raster that other programs would have read with it."""
    mask_file: Path | None = None
    """The mask beside the raster that tells which pixels are valid."""
    colours: tuple[str, ...] = ()
    """What the file says each band shows: red, green, blue, gray, alpha, undefined, ..."""
    scales: tuple[tuple[float, float], ...] = ()
    """Factor and offset from stored to true values of each band, alpha left out; 1 and 0 where none are stated."""


@dataclass(frozen=True)
class Raster:
    """An open raster. Of use to one thread at a time."""

    info: RasterInfo
    _dataset: Any
    _numbers: tuple[int, ...]
    """Numbers in the file of the bands that are read, alpha left out."""
    _nodata: tuple[float | None, ...]
    """Of each of them."""
    _alpha: int | None = None
    """Number of the alpha band in the file."""
    _mask: Any = None
    """The open mask beside the file."""
    _nodata_in_any: bool = False
    """True where one band without data makes a pixel invalid."""
    _scaled: bool = False
    """True where values are handed out with factor and offset applied, as float32."""

    def read(
        self, window: Window | None = None, bands: Sequence[int] | None = None, *, limit_bytes: int | None = None
    ) -> tuple[AnyArray, BoolArray]:
        """Read pixels and which of them are valid.

        A pixel is invalid where every band (or any, if so opened) has its nodata value, where the mask or the alpha
        band is 0, where any band is not finite, or where the file lacks the tile. Which bands are asked for makes no
        difference to that.

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
        stop_if_asked()
        window = self.info.grid.window if window is None else window
        wanted = list(range(1, len(self._numbers) + 1)) if bands is None else list(bands)
        self._check_request(window, wanted, len(self._numbers))
        all_needed = any(v is not None for v in self._nodata) or self._dataset.dtypes[0].startswith("float")
        numbers = list(self._numbers) if all_needed else [self._numbers[k - 1] for k in wanted]
        self._check_memory(window, len(numbers), limit_bytes)
        part = to_rasterio_window(window)
        with refusing_odd_files(self.info.path), gdal():
            image_chw = self._dataset.read(numbers, window=part)
            valid_hw = self._read_mask(part, window)
        own = self._nodata if all_needed else [None] * len(numbers)
        valid_hw &= is_data(image_chw, own, in_any=self._nodata_in_any)
        if all_needed and bands is not None:
            image_chw = image_chw[[k - 1 for k in wanted]]
        return (self._to_true(image_chw, wanted) if self._scaled else image_chw), valid_hw

    def read_valid(self, window: Window) -> BoolArray:
        """Read which pixels of a window are valid, (h, w), as `read` tells it, and no pixels where they do not matter.

        Raises:
            DataError: If the window reaches over the edge or the file is damaged.
            LimitError: If it would not fit into memory.
        """
        if any(v is not None for v in self._nodata) or self._dataset.dtypes[0].startswith("float"):
            return self.read(window, bands=[1])[1]
        stop_if_asked()
        self._check_request(window, [1], len(self._numbers))
        self._check_memory(window, 1, None)
        with refusing_odd_files(self.info.path), gdal():
            return self._read_mask(to_rasterio_window(window), window)

    def _to_true(self, image_chw: AnyArray, wanted: Sequence[int]) -> AnyArray:
        pairs = np.array([self.info.scales[k - 1] for k in wanted])
        true_chw = image_chw * pairs[:, 0, None, None] + pairs[:, 1, None, None]
        return true_chw.astype(np.float32)

    def _check_request(self, window: Window, wanted: list[int], count: int) -> None:
        where, grid = str(self.info.path), self.info.grid
        if grid.window.intersection(window) != window:
            raise DataError(problem(where, "window reaches over the edge", got=window, need=f"inside {grid.shape_hw}"))
        if not wanted or min(wanted) < 1 or max(wanted) > count:
            raise DataError(problem(where, "no such band", got=wanted, need=f"1 to {count}"))

    def _check_memory(self, window: Window, count: int, limit_bytes: int | None) -> None:
        path, itemsize = self.info.path, np.dtype(self.info.dtype).itemsize
        # A block is unpacked whole, however small the window and with however many bands it holds.
        block_bytes = math.prod(self._dataset.block_shapes[0]) * self._dataset.count * itemsize
        need_bytes = window.height * window.width * (count * itemsize + 1) + block_bytes
        check_size(str(path), need_bytes, limit_bytes=limit_bytes, file_bytes=path.stat().st_size)

    def _read_mask(self, part: RasterioWindow, window: Window) -> BoolArray:
        if self._alpha is not None:
            valid_hw: BoolArray = self._dataset.read(self._alpha, window=part) != 0
        elif self._mask is not None:
            # A mask may have a band for each of the file's: a pixel is data where any of its bands is.
            valid_hw = (self._mask.read(window=part) != 0).any(axis=0)
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
def open_raster(
    path: str | Path,
    *,
    nodata: float | None = None,
    nodata_in_any: bool = False,
    palette: bool = False,
    alpha: bool | None = None,
    bands: Sequence[int] | None = None,
    scaled: bool = False,
) -> Iterator[Raster]:
    """Open a local GeoTIFF, JPEG, PNG or JPEG 2000 for reading.

    Args:
        path: The file.
        nodata: Value that means "no data" in every band; None takes what the file says.
        nodata_in_any: Take a pixel for invalid where any band has the nodata value, not where all have it.
        palette: Let pictures with a colour table in; their values are places in the table, not brightness.
        alpha: Whether the last band is one of transparency; None takes what the file says.
        bands: Numbers from 1 of the file's bands to read, in that order; None takes all of them but alpha.
        scaled: Hand out values times the file's factor plus its offset, as float32.

    Raises:
        DataError: If it is not such a file, damaged, holds complex numbers, CMYK or Lab colours, is placed by ground
            control points only, or lacks a band.
        LimitError: If it claims more than `MAX_BANDS` bands, or a size that no imagery of its bytes has.

    Examples:
        >>> import landscribe as ls
        >>> with ls.open_raster(run.probability("6020_0_0")) as raster:
        ...     values_khw, valid_hw = raster.read(ls.Window(0, 0, 3, 5))
        >>> values_khw.shape, values_khw.dtype.name
        ((10, 3, 5), 'uint8')
    """
    path = Path(path)
    with contextlib.ExitStack() as files:
        with refusing_odd_files(path), gdal():
            dataset = files.enter_context(contextlib.closing(_open(path)))
            raster = _describe(dataset, path, nodata, palette=palette, alpha=alpha, bands=bands, scaled=scaled)
            raster = _with_mask(replace(raster, _nodata_in_any=nodata_in_any), files)
        yield raster


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
    # Two threads unpack a window three times as fast as one, when it has more than one tile.
    options = {"num_threads": THREADS} if driver == "GTiff" else {}
    try:
        return open_dataset(path, driver, **options)
    except GDAL_ERRORS as error:
        got = reason_of(error).replace(f"{path.absolute()}:", "").replace(f"{path.name}:", "")
        raise DataError(problem(str(path), f"not a readable {driver}", got=got)) from error


def _describe(
    dataset: Any,
    path: Path,
    nodata: float | None,
    *,
    palette: bool,
    alpha: bool | None,
    bands: Sequence[int] | None,
    scaled: bool,
) -> Raster:
    where, count = str(path), dataset.count
    if count > MAX_BANDS:
        raise LimitError(problem(where, "too many bands", got=count, need=f"at most {MAX_BANDS}"))
    if count == 0:
        raise DataError(problem(where, "no bands"))
    if dataset.dtypes[0].startswith("complex"):
        do = "write its amplitude to a new file first"
        got = dataset.dtypes[0]
        raise DataError(problem(where, "complex numbers, as of radar", got=got, need="real numbers", do=do))
    if len(set(dataset.dtypes)) > 1:
        raise DataError(problem(where, "type of pixels", got=dataset.dtypes[0], need="one type in all bands"))
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
    alpha_band = _alpha_band(dataset, alpha)
    numbers = _numbers(dataset, path, alpha_band, bands)
    per_band = tuple(dataset.nodatavals[k - 1] for k in numbers) if nodata is None else (nodata,) * len(numbers)
    shown = (*numbers, *([alpha_band] if alpha_band else []))
    # Before masks are asked for: what GDAL then says of a damaged thumbnail would be taken for an answer to these.
    colours = tuple(dataset.colorinterp[k - 1].name for k in shown)
    scales = tuple((float(dataset.scales[k - 1]), float(dataset.offsets[k - 1])) for k in numbers)
    flags = dataset.mask_flag_enums[0]
    info = RasterInfo(
        path=path,
        grid=grid,
        count=len(shown),
        dtype="float32" if scaled else dataset.dtypes[0],
        nodata=per_band[0] if len({str(v) for v in per_band}) == 1 else None,
        descriptions=tuple(dataset.descriptions[k - 1] for k in shown),
        has_mask=MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags,
        # Among bands that were picked it comes last, as it does in files.
        alpha_band=None if alpha_band is None else len(shown) if bands is not None else alpha_band,
        georeferenced=georeferenced,
        palette=table,
        ignored=_ignored(dataset, path),
        colours=colours,
        scales=scales,
    )
    return Raster(info, dataset, numbers, per_band, alpha_band, _scaled=scaled)


def _alpha_band(dataset: Any, alpha: bool | None) -> int | None:
    if alpha is not None:
        return dataset.count if alpha and dataset.count > 1 else None
    tagged = [number for number, kind in enumerate(dataset.colorinterp, start=1) if kind == ColorInterp.alpha]
    return tagged[-1] if tagged and dataset.count > 1 else None


def _numbers(dataset: Any, path: Path, alpha_band: int | None, bands: Sequence[int] | None) -> tuple[int, ...]:
    if bands is None:
        return tuple(number for number in range(1, dataset.count + 1) if number != alpha_band)
    missing = [number for number in bands if not 1 <= number <= dataset.count]
    if missing:
        raise DataError(problem(str(path), "no such band", got=missing[0], need=f"1 to {dataset.count}"))
    return tuple(bands)


def _with_mask(raster: Raster, files: contextlib.ExitStack) -> Raster:
    """Take the mask beside a file for its own, where that is a TIFF of the same size and the file says nothing."""
    beside = raster.info.path.with_name(raster.info.path.name + MASK_FILE)
    if not beside.is_file() or raster._alpha is not None or raster.info.has_mask:
        return raster
    try:
        with refusing_odd_files(beside):
            mask = files.enter_context(contextlib.closing(_open(beside)))
            fits = mask.driver == "GTiff" and mask.shape == raster.info.grid.shape_hw and mask.dtypes[0] == "uint8"
    except (DataError, LimitError):
        return raster  # what cannot be read stays among those that are ignored, which `check` names
    if not fits or mask.count > MAX_BANDS:
        return raster
    ignored = tuple(name for name in raster.info.ignored if name != beside.name)
    return replace(raster, info=replace(raster.info, has_mask=True, mask_file=beside, ignored=ignored), _mask=mask)


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
