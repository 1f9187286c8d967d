from __future__ import annotations

import json

import numpy as np
import pytest
from shapely import box

from landscribe.core.features import make_features
from landscribe.core.legend import LandClass, Legend
from landscribe.core.score.areas import Areas
from landscribe.core.score.compare import Alone, compare_scores
from landscribe.core.score.measure import Measured
from landscribe.core.score.score import Score, Unit
from landscribe.core.score.scores import score_features, summarise
from landscribe.errors import DataError

LEGEND = Legend((LandClass(1, "house", "#B22222"), LandClass(2, "field", "#D9C84A")))


def make(tables: np.ndarray, *, legend: Legend = LEGEND, places: int | None = None, unit: Unit = "m2") -> Score:
    """A score of (S, K, 3) areas."""
    measures = {
        f"s{i}": {name: Measured(Areas(*map(float, row[k]))) for k, name in enumerate(legend.names)}
        for i, row in enumerate(tables)
    }
    return summarise(measures, legend, {f"s{i}": f"p{i % (places or len(tables))}" for i in range(len(tables))}, unit)


def hard_and_easy(rng: np.random.Generator, gain: float) -> np.ndarray:
    """Places that differ greatly among each other, found `gain` better."""
    truth = np.full((23, 2), 100.0)
    share = np.clip(rng.uniform(0.1, 0.8, (23, 1)) + gain + rng.normal(0, 0.004, (23, 2)), 0, 1)
    return np.stack((truth * share, np.zeros_like(truth), truth * (1 - share)), -1)


def test_a_small_steady_gain_is_real_although_the_intervals_overlap():
    first, second = (make(hard_and_easy(np.random.default_rng(5), gain)) for gain in (0.0, 0.02))
    one, other = first.classes["house"].polygon, second.classes["house"].polygon
    assert other.low < one.high
    row = compare_scores(first, second).classes["house"]
    assert row.real is True
    assert row.difference == pytest.approx(0.02)
    assert 0 < row.low < 0.02 < row.high < 0.04


def test_noise_is_not_real():
    rng = np.random.default_rng(8)
    first, second = (make(hard_and_easy(rng, 0.0) * rng.uniform(0.5, 2, (23, 1, 1))) for _ in range(2))
    result = compare_scores(first, second)
    assert [row.real for row in (*result.classes.values(), result.mean)] == [False] * 3


def test_exchanging_the_sides_turns_the_sign():
    rng = np.random.default_rng(2)
    first, second = (make(rng.uniform(0, 9, (7, 2, 3))) for _ in range(2))
    there, back = compare_scores(first, second).mean, compare_scores(second, first).mean
    assert there.difference == pytest.approx(-back.difference)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))


def test_a_run_does_not_differ_from_itself():
    score = make(np.random.default_rng(3).uniform(1, 9, (5, 2, 3)))
    row = compare_scores(score, score).mean
    assert (row.difference, row.low, row.high, row.real) == (0, 0, 0, False)


def test_only_what_both_have_is_compared():
    rng = np.random.default_rng(4)
    tables = rng.uniform(1, 9, (5, 2, 3))
    first, second = make(tables), make(tables[:3, :1], legend=Legend(LEGEND.classes[:1]), places=5)
    result = compare_scores(first, second)
    assert result.scenes == ("s0", "s1", "s2")
    assert list(result.classes) == ["house"]
    assert result.only_first == Alone(("s3", "s4"), ("field",))
    assert result.mean.difference == 0


def test_a_class_empty_on_one_side_is_in_neither_mean():
    first = make(np.array([[[1, 0, 1], [0, 0, 0]], [[1, 0, 1], [0, 0, 0]]], float))
    second = make(np.array([[[1, 0, 1], [0, 5, 0]], [[1, 0, 1], [0, 5, 0]]], float))
    result = compare_scores(first, second)
    assert result.mean.first == result.mean.second == 0.5
    assert result.classes["field"].first is None
    assert result.classes["field"].difference is None
    assert json.loads(result.to_json())["classes"]["field"]["difference"] is None


def test_one_place_tells_by_its_scenes_and_one_piece_cannot_tell():
    tables = np.random.default_rng(6).uniform(1, 9, (3, 2, 3))
    row = compare_scores(make(tables, places=1), make(tables + 1, places=1)).mean
    assert row.basis == "scenes"
    assert row.low < row.high
    row = compare_scores(make(tables[:1]), make(tables[:1] + 1)).mean
    assert row.real is row.low is row.basis is None


def test_one_scene_tells_by_its_parts():
    true = [box(10 * i, 10 * j, 10 * i + 5, 10 * j + 5) for i in range(9) for j in range(9)]
    truth = make_features("a", LEGEND.by_name("house"), np.array(true))
    sides = (truth.assign(geometry=truth.translate(shift, 0)) for shift in (2.0, 1.0))
    row = compare_scores(*(score_features(side, truth, LEGEND) for side in sides)).classes["house"]
    assert row.basis == "parts"
    assert row.real is True
    assert row.difference == pytest.approx(4 / 6 - 3 / 7)


def test_what_cannot_be_compared_is_refused():
    tables = np.ones((2, 2, 3))
    score = make(tables)
    with pytest.raises(DataError, match="no scene in both"):
        compare_scores(score, make(tables[:0]))
    with pytest.raises(DataError, match="no class in both"):
        compare_scores(score, make(tables[:, :1], legend=Legend((LandClass(1, "lake", "#000000"),))))
    with pytest.raises(DataError, match="units differ, got m2 and px2"):
        compare_scores(score, make(tables, unit="px2"))
    with pytest.raises(DataError, match="'s1' lies in two places"):
        compare_scores(score, make(tables, places=1))


def test_scenes_with_other_labels_are_named():
    tables = np.full((3, 2, 3), 7.0)
    moved = tables.copy()
    moved[0, :, 0], moved[0, :, 2] = 9.0, 5.0  # found better, of the same truth
    moved[2, 1, 2] += 1e-3
    assert compare_scores(make(tables), make(moved)).other_truth == ("s2",)
    assert compare_scores(make(tables), make(tables * (1 + 1e-12))).other_truth == ()
