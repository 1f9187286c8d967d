"""What rasters are by their pixels: imagery, or pictures of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from landscribe.core.arrays import AnyArray
from landscribe.core.grid import Window
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
LOSSY = 16
"""What JPEG adds to a value or takes from it, at most."""


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
    lossy: bool = False
    """True for values that JPEG has blurred."""
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
    values, colours = _Tally(), _Tally()
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
                        colours.add(code_hw)
                    elif code_hw is not None:
                        values.add(code_hw)
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

    counted: Counter[int] = field(default_factory=Counter)
    pixels: int = 0
    alike: list[float] = field(default_factory=list)

    def add(self, code_hw: AnyArray) -> None:
        codes, counts = np.unique(code_hw, return_counts=True)
        kept = np.argsort(-counts, kind="stable")[
            :MANY
        ]  # of imagery only the commonest: the others are counted nowhere
        self.counted.update(dict(zip(codes[kept].tolist(), counts[kept].tolist(), strict=True)))
        self.pixels += code_hw.size
        self.alike.append(float(np.mean(code_hw[:, 1:] == code_hw[:, :-1])) if code_hw.shape[1] > 1 else 0.0)

    @property
    def shares(self) -> dict[int, float]:
        return {code: n / self.pixels for code, n in self.counted.most_common()}

    @property
    def flatness(self) -> float:
        return float(np.mean(self.alike)) if self.alike else 0.0


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
    if colours.pixels:
        common = {colour: share for colour, share in shown.items() if share > RARE}
        few = len(common) <= MAX_CLASSES // 2 and sum(common.values()) > 0.97 and colours.flatness >= FLAT
        return replace(look, role="colours", colours=common) if few else look
    if not values.pixels:
        return look
    if len(values.counted) <= MAX_CLASSES and (values.flatness >= FLAT or len(values.counted) <= 3):
        return replace(look, role="values", values=by_value)
    modes = _blurred(values) if infos[0].path.suffix.lower() in (".jpg", ".jpeg") else {}
    if modes:
        return replace(look, role="values", values=modes, lossy=True)
    return replace(look, role="objects") if values.flatness > 0.9 else look


def _palette_text(palette: Mapping[int, tuple[int, int, int]]) -> dict[int, str]:
    return {value: "#{:02X}{:02X}{:02X}".format(*colour) for value, colour in palette.items()}


def _colour_codes(palette: Mapping[int, tuple[int, int, int]]) -> AnyArray:
    codes = np.zeros(256, dtype=np.int64)
    for value, (red, green, blue) in palette.items():
        if 0 <= value < 256:
            codes[value] = (red << 16) | (green << 8) | blue
    return codes


def _blurred(values: _Tally) -> dict[int, float]:
    """Return the values that JPEG has blurred, or nothing where there are more than a few."""
    left, total = Counter(values.counted), values.pixels
    modes: dict[int, float] = {}
    while left and len(modes) < 4:
        value, n = left.most_common(1)[0]
        near = [v for v in left if abs(v - value) <= LOSSY]
        mass = sum(left[v] for v in near)
        if mass < total * RARE:
            break
        if n * 2 < mass:
            return {}
        modes[value] = mass / total
        for v in near:
            del left[v]
    return dict(sorted(modes.items())) if len(modes) > 1 and sum(modes.values()) > 0.97 else {}


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
    """Return one whole number per pixel, or None where the bands cannot be classes."""
    if len(bands_chw) == 3 and bands_chw.dtype == np.uint8:
        red, green, blue = bands_chw.astype(np.int64)
        codes: AnyArray = (red << 16) | (green << 8) | blue
        return codes
    if len(bands_chw) != 1:
        return None
    band_hw = bands_chw[0]
    if band_hw.dtype.kind == "f":
        whole = np.isfinite(band_hw)
        if not whole.all() or (np.abs(band_hw) > 1e9).any() or (band_hw != np.rint(band_hw)).any():
            return None
    as_int: AnyArray = band_hw.astype(np.int64)
    return as_int


def _is_one_hot(image_chw: AnyArray) -> bool:
    """Tell whether each band is 0 and one other number, and hardly a pixel is of two of them."""
    top = image_chw.max()
    if len(image_chw) < 2 or top <= 0 or (len(image_chw) == 3 and top == 255):  # red, green and blue are colours
        return False
    return bool(np.isin(image_chw, (0, top)).all()) and float(((image_chw > 0).sum(axis=0) > 1).mean()) < 0.05
