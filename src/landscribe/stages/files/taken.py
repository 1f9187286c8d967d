"""What a raster is taken for when it is traced, with its classes, and how its pixels become fields."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray
from landscribe.core.grid import Window
from landscribe.core.legend import LandClass, Legend, default_colour
from landscribe.core.trace.meaning import (
    MOST_VALUES,
    SLACK,
    Meaning,
    Numbers,
    join_numbers,
    meaning_of,
    numbers_of,
)
from landscribe.errors import DataError, RecipeError, problem
from landscribe.io.raster.categories import category_names
from landscribe.io.raster.rasters import Raster, RasterInfo, open_raster
from landscribe.io.safety import check_size

KEEP_BYTES = 1 << 28
"""Rasters up to this size are read once and kept; of larger ones a sample is looked at before they are traced."""
SAMPLE_STRIPS, SAMPLE_ROWS = 8, 256
MOST_LISTED = 12


class SurpriseError(DataError):
    """A raster of which only a sample was looked at holds other values than that."""


@dataclass(frozen=True)
class Wish:
    """How somebody wants a raster to be taken."""

    meaning: Meaning | None = None
    """None leaves it to the values."""
    names: Mapping[int, str] = field(default_factory=dict)
    """Class of each value of a class map; values without a name are left out. Empty takes every value."""
    nodata: float | None = None
    """Value that means "no data" in place of the file's own; NaN for none."""


@dataclass(frozen=True)
class Taken:
    """A raster and what it is taken for."""

    path: Path
    wish: Wish
    meaning: Meaning
    legend: Legend
    groups: tuple[tuple[float, ...], ...] = ()
    """Values of each class of a class map."""
    numbers: Numbers | None = None
    """What was seen; None where the file or somebody said what it is."""
    is_sure: bool = True
    """False where only a sample was looked at."""
    is_scaled: bool = False
    """Whether factor and offset of the file are applied."""
    pixels: tuple[AnyArray, BoolArray] | None = None
    """Pixels and which are valid, where they were kept."""
    remarks: tuple[str, ...] = ()
    """What else somebody should know of the file."""

    @contextmanager
    def open(self) -> Iterator[Raster]:
        """Open the raster as it was taken."""
        with open_raster(self.path, nodata=self.wish.nodata, palette=True, scaled=self.is_scaled) as raster:
            yield raster

    @property
    def words(self) -> str:
        """One line: what the raster was taken for, and how to take it otherwise."""
        others = " | ".join(meaning for meaning in get_args(Meaning) if meaning != self.meaning)
        parts = [f"{self.path.name}: taken for {self._what()}", *self._left_out(), *self.remarks]
        return "; ".join([*parts, f"--as {others} takes it otherwise"])

    def _what(self) -> str:
        seen, asked = self.numbers, ", as asked" if self.wish.meaning else ""
        if self.meaning == "classes":
            named = [f"{_list(group)} ({c.name})" for group, c in zip(self.groups, self.legend, strict=True)]
            told = _some([text.partition(" (value ")[0] for text in named]) or "no value"
            hint = "" if self.wish.names else "; --classes 1=road,2=water names values"
            return f"a class map{asked}, a class for each of {told}{hint}"
        each = "" if len(self.legend) == 1 else f", a class for each of {len(self.legend)} bands"
        if self.meaning == "mask":
            inside = "all but 0" if seen is None or not seen.high else f"{seen.high:g}"
            return f"a mask{asked}, {inside} inside{each}"
        what = "probabilities in percent" if self.meaning == "percent" else "probabilities or covered shares"
        span = "" if seen is None else f", {seen.low:g} to {seen.high:g}"
        return f"{what}{asked}{span}{each}"

    def _left_out(self) -> list[str]:
        seen = self.numbers
        if seen is None:
            return []
        parts = []
        if seen.invalid and self.is_sure:
            parts.append(f"{seen.invalid} pixels without data are outside")
        if self.wish.names and seen.values is not None:
            missing = sorted(set(self.wish.names) - {*seen.values})
            unnamed = [value for value in seen.values if value not in self.wish.names]
            parts += [f"values without a class are left out: {_list(unnamed)}"] if unnamed else []
            parts += [f"values that do not occur: {_list(missing)}"] if missing and self.is_sure else []
        return parts


def take_raster(path: Path, wish: Wish, *, whole: bool = False) -> Taken:
    """Find out what a raster is.

    Args:
        path: The raster.
        wish: What somebody says about it.
        whole: Look at every pixel, however large it is; else at a sample where it is larger than `KEEP_BYTES`.

    Raises:
        DataError: If it cannot be read, or its values fit nothing.
        RecipeError: If names are given for values of what is no class map.
    """
    if wish.names and wish.meaning not in (None, "classes"):
        what = f"--classes names values of a class map, --as says {wish.meaning}"
        raise RecipeError(problem("trace", what, do="leave one of them out"))
    asked: Meaning | None = "classes" if wish.names else wish.meaning
    with open_raster(path, nodata=wish.nodata, palette=True) as raster:
        scales, is_bytes = raster.info.scales, raster.info.dtype == "uint8"
    says_share = is_bytes and all(_is(pair, 1 / 255) for pair in scales)
    is_scaled = not says_share and asked != "classes" and not all(_is(pair, 1.0) for pair in scales)
    known = "probability" if says_share and asked is None else asked
    with open_raster(path, nodata=wish.nodata, palette=True, scaled=is_scaled) as raster:
        info = raster.info
        remarks = () if says_share else tuple(_remarks(info))
        if known is not None and known != "classes":
            return Taken(path, wish, known, _legend_of_bands(info), is_scaled=is_scaled, remarks=remarks)
        numbers, pixels, is_sure = _look(raster, whole=whole)
    categories = category_names(path)
    meaning = known or meaning_of(
        numbers,
        str(path),
        bands=len(scales),
        is_bytes=info.dtype == "uint8",
        named=bool(categories or info.palette),
    )
    taken = Taken(path, wish, meaning, _legend_of_bands(info), (), numbers, is_sure, is_scaled, pixels, remarks)
    if meaning != "classes":
        return taken
    groups, legend = _classes(info, wish, numbers, categories)
    return replace(taken, groups=groups, legend=legend, remarks=())


def _look(raster: Raster, *, whole: bool) -> tuple[Numbers, tuple[AnyArray, BoolArray] | None, bool]:
    """Return what the raster holds, its pixels if they are few, and whether all of them were seen."""
    grid, bands = raster.info.grid, len(raster.info.scales)
    if math.prod(grid.shape_hw) * bands * np.dtype(raster.info.dtype).itemsize <= KEEP_BYTES:
        image_chw = np.empty((bands, *grid.shape_hw), raster.info.dtype)
        valid_hw = np.empty(grid.shape_hw, np.bool_)
        seen = []
        for window in grid.window.strips():
            rows = window.slices
            image_chw[:, *rows], valid_hw[rows] = raster.read(window)
            seen.append(numbers_of(image_chw[:, *rows], valid_hw[rows]))
        return join_numbers(seen), (image_chw, valid_hw), True
    windows = grid.window.strips(SAMPLE_ROWS)
    if not whole:
        windows = windows[:: max(1, len(windows) // SAMPLE_STRIPS)]
    return join_numbers([numbers_of(*raster.read(window)) for window in windows]), None, whole


def _classes(
    info: RasterInfo, wish: Wish, numbers: Numbers, categories: Mapping[int, str]
) -> tuple[tuple[tuple[float, ...], ...], Legend]:
    """Return the values of each class and the classes; values of one name are one class."""
    where = str(info.path)
    if len(info.scales) > 1:
        raise DataError(problem(where, "a class map of several bands", got=len(info.scales), need="one band"))
    if not numbers.whole:
        raise DataError(problem(where, "a class map of fractions", got=f"{numbers.low:g} to {numbers.high:g}"))
    values = sorted(wish.names) if wish.names else numbers.values
    if values is None:
        need = f"at most {MOST_VALUES}"
        do = "name those that are wanted: --classes 1=road,2=water"
        raise DataError(problem(where, "too many values for a class map", got="more", need=need, do=do))
    of_name: dict[str, list[float]] = {}
    for value in values:
        name = wish.names.get(int(value)) or categories.get(int(value)) or f"value {value:.0f}"
        of_name.setdefault(name, []).append(float(value))
    palette = info.palette or {}
    classes = []
    for k, (name, group) in enumerate(of_name.items()):
        number = int(group[0]) if abs(group[0]) < 1 << 31 else k + 1
        colour = "#{:02X}{:02X}{:02X}".format(*palette[number]) if number in palette else default_colour(k)
        classes.append(LandClass(number, name, colour))
    return tuple(tuple(group) for group in of_name.values()), Legend(tuple(classes))


def _remarks(info: RasterInfo) -> Iterator[str]:
    if {"red", "green", "blue"} <= set(info.colours):
        yield "the file calls its bands red, green and blue: polygons of a photograph mean nothing"
    if info.alpha_band is not None:
        yield f"band {info.alpha_band} is taken for transparency"


def _legend_of_bands(info: RasterInfo) -> Legend:
    texts = [text for k, text in enumerate(info.descriptions, start=1) if k != info.alpha_band]
    names = [text if text and texts.count(text) == 1 else f"{text or 'band'}{k}" for k, text in enumerate(texts, 1)]
    return Legend(tuple(LandClass(k + 1, name, default_colour(k)) for k, name in enumerate(names)))


def codes_of(taken: Taken, raster: Raster) -> AnyArray:
    """Return the class of each pixel of a class map as a place in the legend, int16 (H, W); -1 for none.

    Raises:
        SurpriseError: If a value occurs that was not in the sample.
        LimitError: If they do not fit into memory.
    """
    grid = raster.info.grid
    check_size(str(taken.path), 2 * math.prod(grid.shape_hw))
    codes_hw = np.full(grid.shape_hw, -1, np.int16)
    place_of = dict(sorted((value, place) for place, group in enumerate(taken.groups) for value in group))
    values, places = np.array(list(place_of)), np.array(list(place_of.values()), np.int16)
    of_byte = np.array([place_of.get(byte, -1) for byte in range(256)], np.int16)
    for window in grid.window.strips() if place_of else ():
        image_chw, valid_hw = read_pixels(taken, raster, window, [0])
        if image_chw.dtype == np.uint8:
            found_hw = np.where(valid_hw, of_byte[image_chw[0]], np.int16(-1))
        else:
            at_hw = np.minimum(np.searchsorted(values, image_chw[0]), len(values) - 1)
            found_hw = np.where(valid_hw & (values[at_hw] == image_chw[0]), places[at_hw], np.int16(-1))
        if not taken.is_sure and not taken.wish.names and (valid_hw & (found_hw < 0)).any():
            raise SurpriseError(problem(str(taken.path), "values that a sample did not show"))
        codes_hw[window.slices] = found_hw
    return codes_hw


def field_of(taken: Taken, image_chw: AnyArray, valid_hw: BoolArray) -> AnyArray:
    """Bring pixels of a mask or of probabilities to what `trace` takes: bool, uint8 or float32; invalid ones are 0.

    Raises:
        SurpriseError: If a value occurs that was not in the sample.
        DataError: If a value is none of what the raster is said to hold.
    """
    if taken.meaning == "mask":
        if not taken.is_sure and taken.numbers is not None:
            known = (image_chw == 0) | (image_chw == taken.numbers.high)
            if not (known | ~valid_hw).all():
                raise SurpriseError(problem(str(taken.path), "values that a sample did not show"))
        return (image_chw != 0) & valid_hw
    if image_chw.dtype == np.uint8 and taken.meaning == "probability":
        return np.where(valid_hw, image_chw, np.uint8(0))
    top = 100.0 if taken.meaning == "percent" else 1.0
    unit_chw = np.where(valid_hw, image_chw, 0).astype(np.float32)
    low, high = float(unit_chw.min()), float(unit_chw.max())
    if low < -SLACK or high > top * (1 + SLACK):
        if not taken.is_sure:
            raise SurpriseError(problem(str(taken.path), "values that a sample did not show"))
        got, need = f"{low:g} to {high:g}", f"0 to {top:g}"
        raise DataError(problem(str(taken.path), f"field out of range for {taken.meaning}", got=got, need=need))
    return np.clip(unit_chw / np.float32(top), 0, 1)


def read_pixels(taken: Taken, raster: Raster, window: Window, bands: Sequence[int]) -> tuple[AnyArray, BoolArray]:
    """Return some bands, numbered from 0, of a window, and which pixels are valid; from memory where they are kept."""
    if taken.pixels is None:
        return raster.read(window, bands=[band + 1 for band in bands])
    image_chw, valid_hw = taken.pixels
    return image_chw[:, *window.slices][list(bands)], valid_hw[window.slices]


def _is(pair: tuple[float, float], factor: float) -> bool:
    return math.isclose(pair[0], factor, rel_tol=1e-6) and pair[1] == 0


def _list(values: Sequence[float]) -> str:
    return _some([f"{value:.0f}" for value in values])


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - MOST_LISTED} more" if len(texts) > MOST_LISTED else ""
    return ", ".join(texts[:MOST_LISTED]) + more
