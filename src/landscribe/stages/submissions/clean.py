"""`clean`: the class rules of a recipe on a submission."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import shapely

from landscribe.core.arrays import GeometryArray
from landscribe.core.features import join_features, make_features, of_class
from landscribe.core.polygons.repair import REPAIRED, repair
from landscribe.core.polygons.rings import polygon_parts
from landscribe.core.rules import apply_rules, check_rules
from landscribe.errors import DataError, problem
from landscribe.io.project import Progress, Project, silent
from landscribe.io.source.scenes import sensor_grids
from landscribe.io.source.submissions import Key
from landscribe.io.vector.wkt_csv import read_wkt_csv, write_wkt_csv


def clean(project: Project, source: Path, target: Path, progress: Progress = silent) -> dict[str, int]:
    """Apply the rules of a recipe to a submission, image by image; its rows keep their order.

    Args:
        project: A recipe with rules, and the data folder whose images the submission is about.
        source: Submission, plain or gzipped.
        target: The same with rules applied; `[submit].decimals` holds.
        progress: Told of each image.

    Returns:
        Counts of polygons by rule and what became of them.

    Raises:
        DataError: If the file has bad rows, or polygons in an image that the data folder lacks.
        RecipeError: If a rule names an unknown class.

    Examples:
        >>> import landscribe as ls
        >>> counts = ls.clean(project, run.root / "submission.csv.gz", Path("cleaned.csv"))
        >>> Path("cleaned.csv").is_file()
        True
    """
    legend = project.legend
    check_rules(project.recipe.rules, legend)
    rows = read_wkt_csv(source)
    if rows.problems:
        raise DataError(problem(str(source), f"{len(rows.problems)} bad rows: {'; '.join(rows.problems[:5])}"))
    polygons = dict(zip(zip(rows.ids, map(int, rows.class_ids), strict=True), rows.geometries, strict=True))
    if len(polygons) < len(rows.ids):
        raise DataError(problem(str(source), "an image and class occur twice", do="run `landscribe check` on it"))
    unknown = sorted({class_id for _, class_id in polygons} - {c.id for c in legend})
    if unknown:
        raise DataError(problem(str(source), "ClassType that the legend lacks", got=unknown[0]))
    counts = Counter[str]()
    write_wkt_csv(target, _cleaned(project, polygons, counts, progress), decimals=project.recipe.submit.decimals)
    return {reason: n for reason, n in counts.items() if n}


def _cleaned(
    project: Project, polygons: dict[Key, shapely.Geometry], counts: Counter[str], progress: Progress
) -> Iterator[tuple[str, int, GeometryArray]]:
    legend, rules = project.legend, project.recipe.rules
    names = {c.id: c.name for c in legend}
    keys = list(polygons)
    for number, (scene_id, of_scene) in enumerate(groupby(keys, key=lambda key: key[0])):
        progress(f"clean {scene_id}", number, len(keys) // max(len(legend), 1))
        wanted = [class_id for _, class_id in of_scene]
        parts = []
        for class_id in wanted:
            fixed, reasons = repair(np.array([polygons[scene_id, class_id]], dtype=object))
            counts["rows repaired"] += reasons[REPAIRED]
            parts.append(make_features(scene_id, legend.by_name(names[class_id]), polygon_parts(fixed)[0]))
        features = join_features(parts)
        if len(features):
            scene = project.scenes.by_id(scene_id)
            grid = sensor_grids(scene)[scene.reference.name]
            features, steps = apply_rules(features, rules, legend, {scene_id: grid}, places={scene_id: scene.place})
            for step, reasons in enumerate(steps, start=1):
                counts.update({f"rule {step}: {reason}": n for reason, n in reasons.items()})
        for class_id in wanted:
            yield scene_id, class_id, of_class(features, names[class_id])
