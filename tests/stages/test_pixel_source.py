"""Laws of a `PixelSource`, for scenes on disk, with rasters open, and for arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from landscribe.core.grid import Window
from landscribe.core.pixel_source import PixelSource
from landscribe.core.recipe import ModelTable
from landscribe.errors import DataError, RecipeError
from landscribe.io.project import check_models, open_project
from landscribe.io.run.prepared import PreparedScene, open_prepared
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.nn.network.bundle import model_spec
from landscribe.nn.train.decoded import decode_scenes, in_memory
from landscribe.stages.prepare import prepare
from landscribe.stages.world import write_world
from landscribe.worlds.world import WorldSpec
from small_scenes import RECIPE, write_image, write_labels

WANTED, CLASSES = ("M", "RGB"), [4, 1]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    write_world(folder / "world", WorldSpec(scenes=1, height=149, width=163, seed=4))
    (folder / "r.toml").write_text('[data]\nsource = "dstl"\nroot = "world"\n')
    prepare(open_project(load_recipe(folder / "r.toml")), open_run(folder / "run"))
    return folder


@pytest.fixture(scope="module")
def prepared(home: Path) -> PreparedScene:
    return open_prepared(open_run(home / "run"), "6010_0_0")


@pytest.fixture(params=["prepared", "open", "arrays"])
def source(request: pytest.FixtureRequest, prepared: PreparedScene) -> Iterator[PixelSource]:
    if request.param == "open":
        with prepared.open_rasters(WANTED) as opened:
            yield opened
    elif request.param == "arrays":
        yield decode_scenes([prepared], WANTED, range(10), in_memory).scenes[0]
    else:
        yield prepared


def test_a_window_is_that_part_of_the_whole(source: PixelSource) -> None:
    for name in WANTED:
        grid, sensor = source.grids[name], source.sensors[name]
        image_chw, valid_hw = source.read(name, grid.window)
        assert image_chw.shape == (len(sensor.bands), *grid.shape_hw)
        assert valid_hw.shape == grid.shape_hw
        assert image_chw.dtype.name == source.dtype(name)
        assert (sensor.name, valid_hw.dtype) == (name, np.bool_)
        window = Window(2, 3, grid.height - 7, 11)
        part_chw, known_hw = source.read(name, window)
        assert np.array_equal(part_chw, image_chw[:, *window.slices])
        assert np.array_equal(known_hw, valid_hw[window.slices])


def test_coverage_lies_on_the_reference_grid(source: PixelSource) -> None:
    coverage_khw, labelled_hw = source.read_coverage(source.grid.window)
    assert (coverage_khw.shape, coverage_khw.dtype) == ((10, *source.grid.shape_hw), np.uint8)
    window = Window(31, 29, 37, 41)
    part_khw, known_hw = source.read_coverage(window)
    assert coverage_khw[:, *window.slices].any()
    assert np.array_equal(part_khw, coverage_khw[:, *window.slices])
    assert np.array_equal(known_hw, labelled_hw[window.slices])


def test_all_of_them_show_the_same_scene(source: PixelSource, prepared: PreparedScene) -> None:
    assert (source.id, source.grid) == (prepared.id, prepared.grid)
    for name in WANTED:
        assert source.grids[name] == prepared.grids[name]
        assert source.sensors[name] == prepared.sensors[name]
        for ours, theirs in zip(source.read(name, source.grids[name].window), prepared.read(name), strict=True):
            assert np.array_equal(ours, theirs)


def test_decoding_takes_the_sensors_and_classes_it_is_asked_for(prepared: PreparedScene) -> None:
    [arrays] = decode_scenes([prepared], WANTED, CLASSES, in_memory).scenes
    assert tuple(arrays.images_chw) == tuple(arrays.grids) == tuple(arrays.sensors) == WANTED
    assert np.array_equal(arrays.coverage_khw, prepared.read_coverage()[0][CLASSES])


def test_corners_that_do_not_count_are_not_labelled(prepared: PreparedScene) -> None:
    corner = Window(0, 0, 61, 53)
    for scene in (replace(prepared, within=corner), replace(prepared, without=corner)):
        [arrays] = decode_scenes([scene], WANTED, CLASSES, in_memory).scenes
        assert arrays.labelled_hw[corner.slices].any() == (scene.within is not None)
        assert arrays.labelled_hw[61:].any() == (scene.within is None)


def test_open_rasters_are_read_from_there_and_closed(prepared: PreparedScene) -> None:
    with prepared.open_rasters(["M"]) as source:
        raster = source.opened["M"]
        assert source.read("M", Window(0, 0, 2, 3))[0].shape == (8, 2, 3)
        assert set(source.opened) == {"M"}
        assert source.read("RGB", Window(0, 0, 2, 3))[0].shape == (3, 2, 3)
    with pytest.raises(Exception, match=r"closed|read"):
        raster.read(Window(0, 0, 2, 3))


def test_arrays_of_another_size_than_their_grid_are_told(prepared: PreparedScene) -> None:
    [arrays] = decode_scenes([prepared], WANTED, CLASSES, in_memory).scenes
    with pytest.raises(DataError, match=r"scene '6010_0_0': array, got \(148, 163\), need \(149, 163\)"):
        replace(arrays, labelled_hw=arrays.labelled_hw[1:])
    with pytest.raises(DataError, match="array, got"):
        replace(arrays, images_chw={**arrays.images_chw, "M": arrays.images_chw["RGB"]})


def test_a_model_is_described_by_any_of_them(source: PixelSource) -> None:
    table = ModelTable.model_validate({"inputs": {"sensors": WANTED}})
    spec = model_spec(table, ("tree",), [source])
    assert [sensor.name for sensor in spec.sensors] == list(WANTED)
    assert spec.scales["RGB"] == pytest.approx(1)
    assert spec.scales["M"] == pytest.approx(4, rel=0.05)
    with pytest.raises(RecipeError, match="sensor 'X' is not in scene '6010_0_0'"):
        model_spec(ModelTable.model_validate({"inputs": {"sensors": ("X",)}}), ("tree",), [source])


def test_a_spectral_rule_of_two_classes_is_told_before_anything_is_trained(home: Path) -> None:
    rule = '[[models]]\nname = "water"\nkind = "index"\nclasses = ["waterway", "standing-water"]\n'
    (home / "two.toml").write_text((home / "r.toml").read_text() + rule)
    with pytest.raises(RecipeError, match="model 'water': a spectral rule owns, got 2, need one class"):
        check_models(open_project(load_recipe(home / "two.toml")))


def test_a_scene_that_was_prepared_anew_is_opened_anew(tmp_path: Path) -> None:
    for number in (1, 4):
        grid = write_image(tmp_path / "old" / "img" / f"o{number}.tif", 1000 * number, number)
        write_labels(tmp_path / "old" / "lab" / f"o{number}.gpkg", grid)
    (tmp_path / "r.toml").write_text(RECIPE)
    run, places = open_run(tmp_path / "run"), []
    for more in ((), ("data.place='at {scene}'",)):
        assert prepare(open_project(load_recipe(tmp_path / "r.toml", more)), run).made == ["o1", "o4"]
        places.append(open_prepared(run, "o1").place)
    assert places == ["o1", "at o1"]
    assert open_prepared(run, "o1") is open_prepared(run, "o1")
