"""Files of labels that are not read: what each is called, and what the line about it says to do."""

from __future__ import annotations

import gzip
import io
import json
import zipfile

import numpy as np


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("doc.kml", "<kml/>")
    return buffer.getvalue()


def _numpy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((3, 5)))
    return buffer.getvalue()


def _boxes() -> bytes:
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40], "segmentation": []}
    image = {"id": 1, "file_name": "a.tif", "height": 61, "width": 83}
    categories = [{"id": 1, "name": "house"}]
    return json.dumps({"images": [image], "annotations": [box], "categories": categories}).encode()


XML = '<?xml version="1.0" encoding="UTF-8"?>\n<!-- any -->\n'
UNREAD: dict[str, tuple[str, bytes, str, str]] = {
    "Pascal VOC (XML)": (
        "a.xml",
        f"{XML}<annotation><object><bndbox/></object></annotation>".encode(),
        "is Pascal VOC, boxes without an outline, which is not read",
        "SegmentationClass",
    ),
    "COCO with boxes only": ("a.json", _boxes(), "1 boxes and no outline on a.tif", "write the boxes as polygons"),
    "YOLO with boxes only": (
        "a.txt",
        b"0 0.5 0.5 0.1 0.2\n1 0.2 0.2 0.1 0.1\n",
        "2 boxes and no outline",
        "as polygons",
    ),
    "DOTA": ("a.txt", b"imagesource:GoogleEarth\ngsd:0.1\n1 2 3 4 5 6 7 8 ship 0\n", "is DOTA, boxes", "as polygons"),
    "COCO results": (
        "a.json",
        b'[{"image_id": 1, "category_id": 2, "segmentation": []}]',
        "is a list of COCO results, without images and categories",
        "write it as COCO with images and categories",
    ),
    "CVAT XML": ("a.xml", f"{XML}<annotations/>".encode(), "is CVAT XML, which is not read", "as COCO 1.0"),
    "VIA": ("a.json", b'{"_via_settings": {}, "_via_img_metadata": {}}', "is a project of VIA", "as COCO"),
    "Supervisely": (
        "a.json",
        b'{"description": "", "size": {}, "objects": []}',
        "annotation of Supervisely",
        "as COCO",
    ),
    "Label Studio": ("a.json", b'[{"id": 1, "annotations": [], "data": {}}]', "export of Label Studio", "as COCO"),
    "KML": (
        "a.kml",
        f'{XML}<kml xmlns="x"/>'.encode(),
        "is KML, which is not read",
        "ogr2ogr -f GPKG labels.gpkg a.kml",
    ),
    "KMZ": ("a.kmz", _zip(), "is KMZ, which is not read", "ogr2ogr -f GPKG labels.gpkg a.kmz"),
    "GML": ("a.gml", f"{XML}<gml:FeatureCollection/>".encode(), "is GML, which is not read", "labels.gpkg a.gml"),
    "OpenStreetMap XML": ("a.osm", f"{XML}<osm/>".encode(), "is OpenStreetMap XML", "a.osm multipolygons"),
    "TopoJSON": ("a.json", b'{"type": "Topology", "objects": {}}', "is TopoJSON, which is not read", "mapshaper"),
    "Esri JSON": ("a.json", b'{"geometryType": "esriGeometryPolygon", "features": []}', "is Esri JSON", "ogr2ogr"),
    "DXF": ("a.dxf", b"  0\nSECTION\n  2\nHEADER\n", "is a DXF drawing", "ogr2ogr -f GPKG labels.gpkg a.dxf"),
    "zip": ("a.zip", _zip(), "is a zip archive, which is not read", "unpack it, and name a file in it"),
    "gzip": ("a.geojson.gz", gzip.compress(b"{}"), "is packed by gzip, which is not read", "unpack it"),
    "part of a shapefile": ("a.dbf", b"\x03\x00", "is a part of a shapefile, which is not read", "name the a.shp"),
    "NumPy array": ("a.npy", _numpy(), "is a NumPy array, which is not read", "TIFF or PNG of values"),
    "SVG": ("a.svg", b"<svg/>", "is an SVG drawing, which is not read", "as GeoJSON in pixels"),
}
"""Row of the table -> file name, content, what is said, what to do."""
