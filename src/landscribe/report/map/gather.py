"""A whole run as a map: which scenes, within how many bytes, and what is said of that."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import shapely

from landscribe.core.arrays import FloatArray
from landscribe.core.legend import Legend
from landscribe.core.score.score import Score, scene_jaccard
from landscribe.core.split.split import Split
from landscribe.io.project.splits import open_side
from landscribe.io.run.prepared import PreparedScene, open_prepared
from landscribe.io.run.runs import Run
from landscribe.report.map.frames import Frame, frames_of
from landscribe.report.map.layers import Layer
from landscribe.report.map.scenes import Budget, SceneMap, map_scene
from landscribe.report.map.suggested import suggested_rows
from landscribe.workers import thread_pool, usable_processors

VERSION = 1
"""Of the manifest."""
MOST_SCENES = 48
"""Scenes in a page at most: scored ones first, the worst before the others."""
PICTURES, BANDS, PROBABILITIES, POLYGONS = 9_000_000, 2_500_000, 2_500_000, 7_000_000
"""Bytes for all scenes together, pictures before they become text; the page stays under 30 MB with them."""
LARGEST = Budget(4_000_000, 1_500_000, 1_500_000, 4_000_000)
"""For one scene, so that a run of two gives no page of 30 MB."""
MOST_ROWS = 120
"""Of a list."""
SMALL = 0.5
"""Least certain polygons are at least this part of their class's median area: specks are never certain."""


@dataclass(frozen=True)
class MapData:
    """What a page is made of."""

    manifest: Mapping[str, Any]
    scenes: Sequence[Mapping[str, Any]]
    shown: int
    """Polygons in the page."""
    total: int
    """Polygons of its scenes."""


def gather_map(
    run: Run,
    legend: Legend,
    split: Split,
    score: Score | None,
    *,
    title: str,
    report: str | None = None,
    part: float = 1.0,
    progress: Callable[[str, int, int], None] = lambda _what, _done, _total: None,
) -> MapData:
    """Read from a run what its map shows.

    Args:
        run: The run folder; `prepare` must have run.
        legend: Classes to show.
        split: Which scenes were trained on.
        score: Its score, None where nothing was scored.
        title: Name of the run.
        report: Address of its report, relative to the page.
        part: Of the bytes that it may take otherwise.
        progress: Told of each scene.

    Raises:
        DataError: If a file of the run is damaged.
    """
    ids = scene_order(run, split, score)
    chosen = ids[:MOST_SCENES]
    scenes = {i: open_scene(run, i, split) for i in chosen}
    frames, frame_of = frames_of({i: scene.grid for i, scene in scenes.items()})
    n = max(len(chosen), 1)
    budget = Budget(
        int(part * min(LARGEST.picture, PICTURES // n)),
        int(part * min(LARGEST.bands, BANDS // n)),
        int(part * min(LARGEST.probability, PROBABILITIES // n)),
        int(part * min(LARGEST.polygons, POLYGONS // n)),
    )
    made: list[SceneMap] = []
    with thread_pool(usable_processors(), "map") as pool:
        for number, (scene_id, scene) in enumerate(scenes.items()):
            progress(f"map {scene_id}", number, len(chosen))
            frame, side, value = frames[frame_of[scene_id]], split.sides.get(scene_id, ""), jaccard_of(score, scene_id)
            made.append(map_scene(run, scene, legend, frame, budget, pool, split=side, jaccard=value))
    manifest = {
        **begin_manifest(title, legend, frames, report),
        "runs": [{"key": "a", "name": title}],
        "scenes": [dict(one.row) | {"run": "a"} for one in made],
        "worst": worst_rows(made, split),
        "least_certain": least_certain_rows(made),
        "suggested": suggested_rows(run, {i: scene.grid for i, scene in scenes.items()}, frames, frame_of),
        "server": None,
        "about": _about(made, len(ids)),
    }
    shown, total = sum(one.shown for one in made), sum(one.total for one in made)
    return MapData(manifest, [one.content for one in made], shown, total)


def begin_manifest(title: str, legend: Legend, frames: Sequence[Frame], report: str | None) -> dict[str, Any]:
    """Return what a manifest says whoever makes it."""
    return {
        "version": VERSION,
        "title": title,
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "report": report,
        "classes": [{"id": c.id, "name": c.name, "colour": c.colour} for c in legend],
        "frames": [frame.to_plain() for frame in frames],
    }


def scene_order(run: Run, split: Split, score: Score | None) -> list[str]:
    """Return the prepared scenes: scored ones with the worst first, then other predicted ones, then the rest."""
    prepared, predicted, train = run.records("prepare"), run.records("vectorize"), frozenset(split.train)
    scored = frozenset() if score is None else frozenset(score.scenes) & prepared.keys()

    def rank(scene: str) -> tuple[int, float]:
        if scene in scored:
            value = jaccard_of(score, scene)
            return 0, math.inf if math.isnan(value) else value
        held = scene not in train
        return (1 if scene in predicted and held else 2 if scene in predicted else 3), 0.0

    return sorted(prepared, key=rank)


def jaccard_of(score: Score | None, scene: str) -> float:
    """Return the score of a scene, NaN where it has none."""
    return scene_jaccard(score.scenes[scene]) if score is not None and scene in score.scenes else math.nan


def open_scene(run: Run, scene: str, split: Split) -> PreparedScene:
    """Open a scene; of one that validates in a corner only the labels of the corner count."""
    return open_side(run, scene, split, "validate") if scene in split.sides else open_prepared(run, scene)


def worst_rows(scenes: Sequence[SceneMap], split: Split) -> list[dict[str, Any]]:
    """Return the polygons with most ground invented or missed, of held-out scenes where there are any."""
    held = [k for k, one in enumerate(scenes) if one.row["id"] in split.validate and one.found is not None]
    rows: list[tuple[float, dict[str, Any]]] = []
    for k in held or range(len(scenes)):
        one = scenes[k]
        for kind, side, why in (("found", one.found, "invented"), ("truth", one.truth, "missed")):
            if side is None or side.wrong is None or (kind == "truth" and one.found is None):
                continue
            there = one.kept.get(kind, frozenset())
            worst = [int(row) for row in np.argsort(-side.wrong)[:MOST_ROWS] if side.wrong[row] > 0]
            rows += [
                (-float(side.wrong[row]), _row(k, kind, side, row, why, float(side.wrong[row])))
                for row in worst
                if _id(side, row) in there
            ]
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])[:MOST_ROWS]]


def least_certain_rows(scenes: Sequence[SceneMap]) -> list[dict[str, Any]]:
    """Return the polygons with the lowest mean probability, without those that are small for their class."""
    sides = [(k, one, one.found) for k, one in enumerate(scenes) if one.found is not None]
    if not sides:
        return []
    classes = np.concatenate([side.classes for _, _, side in sides])
    areas = np.concatenate([side.area for _, _, side in sides])
    middle = {int(number): float(np.median(areas[classes == number])) for number in np.unique(classes)}
    rows: list[tuple[float, dict[str, Any]]] = []
    for k, one, side in sides:
        score: FloatArray = np.full(len(side.area), np.nan) if side.score is None else side.score
        least = np.array([SMALL * middle[int(number)] for number in side.classes])
        known = np.flatnonzero(np.isfinite(score) & (side.area >= least))
        least_first = known[np.argsort(score[known], kind="stable")][:MOST_ROWS].tolist()
        there = one.kept.get("found", frozenset())
        rows += [
            (float(score[row]), _row(k, "found", side, row, "unsure", float(side.area[row])))
            for row in least_first
            if _id(side, row) in there
        ]
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])[:MOST_ROWS]]


def _row(scene: int, kind: str, side: Layer, row: int, why: str, area: float) -> dict[str, Any]:
    score = math.nan if side.score is None else float(side.score[row])
    return {
        "scene": scene,
        "kind": kind,
        "id": _id(side, row),
        "class": int(side.classes[row]),
        "why": why,
        "area": float(f"{area:.3g}"),
        "score": -1 if math.isnan(score) else round(1000 * score),
        "bbox": [round(float(v), 3) for v in shapely.bounds(side.polygons[row])],
    }


def _id(side: Layer, row: int) -> int:
    return row if side.ids is None else int(side.ids[row])


def _about(scenes: Sequence[SceneMap], total: int) -> list[str]:
    """Say what is shown and what is not, and by which rule."""
    lines = [f"{len(scenes)} scenes of {total}" + (": the worst scored ones first." if len(scenes) < total else ".")]
    shown, polygons = sum(one.shown for one in scenes), sum(one.total for one in scenes)
    lost = "" if shown == polygons else " Left out are those with the least wrong ground, the smallest of them first."
    lines.append(f"{shown:,} polygons of {polygons:,} shown.{lost}")
    tolerance = max((one.tolerance_px for one in scenes), default=0)
    lines.append(f"Outlines moved by up to {tolerance:g} pixels of the scene; areas and scores are of the exact ones.")
    coarser = [one.coarser for one in scenes if one.coarser > 1]
    if coarser:
        words = f"{min(coarser)}" if min(coarser) == max(coarser) else f"{min(coarser)} to {max(coarser)}"
        lines.append(
            f"Pictures of {len(coarser)} scenes are coarser than their files: {words} pixels a side to one here."
        )
    lines.append("Other bands and probabilities have at most 1,024 pixels on their longer side.")
    return lines
