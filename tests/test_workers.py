import signal
import threading
import time

import pytest

from landscribe import workers as module
from landscribe.errors import DataError, LimitError
from landscribe.io.project import make_items
from landscribe.io.run.runs import Made, open_run
from landscribe.workers import abreast, scenes_at_once, stop_if_asked, thread_pool

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


def busy(ready=None):
    """Work for a minute, unless somebody asks to stop."""
    if ready is not None:
        ready.wait()
    for _ in range(6000):
        time.sleep(0.01)
        stop_if_asked()


def interrupt_when(ready, whom="main"):
    def interrupt():
        ready.wait()
        time.sleep(0.5)  # the main thread waits by now; a signal to another one does not end its wait
        thread = threading.main_thread() if whom == "main" else threading.current_thread()
        signal.pthread_kill(thread.ident, signal.SIGINT)

    killer = threading.Thread(target=interrupt)
    killer.start()
    return killer


@pytest.fixture
def interruptible():
    # A shell starts what runs in the background with the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("whom", ["main", "another"])
def test_an_interruption_reaches_every_thread_and_begins_nothing_new(tmp_path, interruptible, whom):
    begun, cleaned = [], []
    ready = threading.Barrier(3, timeout=20)

    def make(item):
        begun.append(item)
        try:
            busy(ready)
        except KeyboardInterrupt:
            cleaned.append(item)
            raise
        return Made(())

    killer = interrupt_when(ready, whom)
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        stage(tmp_path, make, 2)
    assert time.monotonic() - begin < 20
    killer.join()
    assert sorted(begun) == sorted(cleaned) == ["s0", "s1"]
    assert not open_run(tmp_path / "2").records("try")


def test_an_interruption_reaches_the_threads_of_threads(interruptible):
    ready, stopped = threading.Barrier(5, timeout=20), []

    def inner(name):
        try:
            busy(ready)
        except KeyboardInterrupt:
            stopped.append(name)
            raise

    def work(item):
        with thread_pool(2, "inner") as pool:
            list(pool.map(inner, [f"{item} a", f"{item} b"]))

    def both():
        with abreast(work, ITEMS[:2], 2) as outcomes:
            for _, outcome in outcomes:
                outcome()

    killer = interrupt_when(ready)
    with pytest.raises(KeyboardInterrupt):
        both()
    killer.join()
    assert sorted(stopped) == ["s0 a", "s0 b", "s1 a", "s1 b"]


def test_what_fails_in_threads_of_its_own_stops_them_and_no_other_item():
    done, stopped = [], []
    both_run = threading.Barrier(2, timeout=20)

    def inner(name):
        if name == "s0 bad":
            both_run.wait()
            raise DataError("broken")
        try:
            busy(both_run)
        except KeyboardInterrupt:
            stopped.append(name)
            raise

    def work(item):
        if item == "s0":
            with thread_pool(2, "inner") as pool:
                list(pool.map(inner, ["s0 bad", "s0 good"]))
        for _ in range(20):
            time.sleep(0.01)
            stop_if_asked()
        done.append(item)

    with abreast(work, ITEMS[:3], 2) as outcomes:
        for item, outcome in outcomes:
            if item == "s0":
                with pytest.raises(DataError):
                    outcome()
            else:
                outcome()
    assert stopped == ["s0 good"]
    assert sorted(done) == ["s1", "s2"]


def test_a_generator_that_nobody_asks_any_more_stops_its_threads():
    begun = threading.Event()

    def numbers():
        with thread_pool(1, "ahead") as pool:
            waiting = pool.submit(lambda: (begun.set(), busy()))
            yield 1
            waiting.result()

    running = numbers()
    assert next(running) == 1
    assert begun.wait(20)
    begin = time.monotonic()
    running.close()
    assert time.monotonic() - begin < 10


def test_who_asked_the_command_line_to_stop_is_heard_in_every_thread(monkeypatch):
    monkeypatch.setattr(module, "stopping", threading.Event())
    with thread_pool(1, "one") as pool:
        work = pool.submit(busy)
        module.stopping.set()
        with pytest.raises(KeyboardInterrupt):
            work.result()
    with pytest.raises(KeyboardInterrupt):
        stop_if_asked()


def test_memory_bounds_the_scenes_and_their_threads(monkeypatch):
    monkeypatch.setattr(module, "usable_processors", lambda: 8)
    monkeypatch.setattr(module, "free_memory_bytes", lambda: 1000)
    assert scenes_at_once(100, 0) == (8, 1)
    assert scenes_at_once(3, 0) == (3, 2)
    assert scenes_at_once(100, 100) == (5, 1)
    assert scenes_at_once(100, 251) == (1, 8)
    assert scenes_at_once(100, 9999) == (1, 8)
    assert scenes_at_once(0, 0) == (1, 8)
