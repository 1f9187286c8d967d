"""Training chips: random places, one affine map each, labels by the same map.

A batch is a plan (drawn from seed and step alone, so that a run can be resumed and repeated) and a cut (bilinear
sampling on the bank's device). Nothing is resampled before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from affine import Affine
from torch import Tensor

from landscribe.core.arrays import BoolArray, FloatArray, IntArray
from landscribe.core.recipe import ChipTable
from landscribe.errors import DataError, problem
from landscribe.nn.sample import sample
from landscribe.nn.sample.changes import Changes, change
from landscribe.nn.sample.cutmix import Pastes, draw_pastes, paste
from landscribe.nn.sample.tones import draw_changes
from landscribe.nn.scene import SceneArrays
from landscribe.nn.train.bank import ChipBank, Places, load_bank
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
TRIES = 100
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
    present = [k for k, places in enumerate(bank.of_class) if places.count]
    scene_b, map_b6 = np.empty(n, np.int64), np.empty((n, 6))
    for b in range(n):
        if len(worst.scene_n) and rng.random() < table.hard:
            scene_b[b], map_b6[b] = _draw_worst(bank, table, worst, rng)
            continue
        chosen = bool(present) and rng.random() < table.oversample
        kind = present[int(rng.integers(len(present)))] if chosen else None
        scene_b[b], map_b6[b] = _draw_place(bank, table, kind, rng)
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


def _draw_place(
    bank: ChipBank, table: ChipTable, kind: int | None, rng: np.random.Generator
) -> tuple[int, tuple[float, ...]]:
    """Return scene and map of a chip; None means any labelled pixel."""
    places = bank.anywhere if kind is None else bank.of_class[kind]
    inner = table.size - 2 * table.context
    for _ in range(TRIES):
        # The scene stays while places in it are tried: a small one has as many chips as the others.
        nths = _pick_scene(bank, places, table.balance, rng)
        for _ in range(TRIES):
            scene, row, col = _pick_pixel(bank, places, kind, nths, rng)
            here = np.zeros(2) if kind is None else rng.uniform(-inner / 2, inner / 2, 2)
            map_6 = _chip_map(table, (col, row), here, rng)
            if table.edges == "mirror" or _is_inside(table, map_6, bank.labels.size_r2[scene]):
                return scene, map_6
    raise _no_room(table)


def _draw_worst(
    bank: ChipBank, table: ChipTable, worst: WorstChips, rng: np.random.Generator
) -> tuple[int, tuple[float, ...]]:
    """Return scene and map of a chip that is centred as one of the worst."""
    for _ in range(TRIES):
        i = int(rng.integers(len(worst.scene_n)))
        scene, (col, row) = int(worst.scene_n[i]), worst.point_n2[i]
        map_6 = _chip_map(table, (col, row), np.zeros(2), rng)
        # Where a sharp chip was moved to whole pixels, it may lie a part of a pixel too far out for this turn.
        if table.edges == "mirror" or _is_inside(table, map_6, bank.labels.size_r2[scene]):
            return scene, map_6
    raise _no_room(table)


def _no_room(table: ChipTable) -> DataError:
    return DataError(problem("chips", "no room inside the scenes", got=f"{table.size} px", do='edges = "mirror"'))


def _pick_scene(bank: ChipBank, places: Places, balance: str, rng: np.random.Generator) -> tuple[int, int]:
    """Return which of the pixels to draw from, first and stop: those of one scene, or all of them."""
    if balance == "area":
        return 0, places.count
    ends = np.concatenate([[0], places.pixels_so_far[bank.first_row[1:] - 1], [places.count]])
    chosen = rng.choice(np.flatnonzero(np.diff(ends)))
    return int(ends[chosen]), int(ends[chosen + 1])


def _pick_pixel(
    bank: ChipBank, places: Places, kind: int | None, nths: tuple[int, int], rng: np.random.Generator
) -> tuple[int, float, float]:
    """Return scene, row and col of a random point in a random one of these pixels."""
    nth = int(rng.integers(*nths))
    r = int(np.searchsorted(places.pixels_so_far, nth, side="right"))
    nth -= int(places.pixels_so_far[r - 1]) if r else 0
    pixels = slice(bank.row_origin[r], bank.row_origin[r + 1])
    mask = bank.labelled_n[pixels] > 0
    if kind is not None:
        mask &= bank.coverage_nk[pixels, kind] >= bank.touched
    col = int(np.flatnonzero(mask)[nth])
    scene = int(bank.row_scene[r])
    return scene, r - int(bank.first_row[scene]) + rng.random(), col + rng.random()


def _chip_map(
    table: ChipTable, point: tuple[float, float], here: FloatArray, rng: np.random.Generator
) -> tuple[float, ...]:
    """Return the map that lays chip point centre + `here` on the reference point (col, row).

    A sharp chip is moved, by less than a pixel, to where its pixels are the scene's.
    """
    sharp = rng.random() < table.sharp
    angle = rng.uniform(-table.rotate_deg, table.rotate_deg)
    zoom = rng.uniform(1 - table.scale, 1 + table.scale)
    flips = np.where(rng.random(2) < 0.5, -1.0, 1.0) if table.flips else np.ones(2)
    if sharp:
        angle, zoom = 90.0 * round(angle / 90), 1.0
    centre = table.size / 2
    turned = Affine.rotation(angle) @ Affine.scale(*(zoom * flips))
    moved = Affine.translation(*point) @ turned @ Affine.translation(-centre - here[0], -centre - here[1])
    values = tuple(moved)[:6]
    return tuple(float(round(v)) for v in values) if sharp else values


def _is_inside(table: ChipTable, map_6: Sequence[float], size_hw: IntArray) -> bool:
    """Whether a chip lies in its scene, and with it all others of the same centre.

    Then places do not depend on angles: chips near an edge would otherwise be turned less.
    """
    turned = table.rotate_deg > 0 and table.sharp < 1
    reach = table.size / 2 * (1 + table.scale * (table.sharp < 1)) * (math.sqrt(2) if turned else 1)
    col, row = Affine(*map_6) @ (table.size / 2, table.size / 2)
    return bool(reach <= row <= size_hw[0] - reach and reach <= col <= size_hw[1] - reach)


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
    images, valid = {}, {}
    for name, sensor in bank.sensors.items():
        step = bank.steps[name]
        side = table.size // step
        images[name], valid[name] = sample(
            sensor,
            plan.scene_b,
            plan.map_b6,
            (side, side),
            step=step,
            gain_bc=plan.gains[name],
            offset_bc=plan.offsets[name],
        )
        if name in plan.changes:
            compiled = not isinstance(sensor.values_nc, Tensor)
            images[name] = change(images[name], valid[name], plan.changes[name], compiled=compiled)
        if name in plan.missing:
            gone = torch.from_numpy(np.ascontiguousarray(plan.missing[name])).to(valid[name].device)
            valid[name] = valid[name] & ~gone[:, None, None, None]
    context = table.context - frame
    inner = table.size - 2 * context
    inner_b6 = plan.map_b6.copy()
    inner_b6[:, [2, 5]] += context * plan.map_b6.reshape(-1, 2, 3)[:, :, :2].sum(axis=2)
    share = np.full((len(plan.scene_b), bank.labels.values_nc.shape[1]), 1 / 255, np.float32)
    target, known = sample(
        bank.labels,
        plan.scene_b,
        inner_b6,
        (inner, inner),
        gain_bc=share,
        mirror=False,
    )
    weight = known.float()
    if plan.pastes is None:
        return Chips(images, valid, target, weight, first)
    own = slice(len(plan.pastes.partner_b))
    stacks = [(some[name], bank.steps[name], 0) for some in (images, valid) for name in images]
    paste(plan.pastes, [*stacks, (target, 1, context), (weight, 1, context)])
    return replace(Chips(images, valid, target, weight).part(own), first=first)


def steps_per_epoch(bank: ChipBank, table: ChipTable) -> int:
    """Return how many batches cover the labelled area once."""
    inner = table.size - 2 * table.context
    return math.ceil(bank.anywhere.count / (table.batch * inner * inner))
