"""What `check` finds in labels: where they say too little to train or to score, and what they leave open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from landscribe.core.grid import Grid
from landscribe.core.ground import Ground, add_ground, without_negative, without_positive
from landscribe.core.legend import Legend, plain_name
from landscribe.errors import problem, some
from landscribe.io.labels.ground import EMPTY_SIDE, empty_side, measure_ground
from landscribe.io.labels.labels import read_labels
from landscribe.io.source.scenes import Scene
from landscribe.io.source.sensor_files import open_sensor

AREA = 'labels.area = "..."'
NOBODY_LOOKED = "nobody looked there: outside of the labels' area or picture, or not among their images"


@dataclass(frozen=True)
class LabelFacts:
    """What the labels of one scene say."""

    scene: str
    is_labelled: bool
    counts: dict[str, int] = field(default_factory=dict)
    """What was left out or mended, by reason."""
    file_counts: dict[str, int] = field(default_factory=dict)
    """The same of a file that several scenes share; each of them says it."""
    ground: dict[str, Ground] = field(default_factory=dict)
    """By class, in square metres, or pixels where the scene has no CRS."""
    emptiest: tuple[str, float] | None = None
    """The side that a shared label file leaves empty and which part of the scene; None where it is the scene's own."""


def look_at_labels(scene: Scene, legend: Legend, grid: Grid, *, pixels: bool = True) -> LabelFacts:
    """Read the labels of a scene that has label files, and measure them.

    Args:
        scene: The scene.
        legend: Classes.
        grid: Of the reference.
        pixels: Look which pixels of the reference have data; without, all are taken to.

    Raises:
        DataError: If they cannot be read, or belong elsewhere.
    """
    labels = read_labels(scene, legend, grid)
    if not labels.is_labelled:
        return LabelFacts(scene.id, is_labelled=False, counts=labels.counts, file_counts=labels.file_counts)
    with open_sensor(scene.reference) as raster:
        valid = (
            (window, raster.read_valid(window) if pixels else np.ones(window.shape_hw, np.bool_))
            for window in grid.window.low_strips()
        )
        ground = measure_ground(labels, legend, grid, valid)
    return LabelFacts(
        scene.id,
        is_labelled=True,
        counts=labels.counts,
        file_counts=labels.file_counts,
        ground={name: own.scaled(grid.pixel_area) for name, own in ground.items()},
        emptiest=empty_side(labels, grid) if labels.is_shared else None,
    )


def label_errors(facts: Sequence[LabelFacts], chosen: Collection[str], unit: str) -> Iterator[str]:
    """Say which classes cannot be trained or scored with these labels, one line each.

    Args:
        facts: All labelled scenes.
        chosen: Classes that somebody named; those that a format brings may be without ground.
        unit: Of the ground.
    """
    total = add_ground([own.ground for own in facts])
    for name in without_negative(total):
        yield no_negative("labels", name, total[name], unit)
    for name in without_positive(total):
        if name in chosen:
            yield problem(
                f"class {name!r}", "no ground in any scene", do="label some, or take the class out of the recipe"
            )


def no_negative(where: str, name: str, ground: Ground, unit: str) -> str:
    """Return the line for a class that covers all that is labelled."""
    labelled = ground.positive + ground.negative
    return problem(
        f"{where}, class {name!r}",
        "covers all labelled ground, so that no false find could count",
        got=f"{ground.positive:,.0f} of {labelled:,.0f} {unit}",
        need="labelled ground without it",
        do="let other values of a label picture count, say where somebody looked with labels.area, change [validate], "
        "or add such scenes",
    )


def label_warnings(
    facts: Sequence[LabelFacts], scenes: Sequence[Scene], legend: Legend, chosen: Collection[str]
) -> Iterator[str]:
    """Say what labels left out, and where they may say nothing because nobody looked."""
    yield from _alike(legend)
    total = add_ground([own.ground for own in facts])
    for name in without_positive(total) if total else ():
        if name not in chosen:
            yield problem(f"class {name!r}", "no ground in any scene")
    lacking = {scene.id: ", ".join(scene.unlabelled) for scene in scenes if scene.unlabelled and not scene.reviews}
    if lacking:
        first = next(iter(lacking))
        what = f"no {lacking[first]}" if len(lacking) == 1 else f"no label file, such as {lacking[first]}"
        do = 'they are only predicted, unless labels.missing = "empty" says that nothing is there'
        yield problem(_scenes(list(lacking)), what, do=do)
    unseen = [own.scene for own in facts if not own.is_labelled]
    if unseen:
        yield problem(_scenes(unseen), NOBODY_LOOKED, do="they are only predicted")
    by_reason: dict[str, dict[str, int]] = defaultdict(dict)
    for own in facts:
        for reason, count in own.counts.items():
            by_reason[reason][own.scene] = count
    for reason, by_scene in by_reason.items():
        yield f"labels: {sum(by_scene.values())} {reason} in {some(list(by_scene))}"
    shared = {reason: count for own in facts for reason, count in own.file_counts.items()}
    for reason, count in shared.items():
        yield f"labels: {count} {reason}"
    yield from _about_shared([own for own in facts if own.emptiest is not None])


def _alike(legend: Legend) -> Iterator[str]:
    names: dict[str, list[str]] = defaultdict(list)
    for name in legend.names:
        names[plain_name(name)].append(name)
    for first, *others in names.values():
        if others:
            called = " and ".join(repr(name) for name in (first, *others))
            do = f"if they are one: [[classes]] name = {first!r}, also = {others!r}"
            yield problem(f"classes {called}", "differ in case or blanks only", do=do)


def _about_shared(facts: Sequence[LabelFacts]) -> Iterator[str]:
    untouched = [own.scene for own in facts if own.emptiest == ("any", 1.0)]
    if untouched:
        what = f"the shared label file has nothing in {len(untouched)} of {len(facts)} scenes: {some(untouched)}"
        yield problem("labels", what, do=f"they count as searched and empty; say where somebody looked with {AREA}")
    one_sided = {
        o.scene: o.emptiest for o in facts if o.emptiest and o.scene not in untouched and o.emptiest[1] > EMPTY_SIDE
    }
    if one_sided:
        said = [f"{scene} ({part:.0%}, {side})" for scene, (side, part) in one_sided.items()]
        what = f"the shared label file leaves more than {EMPTY_SIDE:.0%} empty on one side of {some(said)}"
        yield problem("labels", what, do=f"that ground counts as searched; say where somebody looked with {AREA}")


def _scenes(names: list[str]) -> str:
    return f"scene {names[0]!r}" if len(names) == 1 else f"{len(names)} scenes ({some(names)})"
