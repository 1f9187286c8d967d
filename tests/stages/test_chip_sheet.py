"""A sheet of chips before and after each change, as a person looks at it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from landscribe.cli.app import app
from landscribe.core.recipe import ChipTable
from landscribe.errors import RecipeError
from landscribe.io.project import open_project
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.pictures.chips import GAP_PX, HEAD_PX, LABELS, PLAIN, ROWS, SIDE_PX, TOGETHER, chips, columns_of
from landscribe.stages.prepare import prepare
from small_scenes import RECIPE, write_image, write_labels


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sheet")
    for number in range(1, 5):
        grid = write_image(folder / "old" / "img" / f"o{number}.tif", 1000 * number, number)
        write_labels(folder / "old" / "lab" / f"o{number}.gpkg", grid)
    (folder / "r.toml").write_text(RECIPE)
    prepare(open_project(load_recipe(folder / "r.toml")), open_run(folder / "run"))
    return folder


def sheet_of(home: Path, *overrides: str) -> tuple[np.ndarray, list[str]]:
    """Return the sheet (H, W, 3) and what its columns are."""
    project = open_project(load_recipe(home / "r.toml", list(overrides)))
    assert chips(project, open_run(home / "run")).made == ["net"]
    assert chips(project, open_run(home / "run")).current == ["net"]
    sheet = cv2.imread(str(home / "run" / "pictures" / "chips" / "net.png"))[..., ::-1]
    return sheet, [*columns_of(project.recipe.models[0].chips), LABELS]


def cell(sheet: np.ndarray, column: int, row: int) -> np.ndarray:
    step = SIDE_PX + GAP_PX
    return sheet[HEAD_PX + row * step :, column * step :][:SIDE_PX, :SIDE_PX].astype(int)


def test_columns_are_what_is_on_and_each_shows_its_change_alone() -> None:
    assert list(columns_of(ChipTable())) == [PLAIN, "gain, offset", TOGETHER]
    found = columns_of(ChipTable(strength=0.5, cutmix=0.2, context=7))
    assert list(found) == [PLAIN, "gain, offset", "gamma", "saturation", "haze", "blur", "noise", "cutmix", TOGETHER]
    assert found["blur"].blur == found[TOGETHER].blur > 0
    assert found["blur"].gain == found["blur"].gamma == found[PLAIN].gain == 0
    assert found["cutmix"].cutmix == 1
    assert {table.scale for table in found.values()} == {found[TOGETHER].scale}


def test_a_sheet_has_a_column_per_change_and_a_row_per_chip(home: Path) -> None:
    sheet, columns = sheet_of(
        home, "models.0.chips.strength=1.0", "models.0.chips.match=0.5", "models.0.chips.cutmix=1.0"
    )
    step = SIDE_PX + GAP_PX
    assert sheet.shape == (HEAD_PX + ROWS * step, len(columns) * step, 3)
    plain = columns.index(PLAIN)
    for k, head in enumerate(columns):
        differ = [row for row in range(ROWS) if np.abs(cell(sheet, k, row) - cell(sheet, plain, row)).max() > 3]
        assert bool(differ) == (head != PLAIN), head
    labels, together = (columns.index(head) for head in (LABELS, TOGETHER))
    outlined = np.concatenate([cell(sheet, labels, row).reshape(-1, 3) for row in range(ROWS)])
    assert {(0xAA, 0, 0), (0, 0, 0xAA)} & set(map(tuple, outlined.tolist()))
    assert any(not np.array_equal(cell(sheet, labels, row), cell(sheet, together, row)) for row in range(ROWS))


def test_a_recipe_without_a_network_has_no_chips(home: Path) -> None:
    project = open_project(load_recipe(home / "r.toml", ["models.0.kind=labels"]))
    with pytest.raises(RecipeError, match="pictures --chips: no model is a network"):
        chips(project, open_run(home / "run"))


def test_the_command_draws_them_or_says_that_two_things_were_asked_for(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    done = CliRunner().invoke(app, ["pictures", "r.toml", "--run", "run", "--chips"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["pictures", "r.toml", "--run", "run", "--chips", "--masks"])
    assert isinstance(done.exception, RecipeError)
