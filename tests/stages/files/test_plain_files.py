"""`burn` and `trace` on plain files: there and back, by every mode and format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from landscribe.core.burn import burn_share
from landscribe.core.grid import Grid
from landscribe.core.trace import trace
from landscribe.core.tracing import EXACT, PIXEL_EDGES, Tracing
from landscribe.errors import DataError, RecipeError
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.raster.rasters import open_raster
from landscribe.stages.files.burn import burn_file
from landscribe.stages.files.score_files import score_files
from landscribe.stages.files.trace import trace_file

GRID = Grid(61, 47, Affine.translation(600_000, 4_000_000) @ Affine.scale(0.5, -0.5), CRS.from_epsg(32611))


@pytest.fixture
def like(tmp_path: Path) -> Path:
    with write_raster(tmp_path / "like.tif", GRID, count=1, dtype="uint8") as writer:
        writer.write(GRID.window, np.zeros((1, 61, 47), np.uint8))
    return tmp_path / "like.tif"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    house = shapely.affinity.rotate(shapely.box(5.2, 8.7, 29.4, 27.1), 21)
    ring = shapely.box(3.3, 40.5, 43.1, 57.7).difference(shapely.box(12.5, 45.2, 30.1, 52.9))
    ground = GRID.pixels_to_ground(np.array([house, ring], dtype=object))
    frame = gpd.GeoDataFrame({"kind": ["house", "yard"]}, geometry=ground, crs=GRID.crs)
    frame.to_crs(4326).to_file(tmp_path / "labels.geojson", driver="GeoJSON")
    return tmp_path / "labels.geojson"


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".parquet", ".fgb"])
def test_polygons_come_back_through_shares(tmp_path: Path, like: Path, labels: Path, suffix: str) -> None:
    counts = burn_file(labels, like, tmp_path / "b.tif", class_field="kind")
    assert (counts["house"], counts["yard"]) == (1, 1)
    with open_raster(tmp_path / "b.tif") as raster:
        assert raster.info.descriptions == ("house", "yard")
        assert raster.info.grid.transform == GRID.transform
    trace_file(tmp_path / "b.tif", tmp_path / f"t{suffix}", lambda _: Tracing(simplify_px=0.1))
    truth = gpd.read_file(labels).rename(columns={"kind": "class_name"})
    truth.to_file(tmp_path / "truth.gpkg")
    score = score_files(tmp_path / f"t{suffix}", tmp_path / "truth.gpkg")
    assert set(score.classes) == {"house", "yard"}
    assert score.mean.polygon.jaccard > 0.98


@pytest.mark.parametrize("mode", ["gdal", "touched", "opencv"])
def test_masks_come_back_along_pixel_borders(tmp_path: Path, like: Path, labels: Path, mode: str) -> None:
    burn_file(labels, like, tmp_path / "b.tif", mode=mode)  # type: ignore[arg-type]
    with open_raster(tmp_path / "b.tif") as raster:
        mask_chw, _ = raster.read()
    assert set(np.unique(mask_chw)) == {0, 1}
    trace_file(tmp_path / "b.tif", tmp_path / "t.gpkg", lambda _: PIXEL_EDGES)
    burn_file(tmp_path / "t.gpkg", like, tmp_path / "again.tif", mode="gdal")
    with open_raster(tmp_path / "again.tif") as raster:
        assert np.array_equal(raster.read()[0], mask_chw)


def test_probabilities_as_floats_and_nodata_is_outside(tmp_path: Path) -> None:
    field = np.zeros((1, 61, 47), np.float32)
    field[0, 10:30, 10:30] = 0.9
    valid = np.ones((61, 47), bool)
    valid[:, :20] = False
    with write_raster(tmp_path / "p.tif", GRID, count=1, dtype="float32", mask=True) as writer:
        writer.write(GRID.window, field)
        writer.write_mask(GRID.window, valid)
    counts = trace_file(tmp_path / "p.tif", tmp_path / "t.gpkg", lambda _: PIXEL_EDGES)
    assert counts["band1"] == 1
    found = gpd.read_file(tmp_path / "t.gpkg", layer="features")
    assert found.area.sum() == pytest.approx(10 * 20 * 0.25)
    assert found["score"][0] == pytest.approx(0.9, abs=1e-3)


def write_field(path: Path, *fields_hw: np.ndarray, grid: Grid = GRID) -> Path:
    with write_raster(path, grid, count=len(fields_hw), dtype=str(fields_hw[0].dtype)) as writer:
        writer.write(grid.window, np.stack(fields_hw))
    return path


def test_corners_smoothing_and_right_angles_are_those_of_tracing(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    share = burn_share(np.array([shapely.affinity.rotate(shapely.box(12, 14, 33, 40), 20)]), (61, 47))
    field = np.clip(share + rng.normal(0, 40, share.shape), 0, 255).astype(np.uint8)
    field[46:, :] = rng.integers(60, 200, (15, 47))  # where many pixels meet at corners
    raster = write_field(tmp_path / "f.tif", field)
    seen = set()
    for options in (
        {},
        {"connectivity": 8},
        {"connectivity": "mean"},
        {"connectivity": 8, "mode": "edge"},
        {"smooth": 3},
        {"right_angles": True},
        {"threshold": 0.7},
    ):
        trace_file(raster, tmp_path / "t.parquet", lambda _, o=options: Tracing(min_area_px=2, **o))  # type: ignore[misc]
        expected = trace(field, simplify_px=0.25, min_area_px=2, **options)
        found = gpd.read_parquet(tmp_path / "t.parquet")
        ground = GRID.pixels_to_ground(expected.geometries)
        assert shapely.equals_exact(shapely.normalize(found.geometry.to_numpy()), shapely.normalize(ground), 1e-9).all()
        for name, values in (("score", expected.score), ("minimum", expected.minimum)):
            assert found[name].to_numpy() == pytest.approx(values)
        assert found["area"].to_numpy() == pytest.approx(expected.area_px * GRID.pixel_area)
        seen.add(found.geometry.to_wkb().sum())
    assert len(seen) == 7


def test_shared_borders_stay_shared(tmp_path: Path) -> None:
    rows, cols = np.mgrid[:61, :47]
    p = (0.5 + 0.4 * np.sin(cols / 5 + rows / 9)).astype(np.float32)
    raster = write_field(tmp_path / "p.tif", p, 1 - p)
    counts = trace_file(raster, tmp_path / "t.parquet", lambda _: replace(EXACT, simplify_px=1.0), shared_borders=True)
    found = gpd.read_parquet(tmp_path / "t.parquet")
    assert counts["band1"] + counts["band2"] == len(found)
    pixels = GRID.ground_to_pixels(found.geometry.to_numpy())
    assert shapely.coverage_is_valid(np.asarray(shapely.set_precision(pixels, 1e-6)))
    assert shapely.area(pixels).sum() == pytest.approx(61 * 47)
    assert len(np.unique(found["class_name"])) == 2


def test_a_column_that_is_not_there_is_named(tmp_path: Path, like: Path, labels: Path) -> None:
    with pytest.raises(DataError, match="art"):
        burn_file(labels, like, tmp_path / "b.tif", class_field="art")
    assert not (tmp_path / "b.tif").exists()


def test_what_lies_beside_the_raster_is_counted(tmp_path: Path, like: Path, labels: Path) -> None:
    frame = gpd.read_file(labels)
    frame.loc[1, "geometry"] = shapely.affinity.translate(frame.geometry[1], 0.5, 0)
    frame.to_file(tmp_path / "far.geojson", driver="GeoJSON")
    counts = burn_file(tmp_path / "far.geojson", like, tmp_path / "b.tif", class_field="kind")
    assert counts == {"house": 1, "yard": 0, "beside the raster": 1}
    assert "beside the raster" not in burn_file(labels, like, tmp_path / "b.tif")


def test_points_alone_are_nothing_to_burn(tmp_path: Path, like: Path) -> None:
    points = GRID.pixels_to_ground(np.array([shapely.Point(5, 5), shapely.LineString([(1, 1), (9, 9)])], dtype=object))
    gpd.GeoDataFrame(geometry=points, crs=GRID.crs).to_file(tmp_path / "trees.gpkg")
    with pytest.raises(DataError, match=r"trees.gpkg: holds no polygon to burn, got 2 lines.*widen them"):
        burn_file(tmp_path / "trees.gpkg", like, tmp_path / "b.tif")
    assert not (tmp_path / "b.tif").exists()


def test_no_input_is_written_over_and_the_name_says_the_format(tmp_path: Path, like: Path, labels: Path) -> None:
    before = like.read_bytes()
    (tmp_path / "x").mkdir()
    with pytest.raises(RecipeError, match="would be written over, got an input"):
        burn_file(labels, like, tmp_path / "x" / ".." / "like.tif")
    assert like.read_bytes() == before
    with pytest.raises(RecipeError, match=r"unknown ending, got '.png', need .tif or .tiff"):
        burn_file(labels, like, tmp_path / "b.png")
    burn_file(labels, like, tmp_path / "b.TIF")
    burn_file(labels, like, tmp_path / "b.TIF")  # a result of before may go


def test_a_class_map_with_a_colour_table_lends_its_grid(tmp_path: Path, labels: Path) -> None:
    with write_raster(tmp_path / "map.tif", GRID, count=1, dtype="uint8", colours={1: "#AA0000"}) as writer:
        writer.write(GRID.window, np.ones((1, 61, 47), np.uint8))
    burn_file(labels, tmp_path / "map.tif", tmp_path / "b.tif")
    with open_raster(tmp_path / "b.tif") as raster:
        assert raster.info.grid.transform == GRID.transform
