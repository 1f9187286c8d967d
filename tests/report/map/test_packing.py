from __future__ import annotations

import json

import numpy as np
import pytest
import shapely
from affine import Affine

from landscribe.report.map.packing import pack, thousandths, three_digits, unpack

ORIGIN, STEP = (-150.0, 90.0), 0.125


def polygons(n: int = 97, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, 2 * np.pi, 13, endpoint=False)
    reach = rng.uniform(2, 9, (n, 1)) * rng.uniform(0.7, 1.2, (n, 13))
    centre = rng.uniform(-140, 140, (n, 2))
    rings = np.stack((centre[:, :1] + reach * np.cos(angle), centre[:, 1:] + reach * np.sin(angle)), -1)
    return np.array([shapely.Polygon(ring) for ring in rings], dtype=object)


def test_polygons_come_back_to_half_a_step() -> None:
    shapes = polygons()
    hole = shapely.Polygon(
        shapely.box(0, 0, 40, 30).exterior, [shapely.box(5, 5, 11, 9).exterior, shapely.box(20, 20, 33, 27).exterior]
    )
    several = shapely.MultiPolygon([shapely.box(50, 50, 53, 57), hole])
    shapes = np.append(shapes, np.array([hole, several], dtype=object))
    back = unpack(json.loads(json.dumps(pack(shapes, Affine.identity(), ORIGIN, STEP))))
    assert len(back) == len(shapes)
    for ours, theirs in zip(back, shapes, strict=True):
        assert shapely.hausdorff_distance(ours, theirs) <= STEP * 0.71
        assert len(shapely.get_parts(ours)) == len(shapely.get_parts(theirs))
        assert len(shapely.get_rings(ours)) == len(shapely.get_rings(theirs))


def test_coordinates_are_moved_into_the_frame() -> None:
    to_frame = Affine(2, 0, 7, 0, -3, 11)
    back = unpack(pack(np.array([shapely.box(1, 2, 5, 9)], dtype=object), to_frame, ORIGIN, STEP))
    assert back[0].bounds == (9, -16, 17, 5)


def test_what_is_thinner_than_a_step_is_named_as_gone() -> None:
    shapes = np.array([shapely.box(0, 0, 5, 3), shapely.box(7, 7, 7.01, 7.01), shapely.box(20, 2, 23, 7)], dtype=object)
    packed = pack(shapes, Affine.identity(), ORIGIN, STEP, {"class": [4, 5, 6], "score": [1, 2, 3]})
    assert packed["row"] == [0, 2]
    assert packed["class"] == [4, 6]
    assert packed["score"] == [1, 3]
    assert packed["n"] == len(unpack(packed)) == 2


def test_a_hole_that_vanishes_leaves_its_polygon() -> None:
    shape = shapely.Polygon(shapely.box(0, 0, 40, 30).exterior, [shapely.box(5, 5, 5.02, 5.02).exterior])
    back = unpack(pack(np.array([shape], dtype=object), Affine.identity(), ORIGIN, STEP))
    assert back[0].equals(shapely.box(0, 0, 40, 30))


def test_nothing_is_nothing() -> None:
    packed = pack(np.empty(0, dtype=object), Affine.identity(), ORIGIN, STEP, {"class": []})
    assert packed["n"] == 0
    assert packed["xy"] == packed["rings"] == packed["parts"] == packed["class"] == []
    assert len(unpack(packed)) == 0


def test_a_vertex_takes_a_few_characters() -> None:
    shapes = polygons(997)
    vertices = int(shapely.get_num_coordinates(shapes).sum())
    assert len(json.dumps(pack(shapes, Affine.identity(), ORIGIN, STEP), separators=(",", ":"))) < 8 * vertices


def test_numbers_are_short() -> None:
    assert thousandths(np.array([0.12345, np.nan, 1.0])) == [123, -1, 1000]
    assert three_digits(np.array([0.012345, 12.345, 123456.0])) == pytest.approx([0.0123, 12.3, 123000])
    assert json.dumps(three_digits(np.array([123456.0]))) == "[123000]"
