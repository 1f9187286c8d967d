"""Scenes that show the same ground under different names, which would let a model be asked what it was taught.

Where scenes are georeferenced, footprints tell. Where they are not, pictures do: the directions of edges stay when
the season changes, and are compared at every shift and every quarter turn at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from landscribe.core.arrays import AnyArray, BoolArray, FloatArray
from landscribe.core.grid import Grid, Window
from landscribe.errors import DataError, problem

MIN_SHARE = 0.01
"""Footprints that share less of the smaller one are neighbours, not the same ground."""
THUMBNAIL_PX = 128
FINER = 8
"""Rasters are first averaged to so many pixels for one of the thumbnail, while they are read."""
STRIP_PIXELS = 1 << 23
MIN_OVERLAP = 0.25
"""Share of a thumbnail that must lie on the other one for a shift to be looked at."""
ALIKE = 9.0
"""Standard deviations by which the best shift must stand out."""
_LONLAT = CRS.from_epsg(4326)
_Spectrum = NDArray[np.complexfloating]


@dataclass(frozen=True, slots=True)
class Leak:
    """Two scenes of different places that show the same ground."""

    first: str
    second: str
    reason: str
    strength: float
    """Shared part of the smaller footprint, or standard deviations by which the likeness stands out."""


def find_overlaps(
    grids: Mapping[str, Grid], places: Mapping[str, str], min_share: float = MIN_SHARE
) -> tuple[Leak, ...]:
    """Find scenes of different places whose footprints overlap.

    Args:
        grids: Grids of the scenes; those without a CRS lie nowhere and are left out.
        places: Place of each scene.
        min_share: Least shared part of the smaller footprint.

    Returns:
        Leaks, the largest share first.
    """
    names = [name for name, grid in grids.items() if grid.crs is not None]
    outlines = np.array([lonlat_outline(grids[name]) for name in names], dtype=object)
    first, second = shapely.STRtree(outlines).query(outlines, predicate="intersects")
    leaks = []
    for i, j in zip(first, second, strict=True):
        if i < j and places[names[i]] != places[names[j]]:
            shared = shapely.area(shapely.intersection(outlines[i], outlines[j]))
            share = float(shared / min(shapely.area(outlines[i]), shapely.area(outlines[j])))
            if share >= min_share:
                reason = f"footprints share {100 * share:.0f} % of the smaller one"
                leaks.append(Leak(names[i], names[j], reason, share))
    return tuple(sorted(leaks, key=lambda leak: -leak.strength))


def find_shared(places: Mapping[str, str], sides: Mapping[str, str]) -> tuple[Leak, ...]:
    """Find scenes of one place on different sides of a split.

    Args:
        places: Place of each scene, as its owner says.
        sides: Side of each scene.

    Returns:
        One leak for each such place, in the order of scenes.
    """
    first: dict[str, str] = {}
    leaks: dict[str, Leak] = {}
    for scene, place in places.items():
        other = first.setdefault(place, scene)
        if sides[other] != sides[scene]:
            leaks.setdefault(place, Leak(other, scene, f"both are of place {place!r}", 1.0))
    return tuple(leaks.values())


def find_twins(
    thumbnails: Mapping[str, FloatArray], places: Mapping[str, str], alike: float = ALIKE
) -> tuple[Leak, ...]:
    """Find scenes of different places whose pictures show the same ground: other season, shifted, turned by 90 degrees.

    The work grows with the square of the number of scenes: about 28 ms a pair, 7 ms for each quarter turn.

    Args:
        thumbnails: Small grey picture of each scene, float (H, W), NaN where invalid, one ground resolution for all.
        places: Place of each scene.
        alike: Standard deviations by which the best shift must stand out.

    Returns:
        Leaks, the surest first.
    """
    size = 2 * max((max(picture.shape) for picture in thumbnails.values()), default=1)
    turned = {
        name: [_Edges.of(np.rot90(picture, turn), size) for turn in range(4)] for name, picture in thumbnails.items()
    }
    leaks = []
    for one, other in itertools.combinations(thumbnails, 2):
        if places[one] == places[other]:
            continue
        strengths = [likeness(turned[one][0], edges) for edges in turned[other]]
        turn = int(np.argmax(strengths))
        if strengths[turn] >= alike:
            view = "the same view" if turn == 0 else f"turned by {90 * turn} degrees"
            leaks.append(Leak(one, other, f"pictures alike, {view}", strengths[turn]))
    return tuple(sorted(leaks, key=lambda leak: -leak.strength))


def require_no_leak(leaks: tuple[Leak, ...], places: Mapping[str, str], validation: frozenset[str]) -> None:
    """Refuse a split that has the same ground on both sides.

    Args:
        leaks: What was found.
        places: Place of each scene.
        validation: Places that validate.

    Raises:
        DataError: With the names of both scenes.
    """
    across = [leak for leak in leaks if (places[leak.first] in validation) != (places[leak.second] in validation)]
    if across:
        worst = across[0]
        more = f" and {len(across) - 1} more pairs" if len(across) > 1 else ""
        raise DataError(
            problem(
                "[validate]",
                f"scenes {worst.first!r} and {worst.second!r} show the same ground on both sides of the split{more}",
                got=worst.reason,
                do="give them one place",
            )
        )


def make_thumbnail(image_chw: FloatArray, valid_hw: BoolArray, side: int = THUMBNAIL_PX) -> FloatArray:
    """Return a small grey picture.

    Args:
        image_chw: Any numbers (C, H, W).
        valid_hw: Bool (H, W).
        side: Longest side of the result in pixels; smaller pictures stay as they are.

    Returns:
        Float32, mean over bands, NaN where less than half of a pixel is valid.
    """
    grey_hw = np.where(valid_hw, image_chw.mean(axis=0), 0).astype(np.float32)
    return _reduce(grey_hw, valid_hw.astype(np.float32), side)


def thumbnail_of(
    read: Callable[[Window], tuple[AnyArray, BoolArray]], shape_hw: tuple[int, int], side: int = THUMBNAIL_PX
) -> FloatArray:
    """Return what `make_thumbnail` does of a raster of any size, of which a strip at a time is held.

    Args:
        read: Takes a window; returns any numbers (C, h, w) and bool (h, w).
        shape_hw: Height and width of the raster.
        side: Longest side of the result in pixels.
    """
    factor = min(max(shape_hw) // (FINER * max(side, 1)), *shape_hw)
    whole = Window(0, 0, *shape_hw)
    if factor < 2:
        image_chw, valid_hw = read(whole)
        return make_thumbnail(image_chw.astype(np.float32), valid_hw, side)
    greys: list[FloatArray] = []
    shares: list[FloatArray] = []
    # Whole blocks only: what is left at the far edges is less than a hundredth of a pixel of the result.
    inside = Window(0, 0, shape_hw[0] // factor * factor, shape_hw[1] // factor * factor)
    for window in inside.strips(factor * max(1, STRIP_PIXELS // (factor * inside.width))):
        image_chw, valid_hw = read(window)
        size = window.width // factor, window.height // factor
        filled_chw = image_chw if valid_hw.all() else np.where(valid_hw, image_chw, 0)
        narrow = filled_chw.dtype in (np.uint8, np.uint16, np.float32)
        bands = (band_hw if narrow else band_hw.astype(np.float32) for band_hw in filled_chw)
        small_chw = np.array([cv2.resize(band_hw, size, interpolation=cv2.INTER_AREA) for band_hw in bands])
        grey_hw: FloatArray = small_chw.mean(axis=0, dtype=np.float32)
        greys.append(grey_hw)
        shares.append(_share(valid_hw, factor))
        del image_chw, valid_hw, filled_chw, bands  # before the next strip is read
    return _reduce(np.concatenate(greys), np.concatenate(shares), side)


def _share(valid_hw: BoolArray, factor: int) -> FloatArray:
    """Return the valid share of squares of so many pixels, without a copy of all pixels as floats."""
    height, width = valid_hw.shape[0] // factor, valid_hw.shape[1] // factor
    share_hw = np.ones((height, width), np.float32)
    if not valid_hw.all():
        for i in range(height):
            square_rows = valid_hw[i * factor : (i + 1) * factor].reshape(factor, width, factor)
            share_hw[i] = square_rows.sum(axis=(0, 2)) / factor**2
    return share_hw


def _reduce(grey_hw: FloatArray, valid_hw: FloatArray, side: int) -> FloatArray:
    """Make smaller what is 0 where nothing is valid, and divide by the valid share."""
    ratio = min(1.0, side / max(valid_hw.shape))
    size = max(1, round(valid_hw.shape[1] * ratio)), max(1, round(valid_hw.shape[0] * ratio))
    share_hw = cv2.resize(valid_hw, size, interpolation=cv2.INTER_AREA)
    total_hw = cv2.resize(grey_hw, size, interpolation=cv2.INTER_AREA)
    small_hw: FloatArray = np.divide(
        total_hw, share_hw, out=np.full(share_hw.shape, np.nan, np.float32), where=share_hw >= 0.5
    )
    return small_hw


@dataclass(frozen=True)
class _Edges:
    """Spectra of the edge directions of a picture, of their energy, and of where they are known."""

    direction: _Spectrum
    energy: _Spectrum
    known: _Spectrum
    count: int

    @staticmethod
    def of(picture_hw: FloatArray, size: int) -> _Edges:
        """Measure the edges of a picture, zero-padded to `size`."""
        known_hw = np.isfinite(picture_hw)
        filled_hw = np.where(known_hw, picture_hw, np.mean(picture_hw[known_hw]) if known_hw.any() else 0)
        soft_hw = cv2.GaussianBlur(filled_hw.astype(np.float32), (0, 0), 1.0)
        across = cv2.Sobel(soft_hw, cv2.CV_32F, 1, 0) + 1j * cv2.Sobel(soft_hw, cv2.CV_32F, 0, 1)
        inside_hw = cv2.erode(known_hw.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0) > 0
        strength = np.abs(across)
        usual = float(np.median(strength[inside_hw])) if inside_hw.any() else 0.0
        # Squaring doubles the angle: an edge from dark to bright is the same edge as from bright to dark, as fields
        # are in another season. Division makes a faint edge count almost like a strong one.
        direction = np.where(inside_hw, across**2 / (strength**2 + usual**2 + 1e-20), 0)
        pad = (size, size)
        return _Edges(
            np.fft.fft2(direction, pad),
            np.fft.fft2(np.abs(direction) ** 2, pad),
            np.fft.fft2(inside_hw.astype(np.float32), pad),
            int(inside_hw.sum()),
        )


def likeness(one: _Edges, other: _Edges) -> float:
    """Return by how many standard deviations the best shift of two pictures stands out, 0 where too little is known.

    Source:
        Fitch, Kadyrov, Christmas & Kittler (2002), "Orientation correlation", BMVC, doi:10.5244/C.16.11; here with
        doubled angles and normalised on the overlap as in Padfield (2012), doi:10.1109/TIP.2011.2181402.
    """
    common = np.fft.ifft2(one.known * np.conj(other.known)).real
    enough = common >= MIN_OVERLAP * max(min(one.count, other.count), 1)
    if not enough.any() or min(one.count, other.count) < 64:
        return 0.0
    product = np.fft.ifft2(one.direction * np.conj(other.direction)).real
    energy_one = np.fft.ifft2(one.energy * np.conj(other.known)).real
    energy_other = np.fft.ifft2(one.known * np.conj(other.energy)).real
    scale = np.sqrt(np.maximum(energy_one * energy_other, 1e-12))
    # Times the root of the overlap: chance agrees the less the more pixels have a say.
    values = (product / scale * np.sqrt(np.maximum(common, 0)))[enough]
    spread = float(np.std(values))
    return (float(values.max()) - float(np.mean(values))) / spread if spread > 0 else 0.0


def lonlat_outline(grid: Grid) -> shapely.Polygon:
    """Return the footprint of a grid with a CRS in longitude and latitude."""
    to_lonlat = Transformer.from_crs(grid.crs, _LONLAT, always_xy=True)
    return shapely.transform(grid.footprint, lambda xy: np.column_stack(to_lonlat.transform(xy[:, 0], xy[:, 1])))
