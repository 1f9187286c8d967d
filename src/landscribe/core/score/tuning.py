"""Tuning: threshold, minimum area and shape of each class, chosen on scenes that a model has not seen.

What is chosen for is the Jaccard of areas, or the F1 of objects; of the same counts, the larger Jaccard has the larger
F1, so that one search does for both.

The choice is searched step by step: threshold and minimum area together, then a largest area, one change of shape,
further simplification, and how many views are averaged. What the choice gains is measured on places that it was not
made on, so that the gain is not flattered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import shapely

from landscribe.core.arrays import BoolArray, FloatArray, GeometryArray, IntArray
from landscribe.core.polygons.flatten import flatten
from landscribe.core.recipe import AreaTable, Recipe, RuleTable, ThresholdTable, TuneTable
from landscribe.core.score.areas import common_area
from landscribe.core.score.intervals import DRAWS, Interval, bootstrap, f1_of, interval, jaccard_of

Reshape = Literal["none", "open", "close", "buffer"]

MIN_PLACES = 6
"""Fewer places with the class are no evidence for a choice: by chance alone five of five gain once in 32 times, more
than the 2.5 % that the interval leaves on that side, and yet the bootstrap of five gains would leave out 0."""
GROUPS = 10
"""Parts that places are dealt into for the nested measure; up to ten places each is a part of its own."""


@dataclass(frozen=True, order=True)
class Choice:
    """How one class becomes polygons; lengths and areas in the units of rules and of `[vectorize].min_area`."""

    threshold: float
    min_area: float
    reshape: Reshape = "none"
    distance: float = 0.0
    """Of the change of shape; a negative buffer moves inwards."""
    simplify: float = 0.0
    """Further simplification; 0 is none."""
    max_area: float = math.inf
    """Polygons above it are dropped, in the units of rules."""
    symmetries: int = 0
    """Views averaged; 0 is what `[predict]` says."""

    def rules(self, class_name: str) -> list[RuleTable]:
        """Return the rules that do what threshold and minimum area do not."""
        steps: list[dict[str, Any]] = [] if math.isinf(self.max_area) else [{"area_window": {"max": self.max_area}}]
        steps += [] if self.reshape == "none" else [{self.reshape: self.distance}]
        steps += [{"simplify": self.simplify}] if self.simplify else []
        return [RuleTable.model_validate({"classes": class_name, **step}) for step in steps]


@dataclass(frozen=True)
class Candidates:
    """What may be chosen."""

    thresholds: tuple[float, ...]
    min_areas: tuple[float, ...]
    reshapes: tuple[tuple[Reshape, float], ...]
    simplify: tuple[float, ...]
    max_areas: tuple[float, ...] = ()
    symmetries: tuple[int, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """What a choice for one class rests on."""

    places: int
    """Places that are measured, those without the class too: what is invented there counts."""
    shown: int
    """Places that show the class."""
    objects: int
    """True polygons."""


@dataclass(frozen=True)
class Tuned:
    """What was found for one class."""

    default: Choice
    chosen: Choice
    """The best on all places, used only if accepted."""
    value_default: float
    """Jaccard of areas, or F1 of objects, as the next three."""
    value_chosen: float
    """On the places that it was chosen on: flattered."""
    value_nested: float
    """Of choices made without the places that they are measured on."""
    gain: Interval
    """95 % interval of the nested value less that of the default, places drawn with replacement."""
    refused: str
    """Why the default stays; empty where the choice is accepted."""

    @property
    def used(self) -> Choice:
        """The choice if accepted, else the default."""
        return self.default if self.refused else self.chosen


MeasureChoice: TypeAlias = Callable[[Choice], FloatArray]
"""Gives TP, FP, FN per place, float64 (P, 3), of polygons made by a choice: areas, or numbers of objects."""


def candidates_of(
    table: TuneTable, default: Choice, length: float, area: float, views: tuple[int, ...] = ()
) -> Candidates:
    """Return the candidates of a recipe, the default first.

    Args:
        table: `[tune]`, in pixels.
        default: What the recipe does without tuning.
        length: Units of rules in a pixel's side.
        area: Units of `[vectorize].min_area` in a pixel.
        views: Numbers of views to try.
    """
    reshapes: list[tuple[Reshape, float]] = [("open", _round(d * length)) for d in table.open_px]
    reshapes += [("close", _round(d * length)) for d in table.close_px]
    reshapes += [("buffer", _round(d * length)) for d in table.buffer_px]
    return Candidates(
        tuple(dict.fromkeys((default.threshold, *table.thresholds))),
        tuple(dict.fromkeys((default.min_area, *(_round(a * area) for a in table.min_areas_px)))),
        tuple(reshapes),
        tuple(_round(d * length) for d in table.simplify_px),
        tuple(_round(a * length**2) for a in table.max_areas_px),
        views,
    )


def fewer_views(recipe: Recipe, class_names: Sequence[str]) -> tuple[int, ...]:
    """Return the numbers of views to try for some classes: fewer than without tuning; none where classes compete."""
    if recipe.vectorize.exclusive:
        return ()
    most = max(recipe.predict.views_of(name) for name in class_names)
    return tuple(sorted({n for n in recipe.tune.symmetries if n < most}))


def choose(measure: MeasureChoice, candidates: Candidates, default: Choice, places: IntArray) -> Choice:
    """Search the choice with the largest Jaccard, areas summed over places.

    Args:
        measure: Measures a choice on all places.
        candidates: What may be chosen.
        default: Where the search begins; it wins every tie.
        places: Rows of the places that count, int (Q,).
    """

    def value(choice: Choice) -> float:
        jaccard = total_jaccard(measure(choice)[places])
        return -1.0 if math.isnan(jaccard) else round(jaccard, 9)  # a choice that changes nothing wins by no rounding

    pairs = [(t, a) for t in candidates.thresholds for a in candidates.min_areas]
    # The first of equals is taken, so the default comes first in each step.
    best = max([default, *(replace(default, threshold=t, min_area=a) for t, a in pairs)], key=value)
    best = max([best, *(replace(best, max_area=a) for a in candidates.max_areas)], key=value)
    best = max([best, *(replace(best, reshape=r, distance=d) for r, d in candidates.reshapes)], key=value)
    best = max([best, *(replace(best, simplify=d) for d in candidates.simplify)], key=value)
    return max([best, *(replace(best, symmetries=n) for n in candidates.symmetries)], key=value)


def tune_class(
    measure: MeasureChoice,
    candidates: Candidates,
    default: Choice,
    evidence: Evidence,
    *,
    objects: bool = False,
    draws: int = DRAWS,
    seed: int = 0,
) -> Tuned:
    """Choose for one class, measure the gain on places the choice was not made on, and accept it if it is real.

    Args:
        measure: Measures a choice on all places.
        candidates: What may be chosen.
        default: What the recipe does.
        evidence: How many places and objects there are.
        objects: Whether objects are measured, whose F1 counts, and not areas.
        draws: Bootstrap samples.
        seed: Of the bootstrap.
    """
    value = _f1_of_counts if objects else jaccard_of

    def total(areas_p3: FloatArray) -> float:
        return float(value(areas_p3.sum(0)))

    if evidence.shown < MIN_PLACES:
        before = total(measure(default)) if evidence.places else math.nan
        nothing = Interval(math.nan, math.nan)
        why = f"{evidence.objects} true polygons in {evidence.shown} places; needs {MIN_PLACES} places"
        return Tuned(default, default, before, before, before, nothing, why)
    chosen = choose(measure, candidates, default, np.arange(evidence.places))
    nested_p3 = nested_areas(measure, candidates, default, evidence.places)
    default_p3 = measure(default)
    drawn = bootstrap(np.stack((default_p3, nested_p3), axis=1), draws, seed)
    gain = interval(value(drawn[:, 1]) - value(drawn[:, 0]))
    refused = ""
    if chosen == default:
        refused = "the default is best"
    elif not gain.low > 0:
        refused = f"the gain on other places may be nothing: {gain.low:+.3f} to {gain.high:+.3f}"
    figures = (total(default_p3), total(measure(chosen)), total(nested_p3))
    return Tuned(default, chosen, *figures, gain, refused)


def nested_areas(measure: MeasureChoice, candidates: Candidates, default: Choice, places: int) -> FloatArray:
    """Measure every place with what was chosen on the others.

    Returns:
        TP, FP, FN, float64 (P, 3).
    """
    group_p = np.arange(places) % min(places, GROUPS)
    areas_p3 = np.zeros((places, 3))
    for group in np.unique(group_p):
        inside = group_p == group
        areas_p3[inside] = measure(choose(measure, candidates, default, np.flatnonzero(~inside)))[inside]
    return areas_p3


def total_jaccard(areas_p3: FloatArray) -> float:
    """Return the Jaccard of areas (P, 3) summed over places, NaN where there are none."""
    return float(jaccard_of(areas_p3.sum(0)))


def _f1_of_counts(counts_n3: FloatArray) -> FloatArray:
    return f1_of(jaccard_of(counts_n3))


def default_choice(recipe: Recipe, class_name: str) -> Choice:
    """Return what a recipe does with a class before its rules."""
    table = recipe.vectorize
    return Choice(max(table.threshold.of(class_name), 1 / 255), table.min_area.of(class_name))


def apply_choices(recipe: Recipe, choices: dict[str, Choice]) -> Recipe:
    """Return the recipe with choices in it: views, thresholds, minimum areas, and rules that come before its own."""
    table = recipe.vectorize
    thresholds: dict[str, Any] = table.threshold.model_dump() | {n: c.threshold for n, c in choices.items()}
    areas: dict[str, Any] = table.min_area.model_dump() | {n: c.min_area for n, c in choices.items()}
    vectorize = table.model_copy(update={"threshold": ThresholdTable(**thresholds), "min_area": AreaTable(**areas)})
    rules = [rule for name, choice in choices.items() for rule in choice.rules(name)]
    views = {name: choice.symmetries for name, choice in choices.items() if choice.symmetries}
    predict = recipe.predict.model_copy(update={"class_symmetries": recipe.predict.class_symmetries | views})
    return recipe.model_copy(update={"predict": predict, "vectorize": vectorize, "rules": (*rules, *recipe.rules)})


def filtered_areas(
    polygons: GeometryArray,
    truth: GeometryArray,
    min_areas: Sequence[float],
    ground: GeometryArray | None = None,
    *,
    fill: bool = True,
) -> FloatArray:
    """Measure polygons at several minimum areas at once: small ones go, small holes are filled.

    Only what some minimum area would touch is measured one by one; the rest is measured together.

    Args:
        polygons: Traced polygons of one class without any minimum area; none overlap.
        truth: True polygons that overlap nowhere (see `flatten`), cut to the ground that counts.
        min_areas: Minimum areas in squared units of the coordinates, (A,).
        ground: Ground that counts, polygons that overlap nowhere; None counts everything.
        fill: Whether holes are filled by the same limits; False leaves them.

    Returns:
        TP, FP, FN, float64 (A, 3), in squared units of the coordinates.
    """
    largest = max(min_areas, default=0.0)
    true_area = float(shapely.area(truth).sum())
    holes, owner = _holes(polygons)
    small = (shapely.area(holes) < largest) & fill
    holes, owner = holes[small], owner[small]
    area, hole_area = shapely.area(polygons), shapely.area(holes)
    shared, hole_shared = _shared(polygons, truth, area >= largest), _shared_each(holes, truth)
    seen, hole_seen = area, hole_area
    if ground is not None:
        seen, hole_seen = _shared(polygons, ground, area >= largest), _shared_each(holes, ground)
    rows = np.zeros((len(min_areas), 3))
    for row, least in zip(rows, min_areas, strict=True):
        filled = hole_area < least
        net = area + np.bincount(owner[filled], hole_area[filled], len(polygons))
        keep = net >= least
        filled &= keep[owner]
        tp = float(shared[keep].sum() + hole_shared[filled].sum())
        row[:] = tp, seen[keep].sum() + hole_seen[filled].sum() - tp, true_area - tp
    return np.maximum(rows, 0.0)


def _holes(polygons: GeometryArray) -> tuple[GeometryArray, IntArray]:
    rings, owner = shapely.get_rings(polygons, return_index=True)
    is_hole = np.ones(len(rings), dtype=bool)
    is_hole[np.unique(owner, return_index=True)[1]] = False
    return shapely.polygons(rings[is_hole]), owner[is_hole]


def _shared(polygons: GeometryArray, others: GeometryArray, together: BoolArray) -> FloatArray:
    """Share with the others; of the polygons taken together the first one stands for all, since all of them stay."""
    shared = np.zeros(len(polygons))
    alone, joint = np.flatnonzero(~together), np.flatnonzero(together)
    shared[alone] = _shared_each(polygons[alone], others)
    if len(joint):
        shared[joint[0]] = common_area(polygons[joint], others)
    return shared


def _shared_each(polygons: GeometryArray, others: GeometryArray) -> FloatArray:
    rows, cols = shapely.STRtree(others).query(polygons, predicate="intersects")
    areas = shapely.area(shapely.intersection(polygons[rows], others[cols]))
    return np.bincount(rows, areas, len(polygons)).astype(np.float64)


def flat_truth(truth: GeometryArray, ground: GeometryArray | None) -> GeometryArray:
    """Return true polygons that overlap nowhere, cut to the ground that counts."""
    return flatten(truth, None if ground is None else shapely.union_all(ground))


def _round(value: float) -> float:
    return float(f"{value:.4g}")
