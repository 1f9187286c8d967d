"""Ready models: names that stand for bundles, and what goes before a name."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

import landscribe as ls
from landscribe.cli.app import app
from landscribe.errors import RecipeError
from landscribe.io.bundle.ready import FOLDER, MOST_BYTES, READY, named_models, readme_of, ready_line
from landscribe.io.settings import load_recipe
from small_data import grid_at, write_image

ROOT = Path(__file__).parents[3]
THERE = sorted(FOLDER.glob("*.zip"))


def test_other_models_stay_what_they_are(tmp_path: Path) -> None:
    assert named_models(tmp_path) == tmp_path
    assert named_models(Path("runs/city/models")) == Path("runs/city/models")
    assert ready_line(Path("runs/city/models")) == ""


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "buildings-demo").mkdir()
    assert named_models(Path("buildings-demo")) == Path("buildings-demo")


def test_a_bundle_that_is_not_here_says_how_it_is_made() -> None:
    missing = [name for name in READY if not (FOLDER / f"{name}.zip").is_file()]
    assert "buildings-vegas" in missing
    for name in missing:
        with pytest.raises(
            RecipeError, match=rf"--models {name}: its bundle .*make_ready_models.py {name} --to {name}.zip"
        ):
            named_models(Path(name))
    done = CliRunner().invoke(app, ["predict", "a.jpg", "--models", missing[0]])
    assert isinstance(done.exception, RecipeError)


@pytest.mark.parametrize("name", READY)
def test_every_ready_model_names_recipe_data_and_licence(name: str) -> None:
    load_recipe(ROOT / "recipes" / "ready" / f"{name}.toml")
    page = readme_of(name, "0.5")
    assert READY[name].data in page
    assert READY[name].licence in page
    assert READY[name].licence in (ROOT / "docs" / "ready.md").read_text(encoding="utf-8")
    assert f"`{name}`" in (ROOT / "docs" / "ready.md").read_text(encoding="utf-8")


def test_what_comes_with_the_package_is_small_and_free() -> None:
    assert [path.stem for path in THERE] == ["buildings-demo"]
    for path in THERE:
        assert path.stat().st_size < MOST_BYTES
        assert READY[path.stem].licence == "CC0 1.0"
        with zipfile.ZipFile(path) as archive:
            assert not [name for name in archive.namelist() if name.endswith((".tif", ".png", ".jpg"))]
            assert READY[path.stem].data in archive.read("README.md").decode()
            assert b"/work/" not in b"".join(
                archive.read(name) for name in archive.namelist() if "safetensors" not in name
            )
        assert READY[path.stem].licence in ready_line(path)


def test_an_image_and_a_name_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "roofs.png", grid_at(0, 61, 83, crs=None))
    done = CliRunner().invoke(app, ["predict", "roofs.png", "--models", "buildings-demo"])
    assert done.exit_code == 0, (done.exception, done.output)
    assert "(CC0 1.0)" in done.stderr
    assert (tmp_path / "found" / "roofs.tif").is_file()
    assert (tmp_path / "found" / "run" / "pictures" / "roofs.png").is_file()
    assert ls.load_model("buildings-demo").classes == ("building",)
    # What was found goes on from the bundle, wherever the name was said.
    again = CliRunner().invoke(app, ["predict", "roofs.png", "--models", "buildings-demo"])
    assert "1 up to date" in again.stderr
