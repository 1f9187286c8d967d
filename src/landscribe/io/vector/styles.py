"""How polygons look in QGIS: a style that travels inside the GeoPackage."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree as Xml

from landscribe.core.legend import LandClass, Legend
from landscribe.errors import DataError, LimitError, problem
from landscribe.io.atomic import write_text

FILL_ALPHA = 110
OUTLINE_MM = 0.26

_TABLE = """
CREATE TABLE layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256),
    styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT(30),
    ui TEXT(30), update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now'))
)
"""


def make_qml(legend: Legend) -> str:
    """Return a QGIS style: one category per class, its colour half transparent with an outline, small things on top.

    Args:
        legend: Classes; `class_name` is what features are told apart by.
    """
    root = Xml.Element("qgis", {"version": "3.28", "styleCategories": "Symbology"})
    renderer = Xml.SubElement(
        root,
        "renderer-v2",
        {
            "type": "categorizedSymbol",
            "attr": "class_name",
            "symbollevels": "0",
            "enableorderby": "1",
            "forceraster": "0",
        },
    )
    categories = Xml.SubElement(renderer, "categories")
    symbols = Xml.SubElement(renderer, "symbols")
    for k, land_class in enumerate(legend):
        Xml.SubElement(
            categories,
            "category",
            {"render": "true", "symbol": str(k), "value": land_class.name, "label": land_class.name, "type": "string"},
        )
        symbol = Xml.SubElement(
            symbols, "symbol", {"type": "fill", "name": str(k), "alpha": "1", "clip_to_extent": "1"}
        )
        layer = Xml.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
        _fill(layer, land_class.colour)
    order = Xml.SubElement(renderer, "orderby")
    Xml.SubElement(order, "orderByClause", {"asc": "0", "nullsFirst": "0"}).text = "area($geometry)"
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + Xml.tostring(root, encoding="unicode")


def embed_style(path: Path, layer: str, geometry_column: str, qml: str) -> None:
    """Write the style of a layer into its GeoPackage as QGIS does, so that it is applied when the layer is opened.

    Args:
        path: The GeoPackage.
        layer: Name of the layer.
        geometry_column: Of the layer.
        qml: The style, as `make_qml` returns it.

    Raises:
        DataError: If SQLite cannot read or write the file, whatever GDAL has said.
        LimitError: If the disk is full.
    """
    try:
        with closing(sqlite3.connect(path)) as connection, connection:
            _insert_style(connection, layer, geometry_column, qml)
    except sqlite3.Error as error:
        kind = LimitError if error.sqlite_errorcode == sqlite3.SQLITE_FULL else DataError
        raise kind(problem(str(path), "the GeoPackage cannot be written", got=str(error), do="run again")) from error


def _insert_style(connection: sqlite3.Connection, layer: str, geometry_column: str, qml: str) -> None:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'layer_styles'").fetchall():
        connection.execute(_TABLE)
        connection.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier)"
            " VALUES ('layer_styles', 'attributes', 'layer_styles')"
        )
    connection.execute(
        "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName,"
        " styleQML, styleSLD, useAsDefault, description, owner) VALUES ('', '', ?, ?, 'classes', ?, '', 1, '', '')",
        (layer, geometry_column, qml),
    )


def write_style(path: Path, legend: Legend) -> None:
    """Write the style of a file beside it, where QGIS looks for it, unless there is one, perhaps somebody's own."""
    style = path.with_suffix(".qml")
    if not style.exists():
        write_text(style, make_qml(legend))


def _fill(layer: Xml.Element, colour: str) -> None:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    outline = ",".join(str(value * 6 // 10) for value in (red, green, blue))
    options = {
        "color": f"{red},{green},{blue},{FILL_ALPHA}",
        "style": "solid",
        "outline_color": f"{outline},255",
        "outline_style": "solid",
        "outline_width": str(OUTLINE_MM),
        "outline_width_unit": "MM",
        "joinstyle": "bevel",
    }
    _add_options(layer, options)


def outline_qml(options: Mapping[str, str], categories: str) -> Xml.Element:
    """Return a style of QGIS with one symbol for all, to be added to.

    Args:
        options: Of the symbol's only layer, a simple fill.
        categories: What of a layer the style speaks of, as QGIS names it.
    """
    root = Xml.Element("qgis", {"version": "3.28", "styleCategories": categories})
    renderer = Xml.SubElement(root, "renderer-v2", {"type": "singleSymbol", "symbollevels": "0"})
    symbol = Xml.SubElement(Xml.SubElement(renderer, "symbols"), "symbol", {"type": "fill", "name": "0", "alpha": "1"})
    layer = Xml.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
    _add_options(layer, options)
    return root


def _add_options(layer: Xml.Element, options: Mapping[str, str]) -> None:
    table = Xml.SubElement(layer, "Option", {"type": "Map"})
    for name, value in options.items():
        Xml.SubElement(table, "Option", {"name": name, "value": value, "type": "QString"})
        Xml.SubElement(layer, "prop", {"k": name, "v": value})


def read_legend(path: Path, layer: str) -> Legend:
    """Return the classes that the style inside a GeoPackage of ours has colours for, numbered from 1.

    Raises:
        DataError: If there is no such style in it.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            query = "SELECT styleQML FROM layer_styles WHERE f_table_name = ?"
            rows = connection.execute(query, (layer,)).fetchall()
        root = Xml.fromstring(str(rows[0][0]).partition("\n")[2])  # noqa: S314  # our own text
    except (sqlite3.DatabaseError, IndexError, Xml.ParseError) as error:
        got = f"no style of layer {layer!r} ({type(error).__name__})"
        raise DataError(problem(str(path), "not a GeoPackage that vectorize wrote", got=got)) from None
    colours = {}
    for symbol in root.iter("symbol"):
        values = next(o.get("value", "") for o in symbol.iter("Option") if o.get("name") == "color")
        red, green, blue = (int(part) for part in values.split(",")[:3])
        colours[symbol.get("name")] = f"#{red:02X}{green:02X}{blue:02X}"
    rows = [(category.get("value", ""), colours[category.get("symbol")]) for category in root.iter("category")]
    return Legend(tuple(LandClass(k, name, colour) for k, (name, colour) in enumerate(rows, start=1)))
