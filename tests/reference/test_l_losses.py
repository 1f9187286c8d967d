"""Losses and optimiser of the two reference methods: `reference_methods.md` 2.6, 2.7 and 3.4."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from landscribe.core.recipe import LossTable, ScheduleTable
from landscribe.nn.train.losses import distance_target, segmentation_loss
from landscribe.nn.train.schedule import OPTIMIZERS

P = np.array([0.9, 0.2, 0.6, 0.3])
Y = np.array([1.0, 0.0, 1.0, 0.0])
HALF_DICE = {"bce": 1.0, "dice": 10.0, "dice_factor": 1}
"""`dice_loss = 10` of the first method."""


def loss_of(p, y=Y, **table):
    logits = torch.logit(torch.tensor(p, dtype=torch.float64), 1e-12).reshape(1, 1, 2, -1).requires_grad_()
    target, weight = torch.tensor(y).reshape(logits.shape), torch.ones(logits.shape)
    value, _ = segmentation_loss(logits, target, weight, LossTable(**{"bce": 0.0, "dice": 0.0} | table), torch.ones(1))
    return value, logits


def bce(p, y=Y):
    return float(np.mean(-y * np.log(p) - (1 - y) * np.log(1 - p)))


def test_l03_a_tenth_of_cross_entropy_and_nine_tenths_of_half_dice():
    half = 1 - (P * Y).sum() / (P.sum() + Y.sum())
    assert loss_of(P, **HALF_DICE)[0].item() == pytest.approx(bce(P) / 11 + half * 10 / 11)
    # At perfection the half dice is a half, the whole one nothing.
    perfect = np.clip(Y, 1e-9, 1 - 1e-9)
    assert loss_of(perfect, dice=1.0, dice_factor=1)[0].item() == pytest.approx(0.5, abs=1e-6)
    assert loss_of(perfect, dice=1.0)[0].item() == pytest.approx(0, abs=1e-6)


def test_l03_the_gradient_of_the_half_dice_is_half_that_of_the_whole():
    gradients = []
    for factor in (1, 2):
        value, logits = loss_of(P, dice=1.0, dice_factor=factor)
        value.backward()
        gradients.append(logits.grad)
    assert torch.allclose(2 * gradients[0], gradients[1])
    # d/dp of -sum(py) / (sum(p) + sum(y)), times p (1 - p) for the logit.
    total = P.sum() + Y.sum()
    expected = -(Y * total - (P * Y).sum()) / total**2 * P * (1 - P)
    assert gradients[0].numpy().ravel() == pytest.approx(expected)


def test_l05_loss_times_batch_size_is_a_longer_gradient_of_which_adam_sees_nothing():
    value, logits = loss_of(P, **HALF_DICE)
    (128 * value).backward()
    longer = logits.grad.clone()
    value, logits = loss_of(P, **HALF_DICE)
    value.backward()
    assert torch.allclose(longer, 128 * logits.grad, rtol=1e-12)
    for name in ("adam", "nadam", "adamw"):
        moved = []
        for scale in (1.0, 128.0):
            weight = torch.nn.Parameter(torch.tensor([[0.3, -0.7, 1.1]]))
            optimizer = OPTIMIZERS[name]([weight], lr=1e-2, weight_decay=0.0)
            for step in range(5):
                optimizer.zero_grad()
                (scale * (torch.sin(weight * (step + 1)) * torch.tensor([1.0, 3.0, -2.0])).sum()).backward()
                optimizer.step()
            moved.append(weight.detach())
        assert torch.allclose(moved[0], moved[1], atol=1e-7), name


def test_l05_adam_has_the_defaults_of_both_methods():
    for name, extra in (("adam", {}), ("nadam", {"momentum_decay": 0.004})):
        optimizer = OPTIMIZERS[name]([torch.nn.Parameter(torch.zeros(1))], lr=ScheduleTable().rate)
        defaults = {key: optimizer.defaults[key] for key in ("betas", "eps", *extra)}
        assert defaults == {"betas": (0.9, 0.999), "eps": 1e-8} | extra


def test_l22_jaccard_and_its_empty_case():
    union = P.sum() + Y.sum() - (P * Y).sum()
    assert loss_of(P, jaccard=1.0)[0].item() == pytest.approx(1 - (P * Y).sum() / union)
    # A soft term without anything to divide by is left out; the cross entropy stays.
    nothing = torch.zeros(1, 1, 2, 2)
    value, _ = segmentation_loss(
        torch.full((1, 1, 2, 2), -200.0), nothing, torch.ones(1, 1, 2, 2), LossTable(jaccard=1, dice=1), torch.ones(1)
    )
    assert value.item() == pytest.approx(0, abs=1e-6)


def test_l23_the_target_rises_across_the_border():
    mask = torch.zeros(1, 1, 21, 23)
    mask[..., 5:16, 6:17] = 1
    found = distance_target(mask, torch.ones(1, 1, 21, 23), 5.0)[0, 0]
    assert found[10, 6:12].tolist() == pytest.approx([0.6, 0.7, 0.8, 0.9, 1, 1])
    assert found[10, :6].flip(0).tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1, 0, 0])
    assert 0 <= found.min() <= found.max() <= 1
    # The method's own distances, by OpenCV's 3 x 3 mask, are a little shorter: 0.60, 0.69, 0.79, ...
    assert [round((1 + 0.955 * steps / 5) / 2, 2) for steps in (1, 2, 3)] == [0.6, 0.69, 0.79]
    assert found[10, 6:9].tolist() == pytest.approx([0.6, 0.69, 0.79], abs=0.02)
    for value in (0.0, 1.0):
        flat = torch.full((1, 1, 21, 23), value)
        assert torch.equal(distance_target(flat, torch.ones(1, 1, 21, 23), 5.0), flat)


def test_l23_squared_error_dice_and_jaccard_against_it():
    side = torch.zeros(1, 1, 6, 6, dtype=torch.float64)
    side[..., 3:] = 1
    d = (1 + np.array([-2, -1, 1, 2]) / 2) / 2
    logits = torch.logit(torch.tensor(P, dtype=torch.float64)).expand(1, 1, 4, 4)[..., :4]
    weight = torch.ones(1, 1, 6, 6)
    # The frame of labels is as wide as the ramp.
    found = {
        name: segmentation_loss(
            logits, torch.nn.functional.pad(side, (1, 1, 1, 1), mode="replicate"),
            torch.nn.functional.pad(weight, (1, 1, 1, 1), value=1.0),
            LossTable(**{"bce": 0.0, "dice": 0.0, "dice_factor": 1, "distance_px": 2.0, name: 1.0}), torch.ones(1),
        )[0].item()
        for name in ("distance", "distance_dice", "distance_jaccard")
    }  # fmt: skip
    assert found["distance"] == pytest.approx(np.mean((P - d) ** 2))
    assert found["distance_dice"] == pytest.approx(1 - (P * d).sum() / (P + d).sum())
    assert found["distance_jaccard"] == pytest.approx(1 - (P * d).sum() / (P + d - P * d).sum())


def test_t06_cross_entropy_minus_the_logarithm_of_jaccard():
    j = ((P * Y).sum() + 1e-12) / (P.sum() + Y.sum() - (P * Y).sum() + 1e-12)
    value, logits = loss_of(P, bce=1.0, log_jaccard=1.0)
    # Divided by the sum of the weights: see `test_l05`.
    assert 2 * value.item() == pytest.approx(bce(P) - math.log(j))
    value.backward()
    inside, union = (P * Y).sum(), P.sum() + Y.sum() - (P * Y).sum()
    d_log = (-Y / inside + (1 - Y) / union) * P * (1 - P)
    assert 2 * logits.grad.numpy().ravel() == pytest.approx((P - Y) / P.size + d_log)


@pytest.mark.parametrize("logit", [-30.0, -90.0, -200.0])
def test_t06_an_empty_target_stays_finite(logit):
    logits = torch.full((2, 1, 5, 7), logit, requires_grad=True)
    table = LossTable(bce=1, dice=0, log_jaccard=1)
    value, _ = segmentation_loss(logits, torch.zeros(2, 1, 5, 7), torch.ones(2, 1, 5, 7), table, torch.ones(1))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()
