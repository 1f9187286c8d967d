from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pyproj import CRS
from shapely.geometry import Polygon, box

from landscribe.core.features import join_features, make_features
from landscribe.core.grid import Grid
from landscribe.core.legend import LandClass, Legend
from landscribe.core.recipe import RuleTable
from landscribe.core.rules import apply_rules
from landscribe.errors import DataError, RecipeError

ROAD, WATER, CAR = (LandClass(k, name, "#000000") for k, name in ((3, "road"), (7, "water"), (9, "car")))
LEGEND = Legend((ROAD, WATER, CAR))
GRID = Grid(61, 47, Affine.identity())


def rule(**table: object) -> RuleTable:
    return RuleTable.model_validate(table)


def features(*rows: tuple[LandClass, Polygon, float], scene: str = "a", crs: CRS | None = None) -> gpd.GeoDataFrame:
    return join_features(
        make_features(scene, c, np.array([g], dtype=object), score=s, area=g.area, crs=crs) for c, g, s in rows
    )


def apply(
    frame: gpd.GeoDataFrame, *rules: RuleTable, grid: Grid = GRID
) -> tuple[gpd.GeoDataFrame, list[dict[str, int]]]:
    return apply_rules(frame, rules, LEGEND, dict.fromkeys(frame["scene"], grid))


def areas(frame: gpd.GeoDataFrame) -> list[float]:
    return [round(a, 6) for a in frame["area"]]


def test_erase_takes_ground_from_all_others_and_drops_what_is_covered():
    frame = features((ROAD, box(0, 0, 10, 2), 0.9), (WATER, box(4, 0, 6, 20), 0.8), (CAR, box(4.5, 5, 5.5, 6), 0.7))
    out, [count] = apply(frame, rule(erase={"from": "*", "by": "water"}))
    assert list(out["class_name"]) == ["road", "road", "water"]
    assert areas(out) == [8.0, 8.0, 40.0]
    assert list(out["score"]) == [0.9, 0.9, 0.8]
    assert count["dropped, erased whole"] == 1
    assert count["added, split off"] == 1


def test_erase_leaves_what_merely_touches_to_the_last_bit():
    frame = features((ROAD, box(0, 0, 1 / 3, 2), 0.9), (WATER, box(1 / 3, 0, 6, 20), 0.8))
    out, _ = apply(frame, rule(erase={"from": "road", "by": "water"}))
    assert shapely.to_wkb(out.geometry.iloc[0]) == shapely.to_wkb(frame.geometry.iloc[0])


def test_rules_work_in_declared_order():
    frame = features((ROAD, box(0, 0, 10, 2), 0.9), (WATER, box(4, 0, 6, 20), 0.8))
    first, _ = apply(frame, rule(drop_small=10.0), rule(erase={"from": "road", "by": "water"}))
    second, _ = apply(frame, rule(erase={"from": "road", "by": "water"}), rule(drop_small=10.0))
    assert areas(first) == [8.0, 8.0, 40.0]
    assert areas(second) == [40.0]


def test_clip_to_a_class_and_to_the_scene():
    frame = features((CAR, box(-2, 0, 2, 2), 0.5), (CAR, box(20, 20, 21, 21), 0.5), (ROAD, box(-9, 0, 1, 9), 0.9))
    out, [count] = apply(frame, rule(classes="car", clip="road"))
    assert areas(out) == [6.0, 90.0]
    assert count["dropped, outside of the clip"] == 1
    out, _ = apply(frame, rule(clip="scene"))
    assert areas(out) == [4.0, 1.0, 9.0]


def test_choices_by_area_score_and_rank():
    frame = features(*((CAR, box(0, 0, 1, k), k / 10) for k in range(1, 6)), (ROAD, box(0, 0, 1, 1), float("nan")))
    assert areas(apply(frame, rule(drop_small=3.0, classes="car"))[0]) == [3.0, 4.0, 5.0, 1.0]
    assert areas(apply(frame, rule(area_window={"min": 2.0, "max": 4.0}))[0]) == [2.0, 3.0, 4.0]
    assert areas(apply(frame, rule(min_score=0.35))[0]) == [4.0, 5.0, 1.0]
    assert areas(apply(frame, rule(keep_largest=2))[0]) == [4.0, 5.0, 1.0]


def test_shapes_change_as_the_rule_says():
    ring = Polygon(
        box(0, 0, 10, 10).exterior.coords, [box(2, 2, 3, 3).exterior.coords, box(5, 5, 8, 8).exterior.coords]
    )
    frame = features((ROAD, ring, 0.5))
    out, [count] = apply(frame, rule(fill_holes=2.0))
    assert areas(out) == [91.0]
    assert count["holes filled"] == 1
    assert areas(apply(frame, rule(buffer=1.0))[0]) == [143.0]
    assert areas(apply(frame, rule(close=0.6))[0]) == [91.0]
    bar = features((ROAD, shapely.union(box(0, 0, 4, 4), box(4, 1, 20, 1.5)), 0.5))
    assert areas(apply(bar, rule(open=0.3))[0]) == [16.0]
    assert areas(apply(bar, rule(simplify=0.01))[0]) == [24.0]
    gone, [count] = apply(bar, rule(buffer=-3.0))
    assert len(gone) == 0
    assert count["dropped, vanished"] == 1


def test_merge_joins_touching_polygons_of_one_class_with_the_mean_score():
    frame = features(
        (ROAD, box(0, 0, 3, 1), 0.6),
        (ROAD, box(3, 0, 4, 1), 1.0),
        (ROAD, box(9, 0, 10, 1), 0.2),
        (CAR, box(1, 0, 2, 2), 0.1),
    )
    out, [count] = apply(frame, rule(merge_touching=True))
    assert areas(out) == [4.0, 1.0, 2.0]
    assert list(out["score"]) == pytest.approx([0.7, 0.2, 0.1])
    assert count["joined to others"] == 1


def test_close_joins_across_a_gap():
    frame = features((ROAD, box(0, 0, 3, 1), 0.6), (ROAD, box(3.5, 0, 5, 1), 0.6), (ROAD, box(9, 0, 10, 1), 0.2))
    out, _ = apply(frame, rule(close=0.3))
    assert areas(out) == [5.0, 1.0]


def test_vote_keeps_what_two_of_three_cover():
    frame = features((ROAD, box(0, 0, 4, 4), 0.6), (WATER, box(2, 0, 6, 4), 0.8), (CAR, box(3, 0, 9, 4), 0.7))
    out, [count] = apply(frame, rule(classes="car", vote={"sources": ("road", "water", "car"), "at_least": 2}))
    assert areas(out) == [16.0]
    assert out.geometry.iloc[0].equals(box(2, 0, 6, 4))
    assert count["after"] == 1
    out, _ = apply(frame, rule(classes="car", vote={"sources": ("road", "water", "car"), "at_least": 3}))
    assert out.geometry.iloc[0].equals(box(3, 0, 4, 4))
    assert out["score"].iloc[0] == pytest.approx(0.7)


def test_places_and_scenes_stay_apart():
    frame = join_features([features((ROAD, box(0, 0, 4, 4), 0.6), scene=s) for s in ("a", "b")])
    grids = {"a": GRID, "b": GRID}
    out, _ = apply_rules(frame, [rule(buffer=1.0, places=("north",))], LEGEND, grids, places={"b": "north"})
    assert areas(out) == [16.0, 36.0]
    assert list(out["scene"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("transform", "crs", "area"),
    [
        (Affine(0.5, 0, 500000, 0, -0.5, 5000000), CRS.from_epsg(32631), 36.0),
        (Affine(1e-5, 0, 6, 0, -1e-5, 60), CRS.from_epsg(4326), 36.0),
        (Affine(2e-6, 0, 0, 0, -2e-6, 0), None, None),
    ],
)
def test_lengths_are_metres_with_a_crs_and_pixels_without(transform: Affine, crs: CRS | None, area: float | None):
    grid = Grid(61, 47, transform, crs)
    height_m, width_m = grid.pixel_size_m or (1.0, 1.0)
    square = grid.pixels_to_ground(np.array([box(5, 5, 5 + 4 / width_m, 5 + 4 / height_m)], dtype=object))
    frame = make_features("a", ROAD, square, area=16.0, crs=crs)
    out, _ = apply(frame, rule(buffer=1.0), grid=grid)
    assert out["area"].iloc[0] == pytest.approx(area or 36.0, rel=1e-6)
    assert out.crs == crs


@pytest.mark.parametrize("shear_deg", [13.0, -31.0])
def test_rules_are_true_on_a_sheared_grid(shear_deg: float):
    transform = Affine.translation(500_000, 5_000_000) @ Affine.shear(shear_deg, 5) @ Affine.scale(0.5, -0.5)
    grid = Grid(61, 47, transform, CRS.from_epsg(32631))
    square = np.array([box(500_003, 4_999_990, 500_007, 4_999_994)], dtype=object)
    frame = make_features("a", ROAD, square, area=16.0, crs=grid.crs)
    out, _ = apply(frame, rule(buffer=1.0), grid=grid)
    assert out["area"].iloc[0] == pytest.approx(36.0, rel=2e-3)  # UTM shortens by 0.0004
    assert out.geometry.area.iloc[0] == pytest.approx(36.0, rel=2e-3)
    kept, _ = apply(frame, rule(drop_small=15.9), grid=grid)
    assert len(kept) == 1
    assert not len(apply(frame, rule(drop_small=16.1), grid=grid)[0])


def test_mistakes_are_named():
    frame = features((ROAD, box(0, 0, 4, 4), 0.6))
    with pytest.raises(RecipeError, match=r"rule 2 .drop_small.: unknown class, got 'raod'"):
        apply(frame, rule(drop_small=1.0), rule(drop_small=1.0, classes="raod"))
    with pytest.raises(DataError, match="scene 'a': no grid"):
        apply_rules(frame, [rule(drop_small=1.0)], LEGEND, {})
    with pytest.raises(ValidationError, match=r"exactly one action .* has none"):
        rule(classes="road")
    with pytest.raises(ValidationError, match="has drop_small and buffer"):
        rule(drop_small=1.0, buffer=2.0)
    with pytest.raises(ValidationError, match="2 sources and wants 3"):
        rule(classes="car", vote={"sources": ("road", "water"), "at_least": 3})


boxes = st.tuples(
    st.sampled_from((ROAD, WATER, CAR)), st.tuples(*[st.integers(0, 40)] * 2), st.tuples(*[st.integers(1, 15)] * 2)
)
tables = st.sampled_from(
    [
        {"erase": {"from": "*", "by": "water"}},
        {"erase": {"from": ("road", "car"), "by": "*"}},
        {"classes": "car", "clip": ("road", "water")},
        {"clip": "scene"},
        {"drop_small": 20.0},
        {"keep_largest": 2},
        {"buffer": -1.5},
        {"open": 1.0},
        {"close": 1.0},
        {"simplify": 1.0},
        {"merge_touching": True},
        {"classes": "car", "vote": {"sources": ("road", "water"), "at_least": 2}},
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(boxes, min_size=1, max_size=12), st.lists(tables, min_size=1, max_size=4))
def test_any_rules_keep_polygons_valid_and_counts_add_up(placed, chosen):
    frame = features(*((c, box(x, y, x + w, y + h), 0.5) for c, (x, y), (w, h) in placed))
    out, counts = apply(frame, *(rule(**table) for table in chosen))
    assert shapely.is_valid(out.geometry.to_numpy()).all()
    assert (shapely.area(out.geometry.to_numpy()) > 0).all()
    assert np.allclose(out["area"], shapely.area(out.geometry.to_numpy()))
    before = len(frame)
    for count in counts:
        assert count["before"] == before
        gone = sum(n for reason, n in count.items() if reason.startswith(("dropped", "joined")))
        added = sum(n for reason, n in count.items() if reason.startswith("added"))
        assert count["after"] == before - gone + added
        before = count["after"]
    assert len(out) == before


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.2, 6.0))
def test_simplify_keeps_its_distance_and_the_holes(seed, tolerance):
    rng = np.random.default_rng(seed)
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    around = np.c_[np.cos(turn), np.sin(turn)]
    shell, hole = (around * rng.uniform(low, high, (60, 1)) + 25 for low, high in ((12, 16), (7, 11.5)))
    before = Polygon(shell, [hole])
    out, _ = apply(features((ROAD, before, 0.5)), rule(simplify=tolerance))
    [after] = out.geometry
    assert after.is_valid
    assert len(after.interiors) == 1
    rings = [(one.exterior, one.interiors[0]) for one in (before, after)]
    for old, new in zip(*rings, strict=True):
        assert shapely.hausdorff_distance(old, new, densify=0.1) <= tolerance + 1e-9


def test_what_has_no_area_on_the_ground_is_dropped_and_counted():
    # So far from the origin that neighbouring numbers are wider apart than the scene.
    grid = Grid(61, 47, Affine(1e-6, 0, 1e12, 0, -1e-6, 1e12))
    frame = features((CAR, box(1e12, 1e12 - 1, 1e12 + 1, 1e12), 0.5))
    out, [count] = apply(frame, rule(clip="scene"), grid=grid)
    assert len(out) == 0
    assert count["dropped, without area on the ground"] == count["before"] - count["after"] == 1


@settings(max_examples=30, deadline=None)
@given(st.lists(boxes, min_size=1, max_size=12))
def test_erase_leaves_exactly_the_ground_of_the_difference(placed):
    frame = features(*((c, box(x, y, x + w, y + h), 0.5) for c, (x, y), (w, h) in placed))
    out, _ = apply(frame, rule(erase={"from": "road", "by": "water"}))
    ground = {n: shapely.union_all(frame.geometry[frame["class_name"] == n].to_numpy()) for n in ("road", "water")}
    left = shapely.union_all(out.geometry[out["class_name"] == "road"].to_numpy())
    assert left.symmetric_difference(ground["road"].difference(ground["water"])).area < 1e-9
