"""Finished models on what is in memory: the bytes that the command line writes, wherever the pixels come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT
from typer.testing import CliRunner

import landscribe as ls
from landscribe.cli.app import app
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.raster.rasters import open_raster
from landscribe.io.vector.vectors import read_own
from small_scenes import SHAPE_HW, train_small, write_image

TILE = "predict.tile=32"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models, two images, and what the command line makes of these: one whole, one with pixels that are no data."""
    folder = tmp_path_factory.mktemp("arrays")
    train_small(folder)
    grid = write_image(folder / "whole.tif", 100, 22)
    values = np.random.default_rng(5).integers(1, 250, (3, *SHAPE_HW)).astype(np.float32)
    values[:, 7:19, 11:30] = -9999
    values[1, 23, 5:9] = np.nan
    with write_raster(folder / "holes.tif", grid, count=3, dtype="float32", nodata=-9999) as writer:
        writer.write(grid.window, values)
    images = [str(folder / name) for name in ("whole.tif", "holes.tif")]
    given = ["--models", str(folder / "old_run" / "models"), "--out", str(folder / "out"), "--anyway", "--set", TILE]
    done = CliRunner().invoke(app, ["predict", *images, *given])
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="module")
def model(home: Path) -> ls.Model:
    return ls.load_model(home / "old_run" / "models", overrides=[TILE])


def written(home: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    with open_raster(home / "out" / name) as raster:
        return raster.read()


def pixels(home: Path, name: str) -> tuple[np.ndarray, dict[str, Any]]:
    with rasterio.open(home / name) as dataset:
        return dataset.read(), {"transform": dataset.transform, "crs": dataset.crs}


def same(found: ls.ClassRaster, home: Path, name: str) -> bool:
    values_khw, valid_hw = written(home, name)
    assert values_khw.std() > 1, "a picture of one number would prove nothing"
    return bool((found.values_khw == values_khw).all() and (found.valid_hw == valid_hw).all())


@pytest.mark.parametrize("name", ["whole.tif", "holes.tif"])
def test_a_file_and_a_data_set_give_the_bytes_of_the_command_line(home: Path, model: ls.Model, name: str) -> None:
    assert same(model.predict(home / name, anyway=True), home, name)
    with rasterio.open(home / name) as dataset:
        found = model.predict(dataset, anyway=True)
        assert same(found, home, name)
        assert found.transform == dataset.transform
        assert found.crs is not None
        assert found.crs.to_epsg() == dataset.crs.to_epsg()
        assert (found.classes, found.name) == (("road", "house"), Path(name).stem)
        with MemoryFile((home / name).read_bytes()) as memory, memory.open() as inner:
            assert same(model.predict(inner, anyway=True), home, name)
        with WarpedVRT(dataset) as view:
            assert same(model.predict(view, anyway=True), home, name)


def test_arrays_give_the_bytes_of_the_command_line(home: Path, model: ls.Model) -> None:
    image, place = pixels(home, "whole.tif")
    assert same(model.predict(image, **place), home, "whole.tif")
    big_endian = image.astype(">u2").astype(">u1") if image.dtype == ">u1" else image.astype(">u2")
    assert same(model.predict(big_endian, **place, anyway=True), home, "whole.tif")
    grid = ls.Grid(*SHAPE_HW, place["transform"], model.predict(image, **place).crs)
    assert same(model.predict(np.asfortranarray(image), grid=grid), home, "whole.tif")


def test_what_is_no_data_can_be_said_in_three_ways(home: Path, model: ls.Model) -> None:
    image, place = pixels(home, "holes.tif")
    known = (image != -9999).any(axis=0) & np.isfinite(image).all(axis=0)
    for given in (
        model.predict(image, **place, nodata=-9999, anyway=True),
        model.predict(image, **place, valid_hw=known, anyway=True),
        model.predict(np.ma.array(image, mask=np.broadcast_to(~known, image.shape)), **place, anyway=True),
    ):
        assert same(given, home, "holes.tif")


def test_there_are_no_seams(home: Path, model: ls.Model) -> None:
    whole = ls.load_model(home / "old_run" / "models", overrides=["predict.tile=64"])
    found, tiled = whole.predict(home / "whole.tif"), model.predict(home / "whole.tif")
    assert np.abs(found.values_khw.astype(int) - tiled.values_khw).max() <= 1  # sums in another order round otherwise


def test_polygons_are_those_of_the_command_line(home: Path, model: ls.Model) -> None:
    found = model.polygons(model.predict(home / "whole.tif"))
    theirs = read_own(home / "out" / "run" / "features" / "whole.parquet")
    assert found.crs == theirs.crs
    assert len(found) >= 2
    assert found.geometry.normalize().to_wkb().tolist() == theirs.geometry.normalize().to_wkb().tolist()
    assert found[["class_id", "class_name", "score", "area"]].equals(
        theirs[["class_id", "class_name", "score", "area"]]
    )
    assert found.attrs["counts"]["road: kept"] == (theirs["class_name"] == "road").sum()


def test_what_is_written_is_what_the_command_line_writes(home: Path, model: ls.Model, tmp_path: Path) -> None:
    found = model.predict(home / "whole.tif")
    with rasterio.open(found.write(tmp_path / "p.tif")) as ours, rasterio.open(home / "out" / "whole.tif") as theirs:
        assert (ours.read() == theirs.read()).all()
        assert (ours.descriptions, ours.scales, ours.tags()) == (theirs.descriptions, theirs.scales, theirs.tags())
        assert (ours.transform, ours.crs) == (theirs.transform, theirs.crs)
    share = found.probability("road")
    assert share.dtype == np.float32
    assert (np.rint(share * 255) == np.asarray(found)[0]).all()
    with pytest.raises(ls.RecipeError, match=r"p\.png"):
        found.write(tmp_path / "p.png")


def test_an_image_of_another_kind_is_refused_as_there(home: Path, model: ls.Model) -> None:
    image, place = pixels(home, "whole.tif")
    with pytest.raises(ls.DataError, match=r"lies outside of what the models were trained on.*anyway=True"):
        model.predict(image.astype(np.uint16) * 200, **place)
    found = model.predict(image.astype(np.uint16) * 200, **place, anyway=True)
    assert len(found.notes) == 1
    with pytest.raises(ls.DataError, match="pixels of another size"):
        model.predict(image, transform=place["transform"] @ Affine.scale(9), crs=place["crs"])


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # rioxarray's own
def test_a_data_array_gives_the_same_bytes(home: Path, model: ls.Model) -> None:
    rioxarray = pytest.importorskip("rioxarray", reason="xarray is a dependency of development")
    with rioxarray.open_rasterio(home / "whole.tif") as array:
        assert same(model.predict(array), home, "whole.tif")
        assert same(model.predict(array.transpose("y", "x", "band")), home, "whole.tif")
        for found in (ls.trace(array[0] > 100, mode="edge"), ls.burn(ls.trace(array[0] > 100), array)):
            assert found.crs == model.predict(array).crs
        bare = array.drop_vars(["x", "y", "spatial_ref"])
        with pytest.raises(ls.DataError, match="image: no transform"):
            model.predict(bare)
    for masked in (False, True):
        with rioxarray.open_rasterio(home / "holes.tif", masked=masked) as array:
            assert same(model.predict(array, anyway=True), home, "holes.tif")
    with rioxarray.open_rasterio(home / "holes.tif") as array, pytest.raises(ls.DataError, match="NaN or infinite"):
        model.predict(array.rio.write_nodata(None), anyway=True)


def test_it_says_what_it_is(home: Path, model: ls.Model) -> None:
    assert model.sensors == {"RGB": ("red", "green", "blue")}
    assert model.classes == ("road", "house")
    shown = model._repr_html_()
    assert "RGB" in shown
    assert "red, green, blue" in shown
    found = model.predict(home / "holes.tif", anyway=True)
    assert "41 x 53 px" in found._repr_html_()
    assert "road, house" in repr(found)


def test_tiles_are_told(home: Path, model: ls.Model) -> None:
    told: list[tuple[str, int, int]] = []
    model.predict(home / "whole.tif", progress=lambda *what: told.append(what))
    assert told[-1] == ("predict whole", len(told), len(told))
    assert len(told) > 3


def test_a_bar_is_shown_where_it_is_asked_for(home: Path, model: ls.Model, capfd: pytest.CaptureFixture[str]) -> None:
    model.predict(home / "whole.tif", progress=True)
    assert "predict whole: 1 of 4" in capfd.readouterr().err
    model.predict(home / "whole.tif")
    assert capfd.readouterr().err == ""
