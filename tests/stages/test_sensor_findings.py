"""`check` and `prepare` say what the pixels and files of sensors have against the recipe, with the setting to add."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from landscribe.io.project import Project, open_project
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.check import check
from landscribe.stages.prepare import prepare
from raster_files import H, W, image, save_foreign


def project(folder: Path, kind: str, settings: str = "", bands: int = 3) -> Project:
    own = f'[[data.kinds]]\nkind = "own"\nbands = {[f"b{k}" for k in range(1, bands + 1)]}\nbits = 16\n'
    (folder / "r.toml").write_text(
        f'[data]\nsensors.S = {{ path = "{{scene}}.tif", kind = "{kind}"{settings} }}\n{own}'
        '[[classes]]\nname = "thing"\n[validate]\nsplit = "none"\n'
    )
    return open_project(load_recipe(folder / "r.toml"))


def warnings(project: Project) -> list[str]:
    result = check(project)
    assert result.errors == 0, result.findings
    return [finding.text for finding in result.findings]


def with_block(value: float, dtype: str = "float32", bands: tuple[int, ...] = (0, 1, 2)) -> np.ndarray:
    image_chw = image(3, dtype)
    image_chw[bands, 12:40, 5:31] = value
    return image_chw


def test_an_undeclared_number_is_warned_of_until_the_recipe_names_it(tmp_path: Path):
    save_foreign(tmp_path / "a.tif", with_block(-9999))
    save_foreign(tmp_path / "b.tif", with_block(-9999))
    save_foreign(tmp_path / "c.tif", image(3, "float32"))
    share = f"{100 * 28 * 26 / (H * W):.1f}%"
    (text,) = warnings(project(tmp_path, "own"))
    assert text == (
        f"S: up to {share} of the pixels of a, b are -9999, far from all other numbers, and count as data; "
        "say nodata = -9999 in [data].sensors.S if that is no data"
    )
    assert warnings(project(tmp_path, "own", ", nodata = -9999")) == []


def test_prepare_says_what_statistics_swallowed(tmp_path: Path):
    save_foreign(tmp_path / "a.tif", with_block(-9999))
    run = open_run(tmp_path / "run")
    result = prepare(project(tmp_path, "own"), run)
    assert any("are -9999, far from all other numbers, and count as data" in note for note in result.notes)
    assert run.records("prepare")["a"].counts["pixels of S of -9999 that look like no data, taken for data"] == 28 * 26
    assert not prepare(project(tmp_path, "own", ", nodata = -9999"), run).notes


@pytest.mark.parametrize("declared", [None, -9999])
def test_a_number_in_one_band_is_nodata_only_where_the_recipe_says_so(tmp_path: Path, declared: int | None):
    save_foreign(tmp_path / "a.tif", with_block(-9999, bands=(1,)), nodata=declared)
    (text,) = warnings(project(tmp_path, "own"))
    assert 'say nodata = -9999, nodata_bands = "any" in [data].sensors.S' in text
    own = project(tmp_path, "own", ', nodata = -9999, nodata_bands = "any"')
    assert warnings(own) == []
    run = open_run(tmp_path / "run")
    prepare(own, run)
    assert run.records("prepare")["a"].counts["invalid pixels of S"] == 28 * 26


def test_what_lies_beside_a_raster_is_named_with_the_setting(tmp_path: Path):
    for name in ("a", "b"):
        save_foreign(tmp_path / f"{name}.tif", image(3))
        (tmp_path / f"{name}.tif.aux.xml").write_text("<x><NoDataValue>0</NoDataValue></x>")
    (tmp_path / "b.tif.msk").write_text("no mask")
    texts = warnings(project(tmp_path, "rgb8"))
    assert texts == [
        "S of a, b: .aux.xml beside it says nodata 0, which is not followed; say nodata = 0 in the sensor's table",
        "S of b: a mask beside it (.msk) is not followed: no TIFF of bytes of its size; say nodata, or make it one",
    ]


@pytest.mark.parametrize("offsets", [(-1000.0, -1000.0), (0.0, -1000.0)])
def test_scenes_whose_numbers_mean_different_things_are_named(tmp_path: Path, offsets: tuple[float, float]):
    for name, offset in zip("ab", offsets, strict=True):
        save_foreign(tmp_path / f"{name}.tif", image(3, "uint16"))
        with rasterio.open(tmp_path / f"{name}.tif", "r+") as dataset:
            dataset.scales, dataset.offsets = (0.5,) * 3, (offset,) * 3
    texts = warnings(project(tmp_path, "own"))
    if offsets[0] == offsets[1]:
        assert texts == []
        return
    (text,) = texts
    assert "got x 0.5 +0 in a; x 0.5 -1000 in b; say scale = true in [data].sensors.S" in text
    scaled = project(tmp_path, "own", ", scale = true")
    assert warnings(scaled) == []
    run = open_run(tmp_path / "run")
    prepare(scaled, run)
    with rasterio.open(run.scene_folder("b") / "sensors" / "S.tif") as dataset:
        assert dataset.dtypes[0] == "float32"
        assert dataset.read() == pytest.approx(image(3, "uint16") * 0.5 - 1000)


def rgba(path: Path, image_chw: np.ndarray) -> None:
    save_foreign(path, image_chw)
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)


def test_near_infrared_tagged_as_transparency_is_named_and_left_out(tmp_path: Path):
    rgba(tmp_path / "a.tif", image(4))
    (text,) = warnings(project(tmp_path, "rgb8"))
    assert text.startswith(
        "S of a: a last band tagged as transparency is a picture, perhaps near infrared, and left out"
    )
    assert warnings(project(tmp_path, "naip")) == []
    assert warnings(project(tmp_path, "rgb8", ", alpha = true")) == []


def test_transparency_taken_for_near_infrared_is_named(tmp_path: Path):
    image_chw = image(4)
    image_chw[3] = 255
    image_chw[3, :9, :9] = 0
    rgba(tmp_path / "a.tif", image_chw)
    assert any(
        "band 'nir' is 0 and 255 only, as transparency is" in text for text in warnings(project(tmp_path, "naip"))
    )
    assert warnings(project(tmp_path, "rgb8")) == []


def test_a_set_in_which_the_tag_differs_from_file_to_file_works(tmp_path: Path):
    rgba(tmp_path / "a.tif", image(4))
    save_foreign(tmp_path / "b.tif", image(4), photometric="MINISBLACK")
    assert warnings(project(tmp_path, "naip")) == []
    run = open_run(tmp_path / "run")
    assert prepare(project(tmp_path, "naip"), run).made == ["a", "b"]
    for scene in ("a", "b"):
        with rasterio.open(run.scene_folder(scene) / "sensors" / "S.tif") as dataset:
            assert np.array_equal(dataset.read(), image(4))
