"""The run folder: up to date or not, whole or not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from landscribe.errors import DataError, IntegrityError
from landscribe.io.atomic import PARTIAL_PREFIX, atomic_path, write_text
from landscribe.io.digests import file_digest, stamp_of
from landscribe.io.run import _records, runs
from landscribe.io.run.runs import Made, Run, make_item, make_key, open_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return open_run(tmp_path / "run")


def make_one(run: Run, key: str, text: str = "content") -> bool:
    def make() -> Made:
        write_text(run.path("out", "a.txt"), text)
        return Made((run.path("out", "a.txt"),), {"kept": 3})

    return make_item(run, "stage", "a", key, make)[1]


def test_same_key_and_files_are_up_to_date(run: Run) -> None:
    assert make_one(run, "k")
    assert not make_one(run, "k")
    assert make_one(run, "other")


def test_a_touched_file_of_the_same_content_is_up_to_date(run: Run) -> None:
    make_one(run, "k")
    os.utime(run.path("out", "a.txt"), (1, 1))
    assert not make_one(run, "k")


@pytest.mark.parametrize("harm", ["change", "delete"])
def test_a_changed_or_missing_output_is_made_again(run: Run, harm: str) -> None:
    make_one(run, "k")
    path = run.path("out", "a.txt")
    if harm == "change":
        path.write_text("kontent")
    else:
        path.unlink()
    assert make_one(run, "k")


def test_work_that_breaks_leaves_no_record(run: Run) -> None:
    make_one(run, "k")

    def breaks() -> Made:
        raise DataError("no")

    with pytest.raises(DataError):
        make_item(run, "stage", "a", "k2", breaks)
    assert run.records("stage") == {}


def test_digest_refuses_changed_and_unrecorded_files(run: Run) -> None:
    make_one(run, "k")
    path = run.path("out", "a.txt")
    assert run.checked(path) == path
    path.write_text("other text")
    with pytest.raises(IntegrityError, match=r"a\.txt: is not what was written.*run `landscribe stage` again"):
        run.checked(path)
    path.unlink()
    with pytest.raises(IntegrityError, match=r"a\.txt: missing"):
        run.checked(path)
    write_text(run.path("out", "b.txt"), "x")
    with pytest.raises(IntegrityError, match="no record"):
        run.checked(run.path("out", "b.txt"))


def test_digest_reads_all_records_once_and_notices_what_changes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    read, plain = [], _records.read_record
    monkeypatch.setattr(_records, "read_record", lambda file: (read.append(file), plain(file))[1])
    paths = []
    for item in map(str, range(20)):
        path = run.path("out", f"{item}.txt")

        def make(path: Path = path, item: str = item) -> Made:
            write_text(path, item)
            return Made((path,))

        make_item(run, "stage", item, "k", make)
        paths.append(path)
    read.clear()
    assert [run.checked(path) for path in paths] == paths
    assert len(read) <= 20  # each record once
    again = make_item(run, "stage", "7", "other key", lambda: (write_text(paths[7], "new"), Made((paths[7],)))[1])
    assert run.checked(paths[7]) == paths[7]
    assert again[0].outputs["out/7.txt"] == file_digest(paths[7])
    run.forget("stage", "7")
    with pytest.raises(IntegrityError, match="no record"):
        run.checked(paths[7])


def test_require_says_what_to_run(run: Run) -> None:
    with pytest.raises(DataError, match="run `landscribe stage` first"):
        run.require("stage")
    make_one(run, "k")
    with pytest.raises(DataError, match="lacks b"):
        run.require("stage", ["a", "b"])


def test_manifest_holds_all_records(run: Run) -> None:
    make_one(run, "k")
    run.write_manifest()
    manifest = json.loads(run.path("manifest.json").read_text())
    assert manifest["stages"]["stage"]["a"]["counts"] == {"kept": 3}


def test_reasons_stay_until_an_item_is_tried_again(run: Run) -> None:
    run.note_failures("stage", ["a", "b"], {"a": "too dark"})
    run.note_failures("stage", ["c"], {"c": "too bright"})
    assert run.failures("stage") == {"a": "too dark", "c": "too bright"}
    run.write_manifest()
    assert json.loads(run.path("manifest.json").read_text())["failed"] == {"stage": run.failures("stage")}
    run.note_failures("stage", ["a", "b", "c"], {})
    assert run.failures("stage") == {}
    assert run.failures("other") == {}


def test_a_damaged_record_is_named(run: Run) -> None:
    make_one(run, "k")
    (run.path(".done", "stage") / "a.json").write_text('{"stage"')
    with pytest.raises(IntegrityError, match=r"a\.json: damaged.*its item will be made again"):
        run.records("stage")
    (run.path(".done", "stage") / "a.json").write_text('{"stage": "stage"}')
    with pytest.raises(IntegrityError, match="damaged record"):
        run.records("stage")


def test_a_flipped_byte_anywhere_in_a_record_is_named(run: Run) -> None:
    make_one(run, "k")
    file = run.path(".done", "stage") / "a.json"
    whole = file.read_bytes()
    for position in range(len(whole)):
        spoilt = bytearray(whole)
        spoilt[position] ^= 1
        file.write_bytes(spoilt)
        with pytest.raises(IntegrityError, match=r"\.done/stage/a\.json"):
            run.records("stage")


def test_leftovers_of_a_killed_process_go_away(tmp_path: Path) -> None:
    (tmp_path / "run" / "deep").mkdir(parents=True)
    leftover = tmp_path / "run" / "deep" / f"{PARTIAL_PREFIX}x-a.tif"
    leftover.write_text("half")
    open_run(tmp_path / "run")
    assert not leftover.exists()


def test_a_write_that_breaks_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def breaks() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        breaks()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_key_depends_on_every_part() -> None:
    keys = {make_key(1, a=1), make_key(2, a=1), make_key(1, a=2), make_key(1, b=1), make_key(1, a={"x": 1})}
    assert len(keys) == 5
    assert make_key(1, a=1, b=2) == make_key(1, b=2, a=1)


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    with pytest.raises(DataError, match="is a file"):
        open_run(tmp_path / "f")


def test_a_source_is_hashed_again_only_where_its_stamp_is_new(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = run.path("elsewhere.tif")
    write_text(path, "one")
    hashed, plain = [], runs.file_digest
    monkeypatch.setattr(runs, "file_digest", lambda file: (hashed.append(file), plain(file))[1])
    digest = run.source_digest(path)
    made = Made((), sources={str(path): (stamp_of(path), digest)})
    make_item(run, "stage", "a", "k", lambda: made)
    record = Run(run.root).read_record("stage", "a")
    assert record is not None
    later = Run(run.root)
    assert later.source_digest(path, record.sources) == digest == plain(path)
    assert len(hashed) == 1
    write_text(path, "two")  # as many bytes
    assert later.source_digest(path, record.sources) == later.source_digest(path) == plain(path) != digest
    assert len(hashed) == 2
