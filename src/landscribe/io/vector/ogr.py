"""Layers of polygons written by GDAL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import shapely
from pyproj import CRS

from landscribe.errors import problem
from landscribe.late import geopandas as gpd
from landscribe.late import late, pyarrow

pyogrio = late("pyogrio")


def write_ogr(
    path: Path, frame: gpd.GeoDataFrame, layer: str, driver: str, where: str, metadata: dict[str, str] | None = None
) -> None:
    """Write polygons as a layer of a file, into one that is there beside its other layers.

    Args:
        path: The file as it is written.
        frame: Polygons and MultiPolygons, with columns that Arrow knows.
        layer: Name of the layer.
        driver: Of GDAL.
        where: What the file is called in messages.
        metadata: Of the layer.

    Raises:
        OSError: If it could not be written.
    """
    write_ogr_lots(path, iter((frame,)), layer, driver, where, metadata)


def write_ogr_lots(
    path: Path,
    frames: Iterator[gpd.GeoDataFrame],
    layer: str,
    driver: str,
    where: str,
    metadata: dict[str, str] | None = None,
) -> None:
    """Write polygons that come in lots of the same columns, at least one of them; the rest as `write_ogr`.

    Raises:
        OSError: If it could not be written; an error of the lots comes through as it is.
    """
    first = next(frames)
    table = _to_arrow(first)
    failed: list[BaseException] = []

    def batches() -> Iterator[pyarrow.RecordBatch]:
        yield from table.to_batches()
        try:
            for frame in frames:
                yield from _to_arrow(frame).cast(table.schema).to_batches()
        except BaseException as error:
            failed.append(error)  # through GDAL it would come as a line of text
            raise

    crs = None if first.crs is None else _crs_text(first.crs)
    reader = pyarrow.RecordBatchReader.from_batches(table.schema, batches())
    try:
        pyogrio.write_arrow(
            reader, path, layer=layer, driver=driver, geometry_type="MultiPolygon", crs=crs, layer_metadata=metadata
        )
    except (pyogrio.errors.DataSourceError, pyogrio.errors.FeatureError, pyogrio.errors.DataLayerError) as error:
        raise OSError(problem(where, "could not be written", got=str(error)[:200])) from error
    finally:
        if failed:
            raise failed[0] from None


def _to_arrow(frame: gpd.GeoDataFrame) -> pyarrow.Table:
    # A column of Arrow says by its metadata that it is geometry; pyogrio's other ways in warn of a missing CRS.
    shapes = frame.geometry.to_numpy().copy()
    single = shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON
    shapes[single] = shapely.multipolygons(shapes[single][:, None])
    names = [name for name in frame.columns if name != frame.geometry.name]
    columns = [pyarrow.array(frame[name], from_pandas=True) for name in names]
    fields = [pyarrow.field(name, column.type) for name, column in zip(names, columns, strict=True)]
    geometry = pyarrow.field("geometry", pyarrow.binary(), metadata={"ARROW:extension:name": "geoarrow.wkb"})
    return pyarrow.table([*columns, shapely.to_wkb(shapes)], schema=pyarrow.schema([*fields, geometry]))


def _crs_text(crs: CRS) -> str:
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else crs.to_wkt("WKT1_GDAL")
