"""One sensor's raster of one scene: where it lies, which of its bands are read, and whether they are the kind's.

A fourth band of an 8-bit file may be near infrared or transparency, and GDAL tags it as transparency unless it is told
otherwise. So the tag alone decides nothing: the kind says how many bands there are, and the pixels say what a band
beyond them is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from pyproj import CRS
from pyproj.exceptions import CRSError

from landscribe.core.arrays import AnyArray
from landscribe.core.grid import Grid, Window, dstl_grid
from landscribe.core.sensors import Sensor, colour_word
from landscribe.errors import DataError, problem
from landscribe.io.raster.rasters import MASK_FILE, Raster, RasterInfo, open_raster, webmercator_tile_grid

WHOLE_PIXELS = 1 << 20
"""The pixels of a band of a larger raster are looked at in windows."""
LOOK_PX = 256
UNTAGGED_SUFFIXES = (".png", ".jpg", ".jpeg", ".jp2")
"""Formats whose first three bands are tagged red, green and blue whatever they hold."""
USUAL_TAGS = ("red", "green", "blue")
PLACE_PX = 0.01
"""So far, in pixels, a raster may lie from where an item says."""
TRANSPARENT_SHARE = 0.99
"""Share of pixels that are 0 or the largest number from which on a band is taken for transparency."""


@dataclass(frozen=True)
class Frame:
    """A georeference that does not stand in the raster: DSTL's Xmax and Ymin, or x, y, z of a web-mercator tile."""

    kind: Literal["dstl", "webmercator-tile"]
    numbers: tuple[float, ...]

    def grid(self, height: int, width: int) -> Grid:
        """Return the grid of a raster of that size."""
        if self.kind == "dstl":
            # The formula is about pixels of the RGB, of which a coarser sensor has several along one of its own.
            x_max, y_min, finer = self.numbers
            return dstl_grid(round(height * finer), round(width * finer), x_max, y_min).resize(height, width)
        x, y, z = (int(number) for number in self.numbers)
        return webmercator_tile_grid(x, y, z, height, width)


@dataclass(frozen=True)
class Stated:
    """What a STAC item says of a file; what it does not say is None or empty."""

    item: str
    """The item's file, for messages."""
    transform: tuple[float, ...] | None = None
    """The six numbers of `proj:transform`."""
    shape_hw: tuple[int, int] | None = None
    code: str = ""
    """`EPSG:32633` and so on."""
    nodata: float | None = None
    scales: tuple[tuple[float, float], ...] = ()
    """Factor and offset of each band."""


@dataclass(frozen=True)
class SensorFile:
    """One sensor's raster of one scene."""

    name: str
    path: Path
    sensor: Sensor
    nodata: float | None = None
    frame: Frame | None = None
    """None takes the file's own georeference, or that of the reference where it has none."""
    nodata_in_any: bool = False
    """True where one band without data makes a pixel invalid."""
    alpha: bool | None = None
    """Whether the file's last band is one of transparency; None looks at it."""
    bands: tuple[int, ...] | None = None
    """Numbers of the file's bands in the order of the sensor's; None takes all of them."""
    scaled: bool = False
    """True where the file's factor and offset are applied."""
    address: str = ""
    """On a server, as long as no copy is there; the path is then only a name."""
    stated: Stated | None = None
    """What an item says of it."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The raster, and the mask beside it where there is one; nothing for one that lies on a server."""
        if self.address:
            return ()
        beside = self.path.with_name(self.path.name + MASK_FILE)
        return (self.path, beside) if beside.is_file() else (self.path,)

    @property
    def reading(self) -> tuple[object, ...]:
        """Everything beside the path that decides what is read, for keys."""
        own = (self.sensor.kind, self.sensor.band_names, self.nodata, self.nodata_in_any)
        scales = (self.stated.scales,) if self.scaled and self.stated is not None else ()
        return (*own, self.alpha, self.bands, self.scaled, *scales)


@contextlib.contextmanager
def open_sensor(file: SensorFile) -> Iterator[Raster]:
    """Open a sensor's raster with the bands, nodata, transparency and scale that the recipe gives it.

    Raises:
        DataError: If it cannot be read, lacks a band that the recipe picks, or lies on a server.
        LimitError: If it claims too much.
    """
    if file.address:
        raise DataError(problem(file.address, "lies on a server", do="run `landscribe prepare`, which copies it"))
    with open_raster(file.path) as raster:
        alpha, bands = _settle_alpha(file, raster.info)
    with open_raster(
        file.path,
        nodata=file.nodata,
        nodata_in_any=file.nodata_in_any,
        alpha=alpha,
        bands=bands,
        scaled=file.scaled,
    ) as raster:
        yield _with_scales(raster, file) if file.scaled else raster


def _with_scales(raster: Raster, file: SensorFile) -> Raster:
    """Let factors and offsets that only an item states stand for those of the file."""
    told = file.stated.scales if file.stated is not None else ()
    own = raster.info.scales
    if not told or any(pair != (1.0, 0.0) for pair in own):
        return raster
    picked = tuple(told[k - 1] for k in file.bands if k <= len(told)) if file.bands else told[: len(own)]
    return replace(raster, info=replace(raster.info, scales=picked)) if len(picked) == len(own) else raster


def check_stated(where: str, file: SensorFile, info: RasterInfo) -> None:
    """Compare an open raster with what an item says of it.

    Args:
        where: Scene and sensor, for the message.
        file: The sensor's file.
        info: Of the raster as `open_raster` opens it.

    Raises:
        DataError: If its size, place, CRS or scale is another one.
    """
    said = file.stated
    if said is None:
        return
    grid = info.grid
    if said.shape_hw is not None and said.shape_hw != grid.shape_hw:
        raise DataError(_other_file(where, said, grid.shape_hw, f"proj:shape {list(said.shape_hw)}"))
    found = tuple(grid.transform)[:6]
    if said.transform is not None and not np.allclose(found, said.transform, rtol=1e-9, atol=PLACE_PX * abs(found[0])):
        raise DataError(_other_file(where, said, list(found), f"proj:transform {list(said.transform)}"))
    if said.code and not _is_crs(grid.crs, said.code):
        raise DataError(_other_file(where, said, "no CRS" if grid.crs is None else grid.crs.name, said.code))
    stated = [pair for pair in said.scales if pair != (1.0, 0.0)]
    own = [pair for pair in info.scales if pair != (1.0, 0.0)]
    if file.scaled and own and stated and not set(own) <= set(stated):
        raise DataError(_other_file(where, said, f"scale and offset {own[0]}", stated[0]))


def _is_crs(crs: CRS | None, code: str) -> bool:
    try:
        return crs is not None and crs.equals(CRS.from_user_input(code), ignore_axis_order=True)
    except (CRSError, ValueError):  # no code that anybody knows, or no text
        return False


def _other_file(where: str, said: Stated, got: object, need: object) -> str:
    do = f"check {said.item}: it speaks of another file, or of an older one"
    return problem(where, "the item does not fit its file", got=got, need=need, do=do)


def _settle_alpha(file: SensorFile, info: RasterInfo) -> tuple[bool, tuple[int, ...] | None]:
    """Return whether the last band is transparency, and which bands to read where not all are."""
    tagged = info.alpha_band == info.count
    if file.alpha is not None:
        # In a set of files some may lack the band: those with as many bands as the kind has no other.
        needed = max(file.bands) if file.bands else len(file.sensor.bands)
        return file.alpha and info.count > needed, file.bands
    if file.bands is not None:
        return tagged and info.count not in file.bands and looks_transparent(file.path), file.bands
    wanted = len(file.sensor.bands)
    if info.count == wanted:
        return False, None  # all of them are bands of the kind, whatever the tag says
    if info.count != wanted + 1:
        return tagged, None  # too few or too many; `check_bands` says so
    if looks_transparent(file.path):
        return True, None
    # A picture that is tagged as transparency is left out, for the kind has no such band.
    return False, tuple(range(1, wanted + 1)) if tagged else None


def looks_transparent(path: Path) -> bool:
    """Tell whether the last band of a raster is one of transparency: nearly all of its pixels are 0 or the largest."""
    stat = path.stat()
    return _looks_transparent(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _looks_transparent(path: Path, _size: int, _when_ns: int) -> bool:
    # Whole sets of files are asked again by every stage.
    with open_raster(path, alpha=False) as raster:
        parts = [raster.read(window, [raster.info.count])[0].ravel() for window in _looked_at(raster.info.grid)]
    return is_transparency(np.concatenate(parts))


def is_transparency(values: AnyArray) -> bool:
    """Tell whether the numbers of a band are those of transparency."""
    top = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1
    return bool(np.mean((values == 0) | (values == top)) > TRANSPARENT_SHARE)


def _looked_at(grid: Grid) -> list[Window]:
    height, width = grid.shape_hw
    if height * width <= WHOLE_PIXELS:
        return [grid.window]
    side_h, side_w = min(LOOK_PX, height), min(LOOK_PX, width)
    steps = [k / 3 for k in range(4)]
    return [
        Window(round((height - side_h) * i), round((width - side_w) * j), side_h, side_w) for i in steps for j in steps
    ]


def check_bands(where: str, file: SensorFile, info: RasterInfo) -> None:
    """Compare the bands of an open raster (alpha not counted) with the sensor's: their number, and their order.

    Args:
        where: Scene and sensor, for the message.
        file: The sensor's file.
        info: Of the raster as `open_sensor` opens it.

    Raises:
        DataError: If the number differs, or the file names its bands and they stand in another order.
    """
    bands = info.count - (1 if info.alpha_band is not None else 0)
    if bands != len(file.sensor.bands):
        need = f"{len(file.sensor.bands)} for {file.sensor.kind!r}"
        do = f"check [data].sensors.{file.name}: kind, or bands = [...] to pick some of them"
        raise DataError(problem(where, "wrong number of bands", got=f"{bands} in {file.path.name}", need=need, do=do))
    text, is_error = other_order(where, file, info)
    if is_error:
        raise DataError(text)


@dataclass(frozen=True)
class BandWords:
    """What a raster says of its bands, each in one word for a colour, or None where it says none."""

    described: tuple[str | None, ...]
    tagged: tuple[str | None, ...]
    tags_are_usual: bool
    """True for red, green and blue in a file of bytes, as GDAL, JPEG and PNG tag any picture."""

    @property
    def words(self) -> tuple[str | None, ...]:
        """What descriptions say, which go before tags, and what tags say of bands without one."""
        return tuple(word or tag for word, tag in zip(self.described, self.tagged, strict=True))

    @property
    def against(self) -> str:
        """What the tags say, where descriptions say something else; usual tags say nothing."""
        pairs = [(a, b) for a, b in zip(self.described, self.tagged, strict=True) if a and b]
        differ = any(a != b for a, b in pairs) and not self.tags_are_usual
        return ", ".join(tag or "?" for tag in self.tagged) if differ else ""


def words_of(info: RasterInfo, count: int, kind: str = "", picked: Sequence[int] | None = None) -> BandWords:
    """Return what a raster says of its bands.

    Args:
        info: Of the raster.
        count: Bands that are no transparency.
        kind: Of the sensor, since numbers of bands mean something in those of Sentinel-2 only.
        picked: Numbers that the bands have in the file, from 1; None where they stand as there.
    """
    described = tuple(colour_word(text or "", kind) for text in info.descriptions[:count])
    tagged = tuple(colour_word(text) for text in info.colours[:count])
    of_bytes = info.dtype == "uint8" or info.path.suffix.lower() in UNTAGGED_SUFFIXES
    numbers = picked or range(1, count + 1)
    usual = [tag == USUAL_TAGS[n - 1] for n, tag in zip(numbers, tagged, strict=False) if n <= len(USUAL_TAGS)]
    return BandWords(described, tagged, of_bytes and any(usual) and all(usual))


def other_order(where: str, file: SensorFile, info: RasterInfo) -> tuple[str, bool]:
    """Compare what a raster says of its bands with the kind.

    Red, green and blue are how GDAL, JPEG and PNG tag the first three bands of any picture of bytes, so that alone is
    no reason to refuse a file, and nothing is where the recipe itself says `bands`.

    Args:
        where: Scene and sensor, for the message.
        file: The sensor's file.
        info: Of the raster as `open_sensor` opens it.

    Returns:
        A line that says what contradicts the kind, empty where nothing does, and whether it is an error.
    """
    kind = [colour_word(band.name, file.sensor.kind) for band in file.sensor.bands]
    found = words_of(info, len(kind), file.sensor.kind, file.bands)
    # What a description says of a band goes before its tag.
    left = [None if word else tag for word, tag in zip(found.described, found.tagged, strict=True)]
    for said, verb, is_weak in ((found.described, "described", False), (left, "tagged", found.tags_are_usual)):
        if all(a == b for a, b in zip(said, kind, strict=True) if a and b):
            continue
        order = [said.index(name) + 1 for name in kind if name in said]
        picked = file.bands or tuple(range(1, len(kind) + 1))
        do = f"take another kind, or say bands = {list(picked)} in [data].sensors.{file.name} if the kind is right"
        if len(order) == len(kind):
            do = (
                f"say bands = {[picked[k - 1] for k in order]} in [data].sensors.{file.name} to reorder them, or "
                f"bands = {list(picked)} if the kind is right"
            )
        got, need = ", ".join(name or "?" for name in said), ", ".join(file.sensor.band_names)
        text = problem(where, f"bands are {verb} in another order than the kind's", got=got, need=need, do=do)
        return text, not is_weak and file.bands is None
    if found.against and file.bands is None:
        what = f"bands are tagged as {found.against} and described in the kind's order, which is taken"
        do = f"say bands = {list(range(1, len(kind) + 1))} in [data].sensors.{file.name} to settle it"
        return problem(where, what, do=do), False
    return "", False
