"""What a label file is, by its first bytes, and for what is not read, its name and the way to convert it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from landscribe.errors import DataError, problem
from landscribe.io.json_text import top_keys
from landscribe.io.raster.rasters import MAGIC
from landscribe.io.vector.coco import looks_like_coco
from landscribe.io.vector.labelme import looks_like_labelme
from landscribe.io.vector.wkt_csv import TABLES, is_dstl_table
from landscribe.io.vector.yolo import looks_like_yolo

Kind = Literal["picture", "coco", "labelme", "yolo", "table", "vector"]
HEAD = 4096
OGR = "ogr2ogr -f GPKG labels.gpkg "
STARTS = {
    b"PK\x03\x04": ("a zip archive", "unpack it, and name a file in it"),
    b"\x1f\x8b": ("packed by gzip", "unpack it"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it, and name a file in it"),
    b"Rar!": ("a RAR archive", "unpack it, and name a file in it"),
    b"\x93NUMPY": ("a NumPy array", "write it as a TIFF or PNG of values"),
    b"\x89HDF": ("an HDF5 file", "write its label array as a TIFF or PNG of values"),
    b"MATLAB": ("a MATLAB file", "write its label array as a TIFF or PNG of values"),
    b"%PDF": ("a PDF", "export the layer from the program that made it"),
    b"AC10": ("a DWG drawing", "save it as DXF, then: " + OGR + "file.dxf"),
    b"GIF8": ("a GIF", "save it as PNG"),
    b"BM": ("a bitmap", "save it as PNG"),
    b"RIFF": ("a WebP picture", "save it as PNG"),
}
"""First bytes of files that are not read -> what they are, and what to do."""
XML = {
    "kml": ("KML", OGR + "file.kml"),
    "gml|FeatureCollection": ("GML", OGR + "file.gml"),
    "gpx": ("GPX", OGR + "file.gpx tracks"),
    "osm": ("OpenStreetMap XML", OGR + "file.osm multipolygons"),
    "annotation": (
        "Pascal VOC, boxes without an outline",
        "draw outlines, or use the pictures of its SegmentationClass",
    ),
    "annotations": ("CVAT XML", "export it from CVAT as COCO 1.0"),
    "svg": ("an SVG drawing", "export the shapes as GeoJSON in pixels"),
    "VRTDataset|OGRVRTDataSource": ("a VRT, which points to other files", "convert it with gdal_translate or ogr2ogr"),
    "qgis": ("a QGIS project", "export its layer as GeoPackage"),
}
"""Root elements of XML files that are not read."""
PARTS = (".shx", ".dbf", ".prj", ".cpg", ".sbn", ".sbx", ".qix")


def kind_of(path: Path) -> Kind:
    """Tell what a label file is; its first bytes decide, its name only where they say nothing.

    Raises:
        DataError: If it is something that is not read, with its name and what to do.
    """
    head = _head(path)
    if any(head.startswith(magic) for magic in MAGIC):
        return "picture"
    name = path.name.lower()
    if name.endswith(TABLES):
        return "table" if is_dstl_table(path) else "vector"
    if looks_like_coco(path):
        return "coco"
    if looks_like_labelme(path):
        return "labelme"
    if name.endswith(".txt") and (not head.strip() or looks_like_yolo(path)):
        return "yolo"
    refuse_foreign(path)
    return "vector"


def refuse_foreign(path: Path) -> None:
    """Refuse a file of labels or polygons that is known and not read.

    Raises:
        DataError: With what it is, and the way to convert it.
    """
    found = _foreign(path, _head(path))
    if found is not None:
        what, do = found
        raise DataError(problem(str(path), f"is {what}, which is not read", do=do))


def refuse_drawn(path: Path) -> None:
    """Refuse what was drawn on a picture where polygons on the ground are needed.

    Raises:
        DataError: With what it is.
    """
    for looks, what in ((looks_like_coco, "COCO"), (looks_like_labelme, "labelme"), (looks_like_yolo, "YOLO")):
        if looks(path):
            do = "name it in [data].labels of a recipe, where its pictures are known, or write polygons"
            raise DataError(problem(str(path), f"is {what}, shapes on a picture", do=do))


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def _foreign(path: Path, head: bytes) -> tuple[str, str] | None:
    suffix = path.suffix.lower()
    if suffix == ".kmz":
        return "KMZ", OGR + path.name
    if suffix in PARTS:
        return "a part of a shapefile", f"name the {path.stem}.shp beside it"
    if head[4:12] == b"ftypheic":
        return "a HEIC picture", "save it as PNG"
    for start, found in STARTS.items():
        if head.startswith(start):
            return found
    text = head.decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    if text.startswith("<"):
        root = re.search(r"<(?:\w+:)?([A-Za-z]\w*)", re.sub(r"<[?!][^>]*>", "", text))
        named = {name: found for names, found in XML.items() for name in names.split("|")}
        what, do = named.get(root.group(1) if root else "", ("XML", "export it as GeoJSON, GeoPackage or COCO"))
        return what, do.replace("file.", f"{path.stem}.") if path.stem.isascii() else do
    if re.match(r"\s*0\s*[\r\n]+\s*SECTION", text):
        return "a DXF drawing", f"{OGR}{path.name}"
    if suffix == ".txt" and re.match(r"(imagesource|gsd)\s*:|(-?\d+(\.\d+)?\s+){8}[A-Za-z]", text, re.IGNORECASE):
        return "DOTA, boxes without an outline", "draw outlines, or write the boxes as polygons in GeoJSON"
    return _foreign_json(path, text)


def _foreign_json(path: Path, text: str) -> tuple[str, str] | None:
    keys = top_keys(path)
    coco = "export it as COCO"
    if keys.get("type") == "Topology":
        return "TopoJSON", "write it as GeoJSON: mapshaper in.json -o format=geojson out.geojson"
    if any(key.startswith("_via_") for key in keys):
        return "a project of VIA", coco
    if {"rings", "paths"} & keys.keys() or "geometryType" in keys:
        return "Esri JSON", f"{OGR}{path.name}"
    if {"objects", "size"} <= keys.keys():
        return "an annotation of Supervisely", coco
    if not text.startswith("["):
        return None
    first = re.findall(r'"(\w+)"\s*:', text)
    if {"image_id", "category_id"} <= set(first):
        return "a list of COCO results, without images and categories", "write it as COCO with images and categories"
    if {"annotations", "data"} <= set(first) or {"annotations", "image"} <= set(first):
        return "an export of Label Studio or CreateML", coco
    return None
