"""Where a raster lies: what its file says, a world file beside it, or its place in the web-mercator pyramid."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import rasterio.crs
import rasterio.errors
from affine import Affine
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from landscribe.core.grid import Grid
from landscribe.errors import DataError, problem
from landscribe.io.raster.gdal import gdal

WEBMERCATOR_HALF_M = math.pi * 6378137.0
"""Half the side of the web-mercator square: the Earth's equatorial radius of WGS84 times pi."""
WORLD_FILES = {
    "GTiff": (".tfw", ".tifw", ".wld"),
    "JPEG": (".jgw", ".jpgw", ".jpegw", ".wld"),
    "PNG": (".pgw", ".pngw", ".wld"),
}
WORLD_FILE_LIMIT_BYTES = 4096


def grid_of(dataset: Any, path: Path) -> tuple[Grid, bool]:
    """Return the grid of an open raster, and whether anything placed it on the ground.

    The file's own georeference comes first, then a world file beside it (which has no CRS). Where there is neither,
    the grid has the identity and no CRS.

    Raises:
        DataError: If the file is placed by ground control points or a sensor model only, or has a CRS and no place:
            pixel coordinates would pass for ground coordinates.
    """
    crs = _crs_of(dataset, path)
    transform = Affine(*tuple(dataset.transform)[:6])
    if transform == Affine.identity():
        _refuse_other_georeference(dataset, crs, path)
        world = _read_world_file(path, dataset.driver)
        return Grid(dataset.height, dataset.width, world or transform), world is not None
    values = tuple(transform)[:6]
    if not all(math.isfinite(v) for v in values) or transform.determinant == 0:
        raise DataError(problem(str(path), "geotransform is not invertible", got=values))
    return Grid(dataset.height, dataset.width, transform, crs), True


def to_rasterio_crs(crs: CRS) -> rasterio.crs.CRS:
    """Hand a CRS over to rasterio.

    Raises:
        DataError: If GDAL does not know it.
    """
    try:
        with gdal():  # PROJ finds its tables only inside
            return rasterio.crs.CRS.from_wkt(crs.to_wkt())
    except (rasterio.errors.CRSError, CRSError) as error:
        raise DataError(problem("CRS", "cannot be written to a raster", got=repr(crs.name))) from error


def webmercator_tile_grid(x: int, y: int, z: int, height: int, width: int) -> Grid:
    """Return the grid of an XYZ tile (y counts from the north) in EPSG:3857.

    Raises:
        DataError: If the pyramid has no such tile.

    Source:
        OpenStreetMap wiki, "Slippy map tilenames"; EPSG:3857.
    """
    if not (0 <= z <= 30 and 0 <= x < 2**z and 0 <= y < 2**z):
        raise DataError(problem("tile", "not in the web-mercator pyramid", got=f"x {x}, y {y}, z {z}"))
    side_m = 2 * WEBMERCATOR_HALF_M / 2**z
    corner = Affine.translation(x * side_m - WEBMERCATOR_HALF_M, WEBMERCATOR_HALF_M - y * side_m)
    return Grid(height, width, corner @ Affine.scale(side_m / width, -side_m / height), CRS.from_epsg(3857))


def _crs_of(dataset: Any, path: Path) -> CRS | None:
    try:
        if not dataset.crs:
            return None
        authority = dataset.crs.to_authority(confidence_threshold=100)
        crs = CRS.from_authority(*authority) if authority else CRS.from_wkt(dataset.crs.to_wkt(version="WKT2_2019"))
    except (rasterio.errors.CRSError, CRSError) as error:
        raise DataError(
            problem(str(path), "CRS cannot be understood", got=" ".join(str(error).split())[:200])
        ) from error
    if not _leads_to_earth(crs):
        do = "give it the CRS of its coordinates: gdal_edit -a_srs, or -unsetgt to take them for pixels"
        raise DataError(
            problem(str(path), "CRS is a local one that leads to no place on Earth", got=crs.name or "unnamed", do=do)
        )
    return crs


@lru_cache(maxsize=256)
def _leads_to_earth(crs: CRS) -> bool:
    """Tell whether longitude and latitude can be had from coordinates; not from those of a building site."""
    if crs.is_geocentric:
        return False
    try:
        Transformer.from_crs(crs, CRS.from_epsg(4326), always_xy=True)
    except ProjError:
        return False
    return True


def _refuse_other_georeference(dataset: Any, crs: CRS | None, path: Path) -> None:
    points, _ = dataset.gcps
    if points:
        raise DataError(
            problem(
                str(path),
                f"placed by {len(points)} ground control points only, which is no regular grid",
                do=f"warp it first: gdalwarp {path.name} warped.tif",
            )
        )
    if crs is not None:
        raise DataError(
            problem(str(path), "has a CRS and no position", got=crs.name, do="set its corners with gdal_edit -a_ullr")
        )
    if dataset.rpcs is not None:
        raise DataError(
            problem(
                str(path),
                "placed by a sensor model (RPC) only, which is no regular grid",
                do=f"warp it first: gdalwarp -rpc {path.name} warped.tif",
            )
        )


def _read_world_file(path: Path, driver: str) -> Affine | None:
    for suffix in WORLD_FILES.get(driver, ()):
        for name in (path.with_suffix(suffix), path.with_suffix(suffix.upper())):
            if name.is_file():
                return _parse_world_file(name)
    return None


def _parse_world_file(path: Path) -> Affine:
    do = "write six numbers, one per line, or remove it"
    if path.stat().st_size > WORLD_FILE_LIMIT_BYTES:
        raise DataError(problem(str(path), "not a world file", got=f"{path.stat().st_size} bytes", do=do))
    text = path.read_text(encoding="ascii", errors="replace")
    try:
        a, d, b, e, x, y = (float(word.replace(",", ".")) for word in text.split())
    except ValueError:
        raise DataError(problem(str(path), "not a world file", got=repr(text[:60]), do=do)) from None
    # A world file places the centre of the first pixel, a Grid its corner.
    transform = Affine(a, b, x, d, e, y) @ Affine.translation(-0.5, -0.5)
    if not all(math.isfinite(v) for v in tuple(transform)[:6]) or transform.determinant == 0:
        raise DataError(problem(str(path), "not an invertible transform", got=repr(text[:60]), do=do))
    return transform
