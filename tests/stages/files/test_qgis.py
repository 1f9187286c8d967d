"""The plugin in QGIS itself, where it is installed: train, predict and review without a window, styles and forms."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import shapely
from pyproj import CRS

import landscribe
from landscribe.core.legend import LandClass, Legend
from landscribe.errors import DataError, IntegrityError, RecipeError
from landscribe.io.review.found_ids import found_id
from landscribe.io.review.reading import read_review
from landscribe.io.review.review import Review, looked_areas, review_features
from landscribe.io.review.writing import write_review
from landscribe.io.run.runs import Run
from landscribe.io.vector.vectors import read_own, write_features
from landscribe.stages.files.qgis import NAME, install_plugin, plugins_folder
from landscribe.stages.review.review import review
from small_scenes import RECIPE, write_image, write_labels

# Debian's `qgis_process` is a script that hands on an argument which the program does not know.
PROCESS = shutil.which("qgis_process.bin") or shutil.which("qgis_process")
PYTHON = "/usr/bin/python3"
HELPERS = Path(__file__).parents[2] / "helpers"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the plugin, small scenes, and a run that QGIS started."""
    if PROCESS is None:
        pytest.skip("needs QGIS: apt-get install --no-install-recommends qgis python3-qgis")
    folder = tmp_path_factory.mktemp("qgis")
    for number in (1, 2, 4):
        grid = write_image(folder / "old" / "img" / f"o{number}.tif", 1000 * number, number)
        write_labels(folder / "old" / "lab" / f"o{number}.gpkg", grid)
    (folder / "old.toml").write_text(RECIPE)
    command = folder / "landscribe.sh"
    source = Path(landscribe.__file__).parents[1]
    command.write_text(f'#!/bin/sh\nPYTHONPATH={source} exec {sys.executable} -m landscribe "$@"\n')
    command.chmod(0o755)
    install_plugin(folder / ".local" / "share" / "QGIS" / "QGIS3" / "profiles" / "default" / "python" / "plugins")
    assert process(folder, "plugins", "enable", NAME).returncode == 0
    done = algorithm(folder, "train", RECIPE=folder / "old.toml", RUN=folder / "run")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


def environment(home: Path) -> dict[str, str]:
    own = {"HOME": str(home), "QT_QPA_PLATFORM": "offscreen", "XDG_RUNTIME_DIR": str(home)}
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "XDG_DATA_HOME")} | own


def process(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(PROCESS), *map(str, arguments)]
    return subprocess.run(command, env=environment(home), cwd=home, capture_output=True, text=True, timeout=300)


def algorithm(home: Path, name: str, **parameters: object) -> subprocess.CompletedProcess[str]:
    given = [f"{key}={value}" for key, value in parameters.items()]
    return process(home, "run", f"landscribe:{name}", "--", *given, f"COMMAND={home / 'landscribe.sh'}")


def look(home: Path, *files: Path | str) -> dict[str, dict]:
    command = [PYTHON, str(HELPERS / "qgis_look.py"), str(home / "picture.png"), *map(str, files)]
    done = subprocess.run(command, env=environment(home), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.slow
def test_train_makes_a_run_whose_polygons_have_colours(home: Path) -> None:
    features, fgb = home / "run" / "features" / "features.gpkg", home / "f.fgb"
    write_features(fgb, read_own(features), legend=None)
    probability = home / "run" / "probability" / "o4.tif"
    seen = look(home, features, fgb, probability)
    assert seen[str(features)]["colours"] == {"house": "#AA0000", "road": "#0000AA"}
    assert seen[str(features)]["count"] == seen[str(fgb)]["count"] == len(read_own(features)) > 0
    assert {own["crs"] for own in seen.values()} == {"EPSG:32633"}
    assert set(seen[str(fgb)]["colours"]) == {"house", "road"}
    assert [name.partition(": ")[2] for name in seen[str(probability)]["bands"][:2]] == ["house", "road"]
    assert (home / "picture.png").stat().st_size > 1000


@pytest.mark.slow
def test_predict_finds_on_a_new_image_and_says_what_failed(home: Path) -> None:
    write_image(home / "new.tif", 7000, 9)
    done = algorithm(home, "predict", INPUT=home / "new.tif", MODELS=home / "run" / "models", FOLDER=home / "out")
    assert done.returncode == 0, done.stdout[-2000:]
    assert "predict: 1 made" in done.stdout
    assert f"FEATURES:\t{home / 'out' / 'features.gpkg'}" in done.stdout
    write_image(home / "four.tif", 7000, 9, bands=4)
    done = algorithm(home, "predict", INPUT=home / "four.tif", MODELS=home / "run" / "models", FOLDER=home / "bad")
    assert done.returncode != 0
    assert "error: " in done.stdout + done.stderr
    assert "four" in done.stdout + done.stderr
    assert not list((home / "bad").glob("*.gpkg"))


@pytest.mark.slow
def test_review_offers_verdicts_and_classes(home: Path) -> None:
    out = home / "review.gpkg"
    done = algorithm(home, "review", RUN=home / "run", REVIEW=out)
    assert done.returncode == 0, done.stdout[-2000:]
    seen = look(home, f"{out}|layername=features", f"{out}|layername=looked")
    features, looked = seen.values()
    offered = {value for row in features["forms"]["verdict"] for value in row.values()}
    assert offered == {"", "accept", "reject"}
    assert features["forms"]["class_name"] == [{"house": "house"}, {"road": "road"}]
    assert features["colours"] == {"house": "#AA0000", "road": "#0000AA"}
    assert (looked["valid"], looked["count"], looked["crs"]) == (True, 0, "EPSG:32633")
    with pytest.raises(RecipeError, match=r"review.gpkg: is there already"):
        review(Run(home / "run"), out)
    damaged = home / "damaged"
    shutil.copytree(home / "run", damaged)
    content = bytearray((damaged / "features" / "features.gpkg").read_bytes())
    content[5000] ^= 1
    (damaged / "features" / "features.gpkg").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"features.gpkg"):
        review(Run(damaged), home / "other.gpkg")
    assert not (home / "other.gpkg").exists()


@pytest.mark.slow
def test_what_a_person_does_in_qgis_is_understood(home: Path, tmp_path: Path) -> None:
    names = ["house", "house", "house", "house", "road"]
    shapes = [shapely.box(400_000 + 30 * k, 5_000_000, 400_013 + 30 * k, 5_000_011) for k in range(5)]
    columns = {
        "id": [found_id(name, shape) for name, shape in zip(names, shapes, strict=True)], "class_name": names,
        "scene": ["o1"] * 5, "source": ["model"] * 5,
    }  # fmt: skip
    crs = CRS.from_epsg(32633)
    path, legend = tmp_path / "r.gpkg", Legend((LandClass(1, "house", "#AA0000"), LandClass(2, "road", "#0000AA")))
    write_review(path, Review(review_features(columns, shapes, crs), looked_areas({}, (), crs), "city"), legend)
    command = [PYTHON, str(HELPERS / "qgis_edit.py"), str(path)]
    done = subprocess.run(command, env=environment(home), capture_output=True, text=True, timeout=300)
    assert done.stdout.startswith("1 0 "), done.stdout + done.stderr[-2000:]
    said = read_review(path, legend)
    assert (said.run, said.crs, len(said.looked)) == ("city", crs, 1)
    rows = list(zip(said.features["class_name"], said.features["verdict"], said.features["source"], strict=True))
    assert rows[:3] == [("house", "accept", "model"), ("house", "reject", "model"), ("house", "accept", "edited")]
    split, drawn = [("house", "accept", "edited")] * 2, ("road", "accept", "drawn")
    assert sorted(rows[3:]) == [*split, ("road", "", "model"), drawn]
    assert shapely.is_valid(said.features.geometry).all()
    assert any("invalid, repaired" in note for note in said.notes)
    halves = said.features.geometry[[k for k, row in enumerate(rows) if k >= 3 and row[2] == "edited"]]
    assert halves.area.sum() == pytest.approx(13 * 11)


@pytest.mark.slow
def test_cancel_stops_the_command_which_has_time_to_tidy_up(home: Path) -> None:
    program = (
        "import signal, sys, time, pathlib\n"
        "def leave(*_):\n    pathlib.Path('left').write_text('tidy'); sys.exit(130)\n"
        "signal.signal(signal.SIGTERM, leave)\n"
        "print('prepare a: 1 of 4', flush=True)\n"
        "time.sleep(60)\n"
    )
    plugin = Path(landscribe.__file__).parent / "qgis" / "plugin.py"
    command = [PYTHON, str(HELPERS / "qgis_cancel.py"), str(plugin), sys.executable, "-c", program]
    done = subprocess.run(command, env=environment(home), cwd=home, capture_output=True, text=True, timeout=120)
    ended = json.loads(done.stdout)
    assert (ended["said"], ended["percent"]) == ("cancelled", 25)
    assert ended["seconds"] < 30
    assert (home / "left").read_text() == "tidy"


def test_a_run_without_polygons_has_nothing_to_review(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(DataError, match=r"run: no polygons to review; run `landscribe vectorize` first"):
        review(Run(tmp_path / "run"), tmp_path / "r.gpkg")
    with pytest.raises(RecipeError, match=r"unknown ending"):
        review(Run(tmp_path / "run"), tmp_path / "r.shp")


def test_the_plugin_goes_where_the_profile_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QGIS_CUSTOM_CONFIG_PATH", str(tmp_path))
    plugins = plugins_folder("default")
    folder = install_plugin(plugins)
    assert sorted(path.name for path in folder.iterdir()) == ["__init__.py", "command.json", "metadata.txt"]
    assert json.loads((folder / "command.json").read_text()) == [sys.executable, "-m", "landscribe"]
    assert f"version={landscribe.__version__}" in (folder / "metadata.txt").read_text()
    install_plugin(plugins_folder("default"))
    with pytest.raises(DataError, match=r"no such profile, got 'mine', need default"):
        plugins_folder("mine")
