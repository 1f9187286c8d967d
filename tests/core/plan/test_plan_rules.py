"""Rules of a plan: what follows from facts, by arithmetic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from landscribe.core.plan.facts import ClassFacts, Facts, Pace
from landscribe.core.plan.rules import (
    ENOUGH_STEPS,
    LEAST_TRAIN_SHARE,
    MOST_PASSES,
    TRAIN_SHARE,
    choose_for_all,
    choose_length,
    choose_model,
)
from landscribe.core.recipe import ModelTable
from landscribe.errors import DataError, RecipeError

HOUSE = ClassFacts(share=0.2, near=0.7, width_px=21.0, count=130)
FACTS = Facts(
    scenes=4, places=4, unlabelled=3, side_px=650, train_px=1.2e6, all_px=2e6, held_px=4e5, covered=0.2, overlap=0.0,
    store_bytes=1e7, classes={"house": HOUSE},
)  # fmt: skip
PACE = Pace(step_s=0.5, mpx_s=2.0, memory_bytes=10**9)


def settings(facts: Facts, table: ModelTable | None = None) -> dict[str, Any]:
    return {choice.name: choice.value for choice in choose_model(facts, 0, table or ModelTable())}


def length(
    minutes: float, facts: Facts = FACTS, pace: Pace = PACE, *, folds: int = 0, goes_on: bool = False
) -> dict[str, Any]:
    table = ModelTable.model_validate_json('{"chips": {"size": 128, "context": 16, "batch": 8}}')
    found = choose_length(facts, minutes, {0: (table, pace)}, seed=5, folds=folds, views=1, goes_on=goes_on)
    return {choice.name.removeprefix("models.0."): choice.value for choice in found}


def test_few_scenes_begin_with_weights() -> None:
    assert settings(FACTS)["models.0.network.encoder"] == "efficientnet-lite0"
    assert "models.0.network.encoder" not in settings(replace(FACTS, scenes=100, places=100))
    found = settings(replace(FACTS, no_encoder="not installed"))
    assert "models.0.network.encoder" not in found
    assert found["models.0.network.first_pool"] == 2


def test_what_an_encoder_cannot_do_keeps_its_own_network() -> None:
    table = ModelTable.model_validate_json('{"network": {"depth": 4}}')
    assert "models.0.network.encoder" not in settings(FACTS, table)
    own = ModelTable.model_validate_json('{"network": {"encoder": "resnet18", "weights": "none"}}')
    assert settings(FACTS, own)["models.0.network.encoder"] == "resnet18"
    assert "models.0.network.norm" not in settings(FACTS, own)


def test_an_encoder_keeps_the_statistics_of_its_weights() -> None:
    assert settings(FACTS)["models.0.network.norm"] == "frozen"
    assert "models.0.network.norm" not in settings(replace(FACTS, no_encoder="not installed"))


@pytest.mark.parametrize(("side", "size"), [(650, 128), (256, 128), (215, 96), (127, 64), (64, 64)])
def test_a_chip_is_at_most_half_of_the_smallest_scene(side: int, size: int) -> None:
    found = settings(replace(FACTS, side_px=side))
    assert (found["models.0.chips.size"], found["models.0.chips.context"]) == (size, size // 8)


def test_a_scene_smaller_than_the_smallest_chip_is_refused() -> None:
    with pytest.raises(DataError, match="plan: a scene is too small for a chip, got 61 px, need 64 px on a side"):
        settings(replace(FACTS, side_px=61))


@pytest.mark.parametrize(("train_px", "batch"), [(2e5, 8), (1.2e6, 8), (2.3e6, 12), (1e9, 16)])
def test_a_step_sees_at_most_a_twentieth_of_the_ground(train_px: float, batch: int) -> None:
    assert settings(replace(FACTS, train_px=train_px))["models.0.chips.batch"] == batch


@pytest.mark.parametrize("near", [np.random.default_rng(k).uniform(0.001, 1, 1 + k % 7).tolist() for k in range(60)])
def test_every_class_is_in_a_third_of_the_chips_where_drawing_can_do_that(near: list[float]) -> None:
    classes = {f"c{k}": replace(HOUSE, near=value) for k, value in enumerate(near)}
    share = settings(replace(FACTS, classes=classes))["models.0.chips.oversample"]
    assert 0.3 <= share <= 0.9
    seen = min(near) + share * (1 - min(near)) / len(near)
    assert seen >= 1 / 3 - 1e-9 or share == 0.9
    assert share == 0.3 or seen - 0.05 / len(near) < 1 / 3


def test_classes_that_cover_all_and_share_nothing_exclude_each_other() -> None:
    two = replace(FACTS, classes={"a": HOUSE, "b": HOUSE})

    def names(facts: Facts) -> list[str]:
        return [choice.name for choice in choose_for_all(facts, split="named", exclusive=False)]

    assert names(replace(two, covered=0.95)) == ["vectorize.exclusive"]
    assert not names(replace(two, covered=0.95, overlap=0.02))
    assert not names(two)
    assert not names(replace(FACTS, covered=0.95))


@pytest.mark.parametrize(("places", "held"), [(2, 1), (3, 1), (6, 1), (7, 1), (24, 5)])
def test_one_place_is_left_out_or_a_fifth(places: int, held: int) -> None:
    (choice,) = choose_for_all(replace(FACTS, places=places), split="place", exclusive=False)
    assert max(round(choice.value * places), 1) == held  # type: ignore[operator]
    assert not list(choose_for_all(replace(FACTS, places=places), split="named", exclusive=False))


RANDOM = np.random.default_rng(7)
MANY = [tuple(10 ** RANDOM.uniform((0.2, 5, -2), (2.8, 9, 0.5))) for _ in range(150)]


@pytest.mark.parametrize(("minutes", "train_px", "step_s"), MANY)
@pytest.mark.parametrize(("folds", "goes_on"), [(0, False), (3, False), (0, True)])
def test_minutes_are_kept_and_none_learns_by_heart(
    minutes: float, train_px: float, step_s: float, folds: int, goes_on: bool
) -> None:
    facts, pace = replace(FACTS, train_px=train_px, all_px=1e6), Pace(step_s, 0.5, 0)
    try:
        found = length(minutes, facts, pace, folds=folds, goes_on=goes_on)
    except RecipeError:
        return
    more = found.get("adapt.epochs", 0)
    epochs = found["schedule.epochs"] + more
    steps, on_labels = epochs * found["schedule.steps"], 0.75 if more else 1
    count = max(len(found["seeds"]), 1)
    spent = steps * step_s * count * (1 + folds)
    assert spent <= TRAIN_SHARE * minutes * 60 + 1e-6
    passes = MOST_PASSES * train_px / (8 * 96**2)
    assert steps * on_labels <= max(passes, 3 * ENOUGH_STEPS) + 1e-6
    assert count == 1 or steps >= ENOUGH_STEPS - epochs
    assert count == 1 or steps >= 500 * (2 if more else 1) - epochs or 5 * steps * on_labels > passes
    # Either the time is spent, or the networks have seen all there is to see.
    idle = LEAST_TRAIN_SHARE * minutes * 60 - spent
    slack = (epochs * (step_s + 0.5 * facts.held_px / 1e6)) * count * (1 + folds)
    assert idle <= slack or steps * on_labels > max(passes, ENOUGH_STEPS * on_labels) - 2 * epochs


@pytest.mark.parametrize("goes_on", [False, True])
def test_time_is_spent_on_seeds_once_each_has_enough_steps(goes_on: bool) -> None:
    """Three networks have 476 steps each in 14 minutes, and 544 in 16; five 490 in 24 and 530 in 26."""
    times = 2 if goes_on else 1
    facts = replace(FACTS, train_px=3e6, all_px=1e5)
    found = {m: len(length(times * m, facts, goes_on=goes_on)["seeds"]) for m in (5, 14, 16, 24, 26, 300)}
    assert found == {5: 0, 14: 0, 16: 3, 24: 3, 26: 5, 300: 5}


def test_of_little_ground_more_networks_learn_less_each() -> None:
    """Sixty passes over it are 136 steps, so that of a thousand there are more than one network may take."""
    found = length(20, replace(FACTS, train_px=1.67e5))
    assert len(found["seeds"]) == 5
    assert found["schedule.epochs"] * found["schedule.steps"] == pytest.approx(300, abs=10)
    assert len(length(20, replace(FACTS, train_px=3e6))["seeds"]) == 3


def test_ground_that_is_seen_less_than_once_is_learned_by_one_network() -> None:
    whole = replace(FACTS, train_px=8 * 96**2 * 1000, all_px=1e6)
    assert length(25, whole)["seeds"] == []
    assert length(40, whole)["seeds"] == [5, 6, 7]


def test_labels_of_its_own_take_half_of_the_steps() -> None:
    alone, own = length(5), length(5, goes_on=True)
    assert "adapt.epochs" not in alone
    assert own["adapt.epochs"] == own["schedule.epochs"]
    whole = (own["schedule.epochs"] + own["adapt.epochs"]) * own["schedule.steps"]
    assert whole * PACE.step_s <= TRAIN_SHARE * 300
    assert whole == pytest.approx(alone["schedule.epochs"] * alone["schedule.steps"], rel=0.1)


def test_what_a_recipe_says_of_labels_of_its_own_stays() -> None:
    found = length(3, replace(FACTS, unlabelled=0), goes_on=True)
    assert found["adapt.epochs"] == found["schedule.epochs"]
    assert "adapt.scenes" not in found


def test_passes_count_labelled_chips_alone() -> None:
    """Every other step of the second half is on labelled ground: a quarter of all is not."""
    found, most = length(300, goes_on=True), MOST_PASSES * FACTS.train_px / (8 * 96**2)
    whole = 2 * found["schedule.epochs"] * found["schedule.steps"]
    assert len(found["seeds"]) == 5
    assert 0.75 * whole == pytest.approx(most, rel=0.05)


def test_too_few_minutes_are_refused_with_how_many_it_takes() -> None:
    with pytest.raises(RecipeError, match=r"--minutes: too few for 20 steps, got 0\.1, need 1 minutes or more"):
        length(0.1)
