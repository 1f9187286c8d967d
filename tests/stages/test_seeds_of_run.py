"""Runs of several seeds: what they print of each network, and what `compare` makes of it."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path

import pytest
import shapely
from typer.testing import CliRunner

from landscribe.cli.app import app
from landscribe.errors import IntegrityError
from landscribe.io.project.seeds import seeds_of_run
from landscribe.io.run.runs import Run
from small_data import grid_at, write_image, write_polygons

H, W = 61, 83
RECIPE = """[data]
sensors.RGB = { path = "img/{scene}.tif", kind = "rgb8" }
labels = { path = "lab/{scene}.gpkg", class_field = "kind" }
[[models]]
name = "all"
seeds = [0, 1, 4]
network = { filters = 2, depth = 2 }
chips = { size = 32, context = 4, batch = 2 }
schedule = { epochs = 2, steps = 2, prior = 0.0 }
[predict]
symmetries = 1
[vectorize]
threshold = { default = 0.01 }
[validate]
split = "named"
scenes = ["t2"]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, of three seeds and of one."""
    folder = tmp_path_factory.mktemp("seeds")
    for k in range(3):
        grid = grid_at(k, H, W)
        write_image(folder / "img" / f"t{k}.tif", grid, seed=k)
        shapes = [shapely.box(3, 5, 40, 31), shapely.box(43, 31, 80, 59)]
        write_polygons(folder / "lab" / f"t{k}.gpkg", shapes, grid, kind=["house", "field"])
    (folder / "three.toml").write_text(RECIPE)
    (folder / "one.toml").write_text(RECIPE.replace("seeds = [0, 1, 4]\n", "").replace("batch = 2", "batch = 3"))
    return folder


def call(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, (done.exception, done.output)
    return done.output


def printed(*arguments: object) -> str:
    return CliRunner().invoke(app, [str(a) for a in arguments]).stdout


def last(path: Path) -> dict[str, float]:
    return {k: float(v) for k, v in [*csv.DictReader(path.read_text().splitlines())][-1].items()}


def test_a_run_of_seeds_says_each_and_compare_what_is_noise(home: Path) -> None:
    said = call("run", home / "three.toml", "--run", home / "three")
    rows = [last(home / "three" / "models" / f"all+seed{s}" / "history.csv") for s in (0, 1, 4)]
    means = [row["valid_jaccard"] for row in rows]
    assert f"seeds of 'all': {', '.join(f'{m:.3f}' for m in means)} each alone" in said
    assert statistics.stdev(means) > 0.01
    assert f"spread {statistics.stdev(means):.3f}" in said
    (found,) = seeds_of_run(Run(home / "three"))
    assert found.means() == pytest.approx(means)
    assert [set(own) for own in found.jaccard] == [{"house", "field"}] * 3
    report = (home / "three" / "report.html").read_text(encoding="utf-8")
    assert "its 3 networks differ in their seed alone" in report

    said = call("run", home / "one.toml", "--run", home / "one")
    assert "seeds of" not in said
    said = call("compare", home / "one", home / "one")
    assert "how far other seeds would move these scores is not known" in said
    assert "seeds alone" not in said
    said = call("compare", home / "one", home / "three")
    assert "seeds alone" in said
    row = json.loads(printed("compare", home / "one", home / "three", "--json"))["mean"]
    assert row["seed_noise"] == pytest.approx(statistics.stdev(means) * (1 / 3 + 1) ** 0.5)
    assert row["beyond_seeds"] is (abs(row["difference"]) > 2 * row["seed_noise"])

    history = home / "three" / "models" / "all+seed1" / "history.csv"
    history.write_text(history.read_text().replace("1", "2"))
    with pytest.raises(IntegrityError):
        seeds_of_run(Run(home / "three"))


def test_no_run_has_no_seeds(tmp_path: Path) -> None:
    assert seeds_of_run(Run(tmp_path)) == []
