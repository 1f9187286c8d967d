import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_loop import make_net, run

from landscribe.core.recipe import ChipTable, ScheduleTable
from landscribe.nn.ranks import Ranks, share_of

WORKER = Path(__file__).with_name("rank_worker.py")
ONE_STEP = {"epochs": 1, "steps": 1, "clip_norm": 0}


def gradients(accumulate=1, **chips):
    net = make_net(batch_norm=False)
    run(
        ScheduleTable(**ONE_STEP, accumulate=accumulate),
        net=net,
        chips=ChipTable(**{"size": 32, "context": 4, "batch": 4} | chips),
    )
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


def start(task, folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    common = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKER), task, str(folder)],
            env=common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    return [process.returncode for process in processes], errors


@pytest.mark.slow
def test_two_processes_are_one_and_go_on_after_a_kill(tmp_path):
    codes, errors = start("gradients", tmp_path)
    assert codes[1] == -9, errors[1]
    assert codes[0] not in {0, -9}, errors[0]  # it was told that the other one is gone
    alone = gradients()
    for accumulate in (1, 2):
        for rank in range(2):
            assert_equal(load_file(tmp_path / f"gradients-{accumulate}-{rank}.safetensors"), alone)
    whole = load_file(tmp_path / "whole-0.safetensors")
    assert_equal(load_file(tmp_path / "whole-1.safetensors"), whole, 0)
    codes, errors = start("resume", tmp_path)
    assert codes == [0, 0], errors
    for rank in range(2):
        assert_equal(load_file(tmp_path / f"resumed-{rank}.safetensors"), whole, 0)
