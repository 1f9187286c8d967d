"""Settings put into the text of a recipe: what TOML then says, and what of the text stays."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscribe.errors import RecipeError
from landscribe.io.layout.text import model_text
from landscribe.io.settings import parse_recipe
from landscribe.io.toml_text import put_settings, value_text

RECIPE = """# Houses.
seed = 0

[data]
root = "."                   # here
sensors.RGB = { path = "{scene}.tif", kind = "rgb8" }
[data.labels]
path = "x#y.geojson"

[[models]]
name = "a"
chips = { gain = 0.2, scale = 0.25 }   # strong
schedule.epochs = 6          # few

[[models]]
name = "b"
seeds = [
  1,
]

[models.network]
# encoder is not set. A known network in place of the U-Net's own way down; one
# of two.
# weights is not set.
filters = 24                 # narrow

[validate]
split = "place"              # whole places
"""


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        (("seed",), 7, None),
        (("validate", "split"), "none", 'split = "none"               # whole places'),
        (("validate", "share"), 0.2, "share = 0.2"),
        (("models", 0, "chips", "gain"), 0.1, "chips = { gain = 0.1, scale = 0.25 }   # strong"),
        (("models", 0, "chips", "size"), 96, "chips = { gain = 0.2, scale = 0.25, size = 96 }  # strong"),
        (("models", 0, "schedule", "epochs"), 12, "schedule.epochs = 12         # few"),
        (("models", 0, "schedule", "steps"), 9, "schedule.steps = 9"),
        (("models", 0, "network", "filters"), 8, "network = { filters = 8 }"),
        (("models", 1, "network", "filters"), 8, "filters = 8                  # narrow"),
        (("models", 1, "network", "encoder"), "resnet18", 'encoder = "resnet18"'),
        (("models", 1, "network", "dropout"), 0.5, "dropout = 0.5"),
        (("models", 1, "chips", "size"), 64, "chips = { size = 64 }"),
        (("vectorize", "exclusive"), True, "exclusive = true"),
    ],
)
def test_one_setting_changes_and_nothing_else(key: tuple[str | int, ...], value: object, line: str | None) -> None:
    if line is None:
        with pytest.raises(RecipeError, match="by a program"):
            put_settings(RECIPE, [(key, value)], "r.toml")
        return
    changed = put_settings(RECIPE, [(key, value)], "r.toml")
    assert line in changed.splitlines()
    lost = [row for row in RECIPE.splitlines() if row not in changed.splitlines()]
    assert len(lost) <= 1
    assert not [row for row in lost if row.startswith("# ") and "is not set" not in row]
    at = tomllib.loads(changed)
    for part in key:
        at = at[part]
    assert at == value


def test_a_comment_of_a_setting_without_a_value_stays_as_its_comment() -> None:
    changed = put_settings(RECIPE, [(("models", 1, "network", "encoder"), "resnet18")], "r.toml").splitlines()
    at = changed.index('encoder = "resnet18"')
    assert changed[at - 2 : at + 2] == [
        "# A known network in place of the U-Net's own way down; one",
        "# of two.",
        'encoder = "resnet18"',
        "# weights is not set.",
    ]


def test_what_cannot_be_put_in_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"r\.toml: its settings cannot be put in by a program"):
        put_settings(RECIPE, [(("models", 1, "seeds"), [3])], "r.toml")
    with pytest.raises(RecipeError, match="not valid TOML"):
        put_settings("x = [", [(("seed",), 1)], "r.toml")


def test_a_recipe_without_models_gets_one() -> None:
    changed = put_settings("[data]\nroot = '.'\n", [(("models", 0, "chips", "size"), 64)], "r.toml")
    assert tomllib.loads(changed)["models"] == [{"chips": {"size": 64}}]


def test_all_that_init_writes_can_be_changed(tmp_path: Path) -> None:
    text = '[data]\nsensors.RGB = { path = "{scene}.tif", kind = "rgb8" }\n\n' + "\n".join(model_text()) + "\n"
    settings = [
        (("models", 0, "network", "encoder"), "efficientnet-lite0"), (("models", 0, "chips", "size"), 96),
        (("models", 0, "schedule", "steps"), 7), (("models", 0, "seeds"), [0, 1, 2]),
        (("vectorize", "exclusive"), True),
    ]  # fmt: skip
    recipe = parse_recipe(put_settings(text, settings, "r.toml"), tmp_path, "r.toml").recipe
    table = recipe.models[0]
    assert (table.network.encoder, table.chips.size) == ("efficientnet-lite0", 96)
    assert (table.schedule.steps, table.seeds, recipe.vectorize.exclusive) == (7, (0, 1, 2), True)


@given(
    st.recursive(
        st.text() | st.integers() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(min_size=1), inner),
        max_leaves=8,
    )
)
def test_a_value_is_read_as_it_was_written(value: object) -> None:
    assert tomllib.loads(f"v = {value_text(value)}")["v"] == value
