"""Training scenes laid out for sampling, with tables that pick a labelled pixel at random without a list of all."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from affine import Affine
from torch import Tensor

from landscribe.core.arrays import IntArray
from landscribe.errors import DataError, problem
from landscribe.nn.network.stem import compute_statistics
from landscribe.nn.sample.pixels import Raster, RasterBank, bank_of, pack_rasters
from landscribe.nn.sample.places import Places, PlaceTable, count_places
from landscribe.nn.sample.tones import Bands, Colours
from landscribe.nn.scene import SceneArrays
from landscribe.nn.train.decoded import Block, DecodedScenes

SPREAD_CLIP_PERCENT = 1.0


@dataclass(frozen=True)
class ChipBank:
    """All training scenes, ready for sampling."""

    sensors: dict[str, RasterBank]
    labels: RasterBank
    steps: dict[str, int]
    """Distance of each sensor's samples in chip pixels."""
    bands: dict[str, Bands]
    """Range, mean and spread of each sensor's valid values."""
    places: PlaceTable
    """Labels on the host, for picking places."""
    anywhere: Places
    """Labelled pixels."""
    of_class: tuple[Places, ...]
    """Labelled pixels touched by each class; those behind the last one are drawn from by nobody."""
    colours: dict[str, Colours] = field(default_factory=dict)
    """Quantiles of each sensor, for `chips.match`."""

    @property
    def device(self) -> torch.device:
        """Where chips come out."""
        return self.labels.device

    @property
    def on_tensors(self) -> bool:
        """Whether chips are cut by torch or a kernel on the bank's device, in place of compiled loops."""
        return isinstance(self.labels.values_nc, Tensor)

    @cached_property
    def present(self) -> IntArray:
        """Kinds of `places`, int64, of the classes that are anywhere."""
        return np.array([k for k, places in enumerate(self.of_class, start=1) if places.count], np.int64)


def load_bank(
    scenes: Sequence[SceneArrays],
    steps: Mapping[str, int],
    device: torch.device,
    *,
    cubic: Collection[str] = (),
    backend: Literal["numba", "torch"] | None = None,
    decoded: DecodedScenes | None = None,
    touched: int = 1,
) -> ChipBank:
    """Lay the training scenes out for sampling.

    Args:
        scenes: Training scenes, all with the same sensors and classes.
        steps: Of the sensors that the network wants (`SegmentationNet.sensor_steps`).
        device: Where the bank lies and chips come out.
        cubic: Sensors that are mixed from sixteen neighbours (`SegmentationNet.cubic_sensors`).
        backend: None takes numba on the processor and torch elsewhere; both give the same chips.
        decoded: Where the arrays of the scenes are views of blocks, these: they are then not copied on a processor.
        touched: The smallest share of 255 by which a class touches a pixel, for picking places.

    Raises:
        DataError: If there is no labelled pixel, a sensor is missing, or bands or classes differ between scenes.
    """
    for scene in scenes:
        _check_scene(scene, scenes[0], steps)
    if not any(scene.labelled_hw.any() for scene in scenes):
        raise DataError(problem("training scenes", "no labelled pixel", got=f"{len(scenes)} scenes"))
    target = None if (backend or ("numba" if device.type == "cpu" else "torch")) == "numba" else device

    def pack(rasters: list[Raster], block: Block | None, on: torch.device | None, mix: bool) -> RasterBank:
        if block is None:
            return pack_rasters(rasters, on, cubic=mix)
        return bank_of(block.values_nc, block.valid_n, rasters, on, cubic=mix)

    blocks = {} if decoded is None else decoded.blocks
    sensors = {
        name: pack(
            [Raster(s.images_chw[name], s.valid_hw[name], s.maps[name], s.shape_hw) for s in scenes],
            blocks.get(name),
            target,
            name in cubic,
        )
        for name in steps
    }
    masks = [Raster(s.coverage_khw, s.labelled_hw, Affine.identity(), s.shape_hw) for s in scenes]
    host = pack(masks, None if decoded is None else decoded.labels, None, False)
    labels = host
    if target is not None:
        coverage, labelled = (torch.from_numpy(a).to(target) for a in (host.values_nc, host.valid_n))
        labels = RasterBank(coverage, labelled, False, host.origin_r, host.size_r2, host.scene_r2, host.map_r6)
    statistics = {n: s for n, s in compute_statistics(scenes, SPREAD_CLIP_PERCENT).items() if n in steps}
    coverage_nk, labelled_n = np.asarray(host.values_nc), np.asarray(host.valid_n)
    places = count_places(labelled_n, coverage_nk, host.size_r2, host.origin_r, touched)
    return ChipBank(
        sensors,
        labels,
        dict(steps),
        {name: Bands(s.low, s.high, s.mean, s.std) for name, s in statistics.items()},
        places,
        places.kind(0),
        tuple(places.kind(k + 1) for k in range(coverage_nk.shape[1])),
    )


def _check_scene(scene: SceneArrays, first: SceneArrays, sensors: Iterable[str]) -> None:
    where = f"scene {scene.id!r}"
    missing = sorted(set(sensors) - set(scene.images_chw))
    if missing:
        raise DataError(problem(where, "sensor missing", got=", ".join(missing)))
    for name in sensors:
        bands, expected = len(scene.images_chw[name]), len(first.images_chw[name])
        if bands != expected:
            raise DataError(problem(where, f"bands of {name!r}", got=bands, need=f"{expected} as in {first.id!r}"))
    if len(scene.coverage_khw) != len(first.coverage_khw):
        raise DataError(problem(where, "classes", got=len(scene.coverage_khw), need=len(first.coverage_khw)))
