"""`adapt`: trained on with soft labels of scenes without labels; labels of scored scenes are never looked at."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from landscribe.cli.app import app
from landscribe.errors import DataError, RecipeError
from landscribe.io.models.model_files import read_model
from landscribe.io.project import open_project
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import open_run
from landscribe.io.run.scored import run_score
from landscribe.io.settings import load_recipe
from landscribe.nn.network.bundle import from_files
from landscribe.pipeline import run_pipeline
from landscribe.stages.adapt import LABELS, adapt
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from landscribe.stages.train import train
from small_scenes import RECIPE, SHAPE_HW, write_image, write_labels

ON = "adapt.epochs=2"
SURE = "adapt.least=0"
"""Networks of one step are sure of nothing."""


def write_all(folder):
    """Three scenes to train on, o4 held out, and two without labels."""
    for number, name in enumerate(("o1", "o2", "o3", "o4", "n1", "n2"), start=1):
        grid = write_image(folder / "old" / "img" / f"{name}.tif", 1000 * number, number)
        if name.startswith("o"):
            write_labels(folder / "old" / "lab" / f"{name}.gpkg", grid)
    (folder / "r.toml").write_text(RECIPE)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapt")
    write_all(folder)
    project, run = opened(folder)
    prepare(project, run)
    train(project, run)
    return folder


@pytest.fixture
def home(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "home")
    return tmp_path / "home"


def opened(folder, *overrides):
    return open_project(load_recipe(folder / "r.toml", overrides)), open_run(folder / "run")


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_network_goes_on_from_what_was_trained_and_everything_after_takes_it(home):
    project, run = opened(home, ON, SURE)
    result = adapt(project, run)
    assert result.made == ["net"]
    assert result.notes == ["scenes adapted to, without their labels: 2"]
    assert sorted(run.records(LABELS)) == ["net/n1", "net/n2"]
    before, _, _ = from_files(read_model(run.path("models", "net")))
    after, spec, extra = from_files(read_model(run.path("adapted", "net")))
    assert extra["adapted_to"] == ["n1", "n2"]
    assert extra["trained_on"] == ["o1", "o2", "o3"]
    assert spec == before.spec
    pairs = zip(after.parameters(), before.parameters(), strict=True)
    change = [float((a - b).detach().abs().max()) for a, b in pairs]
    assert 0 < max(change) < 0.1  # a few steps from there, not from weights drawn anew
    assert len(run.path("adapted", "net", "history.csv").read_text().splitlines()) == 3
    assert adapt(project, run).current == ["net"]

    results = {result.stage: result for result in run_pipeline(project, run)}
    assert results["adapt"].current == ["net"]
    assert results["predict"].made == ["n1", "n2", "o4", "o4 (unadapted)"]
    score = run_score(run)
    found = score.adapting.mean
    assert found.tuned == score.mean.polygon.jaccard
    assert found.default is not None
    assert f"adapted: mean Jaccard {found.tuned:.3f}, without {found.default:.3f}" in results["score"].notes
    report = run.path("report.html").read_text()
    assert "The held-out scenes without adapting and with it" in report
    assert "net: scenes adapted to, without their labels: 2" in report

    # Without it, the run is what it was, and nothing is left of what `score` compared with.
    adapted = digest(run.probability("o4"))
    plain, run = opened(home)
    list(run_pipeline(plain, run))
    assert digest(run.probability("o4")) != adapted
    assert run_score(run).adapting is None
    assert run_score(run).mean.polygon.jaccard == found.default
    assert not list(run.path("unadapted").glob("*"))


def test_labels_of_scored_scenes_are_never_looked_at(home):
    """With the labels of the held-out scene gone, and with others, the same network comes out of its pixels."""
    overrides = (ON, SURE, "adapt.scenes=new")
    project, run = opened(home, *overrides)
    assert adapt(project, run).notes == ["scenes adapted to, without their labels: 3"]
    wanted, key = digest(run.path("adapted", "net", "model.safetensors")), run.records("adapt")["net"].key
    read = [name for record in (run.records("adapt") | run.records(LABELS)).values() for name in record.inputs]
    assert [name for name in read if "/o4/" in name]
    assert not [name for name in read if "/o4/" in name and "/sensors/" not in name and "scene.json" not in name]

    said = {item: record.key for item, record in run.records(LABELS).items()}
    write_labels(home / "old" / "lab" / "o4.gpkg", open_prepared(run, "o4").grid, "road", "house")
    assert prepare(project, run).made == ["o4"]
    assert adapt(opened(home, *overrides)[0], run).current == ["net"]
    assert {item: record.key for item, record in run.records(LABELS).items()} == said

    shutil.rmtree(run.path("adapted"))
    shutil.rmtree(run.path("soft"))
    folder = run.scene_folder("o4")
    (folder / "coverage.tif").unlink()
    (folder / "labels.parquet").unlink()
    (home / "old" / "lab" / "o4.gpkg").unlink()
    project, run = opened(home, *overrides)
    assert adapt(project, run).made == ["net"]
    assert digest(run.path("adapted", "net", "model.safetensors")) == wanted
    assert run.records("adapt")["net"].key == key


def test_an_interrupted_run_goes_on_as_if_nothing_had_been(home):
    def stop_after_one(what, done, total):
        if what.startswith("adapt net") and (done, total) == (1, 2):
            raise KeyboardInterrupt

    whole, run = opened(home, ON, SURE)
    adapt(whole, run)
    wanted = digest(run.path("adapted", "net", "model.safetensors"))
    shutil.rmtree(run.path("adapted"))
    run.forget("adapt", "net")
    with pytest.raises(KeyboardInterrupt):
        adapt(whole, run, stop_after_one)
    assert list(run.path("adapted", "net", "state").glob("epoch-00001-*"))
    adapt(whole, run)
    assert digest(run.path("adapted", "net", "model.safetensors")) == wanted


def test_seeds_label_together_and_rules_come_along(home):
    text = (
        (home / "r.toml").read_text().replace('name = "net"\n', 'name = "net"\nclasses = ["house"]\nseeds = [1, 2]\n')
    )
    rule = '[[models]]\nname = "rule"\nkind = "labels"\nclasses = ["road"]\n[predict]'
    (home / "r.toml").write_text(text.replace("[predict]", rule))
    project, run = opened(home, ON, SURE)
    train(project, run)
    assert adapt(project, run).made == ["net+seed1", "net+seed2", "rule"]
    assert sorted(run.records(LABELS)) == ["net/n1", "net/n2"]
    soft = np.fromfile(run.path("soft", "net", "n1.bin"), np.uint8).reshape(2, *SHAPE_HW)
    assert soft[1].any()
    assert predict(project, run).made[:3] == ["n1", "n2", "o4"]


def test_chips_are_changed_as_in_training(home):
    """Colours of other scenes, and pieces of other chips, in both kinds of batch; the weights go along."""
    changed = ("models.*.chips.match=0.7", "models.*.chips.cutmix=0.5", "models.*.chips.strength=0.5")
    project, run = opened(home, ON, SURE)
    adapt(project, run)
    plain = digest(run.path("adapted", "net", "model.safetensors"))
    for wanted in ("all", "train"):
        project, run = opened(home, ON, SURE, *changed, f"models.*.chips.match_scenes={wanted}")
        train(project, run)
        assert adapt(project, run).made == ["net"]
        assert digest(run.path("adapted", "net", "model.safetensors")) != plain


def test_adapted_models_are_models(home):
    project, run = opened(home, ON, SURE)
    adapt(project, run)
    out = home / "out"
    image = home / "old" / "img" / "n1.tif"
    given = ["predict", str(image), "--models", str(run.path("adapted")), "--out", str(out), "--anyway"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, done.output
    predict(project, run)
    assert (out / "n1.tif").stat().st_size > 0
    assert json.loads((out / "run" / "run.json").read_text())["models"]["folder"].endswith("adapted")


def test_what_tells_touching_things_apart_comes_along(home):
    """An output of its own is labelled, weighted and trained on as a class is."""
    text = (home / "r.toml").read_text().replace('name = "net"\n', 'name = "net"\nborders = ["house"]\n')
    (home / "r.toml").write_text(text)
    project, run = opened(home, ON, SURE)
    train(project, run)
    assert adapt(project, run).made == ["net"]
    soft = np.fromfile(run.path("soft", "net", "n1.bin"), np.uint8).reshape(4, *SHAPE_HW)
    assert soft[-1].any()
    assert from_files(read_model(run.path("adapted", "net")))[1].classes == ("house", "road", "house~border")
    assert predict(project, run).made[:3] == ["n1", "n2", "o4"]


def test_a_dry_run_says_it(home):
    done = CliRunner().invoke(app, ["run", str(home / "r.toml"), "--run", str(home / "run"), "--set", ON, "--dry-run"])
    assert "trains on for 2 epochs with unlabelled scenes, and predicts held-out ones twice" in done.output


def test_what_cannot_be_done_is_one_line(home):
    project, run = opened(home)
    with pytest.raises(RecipeError, match=r"\[adapt\].epochs: is 0: nothing to do"):
        adapt(project, run)
    with pytest.raises(RecipeError, match=r"predict.snapshots = true does not go with"):
        opened(home, ON, "predict.snapshots=true")
    project, run = opened(home, ON, "adapt.least=0.99")
    with pytest.raises(DataError, match="networks are sure of no pixel of the new scenes"):
        adapt(project, run)
    for name in ("n1", "n2"):
        (home / "old" / "img" / f"{name}.tif").unlink()
    shutil.rmtree(run.root)
    project, run = opened(home, ON)
    prepare(project, run)
    train(project, run)
    with pytest.raises(DataError, match=r"no unlabelled scene to adapt to, got .*\[adapt\].scenes = 'new'"):
        adapt(project, run)
    before = {path for path in run.root.rglob("*") if path.name != ".owner"}
    done = CliRunner().invoke(app, ["run", str(home / "r.toml"), "--run", str(run.root), "--set", ON])
    assert "no scene without labels to adapt to" in str(done.exception)
    assert {path for path in run.root.rglob("*") if path.name != ".owner"} == before
    done = CliRunner().invoke(app, ["adapt", str(home / "r.toml"), "--run", str(run.root), "--set", ON])
    assert isinstance(done.exception, DataError)
