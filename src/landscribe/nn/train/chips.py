"""Training chips: random places, one affine map each, labels by the same map.

A batch is a plan (drawn from seed and step alone, so that a run can be resumed and repeated) and a cut (bilinear
sampling on the bank's device). Nothing is resampled before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from landscribe.core.arrays import AnyArray, BoolArray, FloatArray, IntArray
from landscribe.core.recipe import ChipTable
from landscribe.nn.sample import sample
from landscribe.nn.sample.changes import Changes, change, change_on_device
from landscribe.nn.sample.cutmix import Pastes, draw_pastes, paste, paste_on_device
from landscribe.nn.sample.places import Places, draw_places
from landscribe.nn.sample.sending import send
from landscribe.nn.sample.tones import draw_changes
from landscribe.nn.scene import SceneArrays
from landscribe.nn.train.bank import ChipBank, load_bank
from landscribe.nn.train.hard import NONE_YET, WorstChips

__all__ = [
    "ChipBank",
    "ChipPlan",
    "Chips",
    "Places",
    "SceneArrays",
    "cut_chips",
    "draw_plan",
    "load_bank",
    "steps_per_epoch",
    "weighted",
]

SMALLEST_GAIN = 0.2
CHANGE = "change "
"""Before the names of what is sent to a device of the changes of a sensor."""
CHANGING, PASTING = 1, 2
"""Numbers of generators of their own, so that places are the same with and without what they draw."""


@dataclass(frozen=True)
class ChipPlan:
    """Where the chips of a batch lie and how they are changed."""

    scene_b: IntArray
    map_b6: FloatArray
    """float64 (B, 6): chip (col, row) to reference (col, row)."""
    gains: dict[str, FloatArray]
    """Factor on each sensor's bands, float32 (B, C)."""
    offsets: dict[str, FloatArray]
    """Added after it, raw units, float32 (B, C)."""
    missing: dict[str, BoolArray] = field(default_factory=dict)
    """Which chips go without a sensor, bool (B,); a sensor that is not named is in all of them."""
    changes: dict[str, Changes] = field(default_factory=dict)
    """Of each sensor's colours, in which gains and offsets are worked in; none where the recipe asks for none."""
    pastes: Pastes | None = None
    """What chips take from each other. Chips of the plan behind its own are only taken from."""

    def part(self, chosen: slice) -> ChipPlan:
        """Return the plan of some of the chips, with those behind them that they take from."""
        rows: slice | IntArray = chosen
        pastes = self.pastes
        if pastes is not None:
            rows, pastes = pastes.rows(np.arange(len(pastes.partner_b))[chosen])
        gains, offsets = ({name: a[rows] for name, a in table.items()} for table in (self.gains, self.offsets))
        missing = {name: gone_b[rows] for name, gone_b in self.missing.items()}
        changes = {name: own.rows(rows) for name, own in self.changes.items()}
        return ChipPlan(self.scene_b[rows], self.map_b6[rows], gains, offsets, missing, changes, pastes)


@dataclass(frozen=True)
class Chips:
    """A batch."""

    images: dict[str, Tensor]
    """Raw values of each sensor, float32 (B, C, S / step, S / step)."""
    valid: dict[str, Tensor]
    """Of each sensor, bool (B, 1, S / step, S / step)."""
    target: Tensor
    """Covered share of what is learned from, float32 (B, K, S - 2 context, S - 2 context), 0..1; larger by the frame
    that was asked for."""
    weight: Tensor
    """float32 (B, 1, ...), of the same size: 1 where labelled and inside the scene, else 0."""
    first: int = 0
    """Number that the first of them has in the whole batch."""

    def part(self, chosen: slice) -> Chips:
        """Return some of the chips, counted within these."""
        images, valid = ({name: t[chosen] for name, t in table.items()} for table in (self.images, self.valid))
        return Chips(images, valid, self.target[chosen], self.weight[chosen], self.first + (chosen.start or 0))

    def to(self, device: torch.device) -> Chips:
        """Move to a device."""

        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        return self._changed(move)

    def pinned(self) -> Chips:
        """Copy to page-locked memory, from which a GPU fetches while it works."""
        return self._changed(Tensor.pin_memory)

    def _changed(self, change: Callable[[Tensor], Tensor]) -> Chips:
        images = {name: change(t) for name, t in self.images.items()}
        valid = {name: change(t) for name, t in self.valid.items()}
        return Chips(images, valid, change(self.target), change(self.weight), self.first)


def weighted(chips: Chips) -> Chips:
    """Return chips whose last class was the weight of their pixels."""
    classes, weight = chips.target[:, :-1], chips.weight * chips.target[:, -1:]
    return Chips(chips.images, chips.valid, classes.contiguous(), weight, chips.first)


def draw_plan(bank: ChipBank, table: ChipTable, seed: int, step: int, worst: WorstChips = NONE_YET) -> ChipPlan:
    """Draw the places and changes of one batch from `seed`, `step` and `worst` alone.

    A chip is centred on a labelled pixel, of all scenes or of one drawn evenly (`balance`); or, with probability
    `oversample`, a pixel of a class drawn evenly among those present lies anywhere within what is learned from
    (centring on it would teach the network where to look). Where there are worst chips, the share `hard` is centred as
    one of them.

    Raises:
        DataError: If chips shall lie inside of scenes and there is no room for one.
    """
    table = table.strong
    rng = np.random.default_rng([seed, step])
    n = table.batch
    scene_b, map_b6 = draw_places(bank.places, bank.present, table, (worst.scene_n, worst.point_n2), rng)
    common = rng.normal(1, table.gain, (n, 1))
    gains, offsets = {}, {}
    for name, sensor in sorted(bank.sensors.items()):
        shape = (n, sensor.values_nc.shape[1])
        gain = np.maximum(common * rng.normal(1, table.band_gain, shape), SMALLEST_GAIN)
        contrast = np.maximum(rng.normal(1, table.band_contrast, shape), SMALLEST_GAIN)
        shift = rng.normal(0, table.band_offset, shape) * bank.bands[name].spread
        gains[name] = (gain * contrast).astype(np.float32)
        offsets[name] = (shift + gain * (1 - contrast) * bank.bands[name].mean).astype(np.float32)
    missing = _draw_missing(bank, table, scene_b, rng)
    linear = {name: (gains[name], offsets[name]) for name in gains}
    changing = np.random.default_rng([seed, step, CHANGING])
    changes = draw_changes(table, bank.bands, bank.colours, scene_b, linear, bank.steps, changing)
    for name in changes:
        gains[name], offsets[name] = np.ones_like(gains[name]), np.zeros_like(offsets[name])
    pastes = None
    if table.cutmix:
        grain = max(bank.steps.values())
        pasting = np.random.default_rng([seed, step, PASTING])
        pastes = draw_pastes(n, table.size, grain, table.cutmix, pasting)
    return ChipPlan(scene_b, map_b6, gains, offsets, missing, changes, pastes)


def _draw_missing(
    bank: ChipBank, table: ChipTable, scene_b: IntArray, rng: np.random.Generator
) -> dict[str, BoolArray]:
    """Draw which sensors each chip goes without; where that would leave none, it goes without none."""
    if not table.sensor_dropout:
        return {}
    names = sorted(bank.sensors)
    shares = np.array([table.sensor_dropout.get(name, 0.0) for name in names])
    gone_bs = rng.random((table.batch, len(names))) < shares
    # A sensor that the whole scene lacks is one pixel without data.
    there_bs = np.stack([bank.sensors[name].size_r2[scene_b].max(axis=1) > 1 for name in names], axis=1)
    gone_bs &= (there_bs & ~gone_bs).any(axis=1, keepdims=True)
    return dict(zip(names, gone_bs.T, strict=True))


def cut_chips(bank: ChipBank, table: ChipTable, plan: ChipPlan, *, frame: int = 0, first: int = 0) -> Chips:
    """Sample the chips of a plan.

    Images are mirrored at a scene's edge, as prediction mirrors them, so that the network learns from edges as it will
    meet them. Labels are not: mirrored labels would count edge pixels twice.

    Args:
        bank: The scenes.
        table: Size and context of a chip.
        plan: Of the batch.
        frame: Pixels around what is learned from of which labels are cut too.
        first: Number in the whole batch of the first chip of the plan.
    """
    context = table.context - frame
    inner = table.size - 2 * context
    here = _arrays(bank, plan, context)
    there = send(here, bank.device) if bank.on_tensors else here
    images, valid = {}, {}
    for name, sensor in bank.sensors.items():
        step = bank.steps[name]
        images[name], valid[name] = sample(
            sensor,
            there["scene"],
            there["map"],
            (table.size // step, table.size // step),
            step=step,
            gain_bc=there[f"gain {name}"],
            offset_bc=there[f"offset {name}"],
        )
        if name in plan.changes:
            images[name] = _changed(name, images[name], valid[name], plan.changes[name], there)
        if name in plan.missing:
            valid[name] = valid[name] & ~_tensor(there[f"missing {name}"])[:, None, None, None]
    target, known = sample(
        bank.labels, there["scene"], there["inner map"], (inner, inner), gain_bc=there["share"], mirror=False
    )
    weight = known.float()
    if plan.pastes is None:
        return Chips(images, valid, target, weight, first)
    own = slice(len(plan.pastes.partner_b))
    layers = [(some[name], bank.steps[name], 0) for some in (images, valid) for name in images]
    layers += [(target, 1, context), (weight, 1, context)]
    if bank.on_tensors:
        paste_on_device(_tensor(there["partner"]), _tensor(there["box"]), layers)
    else:
        paste(plan.pastes, layers)
    return replace(Chips(images, valid, target, weight).part(own), first=first)


def _arrays(bank: ChipBank, plan: ChipPlan, context: int) -> dict[str, AnyArray]:
    """Return all that a device needs to cut the chips of a plan."""
    inner_b6 = plan.map_b6.copy()
    inner_b6[:, [2, 5]] += context * plan.map_b6.reshape(-1, 2, 3)[:, :, :2].sum(axis=2)
    share_bk = np.full((len(plan.scene_b), bank.labels.values_nc.shape[1]), 1 / 255, np.float32)
    arrays: dict[str, AnyArray] = {"scene": plan.scene_b, "map": plan.map_b6, "inner map": inner_b6, "share": share_bk}
    for what, table in (("gain", plan.gains), ("offset", plan.offsets), ("missing", plan.missing)):
        arrays |= {f"{what} {name}": array for name, array in table.items()}
    if bank.on_tensors:
        arrays |= {f"{CHANGE}{name} {k}": a for name, own in plan.changes.items() for k, a in own.arrays().items()}
        arrays |= {} if plan.pastes is None else {"partner": plan.pastes.partner_b, "box": plan.pastes.box_b4}
    return arrays


def _changed(
    name: str, images: Tensor, valid: Tensor, changes: Changes, there: Mapping[str, AnyArray | Tensor]
) -> Tensor:
    """Return chips of one sensor with their colours changed, by what was sent of it where something was."""
    before = CHANGE + name + " "
    sent = {key.removeprefix(before): value for key, value in there.items() if key.startswith(before)}
    tensors = {key: value for key, value in sent.items() if isinstance(value, Tensor)}
    return change_on_device(images, valid, tensors) if tensors else change(images, valid, changes, compiled=True)


def _tensor(values: AnyArray | Tensor) -> Tensor:
    return values if isinstance(values, Tensor) else torch.from_numpy(np.ascontiguousarray(values))


def steps_per_epoch(bank: ChipBank, table: ChipTable) -> int:
    """Return how many batches cover the labelled area once."""
    inner = table.size - 2 * table.context
    return math.ceil(bank.anywhere.count / (table.batch * inner * inner))
