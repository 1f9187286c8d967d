"""COCO: run lengths against looking at every pixel, images by their names, and hostile files."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from label_formats import packed, runs_of
from landscribe.core.burn import burn_mask
from landscribe.errors import DataError, LandscribeError, LimitError
from landscribe.io.vector.coco import BOXES, CROWDS, Coco, drawn_on, looks_like_coco, read_coco
from landscribe.io.vector.layer import CATEGORY
from landscribe.io.vector.rle import MalformedError, outline, run_lengths
from raster_files import SLOW

H, W = 13, 17
SQUARE = [[2.0, 3.0, 9.0, 3.0, 9.0, 11.0, 2.0, 11.0]]


def content(*annotations: object, **changes: object) -> dict[str, object]:
    rows = [
        {"id": k, "image_id": 1, "category_id": 0} | a if isinstance(a, dict) else a for k, a in enumerate(annotations)
    ]
    images = [{"id": 1, "file_name": "a.tif", "height": H, "width": W}]
    categories = [{"id": 0, "name": "house"}, {"id": 4, "name": "road"}, {"id": 9, "name": "never"}]
    return {"images": images, "annotations": rows, "categories": categories} | changes


def read(path: Path, *annotations: object, **changes: object) -> Coco:
    path.write_text(json.dumps(content(*annotations, **changes)))
    read_coco.cache_clear()
    return read_coco(path)


def shapes(coco: Coco) -> tuple[list[shapely.Geometry], Counter[str]]:
    layer = drawn_on(coco, coco.images[0]).layer
    return list(layer.geometries), Counter({reason: n for reason, n in layer.counts.items() if n})


@SLOW
@given(st.integers(1, 23), st.integers(1, 19), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_run_lengths_come_back_plain_and_packed(height: int, width: int, seed: int, share: float) -> None:
    mask_hw = (np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    runs = runs_of(mask_hw)
    for counts in (runs, packed(runs)):
        assert run_lengths(counts).tolist() == runs
        found = outline(run_lengths(counts), height, width)
        assert (burn_mask(np.array([found], dtype=object), (height, width)) == mask_hw).all()
        assert found.area == mask_hw.sum()


def test_text_that_the_coco_api_packed() -> None:
    row, col = np.mgrid[:13, :17]
    mask_hw = (row * col % 7 < 3).astype(np.uint8)
    text = "0`04COOOO010OO010O00010O10O0010O0000010010O00220>0BOOOO010OO010O00010O10O0010O0000010010O00220>0BOOOO010OO"
    assert packed(runs_of(mask_hw)) == text
    assert run_lengths(text).tolist() == runs_of(mask_hw)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ("\x00", "other letters"),
        ("é", "other letters"),
        ("o", "cut short"),
        ("o" * 99, "other letters"),
        ("13000K", "out of range"),
        ([3, -1], "out of range"),
        ([2**70], "out of range"),
        ([True, 2], "neither numbers nor text"),
        ([1.5], "neither numbers nor text"),
        ({"a": 1}, "neither numbers nor text"),
        (None, "neither numbers nor text"),
    ],
)
def test_run_lengths_that_are_none(counts: object, message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        run_lengths(counts)


def test_polygons_masks_and_crowds_of_one_image(tmp_path: Path) -> None:
    mask_hw = np.zeros((H, W), np.uint8)
    mask_hw[2:5, 3:11] = 1
    runs = {"counts": runs_of(mask_hw), "size": [H, W]}
    two = [*SQUARE, [11, 1, 15, 1, 15, 4]]
    flat = SQUARE[0]
    coco = read(
        tmp_path / "a.json",
        {"segmentation": SQUARE},
        {"segmentation": two, "category_id": "4"},
        {"segmentation": flat},
        {"segmentation": runs, "iscrowd": 1, "category_id": 4.0},
        {"segmentation": SQUARE, "category_id": 77},
    )
    found, counts = shapes(coco)
    assert [shape.area for shape in found] == [56, 62, 56, 24, 56]
    assert counts == {CROWDS: 1}
    layer = drawn_on(coco, coco.images[0]).layer
    assert layer.attributes[CATEGORY].tolist() == ["house", "road", "house", "road", None]
    assert coco.used == ("house", "road")


MALFORMED = [
    ([[1, 2, 3, 4]], "three or more pairs"),
    ([[1, 2, 3, 4, 5, 6, 7]], "three or more pairs"),
    ([[1, 2, 3, "x", 5, 6]], "no number"),
    ([[1, 2, 3, 10**400, 5, 6]], "no number"),
    ([[1, 2, 3, None, 5, 6]], "no number"),
    ("text", "no list"),
    (7, "no list"),
    ([["a"]], "three or more pairs"),
    ({"counts": [H * W + 1], "size": [H, W]}, "do not fill the picture"),
    ({"counts": [5], "size": [1, 5]}, "another size"),
    ({"counts": [0, 5], "size": ["x", 5]}, "do not fill the picture"),
    ({"size": [H, W]}, "neither numbers nor text"),
]


@pytest.mark.parametrize(("segmentation", "message"), MALFORMED)
def test_what_is_malformed_is_counted_and_the_rest_is_kept(tmp_path: Path, segmentation: object, message: str) -> None:
    found, counts = shapes(read(tmp_path / "a.json", {"segmentation": segmentation}, {"segmentation": SQUARE}))
    assert [shape.area for shape in found] == [56]
    ((reason, number),) = counts.items()
    assert number == 1
    assert reason.startswith("malformed: ")
    assert message in reason


def test_boxes_are_counted_and_refused_where_there_is_nothing_else(tmp_path: Path) -> None:
    box = {"bbox": [1, 2, 3, 4], "segmentation": []}
    found, counts = shapes(read(tmp_path / "a.json", {"segmentation": SQUARE}, box, {"segmentation": []}))
    assert (len(found), counts) == (1, {BOXES: 1, "without geometry": 1})
    with pytest.raises(DataError, match=r"2 boxes and no outline on a\.tif; draw outlines"):
        shapes(read(tmp_path / "a.json", box, {"bbox": [1, 2, 3, 4]}))


def test_strays_are_counted(tmp_path: Path) -> None:
    coco = read(tmp_path / "a.json", {"segmentation": SQUARE}, {"image_id": 5}, "x", None)
    assert coco.strays == 3
    assert len(shapes(coco)[0]) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "not COCO: images, got list"),
        ("{}", "not COCO: images, got no list of them"),
        ('{"images": [], "annotations": {}}', "not COCO: annotations, got no list"),
        ('{"images": [], "annotations": [{"segments_info": []}], "categories": []}', "panoptic segmentation"),
        ('{"images": [', "not JSON"),
        ("", "empty"),
        ('{"images": ' + "[" * 100_000, "nested too deeply"),
    ],
)
def test_other_files_are_refused_in_a_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.json").write_text(text)
    read_coco.cache_clear()
    with pytest.raises(LandscribeError, match=message) as error:
        read_coco(tmp_path / "a.json")
    assert "a.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_masks_that_would_never_end_are_refused(tmp_path: Path) -> None:
    whole = {"segmentation": {"counts": [0, H * W], "size": [H, W]}}
    assert len(shapes(read(tmp_path / "a.json", *[whole] * 100))[0]) == 100
    with pytest.raises(LimitError, match="masks that fill the picture over and over, need at most 100 times"):
        shapes(read(tmp_path / "a.json", *[whole] * 101))
    side = 2**30
    huge = {"segmentation": {"counts": [0, *[2**31 - 1, 0] * 2**10], "size": [side, side]}}
    huge["segmentation"]["counts"].append(0)
    images = [{"id": 1, "file_name": "a.tif"}]
    found, counts = shapes(read(tmp_path / "a.json", huge, images=images))
    assert (found, counts) == ([], {"malformed: run lengths do not fill the picture": 1})
    fits = {"segmentation": {"counts": [0, *[2**30, 0] * 2**11], "size": [2**20, 2**21]}}
    fits["segmentation"]["counts"] += [0]
    with pytest.raises(LimitError, match="too large to read at once"):
        shapes(read(tmp_path / "a.json", fits, images=images))


def test_it_is_known_by_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"info": {"images": 3}, "licenses": [], "images": [{"id": k} for k in range(99_999)]}))
    assert looks_like_coco(path)
    for text in (
        '{"type": "FeatureCollection", "features": [], "images": []}',
        '{"a": {"images": [], "annotations": []}}',
        '{"shapes": [], "images": []}',
        '[{"images": 1}]',
        "",
        "\x00\x01",
        '{"a": "' + '\\"' * 100_000,  # must not take a minute
        '{"a\\',
    ):
        path.write_text(text)
        assert not looks_like_coco(path)
    assert not looks_like_coco(tmp_path / "none.json")
