"""What a served page is told of runs before it asks: scenes, bands and classes, without a pixel or a polygon."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from landscribe.core.legend import Legend, join_legends
from landscribe.core.split.split import Split
from landscribe.errors import BAD_FILE, DataError, LandscribeError, problem, some
from landscribe.io.run.prepared import PreparedScene, open_prepared
from landscribe.io.run.runs import Run
from landscribe.io.run.scored import run_score
from landscribe.io.settings import legend_of_run, read_run_facts
from landscribe.report.map.bands import bands_of, views_of
from landscribe.report.map.frames import extent_of, frames_of
from landscribe.report.map.gather import begin_manifest, jaccard_of, scene_order
from landscribe.report.map.suggested import suggested_rows
from landscribe.stages.maps._shown import identity_of
from landscribe.stages.maps._tiles import HIGH_CODE, LOW_CODE

REPORT, REPORT_OF = "report.html", "r"
"""Name of the file, and how its address begins."""
KEYS = "abcdefghijklmnopqrstuvwxyz"


def served_manifest(runs: Sequence[Run], title: str) -> tuple[dict[str, Any], dict[str, Legend], list[str]]:
    """Return the manifest of one run or several, their classes by key, and what is to be said.

    Raises:
        DataError: If a run has no scene to show, or several runs have none in common.
        IntegrityError: If a file of a run is damaged.
    """
    if len(runs) > len(KEYS):
        raise DataError(problem("view", "too many runs", got=len(runs), need=f"at most {len(KEYS)}"))
    said: list[str] = []
    keys = dict(zip(KEYS, runs, strict=False))
    facts = {key: read_run_facts(run.root) for key, run in keys.items()}
    legends = {key: legend_of_run(values, str(keys[key].root)) for key, values in facts.items()}
    scenes: dict[tuple[str, str], PreparedScene] = {}
    scores = {key: _score(run, said) for key, run in keys.items()}
    for key, run in keys.items():
        for scene_id in scene_order(run, _split(facts[key]), scores[key]):
            try:
                scenes[key, scene_id] = open_prepared(run, scene_id)
            except BAD_FILE as error:
                said.append(f"left out: {error}")
    if not scenes:
        raise DataError(problem(str(runs[0].root), "no scene to show", do="run `landscribe prepare` first"))
    said += _not_shared(keys, scenes)
    grids = {f"{key}/{scene_id}": scene.grid for (key, scene_id), scene in scenes.items()}
    frames, frame_of = frames_of(grids)
    rows = []
    for (key, scene_id), scene in scenes.items():
        frame = frames[frame_of[f"{key}/{scene_id}"]]
        value = jaccard_of(scores[key], scene_id)
        row = _row(keys[key], scene, legends[key])
        place = {"run": key, "frame": frame.id, "extent": list(extent_of(scene.grid, frame))}
        split = facts[key]["scenes"].get(scene_id, {}).get("split", "")
        rows.append({**row, **place, "split": split, "jaccard": None if math.isnan(value) else round(value, 4)})
    suggested: list[dict[str, Any]] = []
    for key, run in keys.items():
        try:
            suggested += suggested_rows(run, grids, frames, frame_of, key=f"{key}/")
        except BAD_FILE as error:
            said.append(f"left out: {error}")
    names = _names(keys)
    together = join_legends(legends, do="view such runs one by one")
    manifest = {
        **begin_manifest(title, together, frames, None),
        "runs": [
            {"key": key, "name": names[key], "id": identity_of(run), "report": _report_of(key, run)}
            for key, run in keys.items()
        ],
        "scenes": rows,
        "worst": [],
        "least_certain": [],
        "suggested": suggested,
        "server": None,
        "about": [f"{len(rows)} scenes.", *said],
    }
    return manifest, legends, said


def _report_of(key: str, run: Run) -> str | None:
    """Return the address of a run's report, None where it has none."""
    return f"/{REPORT_OF}/{key}/{REPORT}" if run.path(REPORT).is_file() else None


def _split(facts: Mapping[str, Any]) -> Split:
    sides = {scene: values.get("split", "") for scene, values in facts["scenes"].items()}
    of = {side: tuple(i for i, s in sides.items() if s == side) for side in ("train", "validate")}
    return Split(train=of["train"], validate=of["validate"])


def _score(run: Run, said: list[str]) -> Any:
    try:
        return run_score(run)
    except LandscribeError as error:
        said.append(f"without scores: {error}")
        return None


def _names(runs: Mapping[str, Run]) -> dict[str, str]:
    """Return what each run is called: its folder, with as much of what lies above as tells it from the others."""
    parts = {key: run.root.resolve().parts for key, run in runs.items()}
    names = {key: own[-1] for key, own in parts.items()}
    for depth in range(2, max(map(len, parts.values())) + 1):
        same = {name for name in names.values() if list(names.values()).count(name) > 1}
        names = {key: "/".join(parts[key][-depth:]) if name in same else name for key, name in names.items()}
    return names


def _not_shared(keys: Mapping[str, Run], scenes: Mapping[tuple[str, str], PreparedScene]) -> list[str]:
    """Say which scenes not all runs have."""
    of = {key: [scene_id for own, scene_id in scenes if own == key] for key in keys}
    common = set.intersection(*(set(ids) for ids in of.values()))
    if not common:
        where = " and ".join(str(run.root) for run in keys.values())
        raise DataError(problem(where, "have no scene in common", do="compare runs of the same scenes"))
    said = []
    for key, ids in of.items():
        alone = [i for i in ids if i not in common]
        if alone:
            said.append(f"only in {keys[key].root.resolve().name}: {some(alone)}")
    return said


def _row(run: Run, scene: PreparedScene, legend: Legend) -> dict[str, Any]:
    bands = bands_of(scene)
    found = run.read_record("vectorize", scene.id)
    predicted = run.read_record("predict", scene.id) is not None
    layers = ["picture", *(["probability"] if predicted else []), *(["found"] if found else [])]
    layers += ["truth"] if scene.is_labelled else []
    layers += ["tp", "fp", "fn"] if found and scene.is_labelled else []
    kept = [int(n) for what, n in found.counts.items() if what.endswith(": kept")] if found else []
    return {
        "id": scene.id,
        "size": [scene.grid.width, scene.grid.height],
        "bands": [
            {"name": b.name, "sensor": b.sensor, "at": b.position, "low": LOW_CODE, "high": HIGH_CODE} for b in bands
        ],
        "views": views_of(scene, bands),
        "probability": [c.id for c in legend] if predicted else [],
        "layers": layers,
        "counts": {"found": sum(kept)} if kept else {},
    }
