"""`Score` and the text of `score.json`: there and back, of every shape; what is another file is refused."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landscribe.core.legend import LandClass, Legend
from landscribe.core.score.areas import Areas, Matches
from landscribe.core.score.compare import Comparison, compare_scores, tuning_of
from landscribe.core.score.left_out import LeftOut
from landscribe.core.score.measure import Measured
from landscribe.core.score.rows import Means
from landscribe.core.score.score import NotScored, Score, score_schema
from landscribe.core.score.scores import summarise
from landscribe.errors import DataError

SOURCES = Path(__file__).parents[3] / "src" / "landscribe"
NAMES = ("house", "low", "ü [b]")
LEGEND = Legend(tuple(LandClass(k + 1, name, "#123456", countable=k == 0) for k, name in enumerate(NAMES)))

amounts = st.one_of(st.just(0.0), st.floats(0, 1e9), st.floats(1e-9, 1e-3))
areas = st.builds(Areas, amounts, amounts, amounts)
counts = st.integers(0, 10**6)
left_out = st.builds(
    LeftOut, st.sampled_from(("scenes", "polygons", "ground")), st.text(max_size=9), counts | amounts, counts | amounts
)


@st.composite
def measured(draw, *, pixels: bool, strips: bool, countable: bool, alone: bool) -> Measured:
    return Measured(
        draw(areas),
        draw(areas) if pixels else None,
        draw(areas) if pixels else None,
        draw(st.builds(Matches, counts, counts, counts)) if countable else None,
        draw(areas) if strips else None,
        draw(st.integers(0, 3)),
        tuple(draw(st.lists(areas, min_size=2, max_size=5))) if alone else (),
    )


@st.composite
def scores(draw) -> Score:
    pixels, strips, alone = (draw(st.booleans()) for _ in range(3))
    ids = draw(st.lists(st.text(max_size=5), max_size=4, unique=True))
    measures = {
        scene: {
            c.name: draw(measured(pixels=pixels, strips=strips, countable=c.countable, alone=alone)) for c in LEGEND
        }
        for scene in ids
    }
    places = {scene: draw(st.sampled_from(("x", "y"))) for scene in ids}
    unit = draw(st.sampled_from(("m2", "px2", "unit2")))
    empty, seed = draw(st.sampled_from(("skip", "zero"))), draw(st.integers(0, 2**40))
    score = summarise(measures, LEGEND, places, unit, empty=empty, draws=13, seed=seed)
    if draw(st.booleans()):
        said = {
            "object_iou": 0.5,
            "boundary_width": draw(st.sampled_from((None, 1.5))),
            "left_out": {"truth": {"empty": 3}},
            "scenes_not_scored": NotScored(1, 0),
        }
        score = replace(score, conventions=replace(score.conventions, **said))
    if ids and draw(st.booleans()):
        score = replace(score, tuning=tuning_of(score, score))
    return replace(score, left_out=tuple(draw(st.lists(left_out, max_size=3))))


@given(scores())
@settings(max_examples=60, deadline=None)
def test_a_score_comes_back_from_its_text(score):
    text = score.to_json()
    assert Score.from_json(text) == score
    assert Score.from_json(text).to_json() == text
    assert Means.from_json(json.dumps(score.mean.to_plain())) == score.mean


def example(**changes: Any) -> Score:
    house = Measured(Areas(3.0, 1.0, 0.0), Areas(3.0, 2.0, 0.0), Areas(2.0, 2.0, 1.0), Matches(1, 0, 2))
    nothing = Measured(Areas(0.0, 0.0, 0.0), boundary=Areas(0.0, 0.0, 0.0))
    measures = {"a": dict(zip(NAMES, (house, nothing, nothing), strict=True))}
    measures["b"] = measures["a"] | {"low": Measured(Areas(1.0, 0.0, 1.0), parts=(Areas(1.0, 0.0, 1.0),))}
    return replace(summarise(measures, LEGEND, {"a": "x", "b": "y"}, "m2", draws=13), **changes)


def test_the_text_of_a_small_score_by_hand():
    found = json.loads(example().to_json())
    assert list(found) == ["mean", "classes", "scenes", "places", "unit", "conventions"]
    assert found["classes"]["ü [b]"] == {
        "polygon": dict.fromkeys(("jaccard", "precision", "recall", "f1"))
        | {"tp": 0.0, "fp": 0.0, "fn": 0.0, "low": None, "high": None, "basis": None},
        "places": 0,
        "boundary": {"jaccard": None, "tp": 0.0, "fp": 0.0, "fn": 0.0},
    }
    assert found["scenes"]["a"]["house"] == {
        "polygon": {"tp": 3.0, "fp": 1.0, "fn": 0.0},
        "pixel": {"tp": 3.0, "fp": 2.0, "fn": 0.0},
        "pixel_opencv": {"tp": 2.0, "fp": 2.0, "fn": 1.0},
        "objects": {"tp": 1, "fp": 0, "fn": 2},
    }
    assert found["scenes"]["b"]["low"] == {"polygon": {"tp": 1.0, "fp": 0.0, "fn": 1.0}, "parts": [[1.0, 0.0, 1.0]]}
    assert found["conventions"]["empty_classes"] == ["ü [b]"]
    assert "boundary_width" not in found["conventions"]
    files = replace(example().conventions, object_iou=0.5)
    assert json.loads(example(conventions=files).to_json())["conventions"]["boundary_width"] is None


def without_basis(content: Any) -> Any:
    """Take off what was added when intervals began to name their basis; classes may be called anything."""
    del content["conventions"]["basis"]
    for rows in (content["mean"], *content["classes"].values()):
        for kind in ("polygon", "pixel", "pixel_opencv"):
            rows.get(kind, {}).pop("basis", None)
    return content


def test_a_file_from_before_intervals_named_their_basis_is_read():
    score = example()
    old = Score.from_json(json.dumps(without_basis(json.loads(score.to_json()))))
    assert old.classes == score.classes
    assert old.mean == score.mean
    assert old.classes["house"].polygon.basis == "places"
    assert old.classes["ü [b]"].polygon.basis is None
    assert replace(old.conventions, basis=score.conventions.basis) == score.conventions


def change(path: str, value: Any) -> str:
    content = json.loads(example().to_json())
    *inner, last = path.split("/")
    at = content
    for key in inner:
        at = at[key]
    if value is KeyError:
        del at[last]
    else:
        at[last] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a score"),
        ("[]", "not a score, got Input should be an object"),
        ("3", "not a score"),
        ("{", "not a score, got Invalid JSON"),
        ("[" * 100_000, "not a score"),
        (b"\xff\xfe", "not a score"),
        ('{"classes": {}}', "not a score, got mean: Field required and 4 more"),
        (change("unit", "km2"), "got unit: Input should be"),
        (change("unit", KeyError), "got unit: Field required"),
        (change("classes/house/polygon/jaccard", "0.9"), "got classes.house.polygon.jaccard: "),
        (change("classes/house/polygon/tp", None), "got classes.house.polygon.tp: "),
        (change("classes/house/polygon/tp", True), "got classes.house.polygon.tp: "),
        (change("classes/house/polygon/tp", float("nan")), "got classes.house.polygon.tp: "),
        (change("classes/house/polygon/basis", "luck"), "got classes.house.polygon.basis: "),
        (change("classes/house/objects/fp", 1.5), "got classes.house.objects.fp: "),
        (change("scenes/a/house/polygon/tq", 1.0), "got scenes.a.house.polygon.tq: "),
        (change("scenes/b/low/parts", [[1.0, 2.0]]), "got scenes.b.low.parts.0"),
        (change("tuned", {}), "got tuned: "),
        (change("places/a", KeyError), "no place of scene 'a'"),
    ],
)
def test_what_has_another_shape_is_refused_in_one_line(text, said):
    with pytest.raises(DataError) as caught:
        Score.from_json(text, "runs/x/score.json")
    assert str(caught.value).startswith("runs/x/score.json: not a score")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_comparison_is_written_key_by_key():
    found = json.loads(compare_scores(example(), example()).to_json())
    assert list(found) == [field.name for field in fields(Comparison)]
    row = {"first": 0.75, "second": 0.75, "difference": 0.0, "low": 0.0, "high": 0.0, "basis": "places"}
    assert found["classes"]["house"] == row | {"real": False, "places": 2}
    assert found["classes"]["ü [b]"]["difference"] is None
    assert found["only_first"] == {"scenes": [], "classes": []}


def test_the_schema_names_every_key_that_is_written():
    said = score_schema()
    rows = (LeftOut("scenes", "trained on", 1, 3, ("c",)),)
    whole = json.loads(example(tuning=tuning_of(example(), example()), left_out=rows).to_json())

    def walk(content: Any, shape: dict[str, Any]) -> None:
        for option in shape.get("anyOf", ()):
            if "$ref" in option and content is not None:
                shape = option
        shape = said["$defs"][shape["$ref"].rpartition("/")[2]] if "$ref" in shape else shape
        if isinstance(content, dict):
            assert shape["type"] == "object"
            assert set(shape.get("required", ())) <= set(content)
            for key, value in content.items():
                walk(value, shape["properties"][key] if "properties" in shape else shape["additionalProperties"])
            assert "properties" not in shape or shape["additionalProperties"] is False
        for value in content if isinstance(content, list) and "$ref" in shape.get("items", {}) else ():
            walk(value, shape["items"])

    walk(whole, said)
    assert said["properties"]["unit"]["enum"] == ["m2", "px2", "unit2"]


def keys_of(kind: Any, seen: set[Any]) -> Iterator[str]:
    """Yield the keys of a row and of the rows in it."""
    for inner in get_args(kind):
        yield from keys_of(inner, seen)
    if isinstance(kind, type) and is_dataclass(kind) and kind not in seen:
        seen.add(kind)
        for name, hint in get_type_hints(kind).items():
            yield name
            yield from keys_of(hint, seen)


OTHER_FILES = {
    "classes", "count", "left_out", "mean", "names", "parts", "places", "scenes", "seed", "total", "truth", "what",
    "why",
}  # fmt: skip
"""Keys that run.json, tuned.json, split.json, maps and others have too: seeing one says nothing."""
TUNED = {("report/panels.py", key) for key in ("jaccard", "f1", "low", "high")}
"""Where tuned.json is read, whose rows have such keys too."""


def spelled(path: Path) -> Iterator[str]:
    """Yield the text by which a file looks into dicts."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        text = None
        if isinstance(node, ast.Subscript):
            text = node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"get", "pop"}:
            text = node.args[0] if node.args else None
        if isinstance(text, ast.Constant) and isinstance(text.value, str):
            yield text.value


def test_nobody_else_spells_a_key_of_the_file():
    keys = set(keys_of(Score, set())) - OTHER_FILES
    assert {"tp", "pixel_opencv", "conventions", "empty_classes", "tuned"} <= keys
    found = {
        (path.relative_to(SOURCES).as_posix(), text)
        for path in SOURCES.rglob("*.py")
        if SOURCES / "core" / "score" not in path.parents
        for text in spelled(path)
        if text in keys
    }
    assert found == TUNED
