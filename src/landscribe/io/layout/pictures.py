"""What rasters are by their pixels: imagery, or pictures of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from landscribe.core.arrays import AnyArray
from landscribe.core.grid import Window
from landscribe.core.polygons.components import components
from landscribe.errors import LandscribeError
from landscribe.io.raster.rasters import Raster, RasterInfo, open_raster
from landscribe.io.source.sensor_files import is_transparency

Role: TypeAlias = Literal["image", "values", "colours", "one-hot", "objects", "constant", "unreadable"]
FEW_FILES, MANY_FILES = 4, 200
"""Files looked at to tell imagery from labels, and to list the values of labels."""
WHOLE_PIXELS = 1 << 22
"""A larger raster is looked at in windows."""
WINDOW = 512
MAX_CLASSES = 48
MANY = 1000
"""Of the values of a window so many are counted, the commonest."""
FLAT = 0.75
"""Share of neighbours with the same value from which on few values are taken for classes: imagery has noise."""
RARE = 1 / 2000
"""Share of pixels below which a colour is a softened border, no class."""
LOSSY, LOSSY_COLOUR = 16, 40
"""What JPEG adds to a value or takes from it, at most; the same as a distance in RGB."""
AT_END = 4
"""What it adds to or takes from the patches of 0 and 255."""
PEAK = 0.4
"""Share of what lies around the colours of a mask that is these colours to the bit: a lossy mask is flat inside of
patches, and imagery is not."""
CORE, CORE_COLOUR = 6, 12
DENSE, DENSE_IF_FLAT = 0.8, 0.6
"""Of what lies around a colour of a lossy mask, so much is this near to it, or less where some is flat; fill and clouds
are so in imagery too, but what lies between them is not."""
FLAT_SHARE = 0.1
SHARP = 0.5
"""Without JPEG, patches of a mask are of one colour, and this share is only lost at soft borders."""
VAGUE = 0.1
"""Share of what lies outside of the commonest colour that may be less dense."""
SOLID, MUCH_SOLID = 12, 0.25
"""A pixel whose 3 x 3 neighbourhood differs by no more is inside of a patch, and of masks at least so many are."""
MUCH_NEAR = 0.6
"""Of all pixels of a mask at least so many are near what its patches show: imagery with fill and clouds has others."""
APART = 46
"""Values with soft borders between them differ by more."""
FEW_SOFT = 8
"""So many values that fill no patch are a soft border."""
MOST_COLOURS = 24
PATCH_PX = 1024
"""Patches are counted in a corner of larger rasters."""
MISSING = -(1 << 40)
"""Stands for a pixel without a number."""


@dataclass(frozen=True)
class Look:
    """What the pixels of a group of rasters say."""

    role: Role
    info: RasterInfo | None
    """Of the first file that could be opened."""
    seen: int = 0
    """Files looked at."""
    values: Mapping[int, float] | None = None
    """Of a picture of values or a palette picture: value -> share of the pixels."""
    colours: Mapping[str, float] | None = None
    """Of a picture of colours or a palette picture: `#RRGGBB` -> share of the pixels."""
    palette: Mapping[int, str] | None = None
    """Colours of the values of a palette picture."""
    alpha: bool | None = None
    """Whether a last band beside one or three is transparency by its pixels; None where there is none."""
    blurred: Literal["", "lossy", "soft"] = ""
    """Whether JPEG or soft borders have added other values or colours to those here."""
    holes: float = 0.0
    """Share of pixels without a number (NaN)."""
    blobs: int = 0
    """Patches of one value, over all files looked at and all values but 0, and ..."""
    marks: int = 0
    """... how many values these are, counted in each file: as many as patches where values number single objects."""
    why: str = ""
    """Why no file could be read."""


def look_at(folder: Path, files: Sequence[Path], *, most: int = FEW_FILES) -> Look:
    """Tell what rasters of one kind are by the pixels of a few of them.

    Args:
        folder: Where they lie.
        files: Relative to it.
        most: Files to look at, spread over all of them.
    """
    infos: list[RasterInfo] = []
    values, colours = _Tally(), _Tally(is_colour=True)
    alphas: list[bool] = []
    hot, why = True, ""
    for path in spread(files, most):
        try:
            with open_raster(folder / path, palette=True, alpha=False) as raster:
                infos.append(raster.info)
                for image_chw in _windows(raster):
                    bands_chw, alpha_hw = _split_alpha(image_chw)
                    if alpha_hw is not None:
                        alphas.append(is_transparency(alpha_hw))
                    code_hw = _codes(bands_chw)
                    if code_hw is not None and len(bands_chw) == 3:
                        colours.add(code_hw, bands_chw)
                    elif code_hw is not None:
                        values.add(code_hw, bands_chw)
                        if raster.info.palette is not None:
                            colours.add(_colour_codes(raster.info.palette)[np.clip(code_hw, 0, 255)])
                    hot = hot and _is_one_hot(image_chw)
        except LandscribeError as error:
            why = str(error)
    if not infos:
        return Look("unreadable", None, why=why)
    alpha = sum(alphas) * 2 > len(alphas) if alphas else None
    if hot and infos[0].count > 1:
        return Look("one-hot", infos[0], len(infos))
    return _judge(infos, values, colours, alpha)


@dataclass
class _Tally:
    """How often whole numbers occur, and how often neighbours are alike."""

    is_colour: bool = False
    counted: Counter[int] = field(default_factory=Counter)
    solid: Counter[int] = field(default_factory=Counter)
    """The same of pixels inside of patches."""
    pixels: int = 0
    holes: int = 0
    alike: list[float] = field(default_factory=list)
    blobs: int = 0
    marks: int = 0

    def add(self, code_hw: AnyArray, bands_chw: AnyArray | None = None) -> None:
        there_hw = code_hw != MISSING
        found = _commonest(code_hw[there_hw])
        self.counted.update(found)
        self.pixels += int(there_hw.sum())
        self.holes += code_hw.size - int(there_hw.sum())
        self.alike.append(float(np.mean(code_hw[:, 1:] == code_hw[:, :-1])) if code_hw.shape[1] > 1 else 0.0)
        if bands_chw is not None and bands_chw.dtype == np.uint8:
            self.solid.update(_commonest(code_hw[_is_solid(bands_chw)]))
        if not self.is_colour and self.alike[-1] >= FLAT:
            corner_hw = np.where(there_hw, code_hw, 0)[:PATCH_PX, :PATCH_PX]
            self.marks += len(set(np.unique(corner_hw).tolist()) - {0})
            self.blobs += _count_patches(corner_hw)

    @property
    def shares(self) -> dict[int, float]:
        return {code: n / self.pixels for code, n in self.counted.most_common()}

    @property
    def flatness(self) -> float:
        return float(np.mean(self.alike)) if self.alike else 0.0


def _commonest(codes: AnyArray) -> dict[int, int]:
    found, counts = np.unique(codes, return_counts=True)
    kept = np.argsort(-counts, kind="stable")[:MANY]  # of imagery the others are counted nowhere
    return dict(zip(found[kept].tolist(), counts[kept].tolist(), strict=True))


def _is_solid(bands_chw: AnyArray) -> AnyArray:
    """Tell which pixels are inside of patches, (H, W)."""
    solid_hw = np.ones(bands_chw.shape[1:], dtype=np.bool_)
    for band_hw in bands_chw:
        padded = np.pad(band_hw, 1, mode="edge")
        top = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
        low = np.minimum(np.minimum(padded[:-2], padded[1:-1]), padded[2:])
        top = np.maximum(np.maximum(top[:, :-2], top[:, 1:-1]), top[:, 2:])
        low = np.minimum(np.minimum(low[:, :-2], low[:, 1:-1]), low[:, 2:])
        solid_hw &= top - low <= SOLID
    return solid_hw


def _count_patches(code_hw: AnyArray) -> int:
    """Return the number of connected patches of one value other than 0, neighbours along edges and corners."""
    number_hw = np.arange(code_hw.size).reshape(code_hw.shape)
    ones, others = [], []
    for low, high in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
        (np.s_[:-1, :-1], np.s_[1:, 1:]),
        (np.s_[:-1, 1:], np.s_[1:, :-1]),
    ):
        same = (code_hw[low] == code_hw[high]) & (code_hw[low] != 0)
        ones.append(number_hw[low][same])
        others.append(number_hw[high][same])
    part = components(code_hw.size, np.concatenate(ones), np.concatenate(others))
    return len(np.unique(part[code_hw.ravel() != 0]))


def _judge(infos: list[RasterInfo], values: _Tally, colours: _Tally, alpha: bool | None) -> Look:
    look = Look("image", infos[0], len(infos), alpha=alpha)
    palette = infos[0].palette
    shown = {f"#{code:06X}": share for code, share in colours.shares.items()}
    by_value = dict(sorted(values.shares.items()))
    if len(values.counted) + len(colours.counted) == 1 or (palette is not None and len(values.counted) == 1):
        return replace(look, role="constant", values=by_value or None, colours=shown or None)
    if palette is not None and len(values.counted) <= MAX_CLASSES:
        texts = _palette_text(palette)
        ordered = {texts[value]: share for value, share in by_value.items() if value in texts}
        return replace(look, role="colours", colours=ordered, values=by_value, palette=texts)
    is_jpeg = infos[0].path.suffix.lower() in (".jpg", ".jpeg")
    if colours.pixels:
        common = {colour: share for colour, share in shown.items() if share > RARE}
        few = len(common) <= MOST_COLOURS and sum(common.values()) > 0.97 and colours.flatness >= FLAT
        found = _modes(colours, is_jpeg=is_jpeg)
        if few and not (is_jpeg and found) and not _are_mixed(colours, set(found)):
            return replace(look, role="colours", colours=common)
        modes = {f"#{_to_end(code, is_colour=True) if is_jpeg else code:06X}": share for code, share in found.items()}
        return replace(look, role="colours", colours=modes, blurred="lossy" if is_jpeg else "soft") if modes else look
    if not values.pixels:
        return look
    look = replace(look, holes=values.holes / (values.holes + values.pixels), blobs=values.blobs, marks=values.marks)
    few = len(values.counted) <= MAX_CLASSES and (values.flatness >= FLAT or len(values.counted) <= 3)
    modes_v = {
        _to_end(v, is_colour=False) if is_jpeg else v: share for v, share in _modes(values, is_jpeg=is_jpeg).items()
    }
    if modes_v and (is_jpeg or (len(values.counted) >= len(modes_v) + FEW_SOFT and _are_apart(modes_v))):
        return replace(
            look, role="values", values=dict(sorted(modes_v.items())), blurred="lossy" if is_jpeg else "soft"
        )
    if few:
        return replace(look, role="values", values=by_value)
    return replace(look, role="objects") if values.flatness > 0.9 else look


def _palette_text(palette: Mapping[int, tuple[int, int, int]]) -> dict[int, str]:
    return {value: "#{:02X}{:02X}{:02X}".format(*colour) for value, colour in palette.items()}


def _colour_codes(palette: Mapping[int, tuple[int, int, int]]) -> AnyArray:
    codes = np.zeros(256, dtype=np.int64)
    for value, (red, green, blue) in palette.items():
        if 0 <= value < 256:
            codes[value] = (red << 16) | (green << 8) | blue
    return codes


def _modes(tally: _Tally, *, is_jpeg: bool) -> dict[int, float]:
    """Return the few values or colours that JPEG or soft borders have blurred -> share; nothing where that is not so.

    What is inside of patches decides; a mask of thin things has hardly an inside, and all of it counts.
    """
    inside = sum(tally.solid.values())
    kind = {"is_colour": tally.is_colour, "is_jpeg": is_jpeg}
    found = _clusters(tally.solid, inside, **kind) if inside > MUCH_SOLID * tally.pixels else {}
    if found and _share_near(tally, found) < MUCH_NEAR:
        return {}
    return found or _clusters(tally.counted, tally.pixels, **kind)


def _share_near(tally: _Tally, modes: Mapping[int, float]) -> float:
    codes, number = np.array(list(tally.counted)), np.array(list(tally.counted.values()), dtype=np.int64)
    near = np.zeros(len(codes), dtype=np.bool_)
    for mode in modes:
        near |= _distance(codes, mode, tally.is_colour) <= (LOSSY_COLOUR if tally.is_colour else LOSSY)
    return float(number[near].sum()) / tally.pixels


def _distance(codes: AnyArray, mode: int, is_colour: bool) -> AnyArray:
    """Return how far values or colours are from one, as numbers or in RGB."""
    if not is_colour:
        return np.abs(codes - mode)
    parts = [(codes >> shift & 255) - (mode >> shift & 255) for shift in (16, 8, 0)]
    return np.sqrt(sum(part.astype(np.float64) ** 2 for part in parts))


def _clusters(counted: Mapping[int, int], total: int, *, is_colour: bool, is_jpeg: bool) -> dict[int, float]:
    """Return values or colours around which nearly all others lie, and which are common by themselves."""
    if not counted:
        return {}
    codes, left = np.array(list(counted)), np.array(list(counted.values()), dtype=np.int64)
    far = LOSSY_COLOUR if is_colour else LOSSY
    modes: dict[int, float] = {}
    exact = vague = 0
    while left.any() and len(modes) <= MOST_COLOURS:
        k = int(left.argmax())
        away = _distance(codes, int(codes[k]), is_colour)
        near = away <= far
        mass = int(left[near].sum())
        if mass < total * RARE:
            break
        modes[int(codes[k])] = mass / total
        exact += int(left[k])
        core = int(left[away <= (CORE_COLOUR if is_colour else CORE)].sum())
        least = DENSE_IF_FLAT if left[k] > FLAT_SHARE * mass else DENSE
        vague += mass if core < least * mass or (left[k] < SHARP * mass and not is_jpeg) else 0
        left[near] = 0
    covered = sum(modes.values())
    fits = (
        1 < len(modes) <= MOST_COLOURS
        and covered > 0.97
        and exact > PEAK * covered * total
        and vague <= VAGUE * (sum(modes.values()) - max(modes.values())) * total
    )
    return modes if fits else {}


def _to_end(code: int, *, is_colour: bool) -> int:
    """Move numbers that JPEG has put beside the ends of 8 bits to these: whoever wrote 254 meant 255."""
    parts = [code >> 16, (code >> 8) & 255, code & 255] if is_colour else [code]
    moved = [0 if part <= AT_END else 255 if 255 - AT_END <= part <= 255 else part for part in parts]
    return (moved[0] << 16) | (moved[1] << 8) | moved[2] if is_colour else moved[0]


def _are_mixed(tally: _Tally, modes: set[int]) -> bool:
    """Tell whether the common colours beside a few are mixtures along borders, which fill no patch."""
    others = {code: n for code, n in tally.counted.items() if n > RARE * tally.pixels and code not in modes}
    return bool(modes and others) and all(tally.solid[code] * 10 < n for code, n in others.items())


def _are_apart(values: Mapping[int, float]) -> bool:
    ordered = sorted(values)
    return all(after - before > APART for before, after in pairwise(ordered))


def spread(files: Sequence[Path], most: int) -> list[Path]:
    """Return at most so many files, from the first to the last."""
    if len(files) <= most:
        return list(files)
    return [files[round(k * (len(files) - 1) / (most - 1))] for k in range(most)]


def _windows(raster: Raster) -> Iterator[AnyArray]:
    """Read a raster, or nine windows of a large one; all bands, transparency as it is."""
    height, width = raster.info.grid.shape_hw
    if height * width <= WHOLE_PIXELS:
        yield raster.read()[0]
        return
    side_h, side_w = min(WINDOW, height), min(WINDOW, width)
    for i in range(3):
        for j in range(3):
            yield raster.read(Window((height - side_h) * i // 2, (width - side_w) * j // 2, side_h, side_w))[0]


def _split_alpha(image_chw: AnyArray) -> tuple[AnyArray, AnyArray | None]:
    if len(image_chw) in (2, 4):
        return image_chw[:-1], image_chw[-1]
    return image_chw, None


def _codes(bands_chw: AnyArray) -> AnyArray | None:
    """Return one whole number per pixel, `MISSING` for NaN, or None where the bands cannot be classes."""
    if len(bands_chw) == 3 and bands_chw.dtype == np.uint8:
        red, green, blue = bands_chw.astype(np.int64)
        codes: AnyArray = (red << 16) | (green << 8) | blue
        return codes
    if len(bands_chw) != 1:
        return None
    band_hw = bands_chw[0]
    if band_hw.dtype.kind == "f":
        there_hw = np.isfinite(band_hw)
        band_hw = np.where(there_hw, band_hw, 0)
        if not there_hw.any() or (np.abs(band_hw) > 1e9).any() or (band_hw != np.rint(band_hw)).any():
            return None
        whole: AnyArray = np.where(there_hw, band_hw, MISSING).astype(np.int64)
        return whole
    as_int: AnyArray = band_hw.astype(np.int64)
    return as_int


def _is_one_hot(image_chw: AnyArray) -> bool:
    """Tell whether each band is 0 and one other number, and hardly a pixel is of two of them."""
    top = image_chw.max()
    if len(image_chw) < 2 or top <= 0 or (len(image_chw) == 3 and top == 255):  # red, green and blue are colours
        return False
    return bool(np.isin(image_chw, (0, top)).all()) and float(((image_chw > 0).sum(axis=0) > 1).mean()) < 0.05
