"""The list of windows that are worth labelling, as a map takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from landscribe.core.grid import Grid
from landscribe.io.review.suggested import read_suggested
from landscribe.io.run.runs import Run
from landscribe.report.map.frames import Frame, extent_of


def suggested_rows(
    run: Run, grids: Mapping[str, Grid], frames: Sequence[Frame], frame_of: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Return the suggested windows of a run, the most worth first; none where nobody asked, or what was said is old.

    Args:
        run: The run folder.
        grids: Scene -> its reference grid, in the order of the page.
        frames: As `frames_of` returns them.
        frame_of: Scene -> the id of its frame.

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
            "scene": place[row.scene],
            "text": f"Window {row.rank}",
            "why": row.why,
            "score": row.score,
            "bbox": [round(v, 3) for v in extent_of(grids[row.scene].crop(row.window), by_id[frame_of[row.scene]])],
        }
        for row in found.windows
        if row.scene in place
    ]
