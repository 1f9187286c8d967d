"""Masks as people have them: lossy, soft, with holes, with a number for each object; and what is beside images."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from folders import FIELDS, HOUSES, H, W, mask, painted, photo, save
from landscribe.errors import DataError, RecipeError
from landscribe.io.project import open_project
from landscribe.io.settings import load_recipe
from landscribe.stages.check import check
from landscribe.stages.init import write_recipe


def folder_of(root: Path, name: str, *masks: np.ndarray, suffix: str = ".png") -> Path:
    """Three photos, each with its mask in a folder of that name."""
    for k in range(3):
        save(root / "img" / f"s{k}{suffix}", photo(k))
        save(root / name / f"s{k}{suffix}", masks[k % len(masks)])
    return root


def written(folder: Path, **wishes: str) -> tuple[str, dict[str, Any]]:
    """What `init` says, and the `[data]` of its recipe, which `check` accepts."""
    recipe = folder.parent / "own.toml"
    said = write_recipe(folder, recipe, wishes)
    result = check(open_project(load_recipe(recipe)))
    assert result.errors == 0, (result.findings, said)
    return "\n".join(said), tomllib.loads(recipe.read_text(encoding="utf-8"))["data"]


def blurred(band_chw: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(band_chw[0], (5, 5), 1.1)[None]


def test_grey_masks_that_jpeg_has_blurred_have_the_values_that_were_meant(tmp_path: Path):
    folder = folder_of(tmp_path / "a", "m", mask(HOUSES), suffix=".jpg")
    said, data = written(folder)
    assert data["labels"] == {"path": "m/{scene}.jpg", "values": {"object": 255}}
    assert "JPEG has blurred them" in said


def test_masks_in_colours_that_jpeg_has_blurred_are_no_sensor(tmp_path: Path):
    colours = painted(("#000000", "#DC143C", "#1E90FF"), HOUSES, FIELDS)
    folder = folder_of(tmp_path / "a", "colour", colours, suffix=".jpg")
    said, data = written(folder)
    assert list(data["sensors"]) == ["RGB"]
    assert data["sensors"]["RGB"]["path"] == "img/{scene}.jpg"
    found = [bytes.fromhex(text[1:]) for text in data["labels"]["colours"].values()]
    assert len(found) == 2
    assert min(np.abs(np.subtract([*row], (0xDC, 0x14, 0x3C))).max() for row in found) <= 8
    assert "JPEG has blurred them" in said
    (folder / "colour" / "class_dict.csv").write_text("name,r,g,b\nhouse,220,20,60\nfield,30,144,255\nrest,0,0,0\n")
    _, data = written(folder)
    assert data["labels"]["colours"] == {"house": "#DC143C", "field": "#1E90FF", "rest": "#000000"}


def test_photos_in_jpeg_stay_imagery(tmp_path: Path):
    folder = folder_of(tmp_path / "a", "other", cv2.GaussianBlur(photo(7)[0], (9, 9), 3)[None], suffix=".jpg")
    _, data = written(folder)
    assert "labels" not in data
    assert len(data["sensors"]) == 2


def test_soft_borders_are_no_classes(tmp_path: Path):
    for k in range(3):
        save(tmp_path / "a" / f"{k}.png", photo(k))
        save(tmp_path / "a" / f"{k}_gt.png", blurred(mask(HOUSES)))
    said, data = written(tmp_path / "a")
    assert data["labels"] == {"path": "{scene}_gt.png", "values": {"object": 255}}
    assert "their borders are soft" in said


def test_close_values_are_classes_though_some_fill_no_patch(tmp_path: Path):
    band = mask(HOUSES, FIELDS, values=(20, 40))
    for k in range(10):
        band[0, 2 + 3 * k : 3 + 3 * k, 3:140:5] = 60 + k
    _, data = written(folder_of(tmp_path / "a", "m", band))
    assert len(data["labels"]["values"]) == 12


def test_holes_in_masks_of_floats_are_unlabelled(tmp_path: Path):
    for k in range(3):
        save(tmp_path / "a" / "img" / f"s{k}.tif", photo(k), k)
        band = mask(HOUSES, values=(1,)).astype(np.float32)
        band[:, :17] = np.nan
        save(tmp_path / "a" / "lc" / f"s{k}.tif", band, k)
    said, data = written(tmp_path / "a")
    assert data["labels"] == {"path": "lc/{scene}.tif", "values": {"object": 1}, "nodata": "unlabelled"}
    assert "NaN" in said


def test_values_that_number_objects_are_one_class(tmp_path: Path):
    masks = []
    for k in range(3):
        boxes = [*HOUSES, *FIELDS]
        masks.append(mask(*([box] for box in boxes), values=[20 * k + n + 1 for n in range(len(boxes))]))
    said, data = written(folder_of(tmp_path / "a", "inst", *masks))
    assert data["labels"] == {"path": "inst/{scene}.png", "values": {"object": "any"}}
    assert "seem to number single objects" in said
    folder = folder_of(tmp_path / "b" / "a", "inst", *(band.astype(np.uint16) * 7 for band in masks), suffix=".tif")
    said, data = written(folder, **{"class": "house"})
    assert data["labels"]["values"] == {"house": "any"}


def test_classes_in_many_patches_do_not_number_objects(tmp_path: Path):
    boxes = [(7 * n + 2, 11 * m + 2, 7 * n + 6, 11 * m + 9) for n in range(20) for m in range(11)]
    band = mask(*(boxes[n::10] for n in range(10)), values=range(1, 11))
    _, data = written(folder_of(tmp_path / "a", "lc", band))
    assert len(data["labels"]["values"]) == 10


def test_named_labels_that_are_no_masks_are_refused_with_what_they_are(tmp_path: Path):
    folder = folder_of(tmp_path / "a", "b", photo(4)[:1])
    with pytest.raises(RecipeError, match=r"labels b/\{scene\}.png: pictures that are no masks, got 1 bands of uint8"):
        write_recipe(folder, tmp_path / "own.toml", {"labels": "b/"})


def test_pictures_of_one_number_are_no_sensor(tmp_path: Path):
    said, data = written(folder_of(tmp_path / "a", "m", np.full((1, H, W), 255, np.uint8)))
    assert list(data["sensors"]) == ["RGB"]
    assert "not used: m/{scene}.png (3 files), all pixels are 255" in said


def test_what_lies_beside_the_images_and_is_not_used_is_left_out(tmp_path: Path):
    for k in range(3):
        save(tmp_path / "a" / f"{k}.png", photo(k))
        save(tmp_path / "a" / f"{k}_gt.png", mask(HOUSES))
        save(tmp_path / "a" / f"{k}_cloud.png", mask(FIELDS))
    _, data = written(tmp_path / "a")
    assert data["sensors"]["RGB"]["without"] == ["{scene}_cloud.png"]
    assert data["labels"]["path"] == "{scene}_gt.png"


def test_images_that_differ_in_bands_are_read_by_those_that_all_have(tmp_path: Path):
    for k in range(3):
        save(tmp_path / "a" / f"t{k}.tif", photo(k, 4 if k else 3), k, photometric="RGB")
    said, data = written(tmp_path / "a")
    assert data["sensors"]["RGB"] == {"path": "{scene}.tif", "kind": "rgb8", "bands": [1, 2, 3]}
    assert "1 with 3 bands and 2 with 4 bands" in said
    assert "reordered" not in said


def test_a_folder_of_virtual_rasters_is_told_how_to_convert_them(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "t.vrt").write_text("<VRTDataset/>")
    with pytest.raises(DataError, match=r"no image found: 1 virtual rasters \(VRT\), .* gdal_translate t.vrt t.tif"):
        write_recipe(tmp_path / "a", tmp_path / "own.toml")


def test_a_known_palette_is_known_after_jpeg(tmp_path: Path):
    colours = ("#FFFFFF", "#0000FF", "#00FF00", "#FFFF00")
    boxes = [[(x, y, x + 22, y + 20)] for x, y in ((5, 5), (60, 40), (100, 90))]
    folder = folder_of(tmp_path / "a", "top", painted(colours, *boxes), suffix=".jpg")
    said, data = written(folder)
    assert data["labels"]["colours"]["building"] == "#0000FF"
    assert "ISPRS" in said


def test_colours_with_soft_borders_are_those_of_the_patches(tmp_path: Path):
    image_chw = painted(("#000000", "#DC143C", "#1E90FF"), HOUSES, FIELDS)
    soft = np.stack([cv2.GaussianBlur(band, (3, 3), 0.8) for band in image_chw])
    said, data = written(folder_of(tmp_path / "a", "m", soft))
    assert sorted(data["labels"]["colours"].values()) == ["#1E90FF", "#DC143C"]
    assert "their borders are soft" in said


def test_fill_and_clouds_do_not_make_a_mask_of_a_photo(tmp_path: Path):
    for k in range(3):
        for name in ("a", "b"):
            image_chw = np.minimum(photo(k + len(name)), 250)
            image_chw[:, :30], image_chw[:, 30:45] = 0, 255
            save(tmp_path / "a" / name / f"s{k}.jpg", image_chw)
    _, data = written(tmp_path / "a")
    assert len(data["sensors"]) == 2


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_fill_and_smooth_ground_do_not_make_a_mask_of_a_photo(tmp_path: Path, suffix: str):
    rows, cols = np.mgrid[:H, :W]
    for k in range(3):
        for name in ("a", "b"):
            rng = np.random.default_rng(k)
            ground = np.array([[[40]], [[75]], [[60]]]) + rng.normal(0, 9, (3, H // 2 + 1, W // 2 + 1))
            image_chw = np.stack([cv2.resize(band, (W, H), interpolation=cv2.INTER_CUBIC) for band in ground])
            image_chw = np.clip(cv2.GaussianBlur(np.moveaxis(image_chw, 0, -1), (5, 5), 1.3), 1, 254)
            image_chw[rows + cols < 210] = 0
            save(tmp_path / "a" / name / f"s{k}{suffix}", np.moveaxis(image_chw, -1, 0).astype(np.uint8))
    _, data = written(tmp_path / "a")
    assert len(data["sensors"]) == 2
