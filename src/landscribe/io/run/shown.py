"""How a run looks in a notebook: its score, what each stage made, and what failed."""

from __future__ import annotations

from landscribe.core.markup import Html, el
from landscribe.core.score.shown import show_score
from landscribe.core.shown import box, lines, table
from landscribe.errors import IntegrityError
from landscribe.io.run.runs import Run
from landscribe.io.run.scored import run_score

PAGES = "report.html", "map.html"


def show_run(run: Run) -> str:
    """Return a run folder as HTML; what is damaged is said, and the rest is shown."""
    done = run.root / ".done"
    rows: list[list[str | int]] = []
    failed, notes = [], []
    try:
        stages = [path.name for path in done.iterdir() if path.is_dir()] if done.is_dir() else []
        for stage in sorted(stages, key=lambda name: _when(run, name)):
            records = run.records(stage)
            rows.append([stage, len(records), f"{sum(r.seconds for r in records.values()):.1f}"])
            failed += [f"{stage}: {reason}" for reason in run.failures(stage).values()]
        score = run_score(run)
    except IntegrityError as error:
        score, notes = None, [str(error)]
    scored = Html("") if score is None else Html(show_score(score))
    pages = [run.path(name) for name in PAGES]
    links = [Html(el("a", path.name, href=path.resolve().as_uri()) + " ") for path in pages if path.is_file()]
    made = table(["stage", "items", "seconds"], rows) if rows else "nothing was done yet"
    return box(f"Run {run.root}", scored, made, lines([*(f"failed: {line}" for line in failed), *notes]), *links)


def _when(run: Run, stage: str) -> float:
    return max((file.stat().st_mtime for file in (run.root / ".done" / stage).glob("*.json")), default=0.0)
