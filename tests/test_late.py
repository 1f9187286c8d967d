"""Libraries that are imported when something of them is first used, and loops that are compiled when first called."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from landscribe.core.features import one_at_a_time
from landscribe.late import ahead, compiled, late, load, once_numba_is_there


@compiled
def halved(value: float) -> float:
    """A loop that another one calls."""
    return value / 2


@compiled
def sum_of_halves(values: np.ndarray) -> float:
    """A loop that calls another one, and itself through that."""
    total = 0.0
    for value in values:
        total += halved(value)
    return total


@compiled(error_model="numpy")
def divided(value: float, by: float) -> float:
    """Infinite where it divides by zero."""
    return value / by


def said_by(code: str) -> list[str]:
    """Return the words that a program writes."""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.split()


def test_a_compiled_loop_may_call_others_and_gives_what_python_gives() -> None:
    values = np.random.default_rng(3).normal(size=101)
    assert sum_of_halves(values) == sum_of_halves.py_func(values)  # type: ignore[attr-defined]
    assert sum_of_halves.__name__ == "sum_of_halves"
    assert sum_of_halves.__doc__ is not None


def test_what_divides_by_zero_is_as_was_asked() -> None:
    assert divided(1.0, 0.0) == np.inf

    @compiled
    def strict(value: float, by: float) -> float:
        return value / by

    with pytest.raises(ZeroDivisionError):
        strict(1.0, 0.0)


def test_threads_that_call_a_loop_first_get_one_compiled_loop() -> None:
    @compiled
    def plus_one(value: int) -> int:
        return value + 1

    gate, found = threading.Barrier(7), list[object]()

    def work() -> None:
        gate.wait(20)
        assert plus_one(1) == 2
        found.append(plus_one._made)  # type: ignore[attr-defined]

    threads = [threading.Thread(target=work) for _ in range(7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 7
    assert len({id(made) for made in found}) == 1


def test_nothing_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, landscribe.core.features, landscribe.core.polygons.rings, landscribe.io.vector.vectors\n"
        "from landscribe.late import geopandas, pandas, pyarrow\n"
        "def there(): print(*(name for name in ('numba', 'pandas', 'geopandas', 'pyarrow') if name in sys.modules))\n"
        "there(); pandas.Series; print('|'); there(); geopandas.GeoDataFrame; print('|'); there()\n"
        "landscribe.core.polygons.rings.ring_areas; print('|'); there()"
    )
    first, second, third, fourth = " ".join(said_by(code)).split("|")
    assert first.split() == []
    assert second.split() == ["pandas", "pyarrow"]
    assert third.split() == fourth.split() == ["pandas", "geopandas", "pyarrow"]


def test_a_library_can_be_had_at_once_and_whoever_waits_for_numba_is_told_once() -> None:
    code = (
        "import sys\nfrom landscribe.late import late, load, once_numba_is_there\n"
        "once_numba_is_there(lambda: print('told'))\n"
        "print(*(name in sys.modules for name in ('numba', 'csv')))\n"
        "load(('numba', 'csv')); load(('numba',)); once_numba_is_there(lambda: print('again'))\n"
        "print(*(name in sys.modules for name in ('numba', 'csv')))"
    )
    assert said_by(code) == ["False", "False", "told", "again", "True", "True"]


def test_looking_around_in_a_library_that_waits_brings_nothing() -> None:
    xml = late("wave")
    assert not hasattr(xml, "__wrapped__")
    assert "wave" not in sys.modules
    assert xml.WAVE_FORMAT_PCM == 1
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        xml.nothing  # noqa: B018


def test_while_a_thread_is_at_tables_no_other_compiles_for_the_first_time() -> None:
    """Both change the filters of warnings; the first compiled loop of a process brings numba's own lock."""
    code = (
        "import sys, threading, time\n"
        "import numpy as np\n"
        "from landscribe.core.features import one_at_a_time\n"
        "from landscribe.core.polygons.loops import doubled\n"
        "from landscribe.late import load\n"
        "order = []\n"
        "def work():\n    load(('numba',)); order.append('numba')\n"
        "with one_at_a_time:\n"
        "    thread = threading.Thread(target=work); thread.start(); time.sleep(0.7)\n"
        "    with one_at_a_time: order.append('tables')\n"
        "thread.join()\n"
        "with one_at_a_time:\n"
        "    with one_at_a_time: order.append('both')\n"
        "print(*order)"
    )
    assert said_by(code) == ["tables", "numba", "both"]


def test_tables_and_what_waits_for_them_are_free_again() -> None:
    with one_at_a_time:
        load(("numba",))
        with one_at_a_time:
            pass
    done = threading.Event()

    def work() -> None:
        with one_at_a_time:
            done.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert done.wait(20)
    thread.join()
    once_numba_is_there(done.clear)
    assert not done.is_set()


def test_modules_are_imported_ahead_while_the_block_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imported_ahead.py").write_text("import threading\nby = threading.current_thread().name\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with ahead(["imported_ahead", "is_nowhere"]):
        pass
    assert sys.modules["imported_ahead"].by == "ahead"
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("is_nowhere")
