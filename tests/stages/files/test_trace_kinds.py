"""Rasters of every kind become the right polygons, or a sentence says how."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS

from landscribe.core.burn import burn_mask, burn_share
from landscribe.core.grid import Grid
from landscribe.core.tracing import PIXEL_EDGES, Tracing
from landscribe.errors import DataError, RecipeError
from landscribe.io.raster.geotiff import write_raster
from landscribe.stages.files import taken
from landscribe.stages.files.taken import Wish
from landscribe.stages.files.trace import default_tracing, trace_file
from shapes import crowd

SHAPES = [(61, 47), (1, 53), (67, 1), (97, 113)]
KINDS = [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64]
HOUSE = shapely.affinity.rotate(shapely.box(9.3, 11.7, 33.2, 38.9), 25)
slow = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def grid_of(shape_hw: tuple[int, int]) -> Grid:
    return Grid(*shape_hw, Affine.translation(600_000, 4_000_000) @ Affine.scale(0.5, -0.5), CRS.from_epsg(32611))


def write(path: Path, image: np.ndarray, **options: object) -> Path:
    image_chw = image if image.ndim == 3 else image[None]
    grid = grid_of(image_chw.shape[1:])
    with write_raster(path, grid, count=len(image_chw), dtype=str(image.dtype), **options) as writer:  # type: ignore[arg-type]
        writer.write(grid.window, image_chw)
    return path


def run(raster: Path, tracing: Tracing | None = None, **options: object) -> tuple[gpd.GeoDataFrame, dict, list[str]]:
    said: list[str] = []
    out = raster.with_suffix(".parquet")
    tracing_of = default_tracing if tracing is None else lambda _: tracing
    counts = trace_file(raster, out, tracing_of, tell=said.append, **options)  # type: ignore[arg-type]
    return gpd.read_parquet(out), counts, said


def pixels_of(found: gpd.GeoDataFrame, shape_hw: tuple[int, int], name: str) -> np.ndarray:
    """The pixels that polygons of a class cover."""
    geometries = found.geometry.to_numpy()[found["class_name"].to_numpy() == name]
    return burn_mask(grid_of(shape_hw).ground_to_pixels(geometries), shape_hw) > 0


def blocks(rng: np.random.Generator, shape_hw: tuple[int, int], values: list[int]) -> np.ndarray:
    side = int(rng.integers(1, 8))
    coarse = rng.choice(values, (shape_hw[0] // side + 1, shape_hw[1] // side + 1))
    return np.kron(coarse, np.ones((side, side), np.int64))[: shape_hw[0], : shape_hw[1]]


# Class maps.


@slow
@given(seed=st.integers(0, 2**32 - 1), shape_hw=st.sampled_from(SHAPES), kind=st.sampled_from(KINDS))
def test_a_class_map_gives_the_pixels_of_every_value(tmp_path, seed, shape_hw, kind) -> None:
    rng = np.random.default_rng(seed)
    values = rng.choice([0, 1, 2, 3, 5, 7, 15, 42, 100], 4, replace=False).tolist()
    image = blocks(rng, shape_hw, values).astype(kind)
    raster = write(tmp_path / "map.tif", image)
    wish = Wish(meaning="classes")  # a map may by chance hold two values only
    found, counts, said = run(raster, PIXEL_EDGES, wish=wish)
    there = np.unique(image)
    assert sorted(counts) == sorted(f"value {v:.0f}" for v in there)
    for value in there:
        assert np.array_equal(pixels_of(found, shape_hw, f"value {value:.0f}"), image == value)
        assert set(found["class_id"][found["class_name"] == f"value {value:.0f}"]) == {int(value)}
    assert len(said) == 1
    assert "taken for a class map" in said[0]
    assert "--as mask | probability | percent" in said[0]


def test_a_class_map_is_recognised_and_follows_pixel_borders(tmp_path: Path) -> None:
    image = np.zeros((61, 47), np.uint8)
    image[3:20, 5:31], image[30:44, 20:29], image[50:51, 2:40] = 1, 2, 5
    found, counts, [line] = run(write(tmp_path / "map.tif", image))
    assert counts == {"value 0": 1, "value 1": 1, "value 2": 1, "value 5": 1}
    assert found.area.sum() == 61 * 47 * 0.25
    assert (found["score"] == 1).all()
    assert re.match(r"map.tif: taken for a class map, a class for each of 0, 1, 2, 5; --classes 1=road,2=water", line)


def test_names_take_their_values_alone_and_one_name_may_have_several(tmp_path: Path) -> None:
    image = blocks(np.random.default_rng(4), (61, 47), [1, 2, 3, 4, 15]).astype(np.uint8)
    raster = write(tmp_path / "map.tif", image)
    wish = Wish(names={4: "road", 1: "water", 15: "road", 77: "ice"})
    found, counts, [line] = run(raster, PIXEL_EDGES, wish=wish)
    assert set(counts) == {"road", "water", "ice"}
    assert counts["ice"] == 0
    assert np.array_equal(pixels_of(found, (61, 47), "road"), (image == 4) | (image == 15))
    assert np.array_equal(pixels_of(found, (61, 47), "water"), image == 1)
    assert "values without a class are left out: 2, 3" in line
    assert "values that do not occur: 77" in line
    # Names make a class map of what values alone would be taken for bytes of.
    many = np.arange(61 * 47).reshape(61, 47).astype(np.uint8)
    found, _, _ = run(write(tmp_path / "many.tif", many), PIXEL_EDGES, wish=Wish(names={200: "there"}))
    assert np.array_equal(pixels_of(found, (61, 47), "there"), many == 200)


def test_names_and_colours_of_the_file_are_taken(tmp_path: Path) -> None:
    image = blocks(np.random.default_rng(1), (61, 47), [1, 2, 3]).astype(np.uint8)
    raster = write(tmp_path / "map.tif", image, colours={1: "#112233", 2: "#445566", 3: "#778899"})
    names = "<Category/><Category>road</Category><Category>water</Category>"
    xml = f'<PAMDataset><PAMRasterBand band="1"><CategoryNames>{names}</CategoryNames></PAMRasterBand></PAMDataset>'
    (tmp_path / "map.tif.aux.xml").write_text(xml)
    found, counts, _ = run(raster)
    assert {name for name in counts if "," not in name} == {"road", "water", "value 3"}
    out = tmp_path / "map.gpkg"
    trace_file(raster, out)
    with contextlib.closing(sqlite3.connect(out)) as database:
        [[style]] = database.execute("select styleQML from layer_styles")
    for red, green, blue in ((0x11, 0x22, 0x33), (0x44, 0x55, 0x66), (0x77, 0x88, 0x99)):
        assert f"{red},{green},{blue}" in style
    assert len(found) == sum(counts[name] for name in ("road", "water", "value 3"))


def test_class_maps_share_borders_and_mind_nodata(tmp_path: Path) -> None:
    rows, cols = np.mgrid[:61, :47]
    image = (1 + (cols > 9 + rows // 3) + (cols > 25 + rows // 5)).astype(np.uint8)
    image[40:, :7] = 9
    raster = write(tmp_path / "map.tif", image, nodata=9)
    tracing = Tracing(simplify_px=1.5, min_area_px=0)
    found, counts, [line] = run(raster, tracing, shared_borders=True)
    assert set(counts) == {"value 1", "value 2", "value 3"}
    pixels = grid_of((61, 47)).ground_to_pixels(found.geometry.to_numpy())
    assert shapely.coverage_is_valid(np.asarray(shapely.set_precision(pixels, 1e-6)))
    assert shapely.area(pixels).sum() == pytest.approx(61 * 47 - 21 * 7)
    assert f"{21 * 7} pixels without data are outside" in line
    exact, _, _ = run(raster, PIXEL_EDGES, shared_borders=True)
    assert shapely.get_num_coordinates(pixels).sum() < shapely.get_num_coordinates(exact.geometry).sum()


# Masks.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("top", [1, 255])
@pytest.mark.parametrize("nodata", [None, 0, "other"])
def test_masks_of_any_type_and_nodata_are_one_class(tmp_path: Path, kind, top, nodata) -> None:
    mask = burn_mask(np.array([HOUSE]), (61, 47))
    image = (mask * kind(top)).astype(kind)
    hidden = np.zeros((61, 47), bool)
    if nodata == "other":
        nodata = 7
        hidden[:25] = True
        image[hidden] = 7
    raster = write(tmp_path / "mask.tif", image, nodata=nodata)
    found, counts, [line] = run(raster, PIXEL_EDGES)
    assert set(counts) == {"band1"}
    assert np.array_equal(pixels_of(found, (61, 47), "band1"), (mask > 0) & ~hidden)
    assert f"taken for a mask, {top} inside" in line
    contour, _, _ = run(raster)
    assert np.array_equal(pixels_of(contour, (61, 47), "band1"), (mask > 0) & ~hidden)


def test_a_mask_whose_outside_is_all_that_counts_as_data_is_said_loudly(tmp_path: Path) -> None:
    mask = burn_mask(np.array([HOUSE]), (61, 47)) * np.uint8(255)
    raster = write(tmp_path / "mask.tif", mask, nodata=255)
    found, _, said = run(raster)
    assert len(found) == 0
    inside = int((mask > 0).sum())
    assert said[1] == (
        f"no polygons in mask.parquet: every pixel with data is 0, and {inside} are nodata (--nodata none)"
    )
    found, _, said = run(raster, PIXEL_EDGES, wish=Wish(nodata=float("nan")))
    assert np.array_equal(pixels_of(found, (61, 47), "band1"), mask > 0)
    assert len(said) == 1
    found, _, _ = run(write(tmp_path / "other.tif", np.where(mask > 0, 1, 9).astype(np.uint8)), wish=Wish(nodata=9))
    assert len(found) == 1


def test_several_masks_are_a_class_each(tmp_path: Path) -> None:
    masks = np.stack([burn_mask(crowd(np.random.default_rng(k), (61, 47), 4), (61, 47)) > 0 for k in range(3)])
    raster = write(tmp_path / "m.tif", masks.astype(np.uint8), descriptions=["a", None, "a"])
    found, counts, [line] = run(raster, PIXEL_EDGES)
    for name, mask in zip(("a1", "band2", "a3"), masks, strict=True):
        assert counts[name]
        assert np.array_equal(pixels_of(found, (61, 47), name), mask)
    assert "a class for each of 3 bands" in line


# Probabilities.


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64])
def test_probabilities_in_bytes_fractions_and_percent_give_the_same_polygons(tmp_path: Path, kind) -> None:
    share = burn_share(np.array([HOUSE]), (61, 47)) / 255
    scale = {np.uint8: 255, np.uint16: 100}.get(kind, 1)
    image = (np.round(share * scale) if scale > 1 else share).astype(kind)
    found, _, [line] = run(write(tmp_path / "p.tif", image))
    [polygon] = grid_of((61, 47)).ground_to_pixels(found.geometry.to_numpy())
    assert polygon.symmetric_difference(HOUSE).area < 0.01 * HOUSE.area
    assert ("in percent, 0 to 100" in line) == (kind is np.uint16)
    if kind is np.float32:
        percent, _, [line] = run(write(tmp_path / "percent.tif", 100 * image))
        assert percent.geometry[0].equals_exact(found.geometry[0], 1e-4)
        assert "in percent, 0 to 100" in line
        over, _, _ = run(write(tmp_path / "over.tif", image * np.float32(1.00005)))
        assert len(over) == 1


@pytest.mark.parametrize(("kind", "factor"), [("uint8", 0.01), ("uint16", 1e-4), ("int16", 0.001), ("uint8", 1 / 255)])
def test_a_factor_of_the_file_holds(tmp_path: Path, kind: str, factor: float) -> None:
    share = burn_share(np.array([HOUSE]), (61, 47)) / 255
    raster = write(tmp_path / "p.tif", np.round(share / factor).astype(kind), scale=factor)
    found, _, [line] = run(raster)
    [polygon] = grid_of((61, 47)).ground_to_pixels(found.geometry.to_numpy())
    assert polygon.symmetric_difference(HOUSE).area < 0.01 * HOUSE.area
    assert "taken for probabilities or covered shares" in line


@pytest.mark.parametrize("top", [1, 3, 40, 90])
def test_bytes_that_say_they_are_probabilities_stay_so_however_few_values_they_have(tmp_path: Path, top: int) -> None:
    field = np.random.default_rng(1).integers(0, top + 1, (61, 47)).astype(np.uint8)
    found, _, said = run(write(tmp_path / "p.tif", field, scale=1 / 255, descriptions=["house"]))
    assert len(found) == 0
    assert said[1] == f"no polygons in p.parquet: no pixel reaches 0.5; the largest value is {top / 255:.3g}"
    # One band of a class that is nowhere does not become a mask beside others.
    both = np.stack([np.minimum(field, 1), np.full_like(field, 200)])
    _, counts, _ = run(write(tmp_path / "two.tif", both), Tracing(min_area_px=0))
    assert (counts["band1"], counts["band2"]) == (0, 1)


def test_no_polygon_is_said_with_its_reason(tmp_path: Path) -> None:
    low = (0.31 * burn_share(np.array([HOUSE]), (61, 47)) / 255).astype(np.float32)
    reasons = {
        "no pixel reaches 0.5; the largest value is 0.31": run(write(tmp_path / "a.tif", low)),
        "every pixel with data is 0": run(write(tmp_path / "b.tif", np.zeros((61, 47), np.uint8))),
        "no pixel holds data": run(write(tmp_path / "c.tif", np.full((61, 47), 9, np.uint8), nodata=9)),
        "all 1 parts are too small (--min-area 1e+06 px)": run(
            write(tmp_path / "d.tif", 3 * low), Tracing(min_area_px=1e6)
        ),
        "no pixel holds data; --nodata none": run(
            write(tmp_path / "f.tif", np.full((61, 47), 9, np.uint8), nodata=9), wish=Wish(meaning="classes")
        ),
        "no pixel has a value that is named; values are 3, 8": run(
            write(tmp_path / "e.tif", np.where(low > 0, 3, 8).astype(np.uint8)), wish=Wish(names={5: "x"})
        ),
    }
    for reason, (found, _, said) in reasons.items():
        assert len(found) == 0
        assert len(said) == 2
        assert reason in said[1]


def test_photographs_and_transparency_are_remarked(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 61, 47), dtype=np.uint8)
    profile = {
        "driver": "GTiff",
        "height": 61,
        "width": 47,
        "count": 4,
        "dtype": "uint8",
        "photometric": "RGB",
        "alpha": "YES",
    }
    with rasterio.open(tmp_path / "photo.tif", "w", **profile) as dataset:
        dataset.write(image)
    _, _, said = run(tmp_path / "photo.tif")
    assert "polygons of a photograph mean nothing" in said[0]
    assert "band 4 is taken for transparency" in said[0]


# Wishes.


def test_what_is_asked_for_holds_against_the_values(tmp_path: Path) -> None:
    image = blocks(np.random.default_rng(2), (61, 47), [0, 1, 60, 200]).astype(np.uint8)
    raster = write(tmp_path / "map.tif", image)
    for meaning, inside in (("mask", image > 0), ("probability", image >= 128)):
        found, _, [line] = run(raster, PIXEL_EDGES, wish=Wish(meaning=meaning))  # type: ignore[arg-type]
        assert np.array_equal(pixels_of(found, (61, 47), "band1"), inside)
        assert ", as asked" in line
    small = write(tmp_path / "small.tif", np.minimum(image, 100))
    found, _, _ = run(small, PIXEL_EDGES, wish=Wish(meaning="percent"))
    assert np.array_equal(pixels_of(found, (61, 47), "band1"), image >= 50)
    with pytest.raises(DataError, match=r"map.tif: field out of range for percent, got 0 to 200, need 0 to 100"):
        run(raster, wish=Wish(meaning="percent"))
    with pytest.raises(DataError, match=r"f.tif: field out of range for probability, got -3 to 200"):
        run(write(tmp_path / "f.tif", image.astype(np.float32) - 3 * (image == 0)), wish=Wish(meaning="probability"))


def test_wishes_that_cannot_be_are_refused(tmp_path: Path) -> None:
    field = np.random.default_rng(2).random((61, 47)).astype(np.float32)
    many = np.arange(61 * 47).reshape(61, 47).astype(np.uint16)
    for image, wish, error, said in (
        (field, Wish(meaning="classes"), DataError, "a class map of fractions"),
        (np.stack([field > 0.5] * 2).astype(np.uint8), Wish(meaning="classes"), DataError, "of several bands"),
        (many, Wish(meaning="classes"), DataError, "too many values for a class map"),
        (many, Wish(), DataError, r"w.tif: neither probabilities nor classes, got 0 to 2866"),
        (field, Wish("mask", {1: "x"}), RecipeError, "--as says mask"),
    ):
        with pytest.raises(error, match=said):
            run(write(tmp_path / "w.tif", image), wish=wish)
        assert not (tmp_path / "w.parquet").exists()


# Large rasters.


@pytest.fixture
def nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every raster for a large one, of which one row in nine is looked at first."""
    monkeypatch.setattr(taken, "KEEP_BYTES", 0)
    monkeypatch.setattr(taken, "SAMPLE_ROWS", 1)


@pytest.mark.usefixtures("nothing_is_kept")
@pytest.mark.parametrize("kind", ["classes", "mask", "share", "fraction", "percent"])
def test_a_large_raster_gives_the_polygons_of_a_small_one(tmp_path: Path, kind: str, monkeypatch) -> None:
    share = burn_share(np.array([HOUSE]), (61, 47))
    image = {
        "classes": np.where(share > 200, 3, 8).astype(np.uint8), "mask": (share > 99) * np.uint8(255), "share": share,
        "fraction": (share / 255).astype(np.float32), "percent": (share / 2.55).astype(np.float32),
    }[kind]  # fmt: skip
    raster = write(tmp_path / "r.tif", image)
    found, counts, [line] = run(raster)
    monkeypatch.undo()
    expected, expected_counts, [expected_line] = run(raster)
    assert counts == expected_counts
    assert shapely.to_wkb(found.geometry).tolist() == shapely.to_wkb(expected.geometry).tolist()
    assert line.split(",")[0] == expected_line.split(",")[0]


@pytest.mark.usefixtures("nothing_is_kept")
@pytest.mark.parametrize(
    ("sampled", "hidden", "first", "then"),
    [
        ([0, 1], 4, "a mask", "a class map, a class for each of 0, 1, 4"),
        ([2, 3], 9, "a class map, a class for each of 2, 3", "a class map, a class for each of 2, 3, 9"),
        ([0.25, 0.5], 60.0, "probabilities or covered shares, 0.25 to 0.5", "probabilities in percent, 0.25 to 60"),
    ],
)
def test_what_a_sample_did_not_show_is_found_out(tmp_path: Path, sampled, hidden, first, then) -> None:
    kind = np.float32 if isinstance(hidden, float) else np.uint8
    image = np.full((61, 47), sampled[0], kind)
    image[:, 20:] = sampled[1]
    image[30, 11:19] = hidden  # in a row that is not among the first that are looked at
    _, _, said = run(write(tmp_path / "r.tif", image), Tracing(min_area_px=0))
    assert len(said) == 2
    assert f"taken for {first}" in said[0]
    assert f"taken for {then}" in said[1]
