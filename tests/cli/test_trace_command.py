"""`landscribe trace`: what its options mean, and that its polygons are those of a run."""

from __future__ import annotations

from pathlib import Path

import cv2
import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS
from typer.testing import CliRunner

from landscribe.cli.app import app
from landscribe.core.burn import burn_share
from landscribe.core.grid import Grid
from landscribe.core.legend import LandClass, Legend
from landscribe.core.recipe import Recipe
from landscribe.errors import RecipeError
from landscribe.io.raster.geotiff import write_raster
from landscribe.stages.vectorize import vectorize_scene
from shapes import crowd

GRID = Grid(61, 47, Affine.translation(600_000, 4_000_000) @ Affine.scale(0.5, -0.5), CRS.from_epsg(32611))
LEGEND = Legend(tuple(LandClass(k + 1, name, "#B22222") for k, name in enumerate(("house", "road", "tree"))))


def write(path: Path, *fields_hw: np.ndarray, **options: object) -> Path:
    grid = Grid(*fields_hw[0].shape, GRID.transform, GRID.crs)
    with write_raster(path, grid, count=len(fields_hw), dtype=str(fields_hw[0].dtype), **options) as writer:
        writer.write(grid.window, np.stack(fields_hw))
        if options.get("mask"):
            valid_hw = np.ones(grid.shape_hw, bool)
            valid_hw[7:19, 3:11] = False
            writer.write_mask(grid.window, valid_hw)
    return path


def trace(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["trace", *(str(a) for a in arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_areas_are_pixels_or_square_metres_and_holes_have_their_own(tmp_path: Path) -> None:
    mask = np.zeros((61, 47), np.uint8)
    mask[3:5, 3:6] = 1  # 6 px, 1.5 m2
    mask[10:30, 10:30] = 1
    mask[15:18, 15:19] = 0  # 12 px, 3 m2
    raster, out = write(tmp_path / "m.tif", mask), tmp_path / "t.gpkg"
    for options, polygons, holes in (
        ("--min-area 6", 2, 1),
        ("--min-area 6.1", 1, 1),
        ("--min-area 6.1 --unit m2", 1, 0),
        ("--min-area 1.5 --unit m2", 2, 1),
        ("--min-area 1 --min-hole 12.1", 2, 0),
        ("--min-area 1 --min-hole 3 --unit m2", 2, 1),
    ):
        said = trace(raster, out, "--mode", "edge", *options.split())
        found = gpd.read_file(out, layer="features")
        assert len(found) == polygons
        assert sum(len(p.interiors) for p in found.explode().geometry) == holes
        assert (polygons == 1) == ("band1, polygon below minimum area: 1" in said)
        assert (holes == 0) == ("band1, hole below minimum area: 1" in said)


def probabilities(seed: int) -> np.ndarray:
    """Three classes of bytes (3, 61, 47): one smooth, one of shares, one rough."""
    rng = np.random.default_rng(seed)
    smooth = cv2.normalize(cv2.GaussianBlur(rng.random((61, 47)), (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    rough = 230 * cv2.GaussianBlur(rng.random((61, 47)), (0, 0), 0.8)
    return np.stack([smooth.astype(np.uint8), burn_share(crowd(rng, (61, 47), 5), (61, 47)), rough.astype(np.uint8)])


@pytest.mark.parametrize(
    ("options", "table"),
    [
        ("", {}),
        ("--threshold 0.35 --mode edge", {"threshold": {"default": 0.35}, "mode": "edge"}),
        ("--mode opencv --connectivity 8", {"mode": "opencv", "connectivity": 8}),
        ("--min-area 2.5 --min-hole 7 --unit m2 --connectivity mean", {
            "min_area": {"default": 2.5, "unit": "m2"}, "min_hole": {"default": 7.0, "unit": "m2"},
            "connectivity": "mean",
        }),
        ("--smooth 3 --simplify 0.4", {"smooth": 3, "simplify_px": 0.4}),
        ("--right-angles", {"right_angles": LEGEND.names}),
        ("--exclusive", {"exclusive": True}),
        ("--exclusive --threshold 0.7", {"exclusive": True, "threshold": {"default": 0.7}}),
        ("--shared --simplify 1.3", {"exclusive": True, "shared_borders": True, "simplify_px": 1.3}),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)  # fmt: skip
@pytest.mark.parametrize("seed", [3, 11])
def test_polygons_are_those_of_a_run_with_the_same_settings(
    tmp_path: Path, options: str, table: dict, seed: int
) -> None:
    probability = probabilities(seed)
    raster = write(tmp_path / "p.tif", *probability, descriptions=LEGEND.names, mask=True, scale=1 / 255)
    recipe = Recipe.model_validate({"data": {"source": "dstl"}, "vectorize": table})
    run, _ = vectorize_scene(raster, "p", recipe, LEGEND)
    trace(raster, tmp_path / "t.parquet", *options.split())
    plain = gpd.read_parquet(tmp_path / "t.parquet")
    assert len(run) > 2
    assert plain["class_name"].tolist() == run["class_name"].tolist()
    ours, theirs = (shapely.orient_polygons(frame.geometry.to_numpy()) for frame in (plain, run))
    assert shapely.to_wkb(ours).tolist() == shapely.to_wkb(theirs).tolist()
    assert np.array_equal(plain["score"], run["score"])
    assert np.array_equal(plain["area"], run["area"])


def class_map(tmp_path: Path, **options: object) -> Path:
    image = np.full((61, 47), 3, np.uint8)
    image[5:30, 4:20], image[40:52, 9:33] = 1, 2
    return write(tmp_path / "map.tif", image, **options)


def test_it_says_what_it_took_the_raster_for_and_names_values(tmp_path: Path) -> None:
    out = tmp_path / "t.gpkg"
    result = CliRunner().invoke(app, ["trace", str(class_map(tmp_path)), str(out)])
    assert result.exit_code == 0
    assert result.stdout == f"{out}\n"
    first, *counts = result.stderr.splitlines()
    assert first.startswith("map.tif: taken for a class map, a class for each of 1, 2, 3;")
    assert first.endswith("--as mask | probability | percent takes it otherwise")
    assert counts == ["value 1: 1", "value 2: 1", "value 3: 1"]
    named = trace(class_map(tmp_path), out, "--classes", "1=road, 2=open water")
    assert "values without a class are left out: 3" in named
    found = gpd.read_file(out, layer="features")
    assert sorted(found["class_name"]) == ["open water", "road"]
    assert sorted(found.area) == [12 * 24 / 4, 25 * 16 / 4]


def test_modes_and_nodata_are_as_asked(tmp_path: Path) -> None:
    out = tmp_path / "t.gpkg"
    trace(class_map(tmp_path), out)
    along = gpd.read_file(out, layer="features")
    assert shapely.area(along.geometry).sum() == 61 * 47 / 4
    trace(class_map(tmp_path), out, "--mode", "contour", "--smooth", "3")
    assert gpd.read_file(out, layer="features").area[0] < along.area[0]
    assert "value 3" not in trace(class_map(tmp_path), out, "--nodata", "3")
    assert "value 3: 1" in trace(class_map(tmp_path, nodata=3), out, "--nodata", "none")
    said = trace(class_map(tmp_path), out, "--as", "probability")
    assert "no polygons in t.gpkg: no pixel reaches 0.5; the largest value is 0.0118" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--classes road", "--classes: not values and names, got 'road', need 1=road,2=water"),
        ("--classes 1=road,1=water", "a value is named twice, got 1"),
        ("--classes 1=", "not values and names, got '1='"),
        ("--classes 1.5=road", "not values and names"),
        ("--nodata nothing", "--nodata: no number, got 'nothing', need a number, or none"),
        ("--as mask --classes 1=road", "--as says mask"),
    ],
)
def test_values_that_cannot_be_read_are_refused(tmp_path: Path, options: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        trace(class_map(tmp_path), tmp_path / "t.gpkg", *options.split())
    assert not (tmp_path / "t.gpkg").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--threshold 0", "threshold out of range, got 0.0"),
        ("--mode edge --connectivity mean", "it is 4 or 8"),
        ("--mode edge --smooth 2", "smoothing has no meaning"),
        ("--mode opencv --right-angles", "right angles have no meaning"),
        ("--shared --right-angles", "would tear shared borders apart"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(tmp_path: Path, options: str, said: str) -> None:
    raster = write(tmp_path / "p.tif", *probabilities(5))
    with pytest.raises(RecipeError, match=said):
        trace(raster, tmp_path / "t.gpkg", *options.split())
    assert not (tmp_path / "t.gpkg").exists()
