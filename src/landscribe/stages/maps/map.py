"""`map`: the run folder -> one self-contained `map.html`, beside `report.html`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from landscribe.io.atomic import write_text
from landscribe.io.project import Progress, Project, StageResult, make_items, silent
from landscribe.io.project.splits import split_of
from landscribe.io.run.runs import Made, Run, make_key
from landscribe.io.run.scored import run_score
from landscribe.report.map import render_map
from landscribe.report.map.gather import gather_map

FORMAT = 2
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""

MAP, REPORT = "map.html", "report.html"
MOST_BYTES, PARTS = 30_000_000, (1.0, 0.6, 0.3)
"""Largest page, and how much of their bytes pictures and polygons get until it fits; all of them nearly always do."""
RECORD = "webmap"
"""Stage name of its record: `map` is that of `features.gpkg`."""
STAGES = ("prepare", "predict", "vectorize", "score", "suggest")


def map(project: Project, run: Run, progress: Progress = silent) -> StageResult:
    """Write the map of a run as far as it has come.

    Args:
        project: The recipe with its data.
        run: The run folder; `prepare` must have run.
        progress: Told of each scene.

    Returns:
        What was made, or that it was up to date.

    Examples:
        >>> import landscribe as ls
        >>> ls.write_map(project, run).failed
        {}
    """
    run.require("prepare")
    records = {stage: {i: (r.key, dict(r.outputs)) for i, r in run.records(stage).items()} for stage in STAGES}
    split = split_of(project, run)
    classes = [(c.id, c.name, c.colour) for c in project.legend]
    title = Path(project.name).stem
    key = make_key(FORMAT, stages=records, legend=classes, split=split.digest, title=title)
    target = run.path(MAP)

    def make(_item: str) -> Made:
        score = run_score(run) if records["score"] else None
        for part in PARTS:
            data = gather_map(
                run, project.legend, split, score, title=title, report=REPORT, part=part, progress=progress
            )
            page = render_map(data.manifest, data.scenes)
            if len(page.encode("utf-8")) <= MOST_BYTES:
                break
        write_text(target, page)
        counts = {"scenes shown": len(data.scenes), "polygons shown": data.shown, "bytes": len(page)}
        if data.shown < data.total:
            counts["polygons too many for the page"] = data.total - data.shown
        return Made((target,), counts)

    return replace(make_items(run, RECORD, ["all"], lambda _item: key, make), stage="map")
