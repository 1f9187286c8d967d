"""Spectral rules: which index, threshold and gate a scene has, what they make of its pixels, and how they are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray, FloatArray, IntArray
from landscribe.core.recipe import GateTable, SearchTable, SpectralRowTable, SpectralTable

Side = Literal["above", "below"]
SURE = 20.0
"""Beyond this many widths of the slope the probability is 0 or 1 to every digit."""


@dataclass(frozen=True)
class SceneRule:
    """What holds in one scene."""

    index: str
    threshold: float
    side: Side
    gate: GateTable
    empty: bool = False


@dataclass(frozen=True)
class Scan:
    """Counts of one scene for every index and threshold: TP, FP, FN, int64 (indices, thresholds, 3)."""

    counts_it3: IntArray

    @property
    def positives(self) -> int:
        """Pixels of the class."""
        return int(self.counts_it3[0, 0, 0] + self.counts_it3[0, 0, 2])


def region_of(scene_id: str) -> str:
    """Return the region of a scene: what stands before the first underscore of its id."""
    return scene_id.partition("_")[0]


def rule_of(table: SpectralTable, scene_id: str, lowest: float | None = None) -> SceneRule:
    """Return what a spectral table says about one scene.

    Args:
        table: The rule.
        scene_id: The scene.
        lowest: Smallest value of `table.index` in the scene's region; only looked at where the table has a switch.
    """
    for row in table.rows:
        if any(fnmatchcase(scene_id, pattern) for pattern in row.scenes):
            return SceneRule(
                table.index if row.index is None else row.index,
                table.threshold if row.threshold is None else row.threshold,
                table.side if row.side is None else row.side,
                table.gate if row.gate is None else row.gate,
                row.empty,
            )
    threshold = table.threshold
    if table.switch is not None and lowest is not None and lowest < table.switch.below:
        threshold = table.switch.threshold
    return SceneRule(table.index, threshold, table.side, table.gate)


def needs_lowest(table: SpectralTable, scene_id: str) -> bool:
    """Tell whether `rule_of` wants to know the lowest value of the index in the scene's region."""
    named = any(fnmatchcase(scene_id, pattern) for row in table.rows for pattern in row.scenes)
    return table.switch is not None and not named


def holds(values_hw: FloatArray, rule: SceneRule) -> BoolArray:
    """Tell where a rule holds; NaN is nowhere beyond a threshold."""
    found: BoolArray = values_hw > rule.threshold if rule.side == "above" else values_hw < rule.threshold
    return found


def grade(values_hw: FloatArray, rule: SceneRule, soft: float) -> ByteArray:
    """Turn index values into probabilities, above one half exactly where the rule holds.

    Args:
        values_hw: Index, float (H, W), NaN where it has no value.
        rule: Threshold and side.
        soft: Width of the slope in index units; 0 for a mask.

    Returns:
        uint8 (H, W), 255 for 1; at least 128 where the rule holds and at most 127 elsewhere.
    """
    found_hw = holds(values_hw, rule)
    if not soft:
        return np.where(found_hw, np.uint8(255), np.uint8(0))
    sign = 1.0 if rule.side == "above" else -1.0
    distance = np.nan_to_num(sign * (values_hw - rule.threshold) / soft, nan=-SURE, posinf=SURE, neginf=-SURE)
    probability = 255 / (1 + np.exp(-np.clip(distance, -SURE, SURE)))
    graded = np.rint(np.where(found_hw, np.maximum(probability, 128), np.minimum(probability, 127)))
    return graded.astype(np.uint8)


def passes(gate: GateTable, found_px: int, valid_px: int, pixel_area_m2: float) -> bool:
    """Tell whether a scene shows enough and not too much for its pixels to count.

    Args:
        gate: The limits.
        found_px: Pixels where the rule holds.
        valid_px: Pixels with data.
        pixel_area_m2: Area of one of them.
    """
    amount = {"px": float(found_px), "m2": found_px * pixel_area_m2, "share": found_px / max(valid_px, 1)}[gate.unit]
    return (gate.above is None or amount > gate.above) and (gate.up_to is None or amount <= gate.up_to)


def thresholds_of(search: SearchTable) -> FloatArray:
    """Return the thresholds that a search tries, ascending, float64 (T,)."""
    count = round((search.high - search.low) / search.step)
    # Rounded, so that 0.11 is 0.11 and not a sum of hundredths.
    return np.round(search.low + search.step * np.arange(count), 10)


def scan(values_n: AnyArray, truth_n: BoolArray, thresholds: FloatArray, side: Side) -> IntArray:
    """Count hits, false alarms and misses of every threshold in one pass.

    Args:
        values_n: Index, float (N,); NaN is never found.
        truth_n: Whether a pixel is of the class, bool (N,).
        thresholds: Ascending, (T,).
        side: Which side of the threshold is found.

    Returns:
        TP, FP, FN, int64 (T, 3).
    """
    known = ~np.isnan(values_n)
    # Number of thresholds that a value lies beyond; those are the first ones for "above", the last ones for "below".
    place = np.searchsorted(thresholds, values_n[known], side="left" if side == "above" else "right")
    counts = np.zeros((len(thresholds), 3), dtype=np.int64)
    for column, chosen in ((0, truth_n[known]), (1, ~truth_n[known])):
        per_place = np.bincount(place[chosen], minlength=len(thresholds) + 1)
        if side == "above":
            counts[:, column] = per_place[::-1].cumsum()[::-1][1:]
        else:
            counts[:, column] = per_place.cumsum()[:-1]
    counts[:, 2] = int(truth_n.sum()) - counts[:, 0]
    return counts


def settle(table: SpectralTable, scans: Mapping[str, Scan], place_of: Mapping[str, str]) -> SpectralTable:
    """Choose index and threshold by what was counted on the training scenes.

    Args:
        table: A rule with a search.
        scans: Counts of each training scene.
        place_of: Place of each training scene.

    Returns:
        The rule with the best index and threshold over all, and a row for each region that differs from it.
    """
    if table.search is None:
        return table
    search = table.search
    groups: dict[str, list[str]] = {}
    for scene_id in scans:
        key = {"all": "", "place": place_of[scene_id], "region": region_of(scene_id)}[search.by]
        groups.setdefault(key, []).append(scene_id)
    general = _best(search, [scans[i] for i in scans])
    if general is None:
        return table
    rows = list(table.rows)
    for members in groups.values() if search.by != "all" else ():
        best = _best(search, [scans[i] for i in members])
        if best is not None:
            patterns = (f"{region_of(members[0])}_*",) if search.by == "region" else tuple(members)
            rows.append(SpectralRowTable(scenes=patterns, index=best[0], threshold=best[1]))
    return table.model_copy(update={"index": general[0], "threshold": general[1], "rows": tuple(rows)})


def _best(search: SearchTable, scans: Sequence[Scan]) -> tuple[str, float] | None:
    """Return the index and threshold with the best Jaccard, the first of equals; None where nothing is to be found."""
    shown = [scan for scan in scans if scan.positives]
    if not shown:
        return None
    if search.pick == "largest":
        shown = [max(shown, key=lambda scan: scan.positives)]
        scans = shown
    total_it3 = np.sum([scan.counts_it3 for scan in scans], axis=0)
    jaccard_it = total_it3[..., 0] / np.maximum(total_it3.sum(axis=-1), 1)
    index, threshold = np.unravel_index(int(np.argmax(jaccard_it)), jaccard_it.shape)
    return search.indices[index], float(thresholds_of(search)[threshold])
