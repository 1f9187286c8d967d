"""`torchrun --nnodes 2`: two machines train one network, here two addresses of one machine, over gloo."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from landscribe.errors import LimitError
from landscribe.nn.device import choose_engine
from shared_runs import do, write_scenes

NETWORK = """
seed = 1
[data]
sensors.RGB = { path = "img/{scene}.tif", kind = "rgb8" }
labels = { path = "lab/{scene}.gpkg", class = "house" }
[[models]]
name = "all"
network = { filters = 4, depth = 2, batch_norm = false }
chips = { size = 32, context = 4, batch = 4 }
schedule = { epochs = 2, steps = 2 }
"""
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--master-addr", "127.0.0.1")
TRAIN = ("train", "many.toml", "--run", "shared")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.slow
def test_two_nodes_train_the_network_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Both are this machine, and would take its first GPU, which NCCL refuses: here nobody sees one.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    write_scenes(tmp_path, 5).write_text(NETWORK)
    for run in ("alone", "shared"):
        assert do("prepare", "many.toml", "--run", run, cwd=tmp_path)[0] == 0
    assert do("train", "many.toml", "--run", "alone", cwd=tmp_path)[0] == 0
    port, environment = free_port(), {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    nodes = [
        subprocess.Popen(
            [*TORCHRUN, "--node-rank", str(number), "--master-port", str(port), "-m", "--", "landscribe", *TRAIN],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in (0, 1)
    ]
    said = [node.communicate(timeout=60)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    weights = [load_file(tmp_path / run / "models" / "all" / "model.safetensors") for run in ("alone", "shared")]
    assert weights[0].keys() == weights[1].keys()
    # A step moves by 1e-3; where a gradient is next to nothing, rounding alone decides its sign.
    apart = [float(np.abs(ours - weights[1][name]).mean()) for name, ours in weights[0].items()]
    assert max(apart) < 2e-4, apart
    code, text = do("train", "many.toml", "--run", "shared", cwd=tmp_path)
    assert code == 0
    assert "1 up to date" in text


def test_a_process_without_a_gpu_of_its_own_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(LimitError, match=r"^torchrun: process 2 of this machine has no GPU, got 1, need .*--nproc-per"):
        choose_engine()
