"""Operations outside of torch's public interface are used only where a trial of them succeeds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import landscribe
from landscribe.core.recipe import InputTable, NetworkTable
from landscribe.nn import private_ops
from landscribe.nn.device import Engine
from landscribe.nn.network.bundle import ModelSpec, SensorSpec, build_network
from landscribe.nn.network.stem import BandStatistics
from landscribe.nn.predict.fused import ReluConvolution, make_ready

CPU = Engine(torch.device("cpu"), torch.float32, "test")
OPERATIONS = [
    ("can_fuse", "relu_convolution"),
    ("can_multiply_bytes", "pack_bytes"),
    ("can_multiply_bytes", "convolve_bytes"),
    ("can_multiply_bytes", "convolve_bytes_onto"),
    ("can_multiply_bytes", "pool_bytes"),
]


@pytest.fixture(autouse=True)
def fresh():
    """Trials are remembered; each test makes its own."""
    for name in ("can_fuse", "can_multiply_bytes"):
        getattr(private_ops, name).cache_clear()
    yield
    for name in ("can_fuse", "can_multiply_bytes"):
        getattr(private_ops, name).cache_clear()


def make_net():
    spec = SensorSpec("S", "s", ("red", "green"), 8)
    model = ModelSpec("m", ("a",), (spec,), {"S": 1.0}, InputTable(), NetworkTable(filters=4, depth=2), 8)
    zeros, ones = (torch.zeros(2).numpy(), torch.ones(2).numpy())
    return build_network(model, {"S": BandStatistics(zeros, 255 * ones, 100 * ones, 50 * ones)})


@pytest.mark.parametrize(("trial", "operation"), OPERATIONS)
@pytest.mark.parametrize("how", ["gone", "wrong"])
def test_a_broken_operation_is_found_out(monkeypatch, trial, operation, how):
    if not getattr(private_ops, trial)():
        pytest.skip("not had here in the first place")
    getattr(private_ops, trial).cache_clear()
    plain = getattr(private_ops, operation)

    def gone(*_given, **_named):
        raise NotImplementedError("no kernel")

    # Another weight gives another result, wherever in it.
    monkeypatch.setattr(private_ops, operation, gone if how == "gone" else lambda *a, **k: plain(*a, **k).roll(1, -1))
    assert not getattr(private_ops, trial)()


def test_without_the_operation_the_public_way_runs(monkeypatch):
    torch.manual_seed(0)
    net = make_net().eval()
    before = make_ready(net, CPU)
    if not any(isinstance(m, ReluConvolution) for m in before.modules()):
        pytest.skip("not had here in the first place")
    monkeypatch.setattr("landscribe.nn.predict.fused.can_fuse", lambda _dtype: False)
    after = make_ready(net, CPU)
    assert not any(isinstance(m, ReluConvolution) for m in after.modules())
    stack = torch.rand(1, 4, 24, 20)
    channels = net.unet.down[0].body[0].in_channels
    stacks = {1: stack[:, :1].expand(1, channels, 24, 20).contiguous(memory_format=torch.channels_last)}
    assert torch.allclose(before.unet(stacks), after.unet(stacks), atol=1e-5)


def test_a_type_that_the_processor_refuses_is_tried_apart(monkeypatch):
    """As on one without bf16, where a recipe asks for it all the same."""
    plain, net = private_ops.relu_convolution, make_net().eval()

    def only_float32(x, *given):
        if x.dtype != torch.float32:
            raise RuntimeError("bf16 path needs the cpu support")
        return plain(x, *given)

    monkeypatch.setattr(private_ops, "relu_convolution", only_float32)
    monkeypatch.setattr("landscribe.nn.predict.fused.relu_convolution", only_float32)
    half = make_ready(net, Engine(torch.device("cpu"), torch.bfloat16, "test"))
    assert not any(isinstance(m, ReluConvolution) for m in half.modules())
    assert private_ops.can_fuse() == any(isinstance(m, ReluConvolution) for m in make_ready(net, CPU).modules())


def test_doctor_says_what_the_trials_found(monkeypatch):
    from landscribe.stages import doctor

    monkeypatch.setattr(private_ops, "can_fuse", lambda _dtype: False)
    monkeypatch.setattr(private_ops, "can_multiply_bytes", lambda: False)
    rows = {topic: finding for topic, finding, _ in doctor._engine()}
    assert "slower" in rows["convolution and ReLU"]
    assert rows['precision "int8"'] == "not with this torch and processor"


def test_they_are_called_nowhere_else():
    source = Path(landscribe.__file__).parent
    callers = {p.name for p in source.rglob("*.py") if re.search(r"torch\.ops\.", p.read_text())}
    assert callers == {"private_ops.py"}
