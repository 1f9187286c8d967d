"""Exact areas on whole real label sets, against shapely uniting whole layers and against method L's formula."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine

from landscribe.core.score.areas import match_objects, polygon_areas
from landscribe.io.vector.standing import Standing, read_standing
from landscribe.stages.files.score_files import score_files

SETS = ("vegas/geojson/*.geojson", "rio/geojson/*.geojson", "kampala/labels.geojson")


def metres(read: Standing) -> np.ndarray:
    """Labels in metres around their first corner."""
    geometries = read.features.geometry.to_numpy()
    if not len(geometries):
        return geometries
    x, y = read.features.total_bounds[:2]
    scale = Affine.scale(111_320 * np.cos(np.radians(y)), 110_574)
    return shapely.transform(geometries, lambda xy: (xy - (x, y)) * (scale.a, scale.e))


@pytest.fixture(scope="module", params=SETS)
def labels(request, data_root) -> list[np.ndarray]:
    found = [metres(read_standing(path)) for path in sorted(data_root.glob(request.param))]
    if not found:
        pytest.skip(f"no {request.param} among the real data")
    return found


def moved(geometries: np.ndarray) -> np.ndarray:
    """A prediction: every label off by 1.3 m, one in five missing, grown by half a metre."""
    kept = geometries[np.arange(len(geometries)) % 5 > 0]
    return shapely.buffer(shapely.transform(kept, lambda xy: xy + np.array((1.3, -0.4))), 0.5)


def test_areas_agree_with_uniting_whole_layers(labels):
    for truth in labels:
        predicted = moved(truth)
        ours, theirs = shapely.union_all(predicted), shapely.union_all(shapely.make_valid(truth))
        found = polygon_areas(predicted, truth)
        expected = ours.intersection(theirs).area, ours.difference(theirs).area, theirs.difference(ours).area
        assert (found.tp, found.fp, found.fn) == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_areas_agree_with_method_l_on_multipolygons(labels):
    for truth in labels:
        predicted = moved(truth)
        sides = [shapely.multipolygons(shapely.get_parts(side)) for side in (predicted, truth)]
        ours, theirs = (side if side.is_valid else side.buffer(0) for side in sides)
        expected = ours.intersection(theirs).area, ours.difference(theirs).area, theirs.difference(ours).area
        found = polygon_areas(predicted, truth)
        assert (found.tp, found.fp, found.fn) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_labels_agree_with_themselves(labels):
    for truth in labels:
        if len(truth):
            assert polygon_areas(truth, truth).jaccard == pytest.approx(1, abs=1e-12)
            assert match_objects(truth, truth).fp == 0


def test_a_file_agrees_with_itself_in_any_format(data_root, tmp_path):
    path = next(iter(sorted(data_root.glob("vegas/geojson/*225*"))), None)
    if path is None:
        pytest.skip("no Las Vegas labels among the real data")
    read = read_standing(path)
    other = tmp_path / "labels.gpkg"
    read.features.to_crs(32611).to_file(other, engine="pyogrio")
    found = score_files(other, path)
    assert found.mean.polygon.jaccard == pytest.approx(1, abs=1e-6)
    assert found.classes["feature"].objects.tp == len(read.features)
