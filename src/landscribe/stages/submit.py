"""`submit`: features -> the submission in the sample's order, checked row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby

import numpy as np

from landscribe.core.arrays import GeometryArray
from landscribe.core.features import of_class
from landscribe.errors import DataError, problem
from landscribe.io.project import Progress, Project, StageResult, make_items, silent
from landscribe.io.run.runs import Made, Run, make_key
from landscribe.io.source.dstl import read_sample
from landscribe.io.source.submissions import Key, check_submission
from landscribe.io.vector.vectors import read_own
from landscribe.io.vector.wkt_csv import write_wkt_csv

FORMAT = 1
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""

SUBMISSION = "submission.csv"
FILLED = "rows with polygons"
"""Count of a record."""


def submit(project: Project, run: Run, progress: Progress = silent) -> StageResult:
    """Write the submission of a DSTL run and check it; memory depends on the largest scene.

    Args:
        project: The recipe with its data; its source must have a sample submission.
        run: The run folder; `vectorize` must have run.
        progress: Told of the steps.

    Raises:
        DataError: If there is no sample submission, or what was written does not pass the check.

    Examples:
        >>> import landscribe as ls
        >>> ls.submit(project, run).failed
        {}
    """
    sample = project.scenes.sample_submission
    if sample is None:
        raise DataError(
            problem("submit", "no sample_submission.csv", need="a DSTL data folder", do="leave this stage out")
        )
    table = project.recipe.submit
    predicted = run.require("vectorize")
    records = {i: record for i, record in predicted.items() if table.scenes is None or i in table.scenes}
    asked = read_sample(sample)
    settings = table.model_dump(mode="json")
    key = make_key(FORMAT, inputs={i: r.outputs for i, r in records.items()}, sample=asked, settings=settings)
    target = run.path(SUBMISSION + (".gz" if table.gzip else ""))

    def make(_item: str) -> Made:
        counts = Counter[str]()
        write_wkt_csv(target, _rows(project, run, set(records), asked, counts), decimals=table.decimals)
        problems = check_submission(target, asked, decimals=table.decimals).problems
        if problems:
            raise DataError(problem(target.name, f"{len(problems)} bad rows: " + "; ".join(problems[:5])))
        images = {i for i, _ in asked}
        counts["images without prediction"] = len(images - set(predicted))
        counts["images left empty by [submit].scenes"] = len((images & set(predicted)) - set(records))
        return Made((target,), {reason: n for reason, n in counts.items() if n})

    result = make_items(run, "submit", ["all"], lambda _item: key, make, progress)
    record = run.read_record("submit", "all")
    if record is not None and not record.counts.get(FILLED):
        result.notes.append(f"WARNING: {target.name} is empty: no row has a polygon")
    return result


def _rows(
    project: Project, run: Run, known: set[str], asked: list[Key], counts: Counter[str]
) -> Iterator[tuple[str, int, GeometryArray]]:
    names = {c.id: c.name for c in project.legend}
    nothing = np.empty(0, dtype=object)
    for scene_id, keys in groupby(asked, key=lambda key: key[0]):
        features = read_own(run.checked(run.features(scene_id))) if scene_id in known else None
        for _, class_id in keys:
            found = nothing if features is None or class_id not in names else of_class(features, names[class_id])
            counts["rows"] += 1
            counts[FILLED] += bool(len(found))
            yield scene_id, class_id, found
