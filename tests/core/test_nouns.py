"""Legends, sensors, indices and features."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from landscribe.core.features import COLUMNS, empty_features, join_features, make_features, of_class
from landscribe.core.legend import DSTL_LEGEND, LandClass, Legend
from landscribe.core.sensors import CATALOGUE, find_sensor
from landscribe.core.spectral.indices import INDICES, band_positions, find_index
from landscribe.errors import RecipeError, problem

HOUSE, ROAD = LandClass(1, "house", "#FF0000"), LandClass(2, "road", "#000000")


def test_dstl_classes_are_its_class_types() -> None:
    assert [c.id for c in DSTL_LEGEND] == list(range(1, 11))
    assert DSTL_LEGEND.names[0] == "building"
    assert DSTL_LEGEND.index("small-vehicle") == 9


@pytest.mark.parametrize("other", [LandClass(1, "road", "#000000"), LandClass(2, "house", "#000000")])
def test_ids_and_names_are_unique(other: LandClass) -> None:
    with pytest.raises(RecipeError, match="used twice"):
        Legend((HOUSE, other))


def test_an_unknown_class_is_named_with_the_known_ones() -> None:
    with pytest.raises(RecipeError, match=r"got 'castle', need house \| road"):
        Legend((HOUSE, ROAD)).by_name("castle")


def test_every_sensor_has_bands_with_different_names() -> None:
    for kind, sensor in CATALOGUE.items():
        assert sensor.kind == kind
        assert len(set(sensor.band_names)) == len(sensor.bands) > 0
    assert [len(CATALOGUE[f"worldview3-{s}"].bands) for s in ("rgb", "p", "m", "a")] == [3, 1, 8, 8]


def test_unknown_sensor() -> None:
    with pytest.raises(RecipeError, match="unknown kind, got 'ikonos'"):
        find_sensor("ikonos")


@given(st.floats(0.01, 1), st.floats(0.01, 1))
def test_normalised_differences_stay_in_range_and_change_sign(a: float, b: float) -> None:
    ndvi = find_index("ndvi").formula
    assert -1 <= ndvi(a, b) <= 1
    assert ndvi(a, b) == pytest.approx(-ndvi(b, a))


def test_indices_survive_black_pixels() -> None:
    zero = np.zeros(3)
    for index in INDICES.values():
        assert np.isfinite(index.formula(*([zero] * len(index.needs)))).all(), index.name


def test_vegetation_and_water_have_the_right_sign() -> None:
    nir, red, green = np.array([0.5, 0.02]), np.array([0.05, 0.04]), np.array([0.08, 0.06])  # grass, water
    assert (np.sign(find_index("ndvi").formula(nir, red)) == [1, -1]).all()
    assert (np.sign(find_index("ndwi").formula(green, nir)) == [-1, 1]).all()


def test_index_bands_by_general_name() -> None:
    m = CATALOGUE["worldview3-m"].band_names
    assert band_positions("ndvi", m) == (7, 4)
    assert band_positions("ndvi", CATALOGUE["naip"].band_names) == (3, 0)
    with pytest.raises(RecipeError, match="lacks band 'nir'"):
        band_positions("ndvi", ("red", "green"))
    with pytest.raises(RecipeError, match="unknown index"):
        band_positions("nvdi", m)


def test_features_have_their_columns_even_when_empty() -> None:
    squares = np.array([shapely.box(0, 0, 2, 3), shapely.box(5, 5, 6, 6)], dtype=object)
    one = make_features("s1", HOUSE, squares, score=[0.5, 0.75], area=[6, 1])
    two = make_features("s2", ROAD, squares[:1])
    assert list(one.columns) == list(COLUMNS) == list(empty_features().columns)
    both = join_features([one, empty_features(), two])
    assert len(both) == 3
    assert both["class_id"].tolist() == [1, 1, 2]
    assert len(of_class(both, "house")) == 2
    assert len(of_class(both, "house", "s2")) == 0
    assert list(join_features([]).columns) == list(COLUMNS)


def test_messages_are_one_line() -> None:
    text = problem("scene 'a'", "7\nbands", got=7, need=8, do="check it")
    assert text == "scene 'a': 7 bands, got 7, need 8; check it"


def test_a_label_is_understood_by_name_other_names_id_and_but_for_case() -> None:
    water = LandClass(0, "Open Water", "#2166AC", also=("wasser", "2"))
    road = LandClass(2, "road", "#4D4D4D")
    legend = Legend((water, road))
    for text in ("Open Water", "wasser", "2", "0", "open  water ", "WASSER"):
        assert legend.find(text) is water
    assert legend.find("Road") is road
    assert legend.find("lake") is None
    both = Legend((LandClass(1, "Road", "#4D4D4D"), LandClass(2, "road", "#4D4D4D")))
    assert both.find("ROAD") is None
    assert both.find("road") is both.classes[1]
    with pytest.raises(RecipeError, match="two classes are called the same, got road"):
        Legend((road, LandClass(3, "track", "#4D4D4D", also=("road",))))
