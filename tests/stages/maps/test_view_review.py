"""Edits from the page: checked, on the disk before they are acknowledged, merged by polygon."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely

from landscribe.io.review.found import reviews_of
from landscribe.io.review.journal import Journal
from landscribe.io.review.reading import read_review
from landscribe.io.review.review import ACCEPT, DRAWN, EDITED, FOUND, REJECT
from landscribe.io.run.runs import Run
from landscribe.io.vector.vectors import read_own
from landscribe.report.map.packing import unpack
from landscribe.stages.maps.view import serve
from view_client import DRAWN as EDIT
from view_client import Client, box, client_of, manifest_of, served

SESSION = Path(__file__).parents[2] / "helpers" / "view_session.py"


def corner(client: Client) -> tuple[float, float]:
    """Return the upper left corner of the first scene in its frame."""
    left, _, _, top = manifest_of(client)["scenes"][0]["extent"]
    return left, top


def near(client: Client, x: float, y: float, side: float = 5):
    """Return a square, so many metres from the corner."""
    left, top = corner(client)
    return box(left + x, top - y - side, left + x + side, top - y)


def found_of(client: Client) -> tuple[list[str], list[list[float]]]:
    packed = client.values("/p/a/0/found")
    return packed["id"], [list(shape.bounds) for shape in unpack(packed)]


def test_what_is_said_is_in_a_review_file(own_run):
    """Accepted, rejected, drawn, of another class, looked at: read by the reader of reviews after the end."""
    found = read_own(own_run / "features" / "m2.parquet")
    with served(own_run) as client:
        ids, boxes = found_of(client)
        assert len(set(ids)) == 6
        as_found = {"source": FOUND}
        status, answer = client.edit(
            {"id": ids[0], "box": boxes[0], "class_name": "road", **as_found},
            {"id": ids[1], "box": boxes[1], "verdict": "reject", "note": "a shadow", **as_found},
            {"id": ids[2], "box": boxes[2], "class_name": "road", "source": "edited"},
            {"id": "new-1", "shape": near(client, 3, 4)},
            {
                "id": "seen-1",
                "kind": "looked",
                "class_name": "",
                "verdict": "",
                "source": "",
                "shape": near(client, 0, 0, 90),
            },
        )
        assert (status, answer["conflicts"], answer["revision"]) == (200, [], 1)
    review = read_review(own_run / "review" / "m2.gpkg")
    rows = review.features.set_index("id")
    assert rows.loc[ids[1], ["verdict", "source", "note", "who"]].tolist() == [REJECT, FOUND, "a shadow", "tester"]
    assert rows.loc[ids[2], ["verdict", "source", "class_name"]].tolist() == [ACCEPT, EDITED, "road"]
    assert rows.loc["new-1", ["verdict", "source"]].tolist() == [ACCEPT, DRAWN]
    # What is only said of is the polygon itself, with all its digits.
    exact = {shape.wkb for shape in found.geometry}
    assert rows.geometry[ids[1]].wkb in exact
    assert rows.geometry["new-1"].area == pytest.approx(25, rel=0.01)
    assert review.looked.geometry[0].area == pytest.approx(8100, rel=0.01)
    assert review.crs == found.crs
    assert set(review.features["scene"]) == {"m2"}


def test_what_is_taken_back_is_not_in_it(own_run):
    with served(own_run) as client:
        client.edit({"id": "one", "shape": near(client, 3, 4)}, {"id": "two", "shape": near(client, 20, 4)})
        status, answer = client.edit({"id": "one", "was": 1, "gone": True})
        assert (status, answer["rows"][0]["shape"]) == (200, None)
    assert list(read_review(own_run / "review" / "m2.gpkg").features["id"]) == ["two"]


def test_a_killed_server_loses_nothing_that_was_acknowledged(own_run):
    told: list[str] = []
    for turn in range(3):
        process = subprocess.Popen([sys.executable, str(SESSION), str(own_run)], stdout=subprocess.PIPE, text=True)
        client = client_of(process.stdout.readline().strip())
        there = {row["id"]: row for row in client.values("/e/a/0")["rows"]}
        assert set(told) <= there.keys()  # one more may be on the disk, of which nobody was told
        assert len(there) <= len(told) + 1
        told = list(there)

        def draw(client=client, turn=turn, told=told) -> None:
            for k in range(1000):
                name = f"t{turn}-{k}"
                try:
                    status, _ = client.edit({"id": name, "shape": near(client, 2 + k % 50, 2 + k // 50, 1)})
                except (OSError, ValueError, IndexError):
                    return
                if status == 200:
                    told.append(name)

        before = len(told)
        thread = threading.Thread(target=draw)
        thread.start()
        while len(told) < before + 5 + 3 * turn:
            assert thread.is_alive()
        process.send_signal(signal.SIGKILL)
        thread.join()
        process.wait()
        process.stdout.close()
        journal = own_run / "review" / ".m2.journal"
        with journal.open("ab") as file:
            file.write(b'00000000 {"rows": [{"id": "ha')  # as a kill in the middle of a line leaves it
    with served(own_run) as client:
        last = {row["id"] for row in client.values("/e/a/0")["rows"]}
        assert set(told) <= last
        assert len(last) <= len(told) + 1
    assert set(read_review(own_run / "review" / "m2.gpkg").features["id"]) == last
    assert not Journal(journal).read()[0][1:]


def test_a_start_puts_what_a_kill_left_into_the_files_of_scenes_that_nobody_asks_for(own_run):
    with served(own_run) as client:
        for number, scene in enumerate(manifest_of(client)["scenes"]):
            left, _, _, top = scene["extent"]
            client.edit({"id": "one", "shape": box(left + 3, top - 40, left + 40, top - 3)}, path=f"/e/a/{number}")
        journals = list((own_run / "review").glob(".*.journal"))
        kept = {path: path.read_bytes() for path in journals}
    for path, content in kept.items():
        path.write_bytes(content)
        path.with_name(f"{path.stem.removeprefix('.')}.gpkg").unlink()
    strange = own_run / "review" / ".gone.journal"
    strange.write_bytes(kept[journals[0]])
    with serve([own_run], port=0) as server:
        said = " ".join(server.said)
    assert said.count("has the edits of an earlier start") == 2
    assert ".gone.journal: edits of a scene that the run does not show" in said
    assert strange.read_bytes() == kept[journals[0]]
    strange.unlink()
    assert set(reviews_of(Run(own_run))) == {"m1", "m2"}


def test_edits_that_name_another_run_are_not_taken(own_run):
    with served(own_run) as client:
        own = manifest_of(client)["runs"][0]["id"]
        edits = [EDIT | {"id": "one", "shape": near(client, 3, 4)}]
        for run, want in ((own[::-1], 410), (own, 200)):
            assert client.values("/e/a/0")["rows"] == []
            status, _, _ = client.ask("/e/a/0", "POST", json.dumps({"run": run, "edits": edits}).encode())
            assert status == want


def test_the_end_folds_the_journal_in_and_takes_no_time(own_run):
    process = subprocess.Popen([sys.executable, str(SESSION), str(own_run)], stdout=subprocess.PIPE, text=True)
    client = client_of(process.stdout.readline().strip())
    client.edit({"id": "one", "shape": near(client, 3, 4)})
    process.send_signal(signal.SIGINT)
    process.wait(5)
    process.stdout.close()
    assert list(read_review(own_run / "review" / "m2.gpkg").features["id"]) == ["one"]


def test_two_who_edit_merge_by_polygon(own_run):
    with served(own_run) as client:
        ids, boxes = found_of(client)
        say = {"id": ids[0], "box": boxes[0], "source": FOUND}
        assert client.edit(say)[1]["revision"] == 1
        # The second one had not seen that, rejects the same one and draws another.
        status, answer = client.edit(say | {"verdict": "reject"}, {"id": "mine", "shape": near(client, 3, 4)})
        assert status == 200
        (against,) = answer["conflicts"]
        assert (against["id"], against["verdict"], against["who"]) == (ids[0], "accept", "tester")
        assert [row["id"] for row in client.values("/e/a/0?since=1")["rows"]] == ["mine"]
        # What is sent again, after a lost line, is no conflict; what follows on what is known is taken.
        assert client.edit(say)[1]["conflicts"] == []
        assert client.edit(say | {"verdict": "reject", "was": against["revision"]})[1]["conflicts"] == []
        assert client.values("/e/a/0")["revision"] == 3


def test_a_second_start_is_for_looking_and_says_who_edits(own_run):
    with served(own_run) as first:
        first.edit({"id": "one", "shape": near(first, 3, 4)})
        with served(own_run) as second:
            told = second.values("/e/a/0")
            assert f"process {os.getpid()}" in told["read_only"]
            status, line = second.edit({"id": "two", "shape": near(second, 3, 4)})
            assert (status, "is edited by" in line) == (423, True)
            assert manifest_of(second)["server"]["can_edit"] is False
    with served(own_run) as third:
        assert third.edit({"id": "two", "shape": near(third, 3, 4)})[0] == 200


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({"shape": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}}, 422, "three corners"),
        ({"shape": {"type": "Point", "coordinates": [0, 0]}}, 422, "not a Polygon"),
        ({"shape": {"type": "Polygon", "coordinates": "x"}}, 422, "lists of numbers"),
        ({"shape": {"type": "Polygon", "coordinates": [[[1, 2], [3, None], [5, 6], [1, 2]]]}}, 422, "finite"),
        ({"shape": {"type": "Polygon", "coordinates": [[[1, 2], [3, 4], [5, 6], [1, 2]]]}}, 422, "area"),
        ({"shape": box(1e9, 1e9, 2e9, 2e9)}, 422, "outside"),
        ({"class_name": "castle"}, 422, "house | road"),
        ({"verdict": "perhaps"}, 422, "verdict"),
        ({"source": "the moon"}, 422, "source"),
        ({"kind": "file"}, 422, "kind"),
        ({"id": "../../x"}, 422, "not a name"),
        ({"id": ""}, 422, "not a name"),
        ({"note": "x" * 501}, 422, "short text"),
        ({"note": 7}, 422, "short text"),
        ({"was": "1"}, 400, "revision"),
        ({"source": "model", "shape": None, "box": [0, 0, 1, 1]}, 422, "no such polygon"),
        ({"source": "model", "shape": None, "box": "x"}, 422, "four numbers"),
    ],
)
def test_odd_edits_are_refused_in_one_line(refusing, change, status, word):
    got, line = refusing.edit({"id": "odd", "shape": near(refusing, 3, 4)} | change)
    assert got == status, line
    assert word in line
    assert line.count("\n") == 1
    assert refusing.values("/e/a/0")["rows"] == []


@pytest.fixture(scope="module")
def refusing(made_run, tmp_path_factory):
    run = shutil.copytree(made_run, tmp_path_factory.mktemp("odd") / "run", ignore=shutil.ignore_patterns("review"))
    with served(run) as client:
        yield client


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"edits": []}', b'{"edits": [1]}', b"\xff\xfe", b"[" * 5000])
def test_odd_bodies_are_refused(refusing, body):
    status, line, _ = refusing.ask("/e/a/0", "POST", body)
    assert (status, line.count(b"\n")) == (400, 1)


def test_bow_ties_are_mended_and_what_reaches_out_is_cut(own_run):
    with served(own_run) as client:
        left, top = corner(client)
        tie = [
            [left + 10, top - 10],
            [left + 20, top - 20],
            [left + 20, top - 10],
            [left + 10, top - 20],
            [left + 10, top - 10],
        ]
        status, answer = client.edit(
            {"id": "tie", "shape": {"type": "Polygon", "coordinates": [tie]}},
            {"id": "out", "shape": near(client, -3, 40, 5)},
        )
        assert status == 200
        assert "mended" in answer["mended"]["tie"]
        assert "cut at the edge" in answer["mended"]["out"]
        shapes = {row["id"]: shapely.geometry.shape(row["shape"]) for row in answer["rows"]}
        assert shapes["tie"].is_valid
        assert shapes["tie"].area == pytest.approx(50)
        assert shapes["out"].area == pytest.approx(10, rel=0.01)


def test_a_file_that_qgis_changed_meanwhile_is_merged(own_run):
    path = own_run / "review" / "m2.gpkg"
    with served(own_run) as client:
        client.edit({"id": "one", "shape": near(client, 3, 4)}, {"id": "two", "shape": near(client, 20, 4)})
    with served(own_run) as client:
        assert client.values("/e/a/0")["revision"] == 1
        client.edit({"id": "three", "shape": near(client, 40, 4)})
        table = gpd.read_file(path, layer="features")
        table.loc[table["id"] == "one", "class_name"] = "road"
        table[table["id"] != "two"].to_file(path, layer="features", driver="GPKG")
        rows = {row["id"]: row for row in client.values("/e/a/0?since=2")["rows"]}
        assert rows["one"]["class_name"] == "road"
        assert rows["two"]["shape"] is None
        assert "three" not in rows
    after = read_review(path).features.set_index("id")
    assert after["class_name"].to_dict() == {"one": "road", "three": "house"}


def test_a_file_that_is_no_review_is_named_and_left_alone(own_run):
    (own_run / "review").mkdir()
    (own_run / "review" / "m2.gpkg").write_bytes(b"no review")
    with served(own_run) as client:
        status, body, _ = client.ask("/e/a/0")
        assert (status, b"no GeoPackage" in body) == (409, True)
        assert client.edit({"id": "one", "shape": near(client, 3, 4)})[0] == 409
    assert (own_run / "review" / "m2.gpkg").read_bytes() == b"no review"


def test_a_full_disk_acknowledges_nothing(own_run, monkeypatch):
    with served(own_run) as client:
        client.edit({"id": "one", "shape": near(client, 3, 4)})

        def full(_fd: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        status, line = client.edit({"id": "two", "shape": near(client, 20, 4)})
        assert (status, "No space left" in line) == (507, True)
        monkeypatch.undo()
        assert [row["id"] for row in client.values("/e/a/0")["rows"]] == ["one"]
        assert client.edit({"id": "three", "shape": near(client, 20, 4)})[1]["revision"] == 2
    assert sorted(read_review(own_run / "review" / "m2.gpkg").features["id"]) == ["one", "three"]


def test_a_run_that_went_away_is_not_made_again(own_run, tmp_path):
    with served(own_run) as client:
        client.edit({"id": "one", "shape": near(client, 3, 4)})
        own_run.rename(tmp_path / "moved")
        assert client.edit({"id": "two", "shape": near(client, 20, 4)})[0] == 410
    assert not own_run.exists()
    with served(tmp_path / "moved") as client:
        assert [row["id"] for row in client.values("/e/a/0")["rows"]] == ["one"]


def test_edits_are_of_the_scene_that_they_name(own_run):
    with served(own_run) as client:
        client.edit({"id": "one", "shape": near(client, 3, 4)})
        scene = manifest_of(client)["scenes"][1]
        left, _, _, top = scene["extent"]
        status, _ = client.edit({"id": "two", "shape": box(left + 3, top - 9, left + 8, top - 4)}, path="/e/a/1")
        assert status == 200
    files = {path.stem: list(read_review(path).features["id"]) for path in (own_run / "review").glob("*.gpkg")}
    assert files == {"m1": ["two"], "m2": ["one"]}


def test_lines_of_a_journal_are_whole_or_none(tmp_path):
    journal = Journal(tmp_path / "one.journal")
    assert journal.read() == ([], 0)
    values = [{"revision": k, "rows": [str(v) for v in np.arange(k)]} for k in range(7)]
    for value in values:
        journal.append(value)
    content = journal.path.read_bytes()
    assert journal.read() == (values, 0)
    for cut in range(0, len(content), 7):
        journal.path.write_bytes(content[:cut])
        found, bad = journal.read()
        assert found == values[: len(found)]
        assert bad <= 1
    journal.path.write_bytes(content.replace(b'"3"', b'"4"'))
    assert json.dumps(journal.read()[0]).count('"4"') < content.count(b'"3"') + content.count(b'"4"')
