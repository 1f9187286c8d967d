from __future__ import annotations

import json
import math

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from shapely import Point, Polygon, box

from landscribe.core.features import empty_features, join_features, make_features
from landscribe.core.grid import Grid
from landscribe.core.legend import LandClass, Legend
from landscribe.core.score.areas import Areas, Matches, polygon_areas, sum_areas
from landscribe.core.score.intervals import bootstrap, interval
from landscribe.core.score.measure import Measured, metres_per_unit
from landscribe.core.score.parts import part_areas
from landscribe.core.score.rows import MeanObjects, MeanRow, ObjectRow
from landscribe.core.score.score import Score, areas_table
from landscribe.core.score.scores import mean_over_classes, score_features, summarise
from landscribe.errors import DataError

LEGEND = Legend((LandClass(1, "house", "#B22222", countable=True), LandClass(2, "field", "#D9C84A")))
NAMES = LEGEND.names
UTM = CRS.from_epsg(32737)


def some(scene: str, name: str, *polygons: object, crs: CRS | None = None) -> gpd.GeoDataFrame:
    out = np.empty(len(polygons), dtype=object)
    out[:] = polygons
    return make_features(scene, LEGEND.by_name(name), out, crs=crs)


def measured(**scenes: tuple[tuple[float, float, float], tuple[float, float, float]]) -> dict[str, dict[str, Measured]]:
    return {
        scene: {"house": Measured(Areas(*house)), "field": Measured(Areas(*field))}
        for scene, (house, field) in scenes.items()
    }


def own(measures: dict[str, dict[str, Measured]]) -> dict[str, str]:
    return {scene: scene for scene in measures}


def test_areas_are_summed_before_they_are_divided():
    measures = measured(a=((9, 1, 0), (1, 0, 0)), b=((0, 10, 80), (1, 1, 1)))
    score = summarise(measures, LEGEND, own(measures), "m2")
    assert score.classes["house"].polygon.jaccard == 0.09
    assert score.classes["field"].polygon.jaccard == 0.5
    assert score.mean.polygon.jaccard == pytest.approx(0.295)
    assert score.classes["house"].polygon.precision == 0.45
    assert score.scenes["b"]["house"].polygon == Areas(0, 10, 80)


def test_an_empty_class_is_left_out_or_counts_zero():
    measures = measured(a=((1, 1, 0), (0, 0, 0)), b=((1, 1, 0), (0, 0, 0)))
    skipped = summarise(measures, LEGEND, own(measures), "m2")
    assert skipped.classes["field"].polygon.jaccard is None
    assert skipped.mean.polygon.jaccard == 0.5
    assert skipped.conventions.empty_classes == ("field",)
    zero = summarise(measures, LEGEND, own(measures), "m2", empty="zero")
    assert zero.mean.polygon == MeanRow(0.25, 0.25, 0.25, "places")
    assert zero.conventions.empty != skipped.conventions.empty


def test_the_best_evidence_there_is_makes_the_interval_and_is_named():
    measures = measured(a=((1, 1, 0), (1, 0, 0)), b=((1, 0, 0), (0, 0, 0)))
    together = summarise(measures, LEGEND, {"a": "town", "b": "town"}, "m2")
    apart = summarise(measures, LEGEND, own(measures), "m2")
    for score, basis in ((together, "scenes"), (apart, "places")):
        house, field = (score.classes[name].polygon for name in LEGEND.names)
        assert (house.low, house.high, house.basis) == (0.5, 1.0, basis)
        assert (field.low, field.basis) == (None, None)  # one piece: a width of zero would be a lie
        assert score.mean.polygon.basis == basis
    assert apart.classes["field"].places == 1


def test_a_class_of_one_scene_gets_its_interval_from_parts_of_that_scene():
    truth = join_features(
        [some("a", "house", *(box(10 * i, 10 * j, 10 * i + 4, 10 * j + 4) for i in range(9) for j in range(9)))]
    )
    shifted = truth.assign(
        geometry=[g if k % 3 else box(*(np.array(g.bounds) + 1)) for k, g in enumerate(truth.geometry)]
    )
    score = score_features(shifted, truth, LEGEND, {"a": Grid(97, 101, Affine.identity())})
    house, mean = score.classes["house"].polygon, score.mean.polygon
    assert (house.basis, mean.basis) == ("parts", "parts")
    assert house.low < house.jaccard < house.high
    assert (mean.low, mean.high) == (house.low, house.high)
    parts = np.array(score.scenes["a"]["house"].parts)
    assert len(parts) == 16
    assert parts.sum(0) == pytest.approx([house.tp, house.fp, house.fn])
    two = score_features(*(join_features([s, s.assign(scene="b")]) for s in (shifted, truth)), LEGEND)
    assert two.classes["house"].polygon.basis == "places"
    assert two.scenes["a"]["house"].parts == ()


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=25, deadline=None)
def test_parts_add_up_to_the_whole(seed, cut):
    rng = np.random.default_rng(seed)
    sides = [np.array([Point(*rng.uniform(-5, 52, 2)).buffer(rng.uniform(1, 15)) for _ in range(7)]) for _ in range(2)]
    region = box(3, 4, 40, 50) if cut else None
    whole = polygon_areas(*sides, region)
    parts = sum_areas(part_areas(*sides, (0.0, 0.0, 47.0, 61.0), region))
    assert (parts.tp, parts.fp, parts.fn) == pytest.approx((whole.tp, whole.fp, whole.fn), abs=1e-6)


def test_places_are_drawn_not_scenes():
    scenes = {f"s{i}": ((1.0, float(i % 2), 0.0), (0.0, 0.0, 0.0)) for i in range(40)}
    measures = measured(**scenes)
    many = summarise(measures, LEGEND, own(measures), "m2").classes["house"].polygon
    halves = summarise(measures, LEGEND, {s: f"p{int(s[1:]) % 2}" for s in scenes}, "m2").classes["house"].polygon
    assert many.jaccard == halves.jaccard
    assert halves.high - halves.low > many.high - many.low
    assert (halves.low, halves.high) == (0.5, 1.0)


def test_a_scene_without_place_is_refused():
    with pytest.raises(DataError, match="without a place, got b"):
        summarise(measured(a=((1, 0, 0),) * 2, b=((1, 0, 0),) * 2), LEGEND, {"a": "a"}, "m2")


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(17)
    covered = 0
    for _ in range(200):
        truth = rng.uniform(50, 150, 40)
        found = truth * rng.beta(6, 3, 40)  # mean share 2/3
        table = np.stack((found, np.zeros(40), truth - found), -1)[:, None]
        sums = bootstrap(table, 400, 3)
        ends = interval(sums[:, 0, 0] / sums[:, 0].sum(-1))
        covered += ends.low <= 2 / 3 <= ends.high
    assert 0.88 <= covered / 200 <= 0.99


def test_the_bootstrap_is_reproducible_and_keeps_whole_places():
    table = np.arange(2 * 3 * 3, dtype=float).reshape(2, 3, 3)
    assert np.array_equal(bootstrap(table, 13, 5), bootstrap(table, 13, 5))
    first, both, second = table[0] * 2, table[0] + table[1], table[1] * 2
    for drawn in bootstrap(table, 29, 7):
        assert any(np.array_equal(drawn, option) for option in (first, both, second))


@given(st.lists(st.tuples(*[st.floats(0, 1e6)] * 3), min_size=2, max_size=9), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_an_interval_lies_between_the_worst_and_the_best_place(places, seed):
    table = np.array(places)[:, None, :]
    each = [Areas(*place).jaccard for place in places]
    sums = bootstrap(table, 50, seed)[:, 0]
    with np.errstate(invalid="ignore"):
        ends = interval(sums[:, 0] / sums.sum(-1))
    if not math.isnan(ends.low):
        assert np.nanmin(each) - 1e-9 <= ends.low <= ends.high <= np.nanmax(each) + 1e-9


def test_the_mean_over_classes_by_hand():
    table = np.array([[0.5, math.nan, 0.1], [math.nan, math.nan, math.nan]])
    assert mean_over_classes(table)[0] == pytest.approx(0.3)
    assert math.isnan(mean_over_classes(table)[1])
    assert mean_over_classes(table, "zero") == pytest.approx([0.2, 0])


def test_features_end_to_end_by_hand():
    truth = join_features(
        [
            some("a", "house", box(0, 0, 2, 2), box(5, 0, 7, 2)),
            some("a", "field", box(0, 0, 9, 9)),
            some("b", "field", box(0, 0, 3, 3)),
        ]
    )
    predicted = join_features([some("a", "house", box(0, 0, 2, 1)), some("b", "field", box(0, 0, 3, 4))])
    score = score_features(predicted, truth, LEGEND, boundary=1.0)
    house = score.classes["house"]
    assert (house.polygon.tp, house.polygon.fp, house.polygon.fn) == (2, 0, 6)
    ends = {"low": None, "high": None, "basis": None}
    assert house.objects == ObjectRow(0.5, 1.0, 0.5, 2 / 3, tp=1, fp=0, fn=1, merged=0, fragmented=0, **ends)
    assert score.mean.objects.f1 == 2 / 3
    assert score.classes["field"].objects is None
    assert score.classes["field"].polygon.jaccard == pytest.approx(9 / 93)
    assert 0 < score.mean.boundary.jaccard < 1
    assert score.mean.pixel is None
    assert score.unit == "unit2"
    assert Score.from_json(score.to_json()) == score


def test_objects_have_an_interval_of_their_f1_over_places():
    there, nowhere = Measured(Areas(1, 0, 0), objects=Matches(3, 1, 1)), Measured(Areas(1, 0, 0))
    worse = Measured(Areas(1, 0, 1), objects=Matches(1, 2, 3, merged=1))
    measures = {"a": {"house": there, "field": nowhere}, "b": {"house": worse, "field": nowhere}}
    score = summarise(measures, LEGEND, {"a": "x", "b": "y"}, "m2")
    house = score.classes["house"].objects
    assert (house.f1, house.basis, house.merged) == (8 / 15, "places", 1)
    # A place drawn twice gives its own F1: 6/8 and 2/7, each in a quarter of the draws.
    assert (house.low, house.high) == (pytest.approx(2 / 7), pytest.approx(6 / 8))
    assert score.mean.objects == MeanObjects(house.f1, house.low, house.high, "places")
    older = json.loads(score.to_json())
    for key in ("merged", "fragmented", "low", "high", "basis"):
        del older["classes"]["house"]["objects"][key]
    assert Score.from_json(json.dumps(older)).classes["house"].objects.merged is None


def test_exchanging_the_sides_exchanges_what_is_invented_and_what_is_missed():
    rng = np.random.default_rng(11)
    one, other = (
        join_features(some(s, n, *(box(*p, *(p + 7)) for p in rng.uniform(0, 40, (5, 2)))) for s in "ab" for n in NAMES)
        for _ in range(2)
    )
    there, back = score_features(one, other, LEGEND, boundary=1.0), score_features(other, one, LEGEND, boundary=1.0)
    for name in NAMES:
        row, turned = there.classes[name], back.classes[name]
        assert (row.polygon.tp, row.polygon.fp, row.polygon.fn) == pytest.approx(
            (turned.polygon.tp, turned.polygon.fn, turned.polygon.fp)
        )
        assert (row.polygon.precision, row.polygon.recall) == pytest.approx(
            (turned.polygon.recall, turned.polygon.precision)
        )
        assert (row.polygon.low, row.polygon.high) == pytest.approx((turned.polygon.low, turned.polygon.high))
        assert row.boundary.jaccard == pytest.approx(turned.boundary.jaccard)
    assert there.classes["house"].objects.fp == back.classes["house"].objects.fn
    assert there.mean.polygon.jaccard == pytest.approx(back.mean.polygon.jaccard)


def test_pixels_stand_beside_polygons():
    truth = some("a", "house", box(0, 0, 2, 2))
    score = score_features(truth, truth, LEGEND, pixel={"a": {"house": Areas(3, 1, 0), "field": Areas(0, 0, 0)}})
    assert score.classes["house"].pixel.jaccard == 0.75
    assert score.mean.pixel.jaccard == 0.75
    assert score.mean.polygon.jaccard == 1


def test_only_scenes_with_a_place_are_scored():
    truth = join_features([some("a", "house", box(0, 0, 2, 2)), some("b", "house", box(0, 0, 2, 2))])
    score = score_features(empty_features(), truth, LEGEND, places={"a": "x", "c": "y"})
    assert set(score.scenes) == {"a", "c"}
    assert score.classes["house"].polygon.fn == 4


def test_the_region_counts_in_ground_coordinates():
    grid = Grid(53, 41, Affine(0.5, 0, 300_000, 0, -0.5, 9_700_000), UTM)
    x, y = 300_000, 9_700_000
    truth = some("a", "field", box(x, y - 10, x + 10, y), crs=UTM)
    predicted = some("a", "field", box(x + 5, y - 10, x + 15, y), crs=UTM)
    score = score_features(predicted, truth, LEGEND, {"a": grid}, {"a": box(x, y - 10, x + 10, y)})
    row = score.classes["field"].polygon
    assert row.jaccard == pytest.approx(0.5)
    assert row.fp == 0
    assert row.tp == pytest.approx(50 * grid.pixel_area / 0.25, rel=1e-9)
    assert score.unit == "m2"


def test_scores_do_not_depend_on_the_coordinates():
    grid = Grid(53, 41, Affine(0.5, 0, 300_000, 0, -0.5, 9_700_000), UTM)
    truth = some("a", "house", box(300_001, 9_699_980, 300_013, 9_699_999), crs=UTM)
    predicted = some("a", "house", box(300_003, 9_699_980, 300_014, 9_699_997), crs=UTM)
    with_grid = score_features(predicted, truth, LEGEND, {"a": grid}, boundary=1.5).classes["house"]
    without = score_features(predicted, truth, LEGEND, boundary=1.5).classes["house"]
    degrees = score_features(predicted.to_crs(4326), truth.to_crs(4326), LEGEND, boundary=1.5).classes["house"]
    for other in (without, degrees):
        assert other.polygon.tp == pytest.approx(with_grid.polygon.tp, rel=1e-4)
        assert other.polygon.jaccard == pytest.approx(with_grid.polygon.jaccard, rel=1e-5)
        assert other.boundary.jaccard == pytest.approx(with_grid.boundary.jaccard, rel=1e-3)


def test_a_degree_is_as_long_as_it_is():
    x_m, y_m = metres_per_unit(CRS.from_epsg(4326), 30.0, 60.0)
    assert x_m == pytest.approx(55_800, rel=1e-3)
    assert y_m == pytest.approx(111_412, rel=1e-3)
    x_m, y_m = metres_per_unit(CRS.from_epsg(3857), 0.0, 8_399_737.89)  # latitude 60
    assert (x_m, y_m) == pytest.approx((0.5008, 0.4999), rel=3e-3)


def test_sides_of_different_crs_are_refused():
    with pytest.raises(DataError, match="differ in CRS"):
        score_features(some("a", "house", box(0, 0, 1, 1), crs=UTM), some("a", "house", box(0, 0, 1, 1)), LEGEND)


def test_a_point_among_the_polygons_is_refused():
    with pytest.raises(DataError, match="POINT"):
        score_features(some("a", "house", Point(0, 0)), some("a", "house", box(0, 0, 1, 1)), LEGEND)


def test_repaired_polygons_are_counted():
    bow_tie = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    score = score_features(some("a", "house", bow_tie), some("a", "house", box(0, 0, 2, 2)), LEGEND)
    assert score.conventions.repaired_polygons == 1


def test_nothing_at_all_still_gives_a_score():
    score = score_features(empty_features(), empty_features(), LEGEND)
    assert score.mean.polygon == MeanRow(None, None, None, None)
    assert score.scenes == {}


def test_the_number_of_threads_changes_nothing():
    rng = np.random.default_rng(3)
    sides = [
        join_features(
            some(f"s{i}", "house", *(box(*p, *(p + 5)) for p in rng.uniform(0, 30, (13, 2)))) for i in range(7)
        )
        for _ in range(2)
    ]
    assert score_features(*sides, LEGEND, workers=1) == score_features(*sides, LEGEND, workers=3)


def test_areas_are_read_back():
    measures = measured(a=((1, 2, 3), (4, 5, 6)))
    score = summarise(measures, LEGEND, own(measures), "m2")
    assert areas_table(score, ["a"], ["field", "house", "lake"], "polygon").tolist() == [
        [[4, 5, 6], [1, 2, 3], [0, 0, 0]]
    ]
