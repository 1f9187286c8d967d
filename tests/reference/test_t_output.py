"""T9 to T13, T16, T19, T20: thresholds, water, class rules, merging and pictures of method T."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
from affine import Affine
from typer.testing import CliRunner

from landscribe.cli.app import app
from landscribe.core.burn import burn_mask
from landscribe.core.features import join_features, make_features, of_class
from landscribe.core.grid import Grid
from landscribe.core.legend import DSTL_LEGEND
from landscribe.core.recipe import Recipe
from landscribe.core.rules import apply_rules
from landscribe.core.sensors import describe_sensors
from landscribe.core.spectral.indices import find_index
from landscribe.core.spectral.rules import rule_of
from landscribe.io.project import Project, open_project
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.io.source.scenes import sensor_grids
from landscribe.io.source.submissions import EMPTY, read_texts, write_texts
from landscribe.io.vector.wkt_csv import read_wkt_csv
from landscribe.nn.predict.spectral import SpectralScene, spectral_field, spectral_scene
from landscribe.stages.pictures import FILL, draw_scene, pictures
from landscribe.stages.prepare import prepare
from landscribe.stages.train import train
from landscribe.stages.vectorize import vectorize_scene
from scenes import make_arrays

RECIPE = load_recipe("dstl-ternaus").recipe
WATER = load_recipe("dstl-ternaus-water").recipe
KINDS = {"RGB": "worldview3-rgb", "M": "worldview3-m"}
BITS = {"RGB": 11, "M": 11}
BANDS = {
    "RGB": ("red", "green", "blue"),
    "M": ("coastal", "blue", "green", "yellow", "red", "red_edge", "nir1", "nir2"),
}
FAST, SLOW = RECIPE.models[6], RECIPE.models[7]


def pond_scene(rgb_hw: tuple[int, int], wet_rows_m: int, scene_id: str = "6120_0_0") -> SpectralScene:
    """A scene whose first rows of M are water by every rule."""
    height, width = rgb_hw
    sizes = (("RGB", 3, 1), ("M", 8, 4))
    images = {name: np.full((n, height // k, width // k), 300, np.uint16) for name, n, k in sizes}
    m_chw = images["M"]
    m_chw[5], m_chw[6], m_chw[7] = 400, 600, 600
    m_chw[1, :wet_rows_m], m_chw[5, :wet_rows_m], m_chw[6, :wet_rows_m], m_chw[7, :wet_rows_m] = 900, 600, 100, 100
    reference = Grid(height, width, Affine.scale(2.7e-6, -2.7e-6))
    grids = {"RGB": reference, "M": reference.resize(height // 4, width // 4)}
    known = describe_sensors(KINDS, BANDS, BITS).values()
    return spectral_scene(replace(make_arrays(images, sensors=known, name=scene_id), grid=reference, grids=grids))


def found(scene: SpectralScene, model: object) -> int:
    table = model.spectral  # type: ignore[attr-defined]
    field = spectral_field(scene, table, rule_of(table, scene.source.id))
    return int((field(scene.source.grid.window) >= 128).sum())


def test_t09_thresholds_and_areas_are_those_of_the_table() -> None:
    table = RECIPE.vectorize
    expected = {
        "building": (0.3, 5), "structure": (0.3, 5), "road": (0.9, 1000), "track": (0.3, 10), "tree": (0.1, 10),
        "crop": (0.3, 10), "waterway": (0.5, 10000), "standing-water": (0.5, 1000),
    }  # fmt: skip
    assert {n: (table.threshold.of(n), table.min_area.of(n)) for n in expected} == expected
    assert table.min_area.unit == "px"
    assert all(table.simplify_px.of(name) == 0 for name in expected)
    owned = {name for model in RECIPE.models for name in model.classes or ()}
    assert set(DSTL_LEGEND.names) - owned == {"large-vehicle", "small-vehicle"}


def test_t09_no_probability_lies_on_a_threshold() -> None:
    # The original compares strictly; stored probabilities are whole 255ths, and none of its thresholds is one.
    for name in DSTL_LEGEND.names:
        assert abs(255 * RECIPE.vectorize.threshold.of(name) % 1 - 0.5) < 1e-9


# 1000 columns: 125 rows of M are 500 rows of RGB, that is 500,000 pixels.
def test_t10_fast_water_needs_more_than_half_a_million_pixels() -> None:
    assert found(pond_scene((1000, 1000), 125), FAST) == 0
    assert found(pond_scene((1000, 1000), 126), FAST) == 504_000


def test_t11_slow_water_takes_up_to_680_000_pixels() -> None:
    assert found(pond_scene((1000, 1000), 170), SLOW) == 680_000
    assert found(pond_scene((1000, 1000), 171), SLOW) == 0
    # In between both are there.
    assert found(pond_scene((1000, 1000), 150), SLOW) == found(pond_scene((1000, 1000), 150), FAST) == 600_000


def traced(tmp_path: Path, class_name: str, boxes: list[tuple[int, int]], recipe: Recipe = RECIPE) -> list[float]:
    """Areas in pixels of what a recipe keeps of rectangles, given by height and width, in one class."""
    width = 20 + sum(w + 20 for _, w in boxes)
    grid = Grid(20 + max(h for h, _ in boxes) + 20, width, Affine.identity())
    p_khw = np.zeros((10, *grid.shape_hw), np.uint8)
    col = 20
    for height, wide in boxes:
        p_khw[DSTL_LEGEND.index(class_name), 20 : 20 + height, col : col + wide] = 255
        col += wide + 20
    path = tmp_path / "p.tif"
    with write_raster(path, grid, count=10, dtype="uint8", mask=True) as writer:
        writer.write(grid.window, p_khw)
        writer.write_mask(grid.window, np.ones(grid.shape_hw, bool))
    features, _ = vectorize_scene(path, "6100_0_3", recipe, DSTL_LEGEND)
    return sorted(np.round(features["area"].to_numpy(), 3).tolist())


def test_t10_small_ponds_are_no_fast_water(tmp_path: Path) -> None:
    assert traced(tmp_path, "waterway", [(99, 101), (73, 137)]) == [10_001]


def test_t11_areas_of_slow_water(tmp_path: Path) -> None:
    boxes = [(27, 37), (7, 143), (7 * 13, 23 * 43), (300, 301), (300, 899), (400, 700), (500, 601)]
    assert [h * w for h, w in boxes] == [999, 1001, 89_999, 90_300, 269_700, 280_000, 300_500]
    assert traced(tmp_path, "standing-water", boxes) == [1001, 89_999, 280_000]


@pytest.mark.parametrize(("area", "stays"), [(89_999, True), (90_000, False), (280_000, True), (300_000, False)])
def test_t11_limits_of_slow_water_to_the_pixel(area: int, stays: bool) -> None:
    pond = np.array([shapely.box(0, 0, 1, area)], dtype=object)
    features = make_features("x", DSTL_LEGEND.by_name("standing-water"), pond)
    done, _ = apply_rules(features, RECIPE.rules, DSTL_LEGEND, {"x": Grid(300_007, 3, Affine.identity())})
    assert len(done) == stays


def test_t10_the_rule_that_ran_is_not_the_rule_that_was_meant() -> None:
    rng = np.random.default_rng(2)
    red_edge, nir, red = rng.uniform(0.05, 0.5, (3, 4001))
    ran = find_index("water").formula(red_edge, nir) > 0.11
    meant = find_index("ccci").formula(nir, red_edge, red) > 0.11
    assert 0.15 < (ran != meant).mean() < 0.5
    # What the scripts computed: bands divided by 65535 by a resize, red left as it was.
    raw = [np.rint(band * 2047) for band in (red_edge, nir, red)]
    re_, nir_, red_ = raw[0] / 65535, raw[1] / 65535, raw[2]
    script = (nir_ - re_) / (nir_ + re_) * (nir_ - red_) / (nir_ + red_)
    assert np.abs(script - find_index("water").formula(raw[0] / 2047, raw[1] / 2047)).max() < 1e-3
    assert (FAST.spectral.index, FAST.spectral.threshold) == ("water", 0.11)


def test_t12_each_class_comes_from_its_file(tmp_path: Path) -> None:
    keys = [(image, c) for image in ("6120_0_0", "6010_0_1") for c in range(1, 11)]
    write_texts(tmp_path / "sample.csv", [(*key, EMPTY) for key in keys])
    arguments = []
    for k in range(1, 9):
        order = keys if k % 2 else keys[::-1]  # rows are found by name, not by position
        rows = [(i, c, f"MULTIPOLYGON (((0 0, {c} 0, {c} {k}, 0 0)))") for i, c in order]
        write_texts(tmp_path / f"{k}.csv", rows)
        arguments.append(f"{k}={tmp_path / f'{k}.csv'}")
    arguments += ["--sample", str(tmp_path / "sample.csv")]
    done = CliRunner().invoke(app, ["merge", str(tmp_path / "joined.csv"), *arguments])
    assert done.exit_code == 0, done.output
    expected = [f"MULTIPOLYGON (((0 0, {c} 0, {c} {c}, 0 0)))" if c <= 8 else EMPTY for _, c in keys]
    assert list(read_texts(tmp_path / "joined.csv").items()) == list(zip(keys, expected, strict=True))


# Every class is a strip along x; building, slow water, road and fast water lie across all of them along y.
CROSSING = {"building": 0, "standing-water": 300, "road": 600, "waterway": 900}


def cleaned(features: object) -> dict[str, dict[str, float]]:
    """For each class: the area that is left on each of the crossing strips, by name."""
    result = {}
    for name in DSTL_LEGEND.names:
        mine = shapely.union_all(features.geometry[features["class_name"] == name].to_numpy())  # type: ignore[attr-defined]
        result[name] = {
            by: mine.intersection(shapely.box(left, 0, left + 200, 1200)).area for by, left in CROSSING.items()
        }
    return result


def crossing() -> object:
    parts = []
    for k, land_class in enumerate(DSTL_LEGEND):
        polygons = [shapely.box(0, 120 * k + 10, 1200, 120 * k + 110)]
        if land_class.name in CROSSING:
            left = CROSSING[land_class.name]
            polygons.append(shapely.box(left, 0, left + 200, 1200))
        parts.append(make_features("6100_0_3", land_class, shapely.get_parts([shapely.union_all(polygons)])))
    return join_features(parts)


def rules_after_tracing() -> list[object]:
    return [rule for rule in RECIPE.rules if rule.area_window is None and rule.scenes is None]


def test_t13_who_survives_where() -> None:
    grid = Grid(1200, 1200, Affine.identity())
    done, _ = apply_rules(crossing(), rules_after_tracing(), DSTL_LEGEND, {"6100_0_3": grid})  # type: ignore[arg-type]
    left = cleaned(done)
    # 1. Fast water, its strip along x too, clears everything else.
    assert all(left[name]["waterway"] == 0 for name in DSTL_LEGEND.names if name != "waterway")
    assert left["waterway"]["waterway"] == pytest.approx(200 * 1200)
    # 2. Slow water clears road and nothing else.
    assert left["road"]["standing-water"] == 0
    assert left["crop"]["standing-water"] > 0
    # 3. Buildings clear all others.
    assert all(left[name]["building"] == 0 for name in DSTL_LEGEND.names if name not in ("building", "waterway"))
    assert left["waterway"]["building"] > 0  # step 1 has already emptied the ground that they shared
    # 4. Where road is left, no slow water is.
    road, slow = (shapely.union_all(of_class(done, name)) for name in ("road", "standing-water"))
    assert road.intersection(slow).area == 0
    assert left["tree"]["road"] > 0


def test_t13_a_second_run_changes_nothing() -> None:
    grids = {"6100_0_3": Grid(1200, 1200, Affine.identity())}
    once, _ = apply_rules(crossing(), rules_after_tracing(), DSTL_LEGEND, grids)  # type: ignore[arg-type]
    twice, _ = apply_rules(once, rules_after_tracing(), DSTL_LEGEND, grids)  # type: ignore[arg-type]
    assert len(once) == len(twice)
    assert shapely.to_wkb(once.geometry.to_numpy()).tolist() == shapely.to_wkb(twice.geometry.to_numpy()).tolist()


def test_t13_rules_on_a_submission_twice(home: Path, tmp_path: Path) -> None:
    grid = sensor_grids(open_project(load_recipe(home / "r.toml")).scenes.scenes[0])["RGB"]
    shapes = {7: shapely.box(10, 10, 110, 80), 3: shapely.box(60, 20, 150, 30), 1: shapely.box(100, 15, 140, 45)}
    rows = []
    for image in ("6010_0_0", "6020_0_1"):
        for class_id in range(1, 11):
            polygons = grid.pixels_to_ground(np.array([shapes[class_id]])) if class_id in shapes else []
            filled = image == "6010_0_0" and class_id in shapes
            rows.append((image, class_id, shapely.MultiPolygon(list(polygons)).wkt if filled else EMPTY))
    write_texts(tmp_path / "joined.csv", rows)
    for name, result in (("joined.csv", "cleaned_joined.csv"), ("cleaned_joined.csv", "again.csv")):
        files = (str(tmp_path / name), str(tmp_path / result))
        done = CliRunner().invoke(app, ["clean", "dstl-ternaus", *files, "--set", f"data.root={home / 'world'}"])
        assert done.exit_code == 0, done.output
    cleaned, again = (read_wkt_csv(tmp_path / name) for name in ("cleaned_joined.csv", "again.csv"))
    pixels = shapely.area(grid.ground_to_pixels(cleaned.geometries))
    assert list(zip(cleaned.ids, cleaned.class_ids.tolist(), strict=True)) == [row[:2] for row in rows]
    left = {c: a for c, a in zip(cleaned.class_ids[:10].tolist(), pixels[:10].tolist(), strict=True) if a}
    # Water first; the building keeps what is dry, and the road what is neither.
    assert left == pytest.approx({7: 7000, 1: 30 * 30, 3: 10 * 10}, abs=0.01)
    assert pixels[10:].sum() == 0
    assert shapely.to_wkt(cleaned.geometries).tolist() == shapely.to_wkt(again.geometries).tolist()


@pytest.mark.parametrize(
    ("class_name", "limit"), [("waterway", 5000), ("standing-water", 100), ("road", 10), ("tree", 10), ("building", 10)]
)
def test_t13_minimum_areas_after_the_rules(class_name: str, limit: int) -> None:
    side = np.sqrt(limit)
    boxes = np.array([shapely.box(10, 10, 10 + side * s, 10 + side * s) for s in (0.99,)], dtype=object)
    more = shapely.transform(boxes, lambda xy: xy * 1.02 + 300)
    features = make_features("x", DSTL_LEGEND.by_name(class_name), np.concatenate((boxes, more)))
    done, _ = apply_rules(features, rules_after_tracing(), DSTL_LEGEND, {"x": Grid(997, 991, Affine.identity())})  # type: ignore[arg-type]
    assert len(done) == 1
    assert done.geometry.iloc[0].bounds[0] > 200


def test_t16_each_row_of_the_history_is_of_its_epoch(variant: Callable[..., Project], tmp_path: Path) -> None:
    """What an epoch is worth stands there as it was then: a run that ends earlier has the same rows so far."""
    steady = ("models.0.schedule.decay=constant", "models.0.schedule.warmup=0.0", "models.0.schedule.steps=2")
    rows = {}
    for epochs in (1, 3):
        project, folder = variant(*steady, f"models.0.schedule.epochs={epochs}"), open_run(tmp_path / str(epochs))
        prepare(project, folder)
        train(project, folder)
        with folder.path("models", "all", "history.csv").open() as file:
            rows[epochs] = list(csv.DictReader(file))
    columns = [f"{kind}/{name}" for kind in ("loss", "jaccard") for name in DSTL_LEGEND.names]
    assert [rows[1][0][column] for column in columns] == [rows[3][0][column] for column in columns]
    for name in DSTL_LEGEND.names:
        values = [float(row[f"loss/{name}"]) for row in rows[3]]
        assert len(set(values)) == 3
        # A few steps change a loss by a little: what is twice as high is no mean of its epoch.
        assert max(values) < 1.5 * min(values), name


REGIONS = {
    "6060": ("ndvi_nir2", -0.2),
    "6070": ("ndvi_nir2", -0.02),
    "6050": ("ndvi_nir2", -0.02),
    "6080": ("ndvi_nir2", -0.02),
    "6090": ("rei", -0.73),
    "6110": ("rei", -1.7),
    "6120": ("rei", -0.61),
    "6140": ("rei", -0.67),
    "6150": ("rei", -0.6),
    "6170": ("ndvi_nir2", -0.06),
}


def test_t19_each_region_has_its_index_and_threshold() -> None:
    fast, slow = (model.spectral for model in WATER.models)
    for region, (index, threshold) in REGIONS.items():
        for table in (fast, slow):
            rule = rule_of(table, f"{region}_3_1")
            assert (rule.index, rule.threshold, rule.side, rule.empty) == (index, threshold, "below", False), region
    for region in ("6010", "6040", "6160"):
        assert rule_of(fast, f"{region}_0_0").empty
        assert rule_of(slow, f"{region}_0_0").empty
    assert rule_of(fast, "6100_0_2").empty
    assert (rule_of(slow, "6100_0_2").index, rule_of(slow, "6100_0_2").threshold) == ("ndvi_nir2", -0.05)
    # All others go by how low the index falls in the region.
    assert [rule_of(slow, "6020_0_4", lowest=v).threshold for v in (-1.8, -1.7, -0.2)] == [-1.7, -0.6, -0.6]
    assert WATER.prepare.align == "ecc-green"


def test_t19_indices_of_the_water_scripts() -> None:
    blue, red, nir1, nir2 = 0.31, 0.22, 0.41, 0.17
    assert find_index("ndvi_nir1").formula(nir1, red) == pytest.approx((nir1 - red) / (nir1 + red), abs=1e-5)
    assert find_index("ndvi_nir2").formula(nir2, red) == pytest.approx((nir2 - red) / (nir2 + red), abs=1e-5)
    assert find_index("rei").formula(nir2, blue) == pytest.approx(nir2 - blue / nir2 + blue * nir2, abs=1e-4)
    # EVI has its gain here, and has none in the networks of the same method.
    with_gain, without = find_index("evi").formula, find_index("ternaus_evi").formula
    assert with_gain(*np.array([nir2, red, blue])) == pytest.approx(2.5 * without(*np.array([nir2, red, blue])))


@pytest.mark.parametrize(
    ("scene_id", "rows_m", "fast", "slow"),
    [
        ("6120_0_0", 1, 0, 0), ("6120_0_0", 2, 0, 16), ("6120_0_0", 874, 0, 6992), ("6120_0_0", 875, 0, 0),
        ("6120_0_0", 876, 7008, 0), ("6100_0_0", 1, 0, 8), ("6100_0_0", 876, 0, 7008), ("6010_0_0", 20, 0, 0),
    ],
)  # fmt: skip
def test_t19_limits_count_pixels_of_m(scene_id: str, rows_m: int, fast: int, slow: int) -> None:
    # 8 columns of M, 32 of RGB: more than 10 and less than 7000 pixels of M are slow, more than 7000 are fast.
    scene = pond_scene((3600, 32), rows_m, scene_id)
    assert [found(scene, model) for model in WATER.models] == [16 * fast, 16 * slow]


def test_t20_a_picture_of_every_image(project: Project, run: Run) -> None:
    assert set(pictures(project, run).made) == {"6010_0_0", "6010_0_1", "6020_0_0", "6020_0_1"}
    assert not pictures(project, run).made
    for scene_id in run.records("vectorize"):
        image_hwc = cv2.imread(str(run.path("pictures", f"{scene_id}.png")))
        assert image_hwc.shape == (149, 2 * 163 + 8, 3)
        left_hwc, right_hwc = image_hwc[:, :163], image_hwc[:, -163:]
        polygons = run.records("pictures")[scene_id].counts["polygons"]
        assert bool((left_hwc != right_hwc).any()) == bool(polygons)


def test_t20_polygons_are_drawn_where_they_lie_in_the_colours_of_their_classes(run: Run) -> None:
    scene = open_prepared(run, "6010_0_0")
    holed = shapely.box(90, 40, 140, 120).difference(shapely.box(100, 60, 120, 90))
    shapes = {"building": shapely.box(20, 30, 60, 70), "tree": holed}
    parts = [
        make_features(scene.id, DSTL_LEGEND.by_name(name), scene.grid.pixels_to_ground(np.array([shape])))
        for name, shape in shapes.items()
    ]
    drawn_hwc = draw_scene(scene, join_features(parts), DSTL_LEGEND).astype(float)
    left_hwc, right_hwc = drawn_hwc[:, :163], drawn_hwc[:, -163:]

    def inside(shape: shapely.Geometry) -> np.ndarray:
        return burn_mask(np.array([shape]), (149, 163), mode="gdal") > 0

    near_hw = inside(shapely.union_all([shape.buffer(2) for shape in shapes.values()]))
    assert np.array_equal(right_hwc[~near_hw], left_hwc[~near_hw])
    for name, shape in shapes.items():
        colour = np.array([int(DSTL_LEGEND.by_name(name).colour[k : k + 2], 16) for k in (1, 3, 5)])
        filled_hwc = FILL * colour + (1 - FILL) * left_hwc
        assert np.abs(right_hwc - filled_hwc)[inside(shape.buffer(-2))].max() <= 1
        # Outlines are all of the colour, spread over the two pixels beside them.
        outline_hw = inside(shape.boundary.buffer(0.6))
        far = [np.abs(image_hwc - colour)[outline_hw].mean() for image_hwc in (right_hwc, left_hwc)]
        assert far[0] < 0.6 * far[1]
