from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import GeometryCollection, LineString, MultiPolygon, Point, Polygon, box

from landscribe.core.burn import burn_share_float
from landscribe.core.polygons.repair import COLLAPSED, NO_AREA, NOT_FINITE, REPAIRED, repair, round_valid

ROOT = Path(__file__).parents[3]
coordinates = st.one_of(st.integers(-9, 9).map(float), st.floats(-9, 9, allow_nan=False))
rings = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=9)


def many(*geometries: object) -> np.ndarray:
    array = np.empty(len(geometries), dtype=object)
    array[:] = geometries
    return array


def test_each_kind_of_trouble_is_counted():
    bow_tie = Polygon([(1, 9), (9, 1), (9, 9), (1, 1)])
    with np.errstate(invalid="ignore"):
        not_finite = Polygon([(0, 0), (np.nan, 1), (1, 1)])
    flat = Polygon([(0, 0), (5, 5), (9, 9), (0, 0)])
    mixed = GeometryCollection([Point(1, 1), box(0, 0, 2, 2), GeometryCollection([box(3, 3, 4, 4)])])
    fixed, counts = repair(many(box(0, 0, 1, 1), bow_tie, not_finite, flat, mixed, LineString([(0, 0), (1, 1)]), None))
    assert counts == {REPAIRED: 1, NOT_FINITE: 1, NO_AREA: 2, COLLAPSED: 1}
    assert [round(g.area, 9) for g in fixed] == [1, 32, 0, 0, 5, 0, 0]
    assert shapely.is_valid(fixed).all()
    assert fixed[4].geom_type == "MultiPolygon"


def test_valid_polygons_are_left_alone():
    polygons = many(
        box(0, 0, 1, 1), MultiPolygon([box(0, 0, 1, 1), box(2, 2, 3, 3)]), box(0, 0, 9, 9) - box(1, 1, 2, 2)
    )
    fixed, counts = repair(polygons)
    assert shapely.to_wkb(fixed).tolist() == shapely.to_wkb(polygons).tolist()
    assert not any(counts.values())


def test_heights_are_left_out():
    [flat] = repair(many(Polygon([(0, 0, 5), (1, 0, 6), (1, 1, 7)])))[0]
    assert not flat.has_z


@settings(max_examples=100, deadline=None)
@given(st.lists(rings, min_size=1, max_size=4))
def test_whatever_rings_are_given_the_result_is_valid_polygons(some):
    fixed, counts = repair(many(*(Polygon(ring) for ring in some)))
    assert shapely.is_valid(fixed).all()
    assert set(shapely.get_type_id(fixed)) <= {3, 6}
    empty = np.count_nonzero(shapely.is_empty(fixed))
    assert empty == counts[COLLAPSED] + counts[NO_AREA]
    assert (shapely.area(fixed[~shapely.is_empty(fixed)]) > 0).all()


@settings(max_examples=100, deadline=None)
@given(st.lists(rings, min_size=1, max_size=4), st.integers(-1, 3))
def test_rounding_keeps_polygons_valid(some, decimals):
    fixed, _ = repair(many(*(Polygon(ring) for ring in some)))
    rounded, lost = round_valid(fixed, decimals)
    assert shapely.is_valid(rounded).all()
    xy = shapely.get_coordinates(rounded)
    assert np.array_equal(xy, np.round(xy, decimals))
    assert lost == np.count_nonzero(shapely.is_empty(rounded) & ~shapely.is_empty(fixed))
    for before, after in zip(fixed, rounded, strict=True):
        # Rounding moves a vertex by half a step at most; snapping a knot apart may move it by some more.
        with np.errstate(all="ignore"):  # GEOS divides by lengths that are next to nothing
            assert after.is_empty or after.within(before.buffer(3 * 10.0**-decimals))


@pytest.fixture(scope="module")
def odd_geometries() -> list[dict[str, str]]:
    """Geometries that broke other programs."""
    folder = Path(os.environ.get("LANDSCRIBE_BAD_INPUTS", ROOT.parent / "shared" / "bad_inputs"))
    path = folder / "geometry" / "geometries.csv"
    if not path.is_file():
        pytest.skip("the collection of odd geometries is absent; set LANDSCRIBE_BAD_INPUTS")
    csv.field_size_limit(sys.maxsize)
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def parse(wkt: str) -> shapely.Geometry | None:
    with np.errstate(invalid="ignore"):
        return shapely.from_wkt(wkt, on_invalid="ignore")


def test_geometries_that_broke_others(odd_geometries):
    parsed = many(*(parse(row["wkt"]) for row in odd_geometries))
    fixed, counts = repair(parsed)
    assert shapely.is_valid(fixed).all()
    assert sum(counts.values()) > 100
    for row, before, after in zip(odd_geometries, parsed, fixed, strict=True):
        if row["kind"] == "unparseable_by_GEOS":
            assert after.is_empty, row["id"]
        if row["kind"] != "invalid" or before is None or after.is_empty:
            continue
        areas = [float(row[f"make_valid_{method}_area"] or "nan") for method in ("structure", "linework")]
        if np.isfinite(areas).all():
            slack = 0.02 * max(areas) + 1e-9
            assert min(areas) - slack <= after.area <= max(areas) + slack, row["id"]


def test_repaired_geometries_burn_to_their_own_area(odd_geometries):
    fixed, _ = repair(many(*(parse(row["wkt"]) for row in odd_geometries)))
    checked = 0
    for row, polygon in zip(odd_geometries, fixed, strict=True):
        if polygon.is_empty or not np.isfinite(polygon.area):
            continue
        left, bottom, right, top = polygon.bounds
        scale = 37.0 / max(right - left, top - bottom)
        if not 1e-9 < scale < 1e9:
            continue
        placed = shapely.transform(many(polygon), lambda xy, a=left, b=bottom, s=scale: (xy - (a, b)) * s + 2.0)
        placed, _ = repair(placed)  # moving may have made what nearly touches touch
        share = burn_share_float(placed, (43, 41))
        assert share.sum() == pytest.approx(shapely.area(placed).sum(), abs=1e-3), row["id"]
        checked += 1
    assert checked > 150
