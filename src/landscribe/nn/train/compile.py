"""The forward pass of training as fast as it goes here: compiled, or as a graph of a GPU, or the network as it is."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn

from landscribe.core.grid import Window
from landscribe.errors import first_line
from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.train.chips import Chips
from landscribe.nn.train.setup import Setup

Forward = Callable[[Mapping[str, Tensor], Mapping[str, Tensor], Window], Tensor]
"""Images, validity and the window to keep to logits, as `SegmentationNet.forward`."""
Maker: TypeAlias = Callable[[nn.Module, tuple[Tensor, ...]], Callable[..., Tensor]]
"""From a module and the tensors that it is called with to what is called in its place."""
CLOSE = 0.02
"""Share by which logits and gradients of a graph may differ from the network's: both round to bf16."""


def compiled(net: SegmentationNet, warn: Callable[[str], None]) -> Forward:
    """Return the forward pass of a network, compiled at its first call.

    Where that fails, for want of a C++ compiler or of Triton, the network itself is called from then on. The backward
    pass is compiled when it is first asked for, so the first call asks for one and throws it away.

    Args:
        net: The network; weights that change are seen.
        warn: Told once why it is not compiled.
    """
    passes: list[Forward] = [net]

    def first(images: Mapping[str, Tensor], valid: Mapping[str, Tensor], keep: Window) -> Tensor:
        try:
            fast: Forward = torch.compile(net, dynamic=False)
            with torch.random.fork_rng(_gpus(net)), torch.enable_grad(), kept_buffers(net):
                weights = [p for p in net.parameters() if p.requires_grad]
                torch.autograd.grad(fast(images, valid, keep).float().sum(), weights, allow_unused=True)
        except (RuntimeError, ImportError, OSError) as error:  # compilers' own errors are RuntimeErrors
            passes.append(net)
            warn(f"not compiled: {first_line(error)}")
            return net(images, valid, keep)
        passes.append(fast)
        return fast(images, valid, keep)

    def forward(images: Mapping[str, Tensor], valid: Mapping[str, Tensor], keep: Window) -> Tensor:
        return first(images, valid, keep) if len(passes) == 1 else passes[1](images, valid, keep)

    return forward


def as_graph(
    net: SegmentationNet,
    images: Mapping[str, Tensor],
    valid: Mapping[str, Tensor],
    keep: Window,
    warn: Callable[[str], None],
    make: Maker | None = None,
) -> Forward:
    """Return a forward pass whose kernels, and those of its backward pass, are each started by one call.

    A network of 7.86 million parameters has some hundred layers, and starting their kernels one by one takes a
    processor longer than a fast GPU takes for their work. A graph is for one size of batch and one window.

    Args:
        net: The network, in training mode on a GPU; weights that change are seen.
        images: Raw values of a batch such as all that follow.
        valid: Of the same batch.
        keep: The window of all that follow.
        warn: Told once why there is no graph; the network itself is called then.
        make: Makes a graph of a module; None is torch's own way.
    """
    flat, given = _Flat(net, tuple(images), keep), (*images.values(), *valid.values())
    weights = [p for p in net.parameters() if p.requires_grad]
    try:
        with torch.random.fork_rng(_gpus(net)), torch.enable_grad(), kept_buffers(net), _nothing_cached():
            expected = _look(flat, given, weights)
            fast = (make or _of_torch)(_Flat(net, tuple(images), keep), given)
            found = _look(fast, given, weights)
    except (RuntimeError, ImportError, OSError) as error:
        warn(f"without a graph: {first_line(error)}")
        return net
    if not all(_alike(*pair) for pair in zip(expected, found, strict=True)):
        warn("without a graph: it gave other numbers in a trial")
        return net

    def forward(images: Mapping[str, Tensor], valid: Mapping[str, Tensor], keep: Window) -> Tensor:
        if keep != flat.keep or any(a.shape != b.shape for a, b in zip(images.values(), given, strict=False)):
            return net(images, valid, keep)
        return fast(*images.values(), *valid.values())

    return forward


def forward_of(setup: Setup, net: SegmentationNet, warn: Callable[[str], None], cut: Callable[[], Chips]) -> Forward:
    """Return the forward pass of a run: compiled if the recipe says so, a graph on a GPU, else the network itself.

    Args:
        setup: The run.
        net: Its network, in training mode.
        warn: Told once what could not be done.
        cut: Cuts a batch like those that are to come; before any of these, for no other thread may work on the GPU.
    """
    engine = setup.engine
    if setup.schedule.compile:
        return compiled(net, warn)
    if engine.device.type != "cuda" or setup.schedule.accumulate > 1:
        return net
    chips = cut().to(engine.device)
    with torch.autocast(engine.device.type, torch.bfloat16, enabled=engine.dtype == torch.bfloat16):
        return as_graph(net, chips.images, chips.valid, setup.keep, warn)


@functools.cache
def graph_fault(device: torch.device) -> str:
    """Return in one line why a GPU makes no graph of a small network; nothing where it does."""
    layers = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()).to(device)
    given, weights = (torch.linspace(-1, 1, 6 * 16**2, device=device).reshape(2, 3, 16, 16),), list(layers.parameters())
    try:
        with torch.random.fork_rng([device]), torch.enable_grad():
            expected = _look(layers, given, weights)
            found = _look(_of_torch(layers, given), given, weights)
    except (RuntimeError, ImportError, OSError) as error:
        return first_line(error)
    return "" if all(_alike(*pair) for pair in zip(expected, found, strict=True)) else "it gave other numbers"


def _of_torch(module: nn.Module, given: tuple[Tensor, ...]) -> Callable[..., Tensor]:
    graph: Callable[..., Tensor] = torch.cuda.make_graphed_callables(module, given, allow_unused_input=True)  # type: ignore[assignment]
    return graph


class _Flat(nn.Module):
    """A network that takes its tensors one after the other, as graphs want them."""

    def __init__(self, net: SegmentationNet, names: tuple[str, ...], keep: Window) -> None:
        super().__init__()
        self.net, self.names, self.keep = net, names, keep

    def forward(self, *tensors: Tensor) -> Tensor:
        n = len(self.names)
        images, valid = (dict(zip(self.names, some, strict=True)) for some in (tensors[:n], tensors[n:]))
        logits: Tensor = self.net(images, valid, self.keep)
        return logits


def _look(forward: Callable[..., Tensor], given: tuple[Tensor, ...], weights: Sequence[Tensor]) -> list[Tensor]:
    """Return logits and gradients, copied; dropout, if there is any, draws the same each time."""
    torch.manual_seed(0)
    logits = forward(*given)
    gradients = torch.autograd.grad(logits.float().square().mean(), weights, allow_unused=True)
    return [logits.detach().clone(), torch.cat([g.flatten() for g in gradients if g is not None])]


def _alike(one: Tensor, other: Tensor) -> bool:
    # By length: a weight whose gradient is 0 but for rounding has another one each time.
    return bool((one.float() - other.float()).norm() <= CLOSE * one.float().norm())


@contextlib.contextmanager
def _nothing_cached() -> Iterator[None]:
    """Let autocast keep no converted weights, which a graph would read when they are long gone."""
    with torch.autocast("cuda", torch.get_autocast_dtype("cuda"), torch.is_autocast_enabled("cuda"), False):
        yield


def _gpus(net: SegmentationNet) -> list[torch.device]:
    return [p.device for p in net.parameters() if p.device.type == "cuda"][:1]


@contextlib.contextmanager
def kept_buffers(net: SegmentationNet) -> Iterator[None]:
    """Undo what a pass that only looks does to the running statistics of batch norm."""
    before = [buffer.clone() for buffer in net.buffers()]
    try:
        yield
    finally:
        for buffer, value in zip(net.buffers(), before, strict=True):
            buffer.copy_(value)
