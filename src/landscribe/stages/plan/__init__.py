"""`plan`: settings that follow from labels, imagery, machine and minutes, and what a run of them takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from landscribe.core.plan.facts import Choice, Cost, Facts, Pace
from landscribe.core.plan.rules import choose_for_all, choose_length, choose_model, require_minutes
from landscribe.core.recipe import ModelTable, Recipe
from landscribe.core.recipe.adapt import LEAST_VIEWS
from landscribe.core.sensors import SensorSpec
from landscribe.errors import DataError, RecipeError, problem
from landscribe.io.project import Progress, Project, check_models, silent
from landscribe.io.settings import recipe_dict
from landscribe.stages.plan._looks import SceneLook, facts_from, look_at_scenes
from landscribe.workers import free_memory_bytes

MEASURE_S = 5.0
"""About how long the steps of each network are timed."""


@dataclass(frozen=True)
class Plan:
    """What follows from the data, and what it takes."""

    facts: Facts
    choices: tuple[Choice, ...]
    costs: tuple[Cost, ...]
    """Of each model that is trained."""
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Of training and predicting."""
        return sum(cost.train_s + cost.predict_s for cost in self.costs)

    @property
    def memory_bytes(self) -> float:
        """Of the largest model."""
        return max((cost.memory_bytes for cost in self.costs), default=0.0)


def plan(project: Project, minutes: float, progress: Progress = silent, *, measure_s: float = MEASURE_S) -> Plan:
    """Choose the settings of a recipe's networks by rules; nothing is tried out, and nothing is written.

    Labels of all scenes are read, and a few steps of each network are timed on noise.

    Args:
        project: The recipe with its data.
        minutes: That the whole run may take on this machine.
        progress: Told of each scene.
        measure_s: About how long the steps of each network are timed.

    Raises:
        DataError: If no scene has labels, or scenes are too small for a chip.
        RecipeError: If the minutes are none or too few, or the recipe trains no network.
    """
    require_minutes(minutes)
    networks = {k: table for k, table in enumerate(project.recipe.models) if table.kind == "network"}
    if not networks:
        raise RecipeError(problem("[[models]]", "no network to plan for", do='add one with kind = "network"'))
    check_models(project)
    looks, stands_for = look_at_scenes(project, progress)
    facts = facts_from(project, looks, stands_for, gpu=_has_gpu())
    choices = [choice for k, table in networks.items() for choice in choose_model(facts, k, table)]
    split, exclusive = project.recipe.validation.split, project.recipe.vectorize.exclusive
    choices += choose_for_all(facts, split=split, exclusive=exclusive)
    planned = changed(project.recipe, choices)
    paces = {k: (planned.models[k], _pace(project, planned.models[k], looks, progress, measure_s)) for k in networks}
    lengths = choose_length(
        facts, minutes, paces,
        seed=planned.seed, folds=planned.tune.folds, views=planned.predict.symmetries,
        goes_on=planned.adapt.epochs > 0,
    )  # fmt: skip
    choices += lengths
    planned = changed(planned, lengths)
    costs = [_cost(facts, planned, k, pace) for k, (_, pace) in paces.items()]
    return Plan(facts, tuple(choices), tuple(costs), tuple(_notes(facts)))


def expect(project: Project, progress: Progress = silent, *, measure_s: float = MEASURE_S) -> Plan:
    """Say what a recipe takes as it is; a few steps of each network are timed on noise.

    Args:
        project: The recipe with its data.
        progress: Told of each scene.
        measure_s: About how long the steps of each network are timed.

    Raises:
        DataError: If no scene has labels.
        RecipeError: If a table contradicts itself.
    """
    check_models(project)
    looks, stands_for = look_at_scenes(project, progress)
    facts = facts_from(project, looks, stands_for, gpu=_has_gpu())
    networks = [k for k, table in enumerate(project.recipe.models) if table.kind == "network"]
    paces = {k: _pace(project, project.recipe.models[k], looks, progress, measure_s) for k in networks}
    return Plan(facts, (), tuple(_cost(facts, project.recipe, k, pace) for k, pace in paces.items()))


def changed(recipe: Recipe, choices: Sequence[Choice]) -> Recipe:
    """Return a recipe with other values of some settings."""
    table = recipe_dict(recipe)
    for choice in choices:
        at: Any = table
        for part in choice.key[:-1]:
            at = at[part]
        at[choice.key[-1]] = choice.value
    return Recipe.of(table, "plan")


def _has_gpu() -> bool:
    from landscribe.nn.device import choose_engine

    return choose_engine().device.type == "cuda"


def _pace(
    project: Project, table: ModelTable, looks: Sequence[SceneLook], progress: Progress, measure_s: float
) -> Pace:
    from landscribe.nn.device import choose_engine
    from landscribe.nn.pace.measure import measure_pace

    progress(f"plan: a few steps of {table.name!r}", 0, 1)
    by_id = {scene.id: scene for scene in project.scenes.scenes}
    scales = {name: scale for look in reversed(looks) for name, scale in look.scales.items()}
    files = {name: file for look in reversed(looks) for name, file in by_id[look.scene].sensors.items()}
    order = [name for name in project.recipe.data.sensors if name in files] or list(files)
    sensors = {
        name: SensorSpec(name, files[name].sensor.kind, files[name].sensor.band_names, files[name].sensor.bits)
        for name in order
    }
    lacking = [name for name in table.inputs.sensors or () if name not in sensors]
    if lacking:
        raise DataError(problem(f"model {table.name!r}", f"no scene has sensor {lacking[0]!r}"))
    classes = table.classes or project.legend.names
    side = sorted(min(look.shape_hw) for look in looks)[len(looks) // 2]
    found = measure_pace(table, sensors, scales, classes, choose_engine(), side=side, seconds=measure_s)
    progress(f"plan: a few steps of {table.name!r}", 1, 1)
    return found


def _cost(facts: Facts, recipe: Recipe, number: int, pace: Pace) -> Cost:
    table = recipe.models[number]
    inner = table.chips.size - 2 * table.chips.context
    epochs = table.schedule.epochs
    steps = table.schedule.steps or max(1, math.ceil(facts.train_px / (table.chips.batch * inner**2)))
    members = len(table.members(recipe.seed))
    networks = members * (1 + recipe.tune.folds)
    looking = epochs * facts.held_px / 1e6 * pace.mpx_s
    more = recipe.adapt.epochs * (recipe.adapt.steps or steps)
    train_s = networks * ((epochs * steps + more) * pace.step_s + looking)
    views = recipe.predict.symmetries
    seen_px = views * facts.all_px
    if more:  # new scenes are labelled, and held-out ones predicted with and without
        seen_px += max(views, LEAST_VIEWS) * facts.all_px + views * facts.held_px
    predict_s = members * seen_px / 1e6 * pace.mpx_s
    held = min(facts.store_bytes, recipe.memory_share * free_memory_bytes())
    return Cost(table.name, networks, epochs * steps + more, pace, train_s, predict_s, pace.memory_bytes + held)


def _notes(facts: Facts) -> list[str]:
    found = []
    if facts.no_encoder:
        found.append(f"no network that photographs have taught: {facts.no_encoder}")
    if facts.places == 1:
        found.append(
            "one place: what is held out looks like what is trained on, so its score says little of other ground"
        )
    return found
