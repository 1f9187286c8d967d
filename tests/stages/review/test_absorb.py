"""Absorbing reviews: what becomes of ground, what is refused, what is taken back, what is made again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pyproj import CRS

from landscribe.errors import DataError, IntegrityError, RecipeError
from landscribe.io.project import open_project
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.check import check
from landscribe.stages.init import write_recipe
from landscribe.stages.prepare import prepare
from landscribe.stages.review.absorb import absorb, absorbed, undo
from reviews import said, small_project
from small_scenes import write_image, write_labels

LOOKED = [("", (0, 0, 31, 20))]


def prepared(folder: Path) -> tuple[Run, list[str]]:
    run = open_run(folder / "run")
    result = prepare(open_project(load_recipe(folder / "old.toml")), run)
    assert not result.failed
    return run, result.made


def labels(run: Run, scene: str) -> tuple[np.ndarray, np.ndarray]:
    return open_prepared(run, scene).read_coverage()


def test_ground_becomes_label_background_or_stays_unlabelled(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    run, _ = prepared(tmp_path)
    assert not open_prepared(run, "o5").is_labelled
    rows = [
        ("house", "accept", (3, 5, 10, 11)),
        ("road", "reject", (12, 2, 20, 9)),
        ("house", "reject", (40, 30, 47, 37)),
    ]
    done = absorb(tmp_path / "old.toml", [said(tmp_path / "r.gpkg", grids["o5"], "o5", rows, LOOKED)])
    assert (tmp_path / "old.toml").read_text().count('reviews = "reviews"') == 1
    assert [own.scenes["o5"] for own in done.taken] == [{"accepted": 1, "rejected": 2, "areas looked at": 1}]
    run, made = prepared(tmp_path)
    assert made == ["o5"]
    coverage_khw, labelled_hw = labels(run, "o5")
    expected = np.zeros(labelled_hw.shape, bool)
    expected[0:20, 0:31] = True
    assert np.array_equal(labelled_hw, expected)  # one class alone was said of the rejected house outside of it
    house = np.zeros(labelled_hw.shape, np.uint8)
    house[5:11, 3:10] = 255
    assert np.array_equal(coverage_khw[0], house)
    assert not coverage_khw[1][labelled_hw].any()
    texts = [finding.text for finding in check(open_project(load_recipe(tmp_path / "old.toml"))).findings]
    assert "labels: 1 polygons that reviews add in o5" in texts
    assert "labels: 2 polygons that reviews reject in o5" in texts


def test_without_looked_at_ground_a_class_alone_is_not_enough_and_that_is_said(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    done = absorb(
        tmp_path / "old.toml", [said(tmp_path / "r.gpkg", grids["o5"], "o5", [("house", "accept", (3, 5, 10, 11))])]
    )
    assert any("1 polygons on ground of which nobody said" in line for line in done.taken[0].notes)


def test_labels_of_files_hold_and_what_differs_is_named_with_its_place(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    before = labels(prepared(tmp_path)[0], "o1")
    rows = [
        ("house", "reject", (2, 4, 18, 12)),
        ("house", "accept", (30, 2, 37, 9)),
        ("road", "accept", (23, 20, 39, 29)),
    ]
    done = absorb(tmp_path / "old.toml", [said(tmp_path / "r.gpkg", grids["o1"], "o1", rows)])
    east, north = grids["o1"].transform @ (33.5, 5.5)
    assert done.taken[0].conflicts == (
        f"scene 'o1', house at {east:.1f}, {north:.1f} (196.1 m²): labels say that none is there; added",
        "scene 'o1', house at 401020.0, 4999984.0 (336.2 m²): labels have one, the review has none; kept",
    )
    coverage_khw, labelled_hw = labels(prepared(tmp_path)[0], "o1")
    assert labelled_hw.all()
    added = coverage_khw.copy()
    added[0, 2:9, 30:37] = 0
    assert np.array_equal(added, before[0])
    assert (coverage_khw[0, 2:9, 30:37] == 255).all()


def test_over_labels_takes_them_away(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    review = said(tmp_path / "r.gpkg", grids["o1"], "o1", [("house", "reject", (2, 4, 18, 12))])
    done = absorb(tmp_path / "old.toml", [review], over_labels=True)
    assert done.taken[0].conflicts[0].endswith("labels have one, the review has none; taken away")
    coverage_khw, labelled_hw = labels(prepared(tmp_path)[0], "o1")
    assert labelled_hw.all()
    assert not coverage_khw[0].any()


def test_undo_gives_the_labels_back_and_keeps_the_history(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    before = labels(prepared(tmp_path)[0], "o1")
    review = said(tmp_path / "r.gpkg", grids["o1"], "o1", [("house", "accept", (30, 2, 37, 9))])
    absorb(tmp_path / "old.toml", [review])
    assert prepared(tmp_path)[1] == ["o1"]
    assert [own.file[:5] for own in undo(tmp_path / "old.toml")] == ["0001-"]
    run, made = prepared(tmp_path)
    assert made == ["o1"]
    assert np.array_equal(labels(run, "o1")[0], before[0])
    history = absorbed(tmp_path / "old.toml")
    assert [(own.holds, own.who, own.run, own.models) for own in history.reviews] == [(False, "Ann", "city", ("0123",))]
    with pytest.raises(RecipeError, match=r"no review to take back, got 1 in its history"):
        undo(tmp_path / "old.toml")
    assert len(absorb(tmp_path / "old.toml", [review]).taken) == 1


def test_the_same_review_twice_is_noticed_by_what_it_says(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    rows = [("house", "accept", (30, 2, 37, 9)), ("road", "reject", (1, 1, 4, 4))]
    absorb(tmp_path / "old.toml", [said(tmp_path / "r.gpkg", grids["o1"], "o1", rows)])
    copy = said(tmp_path / "copy.gpkg", grids["o1"], "o1", rows[::-1], who="Bob")
    text = (tmp_path / "old.toml").read_text()
    done = absorb(tmp_path / "old.toml", [copy])
    assert (done.taken, list(done.known)) == ((), [str(copy)])
    assert (tmp_path / "old.toml").read_text() == text
    assert len(list((tmp_path / "reviews").glob("*.gpkg"))) == 1


def test_two_people_who_do_not_agree_are_refused_unless_the_last_holds(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    box = (30, 2, 37, 9)
    given = [
        said(tmp_path / "ann.gpkg", grids["o5"], "o5", [("house", "accept", box)], LOOKED),
        said(tmp_path / "bob.gpkg", grids["o5"], "o5", [("house", "reject", box)], LOOKED, who="Bob"),
    ]
    with pytest.raises(DataError, match=r"do not agree: scene 'o5', house at .*ann.gpkg and .*bob.gpkg, got 1 such"):
        absorb(tmp_path / "old.toml", given)
    assert not (tmp_path / "reviews").exists()
    done = absorb(tmp_path / "old.toml", given, prefer_last=True)
    assert any(line.startswith("the later review holds: scene 'o5', house") for line in done.lines)
    assert not labels(prepared(tmp_path)[0], "o5")[0][0].any()
    # One after the other it is no quarrel but a change of mind, which is said.
    later = said(tmp_path / "later.gpkg", grids["o5"], "o5", [("house", "accept", box)])
    assert any(
        "says otherwise; the new one holds" in line
        for line in absorb(tmp_path / "old.toml", [later]).taken[0].conflicts
    )


def test_another_class_for_one_polygon_is_a_quarrel_too(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    given = [
        said(tmp_path / f"{name}.gpkg", grids["o5"], "o5", [(name, "accept", (30, 2, 37, 9))])
        for name in ("house", "road")
    ]
    with pytest.raises(DataError, match=r"do not agree: scene 'o5', house at .*, or road"):
        absorb(tmp_path / "old.toml", given)


def test_what_names_no_scene_goes_where_it_lies_also_from_another_crs(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    rows = [("house", "accept", (3, 5, 10, 11))]
    review = said(tmp_path / "r.gpkg", grids["o5"], "o5", rows, LOOKED, named=False, crs=CRS.from_epsg(4326))
    done = absorb(tmp_path / "old.toml", [review])
    assert list(done.taken[0].scenes) == ["o5"]
    coverage_khw, labelled_hw = labels(prepared(tmp_path)[0], "o5")
    assert coverage_khw[0, 6:10, 4:9].min() == 255
    assert labelled_hw.sum() == 31 * 20


@pytest.mark.parametrize(
    ("scene", "at", "rows", "said_so"),
    [
        ("o9", "o5", [("house", "accept", (3, 5, 10, 11))], r"does not have: a review of another run 'city'\?, got o9"),
        (
            "o5",
            "o5",
            [("house", "", (3, 5, 10, 11))] * 5,
            r"says nothing: no verdict, .*got 5 polygons as they were found",
        ),
        ("o5", "o5", [], r"says nothing: no polygon in it"),
        ("o5", "o1", [("house", "accept", (3, 5, 10, 11))], r"all that it says of scene 'o5' lies outside"),
    ],
)
def test_what_cannot_be_absorbed_leaves_all_as_it_was(
    tmp_path: Path, scene: str, at: str, rows: list, said_so: str
) -> None:
    grids = small_project(tmp_path)
    text = (tmp_path / "old.toml").read_text()
    fine = said(tmp_path / "fine.gpkg", grids["o5"], "o5", [("house", "accept", (30, 2, 37, 9))])
    bad = said(tmp_path / "bad.gpkg", grids[at], scene, rows)
    with pytest.raises(DataError, match=said_so):
        absorb(tmp_path / "old.toml", [fine, bad])
    assert not (tmp_path / "reviews").exists()
    assert (tmp_path / "old.toml").read_text() == text


def test_a_review_that_was_changed_afterwards_stops_the_run(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    absorb(
        tmp_path / "old.toml",
        [said(tmp_path / "r.gpkg", grids["o5"], "o5", [("house", "accept", (3, 5, 10, 11))], LOOKED)],
    )
    run, _ = prepared(tmp_path)
    [copy] = (tmp_path / "reviews").glob("*.gpkg")
    content = bytearray(copy.read_bytes())
    content[5000] ^= 1
    copy.write_bytes(content)
    result = prepare(open_project(load_recipe(tmp_path / "old.toml")), run)
    assert result.damaged == ["o5"]
    assert f"{copy.name}: was changed since it was absorbed" in result.failed["o5"]
    assert result.current == ["o1", "o2", "o3", "o4"]
    history = tmp_path / "reviews" / "reviews.json"
    history.write_text(history.read_text().replace('"who": "Ann"', '"who": "Eve"'))
    with pytest.raises(IntegrityError, match=r"reviews.json: was changed"):
        _ = open_project(load_recipe(tmp_path / "old.toml")).scenes


def test_reviews_that_are_gone_are_missed(tmp_path: Path) -> None:
    small_project(tmp_path)
    text = (tmp_path / "old.toml").read_text()
    (tmp_path / "old.toml").write_text(text.replace("[data]\n", '[data]\nreviews = "gone"\n'))
    with pytest.raises(RecipeError, match=r"\[data\].reviews: no such folder"):
        _ = open_project(load_recipe(tmp_path / "old.toml")).scenes


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    (tmp_path / "reviews").mkdir()
    (tmp_path / "reviews" / "book.txt").write_text("four stars")
    review = said(tmp_path / "r.gpkg", grids["o5"], "o5", [("house", "accept", (3, 5, 10, 11))])
    with pytest.raises(RecipeError, match=r"holds other things than reviews, got book.txt"):
        absorb(tmp_path / "old.toml", [review])


def test_only_a_recipe_file_takes_reviews(tmp_path: Path) -> None:
    for path, said_so in ((tmp_path, "a run folder"), (Path("default"), "no such recipe file")):
        with pytest.raises(RecipeError, match=said_so):
            absorb(path, [tmp_path / "r.gpkg"])


def test_the_history_says_who_when_and_from_which_model(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    review = said(tmp_path / "r.gpkg", grids["o5"], "o5", [("house", "accept", (3, 5, 10, 11))])
    absorb(tmp_path / "old.toml", [review], who="Cy")
    rows = json.loads((tmp_path / "reviews" / "reviews.json").read_text())["reviews"]
    assert {key: rows[0][key] for key in ("who", "people", "run", "models", "source")} == {
        "who": "Cy", "people": ["Ann"], "run": "city", "models": ["0123"], "source": "r.gpkg",
    }  # fmt: skip
    assert rows[0]["at"].endswith("+00:00")


def test_pictures_without_a_place_are_reviewed_in_their_pixels(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    for number in (5, 6):
        grids[f"o{number}"] = write_image(tmp_path / "old" / "img" / f"o{number}.tif", None, number)
    review = said(tmp_path / "r.gpkg", grids["o5"], "o5", [("house", "accept", (3, 5, 10, 11))], LOOKED)
    done = absorb(tmp_path / "old.toml", [review])
    assert list(done.taken[0].scenes) == ["o5"]
    coverage_khw, labelled_hw = labels(prepared(tmp_path)[0], "o5")
    assert (labelled_hw.sum(), coverage_khw[0, 5:11, 3:10].min(), int((coverage_khw[0] > 0).sum())) == (
        31 * 20,
        255,
        42,
    )
    place = said(tmp_path / "p.gpkg", grids["o1"], "o5", [("house", "accept", (3, 5, 10, 11))])
    with pytest.raises(DataError, match=r"its CRS is not what scene 'o5' needs, got WGS 84 .*, need none, pixels"):
        absorb(tmp_path / "old.toml", [place])
    pixels = said(tmp_path / "x.gpkg", grids["o5"], "o1", [("house", "accept", (3, 5, 10, 11))])
    with pytest.raises(DataError, match=r"its CRS is not what scene 'o1' needs, got none, need one"):
        absorb(tmp_path / "old.toml", [pixels])
    nameless = said(tmp_path / "n.gpkg", grids["o5"], "o5", [("house", "accept", (3, 5, 10, 11))], named=False)
    with pytest.raises(DataError, match=r"no CRS, and polygons that name no scene"):
        absorb(tmp_path / "old.toml", [nameless])


def test_a_killed_command_leaves_nothing_that_counts(tmp_path: Path) -> None:
    grids = small_project(tmp_path)
    review = said(tmp_path / "r.gpkg", grids["o5"], "o5", [("house", "accept", (3, 5, 10, 11))], LOOKED)
    # As a kill between the copy and the history leaves it.
    (tmp_path / "reviews").mkdir()
    (tmp_path / "reviews" / "0001-2031-02-03.gpkg").write_bytes(review.read_bytes())
    done = absorb(tmp_path / "old.toml", [review])
    assert done.taken[0].file.startswith("0002-")
    texts = [finding.text for finding in check(open_project(load_recipe(tmp_path / "old.toml"))).findings]
    assert any("0001-2031-02-03.gpkg: was not absorbed and is not used" in text for text in texts)
    # And as one between the history and the recipe does.
    text = (tmp_path / "old.toml").read_text()
    (tmp_path / "old.toml").write_text(text.replace('reviews = "reviews"\n', ""))
    again = absorb(tmp_path / "old.toml", [review])
    assert list(again.known.values()) == [done.taken[0].file]
    assert (tmp_path / "old.toml").read_text() == text


def test_init_takes_no_review_for_labels(tmp_path: Path) -> None:
    grids = small_project(tmp_path / "old", labelled=(1, 2, 3), bare=())
    for number in (1, 2, 3):
        write_labels(tmp_path / "old" / "old" / "lab" / f"o{number}.gpkg", grids[f"o{number}"])
    review = said(tmp_path / "r.gpkg", grids["o2"], "o2", [("house", "accept", (30, 2, 37, 9))])
    absorb(tmp_path / "old" / "old.toml", [review])
    lines = write_recipe(tmp_path / "old", tmp_path / "old" / "new.toml")
    assert not any("reviews/" in line for line in lines)
    assert lines[-1] == "reviews: 1 of them, 1 polygons and areas in 1 scenes, count as labels"
    written = load_recipe(tmp_path / "old" / "new.toml").recipe
    assert written.data.reviews == "reviews"
    assert all("reviews" not in table.path for table in written.data.labels)
