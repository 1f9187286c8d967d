"""`vote`: several submissions -> the ground that enough of them agree on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import shapely

from landscribe.core.arrays import GeometryArray
from landscribe.core.polygons.repair import REPAIRED, repair
from landscribe.core.polygons.rings import polygon_parts
from landscribe.core.rules.overlay import agreed_ground
from landscribe.errors import DataError, problem
from landscribe.io.source.dstl import read_sample
from landscribe.io.source.submissions import Key
from landscribe.io.vector.wkt_csv import read_wkt_csv, write_wkt_csv
from landscribe.workers import stop_if_asked

TO_PIXELS = 2.0**18
"""DSTL's unit is some 370,000 pixels; a power of two moves no digit."""


def vote(
    target: Path,
    sources: Sequence[Path],
    *,
    at_least: int = 2,
    sample: Path | None = None,
    class_ids: Collection[int] | None = None,
    buffer: float = 0.0,
    simplify: float = 0.0,
    min_area: float = 0.0,
    decimals: int = 8,
) -> dict[str, int]:
    """Write the ground that at least so many of several submissions cover, image by image and class by class.

    Args:
        target: `.csv` or `.csv.gz` to write.
        sources: Submissions, plain or gzipped.
        at_least: How many of them must cover the ground.
        sample: Sample submission, whose rows in their order the result has; None takes the rows of the first file.
        class_ids: Only these ClassTypes, from 1; the others become empty. None votes on all.
        buffer: Length, in coordinates of the file, by which the outlines of the united ground move outwards.
        simplify: Largest move of an outline of the united ground in simplification, in coordinates of the file.
        min_area: Smallest polygon, in squared coordinates of the file.
        decimals: Decimals of the result.

    Returns:
        Counts of rows and polygons by what became of them.

    Raises:
        DataError: If a file is no submission or has rows that cannot be read, or there are too few files.

    Source:
        DSTL's fifth place votes with 2 of 3: it unites what each two of them share, and gives the whole a buffer of
        1e-7 and a simplification of 1e-6.

    Examples:
        >>> import landscribe as ls
        >>> own = run.root / "submission.csv.gz"
        >>> counts = ls.vote(Path("voted.csv"), [own, own, own], at_least=2)
        >>> Path("voted.csv").is_file()
        True
    """
    if not 1 <= at_least <= len(sources):
        raise DataError(problem("vote", "impossible majority", got=f"{at_least} of {len(sources)}"))
    counts = Counter[str]()
    layers = [_read(path, class_ids, counts) for path in sources]
    asked = read_sample(sample) if sample is not None else list(layers[0])
    nothing = np.empty(0, dtype=object)
    rows = []
    for key in asked:
        votes = [layer.get(key, nothing) for layer in layers]
        ground = nothing
        if sum(len(polygons) > 0 for polygons in votes) >= at_least:
            if buffer or simplify:
                ground = _finish(_united(votes, at_least), buffer * TO_PIXELS, simplify * TO_PIXELS)
            else:
                ground = agreed_ground(votes, at_least)
            large = shapely.area(ground) >= min_area * TO_PIXELS**2
            counts["left out, too small"] += int(np.count_nonzero(~large))
            ground = ground[large]
        counts["rows with polygons"] += len(ground) > 0
        counts["polygons"] += len(ground)
        rows.append((*key, shapely.transform(ground, lambda xy: xy / TO_PIXELS)))
    write_wkt_csv(target, rows, decimals=decimals)
    counts["rows"] = len(rows)
    return {reason: n for reason, n in counts.items() if n}


def _read(path: Path, class_ids: Collection[int] | None, counts: Counter[str]) -> dict[Key, GeometryArray]:
    rows = read_wkt_csv(path)
    if rows.problems:
        raise DataError(problem(str(path), f"{len(rows.problems)} bad rows: {'; '.join(rows.problems[:5])}"))
    fixed, reasons = repair(shapely.transform(rows.geometries, lambda xy: xy * TO_PIXELS))
    counts["rows repaired"] += reasons[REPAIRED]
    wanted = [class_ids is None or int(c) in class_ids for c in rows.class_ids]
    return {
        (image_id, int(class_id)): polygon_parts(fixed[k : k + 1])[0] if wanted[k] else np.empty(0, dtype=object)
        for k, (image_id, class_id) in enumerate(zip(rows.ids, rows.class_ids, strict=True))
    }


def _united(votes: Sequence[GeometryArray], at_least: int) -> shapely.Geometry:
    """Return the ground that so many cover as one geometry, vertices in the order in which the overlay gives them.

    Simplification begins where a ring begins, so the order decides what it leaves. Lines along which polygons touch
    stay in it, as in the original: a buffer makes slivers of them.
    """
    layers = [shapely.MultiPolygon(list(polygons)) for polygons in votes]
    agreed = []
    for some in combinations(layers, at_least):
        stop_if_asked()
        agreed.append(shapely.intersection_all(list(some)))
    return shapely.union_all(agreed)


def _finish(ground: shapely.Geometry, buffer: float, simplify: float) -> GeometryArray:
    if buffer:
        ground = shapely.buffer(ground, buffer, cap_style="square", join_style="bevel")
    if simplify:
        ground = shapely.simplify(ground, simplify)
    return polygon_parts(repair(np.array([ground], dtype=object))[0])[0]
