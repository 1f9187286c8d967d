"""The split as a text that a person reads and edits."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from landscribe.core.grid import Window
from landscribe.core.split.split import Split, read_split, require_sound, write_split
from landscribe.errors import RecipeError

DRAWN = Split(("a", 'b"1', "ć"), ("d",), (("a",), ('b"1', "ć")), why="drawn")
CORNERS = Split(("a", "b"), ("a", "b"), corners={"a": Window(0, 0, 17, 17), "b": Window(3, 5, 7, 11)}, why="corners")
SHAPES = {"a": (23, 29), 'b"1': (23, 29), "ć": (23, 29), "d": (23, 29), "b": (23, 29)}


@pytest.mark.parametrize("split", [Split(), DRAWN, CORNERS, Split(("a",))], ids=["empty", "drawn", "corners", "one"])
def test_what_is_written_is_read_again(split: Split) -> None:
    assert read_split(write_split(split, "these scenes"), "f") == (split, "these scenes")


def test_one_scene_stands_on_one_line() -> None:
    lines = write_split(DRAWN, "x").splitlines()
    assert [line.strip() for line in lines if "ć" in line] == ['"ć"', '"ć"']
    assert sum('"d"' in line for line in lines) == 1
    corner = '"b": {"row": 3, "col": 5, "height": 7, "width": 11}'
    assert [line.strip() for line in write_split(CORNERS, "x").splitlines()].count(corner) == 1


def test_an_edit_is_known_and_a_change_of_order_is_none() -> None:
    content = json.loads(write_split(DRAWN, "x"))
    turned = read_split(json.dumps(content | {"train": content["train"][::-1]}), "f")[0]
    assert (turned.edited, turned.notes) == (False, ())
    for words in ({"why": "mine"}, {"about": "mine"}):
        said = read_split(json.dumps(content | words), "f")[0]
        assert not said.edited
        assert said.notes == ("f: words in it were changed since it was drawn; scenes and sides were not",)
    for edit in (
        {"train": ["a"]},
        {"validate": []},
        {"folds": []},
        {"corners": {"a": {"row": 0, "col": 0, "height": 1, "width": 1}}},
    ):
        assert read_split(json.dumps(content | edit), "f")[0].edited, edit
    by_hand, origin = read_split('{"train": ["a"]}', "f")
    assert by_hand.edited
    assert (by_hand.train, by_hand.validate, origin) == (("a",), (), "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"train": ["a",]}', "split.json: not JSON, got"),
        ("[" * 100_000, "not JSON, got RecursionError"),
        ("", "not JSON"),
        ("[]", "not a split, got list"),
        ('{"trian": ["a"]}', "not a split, got trian, need about, why, train"),
        ('{"train": "abc"}', "'train' is no list of scenes, got abc"),
        ('{"train": [1]}', "'train' is no list of scenes"),
        ('{"train": ["a", "a"]}', "scene 'a' stands in 'train' twice"),
        ('{"folds": {"1": []}}', "'folds' is no list of lists"),
        ('{"folds": ["a"]}', "'fold 1' is no list of scenes"),
        ('{"why": 3}', "'why' is a text"),
        ('{"drawn": "x"}', "'drawn' a table"),
        ('{"corners": ["a"]}', "wrong corners"),
        ('{"corners": {"a": [0, 0, 3, 3]}}', "wrong corners"),
        ('{"corners": {"a": {"row": 0, "col": 0, "height": 0, "width": 3}}}', "wrong corner of scene 'a'"),
        ('{"corners": {"a": {"row": -1, "col": 0, "height": 3, "width": 3}}}', "wrong corner of scene 'a'"),
        ('{"corners": {"a": {"row": 0, "col": 0.5, "height": 3, "width": 3}}}', "wrong corner of scene 'a'"),
        ('{"corners": {"a": {"row": true, "col": 0, "height": 3, "width": 3}}}', "wrong corner of scene 'a'"),
    ],
)
def test_what_is_no_split_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(RecipeError, match=r"^split\.json: ") as caught:
        read_split(text, "split.json")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "delete it to have it drawn again" in str(caught.value)


@pytest.mark.parametrize(
    ("split", "said"),
    [
        (replace(DRAWN, train=("z",)), "unknown scene 'z'"),
        (replace(DRAWN, validate=("broken",)), "scene 'broken' has no prepared labels"),
        (Split(("a", "d"), ("d",)), "scene 'd' stands on both sides, need one side, or a corner"),
        (Split((), ("d",)), "no training scene"),
        (Split(("a",), ("d",), (("a", "d"),)), "the folds do not deal the training scenes"),
        (Split(("a", "d"), (), (("a",),)), "the folds do not deal the training scenes"),
        (Split(("a", "d"), (), (("a", "d"),)), "the folds do not deal the training scenes"),
        (Split(("a", "d"), (), (("a", "d"), ())), "the folds do not deal the training scenes"),
        (Split(("a", "d"), (), (("a", "d"), ("z",))), "unknown scene 'z'"),
        (Split(("a",), ("d",), corners={"d": Window(0, 0, 3, 3)}), "scene 'd' has a corner"),
        (Split(("a",), ("a",), corners={"a": Window(20, 0, 4, 3)}), "the corner of scene 'a' is no part of it"),
        (Split(("a",), ("a",), corners={"a": Window(0, 0, 23, 29)}), "need less than 23 x 29 pixels"),
    ],
)
def test_what_cannot_be_carried_out_is_refused_in_one_line(split: Split, said: str) -> None:
    with pytest.raises(RecipeError, match=r"^split\.json: ") as caught:
        require_sound(split, SHAPES, frozenset({"broken"}), "split.json")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("split", [DRAWN, CORNERS, Split(("a",)), Split(("a", "b"), ("d",), (("b",), ("a",)))])
def test_what_can_be_carried_out_passes(split: Split) -> None:
    require_sound(split, SHAPES, frozenset(), "split.json")


def test_a_scene_with_a_corner_counts_as_validating() -> None:
    assert CORNERS.sides == {"a": "validate", "b": "validate"}
    assert DRAWN.sides == {"a": "train", 'b"1': "train", "ć": "train", "d": "validate"}
    assert CORNERS.corners_of(("b", "x")) == {"b": [3, 5, 7, 11]}
