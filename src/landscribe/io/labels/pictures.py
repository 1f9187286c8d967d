"""Label pictures: PNG, TIFF or JPEG whose colours, values or bands say the class of each pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray, FloatArray, IntArray
from landscribe.core.grid import Grid
from landscribe.core.recipe import LabelTable
from landscribe.errors import DataError, problem
from landscribe.io.raster.rasters import RasterInfo, open_raster

NEAR = 40.0
"""A colour off the palette is taken for the nearest one within this distance in RGB, ..."""
CLEARLY = 2.0
"""... if the next one is this many times as far."""
SOFT_VALUES = 16
"""A picture of values with so many more, none of which fills a square of 2 x 2 pixels, has soft borders."""
OTHER_SHARE = 0.01
"""Grey of a soft border that is no value of its own fills less of a picture."""
DARK = 16.0
"""What is this near to black in RGB is black that JPEG has touched, of which everybody expects no class."""
VALUES_NAMED = 8
"""Other values or colours that are named one by one."""
UNLABELLED, NO_CLASS = -1, -2
"""What a pixel is of, where it is of none of the classes."""
TAKEN = "pixels off the palette, taken for the nearest colour"
OFF_PALETTE = "pixels off the palette, unlabelled"
NODATA = (
    "pixels that the label file calls nodata or transparent, none of the classes unless labels.nodata says otherwise"
)
JPEG = b"\xff\xd8\xff"
ANY = "any"
"""In the place of a value: all but 0 and those that are named."""


@dataclass(frozen=True)
class Painted:
    """What a label picture says, on its own grid."""

    coverage_khw: ByteArray
    """255 where a pixel is of the class and 0 elsewhere, (K, H, W)."""
    labelled_hw: BoolArray
    """False where nobody labelled, (H, W)."""
    counts: dict[str, int]
    """Pixels that no setting names, by what became of them."""
    grid: Grid
    georeferenced: bool
    """True where the file says where it lies."""


def read_label_picture(path: Path, table: LabelTable, names: tuple[str, ...]) -> Painted:
    """Read the classes of each pixel.

    Whatever is of no class's colour or value is none of the classes, and counts as such: a label picture says where
    nothing is. Unlabelled are only pixels of the value or colour `unlabelled`, and with `nodata = "unlabelled"` what
    the file itself calls nodata or transparent.

    Colours: one that is off the palette counts as the nearest where that is within `NEAR` and the next one is at least
    `CLEARLY` times as far. Other colours that fill a square of 2 x 2 pixels somewhere are colours of their own, none of
    the classes; any that remains (a softened border, a JPEG) is unlabelled and counted. Colour tables are resolved
    first. Values: only exact ones count, unless the picture is a JPEG or has soft borders; then grey is a colour.

    Args:
        path: The picture.
        table: Its `colours`, `values` or `bands`, and what is unlabelled.
        names: Classes in band order; those that the picture does not name have no pixel.

    Raises:
        DataError: If the picture has the wrong bands, or all of its pixels are off the palette.
    """
    known = table.colours or table.values or table.bands
    if known is None:
        raise DataError(problem("[data].labels", "how classes are painted", need="colours, values or bands"))
    strange = sorted(set(known) - set(names))
    if strange:
        raise DataError(problem("[data].labels", "unknown class", got=", ".join(strange), need=" | ".join(names)))
    with open_raster(path, palette=True, alpha=_alpha(path, table)) as raster:
        image_chw, valid_hw = raster.read()
        info = raster.info
    if table.bands is not None:
        coverage_khw, labelled_hw = _by_band(image_chw, table.bands, table.unlabelled, names, path)
        hidden_hw = _hidden(info, valid_hw, coverage_khw.any(axis=0) | ~labelled_hw)
        coverage_khw[:, hidden_hw] = 0
        labelled_hw |= hidden_hw
        counts: dict[str, int] = {}
    else:
        code_hw, wanted = _codes(image_chw, info, table, names)
        hidden_hw = _hidden(info, valid_hw, np.isin(code_hw, list(wanted)))
        rest = next((names.index(name) for name, value in known.items() if value == ANY), None)
        if table.colours is not None or (rest is None and _is_soft(code_hw, wanted, path)):
            index_hw, counts = _nearest_colours(code_hw, hidden_hw, wanted, grey=table.colours is None)
        else:
            index_hw, counts = _exact_values(code_hw, hidden_hw, wanted, rest)
        if counts.get(OFF_PALETTE, 0) == index_hw.size:
            raise DataError(problem(str(path), "no pixel has a class or is unlabelled", need=dict(known)))
        coverage_khw = np.zeros((len(names), *index_hw.shape), dtype=np.uint8)
        for k in range(len(names)):
            coverage_khw[k][index_hw == k] = 255
        labelled_hw = index_hw != UNLABELLED
    if table.nodata == "unlabelled":
        labelled_hw &= ~hidden_hw
    else:
        counts[NODATA] = int(hidden_hw.sum())
    kept = {reason: n for reason, n in counts.items() if n}
    return Painted(coverage_khw, labelled_hw, kept, info.grid, info.georeferenced)


def _alpha(path: Path, table: LabelTable) -> bool | None:
    """Return False where a class is named for the band that the file calls alpha: GDAL calls any fourth one so."""
    if table.bands is None:
        return None
    with open_raster(path, palette=True) as raster:
        return False if raster.info.alpha_band in table.bands.values() else None


def how_painted(path: Path, name: str) -> str:
    """Say how a recipe should speak of a picture, by what is in it."""
    with open_raster(path, palette=True) as raster:
        image_chw, _ = raster.read()
    if len(image_chw) == 1:
        values = np.unique(image_chw)
        said = ", ".join(f"{value:g}" for value in values[:SOFT_VALUES])
        some = said if len(values) <= SOFT_VALUES else f"{said} ..."
        return f"its values are {some}; say which is which: values = {{ {name} = {values[-1]:g} }}"
    if len(image_chw) == 3:
        return f'say its colours: colours = {{ {name} = "#FFFFFF" }}'
    return f"say its bands: bands = {{ {name} = 1 }}"


def _hidden(info: RasterInfo, valid_hw: BoolArray, named_hw: BoolArray) -> BoolArray:
    """Return the pixels that the file takes out.

    A value that the recipe names is what the recipe says, whatever the file calls it; what a mask or an alpha band
    takes out is out.
    """
    said_beside = info.alpha_band is not None or info.has_mask
    return ~valid_hw if said_beside else ~valid_hw & ~named_hw


def _codes(
    image_chw: AnyArray, info: RasterInfo, table: LabelTable, names: tuple[str, ...]
) -> tuple[AnyArray, dict[int, int]]:
    """Return a number for what each pixel shows, (H, W), and which class such a number stands for."""
    if table.colours is not None:
        wanted = {_code(text): names.index(name) for name, text in table.colours.items()}
        if table.unlabelled is not None:
            wanted[_code(table.unlabelled)] = UNLABELLED
        red_hw, green_hw, blue_hw = _to_rgb(image_chw, info)
        return (red_hw.astype(np.int32) << 16) | (green_hw.astype(np.int32) << 8) | blue_hw, wanted
    # Grey is often stored as three equal bands.
    if len(image_chw) != 1 and not (len(image_chw) == 3 and (image_chw == image_chw[:1]).all()):
        do = "use colours, or bands for a picture with a band per class"
        raise DataError(problem(str(info.path), "bands of a picture of values", got=len(image_chw), need=1, do=do))
    wanted = {value: names.index(name) for name, value in (table.values or {}).items() if isinstance(value, int)}
    if isinstance(table.unlabelled, int):
        wanted[table.unlabelled] = UNLABELLED
    return image_chw[0], wanted


def _code(colour: str | int) -> int:
    return int(colour.removeprefix("#"), 16) if isinstance(colour, str) else colour * 0x010101


def _to_rgb(image_chw: AnyArray, info: RasterInfo) -> ByteArray:
    if image_chw.dtype != np.uint8 or image_chw.shape[0] not in (1, 3):
        got = f"{image_chw.shape[0]} of {image_chw.dtype}"
        raise DataError(
            problem(str(info.path), "bands of a label picture", got=got, need="RGB, grey or a colour table in 8 bits")
        )
    if info.palette is None:
        return np.broadcast_to(image_chw, (3, *image_chw.shape[1:]))
    table = np.zeros((256, 3), dtype=np.uint8)
    for value, colour in info.palette.items():
        table[value] = colour
    return np.moveaxis(table[image_chw[0]], -1, 0)


def _nearest_colours(
    code_hw: AnyArray, hidden_hw: BoolArray, wanted: Mapping[int, int], *, grey: bool
) -> tuple[IntArray, dict[str, int]]:
    # Few colours occur in millions of pixels: each is decided once.
    seen = code_hw[~hidden_hw]
    codes, number = _tally(seen)
    place = np.zeros(int(codes.max(initial=0)) + 1, dtype=np.int32)
    place[codes] = np.arange(len(codes))
    found_xc, table_xc = _rgb(codes, grey=grey), _rgb(np.array(list(wanted)), grey=grey)
    other = np.isin(codes, _solid(code_hw)) & (_distance(found_xc, table_xc) > NEAR)
    if grey:  # a wide soft border fills small squares with what lies between two values
        other &= (number > OTHER_SHARE * seen.size) | (codes == 0)
    stands_for = np.array([*wanted.values(), *[NO_CLASS] * int(other.sum())])
    nearest, first, second = _nearest(found_xc, np.concatenate([table_xc, found_xc[other]]), stands_for)
    exact = first == 0
    near = ~exact & (first <= NEAR) & (second >= CLEARLY * first)
    index_hw = np.full(code_hw.shape, NO_CLASS, dtype=np.int16)
    index_hw[~hidden_hw] = np.where(exact | near, nearest, UNLABELLED).astype(np.int16)[place[seen]]
    counts = {TAKEN: int(number[near].sum()), OFF_PALETTE: int(number[~exact & ~near].sum())}
    told = other & ((np.linalg.norm(found_xc, axis=1) > DARK) | (UNLABELLED in wanted.values()))
    said = {
        (f"value {code}" if grey else f"colour #{code:06X}"): int(n)
        for code, n in zip(codes[told], number[told], strict=True)
    }
    return index_hw, counts | _others(said)


def _nearest(
    found_xc: FloatArray, table_xc: FloatArray, stands_for: IntArray
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return what each colour is nearest to, how far that is, and how far the nearest that stands for anything else."""
    first = np.full(len(found_xc), np.inf)
    second, nearest = first.copy(), np.full(len(found_xc), UNLABELLED)
    for what in np.unique(stands_for):
        distance = _distance(found_xc, table_xc[stands_for == what])
        closer = distance < first
        second = np.where(closer, first, np.minimum(second, distance))
        first, nearest = np.where(closer, distance, first), np.where(closer, what, nearest)
    return nearest, first, second


def _distance(found_xc: FloatArray, table_xc: FloatArray) -> FloatArray:
    """Return how far each colour is from the nearest of a table."""
    return np.linalg.norm(found_xc[:, None] - table_xc[None], axis=2).min(axis=1)


def _rgb(codes: AnyArray, *, grey: bool) -> FloatArray:
    parts = [codes, codes, codes] if grey else [codes >> 16, (codes >> 8) & 255, codes & 255]
    return np.column_stack(parts).astype(np.float64)


def _solid(code_hw: AnyArray) -> AnyArray:
    """Return the codes that fill a square of 2 x 2 pixels somewhere."""
    corner = code_hw[:-1, :-1]
    same = (corner == code_hw[1:, :-1]) & (corner == code_hw[:-1, 1:]) & (corner == code_hw[1:, 1:])
    return _tally(corner[same])[0]


def _tally(codes: IntArray) -> tuple[IntArray, IntArray]:
    """Return the codes that occur, in order, and how often; codes are small, so that counting beats sorting."""
    number = np.bincount(codes.ravel())
    found = np.flatnonzero(number)
    return found, number[found]


def _exact_values(
    code_hw: AnyArray, hidden_hw: BoolArray, wanted: Mapping[int, int], rest: int | None
) -> tuple[IntArray, dict[str, int]]:
    index_hw = np.full(code_hw.shape, NO_CLASS, dtype=np.int16)
    if rest is not None:
        index_hw[code_hw != 0] = rest
    for value, stands_for in wanted.items():
        index_hw[code_hw == value] = stands_for
    index_hw[hidden_hw] = NO_CLASS
    found, number = np.unique(code_hw[(index_hw == NO_CLASS) & ~hidden_hw], return_counts=True)
    return index_hw, _others(
        {f"value {v:g}": int(n) for v, n in zip(found, number, strict=True) if _is_news(v, wanted)}
    )


def _is_soft(code_hw: AnyArray, wanted: Mapping[int, int], path: Path) -> bool:
    """Say whether a picture of values is a JPEG, or has soft borders between values that are far apart."""
    if code_hw.dtype != np.uint8 or not all(0 <= value <= 255 for value in wanted):
        return False
    if (np.diff(sorted({0, *wanted})) * np.sqrt(3) <= 2 * NEAR).any():
        return False  # values this close can only be meant exactly
    with path.open("rb") as file:
        if file.read(3) == JPEG:
            return True
    rare = np.setdiff1d(_tally(code_hw)[0], _solid(code_hw))
    return len(np.setdiff1d(rare, list(wanted))) >= SOFT_VALUES


def _by_band(
    image_chw: AnyArray, bands: Mapping[str, int], unlabelled: str | int | None, names: tuple[str, ...], path: Path
) -> tuple[ByteArray, BoolArray]:
    coverage_khw = np.zeros((len(names), *image_chw.shape[1:]), dtype=np.uint8)
    labelled_hw = np.ones(image_chw.shape[1:], dtype=np.bool_)
    for name, number in bands.items():
        if not 1 <= number <= len(image_chw):
            raise DataError(problem(str(path), f"no band {number} for {name!r}", need=f"1 to {len(image_chw)}"))
        if isinstance(unlabelled, int):
            labelled_hw &= image_chw[number - 1] != unlabelled
    for name, number in bands.items():
        band_hw = image_chw[number - 1]
        # Zeros and ones, or shares of 255.
        shares = band_hw.dtype == np.uint8 and band_hw[labelled_hw].max(initial=0) > 1
        coverage_khw[names.index(name)][(band_hw > (127.5 if shares else 0.5)) & labelled_hw] = 255
    return coverage_khw, labelled_hw


def _is_news(code: float, wanted: Mapping[int, int]) -> bool:
    """Say whether it is worth a word that a colour or value is of no class: of 0 everybody expects it."""
    return code != 0 or UNLABELLED in wanted.values()


def _others(number: Mapping[str, int]) -> dict[str, int]:
    """Count what is of other colours or values, the commonest by name."""
    order = sorted(number, key=lambda text: -number[text])
    named, rest = order[:VALUES_NAMED], order[VALUES_NAMED:]
    counts = {f"pixels of {text}, none of the classes": number[text] for text in named}
    return counts | {"pixels of further kinds, none of the classes": sum(number[text] for text in rest)}
