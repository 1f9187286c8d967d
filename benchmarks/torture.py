"""What a run folder is put through: flipped bytes, kills, processes at once, faults; compared with an unharmed run.

    python benchmarks/torture.py [--flips 100] [--kills 200] [--pairs 20] [--faults 40] [--seed 0] [--jobs 2]

Processes at once have a run of 40 scenes, whose sensors are not aligned, the others one of 5. Each trial is dealt to
one of the jobs, which have folders of their own and whose commands compute with one thread. Faults are calls of the C
library that fail or do half of what they should, in any process and library (`tests/helpers/system_faults.c`; needs
gcc). Every line says what was tried and how often it came out right; the exit code is 1 where something did not.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import rasterio

RECIPE = """
seed = 1
[data]
source = "dstl"
root = "world"
[[models]]
name = "all"
inputs = { sensors = ["RGB", "M"], indices = ["ndvi"] }
network = { filters = 4, depth = 3 }
chips = { size = 64, context = 8, batch = 4 }
schedule = { epochs = 2, steps = 3 }
[predict]
tile = 128
symmetries = 1
[vectorize]
threshold = { default = 0.3 }
"""
UNALIGNED = '[prepare]\nalign = "none"\n'
FEW, MANY = 5, 40
"""Scenes of a run that is harmed, and of one that processes share; the latter are not aligned, which takes long."""
COMMAND = (sys.executable, "-m", "landscribe")
ENV = os.environ | {"OMP_NUM_THREADS": "1"}
READERS = (
    ("prepared/*/sensors/RGB.tif", "predict", ("predict",)),
    ("prepared/*/sensors/M.tif", "predict", ("predict",)),
    ("prepared/*/scene.json", "predict", ("predict",)),
    ("prepared/*/coverage.tif", "train", ("train",)),
    ("prepared/*/sensors/M.tif", "train", ("train",)),
    ("prepared/*/labels.parquet", "score", ("score",)),
    ("prepared/alignment.csv", "report", ("report",)),
    ("models/all/model.json", "predict", ("predict",)),
    ("models/all/model.safetensors", "predict", ("predict",)),
    ("models/all/history.csv", "report", ("report",)),
    ("probability/*.tif", "vectorize", ("vectorize",)),
    ("features/*.parquet", "pictures", ()),
    ("features/*.parquet", "report", ("report",)),
    ("score.json", "report", ()),
    ("run.json", "report", ("report",)),
    (".done/prepare/*.json", "predict", ()),
    (".done/train/*.json", "predict", ()),
    (".done/predict/*.json", "vectorize", ()),
    (".done/vectorize/*.json", "score", ()),
)
"""Files, the command that reads them next, and the stages whose records are taken away so that it does read."""

SHIM = Path(__file__).parents[1] / "tests" / "helpers" / "system_faults.c"
CALLS = ("write", "flush", "sync", "rename", "open", "unlink", "mkdir", "truncate", "clock")
"""Kinds of calls, in the order in which the library counts them."""
FAULTS = (
    ("write", 0), ("write", errno.EINTR), ("write", errno.ENOSPC), ("write", errno.EDQUOT), ("write", errno.EIO),
    ("flush", errno.ENOSPC), ("sync", errno.EIO), ("sync", errno.EINTR), ("rename", errno.EIO),
    ("rename", errno.ENOSPC), ("open", errno.EMFILE), ("open", errno.EROFS), ("open", errno.ENOENT),
    ("open", errno.EINTR), ("open", errno.EACCES), ("unlink", errno.EACCES), ("mkdir", errno.ENOSPC),
    ("truncate", errno.ENOSPC), ("clock", 0),
)  # fmt: skip
"""Calls, and the error of one of them; 0 writes less than was asked for, or sets the clock back a day from then on."""
DOCUMENTED = (0, 3, 4, 5)


def digests(run: Path) -> dict[str, str]:
    """Return what of a run has to come out the same byte for byte."""
    wanted = {".tif", ".parquet", ".safetensors", ".gz"}
    names = [p for p in sorted(run.rglob("*")) if p.is_file() and (p.suffix in wanted or p.name == "score.json")]
    return {p.relative_to(run).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in names}


def landscribe(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command."""
    return subprocess.run([*COMMAND, *arguments], cwd=home, env=ENV, capture_output=True, text=True, check=False)


def flip(path: Path, dice: random.Random) -> int:
    """Change one byte of a file and keep its size and time."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    position = dice.randrange(len(content))
    content[position] ^= dice.randrange(1, 256)
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return position


def flips(home: Path, numbers: range, dice: random.Random) -> int:
    """Flip a byte of a finished run, run the stage that reads it, and count how often it was named with exit code 6."""
    found = 0
    for number in numbers:
        pattern, stage, forgotten = READERS[number % len(READERS)]
        run = home / "flipped"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(home / "run", run)
        for name in forgotten:
            shutil.rmtree(run / ".done" / name)
        victim = dice.choice([p for p in sorted(run.glob(pattern)) if _is_read(run, p, stage)])
        position = flip(victim, dice)
        recipe = "flipped" if victim.name == "run.json" else "r.toml"
        done = landscribe(home, stage, recipe, *([] if recipe == "flipped" else ["--run", "flipped"]))
        name = victim.relative_to(run).as_posix()
        fine = done.returncode == 6 and victim.name in done.stderr and "Traceback" not in done.stderr
        found += fine
        if not fine:
            print(f"  byte {position} of {name}, {stage}: exit {done.returncode}, {done.stderr.strip()[-300:]}")
    return found


def _is_read(run: Path, path: Path, stage: str) -> bool:
    """Tell whether a stage reads the file of a scene: training the labelled ones, the others what was predicted."""
    parts = path.relative_to(run).parts
    if parts[0] != "prepared" or len(parts) < 3:
        return True
    return (
        run / "prepared" / parts[1] / "coverage.tif" if stage == "train" else run / "probability" / f"{parts[1]}.tif"
    ).exists()


def kills(home: Path, numbers: range, dice: random.Random) -> int:
    """Kill runs at random moments, a few times each, finish them, and count the kills that harmed nothing."""
    right, done, count, reference = 0, 0, len(numbers), digests(home / "run")
    whole_s = 1.2 * _seconds(home, "timed")
    while done < count:
        run = home / "killed"
        shutil.rmtree(run, ignore_errors=True)
        here = min(count - done, 10)
        for _ in range(here):
            with subprocess.Popen(
                [*COMMAND, "run", "r.toml", "--run", "killed"], cwd=home, env=ENV, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as process:  # fmt: skip
                time.sleep(2 + dice.random() * (whole_s - 2) / 3)
                process.send_signal(dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
        finished = landscribe(home, "run", "r.toml", "--run", "killed")
        same = finished.returncode == 0 and digests(run) == reference and not list(run.rglob(".partial-*"))
        right += here * same
        done += here
        if not same:
            print(f"  after {here} kills: exit {finished.returncode}, {finished.stderr.strip()[-300:]}")
    return right


def _seconds(home: Path, name: str) -> float:
    begin = time.monotonic()
    landscribe(home, "run", "r.toml", "--run", name)
    return time.monotonic() - begin


def at_once(home: Path, numbers: range, together: int) -> int:
    """Start several processes on one new run folder, and count how often the run came out as that of one process."""
    right, reference = 0, digests(home / "run")
    for _ in numbers:
        run = home / "shared"
        shutil.rmtree(run, ignore_errors=True)
        command = [*COMMAND, "run", "r.toml", "--run", "shared"]
        processes = [
            subprocess.Popen(command, cwd=home, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            for _ in range(together)
        ]
        said = [process.communicate()[1] for process in processes]
        codes = sorted(process.returncode for process in processes)
        named = sum("another process is at work" in text for text in said)
        fine = codes[0] == 0 and named == codes.count(5) == together - codes.count(0) and digests(run) == reference
        right += fine
        if not fine:
            print(f"  {together} at once: exits {codes}, {[text.strip()[-200:] for text in said]}")
    return right


def same_pixels(one: Path, other: Path) -> bool:
    """Tell whether two files are rasters with the same pixels."""
    if one.suffix != ".tif":
        return False
    with rasterio.open(one) as first, rasterio.open(other) as second:
        return bool((first.read() == second.read()).all())


def faults(home: Path, numbers: range, dice: random.Random) -> int:
    """Let one call of a command go wrong, then repeat the command; count documented ends after which all is as it was.

    The commands are a whole run that trains for tuning too, then `tune` and `submit` of one that is finished.
    """
    shim, counter, run = home / "faults.so", home / "count", home / "faulty"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(shim), str(SHIM), "-ldl"], check=True)
    (home / "t.toml").write_text(RECIPE + "[tune]\nfolds = 2\n")
    whole: dict[str, dict[str, str]] = {}
    for command in ("run", "tune", "submit"):
        shutil.copytree(home / "unharmed", home / f"before {command}") if whole else (home / "before run").mkdir()
        done = landscribe(home, command, "t.toml", "--run", "unharmed")
        if done.returncode:
            sys.exit(done.stderr)
        whole[command] = digests(home / "unharmed")

    def harmed(command: str, call: str, kind: int, at: int) -> subprocess.CompletedProcess[str]:
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(home / f"before {command}", run)
        counter.write_bytes(bytes(8 * len(CALLS)))
        named = {"ROOT": run, "CALL": call, "KIND": kind, "AT": at, "COUNT": counter}
        env = ENV | {"LD_PRELOAD": str(shim)} | {f"FAULT_{name}": str(value) for name, value in named.items()}
        full = [*COMMAND, command, "t.toml", "--run", "faulty"]
        return subprocess.run(full, cwd=home, env=env, capture_output=True, text=True, check=False)

    calls: dict[str, dict[str, int]] = {}
    right = 0
    for number in numbers:
        call, kind = FAULTS[number % len(FAULTS)]
        command = ("run", "tune", "run", "submit", "run")[number // len(FAULTS) % 5]
        if command not in calls:
            harmed(command, call, errno.EIO, 0)
            calls[command] = dict(zip(CALLS, struct.unpack(f"{len(CALLS)}q", counter.read_bytes()), strict=True))
        at = dice.randint(1, max(1, calls[command][call]))
        first = harmed(command, call, kind, at)
        again = landscribe(home, command, "t.toml", "--run", "faulty")
        fine = first.returncode in DOCUMENTED and "Traceback" not in first.stderr and again.returncode == 0
        other = [name for name, digest in digests(run).items() if whole[command].get(name) != digest]
        if call == "write" and first.returncode == 0:  # libtiff writes the block again, behind the one that it gave up
            other = [name for name in other if not same_pixels(run / name, home / "unharmed" / name)]
        fine = fine and not other and digests(run).keys() == whole[command].keys() and not list(run.rglob(".partial-*"))
        right += fine
        if not fine:
            end = f"exit {first.returncode}, {first.stderr.strip()[-300:]}; then {again.returncode}, other: {other}"
            what = f"{call} {at} of {calls[command][call]}, {os.strerror(kind) if kind else 'odd'}, {command}"
            print(f"  {what}: {end}", flush=True)
    return right


def unharmed(home: Path, scenes: int) -> Path:
    """Make a world of so many scenes and a finished run of it, `run`; return the folder of both."""
    home.mkdir(parents=True)
    (home / "r.toml").write_text(RECIPE + (UNALIGNED if scenes > FEW else ""))
    size = ("--height", "157", "--width", "173", "--unlabelled", str(scenes // 5))
    for arguments in (("world", "world", "--scenes", str(scenes), *size), ("run", "r.toml", "--run", "run")):
        done = landscribe(home, *arguments)
        if done.returncode:
            sys.exit(done.stderr)
    return home


def main() -> None:
    """Do what was asked for."""
    parser = argparse.ArgumentParser()
    for name, default in (("flips", 100), ("kills", 200), ("pairs", 20), ("faults", 40), ("seed", 0), ("jobs", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    wrong, start = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(asked.jobs) as pool:
        few, many = (
            list(pool.map(lambda job, n=scenes: unharmed(Path(folder) / f"{n}-{job}", n), range(asked.jobs)))
            for scenes in (FEW, MANY)
        )
        for what, count, homes, work in (
            ("flipped bytes found", asked.flips, few, flips),
            ("kills, finished bit for bit", asked.kills, few, kills),
            ("faults, finished bit for bit", asked.faults, few, faults),
            ("two processes at once", asked.pairs, many, lambda home, numbers, _: at_once(home, numbers, 2)),
            ("four processes at once", asked.pairs, many, lambda home, numbers, _: at_once(home, numbers, 4)),
        ):
            begin = time.monotonic()
            dealt = [range(job, count, asked.jobs) for job in range(asked.jobs)]
            dice = [random.Random(f"{asked.seed} {what} {job}") for job in range(asked.jobs)]
            right = sum(pool.map(work, homes, dealt, dice)) if count else 0
            wrong += count - right
            print(f"{what}: {right} of {count}, {time.monotonic() - begin:.0f} s", flush=True)
    print(f"all: {time.monotonic() - start:.0f} s")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
