"""Rectangles that chips take from each other."""

import numpy as np
import torch

from landscribe.nn.sample.cutmix import LARGEST, NOBODY, SMALLEST, Pastes, draw_pastes, paste


def test_rectangles_lie_in_the_chip_on_whole_samples_and_are_as_large_as_said():
    pastes = draw_pastes(4000, 64, 4, 0.25, np.random.default_rng(0))
    top, left, bottom, right = pastes.box_b4.T
    assert (pastes.box_b4 % 4 == 0).all()
    assert min(top.min(), left.min()) == 0
    assert max(bottom.max(), right.max()) == 64
    area = (bottom - top) * (right - left) / 64**2
    assert abs(area.mean() - (SMALLEST + LARGEST) / 2) < 0.02
    assert 0.06 < area.min() < 0.14
    assert 0.45 < area.max() < 0.6
    gets = pastes.partner_b != NOBODY
    assert abs(gets.mean() - 0.25) < 0.03
    own = np.arange(4000)
    assert (pastes.partner_b != own).all()
    assert ((pastes.partner_b[gets] >= 0) & (pastes.partner_b[gets] < 4000)).all()


def test_a_batch_of_one_gets_nothing():
    assert (draw_pastes(1, 32, 1, 1.0, np.random.default_rng(0)).partner_b == NOBODY).all()


def test_what_is_pasted_is_the_other_chip_as_it_was():
    values = torch.arange(3 * 1 * 8 * 8).float().reshape(3, 1, 8, 8)
    before = values.clone()
    boxes = np.array([[0, 0, 8, 4], [2, 0, 6, 8], [0, 0, 4, 4]])
    paste(Pastes(np.array([1, 0, NOBODY]), boxes), [(values, 1, 0)])
    assert torch.equal(values[0, 0, :, :4], before[1, 0, :, :4])
    assert torch.equal(values[0, 0, :, 4:], before[0, 0, :, 4:])
    assert torch.equal(values[1, 0, 2:6], before[0, 0, 2:6])
    assert torch.equal(values[2], before[2])


def test_a_frame_shifts_and_cuts_the_rectangle_and_a_coarse_sensor_has_fewer_samples():
    inner, coarse = torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)
    inner[1], coarse[1] = 1, 1
    paste(Pastes(np.array([1, NOBODY]), np.array([[0, 2, 4, 8], [0, 0, 2, 2]])), [(inner, 1, 2), (coarse, 2, 0)])
    expected = torch.zeros(4, 4)
    expected[:2, :] = 1
    assert torch.equal(inner[0, 0], expected)
    expected = torch.zeros(4, 4)
    expected[:2, 1:] = 1
    assert torch.equal(coarse[0, 0], expected)


def test_a_part_of_a_batch_has_what_it_takes_from_behind_it():
    pastes = Pastes(np.array([3, NOBODY, 1, 0, 2]), np.arange(20).reshape(5, 4))
    rows, own = pastes.rows(np.array([0, 1]))
    assert rows.tolist() == [0, 1, 3]
    assert own.partner_b.tolist() == [2, NOBODY]
    rows, own = pastes.rows(np.array([2, 3, 4]))
    assert rows.tolist() == [2, 3, 4, 0, 1]
    assert own.partner_b.tolist() == [4, 3, 0]
    assert np.array_equal(own.box_b4, pastes.box_b4[2:])
