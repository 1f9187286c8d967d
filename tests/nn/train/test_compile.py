import functools

import pytest
import torch
from test_loop import CHIPS, make_net, run

from landscribe.core.recipe import ScheduleTable

SCHEDULE = {"epochs": 1, "steps": 2}
SMALL = {"dropout": 0.2, "filters": 2, "depth": 2}
LITE = {"depth": 5, "encoder": "efficientnet-lite0", "weights": "none"}
LARGE = CHIPS.model_copy(update={"size": 64})


def weights(network=SMALL, **schedule):
    warned = []
    net = run(ScheduleTable(**SCHEDULE, **schedule), net=make_net(**network), chips=LARGE, on_warning=warned.append)
    return net.state_dict(), warned


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # said by the tracer of itself
@pytest.mark.parametrize("network", [SMALL, LITE])
def test_a_compiled_network_learns_the_same(monkeypatch, network):
    calls = []
    real = torch.compile

    def traced(net, **options):
        calls.append(options)
        return real(net, backend="eager", **options)  # traced and run as traced; no compiler is needed for that

    monkeypatch.setattr(torch, "compile", traced)
    plain, compiled = weights(network), weights(network, compile=True)
    assert calls == [{"dynamic": False}]
    assert compiled[1] == []
    for name, value in plain[0].items():
        assert torch.allclose(compiled[0][name].double(), value.double(), atol=1e-5), name


@pytest.mark.parametrize("error", [RuntimeError("no C++ compiler\nand more"), ImportError("no Triton")])
def test_without_a_compiler_training_goes_on_and_says_so(monkeypatch, error):
    def fail(*_args):
        raise error

    monkeypatch.setattr(torch, "compile", lambda net, **_options: functools.partial(fail, net))
    plain, fallen = weights(), weights(compile=True)
    assert fallen[1] == [f"not compiled: {str(error).splitlines()[0]}"]
    assert all(torch.equal(fallen[0][name], value) for name, value in plain[0].items())


class FailingBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise RuntimeError("no kernel for the backward pass")


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_backward_pass_that_cannot_be_compiled_is_found_out_in_time(monkeypatch, accumulate):
    """Only forward is compiled at once; statistics of batch norm and dropout must not notice the attempt."""
    monkeypatch.setattr(torch, "compile", lambda net, **_options: lambda *a: FailingBackward.apply(net(*a)))
    plain, fallen = weights(accumulate=accumulate), weights(accumulate=accumulate, compile=True)
    assert fallen[1] == ["not compiled: no kernel for the backward pass"]
    assert all(torch.equal(fallen[0][name], value) for name, value in plain[0].items())
