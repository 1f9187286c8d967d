"""Windows named by `suggest` on small runs: odd ground first, labelled, held-out and empty ground never."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from pyproj import CRS
from typer.testing import CliRunner

from landscribe.cli.app import app
from landscribe.core.grid import Window
from landscribe.core.suggest.windows import HELD_OUT, LABELLED, NO_DATA, NOT_PREDICTED, Size
from landscribe.errors import DataError, IntegrityError, LandscribeError, RecipeError
from landscribe.io.project import Project, open_project
from landscribe.io.project.splits import split_of
from landscribe.io.review.suggested import SUGGESTED, read_suggested
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import Run
from landscribe.io.settings import load_recipe
from landscribe.report.map.gather import gather_map
from landscribe.stages.maps._manifest import served_manifest
from landscribe.stages.maps.map import map as write_map
from landscribe.stages.predict import predict
from landscribe.stages.review.suggest import Wish, suggest
from suggest_scenes import ODD, SIDE, H, W, make_suggest_run

UTM = CRS.from_epsg(32633)
WISH = Wish(7, Size(SIDE, "px"))
ODD_WINDOW = Window(ODD[0] * SIDE, ODD[1] * SIDE, SIDE, SIDE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Run]:
    """A run on the ground, with two networks, and a scene of which a part was looked at."""
    return make_suggest_run(tmp_path_factory.mktemp("suggest"), crs=UTM, seeds="seeds = [1, 2]", part=True)


@pytest.fixture
def home(made: tuple[Project, Run], tmp_path: Path) -> Path:
    shutil.copytree(made[1].root.parent, tmp_path / "home")
    return tmp_path / "home"


def opened(home: Path) -> tuple[Project, Run]:
    return open_project(load_recipe(home / "r.toml")), Run(home / "run")


def test_odd_ground_is_found_and_what_must_not_be_suggested_is_counted(made, tmp_path):
    project, run = made
    result, found, files = suggest(project, run, WISH, tmp_path / "todo.gpkg")
    assert (found.windows[0].scene, found.windows[0].window) == ("u2", ODD_WINDOW)
    assert "unlike the training ground" in found.windows[0].why
    assert [row.rank for row in found.windows] == [*range(1, 8)]
    # Of t1, columns 0 to 40 were looked at; of u3, columns from 20 on have no data.
    assert found.left_out == {HELD_OUT: 9, LABELLED: 3, NO_DATA: 6}
    assert found.looked_at == 5 * 9 - 18
    assert "h1" not in {row.scene for row in found.windows}
    assert all(row.window.col >= 32 for row in found.windows if row.scene == "t1")
    assert all(set(row.parts) == {"doubt", "disagreement", "unlike"} for row in found.windows)
    assert files == {tmp_path / "todo.gpkg": 7}
    assert suggest(project, run, WISH)[0].current == ["all"]
    assert result.failed == {}


def test_the_geopackage_lies_where_the_windows_lie(made, tmp_path):
    project, run = made
    out = tmp_path / "todo.gpkg"
    found = suggest(project, run, WISH, out)[1]
    table = pyogrio.read_dataframe(out, layer="windows").sort_values("rank")
    assert list(table["scene"]) == [row.scene for row in found.windows]
    assert list(table["why"]) == [row.why for row in found.windows]
    assert table.crs == UTM
    grid = open_prepared(run, "u2").grid
    assert shapely.equals(table.geometry.iloc[0], grid.crop(ODD_WINDOW).footprint)
    style = pyogrio.read_dataframe(out, layer="layer_styles", read_geometry=False)
    assert 'fieldName="rank"' in style["styleQML"].iloc[0]


def test_the_same_run_gives_the_same_windows_and_another_wish_others(home):
    project, run = opened(home)
    first = suggest(project, run, WISH)[1]
    run.path(SUGGESTED).unlink()
    assert suggest(project, run, WISH)[1] == first
    more = suggest(project, run, Wish(9, Size(SIDE, "px")))[1]
    assert [row.window for row in more.windows[:7]] == [row.window for row in first.windows]
    quick = suggest(project, run, Wish(7, Size(SIDE, "px"), ask_networks=False))[1]
    assert all(set(row.parts) == {"doubt", "unlike"} for row in quick.windows)
    metres = suggest(project, run, Wish(3, Size(40, "")))[1]
    assert {row.window.height for row in metres.windows} == {round(40 / open_prepared(run, "u1").grid.pixel_length)}


def test_the_page_reads_what_holds_and_nothing_that_is_old(home):
    project, run = opened(home)
    run.forget("suggest", "all")
    assert read_suggested(run) is None
    found = suggest(project, run, WISH)[1]
    assert read_suggested(run) == found
    file = run.path(SUGGESTED)
    whole = file.read_text()
    file.write_text(whole.replace('"rank": 1,', '"rank": 8,'))
    with pytest.raises(IntegrityError):
        read_suggested(run)
    file.write_text(whole)
    assert read_suggested(run) == found
    old = (home / "r.toml").read_text()
    (home / "r.toml").write_text(old.replace("symmetries = 1", "symmetries = 4"))
    project = open_project(load_recipe(home / "r.toml"))
    predict(project, run)
    assert read_suggested(run) is None


def test_one_network_is_compared_with_its_own_views_and_pictures_get_a_file_each(tmp_path):
    project, run = make_suggest_run(tmp_path, symmetries=1)
    out = tmp_path / "todo.gpkg"
    result, found, files = suggest(project, run, Wish(5, Size(SIDE, "px")), out)
    assert all("disagreement" in row.parts for row in found.windows)
    assert max(row.parts["disagreement"] for row in found.windows) > 0
    assert found.left_out == {HELD_OUT: 9, LABELLED: 9, NO_DATA: 6}
    assert sum(files.values()) == 5
    assert out not in files
    odd = pyogrio.read_dataframe(tmp_path / "todo-u2.gpkg", layer="windows")
    assert odd.crs is None
    assert odd.geometry.iloc[0].bounds == (ODD_WINDOW.col, ODD_WINDOW.row, ODD_WINDOW.col_stop, ODD_WINDOW.row_stop)
    assert result.made == ["all"]


def test_scenes_of_a_held_out_place_and_its_ground_are_left_out(home):
    text = (home / "r.toml").read_text()
    (home / "r.toml").write_text(text.replace("[[classes]]", 'place = "{scene}"\n[[classes]]'))
    project, run = opened(home)
    moved = json.loads((home / "run" / "prepared" / "u1" / "scene.json").read_text())
    assert moved["place"] == "u1"
    before = suggest(project, run, WISH)[1]
    # u1 now shows the held-out ground, but for its last columns.
    shutil.copy(home / "data" / "img" / "h1.tif", home / "data" / "img" / "u1.tif")
    from landscribe.stages.prepare import prepare

    prepare(project, run)
    predict(project, run)
    after = suggest(project, run, WISH)[1]
    assert before.left_out[HELD_OUT] == 9
    assert after.left_out[HELD_OUT] == 18
    assert "u1" not in {row.scene for row in after.windows}


def test_scenes_that_were_not_predicted_are_counted(home):
    project, run = opened(home)
    run.forget("predict", "u1")
    assert suggest(project, run, WISH)[1].left_out[NOT_PREDICTED] == 9


@pytest.mark.parametrize(
    ("wish", "error", "text"),
    [
        (Wish(0), RecipeError, "suggest: no window asked for, got 0, need 1 or more"),
        (Wish(-4), RecipeError, "got -4"),
        (Wish(3, Size(4096, "px")), RecipeError, "a window is larger than every scene, got size 4096 px"),
        (Wish(3, Size(0.2, "m")), RecipeError, "a window of no pixel"),
    ],
)
def test_wishes_that_cannot_be_met_are_one_line(made, wish: Wish, error: type[LandscribeError], text: str):
    with pytest.raises(error, match=text) as told:
        suggest(*made, wish)
    assert "\n" not in str(told.value)


def test_labelled_scenes_that_were_not_predicted_count_as_labelled(tmp_path):
    project, run = make_suggest_run(tmp_path)
    for name in ("t1", "u1", "u2", "u3"):
        run.forget("predict", name)
    with pytest.raises(DataError, match="got 9 held out for scoring, 9 labelled already, 27 not predicted;"):
        suggest(project, run, WISH)


def test_where_all_is_labelled_or_held_out_it_says_so(home):
    project, run = opened(home)
    for name in ("u1", "u2", "u3", "t1"):
        run.forget("predict", name)
    with pytest.raises(DataError, match=r"no window to suggest, got 9 held out for scoring, 36 not predicted; "):
        suggest(project, run, WISH)


def test_without_probabilities_it_says_which_stage_comes_first(home):
    project, run = opened(home)
    shutil.rmtree(run.path(".done", "predict"))
    with pytest.raises(DataError, match=r"nothing of stage 'predict'; run `landscribe predict` first"):
        suggest(project, run, WISH)


def test_a_damaged_probability_is_named(home):
    project, run = opened(home)
    file = run.probability("u2")
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    with pytest.raises(IntegrityError, match=r"u2\.tif"):
        suggest(project, run, WISH)


def test_somebodys_file_is_not_written_over(made, tmp_path):
    (tmp_path / "todo.gpkg").write_text("mine")
    with pytest.raises(RecipeError, match="is there already"):
        suggest(*made, WISH, tmp_path / "todo.gpkg")
    assert (tmp_path / "todo.gpkg").read_text() == "mine"
    with pytest.raises(RecipeError, match="unknown ending"):
        suggest(*made, WISH, tmp_path / "todo.shp")


def test_the_command_tells_rank_reason_and_what_was_left_out(home, monkeypatch):
    monkeypatch.chdir(home)
    done = CliRunner().invoke(app, ["suggest", "run", "--windows", "2", "--size", "32px"], env={"COLUMNS": "200"})
    assert done.exit_code == 0, (done.output, done.exception)
    assert "unlike the training ground" in done.stdout
    said = next(line for line in done.stderr.splitlines() if "left out" in line)
    assert said.startswith("2 of 27 windows; left out: ")
    assert all(part in said for part in (f"9 {HELD_OUT}", f"6 {NO_DATA}", f"3 {LABELLED}"))
    assert (home / "todo.gpkg").is_file()
    done = CliRunner().invoke(app, ["suggest", "run", "--size", "32px", "--to", "more.gpkg", "--quick", "--json"])
    assert len(json.loads(done.stdout)) == 18  # of 27; the others share too much ground with them
    done = CliRunner().invoke(app, ["suggest", "run", "--windows", "0"])
    assert isinstance(done.exception, RecipeError)
    done = CliRunner().invoke(app, ["suggest", "nowhere"])
    assert str(done.exception) == "nowhere: no such run folder"


def test_windows_lie_inside_of_their_scenes(made):
    found = suggest(*made, Wish(50, Size(SIDE, "px")))[1]
    assert len(found.windows) < 50
    assert found.notes[0].endswith(
        f"the other {found.looked_at - len(found.windows)} of {found.looked_at} share much ground with these"
    )
    assert all(w.window.row_stop <= H and w.window.col_stop <= W for w in found.windows)
    assert np.isfinite([w.score for w in found.windows]).all()


def test_the_map_lists_the_windows_where_they_lie(home):
    project, run = opened(home)
    found = suggest(project, run, WISH)[1]
    write_map(project, run)
    split = split_of(project, run)
    data = gather_map(run, project.legend, split, None, title="t")
    rows = data.manifest["suggested"]
    assert [row["text"] for row in rows] == [f"Window {k}" for k in range(1, 8)]
    scene = data.manifest["scenes"][rows[0]["scene"]]
    assert scene["id"] == "u2"
    left, bottom, right, top = rows[0]["bbox"]
    step = open_prepared(run, "u2").grid.pixel_length
    assert left - scene["extent"][0] == pytest.approx(ODD_WINDOW.col * step, abs=0.01)
    assert scene["extent"][3] - top == pytest.approx(ODD_WINDOW.row * step, abs=0.01)
    assert (right - left, top - bottom) == pytest.approx((SIDE * step, SIDE * step), abs=0.01)
    assert found.windows[0].why == rows[0]["why"]
    served, _, said = served_manifest([run, run], "t")
    assert not said
    for k, row in enumerate(served["suggested"]):
        scene = served["scenes"][row["scene"]]
        assert (scene["run"], scene["id"]) == ("ab"[k // 7], found.windows[k % 7].scene)
        left, bottom, right, top = row["bbox"]
        assert scene["extent"][0] - 0.01 <= left < right <= scene["extent"][2] + 0.01
        assert scene["extent"][1] - 0.01 <= bottom < top <= scene["extent"][3] + 0.01
    assert len(served["suggested"]) == 14
    assert write_map(project, run).current == ["all"]
    suggest(project, run, Wish(3, Size(SIDE, "px")))
    assert write_map(project, run).made == ["all"]
