"""Which label files belong to which images, and which class their paths tell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from landscribe.core.grid import Grid
from landscribe.errors import LandscribeError
from landscribe.io.layout.groups import Group, fill, templates
from landscribe.io.layout.sensors import MAX_FOOTPRINTS, lonlat_box
from landscribe.io.layout.vectors import VectorLook
from landscribe.io.layout.words import GENERIC, class_word, pieces
from landscribe.io.raster.rasters import open_raster, webmercator_tile_grid

OGR = "ogr2ogr -f GPKG"
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Away:
    """Why a file is not on the ground of the images, and what to do."""

    what: str
    do: str = ""


def reach(group: Group, reference: Group) -> tuple[str, int]:
    """Return the pattern of label files in the fields of the images, and how many images have one."""
    paths = {path.as_posix() for path in group.files}
    best, most = "", 0
    for template in templates(group, reference):
        hits = sum(fill(template, fields).as_posix() in paths for fields in reference.fields)
        if hits > most:
            best, most = template, hits
    return best, most


def path_word(folder: Path, path: str, reference: Group, *, several: bool) -> tuple[str | None, bool]:
    """Return the class that a path tells, and whether it is a known noun.

    Its own name goes first, then its folders, then the folder of all. Of a file among several, such as one for each
    class, its own name is taken in any case. What images are called too names no class, unless it is a known noun.
    """
    parts = [re.sub(r"\{[^}]*\}", " ", part) for part in path.rpartition(".")[0].split("/")[::-1]]
    images = set(pieces(re.sub(r"\{[^}]*\}", " ", reference.pattern.rpartition(".")[0])))
    word, known = class_word(*parts, no_class=images)
    if not known and several:
        telling = [part for part in parts if [word for word in pieces(part) if word not in GENERIC]]
        word = "_".join(word for word in pieces(telling[0]) if word not in GENERIC) if telling else None
        return word, word is not None
    if known:
        return word, known
    of_all, known = class_word("", folder.resolve().name)
    return (of_all, True) if known else (word, False)


def ground_of(folder: Path, reference: Group) -> Iterator[Grid]:
    """Yield the grids of up to `MAX_FOOTPRINTS` images; those without a CRS are in pixels, or as a world file says."""
    step = max(1, -(-len(reference.files) // MAX_FOOTPRINTS))
    for path, fields in list(zip(reference.files, reference.fields, strict=True))[::step]:
        try:
            with open_raster(folder / path) as raster:
                info = raster.info
            if reference.is_tile and not info.georeferenced:
                x, y, z = (int(fields[name]) for name in "xyz")
                yield webmercator_tile_grid(x, y, z, *info.grid.shape_hw)
            else:
                yield info.grid
        except LandscribeError:
            continue


def lies_on(look: VectorLook, grids: Sequence[Grid]) -> bool:
    """Tell whether the ground of a file meets that of images; a file that says no CRS is in that of the images."""
    return look.bounds is not None and _meets(look.bounds, look.crs, grids)


def _meets(bounds: Box, crs: CRS | None, grids: Sequence[Grid]) -> bool:
    box = shapely.box(*bounds)
    if crs is None:
        return any(grid.footprint.intersects(box) for grid in grids)
    if not crs.is_geographic:
        try:
            box = shapely.box(*Transformer.from_crs(crs, 4326, always_xy=True).transform_bounds(*bounds))
        except ProjError:
            return False
    return any(lonlat_box(grid).intersects(box) for grid in grids)


def why_away(path: Path, look: VectorLook, grids: Sequence[Grid]) -> Away:
    """Tell why a file does not meet the images: the CRS that it says, or does not say, or the order of its axes.

    Args:
        path: The file.
        look: What it holds, with bounds.
        grids: Of the images, at least one.
    """
    left, bottom, right, top = bounds = look.bounds or (0.0, 0.0, 0.0, 0.0)
    own, theirs = look.crs, grids[0].crs
    found = f"x {left:.8g} to {right:.8g}, y {bottom:.8g} to {top:.8g}"
    fits = _meets(bounds, None, grids)
    to = f"{path.stem}_new.gpkg {path.name}"
    if theirs is None:
        what = f"is in {_name(own)}, and the images say no CRS" if own is not None else "lies beside the images' pixels"
        if own is not None and fits:
            what, do = f"{what}; its numbers fit their place", f"gdal_translate -a_srs {_name(own)} IMAGE NEW.tif"
            return Away(what, f"give them that CRS: {do}")
        return Away(what, "give the images their CRS, or bring the polygons into pixels" if own is not None else "")
    degrees = max(abs(left), abs(right)) <= 180 and max(abs(bottom), abs(top)) <= 90
    if own is None:
        if degrees and _meets(bounds, CRS.from_epsg(4326), grids):
            what = f"says no CRS, and its numbers look like longitude and latitude ({found})"
            return Away(what, f"{OGR} -a_srs EPSG:4326 {to}")
        what = f"lies elsewhere: it says no CRS, and {found} is not where the images lie in theirs, {_name(theirs)}"
        return Away(what, f"say its CRS: {OGR} -a_srs EPSG:NUMBER {to}")
    if fits and not own.equals(theirs, ignore_axis_order=True):
        what = f"is in {_name(own)} by what it says, but its numbers ({found}) fit the images in {_name(theirs)}"
        return Away(what, f"correct it: {OGR} -a_srs {_name(theirs)} {to}")
    if own.is_geographic and not degrees:
        what = f"is in longitude and latitude by what it says, but its numbers are not ({found})"
        return Away(what, f"say its CRS: {OGR} -a_srs EPSG:NUMBER {to}")
    if _meets((bottom, left, top, right), own, grids):
        what = f"lies elsewhere, and on the images with x and y swapped ({found})"
        same = f"-s_srs {_name(own)} -t_srs {_name(own)}"
        return Away(what, f'swap them: {OGR} {same} -ct "+proj=axisswap +order=2,1" {to}')
    return Away(f"lies elsewhere: {found} in {_name(own)}")


def _name(crs: CRS | None) -> str:
    code = crs.to_authority() if crs is not None else None
    return ":".join(code) if code else crs.name if crs is not None else "no CRS"
