"""One odd file among good ones is named, and the others are done: in `check` and in `prepare`."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import rasterio

from landscribe.errors import DataError, LandscribeError, LimitError
from landscribe.io.project import Project, open_project
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.check import check
from landscribe.stages.files.burn import burn_file
from landscribe.stages.files.trace import trace_file
from landscribe.stages.prepare import prepare
from raster_files import GRID, image, save_foreign
from vector_files import features

ENGINEERING = 'LOCAL_CS["site grid",UNIT["metre",1]]'
RECIPE = """
[data]
sensors.S = { path = "{scene}.tif", kind = "grey8" }
[[classes]]
name = "thing"
[validate]
split = "none"
"""


def raw_complex_integers(path: Path) -> None:
    """Write a TIFF of complex 16-bit integers, which GDAL cannot be asked for by NumPy's names."""
    entries = [(256, 3, 13), (257, 3, 11), (258, 3, 32), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1),
               (278, 3, 11), (279, 4, 13 * 11 * 4), (339, 3, 5)]  # fmt: skip
    pixels = bytes(13 * 11 * 4)
    table = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(pixels))
    path.write_bytes(head + pixels + struct.pack("<H", len(entries)) + table + bytes(4))


def many_bands(path: Path) -> None:
    profile = {"driver": "GTiff", "height": 3, "width": 2, "count": 5003, "dtype": "uint8", "sparse_ok": True}
    with rasterio.open(path, "w", transform=GRID.transform, crs="EPSG:32636", **profile):
        pass


ODD = {
    "complex integers": (raw_complex_integers, DataError, "complex numbers, as of radar, got complex_int16"),
    "complex floats": (
        lambda path: save_foreign(path, image(1).astype(np.complex128)), DataError, "complex numbers, as of radar",
    ),
    "too many bands": (many_bands, LimitError, "too many bands, got 5003, need at most 4096"),
    "a building site's CRS": (
        lambda path: save_foreign(path, image(1), crs=ENGINEERING), DataError, "a local one .* got site grid",
    ),
    "no raster": (lambda path: path.write_bytes(b"not a raster at all"), DataError, "not a raster"),
    "empty": (lambda path: path.write_bytes(b""), DataError, "the file is empty"),
}  # fmt: skip


def project(folder: Path, odd: str) -> Project:
    save_foreign(folder / "good.tif", image(1))
    ODD[odd][0](folder / "odd.tif")
    (folder / "r.toml").write_text(RECIPE)
    return open_project(load_recipe(folder / "r.toml"))


@pytest.mark.parametrize("odd", ODD)
def test_check_names_it_and_goes_on(tmp_path: Path, odd: str):
    result = check(project(tmp_path, odd))
    errors = [finding.text for finding in result.findings if finding.level == "error"]
    assert len(errors) == 1
    assert "odd.tif" in errors[0]
    assert result.scenes == 2


@pytest.mark.parametrize("odd", ODD)
def test_prepare_names_it_and_does_the_others(tmp_path: Path, odd: str):
    result = prepare(project(tmp_path, odd), open_run(tmp_path / "run"))
    assert result.made == ["good"]
    assert list(result.failed) == ["odd"]
    assert "odd.tif" in result.failed["odd"]


@pytest.mark.parametrize("odd", ODD)
def test_plain_files_say_what_is_wrong(tmp_path: Path, odd: str):
    write, kind, match = ODD[odd]
    write(tmp_path / "odd.tif")
    with pytest.raises(LandscribeError, match=rf"odd\.tif: .*{match}") as caught:
        trace_file(tmp_path / "odd.tif", tmp_path / "out.gpkg")
    assert type(caught.value) is kind
    features().to_file(tmp_path / "labels.gpkg")
    with pytest.raises(kind, match=rf"odd\.tif: .*{match}"):
        burn_file(tmp_path / "labels.gpkg", tmp_path / "odd.tif", tmp_path / "out.tif")
