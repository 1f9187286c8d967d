"""Recipes: overrides, and one useful line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from landscribe.errors import RecipeError
from landscribe.io.settings import builtin_recipes, load_recipe, recipe_dict, recipe_of_run

MINIMAL = '[data]\nroot = "d"\nsensors.RGB = { path = "{scene}.tif", kind = "rgb8" }\n'


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "r.toml"
    path.write_text(MINIMAL)
    return path


def test_defaults_are_all_written_out(recipe: Path) -> None:
    values = recipe_dict(load_recipe(recipe).recipe)
    assert values["vectorize"]["threshold"] == {"default": 0.5}
    assert values["models"][0]["chips"]["context"] == 16
    assert values["validate"]["split"] == "place"


def test_a_relative_root_starts_at_the_recipe(recipe: Path) -> None:
    assert load_recipe(recipe).root == recipe.parent / "d"


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("seed=7", ("seed",), 7),
        ("models.0.chips.batch=3", None, None),
        ("data.root=/a b/c", ("data", "root"), "/a b/c"),
        ('predict.combine="geometric"', ("predict", "combine"), "geometric"),
        ("vectorize.threshold.building=0.25", ("vectorize", "threshold", "building"), 0.25),
    ],
)
def test_overrides(recipe: Path, override: str, path: tuple[str, ...] | None, value: object) -> None:
    if path is None:
        assert load_recipe(recipe, [override]).recipe.models[0].chips.batch == 3  # the row that is there by default
        recipe.write_text(MINIMAL + '[[models]]\nname = "m"\n')
        assert load_recipe(recipe, [override]).recipe.models[0].chips.batch == 3
        return
    here = recipe_dict(load_recipe(recipe, [override]).recipe)
    for key in path:
        here = here[key]
    assert here == value


TWO = MINIMAL + '[[models]]\nname = "a"\nclasses = ["x"]\n[[models]]\nname = "b"\nclasses = ["y"]\n'


@pytest.mark.parametrize(
    ("override", "batches"),
    [
        ("models.b.chips.batch=3", [16, 3]),
        ("models.*.chips.batch=3", [3, 3]),
        ("models.0.chips.batch=3", [3, 16]),
    ],
)
def test_items_of_a_list_go_by_name_or_number_or_all(recipe: Path, override: str, batches: list[int]) -> None:
    recipe.write_text(TWO)
    models = load_recipe(recipe, [override]).recipe.models
    assert [row.chips.batch for row in models] == batches
    assert load_recipe(recipe, [override, "models.*.chips.batch="]).recipe.models[0].chips.batch == 16


def test_an_unknown_item_is_told_with_the_known_ones(recipe: Path) -> None:
    recipe.write_text(TWO)
    with pytest.raises(RecipeError, match=r"models.c.chips.batch=3.*0 to 1, a name of a, b, or \*"):
        load_recipe(recipe, ["models.c.chips.batch=3"])


@pytest.mark.parametrize(
    "override",
    ["validate.split=none", "tune.folds=3", "models.all.schedule.epochs=2", "vectorize.threshold.default=0.4"],
)
def test_tables_that_the_recipe_does_not_spell_out_can_be_set(recipe: Path, override: str) -> None:
    here: object = recipe_dict(load_recipe(recipe, [override]).recipe)
    *parents, last = override.partition("=")[0].split(".")
    for key in parents:
        here = here[0] if isinstance(here, list) else here[key]  # type: ignore[index]
    assert str(here[last]) == override.partition("=")[2]  # type: ignore[index]


def test_the_recipe_of_a_run_is_the_one_it_was_made_from(recipe: Path, tmp_path: Path) -> None:
    recipe.write_text(TWO)
    loaded = load_recipe(recipe, ["models.b.chips.batch=3"])
    said = {"recipe": recipe_dict(loaded.recipe), "recipe_name": "r.toml", "recipe_text": loaded.text}
    said["data_root"] = str(loaded.root)
    (tmp_path / "run.json").write_text(json.dumps(said))
    again = recipe_of_run(tmp_path)
    assert (again.recipe, again.root, again.name, again.text) == (loaded.recipe, loaded.root, "r.toml", loaded.text)
    assert recipe_of_run(tmp_path, ["models.a.chips.batch=5"]).recipe.models[0].chips.batch == 5


def test_a_folder_that_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="a folder, not a recipe"):
        recipe_of_run(tmp_path)


def test_an_override_without_a_value_takes_the_setting_out(recipe: Path) -> None:
    recipe.write_text(
        MINIMAL + "[predict]\npatch = 64\nsymmetries = 4\n[vectorize]\nthreshold = { default = 0.4, building = 0.3 }\n"
    )
    assert load_recipe(recipe).recipe.predict.patch == 64
    changed = load_recipe(recipe, ["predict.patch=", "predict.step= ", "vectorize.threshold.building="]).recipe
    assert (changed.predict.patch, changed.predict.step, changed.predict.symmetries) == (None, None, 4)
    assert changed.vectorize.threshold.of("building") == 0.4
    # What is spelt out as empty is a value.
    with pytest.raises(RecipeError, match=r"'data.place': string should have at least 1 character, got ''"):
        load_recipe(recipe, ['data.place=""'])


@pytest.mark.parametrize("override", ["predict.pach=", "perdict.patch=", "vectorize.threshold.crop=", "models.0="])
def test_nothing_to_take_out_is_told(recipe: Path, override: str) -> None:
    recipe.write_text(MINIMAL + "[predict]\npatch = 64\n[[models]]\n")
    with pytest.raises(RecipeError, match=override):
        load_recipe(recipe, [override])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL + "[predict]\ntiles = 3\n", r"unknown key 'predict.tiles', did you mean 'tile'\?"),
        (MINIMAL + "[perdict]\n", "did you mean 'predict'"),
        (
            MINIMAL + 'sensors.S = { path = "{scene}.tif", knid = "rgb8" }\n',
            r"sensors.S.knid', did you mean 'kind'",
        ),
        (MINIMAL + "[predict.class_symmetries]\n[vectorize]\nthreshold = 0.5\n", "a table, such as vectorize.thresh"),
        (MINIMAL + '[[classes]]\nname = "a"\ncolour = "red"\n', "a colour is written '#1F77B4', got 'red'"),
        ('data.labels = { path = "a", valus = {} }\n', r"unknown key 'data.labels.valus', did you mean 'values'\?"),
        ('[[data.labels]]\npath = "a"\nvalus = {}\n', r"unknown key 'data.labels.0.valus', did you mean 'values'\?"),
        (MINIMAL + "[[models]]\nnetwork = { filtres = 3 }\n", "did you mean 'filters'"),
        (MINIMAL + "[predict]\ntile = 'big'\n", "'predict.tile'.*got 'big'"),
        (MINIMAL + "[predict]\ntile = 1000000000000\n", "'predict.tile'"),
        (MINIMAL + "[predict]\nsymmetries = 3\n", "1, 4 or 8"),
        (MINIMAL + "[vectorize]\nthreshold = { building = 2.0 }\n", "less than or equal to 1"),
        ("seed = 1\n", "'data' is missing"),
        ("[data\n", "not valid TOML"),
        (MINIMAL + "when = 2020-01-01\n", "date"),
    ],
)
def test_mistakes_are_explained_in_one_line(recipe: Path, text: str, message: str) -> None:
    recipe.write_text(text)
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(recipe)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_the_mark_of_windows_editors_is_no_mistake(recipe: Path) -> None:
    seed = load_recipe(recipe).recipe.seed
    recipe.write_bytes(b"\xef\xbb\xbf" + recipe.read_bytes())
    assert load_recipe(recipe).recipe.seed == seed


def test_all_mistakes_are_named_at_once(recipe: Path) -> None:
    recipe.write_text(MINIMAL + "[predict]\ntiles = 3\nsymetries = 8\n")
    with pytest.raises(RecipeError, match=r"tiles.*symetries"):
        load_recipe(recipe)


def test_unknown_recipe_names_the_built_in_ones() -> None:
    with pytest.raises(RecipeError, match="default"):
        load_recipe("no-such-recipe")


@pytest.mark.parametrize("name", builtin_recipes())
def test_built_in_recipes_are_valid(name: str) -> None:
    assert load_recipe(name).recipe.models


def test_not_text(recipe: Path) -> None:
    recipe.write_bytes(b"\xff\xfe\x00[data]")
    with pytest.raises(RecipeError, match="UTF-8"):
        load_recipe(recipe)


@pytest.mark.parametrize(
    ("names", "settings", "said"),
    [
        (["coverage"], "", "'data': a sensor cannot be called 'coverage'"),
        (["Coverage"], "", "'data': a sensor cannot be called 'Coverage'"),
        (["RGB", "labels"], "", "a sensor cannot be called 'labels'"),
        (["../x"], "", "'data.sensors': a name that should match pattern"),
        (["a/b"], "", "'data.sensors': a name that should match pattern"),
        ([".hidden"], "", "got '.hidden'"),
        (["x" * 65], "", "a name that should match pattern"),
        ([""], "", "a name that should match pattern"),
        (["MS", "ms"], "", "sensors 'MS' and 'ms' differ in nothing but case"),
        (["MS", "MS-sharp"], 'pansharpen = "brovey"', "sensor 'MS', sharpened, would lie where sensor 'MS-sharp' does"),
        (["ms-SHARP", "MS"], 'pansharpen = "brovey"', "sensor 'MS', sharpened, would lie where sensor 'ms-SHARP' does"),
    ],
)
def test_names_of_sensors_that_would_lie_over_other_files(
    tmp_path: Path, names: list[str], settings: str, said: str
) -> None:
    rows = [f'sensors."{name}" = {{ path = "{{scene}}_{k}.tif", kind = "rgb8" }}' for k, name in enumerate(names)]
    (tmp_path / "r.toml").write_text("\n".join(["[data]", *rows, "[prepare]", settings]))
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "r.toml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("names", [["MS", "MS-sharp"], ["S2.10m", "S2_20m"], ["x" * 64], ["coverages"]])
def test_names_of_sensors_that_lie_over_nothing(tmp_path: Path, names: list[str]) -> None:
    rows = [f'sensors."{name}" = {{ path = "{{scene}}_{k}.tif", kind = "rgb8" }}' for k, name in enumerate(names)]
    (tmp_path / "r.toml").write_text("\n".join(["[data]", *rows]))
    assert list(load_recipe(tmp_path / "r.toml").recipe.data.sensors) == names


@pytest.mark.parametrize(
    "text", ["[data]\nroot = " + "[" * 2000 + "]" * 2000, "a = " + "{b = " * 900 + "1" + "}" * 900]
)
def test_a_recipe_that_is_nested_without_end_is_one_line(tmp_path, text):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(RecipeError, match=r"r\.toml: nested too deeply"):
        load_recipe(tmp_path / "r.toml")


def test_a_number_of_thousands_of_digits_is_one_line(tmp_path):
    (tmp_path / "r.toml").write_text("seed = " + "9" * 8000)
    with pytest.raises(RecipeError, match=r"r\.toml: not valid TOML: Exceeds the limit"):
        load_recipe(tmp_path / "r.toml")
