from __future__ import annotations

import cv2
import numpy as np
import pytest

from landscribe.core.arrays import BoolArray, ByteArray
from landscribe.report.map.tiles import TILE, cut, encode_tile, tile_within, top_level

SHAPE_HW = (307, 521)


def ramp() -> ByteArray:
    rows, cols = np.indices(SHAPE_HW)
    return np.dstack((cols * 255 // SHAPE_HW[1], rows * 255 // SHAPE_HW[0], np.full(SHAPE_HW, 60))).astype(np.uint8)


def decode(content: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


def test_a_level_has_twice_the_pixels_of_the_one_below() -> None:
    assert [top_level(shape) for shape in ((1, 1), (256, 256), (257, 3), (307, 521), (20_000, 20_000))] == [
        0,
        0,
        1,
        2,
        7,
    ]


def test_tiles_lie_in_the_pixels_of_the_scene() -> None:
    tiled = cut(ramp(), np.ones(SHAPE_HW, np.bool_), top_level(SHAPE_HW), 95)
    assert {tile[:3] for tile in tiled.tiles} == {(0, 0, 0), *((2, x, y) for x in range(3) for y in range(2))}
    by_place = {tile[:3]: decode(tile[3]) for tile in tiled.tiles}
    assert all(picture.shape[:2] == (TILE, TILE) for picture in by_place.values())
    assert int(by_place[2, 1, 0][100, 30, 2]) == pytest.approx(286 * 255 // 521, abs=4)  # red follows the columns
    assert int(by_place[2, 1, 1][20, 30, 1]) == pytest.approx(276 * 255 // 307, abs=4)
    # Four pixels of the scene a side to one of level 0.
    assert int(by_place[0, 0, 0][25, 71, 2]) == pytest.approx(286 * 255 // 521, abs=4)


def test_ground_without_data_is_transparent_and_empty_tiles_are_left_out() -> None:
    valid_hw = np.zeros(SHAPE_HW, np.bool_)
    valid_hw[:, 300:400] = True
    tiled = cut(ramp(), valid_hw, 2)
    assert {tile[:3] for tile in tiled.tiles if tile[0] == 2} == {(2, 1, 0), (2, 1, 1)}
    alpha_hw = decode(next(tile[3] for tile in tiled.tiles if tile[:3] == (2, 1, 0)))[..., 3]
    assert (alpha_hw[:, :44] == 0).all()
    assert (alpha_hw[:, 44:144] == 255).all()
    assert encode_tile(ramp()[:9, :9], np.zeros((9, 9), np.bool_)) is None


@pytest.mark.parametrize(("limit", "side", "top"), [(10**7, 4096, 2), (10**7, 300, 1), (6000, 4096, 1), (1, 4096, 0)])
def test_a_picture_gets_smaller_until_it_fits(limit: int, side: int, top: int) -> None:
    noise = np.random.default_rng(5).integers(0, 255, (*SHAPE_HW, 3), dtype=np.uint8)
    noise = cv2.GaussianBlur(noise, (0, 0), 6)
    asked = []

    def read(factor: int) -> tuple[ByteArray, BoolArray]:
        asked.append(factor)
        small = noise[::factor, ::factor]
        return small, np.ones(small.shape[:2], np.bool_)

    tiled = tile_within(read, SHAPE_HW, side, limit)
    assert asked == [1 if side > 521 else 2]
    assert tiled.bytes <= limit or tiled.top == 0
    if limit != 6000:
        assert tiled.top == top
