"""`predict.adapt`: statistics of each place, taken once, recorded, and part of what a probability was made from."""

import hashlib
import json
import shutil

import pytest
from typer.testing import CliRunner

import landscribe as ls
from landscribe.cli.app import app
from landscribe.errors import RecipeError
from landscribe.io.project import open_project
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.nn import private_ops
from landscribe.pipeline import run_pipeline
from landscribe.stages.predict import predict
from landscribe.stages.predict.adapted import STATISTICS
from landscribe.stages.prepare import prepare
from landscribe.stages.train import train
from shared_runs import do, made_in
from small_scenes import RECIPE, TO_PREDICT, train_small, write_image, write_labels

ADAPTS = "predict.adapt=batchnorm"


@pytest.fixture
def home(tmp_path):
    """Two places of two new scenes each, a and b, beside the training scenes of place o."""
    for number, name in enumerate(("o-1", "o-2", "a-1", "a-2", "b-1", "b-2"), start=1):
        grid = write_image(tmp_path / "old" / "img" / f"{name}.tif", 1000 * number, number)
        if name.startswith("o"):
            write_labels(tmp_path / "old" / "lab" / f"{name}.gpkg", grid)
    text = RECIPE.replace('split = "named"\nscenes = ["o4"]', 'split = "none"')
    text = text.replace("[[classes]]", 'scene = "{town}{number}"\nplace = "{town}"\n[[classes]]', 1)
    text = text.replace("{scene}", "{town}-{number}")
    (tmp_path / "r.toml").write_text(text)
    return tmp_path


def opened(home, *overrides):
    return open_project(load_recipe(home / "r.toml", overrides)), open_run(home / "run")


def digests(run):
    return {i: hashlib.sha256(run.probability(i).read_bytes()).hexdigest() for i in run.records("predict")}


def test_a_place_is_adapted_to_as_a_whole_and_a_record_knows_it(home):
    project, run = opened(home)
    prepare(project, run)
    train(project, run)
    assert predict(project, run).made == ["a1", "a2", "b1", "b2"]
    plain, keys = digests(run), {i: record.key for i, record in run.records("predict").items()}
    project, _ = opened(home, ADAPTS)
    result = predict(project, run)
    assert result.made == ["a1", "a2", "b1", "b2"]
    assert "batch norm took 0.5 of its statistics from the scenes of each place: 2 places" in result.notes
    assert sorted(run.records(STATISTICS)) == ["a", "b"]
    adapted = digests(run)
    assert all(adapted[i] != plain[i] for i in plain)
    for i in adapted:
        file = f"statistics/{i[0]}.safetensors"
        assert run.records("predict")[i].inputs[file] == run.records(STATISTICS)[i[0]].outputs[file]
    assert predict(project, run).current == ["a1", "a2", "b1", "b2"]

    # Another share is another result; other pixels in one scene change the place, and no other place.
    assert len(predict(opened(home, ADAPTS, "predict.adapt_share=0.25")[0], run).made) == 4
    assert digests(run) != adapted
    predict(project, run)
    assert digests(run) == adapted
    write_image(home / "old" / "img" / "a-2.tif", 4000, 99)
    project, run = opened(home, ADAPTS)
    prepare(project, run)
    assert predict(project, run).made == ["a1", "a2"]
    assert digests(run)["a1"] != adapted["a1"]

    # Without it, everything is as before, and nothing is left of it.
    project, _ = opened(home)
    result = predict(project, run)
    assert {i: digests(run)[i] for i in ("a1", "b1", "b2")} == {i: plain[i] for i in ("a1", "b1", "b2")}
    assert {run.records("predict")[i].key for i in ("b1", "b2")} == {keys["b1"], keys["b2"]}
    assert not run.records(STATISTICS)
    assert not list(run.path("statistics").glob("*"))


def test_statistics_that_were_changed_are_taken_again(home):
    project, run = opened(home, ADAPTS)
    prepare(project, run)
    train(project, run)
    predict(project, run)
    before = digests(run)
    run.path("statistics", "a.safetensors").write_bytes(b"")
    run.probability("a1").unlink()
    assert predict(project, run).made == ["a1"]
    assert digests(run) == before


def test_the_report_says_it(home):
    project, run = opened(home, ADAPTS)
    list(run_pipeline(project, run))
    assert "batch norm took 0.5 of its statistics from the scenes of each place" in run.path("report.html").read_text()


def statistics_in(run):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (run / "statistics").iterdir()}


@pytest.mark.slow
def test_parts_and_workers_make_the_bytes_of_one_process(home):
    pytest.importorskip("distributed")
    given = ("r.toml", "--set", ADAPTS, "--set", "scale.window=32", "--set", "predict.tile=32", "--run")
    for stage in ("prepare", "train"):
        assert do(stage, *given, "alone", cwd=home)[0] == 0
    for name in ("parts", "workers"):
        shutil.copytree(home / "alone", home / name)
    ways = [("alone",), *(("parts", "--part", f"{n}/2") for n in (2, 1)), ("parts",), ("workers", "--on", "local:2")]
    for way in ways:
        code, text = do("predict", *given, *way, cwd=home)
        assert code == 0, text
    wanted, statistics = made_in(home / "alone"), statistics_in(home / "alone")
    assert len(statistics) == 2
    for name in ("parts", "workers"):
        assert statistics_in(home / name) == statistics
        assert made_in(home / name) == wanted


def test_a_network_without_batch_norm_is_one_line(home):
    text = "predict.adapt = 'batchnorm' needs batch norm in model 'net'"
    with pytest.raises(RecipeError, match=text):
        opened(home, ADAPTS, "models.*.network.batch_norm=false")
    project, run = opened(home, "models.*.network.batch_norm=false")
    prepare(project, run)
    train(project, run)
    (home / "other.toml").write_text(TO_PREDICT.replace('root = "."', 'root = "old"'))
    project = open_project(load_recipe(home / "other.toml", [ADAPTS]))
    prepare(project, open_run(home / "other"))
    with pytest.raises(RecipeError, match=r"predict.adapt: model 'net' has no batch norm"):
        predict(project, open_run(home / "other"), models=run.path("models"))


def test_images_and_arrays_get_the_same_bytes_and_no_graph_is_made(tmp_path):
    models = train_small(tmp_path)
    images = [tmp_path / name for name in ("x.tif", "y.tif")]
    for number, image in enumerate(images):
        write_image(image, 100 + 3000 * number, 50 + number)
    given = ["--models", str(models), "--out", str(tmp_path / "out"), "--anyway", "--set", ADAPTS]
    done = CliRunner().invoke(app, ["predict", *map(str, images), *given])
    assert done.exit_code == 0, done.output
    model = ls.load_model(models, overrides=[ADAPTS])
    for image in images:  # each a place of its own
        with open_raster(tmp_path / "out" / image.name) as raster:
            assert (model.predict(image, anyway=True).values_khw == raster.read()[0]).all()
    assert json.loads((tmp_path / "out" / "run" / "run.json").read_text())["recipe"]["predict"]["adapt"] == "batchnorm"
    done = CliRunner().invoke(app, ["export", str(tmp_path / "out" / "run"), "--to", str(tmp_path / "x.zip")])
    assert "predict.adapt = 'batchnorm': takes statistics from each place; a graph has none" in str(done.exception)


@pytest.mark.skipif(not private_ops.can_multiply_bytes(), reason="this torch has no convolutions of bytes")
def test_bytes_are_adapted_too(home):
    project, run = opened(home, ADAPTS)
    prepare(project, run)
    train(project, run)
    found = []
    for more in (
        ("predict.precision=int8",),
        (ADAPTS, "predict.precision=int8"),
        (ADAPTS, "predict.precision=float32"),
    ):
        assert not predict(opened(home, *more)[0], run).failed
        found.append(digests(run)["a1"])
    assert len(set(found)) == 3


def test_folds_have_statistics_of_their_own(home):
    project, run = opened(home, ADAPTS, "tune.folds=2", 'data.place="{town}{number}"')
    prepare(project, run)
    train(project, run)
    result = predict(project, run)
    assert {item.rpartition("/")[0] for item in run.records(STATISTICS)} == {"", "fold1", "fold2"}
    assert sorted(run.records("oof")) == ["o1", "o2"]
    assert all(any("statistics/" in name for name in record.inputs) for record in run.records("oof").values())
    assert not result.failed
