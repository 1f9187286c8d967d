"""Shifts by prediction: on synthetic scenes whose shifts are known, and on what must not be trusted."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from affine import Affine

from landscribe.core.grid import Grid
from landscribe.core.recipe import PrepareTable
from landscribe.core.register import Move, Source, align_scene, fall_back, judge_move, move_grid
from landscribe.core.register.kernels import sample_cubic, spline_coefficients
from landscribe.core.sensors import find_sensor
from landscribe.worlds import WorldSpec, make_scene

KINDS = {"RGB": "worldview3-rgb", "P": "worldview3-p", "M": "worldview3-m", "A": "worldview3-a"}
SPEC = WorldSpec(scenes=4, height=601, width=643, seed=8, max_shift_px=20.0)
FIT = PrepareTable(align="fit")


@pytest.fixture(scope="module", params=[0, 3])
def world(request):
    return make_scene(SPEC, request.param)


def sources_of(images, valid=None):
    frame = Grid(*images["RGB"].shape[1:], Affine(2.0, 0, 500.0, 0, -2.0, 9000.0))
    found = []
    for name, image in images.items():
        sensor = find_sensor(KINDS[name])
        known = (valid or {}).get(name, np.ones(image.shape[1:], bool))

        def read(window, image=image, known=known):
            return image[:, *window.slices], known[window.slices]

        nm = tuple(band.wavelength_nm for band in sensor.bands)
        found.append(Source(name, frame.resize(*image.shape[1:]), sensor.band_names, nm, read))
    return found


def errors_px(moves, shifts):
    """Distance from the truth, in pixels of RGB."""
    return {n: float(np.hypot(m.row_px + shifts[n][0], m.col_px + shifts[n][1])) for n, m in moves.items()}


def check_bars(moves, world, slack=1.0):
    error = errors_px(moves, world.shifts_px)
    own = SPEC.height / world.images_chw["A"].shape[1]
    assert error["P"] < 0.1 * slack
    assert error["M"] < 0.1 * slack
    assert error["A"] / own < 0.25
    for name, move in moves.items():
        assert error[name] <= np.hypot(*world.shifts_px[name]), "no estimate is worse than none"
        assert move.decision == ("reference" if name == "RGB" else "applied")


def test_known_shifts_of_three_sensors_are_found(world):
    moves = align_scene(sources_of(world.images_chw), FIT)
    check_bars(moves, world)
    for name in ("P", "M", "A"):
        assert moves[name].score > max(0.9, moves[name].before)
        assert 0 < moves[name].spread < {"P": 0.1, "M": 0.4, "A": 8}[name]


def test_noise_and_haze_and_holes_do_not_mislead(world):
    rng = np.random.default_rng(0)
    images, valid = dict(world.images_chw), {}
    for name in ("RGB", "P", "M"):
        spread = images[name].std(axis=(1, 2), keepdims=True)
        images[name] = (images[name] + rng.normal(0, 0.5, images[name].shape) * spread).astype(np.float32)
    veil = cv2.GaussianBlur(rng.normal(0, 1, images["M"].shape[1:]).astype(np.float32), (0, 0), 15)
    veil = (veil - veil.min()) / np.ptp(veil)
    images["M"] = images["M"] * (1 - 0.6 * veil) + 900 * veil
    for name in ("RGB", "P", "M"):
        rows, cols = np.mgrid[0 : 1 : 1j * images[name].shape[1], 0 : 1 : 1j * images[name].shape[2]]
        valid[name] = rows + cols < 1.2
        images[name] = np.where(valid[name], images[name], np.nan if name == "P" else 0)
    moves = align_scene(sources_of(images, valid), FIT)
    error = errors_px(moves, world.shifts_px)
    assert error["P"] < 0.1
    assert error["M"] < 0.4
    assert error["A"] <= np.hypot(*world.shifts_px["A"])


def test_a_shift_of_thirty_pixels_is_found(world):
    far = (24.0, -20.0)
    images = dict(world.images_chw)
    images["M"] = np.roll(images["M"], (6, -5), (1, 2))
    valid = {"M": np.ones(images["M"].shape[1:], bool)}
    valid["M"][:6], valid["M"][:, -5:] = False, False
    truth = {**world.shifts_px, "M": (world.shifts_px["M"][0] + far[0], world.shifts_px["M"][1] + far[1])}
    scale = SPEC.height / images["M"].shape[1] / 4  # 601 rows are 150 of M: not quite 4
    moves = align_scene(sources_of(images, valid), FIT)
    assert errors_px(moves, truth)["M"] < 0.1 + np.hypot(*far) * abs(scale - 1)


@pytest.mark.parametrize("kind", ["noise", "water", "constant", "flipped", "nodata"])
def test_what_shows_nothing_is_left_where_it_is(world, kind):
    rng = np.random.default_rng(1)
    images, valid = {n: world.images_chw[n] for n in ("RGB", "M")}, {}
    shape = images["M"].shape
    if kind == "flipped":
        images["M"] = images["M"][:, ::-1].copy()
    elif kind == "nodata":
        valid["M"] = np.zeros(shape[1:], bool)
    elif kind == "water":
        # Waves and glitter: each sensor sees its own.
        for name, image in images.items():
            waves = cv2.GaussianBlur(rng.normal(0, 1, image.shape[1:]), (0, 0), 3)
            images[name] = (300 + 40 * waves + rng.poisson(3, image.shape)).astype(np.uint16)
    else:
        images["M"] = np.full(shape, 300, np.uint16) if kind == "constant" else rng.integers(1, 2047, shape, np.uint16)
    move = align_scene(sources_of(images, valid), FIT)["M"]
    assert (move.row_px, move.col_px) == (0, 0)
    assert move.is_lost
    assert move.decision in {"failed: nothing to hold on to", "failed: no common ground", "refused: parts disagree"}


def test_sensors_that_lie_right_stay(world):
    rgb = world.images_chw["RGB"]
    small = cv2.resize(rgb.transpose(1, 2, 0), (161, 150), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
    move = align_scene(sources_of({"RGB": rgb, "M": small[[0, 1, 2, 0, 1, 2, 0, 1]]}), FIT)["M"]
    assert np.hypot(move.row_px, move.col_px) < 0.05


def test_a_reference_coarser_than_the_sensor(world):
    """M first: then RGB moves the other way."""
    images = {n: world.images_chw[n] for n in ("RGB", "M")}
    one, two = sources_of(images)
    swapped = align_scene([two, one], FIT)["RGB"]
    straight = align_scene([one, two], FIT)["M"]
    ratio = SPEC.height / images["M"].shape[1]
    assert swapped.row_px * ratio == pytest.approx(-straight.row_px, abs=0.05)
    assert swapped.col_px * ratio == pytest.approx(-straight.col_px, abs=0.05)


def test_the_same_input_gives_the_same_shift(world):
    assert align_scene(sources_of(world.images_chw), FIT) == align_scene(sources_of(world.images_chw), FIT)


def test_a_lost_sensor_takes_the_median_of_its_place_only_where_that_helps(world):
    sources = sources_of(world.images_chw)
    found = align_scene(sources, FIT)
    lost = {**found, "M": Move(decision="failed: nothing to hold on to")}
    near = [Move(found["M"].row_px + d, found["M"].col_px) for d in (-0.5, 0.25, 9.0)]
    helped = fall_back(sources, lost, {"M": near})["M"]
    assert helped.decision == "applied: median of the place"
    assert helped.row_px == found["M"].row_px + 0.25
    assert helped.score > helped.before
    wrong = [Move(-found["M"].row_px - 9, -found["M"].col_px - 9)]
    assert fall_back(sources, lost, {"M": wrong})["M"] == lost["M"]
    assert fall_back(sources, found, {"M": wrong}) == found


def test_judging():
    good = Move(3.0, 4.0, score=0.9, before=0.5)
    assert judge_move(good, 5.0) == good
    assert judge_move(good, 4.9).decision == "refused: too far"
    assert judge_move(Move(3.0, 4.0, score=0.5, before=0.5), 9.0).decision == "refused: no better than before"
    assert judge_move(Move(3.0, 4.0, score=0.5), 9.0).row_px == 0


def test_a_move_is_in_pixels_of_the_reference_whatever_the_sensor_pixels():
    reference = Grid(61, 47, Affine(2.0, 0, 500.0, 0, -2.0, 900.0))
    own = reference.resize(13, 11)
    moved = move_grid(own, reference, Move(3.0, -1.5))
    before, after = own.transform @ (4.0, 5.0), moved.transform @ (4.0, 5.0)
    assert (after[0] - before[0], after[1] - before[1]) == pytest.approx((-1.5 * 2, -3.0 * 2))
    assert move_grid(own, reference, Move(3.0, -1.5, decision="refused: too far")) == own


def test_splines_go_through_the_pixels_and_are_exact_on_cubics():
    rng = np.random.default_rng(2)
    image = rng.normal(0, 1, (2, 31, 37)).astype(np.float32)
    spline = image.copy()
    spline_coefficients(spline)
    out, seen = np.empty((2, 25, 29), np.float32), np.empty((25, 29), bool)
    sample_cubic(spline, np.ones((31, 37), bool), np.array([1.0, 0, 4, 0, 1, 3]), out, seen)
    assert seen.all()
    assert np.abs(out - image[:, 3:28, 4:33]).max() < 1e-5
    rows, cols = np.mgrid[0:61, 0:67] / 10
    wave = np.sin(rows + 0.3 * cols).astype(np.float32)[None]
    spline_coefficients(spline := wave.copy())
    sample_cubic(spline, np.ones((61, 67), bool), np.array([1.0, 0, 12.4, 0, 1, 10.7]), out[:1], seen)
    assert np.abs(out[0] - np.sin(rows[:25, :29] + 1.07 + 0.3 * (cols[:25, :29] + 1.24))).max() < 1e-5


def test_an_affine_correction_is_found_where_it_is_asked_for(world):
    """M is turned by 0.4 degrees and stretched by 0.6 %: up to 3 pixels of RGB at the corners."""
    images = {n: world.images_chw[n] for n in ("RGB", "M")}
    right = sources_of(images)
    reference, m = right
    bent = Affine.translation(20, -35) @ Affine.rotation(0.4) @ Affine.scale(1.006, 0.997) @ Affine.translation(-20, 35)
    to_reference = m.grid.pixel_map(reference.grid)
    wrong = Source(
        m.name,
        Grid(*m.grid.shape_hw, m.grid.transform @ (~to_reference @ bent @ to_reference)),
        m.bands,
        m.wavelengths_nm,
        m.read,
    )
    corners = [(x, y) for x in (0, SPEC.width) for y in (0, SPEC.height)]

    def worst(model):
        move = align_scene([reference, wrong], PrepareTable(align_model=model))["M"]
        moved = move_grid(wrong.grid, reference.grid, move)
        rows, cols = world.shifts_px["M"]
        # Where M's content at a corner of the scene ends up.
        ends = [moved.pixel_map(reference.grid) @ (~to_reference @ (x + cols, y + rows)) for x, y in corners]
        return move, max(np.hypot(end[0] - x, end[1] - y) for end, (x, y) in zip(ends, corners, strict=True))

    plain, far = worst("translation")
    turned, near = worst("affine")
    assert plain.linear is None
    assert far > 1.5
    assert turned.linear is not None
    assert turned.score > plain.score
    assert near < 0.3


def test_an_affine_correction_is_not_made_up(world):
    assert (
        align_scene(sources_of({n: world.images_chw[n] for n in ("RGB", "M")}), PrepareTable(align_model="affine"))[
            "M"
        ].linear
        is None
    )
