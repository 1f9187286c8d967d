"""What the files of finished models say of what they know, of old and new versions."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from landscribe.core.legend import DSTL_LEGEND, default_colour
from landscribe.core.split.seen import Sighting
from landscribe.errors import IntegrityError, RecipeError
from landscribe.io.models.finished import forget_finished, keep_finished, look_at_models, read_finished
from landscribe.io.run.runs import Run
from sealed_files import read_values, write_sealed

RGB = {"name": "RGB", "kind": "rgb8", "bands": ["red", "green", "blue"], "bits": 8}
CLASSES = [
    {"id": 3, "name": "lake", "colour": "#1234AB", "countable": False},
    {"id": 7, "name": "house", "colour": "#AB1234", "countable": True},
]
SEEN = {"scene": "s1", "pixels": ["d1"], "outline": [[14.0, 45.0], [14.1, 45.0], [14.1, 45.1]]}


def write_model(
    folder: Path,
    classes: list[str],
    *,
    knows: dict[str, Any] | None = None,
    recipe: dict[str, Any] | None = None,
    sensors: tuple[dict[str, Any], ...] = (RGB,),
) -> Path:
    folder.mkdir(parents=True)
    weights = folder.name.encode()
    (folder / "model.safetensors").write_bytes(weights)
    spec = {"name": folder.name, "classes": classes, "sensors": list(sensors),
            "scales": {row["name"]: 1.0 for row in sensors}}  # fmt: skip
    extra = {
        "trained_on": ["s1", "s2"],
        **({"knows": knows} if knows else {}),
        **({"recipe": recipe} if recipe else {}),
    }
    document = {"format": 1, "spec": spec, "sha256": hashlib.sha256(weights).hexdigest(), "extra": extra}
    (folder / "model.json").write_text(json.dumps(document))
    return folder / "model.json"


def legend_of(folder: Path) -> list[tuple[int, str, str, bool]]:
    return [(c.id, c.name, c.colour, c.countable) for c in look_at_models(folder).legend]


def test_models_say_their_classes_sensors_and_scenes(tmp_path: Path) -> None:
    write_model(tmp_path / "a", ["house"], knows={"classes": CLASSES, "scenes": [SEEN], "sensors": []})
    write_model(tmp_path / "b", ["lake"], knows={"classes": CLASSES, "scenes": [SEEN], "sensors": []})
    found = look_at_models(tmp_path)
    assert legend_of(tmp_path) == [(3, "lake", "#1234AB", False), (7, "house", "#AB1234", True)]
    assert found.legend.is_partial
    assert [(s.name, s.kind, s.bands, s.bits, s.scale) for s in found.sensors] == [
        ("RGB", "rgb8", ("red", "green", "blue"), 8, 1.0)
    ]
    assert found.seen == (Sighting("s1", ("d1",), ((14.0, 45.0), (14.1, 45.0), (14.1, 45.1))),)
    assert found.seen_by_name == ()
    assert found.owned == {"a": ("house",), "b": ("lake",)}


def test_old_models_say_their_classes_by_the_recipe_they_keep(tmp_path: Path) -> None:
    rows = [{"name": "lake", "id": None, "colour": None, "countable": False},
            {"name": "house", "id": 9, "colour": "#AB1234", "countable": True}]  # fmt: skip
    write_model(tmp_path / "a", ["house", "lake"], recipe={"classes": rows, "data": {"source": "files"}})
    assert legend_of(tmp_path) == [(1, "lake", default_colour(0), False), (9, "house", "#AB1234", True)]
    found = look_at_models(tmp_path)
    assert (found.seen, found.seen_by_name) == ((), ("s1", "s2"))


def test_old_models_of_dstl_and_those_that_say_nothing(tmp_path: Path) -> None:
    write_model(tmp_path / "d" / "a", ["tree"], recipe={"classes": [], "data": {"source": "dstl"}})
    assert look_at_models(tmp_path / "d").classes == (DSTL_LEGEND.by_name("tree"),)
    write_model(tmp_path / "e" / "a", ["tree", "bush"])
    assert legend_of(tmp_path / "e") == [(1, "tree", default_colour(0), False), (2, "bush", default_colour(1), False)]


def test_models_of_two_runs_that_number_their_classes_alike(tmp_path: Path) -> None:
    one = {"classes": [{"id": 1, "name": "road", "colour": "#111111", "countable": False}], "scenes": []}
    other = {"classes": [{"id": 1, "name": "tree", "colour": "#222222", "countable": False}], "scenes": []}
    write_model(tmp_path / "a", ["road"], knows=one)
    write_model(tmp_path / "b", ["tree"], knows=other)
    write_model(tmp_path / "c", ["bush"])
    assert legend_of(tmp_path) == [
        (1, "road", "#111111", False), (2, "tree", "#222222", False), (3, "bush", default_colour(2), False)
    ]  # fmt: skip


def test_a_folder_of_one_model_is_enough(tmp_path: Path) -> None:
    write_model(tmp_path / "one", ["tree"])
    found = look_at_models(tmp_path / "one")
    assert list(found.digests) == ["model.json"]
    assert found.owned == {"one": ("tree",)}


def test_what_is_no_folder_of_models_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    write_model(tmp_path / "run" / "models" / "a", ["tree"])
    for folder, said in (
        ("nothing", "no such folder"),
        ("file", "is a file"),
        ("empty", "no finished model, need NAME/model.json"),
        ("run", f"no finished model, need NAME/model.json or NAME/formula.json in it; take {tmp_path}/run/models"),
    ):
        with pytest.raises(RecipeError) as caught:
            look_at_models(tmp_path / folder)
        assert said in str(caught.value)
        assert str(caught.value).startswith(f"--models {tmp_path / folder}: ")


def test_two_ways_of_one_sensor_are_refused(tmp_path: Path) -> None:
    write_model(tmp_path / "a", ["tree"])
    write_model(tmp_path / "b", ["road"], sensors=(RGB | {"bands": ["blue", "green", "red"]},))
    with pytest.raises(RecipeError, match="two models read sensor 'RGB' in two ways"):
        look_at_models(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "[" * 9999])
def test_a_description_that_is_no_object_is_named(tmp_path: Path, text: str) -> None:
    write_model(tmp_path / "a", ["tree"]).write_text(text)
    with pytest.raises(IntegrityError, match=r"a/model.json: damaged"):
        look_at_models(tmp_path)


def test_an_edited_model_is_refused_unless_it_is_trusted(tmp_path: Path) -> None:
    file = write_model(tmp_path / "m" / "a", ["tree"])
    write_sealed(file, read_values(file) | {"format": 2})
    shutil.copytree(tmp_path / "m", tmp_path / "elsewhere")
    assert not look_at_models(tmp_path / "elsewhere").edited
    file.write_text(file.read_text().replace("tree", "road"))
    with pytest.raises(IntegrityError, match=r"a/model.json: was changed since it was written.*--trust"):
        look_at_models(tmp_path / "m")
    assert look_at_models(tmp_path / "m", trust=True).edited == ("a/model.json",)
    other = tmp_path / "elsewhere" / "a" / "model.safetensors"
    other.write_bytes(b"other")
    assert look_at_models(tmp_path / "elsewhere", trust=True).edited == ("a/model.json",)


ENDLESS = (
    '{"spec": {"name": "a", "classes": ["tree"], "scales": {"S": 1.0}, "sensors": '
    '[{"name": "S", "kind": "rgb8", "bands": ["red"], "bits": 81e308}]}, "extra": {}}'
)


@pytest.mark.parametrize("text", ["{}", '{"spec": 3}', '{"spec": {"name": "a", "classes": 3}}', ENDLESS])
def test_a_damaged_description_is_named(tmp_path: Path, text: str) -> None:
    write_model(tmp_path / "a", ["tree"]).write_text(text)
    with pytest.raises(IntegrityError, match=r"a/model.json: not the description of a model"):
        look_at_models(tmp_path)


def test_wrong_knowledge_and_wrong_weights_are_named(tmp_path: Path) -> None:
    write_model(tmp_path / "x" / "a", ["tree"], knows={"classes": [], "scenes": [{"scene": 1}]})
    with pytest.raises(IntegrityError, match="a model says wrongly what it knows"):
        look_at_models(tmp_path / "x")
    beside = write_model(tmp_path / "y" / "a", ["tree"]).with_name("model.safetensors")
    beside.write_bytes(b"other")
    with pytest.raises(IntegrityError, match="not the weights of its description"):
        look_at_models(tmp_path / "y")
    beside.unlink()
    with pytest.raises(IntegrityError, match="missing"):
        look_at_models(tmp_path / "y")


def test_a_run_keeps_and_forgets_which_models_it_uses(tmp_path: Path) -> None:
    write_model(tmp_path / "m" / "a", ["house"], knows={"classes": CLASSES, "scenes": [SEEN], "sensors": []})
    found, run = look_at_models(tmp_path / "m"), Run(tmp_path / "run")
    assert read_finished(run) is None
    keep_finished(run, found)
    assert read_finished(run) == found
    run.path("finished.json").write_text('{"folder": 1}')
    with pytest.raises(IntegrityError, match=r"finished.json: damaged"):
        read_finished(run)
    forget_finished(run)
    forget_finished(run)
    assert read_finished(run) is None
