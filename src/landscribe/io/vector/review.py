"""A GeoPackage for people to correct: polygons with a verdict, and a layer for the ground that they looked at."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree as Xml

import geopandas as gpd
import pandas as pd
import pyogrio

from landscribe.errors import DataError, problem
from landscribe.io.atomic import atomic_path

LOOKED = "looked"
"""Layer of the areas that somebody looked at."""
VERDICTS = {"not looked at": "", "accept": "accept", "reject": "reject"}
"""What the form of QGIS shows -> what is kept."""


def write_review_file(features: Path, out: Path) -> int:
    """Copy a GeoPackage of ours, with its style, into one that asks for a verdict on each polygon.

    Layer `features` gains the text columns `verdict` and `note`, and its form in QGIS offers the verdicts and the
    classes of the legend to choose from; layer `looked` is empty.

    Args:
        features: GeoPackage that `vectorize` wrote.
        out: File to write; whole or not at all.

    Returns:
        Number of polygons.

    Raises:
        DataError: If it is no GeoPackage of ours.
        OSError: If the disk is full.
    """
    layer = "features"
    try:
        crs = pyogrio.read_info(features, layer=layer)["crs"]
        with atomic_path(out) as temporary:
            shutil.copyfile(features, temporary)
            with closing(sqlite3.connect(temporary)) as connection, connection:
                n = _add_verdicts(connection, layer)
            empty = gpd.GeoDataFrame({"note": pd.Series([], dtype="string")}, geometry=[], crs=crs)
            pyogrio.write_dataframe(
                empty, temporary, layer=LOOKED, driver="GPKG", geometry_type="Polygon", append=False
            )
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, sqlite3.DatabaseError) as error:
        got = str(error)[:200]
        raise DataError(problem(str(features), "not a GeoPackage that vectorize wrote", got=got)) from error
    return n


def _add_verdicts(connection: sqlite3.Connection, layer: str) -> int:
    for name in ("verdict", "note"):
        connection.execute(f"ALTER TABLE {layer} ADD COLUMN {name} TEXT DEFAULT ''")  # our own names
    (style,) = connection.execute("SELECT styleQML FROM layer_styles WHERE f_table_name = ?", (layer,)).fetchone()
    connection.execute("UPDATE layer_styles SET styleQML = ? WHERE f_table_name = ?", (_with_form(style), layer))
    (n,) = connection.execute(f"SELECT COUNT(*) FROM {layer}").fetchone()  # noqa: S608
    return int(n)


def _with_form(style: str) -> str:
    """Add to a style of QGIS what its form offers: the verdicts, and the classes that the style has colours for."""
    head, _, body = style.partition("\n")
    root = Xml.fromstring(body)  # noqa: S314  # our own text
    root.set("styleCategories", "Symbology|Fields|Forms")
    names = [category.get("value", "") for category in root.iter("category")]
    fields = Xml.SubElement(root, "fieldConfiguration")
    for field, offered in (("verdict", VERDICTS), ("class_name", {name: name for name in names})):
        one = Xml.SubElement(Xml.SubElement(fields, "field", {"name": field}), "editWidget", {"type": "ValueMap"})
        table = Xml.SubElement(Xml.SubElement(one, "config"), "Option", {"type": "Map"})
        rows = Xml.SubElement(table, "Option", {"type": "List", "name": "map"})
        for shown, kept in offered.items():
            row = Xml.SubElement(rows, "Option", {"type": "Map"})
            Xml.SubElement(row, "Option", {"name": shown, "value": kept, "type": "QString"})
    return f"{head}\n{Xml.tostring(root, encoding='unicode')}"
