"""`landscribe predict IMAGE... --models M --out DIR`: no recipe, the models say what they read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
from click.testing import Result
from typer.testing import CliRunner

from landscribe.cli.app import app
from landscribe.errors import DataError, LandscribeError, PartialError, RecipeError
from landscribe.io.project import open_project
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.pipeline import run_pipeline
from landscribe.stages.train import train
from sealed_files import read_values, write_sealed
from small_scenes import SHAPE_HW, train_small, write_image


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models and images: two that lie somewhere, a picture, one with four bands."""
    folder = tmp_path_factory.mktemp("images")
    train_small(folder)
    write_image(folder / "a" / "east one.tif", 5000, 21)
    write_image(folder / "a" / "west.tif", 100, 22)
    write_image(folder / "b" / "west.tif", 7000, 23)
    write_image(folder / "b" / "picture.png", None, 24)
    write_image(folder / "b" / "four.tif", 9000, 25, bands=4)
    return folder


@pytest.fixture
def home(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(trained, tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


def predict(*arguments: str, models: str = "old_run/models", out: str = "out") -> Result:
    return CliRunner().invoke(app, ["predict", *arguments, "--models", models, "--out", out])


def polygons_of(path: Path) -> gpd.GeoDataFrame:
    return pyogrio.read_dataframe(path, layer="features")


def refused(done: Result, kind: type[LandscribeError] = RecipeError) -> str:
    assert isinstance(done.exception, kind), (done.exception, done.output)
    assert "\n" not in str(done.exception)
    return str(done.exception)


def test_images_become_probabilities_and_polygons_where_they_lie(home: Path) -> None:
    done = predict("a/*.tif", "a/west.tif")
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (home / "out").iterdir()) == [
        "east one.tif",
        "features.gpkg",
        "run",
        "west.tif",
    ]
    with open_raster(home / "a" / "west.tif") as image, open_raster(home / "out" / "west.tif") as found:
        assert found.info.grid == image.info.grid
        assert found.info.count == 2
        assert found.info.descriptions == ("road", "house")
        inside = image.info.grid.footprint
    polygons = polygons_of(home / "out" / "features.gpkg")
    assert polygons.crs.to_epsg() == 32633
    assert set(polygons["scene"]) <= {"east one", "west"}
    assert polygons[polygons["scene"] == "west"].geometry.within(inside.buffer(1)).all()


def test_it_is_the_same_as_a_recipe_makes_of_the_same_models(home: Path) -> None:
    assert predict("a/west.tif").exit_code == 0
    (home / "r.toml").write_text(
        '[data]\nroot = "a"\nsensors.RGB = { path = "{scene}.tif", kind = "rgb8" }\n'
        "[predict]\nsymmetries = 1\n[vectorize]\nthreshold = { default = 0.01 }\n"
    )
    run = open_run(home / "run")
    project = open_project(load_recipe("r.toml"))
    assert not any(result.failed for result in run_pipeline(project, run, home / "old_run" / "models"))
    with open_raster(run.probability("west")) as one, open_raster(home / "out" / "west.tif") as other:
        assert (one.read()[0] == other.read()[0]).all()
    ours, theirs = polygons_of(home / "out" / "features.gpkg"), polygons_of(run.path("features", "features.gpkg"))
    theirs = theirs[theirs["scene"] == "west"]
    assert len(ours) == len(theirs) > 0
    assert ours.geometry.area.sum() == pytest.approx(theirs.geometry.area.sum())


def test_settings_can_be_changed(home: Path) -> None:
    done = CliRunner().invoke(app, ["predict", "a/west.tif", "--models", "old_run/models", "--out", "out",
                                    "--set", "vectorize.threshold.default=1.0"])  # fmt: skip
    assert done.exit_code == 0, done.output
    assert len(polygons_of(home / "out" / "features.gpkg")) == 0


def test_images_of_a_second_call_are_added(home: Path) -> None:
    assert predict("a/west.tif").exit_code == 0
    before = (home / "out" / "west.tif").stat().st_mtime_ns
    done = predict("a/east one.tif")
    assert done.exit_code == 0, done.output
    lines = done.stderr.splitlines()
    assert [line for line in lines if "made" in line] == ["prepare: 1 made", "predict: 1 made", "vectorize: 1 made"]
    assert [line for line in lines if "earlier" in line] == ["  beside those of earlier calls, up to date: west"]
    assert (home / "out" / "west.tif").stat().st_mtime_ns == before
    scenes = set(json.loads((home / "out" / "run" / "published.json").read_text())["sources"])
    assert scenes == {"west", "east one"}


def test_pictures_get_a_layer_of_their_own(home: Path) -> None:
    done = predict("b/picture.png", "a/west.tif")
    assert done.exit_code == 0, done.output
    names = {path.name for path in (home / "out").iterdir()}
    assert names == {"picture.tif", "picture.gpkg", "west.tif", "features.gpkg", "run"}
    bounds = polygons_of(home / "out" / "picture.gpkg").total_bounds
    assert (bounds[:2] >= -1).all()
    assert bounds[2] <= SHAPE_HW[1] + 1


def test_a_picture_tagged_as_transparency_is_not_left_out_in_silence(home: Path) -> None:
    with rasterio.open(home / "b" / "four.tif") as dataset:
        profile, bands = dataset.profile, dataset.read()
    profile.pop("photometric", None)
    with rasterio.open(home / "b" / "tagged.tif", "w", **profile, photometric="RGB", alpha="YES") as dataset:
        dataset.write(bands)
    done = predict("b/tagged.tif")
    assert done.exit_code == 0, done.output
    said = " ".join(done.stderr.split())
    assert "tagged: a last band tagged as transparency is a picture, perhaps near infrared, and left out" in said


def test_wrong_band_counts_are_named_and_the_others_go_on(home: Path) -> None:
    done = predict("a/west.tif", "b/four.tif", "b/nothing.tif")
    assert "no such image" in refused(done)
    assert not (home / "out").exists()
    (home / "b" / "text.tif").write_text("no image")
    done = predict("a/west.tif", "b/four.tif", "b/text.tif")
    assert "2 failed, the others are done: four, text" in refused(done, PartialError)
    assert "b/four.tif: wrong number of bands, got 4, need 3 for the models: red, green, blue" in done.stderr.replace(
        "\n", " "
    )
    assert (home / "out" / "west.tif").is_file()
    assert not (home / "out" / "four.tif").exists()
    assert "got 4, need 3" in refused(predict("b/four.tif", out="other"), DataError)
    picked = ["--set", "data.sensors.RGB.bands=[3,2,1]"]
    done = CliRunner().invoke(app, ["predict", "b/four.tif", "--models", "old_run/models", "--out", "picked", *picked])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (
            ("a/west.tif", "b/west.tif"),
            "two images of one name: results of a/west.tif and b/west.tif would be one file",
        ),
        (("a/none*.tif",), "a/none*.tif: no image fits this pattern"),
        (("a",), "a: is a folder, need images; take a/*.tif"),
    ],
)
def test_images_that_cannot_be_meant_are_refused_before_anything_is_done(
    home: Path, images: tuple[str, ...], said: str
) -> None:
    assert said in refused(predict(*images))
    assert not (home / "out").exists()


@pytest.mark.parametrize(
    ("models", "said"), [("a", "no finished model"), ("none", "no such folder"), ("a/west.tif", "is a file")]
)
def test_wrong_models_are_refused_before_anything_is_done(home: Path, models: str, said: str) -> None:
    assert said in refused(predict("a/west.tif", models=models))
    assert not (home / "out").exists()


def test_options_that_do_not_go_together(home: Path) -> None:
    runner = CliRunner()
    for arguments, said in (
        (["a/west.tif", "--models", "old_run/models"], "images without --out"),
        (["a/west.tif", "a/east one.tif", "--run", "r"], "images without --out"),
        (["a/west.tif", "--out", "out"], "images without --models"),
        (["a/west.tif", "--out", "out", "--models", "old_run/models", "--run", "r"], "--run goes with a recipe"),
    ):
        assert said in refused(runner.invoke(app, ["predict", *arguments]))
    assert not (home / "out").exists()


def test_no_image_and_no_other_file_is_written_over(home: Path) -> None:
    before = (home / "a" / "west.tif").read_bytes()
    assert "west.tif: is there already, and no result" in refused(predict("a/west.tif", out="a"))
    assert (home / "a" / "west.tif").read_bytes() == before
    assert not (home / "a" / "run").exists()
    assert predict("a/west.tif").exit_code == 0
    assert "which that of" in refused(predict("b/west.tif"))
    shutil.copy(home / "a" / "east one.tif", home / "out" / "features.gpkg")
    assert "features.gpkg: was changed since it was written" in refused(predict("a/west.tif"))


def test_models_of_several_sensors_or_of_labels_want_a_recipe(home: Path) -> None:
    file = home / "old_run" / "models" / "net" / "model.json"
    content = read_values(file)
    content["spec"]["scales"]["RGB"] = 4.0
    write_sealed(file, content)
    assert "was read beside a finer reference, got pixels 4 times as large" in refused(predict("a/west.tif"))
    content["spec"]["scales"] = {"RGB": 1.0, "MS": 4.0}
    content["spec"]["sensors"].append(content["spec"]["sensors"][0] | {"name": "MS"})
    write_sealed(file, content)
    assert "the models read several sensors of a scene, got RGB, MS, need one; write a recipe" in refused(
        predict("a/west.tif")
    )
    project = open_project(load_recipe("old.toml", ["models=[{name='truth',kind='labels'}]"]))
    shutil.rmtree(home / "old_run" / "models" / "net")
    train(project, open_run(home / "old_run"))
    assert "model 'truth' gives back labels" in refused(predict("a/west.tif"))


def test_a_spectral_rule_says_its_sensor_too(home: Path) -> None:
    overrides = [
        "models=[{name='bright',kind='index',classes=['house'],spectral={index='ndvi',threshold=0.0}}]",
        'data.kinds=[{kind="odd",bands=["nir","red","green"],bits=8}]',
        "data.sensors.RGB.kind=odd",
        'classes=[{name="house",id=4}]',
        'data.labels={path="lab/{scene}.gpkg",class="house"}',
    ]
    project, run = open_project(load_recipe("old.toml", overrides)), open_run(home / "other_run")
    assert not any(result.failed for result in run_pipeline(project, run))
    done = predict("a/west.tif", models="other_run/models")
    assert done.exit_code == 0, done.output
    with open_raster(home / "out" / "west.tif") as found:
        image_chw = found.read()[0]
    assert found.info.descriptions == ("house",)
    assert np.ptp(image_chw) > 0
