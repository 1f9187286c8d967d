"""Arrays that go to a device together, in one copy that nobody waits for."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from landscribe.core.arrays import AnyArray

ALIGNED = 16
"""Bytes: each array begins at a multiple of it."""


def send(arrays: Mapping[str, AnyArray], device: torch.device) -> dict[str, Tensor]:
    """Copy arrays to a device.

    A GPU fetches them from one block of page-locked memory while both sides go on; torch gives the block to nobody
    else before that is done.

    Args:
        arrays: By name.
        device: Where to.

    Returns:
        Tensors of the same shapes and types, views of one block.
    """
    starts, size = {}, 0
    for name, array in arrays.items():
        starts[name] = size
        size += -(-array.nbytes // ALIGNED) * ALIGNED
    block = torch.empty(size, dtype=torch.uint8, pin_memory=device.type == "cuda")
    flat = block.numpy()
    for name, array in arrays.items():
        flat[starts[name] : starts[name] + array.nbytes].view(array.dtype).reshape(array.shape)[...] = array
    there = block.to(device, non_blocking=True)
    return {
        name: there[starts[name] : starts[name] + array.nbytes].view(TYPES[array.dtype.name]).reshape(array.shape)
        for name, array in arrays.items()
    }


TYPES = {
    "bool": torch.bool, "uint8": torch.uint8, "int16": torch.int16, "int64": torch.int64, "float32": torch.float32,
    "float64": torch.float64,
}  # fmt: skip
"""Of what may be sent, by NumPy's names."""
