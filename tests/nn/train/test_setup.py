import numpy as np
import pytest
import torch

from landscribe.core.recipe import ChipTable, ModelTable, NetworkTable, ScheduleTable
from landscribe.nn.device import choose_engine
from landscribe.nn.network.bundle import build_network, model_spec
from landscribe.nn.network.stem import compute_statistics
from landscribe.nn.train.decoded import decode_scenes, in_memory
from landscribe.nn.train.setup import set_up
from scenes import make_arrays

CLASSES = ("field", "car", "nowhere", "everywhere")
HEIGHT, WIDTH = 61, 53
LABELLED, FIELD = 47, 13
"""Rows that somebody looked at, and those of them that are field."""


def make_scene():
    rng = np.random.default_rng(0)
    coverage = np.zeros((4, HEIGHT, WIDTH), np.uint8)
    coverage[0, :FIELD], coverage[1, 5, 7], coverage[3] = 255, 255, 255
    coverage[0, LABELLED:] = 255  # fields that nobody looked at do not count
    labelled = np.zeros((HEIGHT, WIDTH), bool)
    labelled[:LABELLED] = True
    image = rng.integers(1, 999, (2, HEIGHT, WIDTH)).astype(np.uint16)
    return make_arrays({"F": image}, coverage=coverage, labelled=labelled)


def start(**network):
    schedule = ScheduleTable(**({"prior": network.pop("prior")} if "prior" in network else {}))
    shape = NetworkTable(**{"filters": 4, "depth": 2} | network)
    table = ModelTable(network=shape, chips=ChipTable(size=32, context=4), schedule=schedule)
    scenes = [make_scene()]
    spec = model_spec(table, CLASSES, scenes)
    decoded = decode_scenes(scenes, ["F"], [0, 1, 2, 3], in_memory)
    engine = choose_engine("cpu", "float32")
    setup = set_up(table, spec, decoded, engine, torch.device("cpu"), 3)
    return setup.net.unet.head.bias, build_network(spec, compute_statistics(scenes, 0.1), seed=3).unet.head.bias


@pytest.mark.parametrize("network", [{}, {"init": "he"}, {"family": "mini"}])
@pytest.mark.parametrize("least", [0.01, 0.125])
def test_a_new_network_guesses_each_class_share_of_the_labelled_ground_and_no_less_than_the_prior(network, least):
    bias, _ = start(prior=least, **network)
    share = max(FIELD / LABELLED, least)
    assert torch.sigmoid(bias).tolist() == pytest.approx([share, least, least, 1 - least], abs=1e-6)


def test_without_a_prior_biases_stay_as_they_were_drawn():
    bias, drawn = start(prior=0.0)
    assert torch.equal(bias, drawn)
    assert not torch.equal(start()[0], drawn)
