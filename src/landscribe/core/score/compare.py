"""Two scores of the same scenes: which differences are real.

Both are drawn over the same places at once, so that what makes a place easy or hard for both cancels out. That tells
apart differences that are far smaller than either interval. With one place, or one scene, its scenes or parts are drawn
(see `landscribe.core.score.intervals`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import TypeAdapter

from landscribe.core.arrays import FloatArray
from landscribe.core.score._shape import ROW, to_text
from landscribe.core.score.intervals import DRAWS, NO_INTERVAL, Basis, Evidence, interval, jaccard_of
from landscribe.core.score.rows import TunedRow, Tuning
from landscribe.core.score.score import Kind, Score, areas_table, parts_table
from landscribe.core.score.scores import mean_over_classes
from landscribe.core.score.seeds import NOISE, RowSeeds, seed_noise
from landscribe.errors import DataError, problem

SAME = 1e-6
"""Areas of the same ground differ by less, in parts of them: they are sums of differing pieces."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Two Jaccards of one class, or of the mean, and how far they differ; None where there is no value."""

    first: float | None
    second: float | None
    difference: float | None
    """Second minus first."""
    low: float | None
    """Lower end of the 95 % interval of the difference."""
    high: float | None
    """Upper end."""
    basis: Basis | None
    """What was drawn."""
    real: bool | None
    """True where the interval leaves out 0, False where it holds 0, None where there is too little to tell."""
    places: int
    """Places that show the class in one of the two."""
    seed_noise: float | None = None
    """By how much two such runs differ by their seeds alone: a standard deviation; None where nobody can tell."""
    beyond_seeds: bool | None = None
    """True where the difference is larger than twice that."""


@dataclass(frozen=True, slots=True)
class Alone:
    """What only one of two scores has."""

    scenes: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparing:
    """How two scores are compared, in words, with the numbers it depends on."""

    difference: str
    real: str
    basis: str
    caution: str
    draws: int
    seed: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two scores, on the scenes and classes that both have."""

    __pydantic_config__ = ROW

    mean: Difference
    """A class counts where both have a Jaccard of it."""
    classes: Mapping[str, Difference]
    scenes: tuple[str, ...]
    """In both."""
    places: int
    """Of these scenes."""
    only_first: Alone
    only_second: Alone
    other_truth: tuple[str, ...]
    """Scenes in both whose labels, or whose ground that counts, are not the same in both."""
    kind: Kind
    """What was compared."""
    conventions: Comparing

    def to_json(self) -> str:
        """Return the comparison as JSON."""
        return to_text(_COMPARISON, self)


_COMPARISON: TypeAdapter[Comparison] = TypeAdapter(Comparison)


def compare_scores(
    first: Score,
    second: Score,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    kind: Kind = "polygon",
    seeds: tuple[Sequence[RowSeeds], Sequence[RowSeeds]] = ((), ()),
) -> Comparison:
    """Compare two scores on the scenes and classes they share.

    Args:
        first: A score.
        second: Another one.
        draws: Bootstrap samples.
        seed: Of the bootstrap.
        kind: What is compared.
        seeds: What the networks of each side gave alone, row by row.

    Raises:
        DataError: If no scene or no class is in both, the units differ, or a scene lies in different places.
    """
    scenes = [scene for scene in first.scenes if scene in second.scenes]
    names = [name for name in first.classes if name in second.classes]
    _check(first, second, scenes, names)
    order = {place: i for i, place in enumerate(sorted({first.places[scene] for scene in scenes}))}
    both_sjk3 = np.concatenate([areas_table(score, scenes, names, kind) for score in (first, second)], axis=1)
    place_pjk3 = np.zeros((len(order), 2 * len(names), 3))
    np.add.at(place_pjk3, [order[first.places[scene]] for scene in scenes], both_sjk3)
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
    of_mean, of_class = seed_noise(*seeds, names)
    rows = {name: _row(now[:, k], evidence, [k], int(seen[k])) for k, name in enumerate(names)}
    return Comparison(
        mean=_beside(_row(mean_over_classes(shared), evidence, range(len(names)), len(order)), of_mean),
        classes={name: _beside(row, of_class[name]) for name, row in rows.items()},
        scenes=tuple(scenes),
        places=len(order),
        only_first=_alone(first, second),
        only_second=_alone(second, first),
        other_truth=_other_truth(scenes, both_sjk3[:, : len(names)], both_sjk3[:, len(names) :]),
        kind=kind,
        conventions=Comparing(
            difference="second minus first, on the scenes and classes in both",
            real=f"the 95 % interval of the difference over {draws} paired bootstrap samples leaves out 0",
            basis="what is drawn: places, or scenes or parts of a scene where there is one place or one scene only",
            caution="of twenty classes without any difference, one looks real by chance",
            draws=draws,
            seed=seed,
        ),
    )


def _beside(row: Difference, noise: float | None) -> Difference:
    """Return a difference with what seeds alone make."""
    if noise is None or row.difference is None:
        return row
    return replace(row, seed_noise=noise, beyond_seeds=abs(row.difference) > NOISE * noise)


def tuning_of(by_default: Score, tuned: Score, *, seed: int = 0) -> Tuning:
    """Compare the score as the recipe alone makes it with the tuned one, on scenes that nothing was tuned on.

    Args:
        by_default: By the recipe alone.
        tuned: With what was tuned.
        seed: Of the bootstrap.

    Raises:
        DataError: As `compare_scores`.
    """

    def row(found: Difference) -> TunedRow:
        return TunedRow(found.first, found.second, found.difference, found.low, found.high, found.basis, found.real)

    compared = compare_scores(by_default, tuned, seed=seed)
    return Tuning(row(compared.mean), {name: row(found) for name, found in compared.classes.items()})


def _check(first: Score, second: Score, scenes: list[str], names: list[str]) -> None:
    if not scenes or not names:
        what = "no scene in both" if not scenes else "no class in both"
        had = [list(score.scenes if not scenes else score.classes) for score in (first, second)]
        got = "; ".join(", ".join(some[:3]) for some in had)
        raise DataError(problem("compare", what, got=got, do="score both on the same scenes"))
    if first.unit != second.unit:
        raise DataError(problem("compare", "units differ", got=f"{first.unit} and {second.unit}"))
    moved = [scene for scene in scenes if first.places[scene] != second.places[scene]]
    if moved:
        got = f"{first.places[moved[0]]!r} and {second.places[moved[0]]!r}"
        raise DataError(problem("compare", f"scene {moved[0]!r} lies in two places", got=got))


def _row(now_2: FloatArray, evidence: Evidence, classes: Sequence[int], places: int) -> Difference:
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
    return Difference(
        first=values[0],
        second=values[1],
        difference=values[2],
        low=ends.low if known else None,
        high=ends.high if known else None,
        basis=basis,
        real=bool(ends.low > 0 or ends.high < 0) if known else None,
        places=places,
    )


def _other_truth(scenes: Sequence[str], first_sk3: FloatArray, second_sk3: FloatArray) -> tuple[str, ...]:
    """Return the scenes of which a class is true on more ground, or less, in one score than in the other."""
    one_sk, two_sk = (areas_sk3[..., 0] + areas_sk3[..., 2] for areas_sk3 in (first_sk3, second_sk3))
    other_s = np.flatnonzero((np.abs(one_sk - two_sk) > SAME * np.maximum(one_sk, two_sk)).any(axis=1))
    return tuple(scenes[s] for s in other_s.tolist())


def _alone(one: Score, other: Score) -> Alone:
    return Alone(
        tuple(name for name in one.scenes if name not in other.scenes),
        tuple(name for name in one.classes if name not in other.classes),
    )
