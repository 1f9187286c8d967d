"""Runs in which touching things come apart: what is learned, kept, read again, and what stays as it was."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from typer.testing import CliRunner

import landscribe
from landscribe.cli.app import app
from landscribe.core.burn import burn_share
from landscribe.core.grid import Window
from landscribe.core.legend import Legend
from landscribe.core.recipe import VectorizeTable
from landscribe.core.separate.border import border_ground
from landscribe.errors import RecipeError
from landscribe.io.models.model_files import read_model
from landscribe.io.project import Project, check_models, open_project, with_models
from landscribe.io.project.borders import border_raster
from landscribe.io.project.splits import split_of
from landscribe.io.project.training import training_jobs
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.runs import Made, Run, make_item, open_run
from landscribe.io.run.tuned import read_tuned
from landscribe.io.settings import load_recipe
from landscribe.nn.network.bundle import from_files
from landscribe.stages.bundles.export import export
from landscribe.stages.bundles.verify import verify
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from landscribe.stages.score import score
from landscribe.stages.train import train
from landscribe.stages.tune import tune
from landscribe.stages.vectorize import vectorize
from portable import EXPORTER_SAYS, has_onnx
from small_data import grid_at, write_bands, write_image, write_polygons
from small_scenes import SHAPE_HW

ROW = [shapely.box(5, 7, 17, 19), shapely.box(17, 7, 31, 17), shapely.box(37, 23, 47, 35)]
"""Two houses that share a wall, and one that stands alone."""
ROAD = shapely.box(3, 29, 29, 33)
RECIPE = """
[data]
sensors.RGB = { path = "img/{scene}.tif", kind = "rgb8" }
labels = { path = "lab/{scene}.gpkg", class_field = "kind" }
[[classes]]
name = "road"
[[classes]]
name = "house"
countable = true
[[models]]
name = "net"
borders = ["house"]
network = { filters = 2, depth = 2 }
chips = { size = 32, context = 4, batch = 2 }
schedule = { epochs = 1, steps = 1 }
[predict]
symmetries = 1
[vectorize]
threshold = { default = 0.01 }
separate = ["house"]
[validate]
split = "named"
scenes = ["s3"]
"""


def write_scenes(folder: Path) -> Path:
    for number in range(4):
        grid = grid_at(3 * number, *SHAPE_HW)
        write_image(folder / "img" / f"s{number}.tif", grid, seed=number)
        write_polygons(folder / "lab" / f"s{number}.gpkg", [*ROW, ROAD], grid, kind=[*["house"] * 3, "road"])
    return folder


def opened(folder: Path, text: str = RECIPE, run: str = "run") -> tuple[Project, Run]:
    (folder / "r.toml").write_text(text)
    return open_project(load_recipe(folder / "r.toml")), open_run(folder / run)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_scenes(tmp_path_factory.mktemp("apart"))
    project, run = opened(folder)
    for stage in (prepare, train, predict, vectorize, score):
        stage(project, run)
    return folder


def bands_of(path: Path) -> tuple[tuple[str | None, ...], np.ndarray]:
    with open_raster(path) as raster:
        return raster.info.descriptions, raster.read()[0]


def test_a_network_learns_where_things_meet_beside_the_classes(home: Path) -> None:
    project, run = opened(home)
    jobs = training_jobs(project, run, split_of(project, run))
    job = jobs["net"]
    assert job.outputs == ("road", "house", "house~border")
    scene = job.scenes(run, "train")[0]
    coverage_khw, known_hw = scene.read_coverage(scene.grid.window)
    assert known_hw.all()
    assert coverage_khw.shape == (3, *SHAPE_HW)
    ground = border_ground(np.array(ROW, dtype=object), 2.0)
    expected = burn_share(ground, SHAPE_HW)
    assert expected.max() == 255
    assert np.abs(coverage_khw[2].astype(int) - expected).max() <= 1  # ground coordinates round
    part = Window(3, 11, 13, 17)
    assert (scene.read_coverage(part)[0] == coverage_khw[:, *part.slices]).all()
    net, spec, _ = from_files(read_model(run.path("models", "net")))
    assert spec.classes == job.outputs
    assert net.unet.head.get_parameter("bias").shape == (3,)
    history = run.path("models", "net", "history.csv").read_text().splitlines()
    row = dict(zip(history[0].split(","), map(float, history[1].split(",")), strict=True))
    named = [row["jaccard/road"], row["jaccard/house"]]
    assert row["valid_jaccard"] == pytest.approx(np.nanmean(named))
    assert "jaccard/house~border" in row


def test_where_things_meet_is_kept_beside_the_probabilities(home: Path) -> None:
    _, run = opened(home)
    path = run.probability("s3")
    names = {str(name) for name in run.records("predict")["s3"].outputs}
    assert names == {"probability/s3.tif", "probability/s3~border.tif"}
    assert bands_of(path)[0] == ("road", "house")
    described, band = bands_of(border_raster(path))
    assert described == ("house~border",)
    assert band.shape == (1, *SHAPE_HW)
    assert set(gpd.read_parquet(run.features("s3"))["class_name"]) <= {"road", "house"}


def test_windows_and_one_pass_give_the_same_bytes(home: Path) -> None:
    whole = [border_raster(opened(home)[1].probability("s3")).read_bytes()]
    for text in ("tile = 32", "tile = 32\n[scale]\nwindow = 32"):
        project, run = opened(home, RECIPE.replace("symmetries = 1", f"symmetries = 1\n{text}"))
        predict(project, run)
        whole.append(border_raster(run.probability("s3")).read_bytes())
    assert whole[1] == whole[2]
    project, run = opened(home)
    predict(project, run)
    assert border_raster(run.probability("s3")).read_bytes() == whole[0]


def test_only_what_depends_on_it_is_made_anew(home: Path) -> None:
    project, run = opened(home, RECIPE.replace('separate = ["house"]', ""))
    assert train(project, run).current == ["net"]
    assert predict(project, run).current == ["s3"]
    assert vectorize(project, run).made == ["s3"]
    project, run = opened(home, RECIPE + "")
    assert vectorize(project, run).made == ["s3"]
    assert vectorize(project, run).current == ["s3"]
    narrower, _ = opened(home, RECIPE.replace("separate =", "neck = 0.2\nseparate ="))
    assert vectorize(narrower, run).made == ["s3"]
    jobs = [training_jobs(p, run, split_of(p, run))["net"] for p in (project, opened(home, _without())[0])]
    assert [job.outputs[2:] for job in jobs] == [("house~border",), ()]
    opened(home)


def _without() -> str:
    return RECIPE.replace('borders = ["house"]\n', "").replace('separate = ["house"]\n', "")


def test_a_run_that_does_not_ask_for_it_is_what_it_was(home: Path) -> None:
    project, run = opened(home, _without(), "plain")
    prepare(project, run)
    job = training_jobs(project, run, split_of(project, run))["net"]
    settings = job.made_from(run.records("prepare"))["settings"]
    assert isinstance(settings, dict)
    assert not {"borders", "border_px", "settling"} & set(settings)
    assert not {"separate", "neck"} & set(VectorizeTable().deciding())
    train(project, run)
    predict(project, run)
    assert list(run.records("predict")["s3"].outputs) == ["probability/s3.tif"]
    opened(home)


def test_finished_models_bring_it_along(home: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "img" / "n0.tif", grid_at(100, *SHAPE_HW), seed=7)
    text = '[data]\nsensors.RGB = { path = "img/{scene}.tif", kind = "rgb8" }\n[predict]\nsymmetries = 1\n'
    project, run = opened(tmp_path, text + '[vectorize]\nthreshold = { default = 0.01 }\nseparate = ["house"]\n')
    models = home / "run" / "models"
    project = with_models(project, models)
    assert project.legend.names == ("road", "house")
    prepare(project, run)
    predict(project, run, models=models)
    described, _ = bands_of(border_raster(run.probability("n0")))
    assert described == ("house~border",)
    assert bands_of(run.probability("n0"))[0] == ("road", "house")
    assert vectorize(project, run).made == ["n0"]


def test_what_cannot_be_is_one_line(home: Path) -> None:
    project, _ = opened(home, RECIPE.replace('borders = ["house"]', 'borders = ["road"]'))
    with pytest.raises(RecipeError, match=r"class 'road': is not countable.*countable = true"):
        check_models(project)
    project, _ = opened(home, RECIPE.replace('separate = ["house"]', 'separate = ["shed"]'))
    with pytest.raises(RecipeError, match="unknown class, got 'shed'"):
        check_models(project)
    project, run = opened(home, RECIPE.replace('separate = ["house"]', 'separate = ["road"]'))
    with pytest.raises(RecipeError, match="class 'road': is not countable"):
        vectorize(project, run)
    for old, new, said in (
        ('borders = ["house"]', 'borders = ["house"]\nkind = "labels"', "borders are learned by networks alone"),
        ('borders = ["house"]', 'borders = ["house"]\nclasses = ["road"]', "borders of 'house', which is none"),
        ('separate = ["house"]', 'separate = ["house"]\nmode = "opencv"', "separate does not go with mode = 'opencv'"),
        ('separate = ["house"]', 'separate = ["house"]\nneck = 0.0', "vectorize.neck"),
    ):
        with pytest.raises(RecipeError, match=said):
            opened(home, RECIPE.replace(old, new))
    opened(home)


BRIDGE = [shapely.box(9, 11, 31, 29), shapely.box(31, 17, 36, 21), shapely.box(36, 11, 59, 29)]
TILED = """
[data]
sensors.RGB = { path = "img/{scene}.tif", kind = "rgb8" }
labels = { path = "lab/{scene}.gpkg", class = "house" }
[[classes]]
name = "house"
countable = true
[[models]]
kind = "labels"
[predict]
scenes = "all"
[validate]
split = "none"
"""


def test_tiles_are_cut_as_one_large_scene(tmp_path: Path) -> None:
    maps = {}
    for name, windows in {
        "whole": [Window(0, 0, 47, 94)],
        "tiles": [Window(0, 0, 47, 47), Window(0, 47, 47, 47)],
    }.items():
        folder, large = tmp_path / name, grid_at(0, 47, 94)
        for number, window in enumerate(windows):
            write_image(folder / "img" / f"t{number}.tif", large.crop(window), seed=number)
            ground = large.pixels_to_ground(np.array([shapely.union_all(BRIDGE)], dtype=object))
            path = folder / "lab" / f"t{number}.gpkg"
            path.parent.mkdir(exist_ok=True)
            gpd.GeoDataFrame(geometry=ground, crs=large.crs).to_file(path)
        project, run = opened(folder, TILED + '[vectorize]\nseparate = ["house"]\nneck = 0.4\n')
        for stage in (prepare, train, predict, vectorize):
            stage(project, run)
        maps[name] = gpd.read_file(run.path("features", "features.gpkg"), layer="features")
    for found in maps.values():
        assert len(found) == 2
    whole, tiles = (sorted(found.geometry, key=lambda g: g.centroid.x) for found in maps.values())
    for one, other in zip(whole, tiles, strict=True):
        assert one.symmetric_difference(other).area < 0.02 * one.area


ABOVE, BELOW = shapely.box(20, 11, 61, 23), shapely.box(20, 23, 61, 37)
"""Their wall crosses the border of the tiles."""


def test_where_things_meet_is_read_among_tiles(tmp_path: Path) -> None:
    large = grid_at(0, 47, 94)
    ground = border_ground(np.array([ABOVE, BELOW], dtype=object), 2.0)
    fields = [burn_share(shapes, large.shape_hw) for shapes in (np.array([ABOVE, BELOW], dtype=object), ground)]
    maps = {}
    for name, windows in {"whole": [large.window], "tiles": [Window(0, 0, 47, 47), Window(0, 47, 47, 47)]}.items():
        folder = tmp_path / name
        for number, window in enumerate(windows):
            grid = large.crop(window)
            write_image(folder / "img" / f"t{number}.tif", grid, seed=number)
            write_polygons(folder / "lab" / f"t{number}.gpkg", [shapely.box(1, 1, 3, 3)], grid)
        project, run = opened(folder, TILED + '[vectorize]\nseparate = ["house"]\n')
        prepare(project, run)
        for number, window in enumerate(windows):
            path, grid = run.probability(f"t{number}"), large.crop(window)
            names = {path: ("house",), border_raster(path): ("house~border",)}
            for (file, bands), field_hw in zip(names.items(), fields, strict=True):
                write_bands(file, field_hw[None, *window.slices], grid, descriptions=bands)
            make_item(run, "predict", f"t{number}", "key", lambda files=tuple(names): Made(files))
        vectorize(project, run)
        found = gpd.read_file(run.path("features", "features.gpkg"), layer="features").geometry
        maps[name] = sorted(found, key=lambda g: -g.centroid.y)
    assert [len(found) for found in maps.values()] == [2, 2]
    for one, other, house in zip(*maps.values(), (ABOVE, BELOW), strict=True):
        true = large.pixels_to_ground(np.array([house], dtype=object))[0]
        assert one.symmetric_difference(other).area < 0.02 * one.area
        assert one.symmetric_difference(true).area < 0.06 * true.area


NEIGHBOURS = [BRIDGE[0], shapely.union_all(BRIDGE[1:])]
"""Two houses that meet in four pixels; as pixels they are one."""


def test_tuning_by_objects_cuts_what_vectorize_cuts(tmp_path: Path) -> None:
    for number in range(7):
        grid = grid_at(3 * number, 47, 71)
        write_image(tmp_path / "img" / f"s{number}.tif", grid, seed=number)
        write_polygons(tmp_path / "lab" / f"s{number}.gpkg", NEIGHBOURS, grid)
    tune_table = '[tune]\nfolds = 2\nby = "objects"\nthresholds = [0.4]\nmin_areas_px = []\n'
    text = TILED.replace('split = "none"', "share = 0.1") + tune_table
    found = {}
    for name, more in {"whole": "", "cut": '[vectorize]\nseparate = ["house"]\nneck = 0.4\n'}.items():
        project, run = opened(tmp_path, text + more)
        for stage in (prepare, train, predict, tune):
            stage(project, run)
        found[name] = read_tuned(run)["classes"]["house"]["f1"]["default"]
    assert found["whole"] == pytest.approx(2 / 3)  # one found, though too large, and one missed
    assert found["cut"] == 1.0


def test_the_legend_never_has_it(home: Path) -> None:
    project, _ = opened(home)
    assert isinstance(project.legend, Legend)
    assert project.legend.names == ("road", "house")


@pytest.mark.skipif(not has_onnx(), reason="the extra landscribe[onnx] is not installed")
@pytest.mark.filterwarnings(*EXPORTER_SAYS)
def test_a_bundle_replays_and_brings_it_along(home: Path, tmp_path: Path) -> None:
    project, run = opened(home)
    export(project, run, tmp_path / "city.zip")
    result = verify(tmp_path / "city.zip")
    assert result.polygons > 0
    write_image(tmp_path / "new" / "img" / "n0.tif", grid_at(100, *SHAPE_HW), seed=7)
    text = '[data]\nroot = "new"\nsensors.RGB = { path = "img/{scene}.tif", kind = "rgb8" }\n'
    (tmp_path / "r.toml").write_text(text + '[predict]\nsymmetries = 1\n[vectorize]\nseparate = ["house"]\n')
    said = CliRunner().invoke(
        app, ["run", str(tmp_path / "r.toml"), "--run", str(tmp_path / "out"), "--models", str(tmp_path / "city.zip")]
    )
    assert said.exit_code == 0, said.output
    names = bands_of(border_raster(Run(tmp_path / "out").probability("n0")))[0]
    assert names == ("house~border",)


def test_a_model_in_memory_predicts_its_classes_alone(home: Path) -> None:
    model = landscribe.load_model(home / "run" / "models")
    assert model.classes == ("road", "house")
    found = model.predict(home / "img" / "s3.tif")
    assert found.values_khw.shape == (2, *SHAPE_HW)
    kept = bands_of(opened(home)[1].probability("s3"))[1]
    assert (found.values_khw == kept).mean() > 0.99
