"""How far seeds alone move scores: spreads of networks, and of differences between runs."""

from __future__ import annotations

import json
import math
import statistics

import numpy as np
import pytest

from landscribe.core.legend import LandClass, Legend
from landscribe.core.score.areas import Areas
from landscribe.core.score.compare import compare_scores
from landscribe.core.score.measure import Measured
from landscribe.core.score.score import Score
from landscribe.core.score.scores import summarise
from landscribe.core.score.seeds import RowSeeds, seed_noise

LEGEND = Legend((LandClass(1, "house", "#B22222"), LandClass(2, "field", "#D9C84A")))


def row(name: str, **of_class: list[float]) -> RowSeeds:
    return RowSeeds(name, [dict(zip(of_class, values, strict=True)) for values in zip(*of_class.values(), strict=True)])


def test_the_spread_of_a_row_is_that_of_its_means() -> None:
    found = row("all", house=[0.5, 0.7, 0.6], field=[0.3, 0.3, 0.0])
    assert found.means() == pytest.approx([0.4, 0.5, 0.3])
    assert found.spread == pytest.approx(0.1)
    assert found.noise == pytest.approx(2 * 0.1 * math.sqrt(2 / 3))
    assert row("one", house=[0.5]).noise is None


def test_a_class_that_one_network_has_no_value_of_counts_in_none() -> None:
    found = RowSeeds("all", [{"house": 0.5, "field": 0.9}, {"house": 0.7}])
    assert found.means() == pytest.approx([0.5, 0.7])
    assert seed_noise([found], [], ["house", "field"])[1]["field"] is None


def test_noise_is_what_runs_of_other_seeds_differ_by() -> None:
    rng = np.random.default_rng(3)

    def drawn(count: int) -> list[RowSeeds]:
        house, roads = rng.normal(0.6, 0.05, count), rng.normal(0.3, 0.02, count)
        return [row("a", house=house.tolist()), row("b", road=roads.tolist())]

    def mean(rows: list[RowSeeds]) -> float:
        return statistics.fmean(statistics.fmean(own.means()) for own in rows)

    pairs = [(drawn(3), drawn(5)) for _ in range(4000)]
    differ = statistics.stdev(mean(one) - mean(other) for one, other in pairs)
    said = [seed_noise(one, other, ["house", "road"]) for one, other in pairs]
    assert math.sqrt(statistics.fmean(found**2 for found, _ in said if found)) == pytest.approx(differ, rel=0.05)
    of_house = math.sqrt(statistics.fmean((classes["house"] or 0) ** 2 for _, classes in said))
    assert of_house == pytest.approx(0.05 * math.sqrt(1 / 3 + 1 / 5), rel=0.05)


def test_a_run_of_one_network_varies_as_the_other_does() -> None:
    several = [row("a", house=[0.5, 0.6, 0.7])]
    assert seed_noise(several, [row("a", house=[0.9])], ["house"])[0] == pytest.approx(0.1 * math.sqrt(1 / 3 + 1))
    assert seed_noise([row("a", house=[0.1])], [row("a", house=[0.9])], ["house"]) == (None, {"house": None})
    assert seed_noise([], [], ["house"]) == (None, {"house": None})


def score(found: float) -> Score:
    measures = {f"s{k}": {c.name: Measured(Areas(found, 0.0, 100.0 - found)) for c in LEGEND} for k in range(5)}
    return summarise(measures, LEGEND, {f"s{k}": f"p{k}" for k in range(5)}, "m2")


def test_a_real_difference_may_be_that_of_seeds() -> None:
    seeds = [row("all", house=[0.50, 0.60], field=[0.500, 0.501])]
    result = compare_scores(score(50), score(55), seeds=(seeds, seeds))
    house, field = result.classes["house"], result.classes["field"]
    assert house.real is True
    assert (house.beyond_seeds, field.beyond_seeds) == (False, True)
    assert house.seed_noise == pytest.approx(0.0707, abs=1e-4)
    assert json.loads(result.to_json())["classes"]["house"]["beyond_seeds"] is False


def test_without_seeds_nothing_is_said_of_them() -> None:
    result = compare_scores(score(50), score(55))
    assert result.mean.beyond_seeds is None
    assert "seed_noise" not in json.loads(result.to_json())["mean"]
