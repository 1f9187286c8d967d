import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rank_worker import ENCODER, LARGE
from safetensors.torch import load, load_file
from test_loop import CHIPS, make_net, run, states_of

from landscribe.core.recipe import ScheduleTable
from landscribe.nn.train.ranks import Ranks, share_of

WORKER = Path(__file__).with_name("rank_worker.py")
HARD = CHIPS.model_copy(update={"hard": 0.5})
ONE_STEP = {"epochs": 1, "steps": 1, "clip_norm": 0}


def gradients(accumulate=1, chips=CHIPS, **network):
    net = make_net(**network or {"batch_norm": False})
    run(ScheduleTable(**ONE_STEP, accumulate=accumulate), net=net, chips=chips)
    return {name: p.grad for name, p in net.named_parameters()}


def assert_equal(ours, theirs, tolerance=1e-6):
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.allclose(ours[name], value, atol=tolerance), name


@pytest.mark.parametrize("accumulate", [2, 3, 9])
def test_pieces_give_the_gradient_of_the_whole_batch(accumulate):
    whole = gradients()
    assert max(g.abs().max() for g in whole.values()) > 1e-2
    assert_equal(gradients(accumulate), whole)


def test_batch_norm_counts_each_piece_once():
    net = make_net()
    run(ScheduleTable(**ONE_STEP, accumulate=3), net=net)
    counts = {int(v) for name, v in net.state_dict().items() if name.endswith("num_batches_tracked")}
    assert counts == {3}


def test_shares_are_whole_and_even():
    for count in (1, 7, 128):
        for ranks in (1, 2, 3, 5):
            parts = [range(count)[share_of(Ranks(rank, ranks), count)] for rank in range(ranks)]
            assert [i for part in parts for i in part] == list(range(count))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_two_processes_are_one_and_go_on_after_a_kill(tmp_path):
    here = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}  # helpers of tests, too
    worker = subprocess.run([sys.executable, WORKER, tmp_path], capture_output=True, text=True, timeout=300, env=here)
    assert worker.returncode == 0, worker.stderr
    trained, resumed = json.loads((tmp_path / "codes.json").read_text())
    assert trained[1] == -9, worker.stderr
    assert trained[0] not in {0, -9}, worker.stderr  # it was told that the other one is gone
    alone = gradients()
    _, [state] = states_of(ScheduleTable(**ONE_STEP), net=make_net(batch_norm=False), chips=HARD)
    worst = load(state["state.safetensors"])["hard.point"]
    assert len(worst) == 1
    for accumulate in (1, 2):
        for rank in range(2):
            assert_equal(load_file(tmp_path / f"gradients-{accumulate}-{rank}.safetensors"), alone)
        assert torch.equal(load_file(tmp_path / f"state-{accumulate}.safetensors")["hard.point"], worst)
    encoder = gradients(chips=LARGE, **ENCODER)
    assert len({name.split(".")[1] for name, g in encoder.items() if g.abs().max() > 0}) > 1
    for rank in range(2):
        assert_equal(load_file(tmp_path / f"encoder-{rank}.safetensors"), encoder, 1e-5)
    whole = load_file(tmp_path / "whole-0.safetensors")
    assert_equal(load_file(tmp_path / "whole-1.safetensors"), whole, 0)
    assert resumed == [0, 0], worker.stderr
    for rank in range(2):
        assert_equal(load_file(tmp_path / f"resumed-{rank}.safetensors"), whole, 0)
