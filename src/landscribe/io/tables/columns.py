"""What is to be known of a file of features without reading its polygons."""

from __future__ import annotations

from pathlib import Path

from landscribe.errors import DataError, problem
from landscribe.late import pyarrow

GEOMETRY = "geometry"


def unpacked_bytes(path: Path) -> int:
    """Return the bytes of the polygons of a GeoParquet once they are unpacked, by its footer alone.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        facts = pyarrow.parquet.read_metadata(path)
    except pyarrow.ArrowException as error:
        raise DataError(problem(str(path), "damaged GeoParquet", got=str(error)[:200])) from None
    groups = [facts.row_group(k) for k in range(facts.num_row_groups)]
    columns = [group.column(k) for group in groups for k in range(group.num_columns)]
    return sum(int(column.total_uncompressed_size) for column in columns if column.path_in_schema == GEOMETRY)


def class_areas(path: Path) -> dict[str, float]:
    """Return the area of each class in a GeoParquet of features, as its rows say it.

    Raises:
        DataError: If it cannot be read, or lacks a column.
    """
    try:
        table = pyarrow.parquet.read_table(path, columns=["class_name", "area"])
        sums = table.group_by("class_name").aggregate([("area", "sum")])
    except (pyarrow.ArrowException, KeyError) as error:
        raise DataError(problem(str(path), "damaged features", got=str(error)[:200])) from None
    found = zip(sums["class_name"].to_pylist(), sums["area_sum"].to_pylist(), strict=True)
    return {str(name): float(area or 0.0) for name, area in found}
