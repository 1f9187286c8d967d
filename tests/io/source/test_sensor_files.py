"""A sensor's raster: which of its bands are read, what a last band is, and in which order they stand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from landscribe.core.sensors import CATALOGUE, Band, Sensor, colour_word
from landscribe.errors import DataError
from landscribe.io.source.sensor_files import SensorFile, check_bands, looks_transparent, open_sensor, other_order
from raster_files import H, W, image, save_foreign

RED, GREEN, BLUE, ALPHA, GREY = (
    ColorInterp.red,
    ColorInterp.green,
    ColorInterp.blue,
    ColorInterp.alpha,
    ColorInterp.gray,
)


def tagged(path: Path, image_chw: np.ndarray, colours: tuple[ColorInterp, ...], **options: object) -> Path:
    save_foreign(path, image_chw, **options)
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = colours
    return path


def described(path: Path, image_chw: np.ndarray, *names: str) -> Path:
    save_foreign(path, image_chw, photometric="MINISBLACK")
    with rasterio.open(path, "r+") as dataset:
        for number, name in enumerate(names, start=1):
            dataset.set_band_description(number, name)
    return path


def opaque(count: int = 4) -> np.ndarray:
    """A picture whose last band is 255, and 0 in a corner."""
    image_chw = image(count)
    image_chw[-1] = 255
    image_chw[-1, :19, :13] = 0
    return image_chw


def read(file: SensorFile) -> tuple[np.ndarray, np.ndarray]:
    with open_sensor(file) as raster:
        check_bands("scene 'a', S", file, raster.info)
        return raster.read()


@pytest.mark.parametrize("tag", [ALPHA, ColorInterp.undefined])
def test_the_fourth_band_of_a_four_band_kind_is_a_band_whatever_its_tag(tmp_path: Path, tag: ColorInterp):
    path = tagged(tmp_path / "a.tif", image(4), (RED, GREEN, BLUE, tag))
    image_chw, valid_hw = read(SensorFile("S", path, CATALOGUE["naip"]))
    assert np.array_equal(image_chw, image(4))
    assert valid_hw.all()


@pytest.mark.parametrize("tag", [ALPHA, ColorInterp.undefined])
def test_one_band_more_than_the_kind_is_transparency_if_its_pixels_are(tmp_path: Path, tag: ColorInterp):
    path = tagged(tmp_path / "a.tif", opaque(), (RED, GREEN, BLUE, tag))
    image_chw, valid_hw = read(SensorFile("S", path, CATALOGUE["rgb8"]))
    assert image_chw.shape == (3, H, W)
    assert (~valid_hw).sum() == 19 * 13


def test_a_picture_tagged_as_transparency_makes_nothing_invalid(tmp_path: Path):
    image_chw = image(4)
    image_chw[3, 3:7, 5] = 0
    path = tagged(tmp_path / "a.tif", image_chw, (RED, GREEN, BLUE, ALPHA))
    read_chw, valid_hw = read(SensorFile("S", path, CATALOGUE["rgb8"]))
    assert np.array_equal(read_chw, image_chw[:3])
    assert valid_hw.all()


def test_an_untagged_picture_beyond_the_kind_is_named(tmp_path: Path):
    path = tagged(tmp_path / "a.tif", image(4), (GREY, *[ColorInterp.undefined] * 3))
    with pytest.raises(DataError, match=r"scene 'a', S: wrong number of bands, got 4 in a.tif, need 3 for 'rgb8'"):
        read(SensorFile("S", path, CATALOGUE["rgb8"]))


def test_the_recipe_overrides_what_pixels_and_tags_say(tmp_path: Path):
    path = tagged(tmp_path / "a.tif", image(4), (RED, GREEN, BLUE, ColorInterp.undefined))
    image_chw, valid_hw = read(SensorFile("S", path, CATALOGUE["rgb8"], alpha=True))
    assert len(image_chw) == 3
    assert valid_hw.all()  # no pixel of `image` is 0
    path = tagged(tmp_path / "b.tif", opaque(), (RED, GREEN, BLUE, ALPHA))
    image_chw, valid_hw = read(SensorFile("S", path, CATALOGUE["naip"], alpha=False))
    assert len(image_chw) == 4
    assert valid_hw.all()


@pytest.mark.parametrize("soft", [0.0, 0.005, 0.03])
def test_transparency_may_have_a_soft_border(tmp_path: Path, soft: float):
    image_chw = opaque()
    n = round(soft * H * W)
    image_chw[-1].reshape(-1)[1000 : 1000 + n] = 77
    save_foreign(tmp_path / "a.tif", image_chw)
    assert looks_transparent(tmp_path / "a.tif") == (soft < 0.01)


def test_a_large_raster_is_looked_at_in_windows(tmp_path: Path):
    image_chw = np.zeros((2, 1409, 1523), np.uint16)
    image_chw[1] = 65535
    save_foreign(tmp_path / "a.tif", image_chw)
    assert looks_transparent(tmp_path / "a.tif")
    image_chw[1] = np.arange(1523)
    save_foreign(tmp_path / "b.tif", image_chw)
    assert not looks_transparent(tmp_path / "b.tif")


def test_bands_are_picked_and_ordered(tmp_path: Path):
    image_chw = image(5, "uint16")
    save_foreign(tmp_path / "a.tif", image_chw)
    read_chw, _ = read(SensorFile("S", tmp_path / "a.tif", CATALOGUE["rgb16"], bands=(3, 2, 1)))
    assert np.array_equal(read_chw, image_chw[[2, 1, 0]])
    with open_sensor(SensorFile("S", tmp_path / "a.tif", CATALOGUE["rgb16"], bands=(5, 2, 4))) as raster:
        assert np.array_equal(raster.read(bands=[2, 3])[0], image_chw[[1, 3]])
        assert raster.info.count == 3
    with pytest.raises(DataError, match="no such band, got 6, need 1 to 5"):
        read(SensorFile("S", tmp_path / "a.tif", CATALOGUE["rgb16"], bands=(1, 2, 6)))


def test_picked_bands_keep_transparency_and_their_own_nodata(tmp_path: Path):
    image_chw = opaque(4)
    path = tagged(tmp_path / "a.tif", image_chw, (BLUE, GREEN, RED, ALPHA))
    read_chw, valid_hw = read(SensorFile("S", path, CATALOGUE["rgb8"], bands=(3, 2, 1)))
    assert np.array_equal(read_chw, image_chw[[2, 1, 0]])
    assert (~valid_hw).sum() == 19 * 13
    image_chw = image(3, "int16")
    image_chw[:2, 5, 7] = -9
    path = save_foreign(tmp_path / "b.tif", image_chw, nodata=-9)
    two = Sensor("two", (Band("x"), Band("y")), 0, 0)
    assert (~read(SensorFile("S", path, two, bands=(2, 1)))[1]).sum() == 1
    assert read(SensorFile("S", path, two, bands=(3, 1)))[1].all()


@pytest.mark.parametrize(
    ("names", "kind", "order"),
    [
        (("blue", "green", "red"), "rgb8", "[3, 2, 1]"),
        (("Band 1 (NIR)", "Band 2 (Red)", "Band 3 (Green)"), "rgb8", None),
        (("B2", "B3", "B4", "B8"), "sentinel2-10m", ""),
        (("B04", "B03", "B02", "B08"), "sentinel2-10m", "[3, 2, 1, 4]"),
        (("red", "green", "blue", "nir"), "naip", ""),
        (("blue", "green", "red", "near-infrared"), "naip", "[3, 2, 1, 4]"),
        (("one", "two", "three"), "rgb8", ""),
        (("B4", "B3", "B2"), "rgb8", ""),  # whose numbers mean nothing here
    ],
)
def test_descriptions_in_another_order_are_refused(
    tmp_path: Path, names: tuple[str, ...], kind: str, order: str | None
):
    path = described(tmp_path / "a.tif", image(len(names), "uint16"), *names)
    file = SensorFile("S", path, CATALOGUE[kind])
    if order == "":
        read(file)
        return
    need = "take another kind" if order is None else f"say bands = {order} in [data].sensors.S"
    with pytest.raises(DataError) as caught:
        read(file)
    assert "bands are described in another order than the kind's" in str(caught.value)
    assert need in str(caught.value)
    picked = (1, 2, 3, 4)[: len(names)] if order is None else tuple(int(c) for c in order if c.isdigit())
    read(SensorFile("S", path, CATALOGUE[kind], bands=picked))


def test_tags_in_another_order_are_refused_unless_every_picture_has_them(tmp_path: Path):
    path = tagged(tmp_path / "a.tif", image(3), (BLUE, GREEN, RED))
    with pytest.raises(DataError, match=r"tagged in another order.*got blue, green, red, need red, green, blue"):
        read(SensorFile("S", path, CATALOGUE["rgb8"]))
    # Red, green, blue is what GDAL writes for any three bands of bytes, false colour too.
    false_colour = Sensor("cir", (Band("nir"), Band("red"), Band("green")), 0, 8)
    path = tagged(tmp_path / "b.tif", image(3), (RED, GREEN, BLUE))
    file = SensorFile("S", path, false_colour)
    read(file)
    with open_sensor(file) as raster:
        text, is_error = other_order("S", file, raster.info)
    assert "bands are tagged in another order" in text
    assert not is_error
    path = tagged(tmp_path / "c.tif", image(3, "uint16"), (RED, GREEN, BLUE), photometric="RGB")
    with pytest.raises(DataError, match="tagged in another order"):
        read(SensorFile("S", path, false_colour))


def test_factor_and_offset_are_applied_when_asked(tmp_path: Path):
    image_chw = image(2, "uint16") + np.uint16(1000)
    image_chw[:, 4, 9] = 0
    path = save_foreign(tmp_path / "a.tif", image_chw, nodata=0)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.0001, 0.0002), (-0.1, 0.3)
    kind = Sensor("two", (Band("x"), Band("y")), 0, 16)
    raw_chw, _ = read(SensorFile("S", path, kind))
    assert raw_chw.dtype == np.uint16
    true_chw, valid_hw = read(SensorFile("S", path, kind, scaled=True))
    assert true_chw.dtype == np.float32
    assert true_chw[1] == pytest.approx(image_chw[1] * 0.0002 + 0.3, rel=1e-6)
    assert (~valid_hw).sum() == 1
    with open_sensor(SensorFile("S", path, kind, scaled=True)) as raster:
        assert raster.info.dtype == "float32"
        assert np.array_equal(raster.read(bands=[2])[0][0], true_chw[1])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("NIR", "nir"), ("Near Infrared", "nir"), ("near-infrared", "nir"), ("Band 4 (NIR)", "nir"), ("R", "red"),
        ("red_edge", "red_edge"), ("Red Edge", "red_edge"), ("coastal_blue", "coastal"), ("B04", None), ("", None),
        ("red and blue", None), ("grey", None),
    ],
)  # fmt: skip
def test_names_of_bands_are_understood_in_many_spellings(text: str, word: str | None):
    assert colour_word(text) == word


def test_sentinel2_numbers_its_bands():
    assert [colour_word(t, "sentinel2-10m") for t in ("B02", "b3", "B04, red", "B8", "B8A")] == [
        "blue", "green", "red", "nir", None,
    ]  # fmt: skip
