"""What the report says of labels before anybody trusts a score that rests on them."""

from __future__ import annotations

import pytest

from landscribe.core.ground import Ground
from landscribe.io.labels.grids import WARPED
from landscribe.io.labels.marks import WIDENED
from landscribe.io.labels.pictures import OFF_PALETTE, TAKEN
from landscribe.report.data import LabelEvidence
from landscribe.report.label_cautions import label_cautions

GROUND = {"house": Ground(130.0, 870.0, 0.0), "tree": Ground(610.0, 390.0, 0.0)}


def said(evidence: LabelEvidence, dropped: dict[str, float] | None = None, **jaccard: float | None) -> list[str]:
    return list(label_cautions(evidence, jaccard, dropped or {}))


def test_nothing_is_said_of_labels_that_say_all() -> None:
    evidence = LabelEvidence({"house": GROUND["house"]}, {"house": GROUND["house"]}, {"a": 500.0, "b": 500.0})
    assert said(evidence, house=0.5) == []
    assert said(LabelEvidence()) == []


@pytest.mark.parametrize(
    ("house", "worse"), [(0.136, False), (0.134, True), (0.13, True), (0.02, True), (0.0, False), (None, False)]
)
def test_a_score_below_the_share_of_ground_is_no_better_than_yes(house: float | None, worse: bool) -> None:
    found = said(LabelEvidence({"house": GROUND["house"]}, {}, {"a": 1000.0}), house=house)
    expected = f"No better than saying yes everywhere: house (Jaccard {house or 0:.3f}, 13 % of the ground)."
    assert found == ([expected] if worse else [])


def test_a_class_on_most_of_the_ground_is_named_with_its_share() -> None:
    found = said(LabelEvidence(GROUND, {}, {"a": 1000.0}), house=0.5, tree=0.9)
    assert len(found) == 1
    assert found[0].endswith("saying yes everywhere would score as much: tree (61 %).")


def test_unlabelled_ground_is_told_by_its_share() -> None:
    scored, trained = {"house": Ground(10, 80, 10)}, {"house": Ground(10, 60, 30)}
    assert said(LabelEvidence(scored, trained, {"a": 160.0}))[0].startswith("20 % of the imagery of labelled scenes")
    assert said(LabelEvidence({"house": Ground(10, 990, 9)}, {}, {"a": 1000.0})) == []


def test_scenes_and_sides_that_a_shared_file_leaves_empty() -> None:
    evidence = LabelEvidence(
        pixels={"a": 700.0, "b": 200.0, "c": 100.0}, untouched=("c",), one_sided={"a": 0.31, "b": 0.62}
    )
    untouched, one_sided = said(evidence)
    assert "nothing in 1 scene (c), 10 % of the labelled ground" in untouched
    assert "`labels.area`" in untouched
    assert "empty on one side of b (62 %)" in one_sided


def test_files_that_were_taken_for_empty() -> None:
    (found,) = said(LabelEvidence(pixels={"a": 1.0, "b": 1.0}, taken_for_empty=("a", "b")))
    assert found.startswith("2 scenes without a label file of their own (a, b) count as searched and empty")


def test_pixels_off_the_palette_and_other_grids() -> None:
    off, warped = said(LabelEvidence(pixels={"a": 1000.0}), {TAKEN: 30, OFF_PALETTE: 120, WARPED: 1000})
    assert "30 pixels (3 %) were taken for the nearest one, 120 pixels (12 %) count as unlabelled" in off
    assert "1,000 pixels (100 %)" in warped


def test_outlines_of_lines_and_points_are_the_recipe_s() -> None:
    (found,) = said(LabelEvidence(pixels={"a": 1000.0}), {WIDENED: 41})
    assert found.startswith("41 labels of lines or points became polygons of a width that the recipe gives")
