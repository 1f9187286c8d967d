"""Scores that a device counts where its logits are: those of the processor, by the same code on the processor."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_loop import ENGINE, make_net, make_scene

from landscribe.core.recipe import LossTable
from landscribe.nn.device import Engine, choose_engine
from landscribe.nn.train import validation
from landscribe.nn.train.validation import evaluate


def scenes():
    first, second = make_scene(7), make_scene(8, (61, 103))
    labelled = first.labelled_hw.copy()
    labelled[:23, 11:50] = False
    return [replace(first, labelled_hw=labelled), second]


@pytest.mark.parametrize("loss", [LossTable(jaccard=0.5), LossTable(distance=0.3, distance_dice=0.2)])
@pytest.mark.parametrize("tile", [None, 32])
def test_a_device_counts_what_a_processor_counts(monkeypatch, loss, tile):
    net, held = make_net().eval(), scenes()
    torch.nn.init.normal_(net.unet.head.weight, 0, 3)
    plain = evaluate(net, held, ENGINE, loss, tile=tile)
    monkeypatch.setattr(Engine, "samples", property(lambda _engine: True))
    monkeypatch.setattr(validation, "ROWS", 19)
    ours = evaluate(net, held, ENGINE, loss, tile=tile)
    assert ours.keys() == plain.keys()
    for name, value in plain.items():
        assert ours[name] == pytest.approx(value, rel=1e-6), name
    assert 0 < ours["valid_jaccard"] < 1


def test_pixels_are_of_a_class_from_a_half_on(monkeypatch):
    """Shares are whole 255ths: 127 of them are less than a half, 128 are more."""
    net, plain = make_net().eval(), make_scene(7)
    torch.nn.init.zeros_(net.unet.head.weight)
    torch.nn.init.constant_(net.unet.head.bias, 3.0)
    coverage = np.full_like(plain.coverage_khw, 127)
    coverage[:, :, ::2] = 128
    scene = replace(plain, coverage_khw=coverage)
    monkeypatch.setattr(Engine, "samples", property(lambda _engine: True))
    row = evaluate(net, [scene], ENGINE, LossTable())
    assert row["jaccard/bright"] == pytest.approx((coverage[0] == 128).mean())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_scores_as_the_processor():
    net, loss = make_net().eval(), LossTable(jaccard=0.5)
    ours, theirs = (evaluate(net, scenes(), e, loss) for e in (choose_engine("cuda", "float32"), ENGINE))
    for name, value in theirs.items():
        assert math.isnan(value) or ours[name] == pytest.approx(value, abs=2e-3), name
