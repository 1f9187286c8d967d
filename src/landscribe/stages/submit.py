"""`submit`: features -> the submission in the sample's order, checked row by row."""

from __future__ import annotations

import geopandas as gpd
import numpy as np

from landscribe.core.arrays import GeometryArray
from landscribe.core.features import of_class
from landscribe.errors import DataError, problem
from landscribe.io.dstl import read_sample
from landscribe.io.projects import Progress, Project, StageResult, make_items, silent
from landscribe.io.runs import Made, Run, make_key
from landscribe.io.submissions import check_submission
from landscribe.io.vectors import read_own
from landscribe.io.wkt_csv import write_wkt_csv

SUBMISSION = "submission.csv.gz"
DECIMALS = 8


def submit(project: Project, run: Run, progress: Progress = silent, *, decimals: int = DECIMALS) -> StageResult:
    """Write the submission of a DSTL run and check it.

    Args:
        project: The recipe with its data; its source must have a sample submission.
        run: The run folder; `vectorize` must have run.
        progress: Told of the steps.
        decimals: Decimals of the coordinates; 8 are 0.004 pixel.

    Raises:
        DataError: If there is no sample submission, or what was written does not pass the validator.
    """
    sample = project.scenes.sample_submission
    if sample is None:
        raise DataError(
            problem("submit", "no sample_submission.csv", need="a DSTL data folder", do="leave this stage out")
        )
    records = run.require("vectorize")
    asked = read_sample(sample)
    key = make_key(inputs={i: r.outputs for i, r in records.items()}, sample=asked, decimals=decimals)
    target = run.path(SUBMISSION)

    def make(_item: str) -> Made:
        features = {i: read_own(run.features(i)) for i in records}
        rows, filled = [], 0
        for scene_id, class_id in asked:
            rows.append((scene_id, class_id, _polygons(features, project, scene_id, class_id)))
            filled += bool(len(rows[-1][2]))
        write_wkt_csv(target, rows, decimals=decimals)
        problems = check_submission(target, asked, decimals=decimals).problems
        if problems:
            raise DataError(problem(target.name, f"{len(problems)} bad rows: " + "; ".join(problems[:5])))
        absent = len({i for i, _ in asked} - set(records))
        return Made((target,), {"rows": len(rows), "rows with polygons": filled, "images without prediction": absent})

    return make_items(run, "submit", ["all"], lambda _item: key, make, progress)


def _polygons(features: dict[str, gpd.GeoDataFrame], project: Project, scene_id: str, class_id: int) -> GeometryArray:
    names = [c.name for c in project.legend if c.id == class_id]
    if scene_id not in features or not names:
        return np.empty(0, dtype=object)
    return of_class(features[scene_id], names[0])
