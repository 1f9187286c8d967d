import functools

import pytest
import torch
from test_loop import CHIPS, SCENES, make_net, run

from landscribe.core.grid import Window
from landscribe.core.recipe import ScheduleTable
from landscribe.nn.device import choose_engine
from landscribe.nn.train import compile as module
from landscribe.nn.train.chips import load_bank
from landscribe.nn.train.compile import as_graph

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


def fail(*_args):
    raise RuntimeError("no capture\nand more")


def graph_of(make, net=None, keep=None):
    net, said = net or make_net(dropout=0.2), []
    generator = torch.Generator().manual_seed(5)
    images = {"F": 500 + 100 * torch.randn(3, 2, 32, 32, generator=generator)}
    valid = {"F": torch.ones(3, 1, 32, 32, dtype=torch.bool)}
    keep = keep or Window(4, 4, 24, 24)
    return net, as_graph(net.train(), images, valid, keep, said.append, make), (images, valid, keep), said


def test_a_graph_is_called_in_place_of_the_network_and_weights_that_change_are_seen():
    calls = []

    def make(flat, given):
        calls.append([tuple(t.shape) for t in given])
        return lambda *tensors: calls.append("graph") or flat(*tensors)

    net, forward, given, said = graph_of(make)
    assert said == []
    assert calls == [[(3, 2, 32, 32), (3, 1, 32, 32)], "graph"]
    before = forward(*given)
    with torch.no_grad():
        net.unet.head.bias += 1
    torch.manual_seed(1)
    assert calls[2:] == ["graph"]
    after = forward(*given)
    torch.manual_seed(1)
    assert torch.equal(after, net(*given))
    assert not torch.equal(before, after)


def test_a_graph_is_of_one_size_and_window_and_the_network_does_the_rest():
    calls = []
    _, forward, (images, valid, keep), _ = graph_of(lambda flat, _: lambda *t: calls.append(1) or flat(*t))
    calls.clear()
    fewer = ({name: t[:2] for name, t in some.items()} for some in (images, valid))
    assert forward(*fewer, keep).shape == (2, 2, 24, 24)
    assert forward(images, valid, Window(0, 0, 32, 32)).shape == (3, 2, 32, 32)
    assert calls == []
    assert forward(images, valid, keep).shape == (3, 2, 24, 24)
    assert calls == [1]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda flat, _given: fail(flat), "no capture"),
        (lambda flat, _given: lambda *t: 1.1 * flat(*t), "it gave other numbers in a trial"),
        (lambda flat, _given: lambda *t: FailingBackward.apply(flat(*t)), "no kernel for the backward pass"),
    ],
)
def test_without_a_graph_the_network_is_called_and_notices_nothing(make, said):
    net = make_net(dropout=0.2)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    net, forward, _, told = graph_of(make, net)
    assert forward is net
    assert told == [f"without a graph: {said}"]
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_makes_a_graph_and_learns_the_same():
    engine, found = choose_engine("cuda", "float32"), []
    assert module.graph_fault(engine.device) == ""
    for graph in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if not graph:
                patch.setattr(module, "as_graph", lambda net, *_rest: net)
            warned, net = [], make_net()
            bank = load_bank(SCENES, net.sensor_steps, engine.device)
            found.append(
                run(ScheduleTable(epochs=1, steps=5), net=net, bank=bank, engine=engine, on_warning=warned.append)
            )
            assert warned == []
    for name, value in found[0].state_dict().items():
        assert torch.allclose(value.float(), found[1].state_dict()[name].float(), atol=1e-3), name
