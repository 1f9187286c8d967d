"""How the colours of chips change is drawn here, from a generator of the chip's seed alone.

Source:
    Colours of other scenes: Yaras et al., arXiv:2104.14032, "randomized histogram matching"; there all of the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit

from landscribe.core.arrays import BoolArray, FloatArray, IntArray
from landscribe.core.quantiles import quantiles_of
from landscribe.core.recipe import ChipTable
from landscribe.nn.sample.changes import KNOTS, Changes
from landscribe.nn.scene import SceneArrays

LARGEST_EXPONENT = 3.0
"""And its inverse the smallest: what lies beyond that is drawn as that."""
STEEPEST = 3.0
"""How many times as far apart other colours may move two numbers: else a scene of water, with the colours of a town, is
nothing but noise."""


@dataclass(frozen=True)
class Bands:
    """What changes of one sensor are measured in, float32 (C,) each."""

    low: FloatArray
    """1st percentile."""
    high: FloatArray
    """99th percentile."""
    mean: FloatArray
    spread: FloatArray
    """Standard deviation."""


@dataclass(frozen=True)
class Colours:
    """Quantiles of the bands of one sensor, NaN for a scene that lacks it."""

    own_scq: FloatArray
    """Of each training scene, float32 (S, C, Q)."""
    others_scq: FloatArray
    """Of the scenes whose colours chips may take, float32 (N, C, Q)."""


def colours_of(
    scenes: Sequence[SceneArrays], sensors: Iterable[str], known: Mapping[str, Mapping[str, FloatArray]] | None = None
) -> dict[str, Colours]:
    """Return the colours of each sensor.

    Args:
        scenes: Training scenes in the order of the bank.
        sensors: Those that are wanted.
        known: Scene -> sensor -> quantiles, float32 (C, Q): those of the training scenes, and of all others whose
            colours chips may take. None takes those of the training scenes, from their pixels.
    """
    if known is None:
        known = {s.id: {n: quantiles_of(s.images_chw[n], s.valid_hw[n]) for n in sensors} for s in scenes}
    own = [scene.id for scene in scenes]
    return {name: Colours(*(np.stack([known[i][name] for i in ids]) for ids in (own, list(known)))) for name in sensors}


def draw_changes(
    table: ChipTable,
    bands: Mapping[str, Bands],
    colours: Mapping[str, Colours],
    scene_b: IntArray,
    linear: Mapping[str, tuple[FloatArray, FloatArray]],
    steps: Mapping[str, int],
    rng: np.random.Generator,
) -> dict[str, Changes]:
    """Draw how the chips of a batch are changed, or nothing where the table asks for none of this.

    What a camera or the air does is common to all sensors of a chip; a part of gamma is drawn for each band.

    Args:
        table: With `strength` worked in.
        bands: Of each sensor.
        colours: Of each sensor; asked for `table.match` alone.
        scene_b: Training scene of each chip.
        linear: Factor and what is added after it, of each sensor, float32 (B, C) each.
        steps: Distance of each sensor's samples in chip pixels.
        rng: Used for nothing else.
    """
    if not any((table.gamma, table.saturation, table.haze, table.blur, table.noise, table.match)):
        return {}
    n = len(scene_b)
    exponent_b = table.gamma * rng.standard_normal(n)
    saturate_b = np.maximum(1 + table.saturation * rng.standard_normal(n), 0).astype(np.float32)
    haze_b = table.haze * rng.random(n)
    blur_b = table.blur * np.maximum(rng.uniform(-1, 1, n), 0)
    noise_b = (table.noise * np.maximum(rng.uniform(-1, 1, n), 0)).astype(np.float32)
    matched_b = rng.random(n) < table.match
    other_b, share_b = rng.random(n), rng.random(n)
    changes = {}
    for name, (gain_bc, offset_bc) in sorted(linear.items()):
        own = bands[name]
        keys, bent_bc = rng.integers(-(1 << 63), (1 << 63) - 1, n), rng.standard_normal(gain_bc.shape)
        low_c, high_c = own.low, np.where(own.high > own.low, own.high, own.low + own.spread)
        span_c = high_c - low_c
        tone_bct: FloatArray = np.broadcast_to(
            low_c[:, None] + span_c[:, None] * np.linspace(0, 1, KNOTS, dtype=np.float32), (n, len(low_c), KNOTS)
        )
        if matched_b.any():
            tone_bct = _matched(tone_bct, colours[name], scene_b, matched_b, other_b, share_b)
        if table.gamma:
            power_bc = np.exp(exponent_b[:, None] + table.gamma / 2 * bent_bc)
            power_bc = np.clip(power_bc, 1 / LARGEST_EXPONENT, LARGEST_EXPONENT).astype(np.float32)
            tone_bct = _bent(tone_bct, low_c, span_c, power_bc)
        clear_b1 = (1 - haze_b).astype(np.float32)[:, None]
        slope_bc = clear_b1 * gain_bc
        shift_bc = clear_b1 * offset_bc + (1 - clear_b1) * high_c
        changes[name] = Changes(
            tone_bct=(tone_bct * slope_bc[..., None] + shift_bc[..., None]).astype(np.float32),
            slope_bc=slope_bc.astype(np.float32),
            saturate_b=saturate_b,
            blur_b=(blur_b / steps[name]).astype(np.float32),
            noise_b=noise_b,
            key_b=keys,
            low_c=low_c.astype(np.float32),
            high_c=high_c.astype(np.float32),
            mean_c=own.mean,
            spread_c=own.spread,
            floor_c=np.where(low_c >= 0, 0, -np.inf).astype(np.float32),
        )
    return changes


def _bent(tone_bct: FloatArray, low_c: FloatArray, span_c: FloatArray, power_bc: FloatArray) -> FloatArray:
    """Raise what lies from low to high to a power; what lies beyond stays."""
    part_bct = (tone_bct - low_c[:, None]) / span_c[:, None]
    inside = (part_bct > 0) & (part_bct < 1)
    bent_bct = low_c[:, None] + span_c[:, None] * np.clip(part_bct, 0, 1) ** power_bc[..., None]
    return np.where(inside, bent_bct, tone_bct)


def _matched(
    tone_bct: FloatArray,
    colours: Colours,
    scene_b: IntArray,
    matched_b: BoolArray,
    other_b: FloatArray,
    share_b: FloatArray,
) -> FloatArray:
    """Move the quantiles of a chip's scene a part of the way to those of another; what lies beyond goes with the ends.

    A sensor that one of the two lacks stays as it is.
    """
    moved_bct = tone_bct.astype(np.float32)
    which_b = (other_b * len(colours.others_scq)).astype(np.int64)
    _move_quantiles(colours.own_scq, colours.others_scq, scene_b, which_b, share_b, matched_b, moved_bct)
    return moved_bct


@njit(cache=True, nogil=True)
def _move_quantiles(
    own_scq: FloatArray,
    others_scq: FloatArray,
    scene_b: IntArray,
    other_b: IntArray,
    share_b: FloatArray,
    matched_b: BoolArray,
    tone_bct: FloatArray,
) -> None:
    n_bands, n = own_scq.shape[1:]
    own_q, shift_q = np.empty(n), np.empty(n)
    for b in range(len(scene_b)):
        if not matched_b[b]:
            continue
        own_cq, other_cq = own_scq[scene_b[b]], others_scq[other_b[b]]
        if np.isnan(own_cq).any() or np.isnan(other_cq).any():
            continue
        for c in range(n_bands):
            risen, before, fixed = 0.0, 0.0, 0.0
            for q in range(n):
                own_q[q] = own_cq[c, q]
                moved = own_q[q] + share_b[b] * (other_cq[c, q] - own_q[q])
                if q:
                    risen += min(moved - before, STEEPEST * (own_q[q] - own_q[q - 1]))
                before = moved
                shift_q[q] = risen - own_q[q]
                if q == n // 2:  # stays where it is
                    fixed = moved - risen
            _shift(own_q, shift_q, fixed, tone_bct[b, c])


@njit(cache=True, nogil=True)
def _shift(at_q: FloatArray, shift_q: FloatArray, more: float, tone_t: FloatArray) -> None:
    """Add to rising numbers what lies between the shifts at rising places, and beyond these those at the ends."""
    last, q = len(at_q) - 1, 0
    for t in range(len(tone_t)):
        x = np.float64(tone_t[t])
        while q < last and at_q[q + 1] <= x:
            q += 1
        shift = shift_q[q]
        if q < last and x > at_q[q]:
            shift += (shift_q[q + 1] - shift_q[q]) / (at_q[q + 1] - at_q[q]) * (x - at_q[q])
        tone_t[t] = x + (shift + more)
