"""A mask that lies beside a raster is the raster's own where it is a plain TIFF, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from landscribe.core.grid import Window
from landscribe.io.raster.rasters import open_raster
from raster_files import H, W, image, save, save_foreign


def save_mask(path: Path, mask_chw: np.ndarray, **options: object) -> Path:
    count, height, width = mask_chw.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": mask_chw.dtype}
    with rasterio.open(path, "w", **profile | options) as dataset:
        dataset.write(mask_chw)
    return path


def holes() -> np.ndarray:
    mask_hw = np.full((H, W), 255, np.uint8)
    mask_hw[7:20, 3:31] = 0
    mask_hw[-1] = 0
    return mask_hw


@pytest.mark.parametrize("suffix", [".tif", ".png", ".jpg"])
def test_a_mask_beside_a_raster_tells_what_is_valid(tmp_path: Path, suffix: str):
    path = tmp_path / f"o{suffix}"
    with rasterio.open(
        path, "w", driver={".tif": "GTiff", ".png": "PNG", ".jpg": "JPEG"}[suffix], count=3, height=H, width=W,
        dtype="uint8",
    ) as dataset:  # fmt: skip
        dataset.write(image(3))
    for beside in tmp_path.glob("*.aux.xml"):
        beside.unlink()
    save_mask(path.with_name(path.name + ".msk"), holes()[None])
    with open_raster(path) as raster:
        valid_hw = raster.read()[1]
        assert raster.info.ignored == ()
        assert raster.info.mask_file == path.with_name(path.name + ".msk")
        assert np.array_equal(valid_hw, holes() > 0)
        part = Window(5, 2, 11, 17)
        assert np.array_equal(raster.read(part, [2])[1], (holes() > 0)[part.slices])


def test_masks_of_one_bit_and_of_several_bands_are_read(tmp_path: Path):
    path = save(tmp_path / "o.tif", image(2))
    save_mask(tmp_path / "o.tif.msk", (holes()[None] > 0).astype(np.uint8), nbits=1)
    with open_raster(path) as raster:
        assert np.array_equal(raster.read()[1], holes() > 0)
    both = np.stack([holes(), np.zeros_like(holes())])
    both[1, 9, 9] = 255
    save_mask(tmp_path / "o.tif.msk", both)
    with open_raster(path) as raster:
        assert raster.read()[1].sum() == (holes() > 0).sum() + 1


def test_a_mask_goes_together_with_the_files_nodata(tmp_path: Path):
    image_chw = image(3)
    image_chw[:, 40, 40] = 0
    path = save_foreign(tmp_path / "o.tif", image_chw, nodata=0)
    save_mask(tmp_path / "o.tif.msk", holes()[None])
    with open_raster(path) as raster:
        valid_hw = raster.read()[1]
    assert not valid_hw[40, 40]
    assert valid_hw.sum() == (holes() > 0).sum() - 1


@pytest.mark.parametrize("kind", ["another size", "numbers of another type", "a PNG", "a text", "cut short"])
def test_what_is_no_mask_is_named_and_left_alone(tmp_path: Path, kind: str):
    path = save(tmp_path / "o.tif", image(2))
    beside = tmp_path / "o.tif.msk"
    if kind == "another size":
        save_mask(beside, holes()[None, :-1])
    elif kind == "numbers of another type":
        save_mask(beside, holes()[None].astype(np.float32))
    elif kind == "a PNG":
        save_mask(tmp_path / "m.png", holes()[None], driver="PNG").rename(beside)
    elif kind == "a text":
        beside.write_text("<VRTDataset/>")
    else:
        save_mask(beside, holes()[None])
        beside.write_bytes(beside.read_bytes()[:60])
    with open_raster(path) as raster:
        assert raster.read()[1].all()
        assert raster.info.ignored == ("o.tif.msk",)
        assert raster.info.mask_file is None


def test_a_mask_inside_the_file_goes_first(tmp_path: Path):
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        save_foreign(tmp_path / "o.tif", image(2))
        with rasterio.open(tmp_path / "o.tif", "r+") as dataset:
            dataset.write_mask(np.eye(H, W, dtype=np.uint8) == 0)
    save_mask(tmp_path / "o.tif.msk", holes()[None])
    with open_raster(tmp_path / "o.tif") as raster:
        assert (~raster.read()[1]).sum() == min(H, W)
        assert raster.info.ignored == ("o.tif.msk",)
