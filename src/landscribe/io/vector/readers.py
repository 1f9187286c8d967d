"""Any vector file -> a Layer: its first bytes choose the reader."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pyproj import CRS
from pyproj.exceptions import CRSError

from landscribe.core.features import one_at_a_time
from landscribe.core.grid import read_crs
from landscribe.errors import DataError, problem
from landscribe.io.safety import check_size, require_local_file
from landscribe.io.vector.foreign import refuse_drawn, refuse_foreign
from landscribe.io.vector.geojson import LONLAT, read_geojson
from landscribe.io.vector.layer import Layer, from_wkb, table_of
from landscribe.io.vector.wkt_csv import TABLES, read_csv_layer
from landscribe.late import late, pyarrow
from landscribe.process import heard, is_ours

pyogrio = late("pyogrio", "pyogrio.raw", "pyogrio._err")

AUTHORITY = re.compile(r"(\w+):(\w+)")
POLYGONAL = ("Polygon", "Surface", "Unknown", "Collection")
"""Parts of the names of layer types that can hold polygons; lines and points beside them are no choice."""
SQLITE, FLATGEOBUF, SHAPEFILE = b"SQLite format 3\x00", b"fgb\x03fgb", b"\x00\x00\x27\x0a"
MAX_HEADER_BYTES = 1 << 24
"""A FlatGeobuf says after its magic how long its header is; GDAL takes up to 10 MiB."""
UNPACKED_PER_BYTE, ROW_BYTES = 8, 100
"""Bytes in memory per byte of a GeoPackage or FlatGeobuf (6 were measured), and at least per row of a GeoParquet."""
_thread = threading.local()
READABLE = "GeoPackage, GeoParquet, FlatGeobuf, Shapefile, GeoJSON or CSV with WKT"


def read_layer(path: Path, layer: str | None, wanted: Collection[str]) -> Layer:
    """Read a GeoPackage, FlatGeobuf, Shapefile, GeoParquet, GeoJSON or a CSV with WKT.

    Args:
        path: A local file.
        layer: Layer of a GeoPackage; None takes the only one.
        wanted: Columns to keep, where the format lets choose.

    Raises:
        DataError: If it is none of these, or damaged.
        LimitError: If it is too large for the memory or nested too deeply.
    """
    require_local_file(path)
    with path.open("rb") as file:
        head = file.read(1024)
    # Text after the magic may be the description of another file to GDAL, which looks for it up to the first zero byte.
    # The other two have one in their magic, a FlatGeobuf in the length of its header.
    is_flatgeobuf = head.startswith(FLATGEOBUF) and int.from_bytes(head[8:12], "little") < MAX_HEADER_BYTES
    if head.startswith((SQLITE, SHAPEFILE)) or is_flatgeobuf:
        return read_ogr(path, layer, wanted)
    if head.startswith(b"PAR1"):
        return read_parquet(path, wanted)
    if path.name.lower().endswith(TABLES):
        return read_csv_layer(path)
    refuse_foreign(path)
    refuse_drawn(path)
    begins = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n\x1e")[:1]
    if begins in (b"{", b"[") or path.suffix.lower() in (".geojson", ".json"):
        return read_geojson(path, wanted)
    raise DataError(problem(str(path), "not a vector file", got=f"first bytes {head[:8]!r}", need=READABLE))


def read_ogr(path: Path, layer: str | None, wanted: Collection[str] | None) -> Layer:
    """Read a GeoPackage, FlatGeobuf or Shapefile.

    Args:
        path: The file; its first bytes were checked.
        layer: Layer of a GeoPackage; None takes the only one.
        wanted: Columns to keep; None keeps all.

    Raises:
        DataError: If it is damaged, has several layers and none was named, or the layer is a view (SQL of the file
            would run).
        LimitError: If it is too large for the memory.
    """
    where, absolute = str(path), path.absolute()  # a relative path may read like an address
    check_size(where, path.stat().st_size * UNPACKED_PER_BYTE)
    with path.open("rb") as file:
        head = file.read(100)
    is_database = head.startswith(SQLITE)
    if head.startswith(SHAPEFILE):
        _require_whole_shapefile(path, head)
    try:
        with _remarks() as remarks:
            if is_database:
                _require_geopackage(path)
            name = _choose_layer(path, layer)
            if is_database:
                _refuse_view(path, name)
            columns = [str(c) for c in pyogrio.read_info(absolute, layer=name)["fields"]]
            kept = [c for c in columns if wanted is None or c in wanted]
            meta, _, blobs, fields = pyogrio.raw.read(absolute, layer=name, columns=kept)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.FeatureError) as error:
        raise DataError(problem(where, "damaged or no vector file", got=" ".join(str(error).split())[:200])) from error
    counts = Counter(f"GDAL: {' '.join(remark.split())[:100]}" for remark in remarks)
    if blobs is None:
        raise DataError(problem(where, "layer without geometry", got=repr(name)))
    names = [str(n) for n in meta["fields"]]
    attributes = table_of(dict(zip(names, fields, strict=True)), len(blobs))
    return Layer(from_wkb(blobs, counts), attributes, tuple(columns), _ogr_crs(meta["crs"], where), True, counts)


@contextlib.contextmanager
def _remarks() -> Iterator[list[str]]:
    """Collect what GDAL remarks on a file, in a process of our own."""
    # pyogrio takes GDAL's remarks in the thread that imports it; in others GDAL writes them to the terminal.
    if is_ours() and not hasattr(_thread, "listens"):
        _thread.listens = True
        getattr(pyogrio._err, "_register_error_handler", int)()
    with heard() as remarks:
        yield remarks


def read_parquet(path: Path, wanted: Collection[str] | None) -> Layer:
    """Read a GeoParquet file.

    Args:
        path: The file.
        wanted: Columns to keep; None keeps all.

    Raises:
        DataError: If it is damaged or has no geometry column in WKB.
        LimitError: If it is too large for the memory.
    """
    where = str(path)
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            rows = file.metadata.num_rows
            groups = [file.metadata.row_group(k) for k in range(file.metadata.num_row_groups)]
            need_bytes = max(sum(g.total_byte_size for g in groups) * 2, rows * ROW_BYTES)
            check_size(where, need_bytes, file_bytes=path.stat().st_size)
            geometry, crs, stated = _geoparquet(file.schema_arrow.metadata or {}, where)
            columns = [name for name in file.schema_arrow.names if name not in (geometry, "bbox")]
            kept = [name for name in columns if wanted is None or name in wanted]
            table = file.read(columns=[geometry, *kept])
    except (pyarrow.ArrowException, OSError, KeyError) as error:
        raise DataError(problem(where, "damaged or no GeoParquet", got=" ".join(str(error).split())[:200])) from error
    if not pyarrow.types.is_binary(table[geometry].type) and not pyarrow.types.is_large_binary(table[geometry].type):
        raise DataError(problem(where, "geometry is not WKB", got=table[geometry].type, need="encoding WKB"))
    counts: Counter[str] = Counter()
    geometries = from_wkb(table[geometry].to_pylist(), counts)
    with one_at_a_time:
        attributes = table.select(kept).to_pandas()
    return Layer(geometries, attributes, tuple(columns), crs, stated, counts)


def _require_whole_shapefile(path: Path, head: bytes) -> None:
    # GDAL gives rows without geometry for what is missing; the header says how long the file should be.
    need = 2 * int.from_bytes(head[24:28], "big")
    if path.stat().st_size < max(need, 100):
        raise DataError(problem(str(path), "cut short", got=f"{path.stat().st_size} bytes", need=need))


def _choose_layer(path: Path, layer: str | None) -> str:
    kinds = {str(name): str(kind) for name, kind in pyogrio.list_layers(path.absolute()) if kind is not None}
    polygonal = [name for name, kind in kinds.items() if any(word in kind for word in POLYGONAL)]
    names = polygonal or list(kinds)
    if layer is not None and layer not in kinds:
        raise DataError(problem(str(path), "no such layer", got=repr(layer), need=" | ".join(kinds)))
    if layer is None and len(names) != 1:
        do = "of labels, name it as labels.layer, or one for each class in labels.layers"
        raise DataError(problem(str(path), f"{len(names)} layers", got=", ".join(names[:20]), need="one, named", do=do))
    return layer or names[0]


def _require_geopackage(path: Path) -> None:
    # Any other SQLite file would go to GDAL's SQLite driver, whose virtual tables read other files.
    query = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'gpkg_contents'"
    if _ask(path, query) != [(1,)]:
        raise DataError(problem(str(path), "a database and no GeoPackage"))


def _refuse_view(path: Path, name: str) -> None:
    rows = _ask(path, "SELECT type, sql FROM sqlite_master WHERE name = ?", name)
    if any(kind != "table" or str(sql).upper().startswith("CREATE VIRTUAL") for kind, sql in rows):
        raise DataError(
            problem(str(path), f"layer {name!r} is a view", do="export it to a table; no SQL of a file is run")
        )


def _ask(path: Path, query: str, *values: str) -> list[Any]:
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(query, values).fetchall()
    except sqlite3.DatabaseError as error:
        raise DataError(problem(str(path), "damaged GeoPackage", got=str(error))) from error


def _ogr_crs(text: str | None, where: str) -> CRS | None:
    if not text:
        return None
    match = AUTHORITY.fullmatch(text)
    try:
        crs = CRS.from_authority(*match.groups()) if match else CRS.from_wkt(text)
    except CRSError as error:
        raise DataError(problem(where, "CRS cannot be understood", got=" ".join(str(error).split())[:200])) from error
    # GeoPackage calls "no CRS" an undefined cartesian or geographic one.
    return None if crs.name.lower().startswith("undefined") else crs


def _geoparquet(metadata: dict[bytes, bytes], where: str) -> tuple[str, CRS | None, bool]:
    try:
        geo: Any = json.loads(metadata[b"geo"])
        name = geo["primary_column"]
        column = geo["columns"][name]
        crs = column.get("crs", "absent")
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise DataError(problem(where, "not GeoParquet", got=f"no geometry described ({error})")) from error
    if crs == "absent":
        return name, LONLAT, False
    if crs is None:
        return name, None, True
    if not isinstance(crs, dict):
        raise DataError(problem(where, "CRS is not PROJJSON", got=type(crs).__name__))
    try:
        return name, read_crs(json.dumps(crs)), True
    except (CRSError, RecursionError) as error:
        raise DataError(problem(where, "CRS cannot be understood", got=str(error)[:200])) from error
