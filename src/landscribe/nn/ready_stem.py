"""A stem whose stacks are in the type that convolutions run in, and the table of what it makes of every raw number."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn

from landscribe.core.arrays import AnyArray, BoolArray, IntArray
from landscribe.nn.stem import Stem

FIRST_NUMBER, LAST_NUMBER = -(2**15), 2**16 - 1
"""Raw numbers that a table holds: all of 8 and 16 bits, with and without sign."""
TABLE_TYPES = frozenset({"uint8", "int8", "uint16", "int16"})


@dataclass(frozen=True)
class StackTable:
    """A stack of which each channel follows from one band alone."""

    values: Tensor
    """(K, numbers), what the K channels are for each raw number from `FIRST_NUMBER` on."""
    channels: dict[str, IntArray]
    """Which channels follow from a sensor, int64 (K',)."""
    bands: dict[str, IntArray]
    """The band of each of them, int64 (K',)."""

    def fill(
        self, name: str, image_chw: AnyArray, valid_hw: BoolArray, row_i: IntArray, col_j: IntArray, stack: Tensor
    ) -> None:
        """Write the channels of one sensor.

        Args:
            name: The sensor.
            image_chw: Raw values (C, h, w), of a type in `TABLE_TYPES`.
            valid_hw: False where there is no data; channels are 0 there.
            row_i: int64 (H,), row of the raster for each row of the stack.
            col_j: int64 (W,), likewise.
            stack: (K, H, W), channels-last, in memory.
        """
        _look_up(
            image_chw, valid_hw, row_i, col_j, _bits(self.values), self.channels[name], self.bands[name],
            _bits(stack.permute(1, 2, 0)),
        )  # fmt: skip


class ReadyStem(nn.Module):
    """A stem for prediction.

    Args:
        stem: What normalises.
        dtype: Type of the stacks.
        to_bytes: Makes bytes of a stack of a stride, where the type is uint8; may double the channels.
    """

    def __init__(self, stem: Stem, dtype: torch.dtype, to_bytes: Callable[[int, Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.plain, self.dtype, self.to_bytes = stem, dtype, to_bytes
        self.tables: dict[int, StackTable | None] = {}

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of each stack."""
        return tuple(self.plain.groups)

    def sensors(self, stride: int) -> tuple[str, ...]:
        """Names of the sensors of a stack."""
        return tuple(self.plain.sensors[i].name for i in self.plain.groups[stride])

    def forward(
        self, images: Mapping[str, Tensor], valid: Mapping[str, Tensor], strides: Collection[int] | None = None
    ) -> dict[int, Tensor]:
        """Return the stacks of some strides, or of all; see `Stem.forward`."""
        stacks = self.plain(images, valid, strides)
        if self.to_bytes is not None:
            return {stride: self.to_bytes(stride, stack) for stride, stack in stacks.items()}
        return {stride: stack.to(self.dtype) for stride, stack in stacks.items()}

    def table(self, stride: int) -> StackTable | None:
        """Return the table of a stack, by asking the stem; None where a channel follows from more than one band."""
        if stride not in self.tables:
            self.tables[stride] = None if self.plain.indices[stride] or self.plain.masks else self._tabulate(stride)
        return self.tables[stride]

    def _tabulate(self, stride: int) -> StackTable:
        sensors = [self.plain.sensors[i] for i in self.plain.groups[stride]]
        numbers = torch.arange(FIRST_NUMBER, LAST_NUMBER + 1, dtype=torch.float32).reshape(1, 1, 1, -1)
        device = next(self.plain.buffers()).device
        images = {s.name: numbers.expand(1, len(s.bands), 1, -1).to(device) for s in sensors}
        valid = {s.name: torch.ones_like(numbers, dtype=torch.bool, device=device) for s in sensors}
        values = self(images, valid, [stride])[stride][0, :, 0].contiguous().cpu()
        n_bands = sum(len(s.bands) for s in sensors)
        copies = n_bands * np.arange(len(values) // n_bands)[:, None]
        channels: dict[str, IntArray] = {}
        bands: dict[str, IntArray] = {}
        first = 0
        for sensor in sensors:
            own = np.arange(len(sensor.bands))
            channels[sensor.name] = (copies + first + own).ravel()
            bands[sensor.name] = np.tile(own, len(copies))
            first += len(own)
        return StackTable(values, channels, bands)


def _bits(tensor: Tensor) -> AnyArray:
    """Return a tensor as an array; bf16, which NumPy lacks, as what it is in memory."""
    array: AnyArray = (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array


@njit(cache=True, nogil=True)
def _look_up(
    image_chw: AnyArray,
    valid_hw: BoolArray,
    row_i: IntArray,
    col_j: IntArray,
    table_kn: AnyArray,
    channels: IntArray,
    bands: IntArray,
    stack_hwk: AnyArray,
) -> None:
    height, width = stack_hwk.shape[:2]
    for i in range(height):
        valid_w = valid_hw[row_i[i]]
        for n in range(len(channels)):
            k = np.uint64(channels[n])
            numbers_w, made_n = image_chw[bands[n], row_i[i]], table_kn[k]
            for j in range(width):
                # Without a sign, places cannot count from the end, which would be asked at each pixel.
                col = np.uint64(col_j[j])
                if valid_w[col]:
                    stack_hwk[i, np.uint64(j), k] = made_n[np.uint64(np.int64(numbers_w[col]) - FIRST_NUMBER)]
                else:
                    stack_hwk[i, np.uint64(j), k] = 0
