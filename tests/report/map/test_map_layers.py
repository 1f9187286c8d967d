from __future__ import annotations

import json

import numpy as np
import pytest
import shapely

from landscribe.report.map.layers import Layer, errors_of, judge, thin
from landscribe.report.map.packing import unpack

REGION = shapely.box(0, -300, 400, 0)


def layer(shapes: list[shapely.Polygon], classes: list[int] | None = None) -> Layer:
    polygons = np.array([*shapes, None], dtype=object)[:-1]
    ids = np.arange(len(shapes))
    return Layer(
        polygons,
        np.array(classes or [1] * len(shapes)),
        shapely.area(polygons),
        np.linspace(0.3, 0.9, len(shapes)),
        ids=ids,
    )


def box(x: float, y: float, w: float, h: float) -> shapely.Polygon:
    return shapely.box(x, -y - h, x + w, -y)


def test_polygons_are_judged_by_their_best_partner_of_the_same_class() -> None:
    found = layer([box(10, 10, 20, 10), box(100, 10, 10, 10), box(200, 10, 10, 10)], [1, 1, 2])
    truth = layer([box(15, 10, 20, 10), box(10, 10, 2, 10), box(200, 10, 10, 10)], [1, 1, 1])
    ours, theirs = judge(found, truth, REGION)
    assert ours.iou == pytest.approx([150 / 250, 0, 0])
    assert ours.wrong == pytest.approx([200 - 150 - 20, 100, 100])
    assert theirs.iou == pytest.approx([150 / 250, 20 / 200, 0])
    assert theirs.wrong == pytest.approx([50, 0, 100])


def test_nothing_is_said_of_ground_that_nobody_labelled() -> None:
    found, truth = layer([box(500, 10, 20, 10), box(10, 10, 20, 10)]), layer([])
    ours, _ = judge(found, truth, REGION)
    assert np.isnan(ours.iou[0])
    assert ours.iou[1] == 0
    assert list(ours.wrong) == [0, 200]
    assert errors_of(found, truth, REGION, 0.1)["fp"].area.sum() == pytest.approx(200)


def test_errors_add_up_to_both_sides() -> None:
    rng = np.random.default_rng(7)
    corners = rng.uniform(5, 280, (2, 31, 2))
    sides = [
        layer([box(x, y, w, h) for (x, y), (w, h) in zip(c, rng.uniform(4, 15, (31, 2)), strict=True)]) for c in corners
    ]
    errors = errors_of(*sides, REGION, 1e-6)
    union = [shapely.union_all(side.polygons).area for side in sides]
    tp, fp, fn = (errors[kind].area.sum() for kind in ("tp", "fp", "fn"))
    assert (tp + fp, tp + fn) == pytest.approx(union)


def circles(n: int, seed: int = 1) -> Layer:
    rng = np.random.default_rng(seed)
    centres = rng.uniform(10, 290, (n, 2)) * (1, -1)
    return layer([shapely.Point(*c).buffer(r, 16) for c, r in zip(centres, rng.uniform(2, 9, n), strict=True)])


def size(packed: dict) -> int:
    return sum(len(json.dumps(one, separators=(",", ":"))) for one in packed.values())


def test_all_polygons_are_kept_while_they_fit() -> None:
    thinned = thin({"found": circles(97)}, (0, 0), 0.5, 10**6)
    assert (thinned.shown, thinned.total, thinned.tolerance_px) == (97, 97, 0.25)
    distance = shapely.hausdorff_distance(unpack(thinned.packed["found"]), circles(97).polygons)
    assert distance.max() < 0.25 * 0.5 + 0.1


def test_lines_get_coarser_before_polygons_are_left_out() -> None:
    whole = size(thin({"found": circles(97)}, (0, 0), 0.5, 10**6).packed)
    thinned = thin({"found": circles(97)}, (0, 0), 0.5, int(whole * 0.8))
    assert thinned.shown == 97
    assert thinned.tolerance_px > 0.25
    assert size(thinned.packed) <= whole * 0.8


def test_those_with_most_wrong_ground_stay_then_the_largest() -> None:
    wrong = np.zeros(97)
    wrong[[5, 50]] = 0.01, 3.0
    plain = circles(97)
    both = {
        "found": Layer(plain.polygons, plain.classes, plain.area, plain.score, np.ones(97), wrong, plain.ids),
        "tp": circles(53, 2),
    }
    thinned = thin(both, (0, 0), 0.5, 4000)
    assert size(thinned.packed) <= 4000
    assert 2 < thinned.shown < thinned.total == 97
    kept = thinned.packed["found"]["id"]
    assert {5, 50} <= set(kept)
    others = sorted(set(kept) - {5, 50})
    assert (
        sorted(np.argsort(-plain.area)[: len(others)]) == others
        or min(plain.area[others]) >= np.sort(plain.area)[-len(kept) - 1]
    )
    assert "5" not in thinned.packed["tp"]
