"""Label pictures: colours, values, soft borders, colour tables."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from affine import Affine

from landscribe.errors import DataError
from landscribe.io.source.label_pictures import read_label_picture

COLOURS = {"water": "#E2A929", "building": "#3C1098"}
NAMES = ("building", "road", "water")
GREY = "#9B9B9B"


def rgb(text: str) -> tuple[int, int, int]:
    return tuple(bytes.fromhex(text[1:]))  # type: ignore[return-value]


def paint(path: Path, *stripes: str | tuple[int, int, int], width: int = 7) -> Path:
    """Write a picture with one row for each colour."""
    rows = [rgb(c) if isinstance(c, str) else c for c in stripes]
    image_hwc = np.repeat(np.array(rows, dtype=np.uint8)[:, None], width, axis=1)
    cv2.imwrite(str(path), image_hwc[..., ::-1])
    return path


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_colours_become_classes_in_band_order(tmp_path: Path, name: str):
    path = paint(tmp_path / name, COLOURS["water"], GREY, COLOURS["building"])
    coverage_khw, labelled_hw, counts = read_label_picture(path, COLOURS, None, GREY, NAMES)
    assert coverage_khw.shape == (3, 3, 7)
    assert coverage_khw.dtype == np.uint8
    assert coverage_khw[:, :, 0].tolist() == [[0, 0, 255], [0, 0, 0], [255, 0, 0]]
    assert labelled_hw[:, 0].tolist() == [True, False, True]
    assert counts == {}


def test_soft_borders_count_as_the_nearer_colour_and_halves_as_none(tmp_path: Path):
    water, building = np.array(rgb(COLOURS["water"])), np.array(rgb(COLOURS["building"]))
    mixed = [tuple(int(v) for v in np.round(water + (building - water) * share)) for share in (0, 0.1, 0.5, 0.85, 1)]
    path = paint(tmp_path / "a.png", *mixed, (0, 0, 0))
    coverage_khw, labelled_hw, counts = read_label_picture(path, COLOURS, None, GREY, NAMES)
    assert coverage_khw[2, :, 0].tolist() == [255, 255, 0, 0, 0, 0]
    assert coverage_khw[0, :, 0].tolist() == [0, 0, 0, 255, 255, 0]
    assert labelled_hw[:, 0].tolist() == [True, True, False, True, True, False]
    assert counts == {
        "pixels off the palette, taken for the nearest colour": 14,
        "pixels off the palette, unlabelled": 14,
    }


def test_between_two_near_colours_it_is_not_clear(tmp_path: Path):
    colours = {"building": "#640000", "water": "#780000"}
    path = paint(tmp_path / "a.png", (100, 0, 0), (105, 0, 0), (109, 0, 0), (120, 0, 0))
    _, labelled_hw, counts = read_label_picture(path, colours, None, None, NAMES)
    assert labelled_hw[:, 0].tolist() == [True, True, False, True]
    assert counts["pixels off the palette, unlabelled"] == 7


def test_a_colour_far_from_all_is_none_of_them(tmp_path: Path):
    path = paint(tmp_path / "a.png", (0, 0, 0), (39, 0, 0), (41, 0, 0))
    _, labelled_hw, counts = read_label_picture(path, {"road": "#000000"}, None, None, NAMES)
    assert labelled_hw[:, 0].tolist() == [True, True, False]
    assert counts["pixels off the palette, unlabelled"] == 7


def test_a_jpeg_is_read_by_its_nearest_colours(tmp_path: Path):
    image_hwc = np.zeros((48, 64, 3), dtype=np.uint8)
    image_hwc[:, :32], image_hwc[:, 32:] = rgb(COLOURS["water"]), rgb(COLOURS["building"])
    cv2.imwrite(str(tmp_path / "a.jpg"), image_hwc[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    coverage_khw, labelled_hw, counts = read_label_picture(tmp_path / "a.jpg", COLOURS, None, GREY, NAMES)
    assert (coverage_khw[2, :, :24] == 255).all()
    assert (coverage_khw[0, :, 40:] == 255).all()
    assert labelled_hw.mean() > 0.9
    assert counts["pixels off the palette, taken for the nearest colour"] > 100


def test_a_colour_table_is_resolved(tmp_path: Path):
    index_hw = np.array([[3, 9], [7, 3]], dtype=np.uint8)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=2, width=2, count=1, dtype="uint8", transform=Affine.scale(2)
    ) as dataset:
        dataset.write(index_hw[None])
        dataset.write_colormap(
            1, {3: (*rgb(COLOURS["water"]), 255), 9: (*rgb(COLOURS["building"]), 255), 7: (*rgb(GREY), 255)}
        )
    coverage_khw, labelled_hw, _ = read_label_picture(tmp_path / "a.tif", COLOURS, None, GREY, NAMES)
    assert coverage_khw[2].tolist() == [[255, 0], [0, 255]]
    assert coverage_khw[0].tolist() == [[0, 255], [0, 0]]
    assert labelled_hw.tolist() == [[True, True], [False, True]]
    by_value_khw, _, _ = read_label_picture(tmp_path / "a.tif", None, {"water": 3, "building": 9}, 7, NAMES)
    assert np.array_equal(by_value_khw, coverage_khw)


def test_values_are_exact(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "a.png"), np.array([[0, 1, 2, 3, 255]], dtype=np.uint8))
    coverage_khw, labelled_hw, counts = read_label_picture(
        tmp_path / "a.png", None, {"building": 1, "road": 3}, 0, NAMES
    )
    assert coverage_khw[:, 0].tolist() == [[0, 255, 0, 0, 0], [0, 0, 0, 255, 0], [0] * 5]
    assert labelled_hw[0].tolist() == [False, True, False, True, False]
    assert counts == {"pixels of no class's value, unlabelled": 2}


def test_transparent_pixels_are_unlabelled(tmp_path: Path):
    image_hwc = np.zeros((1, 3, 4), dtype=np.uint8)
    image_hwc[0, :, :3] = rgb(COLOURS["water"])[::-1]
    image_hwc[0, :, 3] = 255, 0, 255
    cv2.imwrite(str(tmp_path / "a.png"), image_hwc)
    coverage_khw, labelled_hw, _ = read_label_picture(tmp_path / "a.png", COLOURS, None, None, NAMES)
    assert labelled_hw.tolist() == [[True, False, True]]
    assert coverage_khw[2].tolist() == [[255, 0, 255]]


def test_what_cannot_be_meant_is_refused(tmp_path: Path):
    path = paint(tmp_path / "a.png", "#000000", "#FF00FF")
    with pytest.raises(DataError, match=r"a\.png: no pixel has a class or is unlabelled"):
        read_label_picture(path, COLOURS, None, GREY, NAMES)
    with pytest.raises(DataError, match=r"unknown class, got moat, need building \| road \| water"):
        read_label_picture(path, {"moat": "#000000"}, None, None, NAMES)
    with pytest.raises(DataError, match="bands of a picture of values, got 3, need 1"):
        read_label_picture(path, None, {"road": 1}, None, NAMES)
    for both in ((None, None), (COLOURS, {"road": 1})):
        with pytest.raises(DataError, match="need either colours or values"):
            read_label_picture(path, *both, None, NAMES)


def test_a_picture_of_nothing_but_unlabelled_is_fine(tmp_path: Path):
    coverage_khw, labelled_hw, counts = read_label_picture(paint(tmp_path / "a.png", GREY), COLOURS, None, GREY, NAMES)
    assert not labelled_hw.any()
    assert not coverage_khw.any()
    assert counts == {}


def test_real_masks_are_read(data_root: Path):
    colours = {"building": "#3C1098", "land": "#8429F6", "road": "#6EC1E4", "vegetation": "#FEDD3A", "water": "#E2A929"}
    for path in sorted((data_root / "dubai").glob("*/masks/*.png"))[::4]:
        coverage_khw, labelled_hw, counts = read_label_picture(path, colours, None, GREY, tuple(colours))
        assert np.array_equal(coverage_khw.sum(axis=0, dtype=int), labelled_hw * 255)
        assert labelled_hw.mean() > 0.8
        assert sum(counts.values()) < 0.01 * labelled_hw.size
