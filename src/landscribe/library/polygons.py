"""`trace` and `burn` of values in memory: a raster -> polygons with a CRS, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from affine import Affine

from landscribe.core.arrays import AnyArray, BoolArray
from landscribe.core.burn import burn_mask, burn_share
from landscribe.core.features import join_features, make_features, of_class
from landscribe.core.grid import Grid, Window
from landscribe.core.legend import LandClass, Legend, default_colour
from landscribe.core.trace.classes import trace_classes
from landscribe.core.trace.meaning import meaning_of, numbers_of
from landscribe.core.tracing import Connectivity, TraceMode, Tracing
from landscribe.errors import DataError, RecipeError, problem
from landscribe.io.safety import check_size
from landscribe.io.vector.layer import NO_POLYGON, Layer
from landscribe.io.vector.vectors import read_features, to_features
from landscribe.late import geopandas as gpd
from landscribe.library.images import ImageLike, Place, read_image
from landscribe.library.rasters import ClassRaster
from landscribe.workers import usable_processors

TakenFor = Literal["mask", "probability", "percent"]
BurnMode = Literal["share", "gdal", "touched", "opencv"]
Polygons = Any
"""A GeoDataFrame, a GeoSeries, or the path of a vector file."""
UNNAMED = "feature"
"""Class of what nobody names."""
CLASS = "class_name"
DEFAULT = Tracing()


def trace(
    raster: ClassRaster | ImageLike,
    *,
    grid: Grid | None = None,
    transform: Affine | Sequence[float] | None = None,
    crs: Any = None,
    nodata: float | None = None,
    valid_hw: BoolArray | None = None,
    classes: Sequence[str] | None = None,
    taken_for: TakenFor | None = None,
    threshold: float | Mapping[str, float] = DEFAULT.threshold,
    mode: TraceMode = DEFAULT.mode,
    min_area_px: float = DEFAULT.min_area_px,
    min_hole_px: float | None = DEFAULT.min_hole_px,
    simplify_px: float = DEFAULT.simplify_px,
    connectivity: Connectivity = DEFAULT.connectivity,
    smooth: int = DEFAULT.smooth,
    right_angles: bool = DEFAULT.right_angles,
    sharp: bool = DEFAULT.sharp,
    exclusive: bool = False,
    shared_borders: bool = False,
    name: str | None = None,
) -> gpd.GeoDataFrame:
    """Turn a raster into valid polygons in its CRS. The inverse of `burn`.

    Args:
        raster: What `Model.predict` or `burn` returned; or an array (H, W) or (K, H, W), a data set of rasterio or a
            DataArray: masks of 0 and 1 or 0 and 255, bytes for 0..255 = 0..1, floats 0..1 with NaN where there is no
            data, percent.
        grid: Where an array lies.
        transform: The same, from pixels (column, row) to ground, where no grid is given.
        crs: CRS of the ground, anything that pyproj takes for one.
        nodata: Value of an array that means "no data" in all bands.
        valid_hw: False where an array has no data, (H, W).
        classes: Names of an array's bands; None calls one band `feature` and several `1`, `2` ...
        taken_for: What the numbers are; None lets them tell, by the rule of `landscribe trace`.
        threshold: A pixel is inside where the raster is at or above it; one for all classes, or one for each name.
        mode: Between pixel centres, along pixel borders, or through the centres of the outermost pixels.
        min_area_px: Smaller polygons are left out.
        min_hole_px: Smaller holes are filled; None takes `min_area_px`.
        simplify_px: No line moves by more than this.
        connectivity: Pixels that meet at a corner only are two polygons (4), one (8), or what their mean says.
        smooth: Rounds of smoothing of contours.
        right_angles: Give polygons that are nearly so right angles.
        sharp: Place vertices as covered shares demand, where the raster is as sharp as they are.
        exclusive: Give each pixel to its most probable class.
        shared_borders: The same along pixel borders, which stay shared by neighbours.
        name: Of the scene, for the column `scene`; None takes the raster's own.

    Returns:
        Polygons with the columns `scene, class_id, class_name, score, area, geometry`; areas are square metres, or
        square pixels without a CRS. `attrs["dropped"]` counts what was left out, by class and reason;
        `attrs["taken_for"]` says what the numbers were taken for.

    Raises:
        DataError: If it is no such raster, its numbers are outside of 0..1, or it lies nowhere.
        RecipeError: If a setting is out of range, or two exclude each other.

    Examples:
        >>> import landscribe as ls, numpy as np
        >>> roof = np.zeros((13, 17), bool)
        >>> roof[3:9, 4:11] = True
        >>> found = ls.trace(roof, transform=(0.5, 0, 500000, 0, -0.5, 4000000), crs=32636, mode="edge")
        >>> found.crs.to_epsg(), found["area"].round(1).tolist(), found.geometry.iloc[0].bounds
        (32636, [10.5], (500002.0, 3999995.5, 500005.5, 3999998.5))
        >>> ls.trace(roof)
        Traceback (most recent call last):
        landscribe.errors.DataError: trace: no transform: nobody says where it lies, need transform=... and crs=...
    """
    found = _class_raster(raster, Place(grid, transform, crs, nodata, valid_hw), classes, taken_for)
    values_khw, names = found.values, found.legend.names
    of_each = _thresholds(threshold, names)
    tracings = [
        Tracing(
            threshold=of_each[one], mode=mode, min_area_px=min_area_px, min_hole_px=min_hole_px,
            simplify_px=simplify_px, connectivity=connectivity, smooth=smooth, right_angles=right_angles, sharp=sharp,
        )
        for one in names
    ]  # fmt: skip

    def read(window: Window, bands: Sequence[int]) -> AnyArray:
        part = values_khw[list(bands)][:, *window.slices]
        valid = found.valid_hw[window.slices]
        # Contours keep to the border of what is not known; where classes are compared, that is none of them.
        if part.dtype.kind == "f" and not (exclusive or shared_borders):
            return np.where(valid, part, part.dtype.type(np.nan))
        return np.where(valid, part, part.dtype.type(0))

    traced_of = trace_classes(
        read, found.grid.shape_hw, tracings, exclusive=exclusive, shared_borders=shared_borders,
        threads=max(1, min(len(names), usable_processors())),
    )  # fmt: skip
    parts, dropped, scene = [], {}, found.name if name is None else name
    for land_class, traced in zip(found.legend, traced_of, strict=True):
        dropped[land_class.name] = {reason: n for reason, n in traced.dropped.items() if n}
        ground = found.grid.pixels_to_ground(traced.geometries)
        area = traced.area_px * found.grid.pixel_area
        parts.append(make_features(scene, land_class, ground, score=traced.score, area=area, crs=found.grid.crs))
    features = join_features(parts, found.grid.crs)
    features.attrs |= {"dropped": dropped, "taken_for": found.taken_for}
    return features


def burn(
    polygons: Polygons,
    like: Grid | ClassRaster | ImageLike,
    *,
    class_field: str | None = None,
    mode: BurnMode = "share",
) -> ClassRaster:
    """Turn polygons into a raster: the covered share of each pixel, or a mask. The inverse of `trace`.

    Args:
        polygons: A GeoDataFrame or GeoSeries in any CRS, or the path of a vector file.
        like: What has the grid that is wanted: a `Grid`, a `ClassRaster`, a data set of rasterio, a DataArray, a path.
        class_field: Column that names the class, for a band each; None takes `class_name` where there is one, else all
            polygons are one class.
        mode: `share` gives the covered share of each pixel, 0..255 for 0..1; the others masks, 0 or 255: `gdal` where
            the centre is inside, `touched` where any part is covered, `opencv` as OpenCV paints rounded vertices.

    Returns:
        A band for each class; `counts` says what was left out or mended, by reason.

    Raises:
        DataError: If there are no polygons to be had of it, it holds lines and points only, lacks the column, or has a
            CRS where the grid has none.
        RecipeError: If the mode is unknown.

    Examples:
        >>> import geopandas as gpd, landscribe as ls
        >>> from affine import Affine
        >>> from pyproj import CRS
        >>> from shapely.geometry import box
        >>> houses = gpd.GeoDataFrame({"class_name": ["house"]}, geometry=[box(1, 1, 3.5, 3)], crs=32636)
        >>> shares = ls.burn(houses, ls.Grid(4, 5, Affine(1, 0, 0, 0, -1, 4), CRS.from_epsg(32636)))
        >>> shares.values_khw[0, 1].tolist()
        [0, 255, 255, 128, 0]
    """
    if mode not in ("share", "gdal", "touched", "opencv"):
        raise RecipeError(problem("burn", "unknown mode", got=repr(mode), need="share | gdal | touched | opencv"))
    grid = _grid_like(like)
    if isinstance(polygons, str | Path):
        name = None if class_field else UNNAMED
        features, counts = read_features(
            Path(polygons), legend=None, crs=grid.crs, scene="", class_name=name, class_field=class_field
        )
    else:
        content = to_layer(polygons, "burn")
        field = class_field or (CLASS if CLASS in content.columns else None)
        features, counts = to_features(
            content, "burn", legend=None, crs=grid.crs, scene="",
            class_name=None if field else UNNAMED, class_field=field,
        )  # fmt: skip
    if not len(features) and counts.get(NO_POLYGON):
        got, do = f"{counts[NO_POLYGON]} lines, points or empty shapes", "widen them to polygons first"
        raise DataError(problem("burn", "holds no polygon", got=got, do=do))
    ids = dict(zip(features["class_name"], features["class_id"], strict=True)) or {UNNAMED: 1}
    legend = Legend(
        tuple(LandClass(int(ids[n]), n, default_colour(k)) for k, n in enumerate(sorted(ids, key=lambda one: ids[one])))
    )
    check_size("burn", grid.height * grid.width * len(legend))
    layers = [grid.ground_to_pixels(of_class(features, one)) for one in legend.names]
    values_khw = np.stack([_burn(layer, grid, mode) for layer in layers])
    valid_hw = np.ones(grid.shape_hw, np.bool_)
    return ClassRaster(values_khw, valid_hw, grid, legend, "burnt", counts=counts)


def to_layer(polygons: Polygons, where: str) -> Layer:
    """Take a table of GeoPandas as if it had been read from a file.

    Raises:
        DataError: If it is none.
    """
    if isinstance(polygons, gpd.GeoSeries):
        polygons = gpd.GeoDataFrame(geometry=polygons)
    if not isinstance(polygons, gpd.GeoDataFrame):
        got, need = type(polygons).__name__, "a GeoDataFrame, a GeoSeries or a path"
        raise DataError(problem(where, "no polygons", got=got, need=need))
    if polygons.active_geometry_name is None:
        raise DataError(problem(where, "a GeoDataFrame without geometry", got=", ".join(map(str, polygons.columns))))
    attributes = polygons.drop(columns=polygons.active_geometry_name).reset_index(drop=True)
    attributes.columns = [str(column) for column in attributes.columns]
    geometries = np.asarray(polygons.geometry.to_numpy(), dtype=object)
    return Layer(geometries, attributes, tuple(attributes.columns), polygons.crs, polygons.crs is not None)


@dataclass(frozen=True)
class _Found:
    """A raster to trace: values of any type that `trace` takes, with the rest of a `ClassRaster`."""

    values: AnyArray
    valid_hw: BoolArray
    grid: Grid
    legend: Legend
    name: str
    taken_for: str = "probability"


def _class_raster(
    raster: ClassRaster | ImageLike, place: Place, classes: Sequence[str] | None, taken_for: TakenFor | None
) -> _Found:
    if isinstance(raster, ClassRaster):
        return _Found(raster.values_khw, raster.valid_hw, raster.grid, raster.legend, raster.name)
    image = read_image(raster, "trace", replace(place, lets_nan_in=True))
    values, meaning = image.values_chw, "mask"
    if values.dtype not in (np.bool_, np.uint8) and values.dtype.kind != "f":
        do = "trace(map == 3) for a class of a class map, trace(image / 100) for percent"
        got, need = values.dtype.name, "bool, uint8 (0..255 for 0..1) or floats 0..1"
        raise DataError(problem("trace", "type of the raster", got=got, need=need, do=do))
    if values.dtype != np.bool_:
        values, meaning = _unit(values, image.valid_hw, taken_for)
    names = [UNNAMED] if len(values) == 1 else [str(k + 1) for k in range(len(values))]
    names = names if classes is None else [str(one) for one in classes]
    if len(names) != len(values):
        raise DataError(problem("trace", "names of classes", got=len(names), need=f"{len(values)}, one for each band"))
    legend = Legend(tuple(LandClass(k + 1, one, default_colour(k)) for k, one in enumerate(names)))
    return _Found(values, image.valid_hw, image.grid, legend, image.name, meaning)


def _unit(values: AnyArray, valid_hw: BoolArray, taken_for: TakenFor | None) -> tuple[AnyArray, str]:
    """Return numbers as `trace` of the command line takes them, and what they were taken for."""
    numbers = numbers_of(values, valid_hw)
    meaning = taken_for
    if meaning is None and numbers.pixels:
        found = meaning_of(numbers, "trace", bands=len(values), is_bytes=values.dtype == np.uint8)
        if found == "classes" and len(numbers.values or ()) == 1:
            found = "probability"  # the same everywhere
        if found == "classes":
            do = "trace(map == 3) for one class, or say taken_for='probability'"
            got = f"{len(numbers.values or ())} whole numbers"
            raise DataError(problem("trace", "looks like a map of classes", got=got, need="a raster of one", do=do))
        meaning = found
    known = np.where(valid_hw, values, values.dtype.type(0))
    if meaning == "mask":
        return known != 0, "mask"
    if meaning == "percent":
        return known.astype(np.float32) / np.float32(100), "percent"
    return known, "probability"


def _thresholds(threshold: float | Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    if not isinstance(threshold, Mapping):
        return dict.fromkeys(names, threshold)
    if set(threshold) != set(names):
        raise RecipeError(problem("threshold", "of other classes", got=", ".join(threshold), need=", ".join(names)))
    return dict(threshold)


def _grid_like(like: Grid | ClassRaster | ImageLike) -> Grid:
    if isinstance(like, Grid):
        return like
    if isinstance(like, ClassRaster):
        return like.grid
    return read_image(like, "burn, like", Place()).grid


def _burn(layer: Any, grid: Grid, mode: BurnMode) -> AnyArray:
    if mode == "share":
        return burn_share(layer, grid.shape_hw)
    return burn_mask(layer, grid.shape_hw, mode=mode) * np.uint8(255)
