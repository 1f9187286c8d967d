"""What the map of a run has kept: completed by what was found, in the file for QGIS and when it is absorbed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from landscribe.core.legend import Legend
from landscribe.errors import DataError
from landscribe.io.project import open_project
from landscribe.io.review.found import as_found, models_digest
from landscribe.io.review.reading import read_review
from landscribe.io.review.review import Review, looked_areas
from landscribe.io.review.writing import write_review
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.io.vector.vectors import read_own
from landscribe.pipeline import run_pipeline
from landscribe.stages.review.absorb import absorb
from landscribe.stages.review.review import review
from reviews import LEGEND, small_project

KIND = '[[data.kinds]]\nkind = "own"\nbands = ["red", "nir", "blue"]\nbits = 8\n[[classes]]'
RULE = """[[models]]
kind = "index"
classes = ["house"]
spectral = { index = "ndvi", threshold = 0.3, soft = 0.0 }
"""
"""Finds many houses in noise."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose map has kept a word on two polygons of o5 and on an area."""
    folder = tmp_path_factory.mktemp("map")
    grids = small_project(folder)
    text = (folder / "old.toml").read_text()
    before, after = text.split("[[models]]")[0], text.split("[vectorize]")[1]
    before = before.replace('"rgb8"', '"own"').replace("[[classes]]", KIND, 1)
    (folder / "old.toml").write_text(f"{before}{RULE}[vectorize]{after}")
    list(run_pipeline(open_project(load_recipe(folder / "old.toml")), open_run(folder / "run")))
    found = found_in(folder, "o5")
    assert len(found) > 3
    touched = found.iloc[[0, 1]].copy()
    touched["verdict"] = ["reject", "accept"]
    touched["scene"] = ""
    areas = looked_areas({}, [grids["o5"].footprint], found.crs)
    write_review(folder / "run" / "review" / "o5.gpkg", Review(touched, areas), LEGEND)
    return folder


def found_in(folder: Path, scene: str):
    run = Run(folder / "run")
    return as_found(read_own(run.features(scene)), models_digest(run))


def test_the_file_for_qgis_has_what_was_said_in_the_map_and_all_else_that_was_found(home: Path, tmp_path: Path) -> None:
    [(path, n)] = review(Run(home / "run"), tmp_path / "r.gpkg").items()
    said = read_review(path, Legend(tuple(LEGEND)))
    assert n == len(said.features)
    counts = said.features[said.features["scene"] == "o5"]["verdict"].value_counts().to_dict()
    assert counts == {"accept": 1, "reject": 1, "": len(found_in(home, "o5")) - 2}
    assert (len(said.looked), said.run) == (1, "run")
    assert set(said.features["model"]) == {models_digest(Run(home / "run"))} != {""}


def test_a_run_folder_is_absorbed_and_what_stands_in_looked_at_ground_is_right(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(home, folder)
    done = absorb(folder / "old.toml", [folder / "run"])
    total = len(found_in(folder, "o5"))
    assert done.taken[0].scenes == {
        "o5": {"accepted": 1, "rejected": 1, "as they stand": total - 2, "areas looked at": 1}
    }
    assert done.taken[0].models == (models_digest(Run(folder / "run")),)
    # The same by the file for QGIS says the same.
    review(Run(folder / "run"), folder / "r.gpkg")
    assert list(absorb(folder / "old.toml", [folder / "r.gpkg"]).known) == [str(folder / "r.gpkg")]


def test_a_review_of_polygons_that_the_run_has_no_more_is_refused(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(home, folder)
    project = open_project(load_recipe(folder / "old.toml", ["models.0.spectral.threshold=0.1"]))
    list(run_pipeline(project, open_run(folder / "run")))
    now = set(found_in(folder, "o5")["id"])
    assert not {*read_review(folder / "run" / "review" / "o5.gpkg").features["id"]} <= now
    for refused in (
        lambda: absorb(folder / "old.toml", [folder / "run"]),
        lambda: review(Run(folder / "run"), tmp_path / "r.gpkg"),
    ):
        with pytest.raises(
            DataError, match=r"o5.gpkg: \d of its polygons are not what the run has found in scene 'o5'"
        ):
            refused()
    assert not (folder / "reviews").exists()
    assert not (tmp_path / "r.gpkg").exists()


def test_held_out_scenes_of_the_run_are_named(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(home, folder)
    (folder / "run" / "review" / "o5.gpkg").unlink()
    found = found_in(folder, "o4").iloc[:1].copy()
    found["verdict"] = "reject"
    write_review(folder / "run" / "review" / "o4.gpkg", Review(found, looked_areas({}, (), found.crs)), LEGEND)
    done = absorb(folder / "old.toml", [folder / "run" / "review" / "o4.gpkg"])
    assert any(line.startswith("o4: held out in run: they are not scored any more") for line in done.lines)
    assert "0 held-out scenes are left" in " ".join(done.lines)


def test_a_run_without_a_word_is_named(tmp_path: Path) -> None:
    small_project(tmp_path)
    open_run(tmp_path / "run")
    with pytest.raises(DataError, match=r"run: its map has kept no review"):
        absorb(tmp_path / "old.toml", [tmp_path / "run"])


def test_names_of_found_polygons_hang_on_class_and_shape_alone(home: Path) -> None:
    found = found_in(home, "o5")
    assert len(set(found["id"])) == len(found)
    other = found.copy()
    other["class_name"] = np.where(found["class_name"] == "house", "road", "house")
    from landscribe.io.review.found_ids import found_id, found_ids

    assert not set(found_ids(other)) & set(found["id"])
    assert found_id(str(found["class_name"].iloc[2]), found.geometry.iloc[2]) == found["id"].iloc[2]
