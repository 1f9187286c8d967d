"""Write a review as a GeoPackage that QGIS opens with colours, and with a form for verdicts and classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as Xml

from landscribe.core.features import one_at_a_time
from landscribe.core.legend import Legend
from landscribe.io.atomic import atomic_path
from landscribe.io.review.review import ACCEPT, FEATURES, LOOKED, REJECT, UNSEEN, Review
from landscribe.io.vector.ogr import write_ogr
from landscribe.io.vector.styles import embed_style, make_qml, outline_qml

OFFERED = {"not looked at": UNSEEN, "accept": ACCEPT, "reject": REJECT}
"""What the form of QGIS shows -> what is kept."""
RUN, SCENES = "LANDSCRIBE_RUN", "LANDSCRIBE_SCENES"
"""Keys of the metadata of layer `features`: name of the run; scenes, one a line."""
_NONE = "color_rgba(0,0,0,0)"
_HOW = {
    "fillColor": f"CASE WHEN \"verdict\" IN ('reject','replaced') THEN {_NONE} "
    "WHEN \"verdict\" = 'accept' THEN set_color_part(@symbol_color,'alpha',200) ELSE @symbol_color END",
    "outlineStyle": "CASE WHEN \"verdict\" IN ('reject','replaced') THEN 'dot' ELSE 'solid' END",
}
"""Property of a fill in QGIS -> an expression: what is rejected is an outline of dots."""
EXPRESSION = "3"
"""What QGIS calls a property that follows an expression."""
_OUTLINE = {"style": "no", "outline_color": "120,60,200,255", "outline_style": "dash", "outline_width": "0.5"}
_HEAD = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>"


@one_at_a_time
def write_review(path: Path, review: Review, legend: Legend) -> None:
    """Write a review; whole or not at all.

    Args:
        path: GeoPackage to write.
        review: What is said; both layers have one CRS.
        legend: Classes, for colours and forms.

    Raises:
        OSError: If the disk is full.
    """
    said = {key: text for key, text in ((RUN, review.run), (SCENES, "\n".join(review.scenes))) if text}
    classes = {name: name for name in legend.names}
    features = _with_form(_by_verdict(make_qml(legend)), {"verdict": OFFERED, "class_name": classes})
    with atomic_path(path) as temporary:
        write_ogr(temporary, review.features, FEATURES, "GPKG", str(path), said or None)
        write_ogr(temporary, review.looked, LOOKED, "GPKG", str(path))
        embed_style(temporary, FEATURES, "geom", features)
        embed_style(temporary, LOOKED, "geom", _with_form(_outline(), {"class_name": {"all classes": "", **classes}}))


def _by_verdict(style: str) -> str:
    """Let the fills of a style show the verdict."""
    head, _, body = style.partition("\n")
    root = Xml.fromstring(body)  # noqa: S314  # our own text
    for layer in root.iter("layer"):
        whole = Xml.SubElement(Xml.SubElement(layer, "data_defined_properties"), "Option", {"type": "Map"})
        Xml.SubElement(whole, "Option", {"name": "name", "value": "", "type": "QString"})
        table = Xml.SubElement(whole, "Option", {"name": "properties", "type": "Map"})
        for name, expression in _HOW.items():
            one = Xml.SubElement(table, "Option", {"name": name, "type": "Map"})
            Xml.SubElement(one, "Option", {"name": "active", "value": "true", "type": "bool"})
            Xml.SubElement(one, "Option", {"name": "expression", "value": expression, "type": "QString"})
            Xml.SubElement(one, "Option", {"name": "type", "value": EXPRESSION, "type": "int"})
        Xml.SubElement(whole, "Option", {"name": "type", "value": "collection", "type": "QString"})
    return f"{head}\n{Xml.tostring(root, encoding='unicode')}"


def _outline() -> str:
    """Return a style of dashed outlines, which hide nothing."""
    root = outline_qml(_OUTLINE, "Symbology")
    return f"{_HEAD}\n{Xml.tostring(root, encoding='unicode')}"


def _with_form(style: str, offered: Mapping[str, Mapping[str, str]]) -> str:
    """Add to a style of QGIS what its form offers for some columns: what is shown -> what is kept."""
    head, _, body = style.partition("\n")
    root = Xml.fromstring(body)  # noqa: S314  # our own text
    root.set("styleCategories", "Symbology|Fields|Forms")
    fields = Xml.SubElement(root, "fieldConfiguration")
    for field, values in offered.items():
        one = Xml.SubElement(Xml.SubElement(fields, "field", {"name": field}), "editWidget", {"type": "ValueMap"})
        table = Xml.SubElement(Xml.SubElement(one, "config"), "Option", {"type": "Map"})
        rows = Xml.SubElement(table, "Option", {"type": "List", "name": "map"})
        for shown, kept in values.items():
            row = Xml.SubElement(rows, "Option", {"type": "Map"})
            Xml.SubElement(row, "Option", {"name": shown, "value": kept, "type": "QString"})
    return f"{head}\n{Xml.tostring(root, encoding='unicode')}"
