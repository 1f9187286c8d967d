"""The noun: its defaults are everybody's, and it refuses what makes no sense."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, fields

import pytest

from landscribe.cli.trace import trace as command
from landscribe.core.recipe import VectorizeTable
from landscribe.core.trace.meaning import default_mode
from landscribe.core.tracing import EXACT, PIXEL_EDGES, Tracing, TracingOptions
from landscribe.errors import RecipeError


def test_recipe_and_command_line_take_their_defaults_from_it():
    assert VectorizeTable().tracing("anything", 0.37) == Tracing()
    of_command = {name: p.default for name, p in inspect.signature(command).parameters.items()}
    for option, setting in (
        ("threshold", "threshold"), ("simplify", "simplify_px"), ("min_area", "min_area_px"),
        ("min_hole", "min_hole_px"), ("smooth", "smooth"), ("right_angles", "right_angles"),
    ):  # fmt: skip
        assert of_command[option] == getattr(Tracing(), setting)
    assert of_command["mode"] is None
    assert {default_mode(meaning) for meaning in ("mask", "probability", "percent")} == {Tracing().mode}
    assert of_command["connectivity"].value == str(Tracing().connectivity)


def test_keywords_for_type_checkers_are_its_fields():
    assert list(TracingOptions.__annotations__) == [field.name for field in fields(Tracing)]


def test_units_become_pixels():
    table = VectorizeTable.model_validate({
        "min_area": {"default": 12.0, "pond": 30.0, "unit": "m2"},
        "min_hole": {"default": 5.0, "pond": 6.0},
        "simplify_px": {"default": 0.5, "pond": 1.5},
        "threshold": {"default": 0.4, "pond": 0.6},
        "right_angles": ("house",),
    })  # fmt: skip
    pond, house = table.tracing("pond", 0.25), table.tracing("house", 0.25)
    assert (pond.min_area_px, pond.min_hole_px, pond.simplify_px, pond.threshold) == (120, 6, 1.5, 0.6)
    assert (house.min_area_px, house.min_hole_px, house.simplify_px, house.threshold) == (48, 5, 0.5, 0.4)
    assert (pond.right_angles, house.right_angles) == (False, True)


def test_nothing_can_change_it():
    with pytest.raises(FrozenInstanceError):
        EXACT.threshold = 0.3  # type: ignore[misc]


def test_shared_borders_follow_pixels():
    shared = Tracing(connectivity="mean", simplify_px=2.0).with_shared_borders()
    assert shared == Tracing(mode="edge", connectivity=4, simplify_px=2.0)
    assert PIXEL_EDGES.with_shared_borders() == PIXEL_EDGES
    for values in ({"smooth": 1}, {"right_angles": True}):
        with pytest.raises(RecipeError, match="tear shared borders apart"):
            Tracing(**values).with_shared_borders()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"threshold": 0.0}, "threshold out of range, got 0.0, need above 0, at most 1"),
        ({"threshold": 1.01}, "threshold out of range"),
        ({"threshold": float("nan")}, "threshold out of range, got nan"),
        ({"mode": "middle"}, "unknown mode, got 'middle', need contour | edge | opencv"),
        ({"min_area_px": -1.0}, "min_area_px out of range, got -1.0"),
        ({"min_hole_px": float("nan")}, "min_hole_px out of range, got nan"),
        ({"simplify_px": float("inf")}, "simplify_px out of range, got inf"),
        ({"connectivity": 6}, "connectivity, got 6"),
        ({"mode": "edge", "connectivity": "mean"}, "with mode 'edge' it is 4 or 8"),
        ({"mode": "opencv", "connectivity": "mean"}, "with mode 'opencv' it is 4 or 8"),
        ({"smooth": -1}, "smooth out of range, got -1, need 0 to 20"),
        ({"smooth": 21}, "smooth out of range"),
        ({"mode": "edge", "smooth": 1}, "smoothing has no meaning with mode 'edge'"),
        ({"mode": "opencv", "smooth": 1}, "smoothing has no meaning with mode 'opencv'"),
        ({"mode": "opencv", "right_angles": True}, "right angles have no meaning with mode 'opencv'"),
    ],
)
def test_mistakes_are_named(values: dict, said: str):
    with pytest.raises(RecipeError) as caught:
        Tracing(**values)
    assert said in str(caught.value)
