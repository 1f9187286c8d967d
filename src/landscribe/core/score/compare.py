"""Two scores of the same scenes: which differences are real.

Both are drawn over the same places at once, so that what makes a place easy or hard for both cancels out. That tells
apart differences that are far smaller than either interval. With one place, or one scene, its scenes or parts are drawn
(see `landscribe.core.score.intervals`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from landscribe.core.arrays import FloatArray
from landscribe.core.score.intervals import DRAWS, NO_INTERVAL, Basis, Evidence, interval, jaccard_of
from landscribe.core.score.scores import areas_table, mean_over_classes, parts_table
from landscribe.errors import DataError, problem


def compare_scores(
    first: Mapping[str, Any], second: Mapping[str, Any], *, draws: int = DRAWS, seed: int = 0, kind: str = "polygon"
) -> dict[str, Any]:
    """Compare two scores on the scenes and classes they share.

    Args:
        first: Content of a `score.json`.
        second: Content of another one.
        draws: Bootstrap samples.
        seed: Of the bootstrap.
        kind: `polygon` or `pixel`.

    Returns:
        `mean` and `classes`, each with `first`, `second`, `difference` (second minus first), the 95 % interval of the
        difference (`low`, `high`) and `real`: True where the interval leaves out 0, False where it holds 0, None
        where there are too few places to tell; and what was compared.

    Raises:
        DataError: If no scene or no class is in both, the units differ, or a scene lies in different places.
    """
    scenes = [scene for scene in first["scenes"] if scene in second["scenes"]]
    names = [name for name in first["classes"] if name in second["classes"]]
    _check(first, second, scenes, names)
    order = {place: i for i, place in enumerate(sorted({first["places"][scene] for scene in scenes}))}
    both_sjk3 = np.concatenate([areas_table(score, scenes, names, kind) for score in (first, second)], axis=1)
    place_pjk3 = np.zeros((len(order), 2 * len(names), 3))
    np.add.at(place_pjk3, [order[first["places"][scene]] for scene in scenes], both_sjk3)
    tables: dict[Basis, FloatArray] = {"places": place_pjk3, "scenes": both_sjk3}
    if kind == "polygon":
        parts = [parts_table(score, scenes, names) for score in (first, second)]
        if len(parts[0]) == len(parts[1]):
            tables["parts"] = np.concatenate(parts, axis=1)
    evidence = Evidence(tables, draws, seed)
    now = jaccard_of(both_sjk3.sum(0)).reshape(2, -1)
    # A class counts in the mean only where both have a value, or the two means would be of different things.
    shared = np.where(np.isnan(now).any(axis=0), math.nan, now)
    seen = (place_pjk3.sum(-1).reshape(len(order), 2, -1).sum(1) > 0).sum(0)
    return {
        "mean": _row(mean_over_classes(shared), evidence, range(len(names)), len(order)),
        "classes": {name: _row(now[:, k], evidence, [k], int(seen[k])) for k, name in enumerate(names)},
        "scenes": scenes,
        "places": len(order),
        "only_first": _alone(first, second),
        "only_second": _alone(second, first),
        "kind": kind,
        "conventions": {
            "difference": "second minus first, on the scenes and classes in both",
            "real": f"the 95 % interval of the difference over {draws} paired bootstrap samples leaves out 0",
            "basis": "what is drawn: places, or scenes or parts of a scene where there is one place or one scene only",
            "caution": "of twenty classes without any difference, one looks real by chance",
            "draws": draws,
            "seed": seed,
        },
    }


def _check(first: Mapping[str, Any], second: Mapping[str, Any], scenes: list[str], names: list[str]) -> None:
    if not scenes or not names:
        what = "no scene in both" if not scenes else "no class in both"
        key = "scenes" if not scenes else "classes"
        got = "; ".join(", ".join(list(score[key])[:3]) for score in (first, second))
        raise DataError(problem("compare", what, got=got, do="score both on the same scenes"))
    if first["unit"] != second["unit"]:
        raise DataError(problem("compare", "units differ", got=f"{first['unit']} and {second['unit']}"))
    moved = [scene for scene in scenes if first["places"][scene] != second["places"][scene]]
    if moved:
        got = f"{first['places'][moved[0]]!r} and {second['places'][moved[0]]!r}"
        raise DataError(problem("compare", f"scene {moved[0]!r} lies in two places", got=got))


def _row(now_2: FloatArray, evidence: Evidence, classes: Sequence[int], places: int) -> dict[str, Any]:
    count = evidence.tables["places"].shape[1] // 2
    basis = evidence.basis_of([*classes, *(count + k for k in classes)])
    ends = NO_INTERVAL
    if basis is not None:
        drawn_n2k = evidence.draw(basis).reshape(-1, 2, count)[:, :, list(classes)]
        drawn_n2k = np.where(np.isnan(drawn_n2k).any(axis=1, keepdims=True), math.nan, drawn_n2k)
        first_n, second_n = mean_over_classes(drawn_n2k).T
        ends = interval(second_n - first_n)
    known = not math.isnan(ends.low)
    values = [None if math.isnan(value) else float(value) for value in (*now_2, now_2[1] - now_2[0])]
    return {
        "first": values[0],
        "second": values[1],
        "difference": values[2],
        "low": ends.low if known else None,
        "high": ends.high if known else None,
        "basis": basis,
        "real": bool(ends.low > 0 or ends.high < 0) if known else None,
        "places": places,
    }


def _alone(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[str]]:
    return {key: [name for name in one[key] if name not in other[key]] for key in ("scenes", "classes")}
