"""`trace`, `burn`, `score` and `compare` of values in memory: as the machines and the command line do it."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from pyproj import CRS
from shapely.geometry import LineString, Polygon, box
from typer.testing import CliRunner

import landscribe as ls
from landscribe.cli.app import app
from landscribe.core.burn import burn_mask, burn_share
from landscribe.core.trace import trace as trace_field
from landscribe.core.tracing import Tracing

UTM = CRS.from_epsg(32636)
GRID = ls.Grid(43, 61, Affine(0.5, 0, 400_000, 0, -0.5, 4_000_000), UTM)
HOUSE = Polygon([(5.25, 4.5), (23.5, 7.0), (21.0, 25.75), (3.5, 22.0)], [[(9, 10), (9, 14), (14, 14), (14, 10)]])
ROAD = Polygon([(31, 2), (37, 2), (41, 40.5), (35, 40.5)])


def frame(**columns: list[object]) -> gpd.GeoDataFrame:
    ground = GRID.pixels_to_ground(np.array([HOUSE, ROAD], dtype=object))
    return gpd.GeoDataFrame({"class_name": ["house", "road"], **columns}, geometry=ground, crs=UTM)


def test_burn_gives_the_shares_and_masks_of_the_machine() -> None:
    shares = ls.burn(frame(), GRID)
    assert shares.classes == ("house", "road")
    for k, shape in enumerate((HOUSE, ROAD)):
        assert (shares.values_khw[k] == burn_share(np.array([shape], dtype=object), GRID.shape_hw)).all()
        for mode in ("gdal", "touched", "opencv"):
            mask = ls.burn(frame(), GRID, mode=mode).values_khw[k]
            assert (mask == 255 * burn_mask(np.array([shape], dtype=object), GRID.shape_hw, mode=mode)).all()
            assert mask.max() == 255


def test_trace_gives_the_polygons_of_the_machine_where_they_lie() -> None:
    shares = ls.burn(frame(), GRID)
    found = ls.trace(shares, threshold={"house": 0.5, "road": 0.25}, simplify_px=0.5, name="town")
    assert found.crs == UTM
    assert list(found.columns) == ["scene", "class_id", "class_name", "score", "area", "geometry"]
    assert found["scene"].unique().tolist() == ["town"]
    for k, (name, level) in enumerate((("house", 0.5), ("road", 0.25))):
        exact = trace_field(shares.values_khw[k], Tracing(threshold=level, simplify_px=0.5))
        ours = found[found["class_name"] == name]
        assert [g.wkb for g in ours.geometry] == [g.wkb for g in GRID.pixels_to_ground(exact.geometries)]
        assert ours["area"].to_numpy() == pytest.approx(exact.area_px * GRID.pixel_area)


def test_what_is_burnt_comes_back() -> None:
    found = ls.trace(ls.burn(frame(), GRID))
    assert ls.score(found, frame()).mean.polygon.jaccard == pytest.approx(1, abs=0.02)
    assert {name: len(found[found["class_name"] == name]) for name in ("house", "road")} == {"house": 1, "road": 1}


def test_what_is_left_out_is_counted() -> None:
    speck = np.zeros(GRID.shape_hw, bool)
    speck[3, 5] = speck[11:31, 13:41] = True
    found = ls.trace(speck, grid=GRID, mode="edge")
    assert len(found) == 1
    assert sum(found.attrs["dropped"]["feature"].values()) == 1
    lines = gpd.GeoDataFrame(
        geometry=[LineString([(0, 0), (9, 9)]), box(400_001, 3_999_990, 400_005, 3_999_999)], crs=UTM
    )
    burnt = ls.burn(lines, GRID)
    assert burnt.classes == ("feature",)
    assert burnt.counts == {"not a polygon": 1}
    with pytest.raises(ls.DataError, match="burn: holds no polygon"):
        ls.burn(lines[:1], GRID)


def test_numbers_tell_what_they_are_or_somebody_says_it() -> None:
    mask = np.zeros(GRID.shape_hw, bool)
    mask[11:31, 13:41] = True
    exact = ls.trace(mask, grid=GRID)
    for same in (mask.astype(np.uint8), mask * np.uint8(255), mask.astype(np.float32)):
        found = ls.trace(same, grid=GRID)
        assert found.geometry.iloc[0].equals(exact.geometry.iloc[0])
        assert found.attrs["taken_for"] == "mask"
    slope = np.tile(np.linspace(0, 1, 61, dtype=np.float32), (43, 1))
    half = ls.trace(slope, grid=GRID)
    percent = ls.trace(slope * 100, grid=GRID)
    assert (half.attrs["taken_for"], percent.attrs["taken_for"]) == ("probability", "percent")
    assert half.geometry.iloc[0].symmetric_difference(percent.geometry.iloc[0]).area < 1e-3
    faint = np.rint(slope * 90).astype(np.uint8)  # never above 0.36 if 255 stands for 1
    assert len(ls.trace(faint, grid=GRID)) == 1
    assert len(ls.trace(faint, grid=GRID, taken_for="probability")) == 0


def test_pixels_without_data_are_outside() -> None:
    field = np.full(GRID.shape_hw, 0.9, np.float32)
    field[:, 30:] = np.nan
    found = ls.trace(field, grid=GRID, mode="edge")
    assert found.geometry.iloc[0].bounds == (400_000, 4_000_000 - 21.5, 400_015, 4_000_000)
    valid = np.arange(61) < 30
    known = np.broadcast_to(valid, GRID.shape_hw)
    again = ls.trace(np.full(GRID.shape_hw, 230, np.uint8), grid=GRID, mode="edge", valid_hw=known)
    assert again.geometry.iloc[0].equals(found.geometry.iloc[0])


def test_exclusive_classes_share_borders() -> None:
    left = np.tile(np.linspace(1, 0, 61, dtype=np.float32), (43, 1))
    found = ls.trace(np.stack([left, 1 - left]), grid=GRID, classes=["a", "b"], shared_borders=True)
    assert found["class_name"].tolist() == ["a", "b"]
    assert found.geometry.iloc[0].intersection(found.geometry.iloc[1]).area == 0
    assert found.area.sum() == pytest.approx(GRID.footprint.area)


def test_another_crs_is_no_matter() -> None:
    degrees = frame().to_crs(4326)
    assert np.abs(ls.burn(degrees, GRID).values_khw.astype(int) - ls.burn(frame(), GRID).values_khw).max() <= 1
    assert ls.score(degrees, frame()).mean.polygon.jaccard == pytest.approx(1, abs=1e-5)
    with pytest.raises(ls.DataError, match="truth: no CRS"):
        ls.score(frame(), frame().set_crs(None, allow_override=True))
    with pytest.raises(ls.DataError, match="CRS"):
        ls.burn(frame(), ls.Grid(43, 61, Affine.identity()))


def test_the_score_is_that_of_the_command_line(tmp_path: Path) -> None:
    found = frame().assign(geometry=frame().translate(1.5, 0.5))
    found.to_file(tmp_path / "found.gpkg")
    frame().to_file(tmp_path / "truth.gpkg")
    files = [str(tmp_path / "found.gpkg"), str(tmp_path / "truth.gpkg")]
    done = CliRunner().invoke(app, ["score", *files, "--json"])
    assert done.exit_code == 0, done.output
    for ours in (ls.score(found, frame()), ls.score(*files), ls.score(found, files[1])):
        assert ours.to_json() == ls.Score.from_json(done.stdout).to_json()
    assert 0.3 < (ours.mean.polygon.jaccard or 0) < 0.9


def test_scenes_and_classes_come_from_columns() -> None:
    truth = frame(scene=["a", "b"], kind=["x", "y"])
    found = ls.score(truth[:1], truth, class_field="kind")
    assert set(found.classes) == {"x", "y"}
    assert list(found.scenes) == ["a", "b"]
    with pytest.raises(ls.DataError, match="no such column in either file"):
        ls.score(truth, truth, class_field="sort")
    with pytest.raises(ls.DataError, match="no class in both files, got house in found; lawn in truth"):
        ls.score(frame()[:1], frame()[:1].assign(class_name="lawn"))
    with pytest.raises(ls.DataError, match="found: no polygons, got dict"):
        ls.score({}, truth)


def test_scores_are_compared_wherever_they_are(tmp_path: Path) -> None:
    truth = frame(scene=["a", "b"])
    good, bad = ls.score(truth, truth), ls.score(truth.assign(geometry=truth.scale(0.5, 0.5)), truth)
    (tmp_path / "score.json").write_text(good.to_json())
    for second in (good, tmp_path / "score.json", str(tmp_path), ls.Run(tmp_path)):
        assert ls.compare(bad, second).mean.difference == pytest.approx(
            (good.mean.polygon.jaccard or 0) - (bad.mean.polygon.jaccard or 0)
        )
    with pytest.raises(ls.DataError, match=r"no score\.json"):
        ls.compare(good, tmp_path / "none")


def test_a_score_shows_its_table() -> None:
    shown = ls.score(frame(), frame())._repr_html_()
    assert "<th" in shown
    assert "house" in shown
    assert "1.000" in shown
    dangerous = frame(kind=["<script>", "b"])
    assert "<script>" not in ls.score(dangerous, dangerous, class_field="kind")._repr_html_()
