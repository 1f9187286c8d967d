"""What a stage made once and would not make now: removed, so that a run that went on is the one that never stopped."""

from __future__ import annotations

from collections.abc import Collection

from landscribe.errors import some
from landscribe.io.run.runs import Run


def leave_only(run: Run, stage: str, wanted: Collection[str]) -> list[str]:
    """Remove what a stage made of scenes that it makes nothing of any more, as when they train now.

    Args:
        run: The run folder.
        stage: Stage name, as in records.
        wanted: Items of the stage.

    Returns:
        What is to be said of it.
    """
    kept = set(wanted)
    gone = {item: record for item, record in run.records(stage).items() if item not in kept}
    for item, record in gone.items():
        for name in record.outputs:
            run.path(name).unlink(missing_ok=True)
        run.forget(stage, item)
    if not gone:
        return []
    return [f"{stage}: removed what an earlier split or recipe made of {some(sorted(gone))}"]
