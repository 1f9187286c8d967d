"""The table of the benchmark of few labels: what an arm gained, how sure that is, and what it does again."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("few_labels")


def chosen(bench: ModuleType, out: Path, *more: str) -> Any:
    return bench.parse(["--out", str(out), "--data", str(out), "--steps", "7", "--tasks", "kampala", "rio", *more])


def test_a_row_says_mean_spread_and_the_worst_task(bench: ModuleType) -> None:
    first = {"near": [0.5, 0.7], "far": [0.2, 0.4]}
    other = {"near": [0.8, 1.0], "far": [0.3, 0.1]}
    assert bench.row_of(first, first) == ["0.450", "0.141", "-", "0.600 ± 0.141", "0.300 ± 0.141"]
    assert bench.row_of(other, first) == ["0.550", "0.000", "far -0.100", "0.900 ± 0.141", "0.200 ± 0.141"]


def test_an_arm_that_lacks_a_task_has_no_mean(bench: ModuleType) -> None:
    first = {"near": [0.5], "far": [0.2]}
    assert bench.row_of({"near": [0.4], "far": []}, first) == ["-", "-", "near -0.100", "0.400", "-"]


def test_what_is_done_is_not_done_again(bench: ModuleType, tmp_path: Path) -> None:
    options = chosen(bench, tmp_path)
    cell = bench.Cell("kampala", "plain", (), 2)
    recipe, overrides = cell.recipe(options), cell.overrides(options, 7)
    assert "models.0.seeds=[2]" in overrides
    file = bench.home(options) / "cells" / f"{cell.name}.json"
    file.parent.mkdir(parents=True)
    done = {"key": bench.key_of(recipe.read_text(), overrides), "settings": [], "jaccard": 0.5}
    file.write_text(json.dumps(done))
    assert bench.do_cell(cell, 7, options) == ""
    assert bench.kept(cell, options)["jaccard"] == 0.5
    assert bench.kept(bench.Cell("kampala", "plain", ("seed=1",), 2), options) is None


def test_networks_of_one_arm_never_share_a_seed(bench: ModuleType, tmp_path: Path) -> None:
    options = chosen(bench, tmp_path)
    seeds = [bench.Cell("dubai-4", "0.1.0", (), k).overrides(options, 7)[-1] for k in range(2)]
    assert seeds == ["models.0.seeds=[0, 1, 2, 3, 4]", "models.0.seeds=[5, 6, 7, 8, 9]"]


def test_an_arm_of_settings_that_nobody_knows_is_left_out(
    bench: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = chosen(bench, tmp_path, "--arms", "plain", "--add", "odd", "chips.colour=7")
    assert list(bench.known_arms(options)) == ["plain"]
    assert "left out: odd: " in capsys.readouterr().err


def test_the_table_goes_by_what_is_done(bench: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = chosen(bench, tmp_path, "--arms", "0.1.0", "plain", "--seeds", "1")
    for task, old, new in (("kampala", 0.5, 0.6), ("rio", 0.3, None)):
        for arm, value in (("0.1.0", old), ("plain", new)):
            file = bench.home(options) / "cells" / f"{bench.Cell(task, arm, (), 0).name}.json"
            file.parent.mkdir(parents=True)
            if value is not None:
                file.write_text(json.dumps({"settings": [], "jaccard": value}))
    bench.print_table(bench.known_arms(options), options)
    rows = capsys.readouterr().out.splitlines()[-2:]
    assert rows == ["| 0.1.0 | 0.400 | - | - | 0.500 | 0.300 |", "| plain | - | - | kampala +0.100 | 0.600 | - |"]
