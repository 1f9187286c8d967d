"""A stem whose stacks are in the type that convolutions run in, and the table of what it makes of every raw number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from torch import Tensor, nn

from landscribe.core.arrays import AnyArray, BoolArray, IntArray
from landscribe.nn.network.stem import Stem

FIRST_NUMBER, LAST_NUMBER = -(2**15), 2**16 - 1
"""Raw numbers that a table holds: all of 8 and 16 bits, with and without sign."""
FLOAT_OUT, BF16_OUT, BYTES_OUT = 0, 1, 2
KINDS = {torch.float32: FLOAT_OUT, torch.bfloat16: BF16_OUT, torch.uint8: BYTES_OUT}
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
        units: Where that is bytes: by stride, what 1 stands for, float32 (2 C,). A stack then has the positive parts of
            all channels first, then the negative ones.
    """

    def __init__(self, stem: Stem, dtype: torch.dtype, units: Mapping[int, Tensor] | None = None) -> None:
        super().__init__()
        self.plain, self.dtype, self.units = stem, dtype, dict(units or {})
        self.tables: dict[int, StackTable | None] = {}

    @property
    def channels(self) -> dict[int, int]:
        """Channels of the stack of each stride."""
        return {stride: count * (2 if self.units else 1) for stride, count in self.plain.channels.items()}

    def sensors(self, stride: int) -> tuple[str, ...]:
        """Names of the sensors of a stack."""
        return tuple(self.plain.sensors[i].name for i in self.plain.groups[stride])

    def follows_bands(self, stride: int) -> bool:
        """Tell whether each channel of a stack follows from one band alone."""
        return not self.plain.indices[stride] and not self.plain.masks

    def forward(self, images: Mapping[str, Tensor], valid: Mapping[str, Tensor]) -> dict[int, Tensor]:
        """Return all stacks; see `Stem.forward`."""
        stacks = {}
        for stride, channels in self.channels.items():
            some = images[self.sensors(stride)[0]]
            shape = (len(some), channels, *some.shape[2:])
            stacks[stride] = torch.empty(shape, dtype=self.dtype, device=some.device, memory_format=torch.channels_last)
            self.write(stride, images, valid, stacks[stride])
        return stacks

    def write(self, stride: int, images: Mapping[str, Tensor], valid: Mapping[str, Tensor], stack: Tensor) -> None:
        """Write a stack.

        Args:
            stride: Which one.
            images: Raw values of its sensors, float32 (B, C, h, w) channels-last.
            valid: Of each sensor, bool (B, 1, h, w).
            stack: (B, K, h, w), channels-last in memory.
        """
        if not self.follows_bands(stride) or stack.device.type != "cpu":
            self._convert(stride, self.plain(images, valid, [stride])[stride], stack)
            return
        first = 0
        for i in self.plain.groups[stride]:
            name = self.plain.sensors[i].name
            known = tuple(
                getattr(self.plain, f"{field}_{i}").numpy().ravel() for field in ("low", "high", "mean", "std")
            )
            self._enter(stride, images[name], valid[name][:, 0].numpy(), known, first, stack)
            first += images[name].shape[1]

    def _convert(self, stride: int, floats: Tensor, stack: Tensor) -> None:
        """Write what the stem made, (B, C, h, w), in the type of the stack."""
        if not self.units:
            stack.copy_(floats)
            return
        n, everywhere = floats.shape[1], np.ones(floats[:, 0].shape, np.bool_)
        unchanged = tuple(np.full(n, value, np.float32) for value in (-np.inf, np.inf, 0, 1))
        self._enter(stride, floats, everywhere, unchanged, 0, stack)

    def _enter(
        self, stride: int, image: Tensor, valid_bhw: BoolArray, known: tuple[AnyArray, ...], first: int, stack: Tensor
    ) -> None:
        """Write the channels of one sensor from channel `first` on; `known` are low, high, mean and std, (C,) each."""
        n = image.shape[1]
        units = self.units[stride].numpy() if self.units else np.ones(2 * (first + n), np.float32)
        second = len(units) // 2 + first
        low, high, mean, std = known
        _write_rows(
            image.permute(0, 2, 3, 1).numpy(), valid_bhw, low, high, mean, std, units[first : first + n],
            units[second : second + n], first, second, KINDS[self.dtype], _bits(stack.permute(0, 2, 3, 1)),
        )  # fmt: skip

    def table(self, stride: int) -> StackTable | None:
        """Return the table of a stack, by asking the stem; None where a channel follows from more than one band."""
        if stride not in self.tables:
            self.tables[stride] = self._tabulate(stride) if self.follows_bands(stride) else None
        return self.tables[stride]

    def _tabulate(self, stride: int) -> StackTable:
        sensors = [self.plain.sensors[i] for i in self.plain.groups[stride]]
        numbers = torch.arange(FIRST_NUMBER, LAST_NUMBER + 1, dtype=torch.float32).reshape(1, 1, 1, -1)
        device = next(self.plain.buffers()).device
        images = {s.name: _interleaved(numbers.expand(1, len(s.bands), 1, -1)).to(device) for s in sensors}
        valid = {s.name: torch.ones_like(numbers, dtype=torch.bool, device=device) for s in sensors}
        stack = _interleaved(numbers.new_empty(1, self.channels[stride], 1, numbers.shape[-1], dtype=self.dtype))
        self.write(stride, images, valid, stack := stack.to(device))
        values = stack[0, :, 0].contiguous().cpu()
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


def _interleaved(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)


def _bits(tensor: Tensor) -> AnyArray:
    """Return a tensor as an array; bf16, which NumPy lacks, as what it is in memory."""
    array: AnyArray = (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array


@njit(cache=True, nogil=True)
def _write_rows(
    image_bhwc: AnyArray,
    valid_bhw: BoolArray,
    low: AnyArray,
    high: AnyArray,
    mean: AnyArray,
    std: AnyArray,
    unit: AnyArray,
    unit_below: AnyArray,
    first: int,
    second: int,
    kind: int,
    stack_bhwk: AnyArray,
) -> None:
    """Clip, standardise and convert: what `Stem` does to bands, in one pass."""
    n_batch, height, width, n_bands = image_bhwc.shape
    made = np.empty(n_bands, np.float32)
    bits = made.view(np.uint32)
    for b in range(n_batch):
        for i in range(height):
            for j in range(width):
                if not valid_bhw[b, i, j]:
                    stack_bhwk[b, i, j, first : first + n_bands] = 0
                    if kind == BYTES_OUT:
                        stack_bhwk[b, i, j, second : second + n_bands] = 0
                    continue
                for c in range(n_bands):
                    made[c] = (min(max(image_bhwc[b, i, j, c], low[c]), high[c]) - mean[c]) / std[c]
                if kind == BYTES_OUT:
                    for c in range(n_bands):
                        stack_bhwk[b, i, j, first + c] = np.uint8(min(np.rint(max(made[c], 0) / unit[c]), 255))
                        stack_bhwk[b, i, j, second + c] = np.uint8(min(np.rint(max(-made[c], 0) / unit_below[c]), 255))
                elif kind == BF16_OUT:
                    for c in range(n_bands):
                        # The upper half of the bits, rounded to the nearest, to even where two are as near.
                        stack_bhwk[b, i, j, first + c] = (bits[c] + 0x7FFF + ((bits[c] >> 16) & 1)) >> 16
                else:
                    for c in range(n_bands):
                        stack_bhwk[b, i, j, first + c] = made[c]


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
