from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from landscribe.core.arrays import BoolArray, ByteArray
from landscribe.report.map.tiles import TILE, Tiled, _half, encode_tile, tile_within, top_level

SHAPE_HW = (307, 521)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as threads:
        yield threads


def cut(image_hwc: ByteArray, valid_hw: BoolArray, pool: ThreadPoolExecutor, limit: int = 10**7) -> Tiled:
    return tile_within(lambda _factor: (image_hwc, valid_hw), valid_hw.shape, 4096, limit, pool)


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


def test_tiles_lie_in_the_pixels_of_the_scene(pool: ThreadPoolExecutor) -> None:
    tiled = cut(ramp(), np.ones(SHAPE_HW, np.bool_), pool)
    assert {tile[:3] for tile in tiled.tiles} == {(0, 0, 0), *((2, x, y) for x in range(3) for y in range(2))}
    by_place = {tile[:3]: decode(tile[3]) for tile in tiled.tiles}
    assert all(picture.shape[:2] == (TILE, TILE) for picture in by_place.values())
    assert int(by_place[2, 1, 0][100, 30, 2]) == pytest.approx(286 * 255 // 521, abs=4)  # red follows the columns
    assert int(by_place[2, 1, 1][20, 30, 1]) == pytest.approx(276 * 255 // 307, abs=4)
    # Four pixels of the scene a side to one of level 0.
    assert int(by_place[0, 0, 0][25, 71, 2]) == pytest.approx(286 * 255 // 521, abs=4)


def test_ground_without_data_is_transparent_and_empty_tiles_are_left_out(pool: ThreadPoolExecutor) -> None:
    valid_hw = np.zeros(SHAPE_HW, np.bool_)
    valid_hw[:, 300:400] = True
    tiled = cut(ramp(), valid_hw, pool)
    assert {tile[:3] for tile in tiled.tiles if tile[0] == 2} == {(2, 1, 0), (2, 1, 1)}
    alpha_hw = decode(next(tile[3] for tile in tiled.tiles if tile[:3] == (2, 1, 0)))[..., 3]
    assert (alpha_hw[:, :44] == 0).all()
    assert (alpha_hw[:, 44:144] == 255).all()
    assert encode_tile(ramp()[:9, :9], np.zeros((9, 9), np.bool_)) is None


@pytest.mark.parametrize(("limit", "side", "top"), [(10**7, 4096, 2), (10**7, 300, 1), (6000, 4096, 1), (1, 4096, 0)])
def test_a_picture_gets_smaller_until_it_fits(limit: int, side: int, top: int, pool: ThreadPoolExecutor) -> None:
    noise = np.random.default_rng(5).integers(0, 255, (*SHAPE_HW, 3), dtype=np.uint8)
    noise = cv2.GaussianBlur(noise, (0, 0), 6)
    asked = []

    def read(factor: int) -> tuple[ByteArray, BoolArray]:
        asked.append(factor)
        small = noise[::factor, ::factor]
        return small, np.ones(small.shape[:2], np.bool_)

    tiled = tile_within(read, SHAPE_HW, side, limit, pool)
    assert asked == [1 if side > 521 else 2]
    assert tiled.bytes <= limit or tiled.top == 0
    if limit != 6000:
        assert tiled.top == top


def noise(side: int) -> ByteArray:
    return np.random.default_rng(7).integers(0, 255, (side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("limit", [10**7, 100_000])
def test_how_many_threads_write_tiles_makes_no_difference(limit: int) -> None:
    valid_hw = np.ones(SHAPE_HW, np.bool_)
    valid_hw[30:90, 200:270] = False
    made = []
    for count in (1, 5):
        with ThreadPoolExecutor(count) as threads:
            made.append(cut(noise(521)[:307], valid_hw, threads, limit))
    assert made[0] == made[1]


def test_of_a_level_that_is_plainly_too_large_few_tiles_are_written() -> None:
    class Counting(ThreadPoolExecutor):
        written = 0

        def map(self, work, *items, **settings):  # type: ignore[no-untyped-def]
            self.written += len(items[0])
            return super().map(work, *items, **settings)

    valid_hw = np.ones((1801, 1801), np.bool_)  # 64 tiles
    with Counting(2) as threads:
        tiled = cut(noise(1801), valid_hw, threads, 300_000)
    assert tiled.top == 1
    assert tiled.bytes <= 300_000
    assert threads.written < 64


def test_a_level_that_just_fits_is_written_whole(pool: ThreadPoolExecutor) -> None:
    valid_hw = np.ones((1801, 1801), np.bool_)
    whole = cut(noise(1801), valid_hw, pool, 10**9)
    finest = sum(len(content) for level, *_, content in whole.tiles if level == whole.top)
    assert cut(noise(1801), valid_hw, pool, int(1.1 * finest)) == whole


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("share", [0.0, 0.4, 0.97, 1.0])
@pytest.mark.parametrize("shape_hw", [(61, 47), (62, 48), (1, 1), (1, 7)])
def test_four_pixels_become_the_mean_of_those_that_are_valid(
    shape_hw: tuple[int, int], share: float, channels: int
) -> None:
    rng = np.random.default_rng(11)
    image_hwc = rng.integers(0, 256, (*shape_hw, channels), dtype=np.uint8)
    valid_hw = rng.random(shape_hw) < share
    half_hwc, known_hw = _half(image_hwc, valid_hw)
    odd = [(0, side % 2) for side in shape_hw]
    wide_hwc, wide_hw = np.pad(image_hwc, [*odd, (0, 0)], mode="edge"), np.pad(valid_hw, odd, mode="edge")
    blocks_hwc = wide_hwc.reshape(wide_hw.shape[0] // 2, 2, -1, 2, channels)
    blocks_hw = wide_hw.reshape(wide_hw.shape[0] // 2, 2, -1, 2)
    count_hw = blocks_hw.sum(axis=(1, 3))
    mean_hwc = (blocks_hwc * blocks_hw[..., None].astype(np.float64)).sum(axis=(1, 3))
    mean_hwc /= np.maximum(count_hw, 1)[..., None]
    assert np.abs(half_hwc - mean_hwc).max() <= 0.5
    assert (known_hw == (count_hw >= 2)).all()
