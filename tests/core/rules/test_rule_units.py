"""Units, windows and scenes of rules."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from landscribe.core.features import join_features, make_features
from landscribe.core.grid import Grid
from landscribe.core.legend import DSTL_LEGEND
from landscribe.core.recipe import AreaWindowTable, LengthTable, RuleTable, VectorizeTable
from landscribe.core.rules import apply_rules

UTM = Grid(211, 307, Affine(0.5, 0, 300_000, 0, -0.5, 5_000_000), CRS.from_epsg(32633))
PLAIN = Grid(211, 307, Affine.scale(1e-5, -1e-5))
SIDES = (3, 5, 8, 13)


def squares(grid: Grid, scene: str = "a") -> gpd.GeoDataFrame:
    """Squares of `SIDES` pixels."""
    boxes = np.array([shapely.box(20 * k, 7, 20 * k + side, 7 + side) for k, side in enumerate(SIDES)], dtype=object)
    road = DSTL_LEGEND.by_name("road")
    return make_features(
        scene, road, grid.pixels_to_ground(boxes), area=np.square(SIDES) * grid.pixel_area, crs=grid.crs
    )


def sides(grid: Grid, rule: dict[str, object], scene: str = "a") -> list[float]:
    result, _ = apply_rules(squares(grid, scene), [RuleTable.model_validate(rule)], DSTL_LEGEND, {scene: grid})
    area = shapely.area(grid.ground_to_pixels(result.geometry.to_numpy()))
    return np.sqrt(area).round(3).tolist()


@pytest.mark.parametrize("grid", [UTM, PLAIN], ids=["metres", "no CRS"])
def test_pixels_are_pixels_with_and_without_a_crs(grid: Grid) -> None:
    assert sides(grid, {"drop_small": 26.0, "unit": "px"}) == [8, 13]
    assert sides(grid, {"buffer": 1.0, "unit": "px"}) == pytest.approx([5, 7, 10, 15], abs=0.01)
    assert sides(grid, {"area_window": AreaWindowTable(min=24, max=65), "unit": "px"}) == [5, 8]


def test_ground_units_are_metres_where_there_is_a_crs() -> None:
    assert sides(UTM, {"drop_small": 26.0}) == [13]  # 6.5 m at a side
    assert sides(PLAIN, {"drop_small": 26.0}) == [8, 13]


@pytest.mark.parametrize(
    ("windows", "expected"),
    [
        ([{"min": 8, "max": 26}], [3, 5]),
        ([{"above": 10, "below": 63}], [5]),
        ([{"min": 4, "below": 24}, {"above": 100, "below": 170}], [3, 13]),
        ([{"max": 24}, {"min": 26, "max": 168}], [3, 8]),
    ],
)
def test_areas_in_any_of_several_windows_stay(windows: list[dict[str, float]], expected: list[int]) -> None:
    given = tuple(AreaWindowTable(**{k: float(v) for k, v in window.items()}) for window in windows)
    assert sides(PLAIN, {"area_window": given}) == expected


def test_rules_can_be_for_some_scenes() -> None:
    both = join_features([squares(PLAIN, "a"), squares(PLAIN, "b")])
    rule = RuleTable(drop_small=26.0, scenes=("b",))
    result, counts = apply_rules(both, [rule], DSTL_LEGEND, {"a": PLAIN, "b": PLAIN})
    assert result["scene"].value_counts().to_dict() == {"a": 4, "b": 2}
    assert counts[0]["before"] == 4


def test_one_length_alone_is_the_default() -> None:
    assert VectorizeTable.model_validate_json('{"simplify_px": 2.0}').simplify_px.of("road") == 2.0
    table = VectorizeTable.model_validate_json('{"simplify_px": {"default": 2.0, "large-vehicle": 1.0}}').simplify_px
    assert [table.of(name) for name in ("road", "large-vehicle")] == [2.0, 1.0]
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        LengthTable.model_validate({"default": 1.0, "road": -1.0})
