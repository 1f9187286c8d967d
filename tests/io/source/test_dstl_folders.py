"""DSTL folders as they lie about: every copy is read as the original, or what is not read is named."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio.shutil
import shapely

from landscribe.core.features import make_features
from landscribe.core.grid import dstl_grid
from landscribe.core.legend import DSTL_LEGEND
from landscribe.errors import DataError
from landscribe.io.labels.labels import read_labels
from landscribe.io.project import open_project
from landscribe.io.raster.gdal import gdal
from landscribe.io.raster.rasters import open_raster
from landscribe.io.settings import load_recipe
from landscribe.io.source.dstl import list_dstl, read_grid_sizes, read_sample, write_scene, write_tables
from landscribe.io.source.scenes import SceneList, sensor_grids
from landscribe.stages.check import check
from landscribe.stages.init import write_recipe

IDS = ("6010_0_3", "6110_1_2", "6140_1_2")
SIZES = {"RGB": (3, 173, 151), "P": (1, 173, 151), "M": (8, 43, 37), "A": (8, 7, 6)}
TABLES = ("grid_sizes.csv", "train_wkt_v4.csv", "sample_submission.csv")
FRAME = (0.0125, -0.0113)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "dstl"
    rng = np.random.default_rng(3)
    for image_id in IDS:
        images = {name: rng.integers(1, 2048, shape, dtype=np.uint16) for name, shape in SIZES.items()}
        write_scene(folder, image_id, images)
    grid = dstl_grid(173, 151, *FRAME)
    pixels = np.array([shapely.box(3, 5, 57, 31), shapely.box(80, 90, 141, 159)], dtype=object)
    labels = make_features("6110_1_2", DSTL_LEGEND.by_name("building"), grid.pixels_to_ground(pixels))
    write_tables(folder, dict.fromkeys(IDS, FRAME), labels, ["6110_1_2"])
    return folder


def keep(root: Path, *sensors: str) -> None:
    if "RGB" not in sensors:
        shutil.rmtree(root / "three_band")
    for path in list((root / "sixteen_band").iterdir()):
        if path.stem[-1] not in sensors:
            path.unlink()


def rewrite(root: Path, driver: str, suffix: str, **options: object) -> None:
    for path in list((root / "three_band").iterdir()):
        with gdal():
            rasterio.shutil.copy(path, path.with_suffix(suffix), driver=driver, **options)
        path.unlink()


def as_png(root: Path) -> None:
    rewrite(root, "PNG", ".png")


def as_jpeg2000(root: Path) -> None:
    rewrite(root, "JP2OpenJPEG", ".jp2", QUALITY=100, REVERSIBLE="YES")


def in_capitals(root: Path) -> None:
    for path in list((root / "three_band").iterdir()):
        path.rename(path.with_suffix(".TIF"))


def zipped(root: Path) -> None:
    for name in TABLES:
        with zipfile.ZipFile(root / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(root / name, name)
            archive.writestr(f"__MACOSX/._{name}", b"\0\5\x16\7")
        (root / name).unlink()


def unpacked_into_folders(root: Path) -> None:
    for name in TABLES:
        text = (root / name).read_bytes()
        (root / name).unlink()
        (root / name).mkdir()
        (root / name / name).write_bytes(text)


def with_crlf(root: Path) -> None:
    for name in TABLES:
        (root / name).write_bytes(b"\xef\xbb\xbf" + (root / name).read_bytes().replace(b"\n", b"\r\n"))


def a_folder_deeper(root: Path) -> None:
    (root / "three_band").rename(root / "unzipped")
    (root / "three_band").mkdir()
    (root / "unzipped").rename(root / "three_band" / "three_band")


def beside_the_tables(root: Path) -> None:
    for folder in ("three_band", "sixteen_band"):
        for path in list((root / folder).iterdir()):
            path.rename(root / path.name)
        (root / folder).rmdir()


def with_hidden_files(root: Path) -> None:
    for name in ("three_band/._6010_0_3.tif", "sixteen_band/.DS_Store", "__MACOSX/three_band/._a.tif"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"\0\5\x16\7")


COPIES = [
    as_png, as_jpeg2000, in_capitals, zipped, unpacked_into_folders, with_crlf, a_folder_deeper, beside_the_tables,
    with_hidden_files,
]  # fmt: skip


def facts(found: SceneList) -> dict[str, object]:
    """What a folder says: pixels of each sensor, where they lie, and the labels."""
    said: dict[str, object] = {}
    for scene in found.scenes:
        grids = sensor_grids(scene)
        for name, file in scene.sensors.items():
            with open_raster(file.path) as raster:
                said[scene.id, name] = int(raster.read(raster.info.grid.window)[0].sum()), grids[name].transform
        if scene.label_files:
            grid = grids[scene.reference.name]
            said[scene.id, "labels"] = round(float(read_labels(scene, DSTL_LEGEND, grid).features["area"].sum()), 6)
    return said


@pytest.mark.parametrize("change", COPIES)
def test_a_copy_is_read_as_the_original(root: Path, change: Callable[[Path], None]) -> None:
    expected = facts(list_dstl(root))
    assert len(expected) == 13
    change(root)
    found = list_dstl(root)
    assert facts(found) == expected
    assert found.problems == ()
    assert found.sample_submission is not None
    assert len(read_sample(found.sample_submission)) == 20


@pytest.mark.parametrize(
    ("sensors", "reference", "shape"),
    [(("A",), "A", (7, 6)), (("M", "A"), "M", (43, 37)), (("P", "A"), "P", (173, 151)), (("RGB",), "RGB", (173, 151))],
)
def test_the_finest_sensor_is_the_reference(
    root: Path, sensors: tuple[str, ...], reference: str, shape: tuple[int, int]
) -> None:
    whole = sensor_grids(list_dstl(root).scenes[1])
    keep(root, *sensors)
    scene = list_dstl(root).scenes[1]
    assert scene.reference.name == reference
    grid = sensor_grids(scene)[reference]
    assert grid.shape_hw == shape
    # The ground is the same to less than a pixel of the RGB, whichever sensor the formula is asked for.
    assert grid.footprint.bounds == pytest.approx(whole["RGB"].footprint.bounds, abs=25 * FRAME[0] / 151)
    labels = read_labels(scene, DSTL_LEGEND, grid)
    assert len(labels.features) == 2


def leaves_out(root: Path) -> str:
    return "\n".join(list_dstl(root).problems)


def test_what_is_not_read_is_named(root: Path) -> None:
    for name in ("masks", "im_cache", "a", "b"):
        (root / name).mkdir()
    (root / "sixteen_band" / "notes.txt").write_text("x")
    shutil.copy(root / "three_band" / "6010_0_3.tif", root / "three_band" / "6010_0_3.tiff")
    (root / "train_geojson_v3" / "6110_1_2").mkdir(parents=True)
    said = leaves_out(root)
    assert "a, b, im_cache and 1 more: not read: no folder of DSTL's" in said
    assert "sixteen_band/notes.txt: not read" in said
    assert "three_band/6010_0_3.tiff: the image is there in another format too" in said
    assert "train_geojson_v3: not read: the labels are those of train_wkt_v4.csv" in said


def test_labels_as_geojson_alone_are_named_with_what_to_do(root: Path) -> None:
    (root / "train_geojson_v3").mkdir()
    (root / "train_wkt_v4.csv").unlink()
    found = list_dstl(root)
    assert not any(scene.label_files for scene in found.scenes)
    assert "train_geojson_v3: not read" in found.problems[0]
    assert "train_wkt_v4.csv or its .zip" in found.problems[0]


def test_an_older_table_of_labels_is_read_and_said(root: Path) -> None:
    (root / "train_wkt_v4.csv").rename(root / "train_wkt_v3.csv")
    found = list_dstl(root)
    assert [bool(scene.label_files) for scene in found.scenes] == [False, True, False]
    assert "train_wkt_v3.csv: read in place of train_wkt_v4.csv" in found.problems[0]


def test_images_that_are_still_packed_are_named(root: Path) -> None:
    shutil.rmtree(root / "sixteen_band")
    (root / "sixteen_band.zip").write_bytes(b"PK\3\4")
    assert "sixteen_band.zip: not read: images are read from a folder; unpack it" in leaves_out(root)


def test_images_without_the_reference_are_counted(root: Path) -> None:
    (root / "three_band" / "6010_0_3.tif").unlink()
    assert [scene.id for scene in list_dstl(root).scenes] == ["6110_1_2", "6140_1_2"]
    assert "images 6010_0_3: no RGB, the finest sensor of the folder" in leaves_out(root)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6010_0_3,0.01,-0.02\n", (0.01, -0.02)),
        ("ImageId,Ymin,Xmax\n6010_0_3,-0.02,0.01\n", (0.01, -0.02)),
        (",ImageId,Xmax,Ymin\n0,6010_0_3,0.01,-0.02\n", (0.01, -0.02)),
        ("id,x,y\n\n6010_0_3,0.01,-0.02\n", (0.01, -0.02)),
    ],
)
def test_tables_of_frames_that_others_have_written(tmp_path: Path, text: str, expected: tuple[float, float]) -> None:
    (tmp_path / "grid_sizes.csv").write_text(text)
    assert read_grid_sizes(tmp_path / "grid_sizes.csv") == {"6010_0_3": expected}


def test_a_zip_archive_that_is_no_table_is_an_error(root: Path) -> None:
    path = root / "grid_sizes.csv.zip"
    (root / "grid_sizes.csv").unlink()
    path.write_bytes(b"PK\3\4 and nothing of an archive")
    with pytest.raises(DataError, match="not a readable zip archive"):
        list_dstl(root)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "x")
        archive.writestr("b.csv", "x")
    with pytest.raises(DataError, match=r"not one table in the zip archive, got a\.csv, b\.csv"):
        list_dstl(root)


def lacking_two(root: Path) -> None:
    (root / "sixteen_band" / "6110_1_2_M.tif").unlink()
    (root / "sixteen_band" / "6140_1_2_A.tif").unlink()


def with_swir_alone(root: Path) -> None:
    keep(root, "A")


def with_one_image(root: Path) -> None:
    for image_id in ("6010_0_3", "6140_1_2"):
        for path in list(root.rglob(f"{image_id}*.tif")):
            path.unlink()


def without_labels(root: Path) -> None:
    (root / "train_wkt_v4.csv").unlink()


@pytest.mark.parametrize(
    "change", [as_png, as_jpeg2000, zipped, with_swir_alone, lacking_two, with_one_image, without_labels]
)
def test_init_writes_a_recipe_that_check_accepts(root: Path, change: Callable[[Path], None]) -> None:
    change(root)
    said = write_recipe(root, root.parent / "own.toml")
    assert said[0].startswith("a DSTL folder: ")
    result = check(open_project(load_recipe(root.parent / "own.toml")))
    assert [finding.text for finding in result.findings if finding.level == "error"] == []
    assert result.labelled == (0 if change is without_labels else 1)


def test_a_file_beside_a_jpeg_2000_does_not_place_it(root: Path) -> None:
    as_jpeg2000(root)
    path = root / "three_band" / "6010_0_3.jp2"
    placed = "<PAMDataset><GeoTransform>5, 2, 0, 7, 0, -2</GeoTransform></PAMDataset>"
    path.with_name(path.name + ".aux.xml").write_text(placed)
    with open_raster(path) as raster:
        assert not raster.info.georeferenced
        assert tuple(raster.info.grid.transform)[:6] == (1, 0, 0, 0, 1, 0)
