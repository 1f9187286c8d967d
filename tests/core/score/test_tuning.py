from __future__ import annotations

import numpy as np
import pytest
import shapely
from pydantic import ValidationError

from landscribe.core.recipe import Recipe, TuneTable
from landscribe.core.score.areas import polygon_areas
from landscribe.core.score.tuning import (
    Candidates,
    Choice,
    Evidence,
    candidates_of,
    choose,
    fewer_views,
    filtered_areas,
    flat_truth,
    nested_areas,
    tune_class,
)
from landscribe.core.trace import trace

DEFAULT = Choice(0.5, 4.0)
CANDIDATES = Candidates((0.5, 0.2, 0.8), (4.0, 0.0), (("open", 1.0), ("buffer", -0.5)), (0.5,), (90.0,), (1, 4))


def noisy(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    field_hw = rng.normal(0.35, 0.2, (61, 83))
    field_hw[7:37, 11:53] += 0.35
    return np.clip(255 * field_hw, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("mode", ["contour", "edge"])
@pytest.mark.parametrize("partly", [False, True])
def test_minimum_areas_from_arrays_are_those_of_tracing(mode: str, partly: bool) -> None:
    field_hw, truth = noisy(3), np.array([shapely.box(10, 6, 55, 40), shapely.box(60, 2, 63, 7)])
    ground = np.array([shapely.box(0, 0, 31, 61), shapely.box(40, 0, 83, 30)]) if partly else None
    limits = [0.0, 1.7, 6.3, 23.9]
    everything = trace(field_hw, mode=mode, threshold=0.45).geometries
    assert sum(len(p.interiors) for p in everything) > 10
    found_a3 = filtered_areas(everything, flat_truth(truth, ground), limits, ground)
    region = None if ground is None else shapely.union_all(ground)
    for row, limit in zip(found_a3, limits, strict=True):
        ours = trace(field_hw, mode=mode, threshold=0.45, min_area_px=limit).geometries
        expected = polygon_areas(ours, truth, region)
        assert row == pytest.approx([expected.tp, expected.fp, expected.fn], abs=1e-6)


def test_a_filled_hole_counts_for_the_minimum_area() -> None:
    frame = shapely.box(0, 0, 5, 4).difference(shapely.box(1, 1, 4, 3))  # 14 with a hole of 6
    truth = np.array([shapely.box(2, 1, 5, 4)])
    rows = filtered_areas(np.array([frame]), truth, [0.0, 6.5, 14.5, 20.5])
    assert rows.tolist() == [[5, 9, 4], [9, 11, 0], [9, 11, 0], [0, 0, 9]]


def test_holes_stay_where_they_have_a_limit_of_their_own() -> None:
    field_hw, truth = noisy(5), np.array([shapely.box(10, 6, 55, 40)])
    everything = trace(field_hw, threshold=0.45, min_hole_px=9.1).geometries
    rows = filtered_areas(everything, truth, [0.0, 23.9], fill=False)
    for row, limit in zip(rows, [0.0, 23.9], strict=True):
        expected = polygon_areas(trace(field_hw, threshold=0.45, min_area_px=limit, min_hole_px=9.1).geometries, truth)
        assert row == pytest.approx([expected.tp, expected.fp, expected.fn], abs=1e-6)


def test_nothing_predicted_is_all_missed() -> None:
    truth = np.array([shapely.box(0, 0, 3, 5)])
    assert filtered_areas(np.empty(0, dtype=object), truth, [0.0, 2.0]).tolist() == [[0, 0, 15]] * 2


def areas(best: dict[int, Choice], places: int, bonus: float = 2.0):
    """Measure so that at each place the choices that share more with its best one are better."""

    def measure(choice: Choice) -> np.ndarray:
        table_p3 = np.full((places, 3), (5.0, 5.0, 5.0))
        for place, wanted in best.items():
            names = ("threshold", "min_area", "reshape", "simplify", "max_area", "symmetries")
            table_p3[place, 0] += bonus * sum(getattr(choice, n) == getattr(wanted, n) for n in names)
        return table_p3

    return measure


def test_the_search_finds_each_part_of_the_choice() -> None:
    wanted = Choice(0.2, 0.0, "buffer", -0.5, 0.5, 90.0, 4)
    found = choose(areas({0: wanted, 1: wanted}, 2), CANDIDATES, DEFAULT, np.arange(2))
    assert found == wanted


def test_the_default_wins_ties() -> None:
    assert choose(areas({}, 3), CANDIDATES, DEFAULT, np.arange(3)) == DEFAULT


def test_a_place_does_not_choose_for_itself() -> None:
    # Each place alone is best with a threshold of its own; the others know nothing of it.
    own = {0: Choice(0.2, 4.0), 1: Choice(0.8, 4.0), 2: DEFAULT}
    measure = areas(own, 3, bonus=1.0)
    nested_p3 = nested_areas(measure, CANDIDATES, DEFAULT, 3)
    together = [choose(measure, CANDIDATES, DEFAULT, np.array(others)) for others in ([1, 2], [0, 2], [0, 1])]
    assert nested_p3.tolist() == [measure(c)[p].tolist() for p, c in enumerate(together)]
    assert nested_p3[0, 0] < measure(own[0])[0, 0]


def test_a_gain_that_every_place_has_is_accepted() -> None:
    wanted = Choice(0.2, 4.0)
    found = tune_class(areas(dict.fromkeys(range(6), wanted), 6), CANDIDATES, DEFAULT, Evidence(6, 6, 40))
    assert found.used == found.chosen == wanted
    assert found.gain.low > 0
    assert found.value_nested > found.value_default


def test_objects_are_told_by_their_f1_and_chosen_alike() -> None:
    wanted = Choice(0.2, 4.0)
    measure, evidence = areas(dict.fromkeys(range(6), wanted), 6), Evidence(6, 6, 40)
    by_area, by_objects = (tune_class(measure, CANDIDATES, DEFAULT, evidence, objects=o) for o in (False, True))
    assert by_objects.used == by_area.used == wanted
    tp, fp, fn = measure(wanted).sum(0)
    assert by_objects.value_chosen == pytest.approx(2 * tp / (2 * tp + fp + fn))
    assert by_area.value_chosen == pytest.approx(tp / (tp + fp + fn))
    before = measure(DEFAULT).sum(0)[0]
    assert by_objects.gain.low == pytest.approx(by_objects.value_chosen - before / (before + (fp + fn) / 2))


def test_a_gain_of_one_place_alone_is_refused() -> None:
    found = tune_class(areas({0: Choice(0.2, 4.0)}, 6), CANDIDATES, DEFAULT, Evidence(6, 6, 40))
    assert found.chosen.threshold == 0.2
    assert found.used == DEFAULT
    assert "may be nothing" in found.refused


@pytest.mark.parametrize("evidence", [Evidence(9, 5, 40), Evidence(5, 5, 40), Evidence(0, 0, 0)])
def test_thin_evidence_keeps_the_default(evidence: Evidence) -> None:
    wanted = Choice(0.2, 4.0)
    measure = areas(dict.fromkeys(range(evidence.places), wanted), evidence.places)
    found = tune_class(measure, CANDIDATES, DEFAULT, evidence)
    assert found.used == DEFAULT
    assert "needs 6 places" in found.refused


def test_candidates_are_in_ground_units_and_begin_with_the_default() -> None:
    table = TuneTable(thresholds=(0.3, 0.5), min_areas_px=(4.0,), buffer_px=(-0.5,), simplify_px=(1.0,))
    found = candidates_of(table, Choice(0.5, 9.0), length=0.31, area=0.0961)
    assert found.thresholds == (0.5, 0.3)
    assert found.min_areas == (9.0, 0.3844)
    assert ("buffer", -0.155) in found.reshapes
    assert found.simplify == (0.31,)
    assert found.max_areas == (961.0, 9610.0)


def test_a_largest_area_becomes_a_window_before_other_rules() -> None:
    rules = Choice(0.5, 4.0, "open", 1.0, 0.0, 90.0).rules("lake")
    assert [rule.action for rule in rules] == ["area_window", "open"]
    assert rules[0].area_window.max == 90.0
    assert Choice(0.5, 4.0).rules("lake") == []


def test_only_fewer_views_are_tried_and_none_where_classes_compete() -> None:
    recipe = Recipe.model_validate({"data": {"source": "dstl"}, "predict": {"class_symmetries": {"lake": 4}}})
    assert fewer_views(recipe, ["lake"]) == (1,)
    assert fewer_views(recipe, ["lake", "tree"]) == (1, 4)
    exclusive = recipe.model_copy(update={"vectorize": recipe.vectorize.model_copy(update={"exclusive": True})})
    assert fewer_views(exclusive, ["tree"]) == ()


@pytest.mark.parametrize(("values", "said"), [({"folds": 1}, "2 and more"), ({"buffer_px": (0.0,)}, "above or below")])
def test_tables_that_make_no_sense_are_refused(values: dict, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TuneTable(**values)
