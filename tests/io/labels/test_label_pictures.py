"""Label pictures: colours, values, bands, soft borders, colour tables, nodata."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from affine import Affine

from landscribe.core.recipe import LabelTable
from landscribe.errors import DataError
from landscribe.io.labels.pictures import NODATA, OFF_PALETTE, TAKEN, Painted, read_label_picture

COLOURS = {"water": "#E2A929", "building": "#3C1098"}
NAMES = ("building", "road", "water")
GREY = "#9B9B9B"


def rgb(text: str) -> tuple[int, int, int]:
    return tuple(bytes.fromhex(text[1:]))  # type: ignore[return-value]


def paint(path: Path, *stripes: str | tuple[int, int, int], width: int = 7, height: int = 1) -> Path:
    """Write a picture with some rows for each colour."""
    rows = [rgb(c) if isinstance(c, str) else c for c in stripes]
    image_hwc = np.repeat(np.repeat(np.array(rows, dtype=np.uint8)[:, None], width, axis=1), height, axis=0)
    cv2.imwrite(str(path), image_hwc[..., ::-1])
    return path


def grey(path: Path, values_hw: np.ndarray, **options: object) -> Path:
    """Write a picture of one band; a TIFF takes options such as nodata."""
    if path.suffix != ".tif":
        cv2.imwrite(str(path), values_hw)
        return path
    bands_chw = values_hw if values_hw.ndim == 3 else values_hw[None]
    profile = {"driver": "GTiff", "dtype": values_hw.dtype, "transform": Affine.scale(2)}
    count, height, width = bands_chw.shape
    with rasterio.open(path, "w", count=count, height=height, width=width, **profile | options) as dataset:
        dataset.write(bands_chw)
    return path


def read(path: Path, **settings: object) -> Painted:
    return read_label_picture(path, LabelTable(path="m", **settings), NAMES)  # type: ignore[arg-type]


def test_colours_become_classes_in_band_order(tmp_path: Path):
    for name in ("a.png", "a.tif"):
        path = paint(tmp_path / name, COLOURS["water"], GREY, COLOURS["building"])
        found = read(path, colours=COLOURS, unlabelled=GREY)
        assert found.coverage_khw.shape == (3, 3, 7)
        assert found.coverage_khw.dtype == np.uint8
        assert found.coverage_khw[:, :, 0].tolist() == [[0, 0, 255], [0, 0, 0], [255, 0, 0]]
        assert found.labelled_hw[:, 0].tolist() == [True, False, True]
        assert found.counts == {}


def test_soft_borders_count_as_the_nearer_colour_and_halves_as_none(tmp_path: Path):
    water, building = np.array(rgb(COLOURS["water"])), np.array(rgb(COLOURS["building"]))
    mixed = [tuple(int(v) for v in np.round(water + (building - water) * share)) for share in (0, 0.1, 0.5, 0.85, 1)]
    found = read(paint(tmp_path / "a.png", *mixed, (0, 0, 0)), colours=COLOURS, unlabelled=GREY)
    assert found.coverage_khw[2, :, 0].tolist() == [255, 255, 0, 0, 0, 0]
    assert found.coverage_khw[0, :, 0].tolist() == [0, 0, 0, 255, 255, 0]
    assert found.labelled_hw[:, 0].tolist() == [True, True, False, True, True, False]
    assert found.counts == {TAKEN: 14, OFF_PALETTE: 14}


def test_other_colours_with_ground_of_their_own_are_none_of_the_classes(tmp_path: Path):
    path = paint(tmp_path / "a.png", (0, 0, 0), COLOURS["water"], (0, 90, 0), height=3)
    with rasterio.open(path) as dataset:
        image_chw = dataset.read()
    image_chw[:, 0, :2] = np.array([[20], [9], [5]])  # a stain, nearer to black than to anything else
    image_chw[:, 3, :2] = np.array([[113], [84], [20]])  # halfway between black and water
    cv2.imwrite(str(path), np.moveaxis(image_chw, 0, -1)[..., ::-1])
    found = read(path, colours=COLOURS)
    assert (found.coverage_khw[2] == 255).sum() == 21 - 2
    assert not found.coverage_khw[0].any()
    assert (~found.labelled_hw).sum() == 2
    assert found.counts == {TAKEN: 2, OFF_PALETTE: 2, "pixels of colour #005A00, none of the classes": 21}


def test_between_two_near_colours_it_is_not_clear(tmp_path: Path):
    colours = {"building": "#640000", "water": "#780000"}
    found = read(paint(tmp_path / "a.png", (100, 0, 0), (105, 0, 0), (109, 0, 0), (120, 0, 0)), colours=colours)
    assert found.labelled_hw[:, 0].tolist() == [True, True, False, True]
    assert found.counts[OFF_PALETTE] == 7


def test_a_colour_far_from_all_is_none_of_them(tmp_path: Path):
    found = read(paint(tmp_path / "a.png", (0, 0, 0), (39, 0, 0), (41, 0, 0)), colours={"road": "#000000"})
    assert found.labelled_hw[:, 0].tolist() == [True, True, False]
    assert found.counts[OFF_PALETTE] == 7


def test_ground_of_another_colour_is_none_of_the_classes_unless_it_is_near(tmp_path: Path):
    path = paint(tmp_path / "a.png", (0, 0, 0), (43, 0, 0), (110, 0, 0), height=2)
    found = read(path, colours={"road": "#000000"})
    assert found.labelled_hw.all()
    assert found.coverage_khw[1, ::2, 0].tolist() == [255, 0, 0]


def test_a_jpeg_is_read_by_its_nearest_colours(tmp_path: Path):
    image_hwc = np.zeros((48, 64, 3), dtype=np.uint8)
    image_hwc[:, :32], image_hwc[:, 32:] = rgb(COLOURS["water"]), rgb(COLOURS["building"])
    cv2.imwrite(str(tmp_path / "a.jpg"), image_hwc[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    found = read(tmp_path / "a.jpg", colours=COLOURS, unlabelled=GREY)
    assert (found.coverage_khw[2, :, :24] == 255).all()
    assert (found.coverage_khw[0, :, 40:] == 255).all()
    assert found.labelled_hw.mean() > 0.9
    assert found.counts[TAKEN] > 100


def test_a_jpeg_of_black_and_white_keeps_its_background(tmp_path: Path):
    mask_hw = np.zeros((61, 83), dtype=np.uint8)
    cv2.circle(mask_hw, (37, 29), 19, 255, -1)
    cv2.imwrite(str(tmp_path / "a.jpg"), mask_hw, [cv2.IMWRITE_JPEG_QUALITY, 85])
    for settings in ({"values": {"building": 255}}, {"colours": {"building": "#FFFFFF"}}):
        found = read(tmp_path / "a.jpg", **settings)
        sure = found.labelled_hw
        assert sure.mean() > 0.95
        assert ((found.coverage_khw[0] == 255) == (mask_hw == 255))[sure].all()
        assert found.counts.get(OFF_PALETTE, 0) == (~sure).sum()


def test_a_colour_table_is_resolved(tmp_path: Path):
    index_hw = np.array([[3, 9], [7, 3]], dtype=np.uint8)
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=2, width=2, count=1, dtype="uint8", transform=Affine.scale(2)
    ) as dataset:
        dataset.write(index_hw[None])
        dataset.write_colormap(
            1, {3: (*rgb(COLOURS["water"]), 255), 9: (*rgb(COLOURS["building"]), 255), 7: (*rgb(GREY), 255)}
        )
    found = read(tmp_path / "a.tif", colours=COLOURS, unlabelled=GREY)
    assert found.coverage_khw[2].tolist() == [[255, 0], [0, 255]]
    assert found.coverage_khw[0].tolist() == [[0, 255], [0, 0]]
    assert found.labelled_hw.tolist() == [[True, True], [False, True]]
    by_value = read(tmp_path / "a.tif", values={"water": 3, "building": 9}, unlabelled=7)
    assert np.array_equal(by_value.coverage_khw, found.coverage_khw)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
def test_values_are_exact_and_all_others_say_that_nothing_is_there(tmp_path: Path, dtype: str):
    path = grey(tmp_path / "a.tif", np.array([[0, 1, 2, 3, 255, 2, 9]], dtype=dtype))
    found = read(path, values={"building": 1, "road": 3}, unlabelled=9)
    assert found.coverage_khw[:, 0].tolist() == [[0, 255, 0, 0, 0, 0, 0], [0, 0, 0, 255, 0, 0, 0], [0] * 7]
    assert found.labelled_hw[0].tolist() == [True] * 6 + [False]
    assert found.counts == {
        "pixels of value 0, none of the classes": 1,
        "pixels of value 2, none of the classes": 2,
        "pixels of value 255, none of the classes": 1,
    }


def test_many_other_values_are_named_up_to_a_number(tmp_path: Path):
    path = grey(tmp_path / "a.png", np.repeat(np.repeat(np.arange(31, dtype=np.uint8)[None], 2, axis=0), 2, axis=1))
    counts = read(path, values={"building": 1}).counts
    assert len(counts) == 9
    assert counts.pop("pixels of further kinds, none of the classes") == 4 * (31 - 2 - 8)
    assert set(counts.values()) == {4}


def test_a_soft_border_between_far_values_is_taken_for_the_nearer(tmp_path: Path):
    mask_hw = np.zeros((89, 71), dtype=np.uint8)
    cv2.rectangle(mask_hw, (13, 17), (51, 61), 255, -1)
    soft_hw = cv2.warpAffine(mask_hw, cv2.getRotationMatrix2D((35, 44), 17, 1), (71, 89), flags=cv2.INTER_LINEAR)
    found = read(grey(tmp_path / "a.png", soft_hw), values={"building": 255})
    assert ((found.coverage_khw[0] == 255) == (soft_hw > 230)).mean() > 0.99
    assert found.labelled_hw[soft_hw == 0].all()
    assert not found.labelled_hw[(soft_hw > 60) & (soft_hw < 200)].any()
    assert found.counts[OFF_PALETTE] == (~found.labelled_hw).sum()
    # Of a map of classes with values close together nothing is taken for anything else.
    exact = read(tmp_path / "a.png", values={"building": 255, "road": 254})
    assert exact.labelled_hw.all()


def test_grey_in_three_equal_bands_is_a_picture_of_values(tmp_path: Path):
    path = paint(tmp_path / "a.png", (0, 0, 0), (255, 255, 255))
    found = read(path, values={"road": 255})
    assert found.coverage_khw[1, :, 0].tolist() == [0, 255]
    with pytest.raises(DataError, match="bands of a picture of values, got 3, need 1; use colours, or bands"):
        read(paint(path, "#000000", "#FF00FF"), values={"road": 255})


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_what_the_file_calls_nodata_says_that_nothing_is_there(tmp_path: Path, dtype: str):
    values_hw = np.array([[0, 255, 0, 7, 0]], dtype=dtype)
    path = grey(tmp_path / "a.tif", values_hw, nodata=0)
    found = read(path, values={"building": 255})
    assert found.labelled_hw.all()
    assert found.counts == {NODATA: 3, "pixels of value 7, none of the classes": 1}
    wanted = read(path, values={"building": 255}, nodata="unlabelled")
    assert wanted.labelled_hw[0].tolist() == [False, True, False, True, False]
    # What the recipe names is what the recipe says.
    assert read(path, values={"building": 0}, nodata="unlabelled").coverage_khw[0, 0].tolist() == [255, 0, 255, 0, 255]
    assert read(path, values={"building": 255}, unlabelled=0).labelled_hw[0].tolist() == [
        False,
        True,
        False,
        True,
        False,
    ]


def test_what_is_transparent_says_that_nothing_is_there(tmp_path: Path):
    image_hwc = np.zeros((1, 3, 4), dtype=np.uint8)
    image_hwc[0, :, :3] = rgb(COLOURS["water"])[::-1]
    image_hwc[0, :, 3] = 255, 0, 255
    cv2.imwrite(str(tmp_path / "a.png"), image_hwc)
    found = read(tmp_path / "a.png", colours=COLOURS)
    assert found.labelled_hw.all()
    assert found.coverage_khw[2].tolist() == [[255, 0, 255]]
    assert found.counts == {NODATA: 1}
    found = read(tmp_path / "a.png", colours=COLOURS, nodata="unlabelled")
    assert found.labelled_hw.tolist() == [[True, False, True]]
    assert found.coverage_khw[2].tolist() == [[255, 0, 255]]


def test_a_picture_that_is_transparent_everywhere_says_that_nothing_is_there(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((5, 7, 4), dtype=np.uint8))
    for settings in ({"colours": COLOURS}, {"values": {"road": 1}}, {"bands": {"road": 1}}):
        found = read(tmp_path / "a.png", **settings)
        assert found.labelled_hw.all()
        assert not found.coverage_khw.any()
        assert found.counts == {NODATA: 35}


@pytest.mark.parametrize(("dtype", "one"), [("uint8", 1), ("uint8", 255), ("uint16", 1), ("float32", 1.0)])
def test_a_band_per_class_may_overlap(tmp_path: Path, dtype: str, one: float):
    bands_chw = np.zeros((2, 3, 5), dtype=dtype)
    bands_chw[0, 0], bands_chw[1, :, 2] = one, one
    found = read(grey(tmp_path / "a.tif", bands_chw), bands={"water": 2, "building": 1})
    assert found.coverage_khw[0].tolist() == [[255] * 5, [0] * 5, [0] * 5]
    assert found.coverage_khw[2].tolist() == [[0, 0, 255, 0, 0]] * 3
    assert not found.coverage_khw[1].any()
    assert found.labelled_hw.all()
    with pytest.raises(DataError, match="no band 3 for 'road', need 1 to 2"):
        read(tmp_path / "a.tif", bands={"road": 3})


def test_the_fourth_of_four_bands_is_a_class_though_gdal_calls_it_alpha(tmp_path: Path):
    bands_chw = np.zeros((4, 3, 5), dtype=np.uint8)
    bands_chw[0, 0], bands_chw[3, 2] = 255, 255
    path = grey(tmp_path / "a.tif", bands_chw, photometric="RGB", alpha="YES")
    with rasterio.open(path) as dataset:
        assert dataset.colorinterp[3].name == "alpha"
    found = read(path, bands={"building": 1, "water": 4})
    assert found.coverage_khw[:, :, 0].tolist() == [[255, 0, 0], [0, 0, 0], [0, 0, 255]]
    assert found.labelled_hw.all()
    assert found.counts == {}


def test_a_band_per_class_leaves_out_what_nobody_labelled(tmp_path: Path):
    bands_chw = np.array([[[0, 1, 255, 0]], [[1, 0, 255, 0]]], dtype=np.uint8)
    found = read(grey(tmp_path / "a.tif", bands_chw), bands={"building": 1, "road": 2}, unlabelled=255)
    assert found.coverage_khw[:, 0].tolist() == [[0, 255, 0, 0], [255, 0, 0, 0], [0] * 4]
    assert found.labelled_hw[0].tolist() == [True, True, False, True]


def test_what_cannot_be_meant_is_refused(tmp_path: Path):
    path = paint(tmp_path / "a.png", "#000000", "#FF00FF")
    with pytest.raises(DataError, match=r"a\.png: no pixel has a class or is unlabelled"):
        read(path, colours=COLOURS, unlabelled=GREY)
    with pytest.raises(DataError, match=r"unknown class, got moat, need building \| road \| water"):
        read(path, colours={"moat": "#000000"})
    with pytest.raises(DataError, match="need colours, values or bands"):
        read(path)
    for both in ({"values": {"road": 1}}, {"class": "road"}, {"bands": {"road": 1}}):
        with pytest.raises(ValueError, match="both say the class; one of them can"):
            read(path, colours=COLOURS, **both)
    with pytest.raises(ValueError, match="values names no class"):
        read(path, values={})
    with pytest.raises(ValueError, match="unlabelled is a colour, values go with a number"):
        read(path, values={"road": 1}, unlabelled=GREY)
    for twice in (
        {"values": {"road": 1, "water": 1}},
        {"values": {"road": 1}, "unlabelled": 1},
        {"bands": {"road": 1, "water": 1}},
    ):
        with pytest.raises(ValueError, match="names 1 twice"):
            read(path, **twice)
    with pytest.raises(ValueError, match="colours names #E2A929 twice"):
        read(path, colours=COLOURS, unlabelled=COLOURS["water"].lower())


def test_a_picture_of_nothing_but_unlabelled_is_fine(tmp_path: Path):
    found = read(paint(tmp_path / "a.png", GREY), colours=COLOURS, unlabelled=GREY)
    assert not found.labelled_hw.any()
    assert not found.coverage_khw.any()
    assert found.counts == {}


def test_real_masks_are_read(data_root: Path):
    colours = {"building": "#3C1098", "land": "#8429F6", "road": "#6EC1E4", "vegetation": "#FEDD3A", "water": "#E2A929"}
    for path in sorted((data_root / "dubai").glob("*/masks/*.png"))[::4]:
        found = read_label_picture(path, LabelTable(path="m", colours=colours, unlabelled=GREY), tuple(colours))
        assert set(np.unique(found.coverage_khw.sum(axis=0, dtype=int))) <= {0, 255}
        assert found.coverage_khw.any(axis=0).mean() > 0.8
        assert sum(found.counts.values()) < 0.01 * found.labelled_hw.size


def test_real_masks_with_zero_for_nodata_are_labelled_whole(data_root: Path):
    for path in sorted((data_root / "rio_masks" / "masks").glob("*.tif"))[::3]:
        found = read_label_picture(path, LabelTable(path="m", values={"building": 255}), ("building",))
        assert found.labelled_hw.all()
        assert 0 < (found.coverage_khw[0] == 255).mean() < 0.5


def test_a_wide_soft_border_is_unlabelled_in_its_middle(tmp_path: Path):
    hard_hw = np.zeros((97, 89), np.uint8)
    hard_hw[31:67, 23:71] = 255
    soft_hw = cv2.GaussianBlur(hard_hw, (0, 0), 5)
    soft_hw[30:32, 46:49] = 128  # as happens at corners
    found = read(grey(tmp_path / "a.png", soft_hw), values={"building": 255})
    middle_hw = (soft_hw > 60) & (soft_hw < 195)
    assert middle_hw.sum() > 700
    assert not found.labelled_hw[middle_hw].any()
    assert found.coverage_khw[0, 49, 47] == 255
