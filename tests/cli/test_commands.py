"""Every command, called as the command line calls it, on a world of a few seconds."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from landscribe.cli.app import app
from landscribe.errors import RecipeError
from landscribe.stages.world import write_world
from landscribe.worlds.world import WorldSpec
from portable import EXPORTER_SAYS, has_onnx

RECIPE = """
seed = 1
[data]
source = "dstl"
root = "world"
[[models]]
name = "all"
inputs = { sensors = ["RGB"] }
network = { filters = 4, depth = 3 }
chips = { size = 64, context = 8, batch = 4 }
schedule = { epochs = 1, steps = 2, prior = 0.0 }
[predict]
tile = 128
symmetries = 1
scenes = "all"
[vectorize]
threshold = { default = 0.3 }
[tune]
folds = 2
"""
CALLS = {
    "check": "check r.toml",
    "stats": "stats r.toml --json",
    "prepare": "prepare r.toml --run run",
    "train": "train r.toml --run run",
    "adapt": "adapt r.toml --run run --set adapt.epochs=1 --set adapt.scenes=new --set adapt.least=0",
    "predict": "predict r.toml --run run",
    "tune": "tune r.toml --run run",
    "vectorize": "vectorize r.toml --run run",
    "score": "score r.toml --run run",
    "submit": "submit r.toml --run run",
    "report": "report r.toml --run run",
    "pictures": "pictures r.toml --run run",
    "run": "run r.toml --run run",
    "suggest": "suggest run --windows 3 --size 48px --to todo.gpkg",
    "map": "map r.toml --run run",
    "plan": "plan r.toml --minutes 2",
    "runs": "runs .",
    "compare": "compare run run",
    "burn": "burn run/features/features.gpkg shares.tif --like world/three_band/6010_0_0.tif",
    "trace": "trace run/probability/6010_0_0.tif traced.gpkg --threshold 0.3",
    "merge-features": "merge-features run --out all.gpkg",
    "merge": "merge merged.csv run/submission.csv.gz run/submission.csv.gz",
    "vote": "vote voted.csv run/submission.csv.gz run/submission.csv.gz run/submission.csv.gz",
    "clean": "clean r.toml run/submission.csv.gz cleaned.csv",
    "init": "init world --out written.toml",
    "doctor": "doctor --json",
    "world": "world other --scenes 1 --height 128 --width 131",
    "review": "review run --to review.gpkg",
    "absorb": "absorb --list r.toml",
    "qgis": "qgis --to plugins",
}
BUNDLES = {"export": "export run --to run.zip", "verify": "verify run.zip"}
if has_onnx():
    CALLS |= BUNDLES
"""In an order in which each finds what it needs; `demo` is `world` and `run`, and takes minutes."""
APART = ("demo", "view")
"""Called elsewhere: the second one answers until it is stopped (`tests/stages/maps`)."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny world and a recipe."""
    folder = tmp_path_factory.mktemp("commands")
    write_world(folder / "world", WorldSpec(scenes=4, height=131, width=137), unlabelled=1)
    (folder / "r.toml").write_text(RECIPE)
    return folder


@pytest.mark.filterwarnings(*EXPORTER_SAYS)
def test_every_command_does_its_work(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    for call in CALLS.values():
        done = CliRunner().invoke(app, call.split())
        assert done.exit_code == 0, (call, done.output, done.exception)
    for made in ("shares.tif", "traced.gpkg", "merged.csv", "voted.csv", "cleaned.csv", "written.toml", "review.gpkg"):
        assert (home / made).stat().st_size > 0
    assert json.loads((home / "run" / "score.json").read_text())
    # A run folder says which recipe made it; a stage needs nothing else.
    for call in ("report run", "pictures run", "score run", "run run"):
        done = CliRunner().invoke(app, call.split())
        assert done.exit_code == 0, (call, done.output, done.exception)
        assert " made" not in done.output or "0 made" in done.output, (call, done.output)


def test_every_command_is_called_here() -> None:
    assert {command.name for command in app.registered_commands} == {*CALLS, *BUNDLES, *APART}


@pytest.mark.parametrize("name", [*CALLS, *APART])
def test_help_says_what_each_option_is(name: str) -> None:
    done = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "100"})
    assert done.exit_code == 0
    assert "<bool>" not in done.output
    (command,) = (one for one in app.registered_commands if one.name == name)
    said = command.help or inspect.getdoc(command.callback) or ""
    assert "[" not in said  # the terminal takes what stands in brackets for markup
    assert re.search(r"--help +-h +Show this message", done.output)


def test_without_a_command_help_is_shown_and_all_is_well() -> None:
    done = CliRunner().invoke(app, [])
    assert done.exit_code == 0
    assert "vectorize" in done.output
    assert "--install-completion" in done.output


def test_a_stage_without_a_run_folder_says_what_to_give(home: Path) -> None:
    done = CliRunner().invoke(app, ["report", str(home / "r.toml")])
    assert isinstance(done.exception, RecipeError)
    assert "--run: missing, need a run folder" in str(done.exception)


def test_tables_fit_any_screen_and_lose_no_digit(home: Path) -> None:
    wide, narrow = (
        CliRunner().invoke(app, ["stats", str(home / "r.toml")], env={"COLUMNS": width}).stdout
        for width in ("400", "80")
    )
    assert max(map(len, narrow.splitlines())) <= 80
    assert "…" not in narrow
    assert sorted(set(re.findall(r"\d+\.\d+", wide))) == sorted(set(re.findall(r"\d+\.\d+", narrow)))
