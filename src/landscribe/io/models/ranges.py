"""What numbers and pixels a network was trained on, and whether a scene lies outside of that.

Kept in a model's file under `knows.ranges`: for each sensor the pixel types, the names of its bands, and for each band
the 1st percentile of the training scene that is darkest in it and the 99th of the one that is brightest; and the pixel
sizes of the reference in metres. Models without it say nothing, and are used as they always were.

The rule lets ordinary scenes of the same sensor pass, in other light, with other ground, with clouds. In a band, let
the training range be widened on each side by its width, or by its largest number if that is more. A scene is outside
where the middle of its numbers lies beyond that; or where its numbers are of another order: its largest (99th
percentile, without sign) is less than a 16th or more than 16 times that of training, or, where the pixel type is
another, a quarter or four times. Its pixels are outside where they are more than 1.5 times smaller or larger.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray
from landscribe.core.grid import Grid
from landscribe.errors import problem
from landscribe.io.run.prepared import FACTS, PreparedScene
from landscribe.io.run.runs import Record

Ranges: TypeAlias = Mapping[str, Any]
"""What `learn_ranges` returns, or what a model's file has of it."""

PERCENT = (1, 50, 99)
ORDER, ORDER_OF_ANOTHER_TYPE = 16.0, 4.0
PIXEL_FACTOR = 1.5
CAUTION = "predicted all the same, outside of what the models were trained on"
"""How the lines of such scenes begin, after the scene's name."""


class Looked(Protocol):
    """What is asked of a scene beside its numbers."""

    @property
    def bands(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the bands of each sensor."""

    @property
    def reference(self) -> str:
        """The sensor on whose grid results lie."""

    @property
    def grid(self) -> Grid:
        """Its grid."""


def percentiles(image_chw: AnyArray, valid_hw: BoolArray) -> list[list[float]]:
    """Return the 1st, 50th and 99th percentile of the valid pixels of each band; nothing where there is none."""
    values = image_chw[:, valid_hw]
    if not values.size:
        return []
    rows: list[list[float]] = np.percentile(values, PERCENT, axis=1).T.tolist()
    return rows


def learn_ranges(folders: Iterable[Path], pixels_m: Iterable[float | None]) -> Ranges:
    """Return, as JSON values, the ranges of prepared scenes.

    Args:
        folders: Of the scenes.
        pixels_m: Pixel size of each scene's reference in metres; None without a CRS.
    """
    sensors: dict[str, dict[str, Any]] = {}
    for folder in folders:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        for name, row in facts["statistics"].items():
            if not row.get("percentiles"):
                continue
            own = sensors.setdefault(
                name, {"types": [], "bands": facts["bands"][name], "p1": [math.inf], "p99": [-math.inf]}
            )
            if row["type"] not in own["types"]:
                own["types"].append(row["type"])
            low, _, high = np.array(row["percentiles"]).T
            own["p1"] = np.minimum(own["p1"], low).tolist()
            own["p99"] = np.maximum(own["p99"], high).tolist()
    sizes = [size for size in pixels_m if size is not None]
    return {"sensors": sensors, "pixel_m": [min(sizes), max(sizes)] if sizes else None}


def outside_of(ranges: Ranges, scene: PreparedScene, sensors: Collection[str]) -> list[str]:
    """Return what of a prepared scene lies outside of what a network was trained on, with both facts.

    Args:
        ranges: As `learn_ranges` returns it; empty for models that do not say it.
        scene: The scene.
        sensors: Those that the network reads.
    """
    return outside(ranges, {name: scene.ranges[name] for name in sensors if name in scene.ranges}, scene)


def outside(ranges: Ranges, statistics: Mapping[str, Mapping[str, Any]], scene: Looked) -> list[str]:
    """Return what of any scene lies outside of what a network was trained on, with both facts.

    Args:
        ranges: As for `outside_of`.
        statistics: `type` and `percentiles` of each sensor that the network reads, as `percentiles` returns them.
        scene: Its bands and pixels.
    """
    said = []
    known = ranges.get("sensors", {})
    for name, row in statistics.items():
        own = known.get(name)
        if own is not None and row.get("percentiles"):
            said += _of_sensor(list(scene.bands[name]), name, row, own)
    size, trained = pixel_size(scene), ranges.get("pixel_m")
    if size is not None and trained is not None:
        low, high = trained
        if not low / PIXEL_FACTOR <= size <= high * PIXEL_FACTOR:
            need = f"{low:.3g} m" if f"{low:.3g}" == f"{high:.3g}" else f"{low:.3g} to {high:.3g} m"
            said.append(problem(scene.reference, "pixels of another size", got=f"{size:.3g} m", need=need))
    return said


def cautions_of(record: Record) -> list[str]:
    """Return what the record of a predicted scene says of being outside."""
    return [note for note in record.notes if CAUTION in note]


def pixel_size(scene: Looked) -> float | None:
    """Return the pixel size of a scene's reference in metres; None without a CRS."""
    return None if scene.grid.crs is None else round(scene.grid.pixel_length, 6)


def _of_sensor(bands: list[str], name: str, row: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    if bands != own["bands"]:
        return [problem(name, "other bands", got=", ".join(bands), need=", ".join(own["bands"]))]
    factor = ORDER if row["type"] in own["types"] else ORDER_OF_ANOTHER_TYPE
    for band, (low, middle, high), first, last in zip(bands, row["percentiles"], own["p1"], own["p99"], strict=True):
        margin = max(last - first, abs(first), abs(last))
        ours, theirs = max(abs(low), abs(high)), max(abs(first), abs(last))
        far = not first - margin <= middle <= last + margin
        if far or not theirs / factor <= ours <= theirs * factor:
            what = f"numbers of band {band!r} are others"
            got = f"{_number(low)} to {_number(high)} in {row['type']}"
            need = f"{_number(first)} to {_number(last)} in {' or '.join(own['types'])}"
            return [problem(name, what, got=got, need=need)]
    return []


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
