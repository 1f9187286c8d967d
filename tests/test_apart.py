"""Work on files from outside is done in workers: whatever happens to them is one line, and the others go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import odd_work
from landscribe.apart import apart, at_once, start
from landscribe.errors import DataError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
HELPERS = Path(odd_work.__file__).parent


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("apart")
    done = subprocess.run(
        [sys.executable, odd_work.__file__, folder], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "from Python\n"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("fine", "8"),
        ("nested", "42"),
        ("abort", "DataError: abort.tif: the process that read it died, twice, got signal 6, SIGABRT"),
        ("segv", "DataError: segv.tif: the process that read it died, twice, got signal 11, SIGSEGV"),
        ("exit", "DataError: exit.tif: the process that read it died, twice, got exit status 7"),
        ("surprise", "DataError: surprise.tif: holds something that cannot be read, got KeyError: 'nobody thought of"),
        ("vanish", "DataError: vanish.tif: /no/such/file.tif: No such file or directory"),
        ("nameless", "DataError: nameless.tif: trace: field out of range, got 3"),
        ("shout", "done"),
        ("disk", "OSError: [Errno 28] No space left on device"),
        ("slow", "done"),
        ("hang", "LimitError: hang.tif: no progress in 2 s, tried twice; raise limits.seconds"),
        ("hang again", "LimitError: hang.tif: no progress in 2 s, tried twice"),
        ("eat", "LimitError: eat.tif: out of memory"),
        ("once", "done"),
    ],
)
def test_whatever_a_file_does_is_one_line_with_its_name(facts: dict[str, Any], what: str, said: str) -> None:
    assert facts["said"][what].startswith(said)
    assert "\n" not in facts["said"][what]


def test_one_that_kills_its_worker_stops_none_of_the_others(facts: dict[str, Any]) -> None:
    assert facts["bad"] == ["17"]
    assert facts["others"] == [2 * k for k in range(48) if k != 17]


def test_workers_are_kept_and_begin_at_once(facts: dict[str, Any]) -> None:
    assert facts["own"] not in facts["pids"]
    assert len(facts["pids"]) == 1
    assert facts["begun_s"] < 0.5


def test_in_somebody_elses_process_the_work_is_done_in_place() -> None:
    assert not start()
    assert at_once() == 1
    assert apart("p", odd_work.process_of, 1) == os.getpid()
    with pytest.raises(DataError, match=r"x\.tif: holds something that cannot be read, got KeyError"):
        apart("x.tif", odd_work.surprise)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_the_process_that_they_work_for(tmp_path: Path, number: signal.Signals) -> None:
    script = (
        "from landscribe.process import settle_process; settle_process(); import signal, odd_work\n"
        "from landscribe.apart import apart, start; from landscribe.cli.console import stop_when_asked\n"
        "signal.signal(signal.SIGTERM, stop_when_asked); start()\n"
        "print(apart('p', odd_work.process_of, 1), flush=True); apart('h', odd_work.hang)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")])}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    ) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        time.sleep(0.3)
        process.send_signal(number)
        process.wait(20)
    until = time.monotonic() + 10
    while Path(f"/proc/{worker}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()
