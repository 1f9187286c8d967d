"""Raw numbers in: clipping, standardisation and spectral indices are part of the network and saved with it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from landscribe.core.arrays import AnyArray, FloatArray
from landscribe.core.sensors import SensorSpec
from landscribe.core.spectral.indices import band_positions, find_index
from landscribe.errors import DataError, RecipeError, problem
from landscribe.nn.scene import SceneArrays

SAMPLES_PER_SCENE = 100_000
"""Pixels of a scene that statistics look at: percentiles of more change in the fourth digit."""
INDEX_LIMIT = 2.0
INDEX_SCALE = 2.0
"""Indices lie within -1..1 as a rule with a spread of about a half: times 2 gives what standardised bands have."""


@dataclass(frozen=True)
class BandStatistics:
    """Statistics of one sensor's raw values, float32 (C,) each."""

    low: FloatArray
    """Lower end of the clip range."""
    high: FloatArray
    mean: FloatArray
    """Mean of the clipped values."""
    std: FloatArray


def compute_statistics(scenes: Iterable[SceneArrays], clip_percent: float) -> dict[str, BandStatistics]:
    """Compute the statistics of each sensor from the valid, finite pixels of the training scenes.

    Large scenes are thinned to `SAMPLES_PER_SCENE` pixels by a fixed stride, so the result does not depend on chance.

    Args:
        scenes: Training scenes; looked at one after the other.
        clip_percent: Share of the darkest and of the brightest pixels outside the clip range, 0..50.

    Raises:
        DataError: If a sensor has no valid pixel in any scene.
    """
    samples: dict[str, list[AnyArray]] = {}
    for scene in scenes:
        for name, image_chw in scene.images_chw.items():
            positions = np.flatnonzero(scene.valid_hw[name])
            stride = max(1, math.ceil(len(positions) / SAMPLES_PER_SCENE))
            picked = image_chw.reshape(len(image_chw), -1)[:, positions[::stride]]
            if image_chw.dtype.kind == "f":
                picked = picked[:, np.isfinite(picked).all(axis=0)]
            samples.setdefault(name, []).append(picked)
    return {name: _describe(name, np.concatenate(parts, axis=1), clip_percent) for name, parts in samples.items()}


def _describe(name: str, values_cn: AnyArray, clip_percent: float) -> BandStatistics:
    if not values_cn.size:
        raise DataError(problem(f"sensor {name!r}", "no valid pixel in any training scene", do="check nodata"))
    low, high = np.percentile(values_cn, (clip_percent, 100 - clip_percent), axis=1)
    clipped = np.clip(values_cn, low[:, None], high[:, None])
    std = clipped.std(axis=1)
    # A constant band says nothing; dividing by its own rounding noise would say something wrong.
    std = np.where(std > 1e-6 * np.maximum(np.abs(high), 1e-6), std, 1.0)
    return BandStatistics(*(a.astype(np.float32) for a in (low, high, clipped.mean(axis=1), std)))


def choose_steps(scales: Mapping[str, float], strides: Sequence[int], low: str) -> dict[str, int]:
    """Choose the grid that each sensor is sampled on: every pixel (1), or every `step`-th.

    With `branch`, a sensor takes the level whose stride is nearest to its relative pixel size (in octaves, the finer
    one on a tie). The finest sensor always takes 1, since the first level must see something. With `second`, every
    sensor that is coarser by half an octave or more takes the second level.

    Args:
        scales: Pixel size of each sensor divided by the reference's.
        strides: The network's levels.
        low: `upsample`, `branch` or `second`.
    """
    if low == "upsample":
        return dict.fromkeys(scales, 1)
    finest = min(scales.values())
    if low == "second":
        second = strides[min(1, len(strides) - 1)]
        return {name: 1 if scale < math.sqrt(2) * finest else second for name, scale in scales.items()}
    return {
        name: 1 if scale == finest else min(strides, key=lambda stride: (abs(math.log2(scale / stride)), stride))
        for name, scale in scales.items()
    }


class Stem(nn.Module):
    """Raw bands of each sensor to one normalised stack per stride.

    A stack holds the bands of its sensors in their order, then the indices, then a mask of each of its sensors if
    wanted. An index goes to the finest stack that has all its bands. Invalid pixels are 0, that is the mean, after
    standardisation; their mask is 0 and that of valid ones 1.

    Args:
        sensors: In stack order.
        statistics: Of each sensor.
        steps: Stride of each sensor's grid.
        indices: Names of spectral indices.
        masks: Whether a stack says where its sensors have data.

    Raises:
        RecipeError: If no stack has all bands of an index.
    """

    def __init__(
        self,
        sensors: Sequence[SensorSpec],
        statistics: Mapping[str, BandStatistics],
        steps: Mapping[str, int],
        indices: Sequence[str] = (),
        *,
        masks: bool = False,
    ) -> None:
        super().__init__()
        self.masks = masks
        self.clamps = True
        """Whether bands are clipped by one operation, which torch's exporter writes down wrongly for a single band."""
        self.sensors = tuple(sensors)
        self.groups = {
            step: tuple(i for i, s in enumerate(sensors) if steps[s.name] == step)
            for step in sorted({steps[s.name] for s in sensors})
        }
        self.indices = {step: [name for name in indices if self._home(name) == step] for step in self.groups}
        for i, sensor in enumerate(sensors):
            known = statistics[sensor.name]
            for field in ("low", "high", "mean", "std"):
                values = torch.as_tensor(getattr(known, field), dtype=torch.float32)
                if values.shape != (len(sensor.bands),):
                    raise DataError(
                        problem(f"sensor {sensor.name!r}", "bands", got=values.numel(), need=len(sensor.bands))
                    )
                self.register_buffer(f"{field}_{i}", values.reshape(1, -1, 1, 1))

    def _bands(self, step: int) -> tuple[str, ...]:
        return tuple(band for i in self.groups[step] for band in self.sensors[i].bands)

    def _home(self, index: str) -> int:
        find_index(index)
        failure: RecipeError | None = None
        for step in self.groups:
            try:
                band_positions(index, self._bands(step))
            except RecipeError as error:
                failure = failure or error
            else:
                return step
        raise failure or RecipeError(problem("inputs.sensors", "empty"))

    @property
    def channels(self) -> dict[int, int]:
        """Channels of the stack of each stride."""
        masks = {step: len(group) if self.masks else 0 for step, group in self.groups.items()}
        return {step: len(self._bands(step)) + len(self.indices[step]) + masks[step] for step in self.groups}

    def forward(
        self, images: Mapping[str, Tensor], valid: Mapping[str, Tensor], strides: Collection[int] | None = None
    ) -> dict[int, Tensor]:
        """Normalise.

        Args:
            images: Raw values of each sensor, float32 (B, C, H / step, W / step).
            valid: Of each sensor, bool (B, 1, H / step, W / step).
            strides: Of the stacks that are wanted; None wants all.

        Returns:
            Stack of each stride, float32 (B, channels[stride], H / stride, W / stride).
        """
        with torch.autocast(next(iter(images.values())).device.type, enabled=False):
            wanted = self.groups if strides is None else strides
            return {step: self._stack(step, images, valid) for step in wanted}

    def _stack(self, step: int, images: Mapping[str, Tensor], valid: Mapping[str, Tensor]) -> Tensor:
        parts: list[Tensor] = []
        for i in self.groups[step]:
            name = self.sensors[i].name
            low, high, mean, std = (getattr(self, f"{field}_{i}") for field in ("low", "high", "mean", "std"))
            clipped = torch.clamp(images[name], low, high) if self.clamps else _between(images[name], low, high)
            scaled = (clipped - mean) / std
            parts.append(torch.where(valid[name], scaled, 0.0))
        parts += [self._index(name, step, images, valid) for name in self.indices[step]]
        if self.masks:
            parts += [valid[self.sensors[i].name].to(torch.float32) for i in self.groups[step]]
        stack = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        return stack.contiguous(memory_format=torch.channels_last)

    def _index(self, name: str, step: int, images: Mapping[str, Tensor], valid: Mapping[str, Tensor]) -> Tensor:
        owners = [(self.sensors[i], b) for i in self.groups[step] for b in range(len(self.sensors[i].bands))]
        used = [owners[position] for position in band_positions(name, self._bands(step))]
        bands = [images[sensor.name][:, b : b + 1] / sensor.full_scale for sensor, b in used]
        value = find_index(name).formula(*bands).clamp(-INDEX_LIMIT, INDEX_LIMIT) * INDEX_SCALE
        seen = torch.stack([valid[sensor.name] for sensor, _ in used]).all(dim=0)
        return torch.where(seen, value, 0.0)


def _between(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return what `torch.clamp` does."""
    return torch.where(values < low, low, torch.where(values > high, high, values))
