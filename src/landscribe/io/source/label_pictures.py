"""Label pictures: PNG, TIFF or JPEG of the image's size whose colours or values say the class of each pixel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray, IntArray
from landscribe.errors import DataError, problem
from landscribe.io.raster.rasters import open_raster

NEAR = 40.0
"""A colour off the palette is taken for the nearest one within this distance in RGB, ..."""
CLEARLY = 2.0
"""... if the next one is this many times as far."""
OFF_PALETTE = "pixels off the palette, unlabelled"
OFF_VALUES = "pixels of no class's value, unlabelled"


def read_label_picture(
    path: Path,
    colours: Mapping[str, str] | None,
    values: Mapping[str, int] | None,
    unlabelled: str | int | None,
    names: tuple[str, ...],
) -> tuple[ByteArray, BoolArray, dict[str, int]]:
    """Read the class of each pixel.

    With colours, a pixel off the palette (a softened border, a JPEG) counts as the nearest colour where that is
    within `NEAR` and the next one is at least `CLEARLY` times as far; any other is unlabelled. Colour tables are
    resolved first. With values, only exact ones count. Pixels that are transparent or nodata are unlabelled.

    Args:
        path: The picture.
        colours: Class name -> `#RRGGBB`.
        values: Class name -> value in a picture of one band; exactly one of the two is given.
        unlabelled: Colour or value of pixels that nobody labelled.
        names: Classes in band order; those that the picture does not name have no pixel.

    Returns:
        255 where a pixel is of the class and 0 elsewhere, uint8 (K, H, W); True where a pixel is labelled (H, W);
        pixels that were not on the palette, by what became of them.

    Raises:
        DataError: If the picture has the wrong bands, or none of its pixels has a class or is unlabelled.
    """
    table = colours if colours is not None else values
    if table is None or (colours is not None and values is not None):
        raise DataError(problem("[data].labels", "how classes are painted", need="either colours or values"))
    strange = sorted(set(table) - set(names))
    if strange:
        raise DataError(problem("[data].labels", "unknown class", got=", ".join(strange), need=" | ".join(names)))
    with open_raster(path, palette=True) as raster:
        image_chw, valid_hw = raster.read()
        palette = raster.info.palette
    if colours is not None:
        index_hw, counts = _by_colour(_to_rgb(image_chw, palette, path), colours, unlabelled, names)
    else:
        index_hw, counts = _by_value(image_chw, values or {}, unlabelled, names, path)
    index_hw[~valid_hw] = -1
    if any(counts.get(reason) == index_hw.size for reason in (OFF_PALETTE, OFF_VALUES)):
        raise DataError(problem(str(path), "no pixel has a class or is unlabelled", need=dict(table)))
    coverage_khw = np.zeros((len(names), *index_hw.shape), dtype=np.uint8)
    for k in range(len(names)):
        coverage_khw[k][index_hw == k] = 255
    return coverage_khw, index_hw >= 0, {reason: n for reason, n in counts.items() if n}


def _to_rgb(image_chw: AnyArray, palette: Mapping[int, tuple[int, int, int]] | None, path: Path) -> ByteArray:
    if image_chw.dtype != np.uint8 or image_chw.shape[0] not in (1, 3):
        got = f"{image_chw.shape[0]} of {image_chw.dtype}"
        raise DataError(
            problem(str(path), "bands of a label picture", got=got, need="RGB, grey or a colour table in 8 bits")
        )
    if palette is None:
        return np.broadcast_to(image_chw, (3, *image_chw.shape[1:]))
    table = np.zeros((256, 3), dtype=np.uint8)
    for value, colour in palette.items():
        table[value] = colour
    return np.moveaxis(table[image_chw[0]], -1, 0)


def _by_colour(
    image_chw: ByteArray, colours: Mapping[str, str], unlabelled: str | int | None, names: tuple[str, ...]
) -> tuple[IntArray, dict[str, int]]:
    wanted = {_rgb(text): names.index(name) for name, text in colours.items()}
    if unlabelled is not None:
        wanted[_rgb(unlabelled) if isinstance(unlabelled, str) else (unlabelled,) * 3] = -1
    # Few colours occur in millions of pixels: each is decided once.
    code_hw = (image_chw[0].astype(np.int32) << 16) | (image_chw[1].astype(np.int32) << 8) | image_chw[2]
    codes, place_hw, number = np.unique(code_hw, return_inverse=True, return_counts=True)
    found_xc = np.column_stack([codes >> 16, (codes >> 8) & 255, codes & 255]).astype(np.float64)
    distance = np.linalg.norm(found_xc[:, None] - np.array(list(wanted), dtype=np.float64)[None], axis=2)
    nearest = distance.argmin(axis=1)
    order = np.sort(distance, axis=1)
    second = order[:, 1] if order.shape[1] > 1 else np.full(len(codes), np.inf)
    exact = order[:, 0] == 0
    near = ~exact & (order[:, 0] <= NEAR) & (second >= CLEARLY * order[:, 0])
    index = np.where(exact | near, np.array(list(wanted.values()))[nearest], -1)
    counts = {
        "pixels off the palette, taken for the nearest colour": int(number[near].sum()),
        OFF_PALETTE: int(number[~exact & ~near].sum()),
    }
    return index[place_hw].reshape(code_hw.shape), counts


def _by_value(
    image_chw: AnyArray, values: Mapping[str, int], unlabelled: str | int | None, names: tuple[str, ...], path: Path
) -> tuple[IntArray, dict[str, int]]:
    if len(image_chw) != 1:
        raise DataError(problem(str(path), "bands of a picture of values", got=len(image_chw), need=1))
    index_hw = np.full(image_chw.shape[1:], -1, dtype=np.int64)
    known_hw = image_chw[0] == unlabelled if isinstance(unlabelled, int) else np.zeros(index_hw.shape, dtype=np.bool_)
    for name, value in values.items():
        hit_hw = image_chw[0] == value
        index_hw[hit_hw] = names.index(name)
        known_hw |= hit_hw
    return index_hw, {OFF_VALUES: int((~known_hw).sum())}


def _rgb(text: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue
