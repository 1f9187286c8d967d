"""Items of a stage: all of them here, in parts beside each other, and what leases keep apart."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscribe.core.seal import unseal
from landscribe.errors import DataError, RecipeError
from landscribe.io.atomic import this_owner
from landscribe.io.project import StageResult
from landscribe.io.project.batches import HERE, Batch, Part, Work, carry_out, part_of, read_part
from landscribe.io.run import leases as module
from landscribe.io.run.leases import FOLDER, Leases, leases_in
from landscribe.io.run.runs import Made, Run, make_key, open_run

NAMES = tuple(f"scene {n:02}" for n in range(31))
BAD = NAMES[7]


def stage(run: Run, made: Counter[str], *, wait_s: float = 0.0) -> Work:
    """First a batch that the second one needs whole, then one of which an item fails; the ending writes their sum."""

    def make(kind: str) -> Batch:
        def work(item: str, _threads: int) -> Made:
            made[f"{kind} {item}"] += 1
            time.sleep(wait_s)
            if (kind, item) == ("own", BAD):
                raise DataError(f"{item}: no good")
            path = run.path(kind, f"{item}.txt")
            path.parent.mkdir(exist_ok=True)
            path.write_text(item)
            return Made((path,))

        whole = kind == "first"
        return Batch(kind, NAMES, lambda item: make_key(1, item=item), work, inner=whole, whole=whole)

    yield make("first")
    assert all((run.path("first", f"{item}.txt")).is_file() for item in NAMES)
    yield make("own")

    def end(result: StageResult) -> None:
        run.path("sum.txt").write_text(str(len(result.made) + len(result.current)))

    return end


def part(run: Run, number: int, count: int, only: frozenset[str] = frozenset()) -> Part:
    return Part(Leases(run), number, count, only)


def test_parts_leave_the_ending_to_a_call_for_all(tmp_path: Path) -> None:
    run, made = open_run(tmp_path / "run"), Counter[str]()
    results = [carry_out(Run(run.root), "own", stage(run, made), way=part(run, n, 3)) for n in (1, 2, 3)]
    assert sorted(item for r in results for item in (*r.made, *r.failed)) == sorted(NAMES)
    assert set(made.values()) == {1}
    assert not run.path("sum.txt").exists()
    assert list(run.failures("own")) == [BAD]
    last = carry_out(run, "own", stage(run, made))
    assert last.made == []
    assert len(last.current) == len(NAMES) - 1
    assert run.path("sum.txt").read_text() == str(len(NAMES) - 1)
    assert made[f"own {BAD}"] == 2  # what failed is tried again
    assert not [path for path in run.path(FOLDER).rglob("*") if path.is_file()]


def test_only_names_scenes(tmp_path: Path) -> None:
    run, made = open_run(tmp_path / "run"), Counter[str]()
    only = frozenset(NAMES[3:5])
    assert carry_out(run, "own", stage(run, made), way=part(run, 1, 1, only)).made == list(NAMES[3:5])


def test_two_processes_share_what_both_need(tmp_path: Path) -> None:
    run, made = open_run(tmp_path / "run"), Counter[str]()
    done: dict[int, StageResult] = {}

    def work(number: int) -> None:
        way = Part(Leases(run, owner=this_owner()), number, 2)
        done[number] = carry_out(Run(run.root), "own", stage(run, made, wait_s=0.003), way=way)

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(made.values()) == {1}
    assert len(done[1].made) + len(done[2].made) == len(NAMES) - 1
    shares = Counter(part_of(item, 2) for item in NAMES)
    assert min(shares.values()) > 5


def test_a_lease_is_held_by_one_and_a_dead_ones_is_taken_over(tmp_path: Path) -> None:
    run = open_run(tmp_path / "run")
    ours, theirs = Leases(run), Leases(run)
    assert not ours.is_taken("own", "a/b")
    assert theirs.is_taken("own", "a/b")
    ours.give("own", "a/b")
    assert not theirs.is_taken("own", "a/b")
    theirs.give("own", "a/b")
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    dead.wait()
    machine = this_owner().split("-")[0]
    assert not Leases(run, owner=f"{machine}-{dead.pid}-1").is_taken("own", "c")
    assert not ours.is_taken("own", "c")
    assert theirs.is_taken("own", "c")


def test_a_silent_machine_loses_its_leases_and_one_that_renews_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_run(tmp_path / "run")
    far = Leases(run, owner="00000000-17-1")
    assert not far.is_taken("own", "a")
    assert Leases(run).is_taken("own", "a")
    file = next(path for path in run.path(FOLDER, "own").iterdir())
    old = time.time() - module.GIVEN_UP_S - 7
    os.utime(file, (old, old))
    far.renew()
    assert Leases(run).is_taken("own", "a")
    os.utime(file, (old, old))
    assert not Leases(run).is_taken("own", "a")
    monkeypatch.setattr(module, "RENEW_S", 0.01)
    with leases_in(run) as held:
        assert not held.is_taken("own", "b")
        mine = run.path(FOLDER, "own", "b")
        os.utime(mine, (old, old))
        until = time.monotonic() + 5
        while mine.stat().st_mtime < old + 5 and time.monotonic() < until:
            time.sleep(0.01)
        assert mine.stat().st_mtime > old + 5


def test_failures_of_two_processes_stand_beside_each_other(tmp_path: Path) -> None:
    run = open_run(tmp_path / "run")
    run.note_failures("own", ["a", "b"], {"a": "bad"})
    run.note_failures("own", ["c/d"], {"c/d": "worse"})
    assert run.failures("own") == {"a": "bad", "c/d": "worse"}
    run.note_failures("own", ["a"], {})
    assert run.failures("own") == {"c/d": "worse"}
    run.write_manifest()
    manifest = run.path("manifest.json")
    assert unseal(manifest.read_bytes(), "manifest", do="")["failed"] == {"own": {"c/d": "worse"}}


@given(st.text(max_size=17), st.integers(1, 97))
def test_a_part_of_an_item_depends_on_nothing_else(item: str, count: int) -> None:
    assert 1 <= part_of(item, count) <= count
    assert part_of(item, count) == part_of(item, count)
    assert part_of(item, 1) == 1


def test_parts_stay_the_same_from_version_to_version() -> None:
    assert [part_of(item, 7) for item in ("6010_0_0", "6020_0_1", "tile é")] == [2, 5, 6]


@pytest.mark.parametrize("text", ["", "3", "0/3", "4/3", "a/b", "1/0", "-1/3", "1/3/5", "1.0/3", "²/3"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="--part"):
        read_part(text)
    assert read_part("3/100") == (3, 100)


def test_everything_here_is_the_default(tmp_path: Path) -> None:
    run, made = open_run(tmp_path / "run"), Counter[str]()
    result = carry_out(run, "own", stage(run, made), way=HERE)
    assert result.made == [name for name in NAMES if name != BAD]
    assert result.failed == {BAD: f"{BAD}: no good"}
