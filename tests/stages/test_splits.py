"""Which scenes validate: every split of the recipe on records of prepared scenes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from landscribe.core.features import make_features
from landscribe.core.grid import Grid, Window, dstl_grid
from landscribe.core.legend import DSTL_LEGEND, LandClass, Legend
from landscribe.core.split.places import DSTL_FIVE, dstl_place, stratify
from landscribe.errors import DataError, RecipeError
from landscribe.io.project import Project, open_project
from landscribe.io.project.leaks import refuse_leaks
from landscribe.io.project.splits import draw_split, open_side, split_of
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import Record, Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.io.source.dstl import write_scene, write_tables
from landscribe.io.vector.vectors import write_features
from landscribe.stages.prepare import prepare

IDS = sorted(
    {*DSTL_FIVE, "6140_1_2", "6110_3_1", "6010_1_2", "6010_4_2", "6040_1_0", "6040_1_3", "6060_2_3", "6070_2_3"}
)
ROAD = LandClass(1, "road", "#123456")
FRAME = (0.0125, -0.0113)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with DSTL's ids on tiny images; records of `prepare` are made up."""
    root = tmp_path_factory.mktemp("splits")
    for scene_id in IDS:
        write_scene(root / "d", scene_id, {"RGB": np.ones((3, 41, 53), np.uint16)})
    pixels = np.array([shapely.box(3, 5, 17, 11)], dtype=object)
    ground = dstl_grid(41, 53, *FRAME).pixels_to_ground(pixels)
    labels = make_features(IDS[0], DSTL_LEGEND.by_name("road"), ground)
    write_tables(root / "d", dict.fromkeys(IDS, FRAME), labels, IDS)
    (root / "r.toml").write_text('[data]\nsource = "dstl"\nroot = "d"\n')
    return root


def project_of(home: Path, *overrides: str) -> Project:
    return open_project(load_recipe(home / "r.toml", [f"validate.{o}" for o in overrides]))


def records(roads: dict[str, float] | None = None) -> dict[str, Record]:
    counts = {i: {"labelled pixels": 2173, "area road": (roads or {}).get(i, 0.0)} for i in IDS}
    return {i: Record("prepare", i, "key", {}, counts=counts[i]) for i in IDS}


def split(home: Path, *overrides: str, roads: dict[str, float] | None = None) -> tuple[set[str], set[str]]:
    drawn = draw_split(project_of(home, *overrides), records(roads))
    train, valid = drawn.train, drawn.validate
    assert not set(train) & set(valid)
    assert set(train) | set(valid) == set(IDS)
    return set(train), set(valid)


def test_the_five_images_take_their_twins_along(home: Path) -> None:
    train, valid = split(home, "split=dstl-five")
    assert valid == {*DSTL_FIVE, "6140_1_2", "6110_3_1"}
    assert not {dstl_place(i) for i in train} & {dstl_place(i) for i in valid}


def test_the_five_images_alone_as_they_were(home: Path) -> None:
    train, valid = split(home, "split=dstl-five", "whole_places=false")
    assert valid == set(DSTL_FIVE)
    assert {"6140_1_2", "6110_3_1"} <= train


def test_named_scenes_with_and_without_their_places(home: Path) -> None:
    named = 'scenes=["6110_1_2"]'
    assert split(home, "split=named", named)[1] == {"6110_1_2", "6140_1_2"}
    assert split(home, "split=named", named, "whole_places=false")[1] == {"6110_1_2"}
    assert split(home, "split=named", 'places=["6110_1_2"]', "whole_places=false")[1] == {"6110_1_2", "6140_1_2"}


def test_stratified_goes_by_the_area_of_some_classes(home: Path) -> None:
    roads = {scene: float(10 * k) for k, scene in enumerate(IDS)}
    order = IDS[::-1]
    got = split(home, "split=stratified", 'classes=["road"]', "whole_places=false", roads=roads)[1]
    assert got == set(order[1::4])
    whole = split(home, "split=stratified", 'classes=["road"]', roads=roads)[1]
    assert whole == {i for i in IDS if dstl_place(i) in {dstl_place(v) for v in got}}
    # Of classes without area, ids decide.
    assert split(home, "split=stratified", 'classes=["crop"]', "whole_places=false", roads=roads)[1] == set(order[1::4])


def test_stratify_counts_off() -> None:
    assert stratify({"a": 1.0, "b": 3.0, "c": 2.0, "d": 3.0, "e": 0.0, "f": 0.0}) == {"b", "e"}


def test_random_is_a_function_of_the_seed_and_spares_some(home: Path) -> None:
    first = split(home, "split=random", "share=0.3", 'train=["6010_1_2","6110_1_2"]')
    assert split(home, "split=random", "share=0.3", 'train=["6010_1_2","6110_1_2"]') == first
    draws = [
        draw_split(open_project(load_recipe(home / "r.toml", [f"seed={seed}", "validate.split=random",
                   'validate.train=["6010_1_2","6110_1_2"]'])), records()).validate
        for seed in range(12)
    ]  # fmt: skip
    assert len({tuple(draw) for draw in draws}) > 3
    for draw in draws:
        assert not {"6010_1_2", "6110_1_2", "6140_1_2"} & set(draw)  # the twin of a training scene trains


def test_random_scenes_can_be_drawn_one_by_one(home: Path) -> None:
    sizes = {len(split(home, "split=random", f"share={share}", "whole_places=false")[1]) for share in (0.1, 0.5)}
    assert sizes == {1, 6}


def test_everything_trains(home: Path) -> None:
    assert split(home, "split=none") == (set(IDS), set())


def test_unknown_names_and_contradictions(home: Path) -> None:
    with pytest.raises(RecipeError, match="unknown place or scene, got 6999_0_0"):
        split(home, "split=random", 'train=["6999_0_0"]')
    with pytest.raises(RecipeError, match="stands in scenes and in train"):
        project_of(home, "split=named", 'scenes=["6010_1_2"]', 'train=["6010_1_2"]')
    with pytest.raises(RecipeError, match="unknown class"):
        split(home, "split=stratified", 'classes=["lake"]')


@pytest.fixture(scope="module")
def run(home: Path) -> Run:
    folder = open_run(home / "run")
    prepare(project_of(home), folder)
    return folder


def test_the_corner_of_every_scene_validates(home: Path, run: Run) -> None:
    project = project_of(home, "split=corner", "corner_px=17")
    split = draw_split(project, run.records("prepare"))
    assert split.train == split.validate
    assert set(split.train) == set(IDS)
    scene = open_prepared(run, IDS[0])
    assert split.corners[IDS[0]] == Window(0, 0, 17, 17)
    inner, outer = (open_side(run, IDS[0], split, side) for side in ("validate", "train"))  # type: ignore[arg-type]
    expected = np.zeros((41, 53), bool)
    expected[:17, :17] = True
    assert (inner.read_coverage()[1] == expected).all()
    assert (outer.read_coverage()[1] == ~expected).all()
    assert (outer.read_coverage(Window(11, 13, 19, 23))[1] == ~expected[11:30, 13:36]).all()
    assert inner.labelled_ground().area / scene.grid.footprint.area == pytest.approx(17 * 17 / 41 / 53)
    assert outer.labelled_ground().area / scene.grid.footprint.area == pytest.approx(1 - 17 * 17 / 41 / 53)
    assert not draw_split(project_of(home), run.records("prepare")).corners


def test_a_corner_as_large_as_the_scene_is_refused(home: Path, run: Run) -> None:
    with pytest.raises(RecipeError, match="nothing is left to train on, got corner_px = 41"):
        split_of(project_of(home, "split=corner", "corner_px=41"), run)


def test_there_are_no_folds_of_corners(home: Path, run: Run) -> None:
    project = open_project(
        load_recipe(home / "r.toml", ["validate.split=corner", "validate.corner_px=17", "tune.folds=2"])
    )
    with pytest.raises(RecipeError, match="no folds of a split with corners"):
        draw_split(project, run.records("prepare"))


def test_labels_can_be_grown_and_painted_for_training(home: Path, run: Run, tmp_path: Path) -> None:
    areas = {}
    band = DSTL_LEGEND.index("road")
    settings = {"share": [], "grown": ["grow_px.road=0.5"], "opencv": ["target=opencv"], "gdal": ["target=gdal"]}
    for name, overrides in settings.items():
        project = open_project(
            load_recipe(home / "r.toml", [*(f"prepare.{o}" for o in overrides), f'data.scenes=["{IDS[0]}"]'])
        )
        folder = open_run(tmp_path / name)
        prepare(project, folder)
        scene = open_prepared(folder, IDS[0])
        areas[name] = scene.read_coverage()[0][band].sum() / 255
        record = json.loads((folder.root / ".done" / "prepare" / f"{IDS[0]}.json").read_text())
        assert record["counts"]["area road"] == pytest.approx(areas[name], abs=0.01)
    round_corners = (1 - np.pi / 4) * 0.5**2 * 4
    assert areas == pytest.approx({"share": 84, "grown": 105 - round_corners, "opencv": 105, "gdal": 84}, abs=0.1)


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six scenes, each a place; two pairs share half of their ground, and with it three scenes hang together."""
    root = tmp_path_factory.mktemp("twins")
    for number, east in enumerate((0, 1000, 1014, 2000, 3000, 986)):
        grid = Grid(41, 53, Affine(0.5, 0, 500_000 + east, 0, -0.5, 5_000_000), CRS.from_epsg(32633))
        with write_raster(root / f"s{number}.tif", grid, count=3, dtype="uint8") as writer:
            writer.write(grid.window, np.random.default_rng(number).integers(1, 255, (3, 41, 53), dtype=np.uint8))
        shape = grid.pixels_to_ground(np.array([shapely.box(3, 5, 17, 11)], dtype=object))
        write_features(root / f"s{number}.gpkg", make_features(f"s{number}", ROAD, shape), legend=Legend((ROAD,)))
    (root / "r.toml").write_text(
        '[data]\nsensors.RGB = { path = "{scene}.tif", kind = "rgb8" }\n'
        'labels = { path = "{scene}.gpkg", class = "road" }\n[[classes]]\nname = "road"\n'
    )
    return root


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("how", ["place", "random", "stratified"])
def test_a_drawn_split_keeps_the_same_ground_on_one_side(twins: Path, how: str, seed: int) -> None:
    together = {"s1", "s2", "s5"}
    project = open_project(load_recipe(twins / "r.toml", [f"seed={seed}", f"validate.split={how}"]))
    folder = open_run(twins / f"{how}{seed}")
    prepare(project, folder)
    drawn = split_of(project, folder)
    assert drawn.validate
    assert together <= set(drawn.train) or together <= set(drawn.validate)
    refuse_leaks(project, folder, drawn)
    if "kept on one side" in drawn.why:
        assert "footprints share" in drawn.why


def test_a_split_scene_by_scene_is_refused(twins: Path) -> None:
    overrides = ["validate.split=named", 'validate.scenes=["s1"]', "validate.whole_places=false"]
    project, folder = open_project(load_recipe(twins / "r.toml", overrides)), open_run(twins / "named")
    prepare(project, folder)
    with pytest.raises(DataError, match="footprints share"):
        refuse_leaks(project, folder, split_of(project, folder))
