import signal
import threading
import time

import pytest

from landscribe import workers as module
from landscribe.errors import DataError, LimitError
from landscribe.io.run.projects import make_items
from landscribe.io.run.runs import Made, open_run
from landscribe.workers import abreast, scenes_at_once

ITEMS = [f"s{i}" for i in range(7)]


@pytest.mark.parametrize("workers", [1, 2, 3, 11])
def test_results_come_in_the_order_of_the_items(workers):
    def work(item):
        time.sleep(0.01 * (7 - int(item[1:])))  # the first one is the slowest
        return item.upper()

    with abreast(work, ITEMS, workers) as outcomes:
        assert [(item, outcome()) for item, outcome in outcomes] == [(item, item.upper()) for item in ITEMS]


def test_items_are_worked_on_at_once_but_no_more_than_the_workers():
    met, most, lock = threading.Barrier(3, timeout=20), [0, 0], threading.Lock()

    def work(item):
        with lock:
            most[0] += 1
            most[1] = max(most)
        if item in ITEMS[:3]:
            met.wait()  # passes only if three of them are here
        with lock:
            most[0] -= 1

    with abreast(work, ITEMS, 3) as outcomes:
        for _, outcome in outcomes:
            outcome()
    assert most == [0, 3]


def stage(tmp_path, make, workers, items=ITEMS):
    told = []
    run = open_run(tmp_path / str(workers))
    result = make_items(run, "try", items, str, make, lambda *what: told.append(what), workers=workers)
    return result, told, run


def test_a_stage_tells_and_fails_the_same_with_any_number_of_workers(tmp_path):
    def make(item):
        if item in {"s1", "s5"}:
            time.sleep(0.05 if item == "s1" else 0)
            raise DataError(f"{item}: broken")
        return Made((), {"pixels": int(item[1:])})

    found = []
    for workers in (1, 3):
        result, told, run = stage(tmp_path, make, workers)
        counts = {item: record.counts for item, record in run.records("try").items()}
        found.append((result, told, counts, run.failures("try")))
    assert found[0] == found[1]
    result, told, *_ = found[0]
    assert result.made == ["s0", "s2", "s3", "s4", "s6"]
    assert result.failed == {"s1": "s1: broken", "s5": "s5: broken"}
    assert told == [*((f"try {item}", i, 7) for i, item in enumerate(ITEMS)), ("try", 7, 7)]
    # Only what failed is tried again.
    again, _, _ = stage(tmp_path, make, 3)
    assert (again.made, again.current) == ([], result.made)


def test_a_full_disk_stops_the_others(tmp_path):
    begun = []

    def make(item):
        begun.append(item)
        if item == "s0":
            raise OSError(28, "No space left on device")
        time.sleep(0.05)
        return Made(())

    with pytest.raises(LimitError, match=r"try, s0: the system refused: No space left on device; free space"):
        stage(tmp_path, make, 2, [f"s{i}" for i in range(50)])
    assert len(begun) < 10


def test_an_interruption_reaches_every_thread_and_begins_nothing_new(tmp_path):
    begun, cleaned = [], []
    ready = threading.Barrier(3, timeout=20)

    def make(item):
        begun.append(item)
        try:
            ready.wait()
            for _ in range(300):
                time.sleep(0.01)
        except KeyboardInterrupt:
            cleaned.append(item)
            raise
        return Made(())

    def interrupt():
        ready.wait()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    # A shell starts what runs in the background with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    killer = threading.Thread(target=interrupt)
    killer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            stage(tmp_path, make, 2)
    finally:
        signal.signal(signal.SIGINT, before)
    killer.join()
    assert sorted(begun) == sorted(cleaned) == ["s0", "s1"]
    assert not open_run(tmp_path / "2").records("try")


def test_memory_bounds_the_scenes_and_their_threads(monkeypatch):
    monkeypatch.setattr(module, "usable_processors", lambda: 8)
    monkeypatch.setattr(module, "free_memory_bytes", lambda: 1000)
    assert scenes_at_once(100, 0) == (8, 1)
    assert scenes_at_once(3, 0) == (3, 2)
    assert scenes_at_once(100, 100) == (5, 1)
    assert scenes_at_once(100, 251) == (1, 8)
    assert scenes_at_once(100, 9999) == (1, 8)
    assert scenes_at_once(0, 0) == (1, 8)
