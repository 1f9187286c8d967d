"""`torch.compile` where it works, and the plain network where it does not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from landscribe.core.grid import Window
from landscribe.nn.network.bundle import SegmentationNet

Forward = Callable[[Mapping[str, Tensor], Mapping[str, Tensor], Window], Tensor]
"""Images, validity and the window to keep to logits, as `SegmentationNet.forward`."""


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
            devices = [p.device for p in net.parameters() if p.device.type == "cuda"][:1]
            with torch.random.fork_rng(devices), torch.enable_grad(), kept_buffers(net):
                weights = [p for p in net.parameters() if p.requires_grad]
                torch.autograd.grad(fast(images, valid, keep).float().sum(), weights, allow_unused=True)
        except (RuntimeError, ImportError, OSError) as error:  # compilers' own errors are RuntimeErrors
            passes.append(net)
            warn(f"not compiled: {(str(error) or repr(error)).splitlines()[0]}")
            return net(images, valid, keep)
        passes.append(fast)
        return fast(images, valid, keep)

    def forward(images: Mapping[str, Tensor], valid: Mapping[str, Tensor], keep: Window) -> Tensor:
        return first(images, valid, keep) if len(passes) == 1 else passes[1](images, valid, keep)

    return forward


@contextlib.contextmanager
def kept_buffers(net: SegmentationNet) -> Iterator[None]:
    """Undo what a pass that only looks does to the running statistics of batch norm."""
    before = [buffer.clone() for buffer in net.buffers()]
    try:
        yield
    finally:
        for buffer, value in zip(net.buffers(), before, strict=True):
            buffer.copy_(value)
