"""What an item has read is what its record holds: a damaged input is noticed when it is read and never counts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from landscribe.errors import DataError, IntegrityError
from landscribe.io.atomic import write_text
from landscribe.io.project import StageResult, make_items
from landscribe.io.run import runs
from landscribe.io.run.runs import Made, Run, make_item, open_run
from landscribe.workers import thread_pool


@pytest.fixture
def run(tmp_path: Path) -> Run:
    folder = open_run(tmp_path / "run")
    write_source(folder, "bright")
    return folder


def write_source(run: Run, text: str) -> None:
    source = run.path("first", "a.txt")
    make_item(run, "first", "a", text, lambda: (write_text(source, text), Made((source,)))[1])


def flip_a_byte(path: Path, *, keep_times: bool = True) -> None:
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    if keep_times:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def copy_up(run: Run, *, key: str = "k") -> StageResult:
    """A stage that reads the other one's output, in a thread of a pool."""
    target = run.path("second", "a.txt")

    def make(_item: str) -> Made:
        with thread_pool(1, "reader") as pool:
            text = pool.submit(lambda: run.checked(run.path("first", "a.txt")).read_text()).result()
        write_text(target, text.upper())
        return Made((target,))

    return make_items(run, "second", ["a"], lambda _item: key, make)


def test_a_record_holds_the_digest_of_what_was_read(run: Run) -> None:
    copy_up(run)
    assert run.records("second")["a"].inputs == run.records("first")["a"].outputs


def test_one_flipped_byte_is_refused_with_size_and_time_kept(run: Run) -> None:
    flip_a_byte(run.path("first", "a.txt"))
    with pytest.raises(IntegrityError, match=r"first/a\.txt: is not what was written.*run `landscribe first` again"):
        copy_up(Run(run.root))
    assert Run(run.root).records("second") == {}


def test_an_input_that_changed_is_named_though_the_result_is_there(run: Run) -> None:
    copy_up(run)
    assert copy_up(Run(run.root)).current == ["a"]
    flip_a_byte(run.path("first", "a.txt"))
    with pytest.raises(IntegrityError, match=r"first/a\.txt"):
        copy_up(Run(run.root))


def test_what_was_made_of_another_file_is_made_anew_when_the_first_comes_back(run: Run) -> None:
    write_source(run, "dim")
    copy_up(run)
    write_source(run, "bright")
    assert copy_up(Run(run.root)).made == ["a"]
    assert run.path("second", "a.txt").read_text() == "BRIGHT"
    assert copy_up(Run(run.root)).current == ["a"]


def test_a_file_that_changes_while_it_is_read_is_no_result(run: Run) -> None:
    def make(_item: str) -> Made:
        path = run.checked(run.path("first", "a.txt"))
        flip_a_byte(path)
        target = run.path("second", "a.txt")
        write_text(target, path.read_text())
        return Made((target,))

    with pytest.raises(IntegrityError, match=r"first/a\.txt"):
        make_items(run, "second", ["a"], lambda _item: "k", make)
    assert run.records("second") == {}


def test_an_output_that_changed_is_made_again_and_said(run: Run) -> None:
    copy_up(run)
    flip_a_byte(run.path("second", "a.txt"))
    again = copy_up(Run(run.root))
    assert again.made == ["a"]
    assert again.notes == [f"{run.path('second', 'a.txt')}: was changed since it was written, made again"]
    assert run.path("second", "a.txt").read_text() == "BRIGHT"
    assert not copy_up(Run(run.root)).notes


def test_a_copied_file_is_hashed_once_and_then_known(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_up(run)
    target = run.path("second", "a.txt")
    content = target.read_bytes()
    target.unlink()
    target.write_bytes(content)
    hashed, plain = [], runs.file_digest
    monkeypatch.setattr(runs, "file_digest", lambda path: (hashed.append(path), plain(path))[1])
    assert copy_up(Run(run.root)).current == ["a"]
    assert hashed == [target]
    assert copy_up(Run(run.root)).current == ["a"]
    assert hashed == [target]


def test_a_damaged_input_is_told_from_bad_data_where_others_go_on(run: Run) -> None:
    def make(item: str) -> Made:
        if item == "b":
            raise DataError("b.tif: too dark")
        target = run.path("second", f"{item}.txt")
        write_text(target, item if item == "c" else run.checked(run.path("first", "a.txt")).read_text())
        return Made((target,))

    flip_a_byte(run.path("first", "a.txt"))
    result = make_items(run, "second", ["a", "b", "c"], lambda _item: "k", make)
    assert result.made == ["c"]
    assert list(result.failed) == ["a", "b"]
    assert result.damaged == ["a"]


def test_a_run_folder_that_was_copied_elsewhere_is_up_to_date_and_still_tells_damage(run: Run, tmp_path: Path) -> None:
    copy_up(run)
    shutil.copytree(run.root, tmp_path / "elsewhere")
    there = Run(tmp_path / "elsewhere")
    assert copy_up(there).current == ["a"]
    flip_a_byte(there.path("first", "a.txt"))
    with pytest.raises(IntegrityError, match=r"elsewhere/first/a\.txt"):
        copy_up(Run(there.root))


def test_a_clock_that_goes_back_changes_nothing(run: Run) -> None:
    copy_up(run)
    for path in run.root.rglob("*.txt"):
        os.utime(path, (1, 1))
    assert copy_up(Run(run.root)).current == ["a"]
