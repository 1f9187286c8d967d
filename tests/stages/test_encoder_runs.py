"""A run with an encoder: what it begins with is in the model, what is missing or wrong is one line before anything."""

import sys

import pytest
import torch
from safetensors.torch import save_file

from known_networks import weights_file
from landscribe.errors import DataError, RecipeError
from landscribe.io.digests import file_digest
from landscribe.io.models.known_weights import PACKAGES, find_weights
from landscribe.io.models.model_files import read_model
from landscribe.io.project import open_project
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.nn.network.bundle import from_files
from landscribe.stages.check import check, check_run
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from landscribe.stages.train import train
from small_scenes import RECIPE, write_image, write_labels

ENCODER = 'network = {{ encoder = "{}", weights = "{}", filters = 4 }}'
LITE = "efficientnet-lite0"


def write_all(folder, encoder=LITE, weights="imagenet", **replaced):
    for number in (1, 2, 3, 4):
        grid = write_image(folder / "old" / "img" / f"o{number}.tif", 1000 * number, number)
        write_labels(folder / "old" / "lab" / f"o{number}.gpkg", grid)
    text = RECIPE.replace("network = { filters = 2, depth = 2 }", ENCODER.format(encoder, weights))
    for old, new in replaced.items():
        text = text.replace(old, new)
    (folder / "r.toml").write_text(text)
    return opened(folder)


def opened(folder):
    return open_project(load_recipe(folder / "r.toml")), open_run(folder / "run")


@pytest.fixture
def no_extra(monkeypatch):
    kept = [path for path in sys.path if "efficientnet" not in path]
    monkeypatch.setattr(sys, "path", kept)
    for package in PACKAGES.values():
        monkeypatch.setitem(sys.modules, package.module, None)


def test_a_run_begins_with_a_file_and_needs_it_no_more(tmp_path):
    weights = {name: torch.from_numpy(value) for name, value in weights_file("resnet18").items()}
    project, run = write_all(tmp_path, "resnet18", "r18.safetensors")
    save_file(weights, project.root / "r18.safetensors")
    assert not check_run(project, run).failed
    prepare(project, run)
    assert train(project, run).made == ["net"]
    net, spec, extra = from_files(read_model(run.path("models", "net")))
    digest = file_digest(project.root / "r18.safetensors")
    assert extra["began_with"] == {"source": "r18.safetensors", "sha256": digest}
    assert spec.network.encoder == "resnet18"
    # One step at a fifth of the rate: still nearly what the file said.
    deep = net.unet.known.state_dict()["levels.4.1.second.0.weight"]
    assert (deep - weights["layer4.1.conv2.weight"]).abs().max() < 1e-3
    assert train(project, run).current == ["net"]
    (project.root / "r18.safetensors").rename(tmp_path / "kept")
    assert predict(project, run).made == ["o4"]
    with pytest.raises(RecipeError, match=r"network.weights: no such file, got .*r18.safetensors, need 'imagenet'"):
        train(project, run)
    # Another file under the same name is another network.
    save_file({name: value * 2 for name, value in weights.items()}, project.root / "r18.safetensors")
    assert train(project, run).made == ["net"]


def test_snapshots_and_several_seeds_have_encoders(tmp_path):
    project, run = write_all(
        tmp_path,
        weights="none",
        **{'name = "net"': 'name = "net"\nseeds = [1, 2]', "epochs = 1,": "epochs = 2, snapshots = 2,"},
    )
    prepare(project, run)
    assert train(project, run).made == ["net+seed1", "net+seed2"]
    folder = run.path("models", "net+seed1")
    last = from_files(read_model(folder / "epoch-00002"))[0].state_dict()
    finished = from_files(read_model(folder))[0].state_dict()
    assert all(torch.equal(value, last[name]) for name, value in finished.items())
    _, _, extra = from_files(read_model(folder))
    assert "began_with" not in extra
    assert predict(project, run).made == ["o4"]


@pytest.mark.usefixtures("no_extra")
def test_without_the_extra_it_says_what_to_install(tmp_path):
    project, run = write_all(tmp_path)
    said = r"encoder .*-lite0.: .* not installed; pip install .landscribe\[pretrained\]., or weights = .none."
    with pytest.raises(RecipeError, match=said):
        check(project)
    prepare(project, run)
    with pytest.raises(RecipeError, match=said):
        train(project, run)


def test_what_is_installed_must_be_what_was_published(tmp_path, monkeypatch):
    package = PACKAGES[LITE]
    monkeypatch.delitem(sys.modules, package.module, raising=False)
    folder = tmp_path / "site" / package.module
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('a package of weights is not run')")
    (folder / package.file).write_bytes(b"x")
    monkeypatch.syspath_prepend(tmp_path / "site")
    table = load_recipe("default", [f'models.all.network.encoder="{LITE}"']).recipe.models[0].network
    with pytest.raises(DataError, match=rf"SHA-256, got .*, need {package.sha256}; pip install"):
        find_weights(table, tmp_path)


def test_a_band_without_a_wavelength_is_one_line(tmp_path):
    kind = '[[data.kinds]]\nkind = "odd"\nbands = ["u", "green", "blue"]\nbits = 8\n[[classes]]\nname = "house"'
    project, _ = write_all(tmp_path, "resnet18", "r18.pth", **{'"rgb8"': '"odd"', '[[classes]]\nname = "house"': kind})
    torch.save(
        {name: torch.from_numpy(value) for name, value in weights_file("resnet18").items()}, project.root / "r18.pth"
    )
    with pytest.raises(RecipeError, match=r"band 'u' of 'RGB' has no wavelength; say it in wavelengths_nm"):
        check(project)


@pytest.mark.parametrize("content", [b"", b"no weights" * 1000])
def test_a_damaged_file_is_one_line_and_loses_nothing(tmp_path, content):
    project, run = write_all(tmp_path, "resnet18", "r18.pth")
    (project.root / "r18.pth").write_bytes(content)
    prepare(project, run)
    with pytest.raises(DataError, match=r"r18.pth: not a file of tensors alone, got (EOFError|damaged, or code)"):
        train(project, run)
    assert not run.path("models").exists()
