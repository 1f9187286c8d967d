"""Polygons to and from GeoPackage, GeoParquet, FlatGeobuf, Shapefile (reading only), GeoJSON and WKT-CSV.

The first bytes of a file choose its reader; a name chooses the writer. Whatever is left out is counted by reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import shapely
from pyproj import CRS

from landscribe.core.arrays import AnyArray
from landscribe.core.features import COLUMNS, empty_features, one_at_a_time
from landscribe.core.legend import LandClass, Legend, default_colour
from landscribe.core.polygons.repair import round_valid
from landscribe.errors import DataError, problem
from landscribe.io.atomic import atomic_path
from landscribe.io.safety import PACKED, check_output
from landscribe.io.vector.classes import as_text, find_classes, is_missing, no_column, require_text
from landscribe.io.vector.clean import clean, is_mark, single, to_lonlat
from landscribe.io.vector.geojson import write_geojson
from landscribe.io.vector.layer import Layer
from landscribe.io.vector.ogr import write_ogr
from landscribe.io.vector.readers import read_layer
from landscribe.io.vector.styles import embed_style, make_qml, write_style
from landscribe.io.vector.wkt_csv import write_csv_layer
from landscribe.late import geopandas as gpd
from landscribe.late import pandas as pd
from landscribe.late import pyarrow

OWN_COLUMNS = tuple(name for name in COLUMNS if name != "geometry")
WIDTH = "width"
MINIMUM = "minimum"
"""Column of what `trace` finds: the smallest probability inside each polygon."""


def read_features(
    path: str | Path,
    *,
    legend: Legend | None,
    crs: CRS | None,
    scene: str,
    layer: str | None = None,
    class_name: str | None = None,
    class_field: str | None = None,
    width_field: str | None = None,
    marks: bool = False,
) -> tuple[gpd.GeoDataFrame, dict[str, int]]:
    """Read the polygons of a file as features of one scene.

    Args:
        path: A local file.
        legend: Classes that may occur; None makes one of the names in the file, numbered in their order.
        crs: CRS of the scene, into which polygons are reprojected; None for a scene of pixels. Where only one side
            has a CRS, coordinates are taken as they are if the file is silent about its own: a GeoJSON without `crs`
            holds longitude and latitude for a scene with a CRS and pixels for one without.
        scene: Goes into the column `scene`.
        layer: Layer of a GeoPackage; None takes the only one.
        class_name: Class of all polygons.
        class_field: Column that holds the name or the id of each polygon's class. Where neither is given, all
            polygons are of the legend's only class, or of the class in a column `class_name`.
        width_field: Column with a number for each row, which goes into the column `width`.
        marks: Keep lines and points too.

    Returns:
        Valid polygons with the columns of `core.features`, and how many were left out or mended, by reason.

    Raises:
        DataError: If the file cannot be read, the class of a polygon is not in the legend, or the file has a CRS and
            the scene has none.
        LimitError: If the file is too large for the memory or nested too deeply.

    Examples:
        >>> import landscribe as ls
        >>> features, counts = ls.read_features(
        ...     run.features("6020_0_0"), legend=None, crs=None, scene="6020_0_0", class_field="class_name"
        ... )
        >>> list(features.columns)
        ['scene', 'class_id', 'class_name', 'score', 'area', 'geometry']
    """
    path = Path(path)
    wanted = {*OWN_COLUMNS, *(field for field in (class_field, width_field) if field)}
    content = read_layer(path, layer, wanted)
    return to_features(
        content, str(path), legend=legend, crs=crs, scene=scene, class_name=class_name, class_field=class_field,
        width_field=width_field, marks=marks,
    )  # fmt: skip


def to_features(
    content: Layer,
    where: str,
    *,
    legend: Legend | None,
    crs: CRS | None,
    scene: str,
    class_name: str | None = None,
    class_field: str | None = None,
    width_field: str | None = None,
    marks: bool = False,
) -> tuple[gpd.GeoDataFrame, dict[str, int]]:
    """Make features of one scene from what a file holds; arguments, results and errors are those of `read_features`."""
    require_text([scene], "scene", where)
    geometries, kept, counts = clean(content, crs, where, marks=marks)
    with one_at_a_time:
        attributes = content.attributes.iloc[kept].reset_index(drop=True)
        if width_field is not None and width_field not in content.columns and len(kept):
            raise DataError(no_column(where, width_field, content.columns))
        found = find_classes(content.columns, attributes, legend, class_name, class_field, where, counts)
        rows = [k for k, land_class in enumerate(found) if land_class is not None]
        is_partial = legend is not None and legend.is_partial
        counts["of a class that no model knows, or of none" if is_partial else "without class"] += len(found) - len(
            rows
        )
        classes = [land_class for land_class in found if land_class is not None]
        data = {
            "scene": pd.Series([scene] * len(rows), dtype="string"),
            "class_id": np.array([c.id for c in classes], dtype=np.int32),
            "class_name": pd.Series([c.name for c in classes], dtype="string"),
            "score": _numbers(attributes, "score")[rows],
            "area": _numbers(attributes, "area")[rows],
        }
        if width_field is not None:
            data[WIDTH] = _numbers(attributes, width_field)[rows]
        frame = gpd.GeoDataFrame(data, geometry=geometries[rows], crs=crs)
    return frame, {reason: n for reason, n in counts.items() if n}


def read_own(path: Path) -> gpd.GeoDataFrame:
    """Read features that `write_features` wrote, with their scenes, scores and areas.

    Raises:
        DataError: If the file lacks a column of `core.features` or cannot be read.
    """
    content = read_layer(path, None, OWN_COLUMNS)
    if not len(content.geometries) and not content.counts:
        return empty_features(content.crs)
    missing = [name for name in OWN_COLUMNS if name not in content.columns]
    if missing:
        raise DataError(problem(str(path), "not features of Landscribe", got=f"no column {', '.join(missing)}"))
    if content.counts or is_mark(content.geometries).any():
        raise DataError(problem(str(path), "damaged features", got=dict(content.counts) or "lines or points"))
    table = content.attributes
    data = {
        "scene": table["scene"].astype("string").fillna(""),
        "class_id": table["class_id"].astype(np.int32),
        "class_name": table["class_name"].astype("string").fillna(""),
        "score": _numbers(table, "score"),
        "area": _numbers(table, "area"),
    }
    return gpd.GeoDataFrame(data, geometry=single(content.geometries), crs=content.crs)


def list_values(path: Path, field: str, *, layer: str | None = None) -> list[str]:
    """Return the different values of a column as text, sorted.

    Raises:
        DataError: If the file has no such column, holds a name that is no text, or cannot be read.
    """
    content = read_layer(path, layer, {field})
    if field not in content.columns:
        raise DataError(no_column(str(path), field, content.columns))
    if field not in content.attributes:
        return []
    found = sorted({as_text(value) for value in content.attributes[field] if not is_missing(value)})
    require_text(found, field, str(path))
    return found


def list_columns(path: Path, *, layer: str | None = None, most: int = 8) -> dict[str, list[str]]:
    """Return the columns of a file with some values of each, as text, in the order in which they occur.

    Raises:
        DataError: If the file cannot be read.
    """
    content = read_layer(path, layer, list_fields(path, layer=layer))
    table = content.attributes
    found = {}
    for name in content.columns:
        texts = (as_text(value) for value in table[name] if not is_missing(value)) if name in table else iter(())
        found[name] = list(islice(dict.fromkeys(texts), most))
    return found


def list_fields(path: Path, *, layer: str | None = None) -> list[str]:
    """Return the names of the columns of a file, the geometry left out.

    Raises:
        DataError: If the file cannot be read.
    """
    return list(read_layer(path, layer, set()).columns)


def write_features(
    path: str | Path,
    features: gpd.GeoDataFrame,
    *,
    legend: Legend | None,
    layer: str = "features",
    decimals: int | None = None,
    caution: str = "",
) -> dict[str, int]:
    """Write features; the ending of the name chooses the format.

    Shells run counter-clockwise and holes clockwise in every format, as GeoJSON demands and Simple Features advises.
    `.gpkg` carries a QGIS style, `.parquet` is GeoParquet with a box per feature, `.geojson` is in longitude and
    latitude where there is a CRS, `.fgb` is sorted in space and has its style beside it,
    `.csv` and `.csv.gz` hold WKT and no CRS.

    Args:
        path: The file; whole or not at all.
        features: With the columns of `core.features`; of further ones only `minimum` is written.
        legend: Classes, for the style; None takes those that occur.
        layer: Name of the layer in a GeoPackage or FlatGeobuf.
        decimals: Decimals of the coordinates; None keeps all digits. Polygons are valid after rounding.
        caution: What whoever uses them should know: kept as `CAUTION` in the metadata of a GeoPackage's layer or of a
            GeoParquet.

    Returns:
        How many were left out, by reason: empty ones, and those that collapse when they are rounded.

    Raises:
        DataError: If the ending is not known, a name is no text, or a polygon for a GeoJSON crosses the 180th
            meridian.
        LimitError, OSError: If the disk will not hold it, beforehand or at last.

    Examples:
        >>> import landscribe as ls, numpy as np
        >>> found = ls.trace(np.ones((7, 11), bool), transform=(1, 0, 500000, 0, -1, 4000000), crs=32636)
        >>> ls.write_features("found.gpkg", found, legend=None)
        {}
    """
    path = Path(path)
    for name in ("scene", "class_name"):
        require_text(features[name].unique(), name, str(path))
    ending = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    columns = [*OWN_COLUMNS, *(name for name in (MINIMUM,) if name in features)]
    frame, counts = _frame_to_write(features, columns, str(path), in_degrees=ending == "geojson", decimals=decimals)
    vertex_bytes = 16 * int(shapely.get_num_coordinates(frame.geometry.to_numpy()).sum())  # more as text
    check_output(path, vertex_bytes, packed=1 if ending in ("gpkg", "fgb") else PACKED)
    if ending == "gpkg":
        _write_gpkg(path, frame, _legend_of(frame, legend), layer, caution)
    elif ending == "parquet":
        with atomic_path(path) as temporary, one_at_a_time:
            frame.to_parquet(
                temporary, index=False, compression="zstd", write_covering_bbox=True, schema_version="1.1.0"
            )
            if caution:
                _add_metadata(temporary, caution)
    elif ending == "fgb":
        with atomic_path(path) as temporary:
            write_ogr(temporary, frame, layer, "FlatGeobuf", str(path))
        write_style(path, _legend_of(frame, legend))
    elif ending == "geojson":
        write_geojson(path, frame)
    elif ending == "csv":
        write_csv_layer(path, {name: frame[name].tolist() for name in columns}, frame.geometry.to_numpy())
    else:
        raise DataError(problem(str(path), "unknown ending", need=".gpkg, .parquet, .geojson, .fgb, .csv or .csv.gz"))
    return counts


@one_at_a_time
def _frame_to_write(
    features: gpd.GeoDataFrame, columns: list[str], where: str, *, in_degrees: bool, decimals: int | None
) -> tuple[gpd.GeoDataFrame, dict[str, int]]:
    frame = gpd.GeoDataFrame(features.loc[:, columns], geometry=features.geometry.to_numpy(), crs=features.crs)
    if in_degrees and frame.crs is not None:
        frame = to_lonlat(frame, where)
    if decimals is not None:
        frame = frame.set_geometry(round_valid(frame.geometry.to_numpy(), decimals)[0], crs=frame.crs)
    has_area = ~frame.geometry.is_empty.to_numpy()
    counts = {} if has_area.all() else {"empty, or too small for the decimals": int((~has_area).sum())}
    frame = frame[has_area]
    return frame.set_geometry(shapely.orient_polygons(frame.geometry.to_numpy()), crs=frame.crs), counts


def frame_to_write(features: gpd.GeoDataFrame, where: str) -> gpd.GeoDataFrame:
    """Return features as files hold them: with their own columns, without empty ones, rings turned as is the custom."""
    return _frame_to_write(features, list(OWN_COLUMNS), where, in_degrees=False, decimals=None)[0]


def legend_of_names(found: Iterable[str], legend: Legend | None) -> Legend:
    """Return a legend with the names that it lacks: a viewer leaves out what no category names."""
    known = tuple(legend) if legend is not None else ()
    names = sorted(set(found) - {c.name for c in known})
    above = max((c.id for c in known), default=0)
    more = (LandClass(above + k, n, default_colour(len(known) + k - 1)) for k, n in enumerate(names, start=1))
    return Legend((*known, *more))


def _legend_of(frame: gpd.GeoDataFrame, legend: Legend | None) -> Legend:
    return legend_of_names((str(name) for name in frame["class_name"]), legend)


def _numbers(table: pd.DataFrame, name: str) -> AnyArray:
    if name not in table:
        return np.full(len(table), np.nan)
    numbers = pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if pd.api.types.is_numeric_dtype(table[name]):
        return numbers
    # From text: pandas misses the last bit in older versions.
    return np.array([float(v) if k else np.nan for v, k in zip(table[name], ~np.isnan(numbers), strict=True)])


def _add_metadata(path: Path, caution: str) -> None:
    # GeoPandas writes no metadata of ours.
    table = pyarrow.parquet.read_table(path)
    known = table.schema.metadata or {}
    pyarrow.parquet.write_table(
        table.replace_schema_metadata({**known, b"CAUTION": caution.encode()}), path, compression="zstd"
    )


def _write_gpkg(path: Path, frame: gpd.GeoDataFrame, legend: Legend, layer: str, caution: str) -> None:
    with atomic_path(path) as temporary:
        write_ogr(temporary, frame, layer, "GPKG", str(path), {"CAUTION": caution} if caution else None)
        embed_style(temporary, layer, "geom", make_qml(legend))
