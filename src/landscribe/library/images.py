"""Pixels of another program -> values, validity and a Grid: arrays, data sets of rasterio, DataArrays of xarray."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError

from landscribe.core.arrays import AnyArray, BoolArray
from landscribe.core.grid import Grid
from landscribe.errors import DataError, problem
from landscribe.io.raster.gdal import GDAL_ERRORS, gdal, reason_of
from landscribe.io.raster.georeference import grid_of
from landscribe.io.raster.nodata import is_data
from landscribe.io.raster.rasters import MAGIC, open_raster

ImageLike: TypeAlias = Any
"""An array (C, H, W) or (H, W), masked or not; an open data set of rasterio; a DataArray of xarray with `rio`; or the
path of a raster."""
TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
"""Of pixels, as rasters have them."""
NO_PLACE = "transform=... and crs=..., or grid=...; transform=Affine.identity() for a picture that lies nowhere"


@dataclass(frozen=True)
class Place:
    """What a caller says of where an image lies, and of what is no data in it; nothing, where the image says it."""

    grid: Grid | None = None
    transform: Affine | Sequence[float] | None = None
    crs: Any = None
    """Anything that pyproj takes for one."""
    nodata: float | None = None
    """Value that means "no data"; NaN lets NaN in."""
    valid_hw: BoolArray | None = None
    """False where there is no data."""
    lets_nan_in: bool = False
    """Take NaN for no data where nothing is said of it."""


@dataclass(frozen=True)
class Image:
    """An image in memory."""

    name: str
    values_chw: AnyArray
    """(C, H, W)."""
    valid_hw: BoolArray
    """False where there is no data, (H, W)."""
    grid: Grid


def is_dataset(image: ImageLike) -> bool:
    """Tell whether something is an open data set of rasterio."""
    return all(hasattr(image, name) for name in ("read", "nodatavals", "colorinterp", "mask_flag_enums"))


def is_xarray(image: ImageLike) -> bool:
    """Tell whether something is a DataArray of xarray."""
    return all(hasattr(image, name) for name in ("dims", "coords", "values", "attrs"))


def path_of(image: ImageLike) -> Path | None:
    """Return the file that is meant: a path, or a data set that is nothing but a local file open for reading."""
    if isinstance(image, str | Path):
        return Path(image)
    if is_dataset(image) and image.mode == "r" and image.driver in MAGIC.values() and Path(image.name).is_file():
        return Path(image.name)
    return None


def read_image(image: ImageLike, where: str, place: Place) -> Image:
    """Take pixels from wherever they are.

    Args:
        image: What holds them.
        where: What it is called in messages.
        place: What the caller says of it.

    Raises:
        DataError: If it is no image, of another type or shape, holds numbers that are none and no word of them, lies
            nowhere, or has no area.
    """
    if is_dataset(image):
        return _of_dataset(image, where)
    if is_xarray(image):
        return _of_xarray(image, where, place)
    if isinstance(image, str | Path):
        with open_raster(Path(image), palette=True) as raster:
            values_chw, valid_hw = raster.read()
            return Image(Path(image).stem, values_chw, valid_hw, raster.info.grid)
    return _of_array(image, where, place)


def find_grid(shape_hw: tuple[int, int], where: str, place: Place) -> Grid:
    """Return where an array lies.

    Raises:
        DataError: If nothing says it, or what does is no place.
    """
    if place.grid is not None:
        if place.grid.shape_hw != shape_hw:
            raise DataError(problem(where, "grid of another size", got=place.grid.shape_hw, need=shape_hw))
        return place.grid
    if place.transform is None:
        raise DataError(problem(where, "no transform: nobody says where it lies", need=NO_PLACE))
    try:
        numbers = [float(number) for number in tuple(place.transform)[:6]]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) < 6 or not all(map(math.isfinite, numbers)):
        got = repr(place.transform)
        raise DataError(problem(where, "no transform", got=got, need="an Affine, or its six numbers a, b, c, d, e, f"))
    return Grid(*shape_hw, Affine(*numbers), find_crs(place.crs, where))


def find_crs(crs: Any, where: str) -> CRS | None:
    """Return the CRS that is meant.

    Raises:
        DataError: If pyproj does not know it.
    """
    try:
        return None if crs is None else CRS.from_user_input(crs.to_wkt() if hasattr(crs, "to_wkt") else crs)
    except CRSError as error:
        raise DataError(problem(where, "no CRS", got=repr(crs), need=" ".join(str(error).split())[:120])) from None


def _of_array(image: ImageLike, where: str, place: Place) -> Image:
    if isinstance(image, list | tuple | dict) or not (isinstance(image, np.ndarray) or hasattr(image, "__array__")):
        need = "an array (bands, rows, columns), a data set of rasterio, a DataArray of xarray, or a path"
        raise DataError(problem(where, "no image", got=type(image).__name__, need=need))
    mask = np.ma.getmask(image) if isinstance(image, np.ma.MaskedArray) else np.ma.nomask
    values = _bands(np.ma.getdata(image) if isinstance(image, np.ma.MaskedArray) else np.asarray(image), where)
    shape_hw = (values.shape[1], values.shape[2])
    valid_hw = np.ones(shape_hw, np.bool_)
    if mask is not np.ma.nomask:
        valid_hw &= ~np.broadcast_to(mask, image.shape).reshape(values.shape).all(axis=0)
    if place.valid_hw is not None:
        given = np.asarray(place.valid_hw)
        if given.shape != shape_hw or given.dtype != np.bool_:
            got = f"{given.dtype} {given.shape}"
            raise DataError(problem(where, "valid_hw of another kind", got=got, need=f"bool {shape_hw}"))
        valid_hw &= given
    grid = find_grid(shape_hw, where, place)
    declared = place.lets_nan_in or any(one is not None for one in (place.nodata, place.valid_hw))
    declared |= mask is not np.ma.nomask
    return Image("image", values, _valid(values, valid_hw, place.nodata, where, declared=declared), grid)


def _bands(values: AnyArray, where: str) -> AnyArray:
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise DataError(problem(where, "not an image", got=f"shape {values.shape}", need="(bands, rows, columns)"))
    if values.dtype != np.bool_ and values.dtype.name not in TYPES:
        do = "convert it to the type that the sensor's files have, such as image.astype('uint16')"
        raise DataError(problem(where, "type of pixels", got=values.dtype.name, need=" | ".join(TYPES), do=do))
    values = values if values.ndim == 3 else values[None]
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def _valid(values: AnyArray, valid_hw: BoolArray, nodata: float | None, where: str, *, declared: bool) -> BoolArray:
    is_number_hw = is_data(values, [nodata] * len(values)) & valid_hw
    if values.dtype.kind == "f" and not declared:
        strange = int((~np.isfinite(values).all(axis=0)).sum())
        if strange:
            do = "say nodata=float('nan') if they mean no data"
            raise DataError(problem(where, "NaN or infinite numbers", got=f"{strange:,} pixels", do=do))
    return is_number_hw


def _of_dataset(dataset: Any, where: str) -> Image:
    """Read a data set by the rules of files: nodata in all bands, the mask or the alpha band, and numbers only."""
    from rasterio.enums import ColorInterp, MaskFlags  # rasterio is there: it made the data set

    alphas = [k for k, kind in enumerate(dataset.colorinterp, start=1) if kind == ColorInterp.alpha]
    alpha = alphas[-1] if alphas and dataset.count > 1 else None
    numbers = [k for k in range(1, dataset.count + 1) if k != alpha]
    flags = dataset.mask_flag_enums[0]
    try:
        with gdal():
            values = _bands(dataset.read(numbers), where)
            valid_hw = np.ones(values.shape[1:], np.bool_)
            if alpha is not None:
                valid_hw = dataset.read(alpha) != 0
            elif MaskFlags.per_dataset in flags:
                valid_hw = dataset.read_masks(1) != 0
            grid, _ = grid_of(dataset, Path(dataset.name))
    except GDAL_ERRORS as error:
        raise DataError(problem(where, "cannot be read", got=reason_of(error))) from error
    nodata = [dataset.nodatavals[k - 1] for k in numbers]
    return Image(Path(dataset.name).stem or "image", values, valid_hw & is_data(values, nodata), grid)


def _of_xarray(image: Any, where: str, place: Place) -> Image:
    rio = getattr(image, "rio", None)
    if rio is None:
        raise DataError(problem(where, "DataArray without .rio", do="import rioxarray, which adds it"))
    try:
        rows, columns = rio.y_dim, rio.x_dim
    except RuntimeError as error:  # what errors of rioxarray are, a package that need not be there
        raise DataError(problem(where, "DataArray without x and y", got=tuple(image.dims), do=str(error))) from None
    others = [name for name in image.dims if name not in (rows, columns)]
    if len(others) > 1:
        raise DataError(problem(where, "not an image", got=tuple(image.dims), need="(band, y, x)"))
    values = _bands(image.transpose(*others, rows, columns).values, where)
    shape_hw = (values.shape[1], values.shape[2])
    if place.grid is None and place.transform is None:
        is_placed = {rows, columns} <= set(image.coords) or "GeoTransform" in getattr(
            image.coords.get("spatial_ref"), "attrs", {}
        )
        place = replace(place, transform=rio.transform() if is_placed else None, crs=place.crs or rio.crs)
    grid = find_grid(shape_hw, where, place)
    # Masked reading turns nodata into NaN and keeps its value apart.
    said = [value for value in (place.nodata, rio.nodata, rio.encoded_nodata) if value is not None]
    valid_hw = np.ones(shape_hw, np.bool_) if place.valid_hw is None else np.asarray(place.valid_hw, np.bool_)
    nodata = None if place.nodata is None and rio.encoded_nodata is not None else next(iter(said), None)
    valid_hw = _valid(values, valid_hw, nodata, where, declared=place.lets_nan_in or bool(said))
    return Image(str(image.name or "image"), values, valid_hw, grid)
