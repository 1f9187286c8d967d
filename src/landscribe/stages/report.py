"""`report`: the run folder -> one self-contained `report.html`."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from landscribe import __version__
from landscribe.core.ground import add_ground
from landscribe.core.score.score import Score, scene_jaccard
from landscribe.core.seal import unseal
from landscribe.core.split.looks import looks_apart, pool_looks
from landscribe.core.split.places import unlikeness
from landscribe.io.atomic import write_text
from landscribe.io.project import Progress, Project, StageResult, make_items, silent
from landscribe.io.project.label_facts import LABELLED, NO_FILE, ONE_SIDED, UNTOUCHED, ground_of
from landscribe.io.project.splits import split_of
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import Made, Record, Run, make_key
from landscribe.io.run.scored import run_score
from landscribe.io.run.tuned import effective_recipe, read_tuned
from landscribe.io.settings import recipe_dict
from landscribe.io.tables.columns import class_areas
from landscribe.report import ReportData, SceneView, render_report
from landscribe.report.data import LabelEvidence, ThresholdCurve, Unlike
from landscribe.report.flicker import picture_worst
from landscribe.report.views import count_levels, curve_of, picture_scene, view_scene
from landscribe.workers import thread_pool, usable_processors

FORMAT = 3
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""

REPORT, MAP, RUN, ALIGNMENT = "report.html", "map.html", "run.json", "alignment.csv"
SCENES = 24
"""Scenes pictured at most."""
PICTURE_BYTES, PATH_BYTES = 6_000_000, 4_500_000
"""For all scenes together; with base64 and tables the page stays under 15 MB."""
LARGEST_PICTURE, LARGEST_PATHS = 600_000, 900_000
"""For one scene, so that a run of two scenes gives no page of 10 MB."""
STAGES = ("prepare", "train", "adapt", "predict", "oof", "tune", "vectorize", "score", "submit")
KEPT = (
    "labelled pixels",
    "unlabelled pixels",
    "labels: ",
    "label polygons",
    "area ",
    "steps",
    "training scenes",
    "validation scenes",
    "tiles",
    "scenes",
    "classes tuned",
)
"""Counts that say what was kept, by how they begin; those that end in `: kept` are of that kind too."""


def report(project: Project, run: Run, progress: Progress = silent) -> StageResult:
    """Write the report of a run as far as it has come.

    Args:
        project: The recipe with its data.
        run: The run folder; `prepare` must have run.
        progress: Told of each scene.

    Returns:
        What was made, or that it was up to date.

    Examples:
        >>> import landscribe as ls
        >>> ls.write_report(project, run).failed
        {}
    """
    run.require("prepare")
    stages = {stage: {i: (r.key, dict(r.outputs)) for i, r in run.records(stage).items()} for stage in STAGES}
    failures = {stage: run.failures(stage) for stage in STAGES}
    split = split_of(project, run)
    recipe = recipe_dict(project.recipe)
    key = make_key(
        FORMAT,
        stages=stages,
        recipe=recipe,
        failures=failures,
        split=(split.digest, split.why, split.notes),
    )
    target = run.path(REPORT)

    def make(_item: str) -> Made:
        data = gather(project, run, progress)
        page = render_report(data)
        write_text(target, page)
        return Made((target,), {"scenes pictured": len(data.scenes), "bytes": len(page)})

    return make_items(run, "report", ["all"], lambda _item: key, make)


def gather(project: Project, run: Run, progress: Progress = silent) -> ReportData:
    """Read from the run folder what a report shows.

    Raises:
        DataError: If a file of the run is damaged.
    """
    records = {stage: run.records(stage) for stage in STAGES}
    score = run_score(run) if records["score"] else None
    split = split_of(project, run)
    places = {scene.id: scene.place for scene in project.scenes.scenes}
    places |= {i: open_prepared(run, i).place for i in records["prepare"] if i not in places}
    splits = {i: (places[i], split.sides.get(i, "unlabelled")) for i in records["prepare"]}
    shown = _choose(score, records, splits)
    picture_bytes = min(LARGEST_PICTURE, PICTURE_BYTES // max(len(shown), 1))
    path_bytes = min(LARGEST_PATHS, PATH_BYTES // max(len(shown), 1))
    scenes: list[SceneView] = []
    with thread_pool(usable_processors(), "pictures") as pool:
        pictures = [pool.submit(picture_scene, run, scene_id, picture_bytes) for scene_id in shown]
        for number, (scene_id, picture) in enumerate(zip(shown, pictures, strict=True)):
            progress(f"report {scene_id}", number, len(shown))
            scenes.append(view_scene(run, scene_id, project.legend, splits[scene_id][1], path_bytes, picture))
    facts = _json(run.path(RUN)) or {}
    shifts = tuple(_read_csv(run, run.path("prepared", ALIGNMENT)))
    return ReportData(
        title=Path(project.name).stem,
        legend=project.legend,
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        score=score,
        scenes=tuple(scenes),
        splits=splits,
        split_why=split.why,
        split_notes=split.notes,
        split_edited=split.edited,
        unlike=_unlike(project, run, records["prepare"], splits),
        areas=_labelled_areas(project, run, records["prepare"], splits),
        predicted_areas=_predicted_areas(project, run, records["vectorize"]),
        area_unit=_unit(run, records["prepare"]),
        histories={
            name: _rows(run, run.path("models", name, "history.csv")) for name in records["train"] if "~" not in name
        },
        curves=_curves(project, run, score),
        alignment=shifts,
        flicker=picture_worst(run, shifts),
        labels=_label_evidence(records["prepare"], splits, project.legend.names),
        dropped=(*_dropped(records), *_not_scored(score)),
        failed=_failed(project, run, records),
        tuned=read_tuned(run),
        notes=tuple(dict.fromkeys(note for of in records.values() for r in of.values() for note in r.notes)),
        recipe=_recipe_text(project),
        map=MAP,
        versions={"landscribe": __version__, **facts.get("versions", {})},
        seconds={stage: round(sum(r.seconds for r in of.values()), 1) for stage, of in records.items() if of},
    )


def _choose(
    score: Score | None, records: Mapping[str, Mapping[str, Record]], splits: Mapping[str, tuple[str, str]]
) -> list[str]:
    """Return the scenes to picture: scored ones, worst first, then others that were predicted."""
    scored = list(score.scenes) if score else []

    def badness(scene: str) -> float:
        value = scene_jaccard(score.scenes[scene]) if score else math.nan
        return math.inf if math.isnan(value) else value

    others = [i for i in records["vectorize"] if i not in set(scored) and splits[i][1] != "train"]
    rest = [i for i in records["vectorize"] if i not in set(scored) and splits[i][1] == "train"]
    chosen = sorted(scored, key=badness) + others + rest
    return (chosen or list(records["prepare"]))[:SCENES]


def _labelled_areas(
    project: Project, run: Run, prepared: Mapping[str, Record], splits: Mapping[str, tuple[str, str]]
) -> dict[str, dict[str, float]]:
    areas: dict[str, dict[str, float]] = {}
    for scene_id, record in prepared.items():
        if "labelled pixels" not in record.counts:
            continue
        pixel_area = open_prepared(run, scene_id).grid.pixel_area
        side = areas.setdefault(splits[scene_id][1], dict.fromkeys(project.legend.names, 0.0))
        for name in side:
            side[name] += float(record.counts.get(f"area {name}", 0.0)) * pixel_area
    return areas


def _label_evidence(
    prepared: Mapping[str, Record], splits: Mapping[str, tuple[str, str]], names: tuple[str, ...]
) -> LabelEvidence:
    labelled = {i: record for i, record in prepared.items() if LABELLED in record.counts}
    ground = {
        side: add_ground([ground_of(record, names) for i, record in labelled.items() if splits[i][1] == side])
        for side in ("validate", "train")
    }
    return LabelEvidence(
        ground["validate"],
        ground["train"],
        pixels={i: float(record.counts[LABELLED]) for i, record in labelled.items()},
        untouched=tuple(i for i, record in labelled.items() if record.counts.get(UNTOUCHED)),
        one_sided={i: float(r.counts[ONE_SIDED]) for i, r in labelled.items() if ONE_SIDED in r.counts},
        taken_for_empty=tuple(i for i, record in labelled.items() if record.counts.get(NO_FILE)),
    )


def _unlike(
    project: Project, run: Run, prepared: Mapping[str, Record], splits: Mapping[str, tuple[str, str]]
) -> tuple[Unlike, ...]:
    names = project.legend.names
    mixture = {i: np.array([float(r.counts.get(f"area {n}", 0.0)) for n in names]) for i, r in prepared.items()}
    sides = {side: [i for i in prepared if splits[i][1] == side] for side in ("train", "validate")}
    if not all(sides.values()):
        return ()
    looks = {i: open_prepared(run, i).look for side in sides.values() for i in side}

    def against(name: str, scenes: list[str], known: list[str]) -> Unlike:
        ours, theirs = (np.sum([mixture[i] for i in side], axis=0) for side in (scenes, known))
        first, second = (pool_looks([looks[i] for i in side]) for side in (scenes, known))
        return Unlike(name, unlikeness(ours, theirs), looks_apart(first, second))

    train, held = sides["train"], sides["validate"]
    rows = [against("held-out scenes together", held, train)]
    if len({splits[i][0] for i in train}) > 1:
        # A place of training against the others: what is usual between places.
        others = {p: [i for i in train if splits[i][0] != p] for p in dict.fromkeys(splits[i][0] for i in train)}
        usual = [against(p, [i for i in train if splits[i][0] == p], rest) for p, rest in others.items()]
        middle = [float(np.nanmedian(values)) if np.isfinite(values).any() else math.nan for values in (
            np.array([row.mixture for row in usual]), np.array([row.looks for row in usual]))]  # fmt: skip
        rows.append(Unlike("a training place against the others, median", *middle))
    each = [against(i, [i], train) for i in held] if len(held) > 1 else []
    return (*rows, *sorted(each, key=lambda row: -max(np.nan_to_num(row.mixture), np.nan_to_num(row.looks))))


def _predicted_areas(project: Project, run: Run, vectorized: Mapping[str, Record]) -> dict[str, float]:
    areas = dict.fromkeys(project.legend.names, 0.0)
    for scene_id in vectorized:
        for name, area in class_areas(run.checked(run.features(scene_id))).items():
            if name in areas:
                areas[name] += area
    return areas if vectorized else {}


def _curves(project: Project, run: Run, score: Score | None) -> tuple[ThresholdCurve, ...]:
    names = project.legend.names
    counts = np.zeros((len(names), 2, 256), np.int64)
    for scene_id in score.scenes if score else ():
        counts += count_levels(run, scene_id, len(names), exclusive=project.recipe.vectorize.exclusive)
    threshold = effective_recipe(project.recipe, run).vectorize.threshold
    return tuple(
        curve_of(name, counts[k], threshold.of(name)) for k, name in enumerate(names) if counts[k, 1].sum() > 0
    )


def _dropped(records: Mapping[str, Mapping[str, Record]]) -> tuple[tuple[str, str, float], ...]:
    totals: dict[tuple[str, str], float] = {}
    for stage, items in records.items():
        for record in items.values():
            for what, count in record.counts.items():
                if count and not what.startswith(KEPT) and not what.endswith(": kept") and not _only_changed(what):
                    totals[stage, what] = totals.get((stage, what), 0) + count
    return tuple((stage, what, count) for (stage, what), count in totals.items())


def _not_scored(score: Score | None) -> Iterator[tuple[str, str, float]]:
    if score is not None:
        for row in score.left_out:
            what = f"ground in {score.unit}" if row.what == "ground" else row.what
            yield "score", f"{what}: {row.why}", row.count


def _only_changed(what: str) -> bool:
    """Tell whether a rule's count is of polygons that are still there."""
    rule, _, reason = what.partition(": ")
    return rule.startswith("rule ") and reason.startswith(("before", "after", "changed", "added"))


def _failed(project: Project, run: Run, records: Mapping[str, Mapping[str, Record]]) -> tuple[tuple[str, str], ...]:
    """Name the scenes that got lost on the way, with the reason where it was noted."""
    said = {stage: run.failures(stage) for stage in STAGES}
    lost = {s.id: "not prepared" for s in project.scenes.scenes if s.id not in records["prepare"]}
    if records["vectorize"]:
        lost |= {i: "predicted, no polygons" for i in records["predict"] if i not in records["vectorize"]}
    known = {s.id for s in project.scenes.scenes}
    for stage in reversed(STAGES):
        # The first stage that failed a scene is why the later ones did without it.
        lost |= {i: f"{stage}: {reason}" for i, reason in said[stage].items() if i in known or stage == "train"}
    return tuple(lost.items())


def _recipe_text(project: Project) -> str:
    return f"# as written in {project.name}\n\n{project.text.strip()}\n\n# with all defaults\n\n" + json.dumps(
        recipe_dict(project.recipe), indent=1
    )


def _unit(run: Run, prepared: Mapping[str, Record]) -> str:
    grids = [open_prepared(run, scene_id).grid for scene_id in list(prepared)[:1]]
    return "px2" if all(grid.crs is None for grid in grids) else "m2"


def _rows(run: Run, path: Path) -> tuple[dict[str, float], ...]:
    return tuple({key: float(value) for key, value in row.items() if value} for row in _read_csv(run, path))


def _read_csv(run: Run, path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    return list(csv.DictReader(run.checked(path).read_text(encoding="utf-8").splitlines()))


def _json(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    return unseal(path.read_bytes(), str(path), do="delete it; `landscribe run` writes it again", sealed=False)
