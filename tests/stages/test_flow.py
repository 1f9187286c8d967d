"""The command line end to end on a small synthetic world, exit codes included."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rasterio

from warm import landscribe, start

RECIPE = """
seed = 1
tensorboard = true
[data]
source = "dstl"
root = "world"
[[models]]
name = "all"
inputs = {{ sensors = ["RGB", "M"], indices = ["ndvi"] }}
network = {{ filters = 4, depth = 3 }}
chips = {{ size = 64, context = 8, batch = 4 }}
schedule = {{ epochs = {epochs}, steps = 3 }}
[predict]
tile = 128
symmetries = 1
[vectorize]
threshold = {{ default = 0.3 }}
[[rules]]
erase = {{ from = "*", by = "waterway" }}
"""
pytestmark = pytest.mark.slow


def digests(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.suffix in {".tif", ".parquet", ".safetensors"}
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a world of five scenes, one of them without labels, and a finished run."""
    folder = tmp_path_factory.mktemp("flow")
    options = ("--scenes", "5", "--height", "157", "--width", "173", "--unlabelled", "1")
    assert landscribe("world", "world", *options, cwd=folder).returncode == 0
    (folder / "r.toml").write_text(RECIPE.format(epochs=2))
    command = [sys.executable, "-m", "landscribe", "run", "r.toml", "--run", "run"]  # as a user does it
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_run_leaves_all_its_artefacts(home: Path) -> None:
    run = home / "run"
    for name in (
        "score.json",
        "report.html",
        "map.html",
        "submission.csv.gz",
        "run.json",
        "manifest.json",
        "prepared/alignment.csv",
    ):
        assert (run / name).stat().st_size > 0, name
    manifest = json.loads((run / "manifest.json").read_text())
    outputs = {path for stage in manifest["stages"].values() for item in stage.values() for path in item["outputs"]}
    assert {"models/all/model.safetensors", "models/all/history.csv", "score.json"} <= outputs
    assert sum(path.startswith("probability/") for path in outputs) >= 2
    assert list((run / "models" / "all" / "tensorboard").glob("events.out.*"))


def test_the_score_has_its_layout(home: Path) -> None:
    score = json.loads((home / "run" / "score.json").read_text())
    assert 0 <= score["mean"]["polygon"]["jaccard"] <= 1
    assert 0 <= score["mean"]["pixel"]["jaccard"] <= 1
    building = score["classes"]["building"]
    assert {"jaccard", "tp", "fp", "fn", "low", "high"} <= set(building["polygon"])
    assert {"jaccard", "tp", "fp", "fn"} <= set(building["pixel"])


def test_the_submission_follows_the_sample(home: Path) -> None:
    csv.field_size_limit(10**9)
    with gzip.open(home / "run" / "submission.csv.gz", "rt") as file:
        rows = list(csv.reader(file))
    sample = list(csv.reader((home / "world" / "sample_submission.csv").read_text().splitlines()))
    assert [row[:2] for row in rows] == [row[:2] for row in sample]
    assert all(row[2].startswith("MULTIPOLYGON") for row in rows[1:])


def test_a_second_run_makes_nothing_again(home: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in (home / "run").rglob("*.tif")}
    done = landscribe("run", "r.toml", "--run", "run", cwd=home)
    assert done.returncode == 0
    assert "made" not in done.stderr.replace("0 made", "")
    assert {p: p.stat().st_mtime_ns for p in (home / "run").rglob("*.tif")} == before


def test_a_changed_threshold_redoes_what_depends_on_it(home: Path) -> None:
    done = landscribe("run", "r.toml", "--run", "run", "--set", "vectorize.threshold.default=0.35", cwd=home)
    assert done.returncode == 0
    lines = dict(line.split(": ", 1) for line in done.stderr.splitlines() if ": " in line)
    assert "up to date" in lines["predict"]
    assert "made" in lines["vectorize"]
    assert "made" in lines["score"]


def test_the_same_seed_gives_the_same_files(home: Path) -> None:
    done = landscribe("run", "r.toml", "--run", "again", cwd=home)
    assert done.returncode == 0, done.stderr
    assert landscribe("run", "r.toml", "--run", "run", cwd=home).returncode == 0
    assert digests(home / "again") == digests(home / "run")


@pytest.fixture(scope="module")
def whole(home: Path) -> Path:
    """A run of a longer training, and beside it what it was trained on."""
    recipe, run = home / "long.toml", home / "whole"
    recipe.write_text(RECIPE.format(epochs=6))
    shutil.copytree(home / "run", run)
    shutil.rmtree(run / "models")
    shutil.rmtree(run / ".done" / "train")
    assert landscribe("prepare", recipe, "--run", run, cwd=home).returncode == 0
    shutil.copytree(run, home / "untrained")
    assert landscribe("train", recipe, "--run", run, cwd=home).returncode == 0
    return run


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_training_ends_as_an_uninterrupted_one(
    home: Path, whole: Path, tmp_path: Path, number: int
) -> None:
    recipe = home / "long.toml"
    shutil.copytree(home / "untrained", tmp_path / "cut")
    process = start("train", recipe, "--run", tmp_path / "cut", cwd=home)
    marker = tmp_path / "cut" / "models" / "all" / "state" / "progress.json"
    begin = time.monotonic()
    while not marker.exists() and time.monotonic() - begin < 120:
        time.sleep(0.02)
    process.send_signal(number)
    code = process.wait(timeout=60)
    assert code == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert marker.exists()
    assert not (tmp_path / "cut" / "models" / "all" / "model.json").exists()
    assert landscribe("train", recipe, "--run", tmp_path / "cut", cwd=home).returncode == 0
    one, other = (path / "models" / "all" / "model.safetensors" for path in (whole, tmp_path / "cut"))
    assert one.read_bytes() == other.read_bytes()


def test_a_prediction_goes_on_inside_a_scene(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from landscribe.io.project import open_project
    from landscribe.io.run.runs import open_run
    from landscribe.io.settings import load_recipe
    from landscribe.nn.predict.reading import SceneReader
    from landscribe.stages.predict import predict

    shutil.copytree(home / "run", tmp_path / "run")
    run, project = open_run(tmp_path / "run"), open_project(load_recipe(home / "r.toml"))
    scene = next(iter(run.records("predict")))
    before = run.probability(scene).read_bytes()
    run.probability(scene).unlink()
    computed, load = [], SceneReader.load
    monkeypatch.setattr(SceneReader, "load", lambda self, net, tile: (computed.append(tile), load(self, net, tile))[1])

    def stop(_what: str, done: int, total: int) -> None:
        assert total == 4
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(project, run, stop)
    kept = sorted(p for p in run.probability(scene).parent.glob(".tiles-*/*/*"))
    assert len(kept) == 2
    assert not run.probability(scene).exists()
    kept[0].write_bytes(kept[0].read_bytes()[:-1] + b"?")  # a damaged tile is made again
    computed.clear()
    assert predict(project, run).made == [scene]
    assert len(computed) == 3
    assert run.probability(scene).read_bytes() == before
    assert not [*run.probability(scene).parent.glob(".tiles-*")]


def test_prediction_in_bytes_is_close_and_made_once(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "run", tmp_path / "run")
    command = ("predict", "r.toml", "--run", tmp_path / "run", "--set", "predict.precision=int8")
    for _ in range(2):
        done = landscribe(*command, cwd=home)
        assert done.returncode == 0, done.stderr
    assert "up to date" in done.stderr
    names = sorted(p.name for p in (home / "run" / "probability").glob("*.tif"))
    for name in names:
        both = []
        for run in (home / "run", tmp_path / "run"):
            with rasterio.open(run / "probability" / name) as raster:
                both.append(raster.read().astype(float))
        assert 0 < abs(both[0] - both[1]).mean() < 2  # of 255


def test_finished_models_on_new_scenes(home: Path, tmp_path: Path) -> None:
    done = landscribe("run", "r.toml", "--run", tmp_path / "new", "--models", "run/models", cwd=home)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "new" / "probability").glob("*.tif"))) == 5
    assert not (tmp_path / "new" / "models").exists()


def test_a_broken_scene_does_not_stop_the_others(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "world", tmp_path / "world")
    raster = sorted((tmp_path / "world" / "sixteen_band").glob("*_M.tif"))[1]
    raster.write_bytes(raster.read_bytes()[: raster.stat().st_size // 2])
    (tmp_path / "r.toml").write_text(RECIPE.format(epochs=1))
    done = landscribe("run", "r.toml", "--run", "run", cwd=tmp_path)
    assert done.returncode == 4, done.stderr
    assert raster.name.removesuffix("_M.tif") in done.stderr.splitlines()[-1]
    assert (tmp_path / "run" / "score.json").exists()
    scene = raster.name.removesuffix("_M.tif")
    reason = json.loads((tmp_path / "run" / "run.json").read_text())["failed"]["prepare"][scene]
    assert raster.name in reason
    assert reason.split(":")[-1].strip()[:20] in (tmp_path / "run" / "report.html").read_text()


def test_a_damaged_model_is_refused(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "run" / "models", tmp_path / "models")
    weights = tmp_path / "models" / "all" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    done = landscribe("predict", "r.toml", "--run", "run", "--models", tmp_path / "models", cwd=home)
    assert done.returncode == 6
    assert done.stderr.count("\n") <= 2, done.stderr


SPECTRAL = ("--set", "models.0.kind=index", "--set", 'models.0.classes=["tree"]')


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["run", "r.toml", "--run", "x", "--set", "predict.tiels=3"], 2, "did you mean 'tile'"),
        (["run", "nowhere.toml", "--run", "x"], 2, "no such recipe"),
        (["check", "r.toml", "--set", "data.root=elsewhere"], 3, "no such folder"),
        (["train", "r.toml", "--run", "empty"], 3, "landscribe prepare"),
        (["score", "r.toml"], 2, "RECIPE --run DIR, or PREDICTED TRUTH"),
        (["run", "r.toml", "--run", "r.toml"], 3, "is a file"),
        (["run", "r.toml"], 2, "--run"),
        (["check", "r.toml", "--set", 'models.0.inputs.indices=["nvdi"]'], 2, "unknown index"),
        (["check", "r.toml", "--set", 'models.0.classes=["castle"]'], 2, "unknown class"),
        (
            ["check", "r.toml", *SPECTRAL, "--set", "models.0.spectral.index=nvdi"],
            2,
            "model 'all', spectral: unknown index, got 'nvdi'",
        ),
        (["check", "r.toml", "--set", "vectorize.threshold.castle=0.4"], 2, "unknown class, got 'castle'"),
        (["check", "r.toml", "--set", 'validate.scenes=["a"]'], 2, 'split = "named" alone'),
        (
            ["check", "r.toml", "--set", "predict.precision=int8", "--set", "models.0.network.activation=elu"],
            2,
            "'int8' does not go with activation = 'elu' of model 'all'",
        ),
    ],
)
def test_mistakes_give_one_line_and_their_code(home: Path, arguments: list[str], code: int, said: str) -> None:
    done = landscribe(*arguments, cwd=home)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_stops_with_its_own_code(home: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0 or subprocess.run(["mount", "-V"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "none", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        done = landscribe("prepare", "r.toml", "--run", disk / "run", cwd=home)
        left = [p for p in disk.rglob("*") if p.name.startswith(".partial-")]
        records = len(list((disk / "run" / ".done" / "prepare").glob("*.json")))
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)  # who read files is about to end, too
    assert done.returncode == 5, done.stderr
    assert "Traceback" not in done.stderr
    assert not left
    assert records < 5


def test_scenes_that_memory_does_not_hold_give_the_same_model(home: Path, tmp_path: Path) -> None:
    from landscribe.io.project import open_project
    from landscribe.io.run.runs import open_run
    from landscribe.io.settings import load_recipe
    from landscribe.stages.train import train

    shutil.copytree(home / "run", tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / ".done" / "train")
    shutil.rmtree(tmp_path / "run" / "models")
    project = open_project(load_recipe(home / "r.toml", ["memory_share=1e-9", "tensorboard=false"]))
    told: list[str] = []
    seen: list[set[str]] = []

    def hear(what: str, _done: int, _total: int) -> None:
        told.append(what)
        seen.append({p.name for p in (tmp_path / "run/models/all/state").glob("*.bin")})

    train(project, open_run(tmp_path / "run"), hear)
    assert any(what.startswith("train all: scenes in files: ") for what in told)
    assert len(seen[-1]) == 6  # two sensors and the labels, of the training scenes and of those held out
    assert not list((tmp_path / "run/models/all/state").iterdir())
    name = "models/all/model.safetensors"
    assert (tmp_path / "run" / name).read_bytes() == (home / "run" / name).read_bytes()
    assert "scenes in files" in (tmp_path / "run" / "manifest.json").read_text()
