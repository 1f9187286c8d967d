"""A run as a bundle: it replays, says so when it does not, and is taken as a folder of models is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from landscribe.cli.app import app
from landscribe.core.seal import seal, unseal
from landscribe.errors import DataError, IntegrityError, LandscribeError, RecipeError
from landscribe.io.bundle.archive import open_bundle, write_bundle
from landscribe.io.project import open_project
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe, parse_recipe, recipe_of_run
from landscribe.io.vector.vectors import read_own
from landscribe.pipeline import run_pipeline
from landscribe.stages.bundles.export import export
from landscribe.stages.bundles.verify import verify
from portable import EXPORTER_SAYS, deepness_mask, forge, has_onnx, members_of, write_zip
from small_scenes import RECIPE, train_small, write_image

pytestmark = [
    pytest.mark.skipif(not has_onnx(), reason="the extra landscribe[onnx] is not installed"),
    pytest.mark.filterwarnings(*EXPORTER_SAYS),
]
NEW = '[data]\nroot = "new"\nsensors.RGB = { path = "img/{scene}.tif", kind = "rgb8" }\n'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, its bundle, and a new image."""
    folder = tmp_path_factory.mktemp("bundled")
    train_small(folder)
    run = open_run(folder / "old_run")
    assert all(not result.failed for result in run_pipeline(open_project(load_recipe(folder / "old.toml")), run))
    notes = export(open_project(recipe_of_run(run.root)), run, folder / "city.zip")
    assert notes == ["ONNX Runtime on the piece of o4: all 4,346 probabilities the same"]
    write_image(folder / "new" / "img" / "n5.tif", 11000, 79)
    (folder / "new.toml").write_text(NEW)
    return folder


def refused(path: Path) -> str:
    """Return what `verify` says of a bundle, as the command line says it; nothing may be written."""
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(LandscribeError) as caught:
        verify(path)
    said = CliRunner().invoke(app, ["verify", str(path)])
    assert said.exception is not None
    assert type(said.exception) is type(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(path.parent.rglob("*")) == before
    assert caught.value.exit_code == 6
    return str(caught.value)


def test_a_bundle_holds_what_it_promises_and_replays(home: Path) -> None:
    bundle = open_bundle(home / "city.zip")
    assert set(bundle.members) == {
        "README.md", "bundle.json", "item.json", "recipe.toml", "model.onnx", "deepness-house.onnx",
        "deepness-road.onnx", "models/net/model.json", "models/net/model.safetensors", "replay/RGB.tif",
        "replay/probability.tif", "replay/polygons.parquet",
    }  # fmt: skip
    result = verify(home / "city.zip")
    assert result.files == 12
    assert result.polygons > 0
    assert result.lines == (
        f"torch: all 4,346 probabilities the same, {result.polygons} polygons equal",
        f"ONNX Runtime: all 4,346 probabilities the same, {result.polygons} polygons equal",
    )
    members = members_of(home / "city.zip")
    recipe = parse_recipe(members["recipe.toml"].decode(), home, "recipe.toml").recipe
    assert recipe == load_recipe(home / "old.toml").recipe
    about = json.loads(members["bundle.json"])
    assert [row["smallest_byte"] for row in about["classes"]] == [3, 3]
    assert "SHA-256" in members["README.md"].decode()
    assert str(home).encode() not in b"".join(c for n, c in members.items() if not n.startswith("models/"))


def test_the_command_line_says_what_it_found(home: Path) -> None:
    said = CliRunner().invoke(app, ["verify", str(home / "city.zip"), "--json"])
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["files"] == 12
    said = CliRunner().invoke(app, ["export", str(home / "nowhere"), "--to", str(home / "x.zip")])
    assert isinstance(said.exception, RecipeError)


def test_a_bundle_is_taken_as_a_folder_of_models_is(home: Path, tmp_path: Path) -> None:
    for name, models in (("zip", home / "city.zip"), ("folder", home / "old_run" / "models")):
        said = CliRunner().invoke(
            app, ["run", str(home / "new.toml"), "--run", str(tmp_path / name), "--models", str(models)]
        )
        assert said.exit_code == 0, said.output
        out = tmp_path / f"out_{name}"
        said = CliRunner().invoke(
            app, ["predict", str(home / "new/img/n5.tif"), "--out", str(out), "--models", str(models)]
        )
        assert said.exit_code == 0, said.output
    first, second = (Run(tmp_path / name) for name in ("zip", "folder"))
    assert first.probability("n5").read_bytes() == second.probability("n5").read_bytes()
    assert len(read_own(first.features("n5"))) == len(read_own(second.features("n5")))
    assert (tmp_path / "out_zip" / "n5.tif").read_bytes() == (tmp_path / "out_folder" / "n5.tif").read_bytes()
    facts = json.loads((tmp_path / "zip" / "run.json").read_text())
    assert facts["models"]["folder"] == str((home / "city.zip").resolve())
    again = CliRunner().invoke(app, ["run", str(tmp_path / "zip")])  # from the bundle that the run remembers
    assert again.exit_code == 0, again.output
    assert "1 up to date" in again.stderr
    assert CliRunner().invoke(app, ["check", str(home / "new.toml"), "--models", str(home / "city.zip")]).exit_code == 0
    # A run by a bundle can be handed on.
    said = CliRunner().invoke(app, ["export", str(tmp_path / "zip"), "--to", str(tmp_path / "on.zip")])
    assert said.exit_code == 0, said.output
    assert verify(tmp_path / "on.zip").files == 12


def test_a_program_takes_a_bundle_too(home: Path) -> None:
    import landscribe

    image = home / "new" / "img" / "n5.tif"
    by_zip, by_folder = (
        landscribe.load_model(models).predict(image) for models in (home / "city.zip", home / "old_run" / "models")
    )
    np.testing.assert_array_equal(by_zip.values_khw, by_folder.values_khw)


def test_what_was_tuned_goes_along(home: Path, tmp_path: Path) -> None:
    said = RECIPE.replace('root = "old"', f'root = "{(home / "old").as_posix()}"')
    said = said.replace("[vectorize]", "[tune]\nfolds = 3\nsymmetries = [1]\n[vectorize]\ntuned = true")
    (tmp_path / "tuned.toml").write_text(said)
    run = open_run(tmp_path / "run")
    assert all(not result.failed for result in run_pipeline(open_project(load_recipe(tmp_path / "tuned.toml")), run))
    export(open_project(recipe_of_run(run.root)), run, tmp_path / "tuned.zip")
    members = members_of(tmp_path / "tuned.zip")
    assert members["tuned.json"] == run.path("tuned.json").read_bytes()
    tuned = parse_recipe(members["recipe.toml"].decode(), tmp_path, "recipe.toml").recipe
    assert not tuned.vectorize.tuned
    about = json.loads(members["bundle.json"])
    assert [row["threshold"] for row in about["classes"]] == [
        tuned.vectorize.threshold.of(n) for n in ("house", "road")
    ]
    assert "ONNX Runtime: all" in verify(tmp_path / "tuned.zip").lines[1]
    words = ["predict", str(home / "new/img/n5.tif"), "--out", str(tmp_path / "out"), "--models"]
    done = CliRunner().invoke(app, [*words, str(tmp_path / "tuned.zip")])
    assert done.exit_code == 0, done.output
    assert "without what was tuned" not in done.stderr
    assert (tmp_path / "out" / "run" / "tuned.json").read_bytes() == members["tuned.json"]


def test_damaged_bundles_are_not_taken_and_nothing_is_written(home: Path, tmp_path: Path) -> None:
    content = bytearray((home / "city.zip").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "bad.zip").write_bytes(content)
    for words in (
        ["run", str(home / "new.toml"), "--run", str(tmp_path / "r")],
        ["predict", str(home / "new" / "img" / "n5.tif"), "--out", str(tmp_path / "o")],
        ["prepare", str(home / "new.toml"), "--run", str(tmp_path / "r")],
        ["check", str(home / "new.toml")],
    ):
        said = CliRunner().invoke(app, [*words, "--models", str(tmp_path / "bad.zip")])
        assert isinstance(said.exception, IntegrityError), words
    assert [p.name for p in tmp_path.iterdir()] == ["bad.zip"]


def test_what_a_stranger_changed_is_told_though_the_manifest_fits(home: Path, tmp_path: Path) -> None:
    members = members_of(home / "city.zip")
    path = tmp_path / "f.zip"

    def with_file(name: str, content: bytes) -> str:
        return refused(write_zip(path, forge({**members, name: content})))

    assert "not an ONNX graph" in with_file("model.onnx", b"not a graph at all")
    assert "a broken seal" in with_file(
        "models/net/model.json", members["models/net/model.json"].replace(b"3", b"4", 1)
    )
    assert "SHA-256" in with_file("models/net/model.safetensors", members["models/net/model.safetensors"][:-1] + b"x")
    about = json.loads(members["bundle.json"])
    assert "of another version" in with_file("bundle.json", json.dumps({**about, "format": 7}).encode())
    assert "damaged" in with_file("bundle.json", b"{")
    odd = {**about, "replay": {**about["replay"], "rasters": {"RGB": "../../etc/passwd"}}}
    assert "a part is missing" in with_file("bundle.json", json.dumps(odd).encode())
    other = {**about, "inputs": [{**about["inputs"][0], "step": 2}]}
    assert "other inputs" in with_file("bundle.json", json.dumps(other).encode())
    assert "not valid TOML" in with_file("recipe.toml", b"= =")
    assert "not UTF-8 text" in with_file("recipe.toml", b"\xff")
    assert "unknown key 'x'" in with_file("recipe.toml", members["recipe.toml"].replace(b"seed = 0", b"x = 1"))
    assert "predict.precision" in with_file(
        "recipe.toml", members["recipe.toml"].replace(b"symmetries = 1", b"symmetries = 1\nprecision = 'int8'", 1)
    )
    assert "replay/RGB.tif" in with_file("replay/RGB.tif", b"II*\0 nothing of a picture")
    assert "replay/polygons.parquet" in with_file("replay/polygons.parquet", b"PAR1 nothing PAR1")
    without = {name: content for name, content in members.items() if name != "model.onnx"}
    assert "a part is missing, got no model.onnx" in refused(write_zip(path, forge(without)))


def test_other_probabilities_and_other_polygons_are_told(home: Path, tmp_path: Path) -> None:
    from landscribe.io.raster.geotiff import write_raster
    from landscribe.io.raster.rasters import open_raster
    from landscribe.io.vector.vectors import write_features

    members = members_of(home / "city.zip")
    for name in ("probability.tif", "polygons.parquet"):
        (tmp_path / name).write_bytes(members[f"replay/{name}"])
    with open_raster(tmp_path / "probability.tif") as raster:
        (image_chw, valid_hw), grid = raster.read(), raster.info.grid
    image_chw[1, 20, 30] += 2
    with write_raster(tmp_path / "other.tif", grid, count=2, dtype="uint8", mask=True) as writer:
        writer.write(grid.window, image_chw)
        writer.write_mask(grid.window, valid_hw)
    forged = forge({**members, "replay/probability.tif": (tmp_path / "other.tif").read_bytes()})
    text = refused(write_zip(tmp_path / "p.zip", forged))
    assert "torch gives other probabilities, got 1 of 4,346 probabilities differ, by 2 steps" in text
    features = read_own(tmp_path / "polygons.parquet")
    write_features(tmp_path / "fewer.parquet", features.iloc[1:], legend=None)
    forged = forge({**members, "replay/polygons.parquet": (tmp_path / "fewer.parquet").read_bytes()})
    assert "torch gives other polygons, got +1" in refused(write_zip(tmp_path / "q.zip", forged))
    features.geometry = features.geometry.translate(0.01, 0)
    write_features(tmp_path / "moved.parquet", features, legend=None)
    forged = forge({**members, "replay/polygons.parquet": (tmp_path / "moved.parquet").read_bytes()})
    assert "with other outlines" in refused(write_zip(tmp_path / "q.zip", forged))


def test_the_graph_of_a_stranger_is_not_run(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the graph is, its digest comes first."""
    import onnxruntime

    seen = []
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda *a, **_k: seen.append(a) or (_ for _ in ()).throw(OSError)
    )
    members = members_of(home / "city.zip")
    refused(write_zip(tmp_path / "s.zip", {**members, "model.onnx": members["deepness-road.onnx"]}))
    assert not seen


def test_another_graph_with_a_manifest_that_fits_gives_itself_away(home: Path, tmp_path: Path) -> None:
    import onnx

    model = onnx.load_from_string(members_of(home / "city.zip")["model.onnx"])
    for weight in model.graph.initializer:
        if weight.data_type == onnx.TensorProto.FLOAT and len(weight.dims) == 4 and len(weight.raw_data) > 64:
            values = np.frombuffer(weight.raw_data, np.float32) * np.float32(-2)
            weight.raw_data = values.tobytes()
    forged = forge({**members_of(home / "city.zip"), "model.onnx": model.SerializeToString()})
    assert "ONNX Runtime gives other probabilities" in refused(write_zip(tmp_path / "g.zip", forged))


def test_what_cannot_be_exported_is_said_in_one_line(home: Path, tmp_path: Path) -> None:
    run = Run(home / "old_run")
    project = open_project(recipe_of_run(run.root, ["predict.precision=int8"]))
    with pytest.raises(RecipeError, match="int8"):
        export(project, run, tmp_path / "a.zip")
    project = open_project(recipe_of_run(run.root))
    with pytest.raises(RecipeError, match="unknown ending"):
        export(project, run, tmp_path / "a.tar")
    (tmp_path / "d.zip").mkdir()
    with pytest.raises(RecipeError, match="is a folder"):
        export(project, run, tmp_path / "d.zip")
    (tmp_path / "rule.toml").write_text(RECIPE.replace("[[models]]\n", "[[models]]\nkind = 'labels'\n").replace(
        'root = "old"', f'root = "{(home / "old").as_posix()}"'))  # fmt: skip
    rules = open_run(tmp_path / "rules")
    rule = open_project(load_recipe(tmp_path / "rule.toml"))
    assert all(not result.failed for result in run_pipeline(rule, rules))
    with pytest.raises(RecipeError, match="has no weights: a rule on bands or the labels, which no graph says"):
        export(rule, rules, tmp_path / "r.zip")
    with pytest.raises(DataError):
        export(project, open_run(tmp_path / "empty"), tmp_path / "e.zip")
    assert not list(tmp_path.glob("*.zip/*"))
    assert [p.name for p in tmp_path.glob("*.zip")] == ["d.zip"]


def test_without_the_extra_packages_it_says_what_to_install(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    run = Run(home / "old_run")
    with pytest.raises(RecipeError, match=r'onnxscript is not installed; pip install "landscribe\[onnx\]"'):
        export(open_project(recipe_of_run(run.root)), run, tmp_path / "a.zip")
    assert not list(tmp_path.iterdir())


def test_verify_does_without_onnx_runtime(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landscribe.nn.export.onnx_file.has_runtime", lambda: False)
    lines = verify(home / "city.zip").lines
    assert lines[0].startswith("torch: all")
    assert lines[1].startswith("ONNX Runtime: not installed, the graph was not run")


def test_deepness_finds_the_pixels_that_polygons_are_made_of(home: Path, tmp_path: Path) -> None:
    from landscribe.io.raster.rasters import open_raster

    members, run = members_of(home / "city.zip"), Run(home / "old_run")
    about = json.loads(members["bundle.json"])
    with open_raster(home / "old" / "img" / "o4.tif") as raster:
        image_hwc = np.moveaxis(raster.read()[0], 0, -1)
    with open_raster(run.probability("o4")) as raster:
        bytes_khw, _ = raster.read()
    height = image_hwc.shape[0] // about["divisor"] * about["divisor"]  # tiles begin above the layer where it is not
    inner = np.s_[about["radius"] : height - about["radius"], about["radius"] : -about["radius"]]
    for k, row in enumerate(about["classes"]):
        (tmp_path / "m.onnx").write_bytes(members[about["deepness"]["files"][row["name"]]])
        found_hw = deepness_mask(tmp_path / "m.onnx", image_hwc[:height])
        wanted_hw = bytes_khw[k, :height] >= row["smallest_byte"]
        np.testing.assert_array_equal(found_hw[inner], wanted_hw[inner])


def test_a_manifest_is_sealed(home: Path, tmp_path: Path) -> None:
    members = members_of(home / "city.zip")
    manifest = unseal(members["manifest.json"], "m", do="")
    manifest["members"]["README.md"]["sha256"] = "0" * 64
    assert "README.md: is not what was written" in refused(
        write_zip(tmp_path / "m.zip", {**members, "manifest.json": seal(manifest).encode()})
    )
    write_bundle(tmp_path / "n.zip", {name: content for name, content in members.items() if name != "manifest.json"})
    assert verify(tmp_path / "n.zip").files == 12
