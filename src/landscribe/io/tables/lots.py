"""Features of many scenes written lot by lot: GeoPackage and FlatGeobuf as one file, GeoParquet as parts.

What is held is one lot, or one part; GDAL keeps of each polygon its box, for the index in space.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import shapely
from pyproj import CRS

from landscribe.core.features import empty_features, join_features
from landscribe.core.legend import Legend
from landscribe.errors import DataError, problem
from landscribe.io.atomic import atomic_path
from landscribe.io.safety import check_output
from landscribe.io.tables.hilbert import along_hilbert
from landscribe.io.vector.ogr import write_ogr_lots
from landscribe.io.vector.styles import embed_style, make_qml, write_style
from landscribe.io.vector.vectors import frame_to_write, legend_of_names, write_features
from landscribe.late import geopandas as gpd

DRIVERS = {".gpkg": "GPKG", ".fgb": "FlatGeobuf"}
PART_ROWS = 100_000
"""Polygons of a part of a GeoParquet, at most, unless one lot has more."""
PART_BYTES = 64 << 20
"""Of the corners of a part's polygons, likewise."""
CORNER_BYTES = 16


def write_lots(
    path: Path, lots: Iterable[gpd.GeoDataFrame], *, crs: CRS | None, legend: Legend, caution: str = ""
) -> int:
    """Write features as one `.gpkg` or `.fgb`, whole or not at all, holding one lot at a time.

    Args:
        path: The file.
        lots: Features with the columns of `core.features`, all in one CRS; taken one after the other.
        crs: Their CRS.
        legend: For the style; classes that it lacks are added to the style as they occur.
        caution: What whoever uses them should know; a FlatGeobuf cannot hold it.

    Returns:
        How many polygons were written.

    Raises:
        DataError: If the ending is another one.
        LimitError, OSError: If the disk will not hold it.
    """
    driver = DRIVERS.get(path.suffix)
    if driver is None:
        raise DataError(problem(str(path), "cannot be written in lots", need=" or ".join(DRIVERS)))
    names: set[str] = set()
    count = 0

    def prepared() -> Iterator[gpd.GeoDataFrame]:
        nonlocal count
        yield frame_to_write(empty_features(crs), str(path))  # a table without a polygon has columns too
        for lot in lots:
            check_output(path, _corner_bytes(lot), packed=1)
            names.update(str(name) for name in lot["class_name"].unique())
            frame = frame_to_write(lot, str(path))
            count += len(frame)
            yield frame

    with atomic_path(path) as temporary:
        said = {"CAUTION": caution} if caution and driver == "GPKG" else None
        write_ogr_lots(temporary, prepared(), "features", driver, str(path), said)
        if driver == "GPKG":
            embed_style(temporary, "features", "geom", make_qml(legend_of_names(names, legend)))
    if driver == "FlatGeobuf":
        write_style(path, legend_of_names(names, legend))
    return count


def write_parts(folder: Path, lots: Iterable[gpd.GeoDataFrame], *, legend: Legend, caution: str = "") -> list[Path]:
    """Write features as parts of a GeoParquet 1.1: a box for each row, and the rows of each part along a Hilbert curve.

    Args:
        folder: Where `part-00000.parquet` and those that follow are put.
        lots: Features with the columns of `core.features`, all in one CRS; taken one after the other. Parts are compact
            where lots come along such a curve too.
        legend: Classes.
        caution: What whoever uses them should know, kept in the metadata of each part.

    Returns:
        The parts; one without rows where there is no polygon.

    Raises:
        LimitError, OSError: If the disk will not hold them.
    """
    written: list[Path] = []

    def write(held: list[gpd.GeoDataFrame]) -> None:
        together = join_features(held, held[0].crs if held else None)
        target = folder / f"part-{len(written):05}.parquet"
        rows = together.iloc[along_hilbert(shapely.bounds(together.geometry.to_numpy()))]
        write_features(target, rows.reset_index(drop=True), legend=legend, caution=caution)
        written.append(target)

    held: list[gpd.GeoDataFrame] = []
    rows, size = 0, 0
    for lot in lots:
        if held and (rows + len(lot) > PART_ROWS or size + _corner_bytes(lot) > PART_BYTES):
            write(held)
            held, rows, size = [], 0, 0
        held.append(lot)
        rows, size = rows + len(lot), size + _corner_bytes(lot)
    if held or not written:
        write(held)
    return written


def _corner_bytes(lot: gpd.GeoDataFrame) -> int:
    return CORNER_BYTES * int(shapely.get_num_coordinates(lot.geometry.to_numpy()).sum())
