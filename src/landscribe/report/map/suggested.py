"""The list of windows that are worth labelling, as a map takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from landscribe.core.grid import Grid
from landscribe.io.review.suggested import read_suggested
from landscribe.io.run.runs import Run
from landscribe.report.map.frames import Frame, extent_of


def suggested_rows(
    run: Run, grids: Mapping[str, Grid], frames: Sequence[Frame], frame_of: Mapping[str, int], *, key: str = ""
) -> list[dict[str, Any]]:
    """Return the suggested windows of a run, the most worth first; none where nobody asked, or what was said is old.

    Args:
        run: The run folder.
        grids: Name of a scene -> its reference grid, in the order of the page.
        frames: As `frames_of` returns them.
        frame_of: Name of a scene -> the id of its frame.
        key: What stands before a scene's own name in these, in a page of several runs.

    Returns:
        Rows that the page zooms to. Windows of scenes that it does not show are left out.

    Raises:
        IntegrityError: If what was suggested was changed since.
    """
    found = read_suggested(run)
    if found is None:
        return []
    place = {scene: number for number, scene in enumerate(grids)}
    by_id = {frame.id: frame for frame in frames}
    return [
        {
            "scene": place[key + row.scene],
            "text": f"Window {row.rank}",
            "why": row.why,
            "score": row.score,
            "bbox": [
                round(v, 3)
                for v in extent_of(grids[key + row.scene].crop(row.window), by_id[frame_of[key + row.scene]])
            ],
        }
        for row in found.windows
        if key + row.scene in place
    ]
