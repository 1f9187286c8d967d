"""Names of found polygons that stay the same for as long as neither shape nor class changes."""

from __future__ import annotations

import hashlib

import shapely

from landscribe.late import geopandas as gpd

ID_BYTES = 8


def found_id(class_name: str, geometry: shapely.Geometry) -> str:
    """Return the name of a found polygon: the BLAKE2s of its class and of its shape in little-endian WKB, in hex."""
    return blob_id(class_name, shapely.to_wkb(geometry, byte_order=1))


def found_ids(features: gpd.GeoDataFrame) -> list[str]:
    """Return the names of all polygons of a table with the columns of `core.features`, in row order."""
    blobs = shapely.to_wkb(features.geometry.to_numpy(), byte_order=1)
    return [blob_id(str(name), blob) for name, blob in zip(features["class_name"], blobs, strict=True)]


def blob_id(class_name: str, blob: bytes) -> str:
    """Return the name of a found polygon whose shape is little-endian WKB already, as in a GeoParquet of ours."""
    return hashlib.blake2s(class_name.encode("utf-8") + b"\0" + blob, digest_size=ID_BYTES).hexdigest()
