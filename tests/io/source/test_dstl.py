"""The DSTL layout: written, found and read back; what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely

from landscribe.core.features import make_features, of_class
from landscribe.core.grid import dstl_grid
from landscribe.core.legend import DSTL_LEGEND
from landscribe.errors import DataError
from landscribe.io.labels.labels import read_labels
from landscribe.io.source.dstl import list_dstl, read_grid_sizes, read_sample, write_scene, write_tables
from landscribe.io.source.scenes import sensor_grids
from landscribe.io.source.submissions import check_submission

FRAME = (0.0125, -0.0113)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for scene_id in ("6110_1_2", "6140_1_2", "6010_0_3"):
        images = {
            "RGB": rng.integers(0, 2048, (3, 61, 47), dtype=np.uint16),
            "M": rng.integers(0, 2048, (8, 17, 13), dtype=np.uint16),
        }
        write_scene(tmp_path, scene_id, images)
    grid = dstl_grid(61, 47, *FRAME)
    pixels = np.array([shapely.box(3, 5, 17, 11), shapely.box(20, 30, 41, 59)], dtype=object)
    labels = make_features("6110_1_2", DSTL_LEGEND.by_name("building"), grid.pixels_to_ground(pixels))
    write_tables(tmp_path, dict.fromkeys(("6110_1_2", "6140_1_2", "6010_0_3"), FRAME), labels, ["6110_1_2"])
    return tmp_path


def test_scenes_with_their_sensors_places_and_labels(root: Path) -> None:
    found = list_dstl(root)
    assert [scene.id for scene in found.scenes] == ["6010_0_3", "6110_1_2", "6140_1_2"]
    assert found.scenes[1].place == found.scenes[2].place
    assert [bool(scene.label_files) for scene in found.scenes] == [False, True, False]
    assert found.scenes[0].missing == {"P": "sixteen_band/6010_0_3_P.tif", "A": "sixteen_band/6010_0_3_A.tif"}
    assert found.sample_submission == root / "sample_submission.csv"


def test_all_sensors_show_the_same_ground(root: Path) -> None:
    grids = sensor_grids(list_dstl(root).scenes[0])
    assert grids["M"].shape_hw == (17, 13)
    assert grids["M"].footprint.bounds == pytest.approx(grids["RGB"].footprint.bounds)


def test_labels_come_back_where_they_were(root: Path) -> None:
    scene = list_dstl(root).scenes[1]
    grid = sensor_grids(scene)["RGB"]
    labels = read_labels(scene, DSTL_LEGEND, grid)
    pixels = grid.ground_to_pixels(of_class(labels.features, "building"))
    assert sorted(p.bounds for p in pixels) == [pytest.approx((3, 5, 17, 11)), pytest.approx((20, 30, 41, 59))]
    assert sorted(labels.features["area"]) == pytest.approx([84, 609])


def test_the_sample_asks_for_unlabelled_images(root: Path) -> None:
    asked = read_sample(root / "sample_submission.csv")
    assert asked[:2] == [("6140_1_2", 1), ("6140_1_2", 2)]
    assert len(asked) == 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (",Xmax,Ymin\na,1\n", "row 2: not an id and two numbers"),
        (",Xmax,Ymin\na,x,y\n", "row 2"),
    ],
)
def test_a_bad_frame_table_is_named_by_row(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "grid_sizes.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_grid_sizes(tmp_path / "grid_sizes.csv")


def test_an_image_without_a_frame_and_a_label_without_an_image_are_said(root: Path) -> None:
    lines = (root / "grid_sizes.csv").read_text().splitlines()
    (root / "grid_sizes.csv").write_text("\n".join(line for line in lines if not line.startswith("6110")) + "\n")
    said = " ".join(list_dstl(root).problems)
    assert "three_band/6110_1_2.tif: no row in grid_sizes.csv" in said
    assert "image '6110_1_2': no raster" in said


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"grid_sizes.csv: missing"):
        list_dstl(tmp_path)
    (tmp_path / "grid_sizes.csv").write_text(",Xmax,Ymin\n")
    with pytest.raises(DataError, match="no DSTL image found"):
        list_dstl(tmp_path)
    (tmp_path / "sample_submission.csv").write_text("Id,Class\n")
    with pytest.raises(DataError, match="wrong header"):
        read_sample(tmp_path / "sample_submission.csv")


HEADER = "ImageId,ClassType,MultipolygonWKT\n"
GOOD = '"MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)))"'
BOW_TIE = '"MULTIPOLYGON (((0 0, 2 2, 2 0, 0 2, 0 0)))"'
ASKED = [("a", 1), ("a", 2)]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (f"a,1,{GOOD}\na,2,MULTIPOLYGON EMPTY\n", None),
        (f"a,2,{GOOD}\na,1,MULTIPOLYGON EMPTY\n", "row 3: image 'a', class 1 is out of order"),
        (f"a,1,{GOOD}\n", "wrong number, got 1, need 2"),
        (f"a,1,{BOW_TIE}\na,2,MULTIPOLYGON EMPTY\n", "row 2: Self-intersection"),
        (f"a,1,{GOOD}\na,2,MULTIPOLYGON ((0 0\n", "row 3"),
    ],
)
def test_the_validator_names_each_bad_row(tmp_path: Path, rows: str, message: str | None) -> None:
    path = tmp_path / "s.csv"
    path.write_text(HEADER + rows)
    problems = check_submission(path, ASKED).problems
    if message is None:
        assert problems == []
    else:
        assert message in " ".join(problems)
