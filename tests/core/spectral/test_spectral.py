"""Spectral rules on arrays: which rule a scene has, its sides and gates, and the search against a plain loop."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscribe.core.recipe import GateTable, SearchTable, SpectralRowTable, SpectralTable, SwitchTable
from landscribe.core.spectral.rules import (
    Scan,
    SceneRule,
    grade,
    holds,
    needs_lowest,
    passes,
    rule_of,
    scan,
    settle,
    thresholds_of,
)


def table(**settings: object) -> SpectralTable:
    return SpectralTable.model_validate_json(json.dumps(settings))


def test_a_threshold_is_strict_and_nan_is_nowhere() -> None:
    values = np.array([[0.1, 0.11, 0.12, np.nan]])
    assert holds(values, SceneRule("water", 0.11, "above", GateTable())).tolist() == [[False, False, True, False]]
    assert holds(values, SceneRule("water", 0.11, "below", GateTable())).tolist() == [[True, False, False, False]]


@given(
    st.lists(st.floats(-2, 2) | st.just(float("nan")), min_size=1, max_size=31),
    st.floats(-1, 1),
    st.sampled_from(["above", "below"]),
    st.sampled_from([0.0, 1e-6, 0.02, 5.0]),
)
def test_half_of_the_probability_is_the_threshold(
    values: list[float], threshold: float, side: str, soft: float
) -> None:
    rule = SceneRule("water", threshold, side, GateTable())  # type: ignore[arg-type]
    values_hw = np.array([values])
    assert ((grade(values_hw, rule, soft) >= 128) == holds(values_hw, rule)).all()


def test_a_soft_rule_grows_with_distance() -> None:
    rule = SceneRule("water", 0.5, "below", GateTable())
    graded = grade(np.linspace(0, 1, 41)[None], rule, 0.1)[0].astype(int)
    assert (np.diff(graded) <= 0).all()
    assert graded[0] > 250
    assert graded[-1] < 5
    assert graded[16] == round(255 / (1 + np.exp(-1)))  # one width below the threshold


@pytest.mark.parametrize(
    ("settings", "found", "expected"),
    [
        ({}, 0, True),
        ({"above": 500.0}, 500, False),
        ({"above": 500.0}, 501, True),
        ({"up_to": 680.0}, 680, True),
        ({"up_to": 680.0}, 681, False),
        ({"above": 0.05, "unit": "share"}, 50, False),
        ({"above": 0.05, "unit": "share"}, 51, True),
        ({"above": 400.0, "unit": "m2"}, 100, False),
        ({"above": 400.0, "unit": "m2"}, 101, True),
    ],
)
def test_gates_open_by_amount(settings: dict[str, object], found: int, expected: bool) -> None:
    assert passes(GateTable.model_validate(settings), found, 1000, 4.0) is expected


def test_the_first_row_that_names_a_scene_counts() -> None:
    rows = (
        SpectralRowTable(scenes=("6100_0_2",), empty=True),
        SpectralRowTable(scenes=("6060_*", "6100_*"), index="rei", threshold=-0.2, side="below", gate=GateTable()),
    )
    rule = SpectralTable(rows=rows, gate=GateTable(above=10.0), switch=SwitchTable(below=-1.7, threshold=-1.7))
    assert rule_of(rule, "6100_0_2").empty
    assert rule_of(rule, "6100_4_4", lowest=-9.0) == SceneRule("rei", -0.2, "below", GateTable())
    assert rule_of(rule, "6090_0_0") == SceneRule("water", 0.11, "above", GateTable(above=10.0))
    assert rule_of(rule, "6090_0_0", lowest=-1.7).threshold == 0.11
    assert rule_of(rule, "6090_0_0", lowest=-1.71).threshold == -1.7
    assert [needs_lowest(rule, i) for i in ("6060_1_1", "6090_0_0")] == [False, True]
    assert not needs_lowest(table(), "6090_0_0")


@pytest.mark.parametrize("side", ["above", "below"])
def test_one_pass_counts_what_each_threshold_alone_would(side: str) -> None:
    rng = np.random.default_rng(1)
    values = rng.choice(np.round(np.arange(-1, 1, 0.05), 10), 997)  # many on a threshold
    values[::13] = np.nan
    truth = rng.random(997) < 0.3
    thresholds = thresholds_of(SearchTable(indices=("water",), low=-0.7, high=0.8, step=0.1))
    expected = []
    for threshold in thresholds:
        with np.errstate(invalid="ignore"):
            found = values > threshold if side == "above" else values < threshold
        expected.append([(found & truth).sum(), (found & ~truth).sum(), (~found & truth).sum()])
    assert scan(values, truth, thresholds, side).tolist() == np.array(expected).tolist()  # type: ignore[arg-type]


def counted(**best: tuple[int, int]) -> dict[str, Scan]:
    """Scenes of 100 pixels of water; each finds 80 of them, 10 too many, with its own index and threshold."""
    scans = {}
    for scene, (index, threshold) in best.items():
        counts = np.zeros((2, 3, 3), np.int64)
        counts[..., 2] = 100
        counts[index, threshold] = (80, 10, 20)
        scans[scene] = Scan(counts)
    return scans


def test_a_search_finds_each_region_its_rule() -> None:
    rule = table(search={"indices": ["water", "rei"], "low": 0.1, "high": 0.4, "step": 0.1})
    scans = counted(a_1=(0, 2), a_2=(0, 2), b_1=(1, 0)) | {"c_1": Scan(np.zeros((2, 3, 3), np.int64))}
    found = settle(rule, scans, dict.fromkeys(scans, "p"))
    assert (found.index, found.threshold) == ("water", 0.3)
    rows = {row.scenes: (row.index, row.threshold) for row in found.rows}
    assert rows == {("a_*",): ("water", 0.3), ("b_*",): ("rei", 0.1)}
    assert rule_of(found, "c_1").index == "water"


def test_a_search_leaves_rows_of_the_recipe_in_front() -> None:
    rule = table(
        rows=[{"scenes": ("a_9",), "empty": True}], search={"indices": ("water", "rei"), "by": "all", "high": 1.0}
    )
    assert settle(rule, counted(a_1=(1, 1)), {"a_1": "a"}).rows == rule.rows


def test_the_largest_scene_of_a_region_can_decide_alone() -> None:
    search = {"indices": ["water", "rei"], "low": 0.1, "high": 0.4, "step": 0.1, "pick": "largest"}
    scans = counted(a_1=(0, 0), a_2=(0, 0), a_3=(1, 2))
    scans["a_3"] = Scan(scans["a_3"].counts_it3 * 2)
    assert settle(table(search=search), scans, dict.fromkeys(scans, "a")).threshold == 0.3
    pooled = table(search=search | {"pick": "pooled"})
    many = counted(a_1=(0, 0), a_2=(0, 0), a_4=(0, 0)) | {"a_3": scans["a_3"]}
    assert settle(pooled, many, dict.fromkeys(many, "a")).threshold == 0.1


def test_nothing_to_find_changes_nothing() -> None:
    rule = table(search={"indices": ["water", "rei"]})
    empty = {"a_1": Scan(np.zeros((2, 400, 3), np.int64))}
    assert settle(rule, empty, {"a_1": "a"}) == rule
    assert len(thresholds_of(rule.search)) == 400  # type: ignore[arg-type]


def test_a_search_needs_some_thresholds() -> None:
    with pytest.raises(ValueError, match="1 to 100000"):
        SearchTable(indices=("water",), low=1.0, high=0.0)
