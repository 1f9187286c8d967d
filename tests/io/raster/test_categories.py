"""Names of values beside a raster, as GDAL writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from landscribe.io.raster.categories import MOST_BYTES, category_names

LIST = """<PAMDataset><PAMRasterBand band="1"><CategoryNames>
<Category></Category><Category>road</Category><Category> open
 water</Category></CategoryNames></PAMRasterBand></PAMDataset>"""
TABLE = """<PAMDataset><PAMRasterBand band="2"><CategoryNames><Category>no</Category></CategoryNames></PAMRasterBand>
<PAMRasterBand band="1"><GDALRasterAttributeTable Row0Min="0" BinSize="1" tableType="thematic">
<FieldDefn index="0"><Name>{value}</Name><Type>0</Type><Usage>{value_use}</Usage></FieldDefn>
<FieldDefn index="1"><Name>Count</Name><Type>0</Type><Usage>1</Usage></FieldDefn>
<FieldDefn index="2"><Name>{name}</Name><Type>2</Type><Usage>{name_use}</Usage></FieldDefn>
<Row index="0"><F>11</F><F>5</F><F>Open Water</F></Row><Row index="1"><F>95.0</F><F>9</F><F>Wetlands</F></Row>
<Row index="2"><F>7.5</F><F>9</F><F>no value</F></Row><Row index="3"><F>1</F></Row>
</GDALRasterAttributeTable></PAMRasterBand></PAMDataset>"""


def names(tmp_path: Path, text: str) -> dict[int, str]:
    (tmp_path / "map.tif.aux.xml").write_text(text)
    return dict(category_names(tmp_path / "map.tif"))


def test_a_list_names_values_from_0(tmp_path: Path) -> None:
    assert names(tmp_path, LIST) == {1: "road", 2: "open water"}


@pytest.mark.parametrize(
    ("value", "value_use", "name", "name_use"),
    [("Value", 5, "Land", 2), ("VALUE", 0, "Class_Name", 0), ("x", 3, "y", 2), ("value", 0, "label", 0)],
)
def test_an_attribute_table_names_its_values(tmp_path, value, value_use, name, name_use) -> None:
    text = TABLE.format(value=value, value_use=value_use, name=name, name_use=name_use)
    assert names(tmp_path, text) == {11: "Open Water", 95: "Wetlands"}


@pytest.mark.parametrize(
    "text",
    [
        "", "<PAMDataset>", "<PAMDataset/>", "not xml", TABLE.format(value="x", value_use=0, name="y", name_use=0),
        '<!DOCTYPE a [<!ENTITY b "c">]>' + LIST, LIST + " " * MOST_BYTES,
    ],
    ids=["empty", "cut", "nothing", "text", "no columns", "entities", "long"],
)  # fmt: skip
def test_what_is_no_such_file_names_nothing(tmp_path: Path, text: str) -> None:
    assert names(tmp_path, text) == {}


def test_no_file_names_nothing(tmp_path: Path) -> None:
    assert category_names(tmp_path / "map.tif") == {}
