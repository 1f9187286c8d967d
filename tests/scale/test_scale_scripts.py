"""The scripts of docs/scale.md, started by stand-ins for the services that they are written for."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

import warm
from shared_runs import made_in, write_scenes

pytestmark = pytest.mark.slow
PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
SBATCH = """#!/bin/bash
# A stand-in for sbatch: does the job at once, an array as so many processes at a time; says its number.
array=""; wrap=""; while [ $# -gt 0 ]; do case "$1" in
  --wrap) wrap="$2"; shift 2;;
  --parsable|--dependency=*|--gres=*) shift;;
  *) break;;
esac; done
if [ -n "$wrap" ]; then bash -c "$wrap" >&2 || exit 1; echo 7; exit; fi
last=$(sed -n 's/^#SBATCH --array=1-\\([0-9]*\\)$/\\1/p' "$1")
pids=()
for k in $(seq "$last"); do
  SLURM_ARRAY_TASK_ID=$k SLURM_ARRAY_TASK_COUNT=$last bash "$@" >&2 & pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || exit 1; done
echo 7
"""
COUNT = 7
inherited: list[int] = []
"""Files that processes need for the command."""


def block(language: str, word: str) -> str:
    """Return the block of code of the page that holds a word."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    (found,) = [text for text in blocks if word in text]
    return str(found)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Scenes, the command and the stand-in on the path, and a run of one process."""
    folder = tmp_path_factory.mktemp("scripts")
    write_scenes(folder, COUNT).rename(folder / "city.toml")
    programs = folder / "bin"
    programs.mkdir()
    inherited[:] = warm.program(programs / "landscribe")
    (programs / "sbatch").write_text(SBATCH)
    (programs / "sbatch").chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    shell("landscribe run city.toml --run alone", folder, environment)
    return folder, environment


def shell(text: str, folder: Path, environment: dict[str, str]) -> None:
    words = ["bash", "-ec", text]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, pass_fds=inherited)
    assert done.returncode == 0, done.stderr


def test_a_slurm_array(place: tuple[Path, dict[str, str]]) -> None:
    folder, environment = place
    script = block("bash", "#SBATCH --array").replace("--array=1-8", "--array=1-2")
    (folder / "part.sh").write_text(script.replace("runs/city", "runs/slurm"))
    shell(block("bash", "wait_for()").replace("runs/city", "runs/slurm"), folder, environment)
    assert made_in(folder / "runs" / "slurm") == made_in(folder / "alone")


def test_an_indexed_job_and_a_batch_array(place: tuple[Path, dict[str, str]]) -> None:
    folder, environment = place
    shell("for s in prepare train; do landscribe $s city.toml --run runs/city; done", folder, environment)
    job = yaml.safe_load(block("yaml", "completionMode: Indexed"))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    count = job["spec"]["completions"]
    assert container["command"][2].endswith(f"/{count}")
    for index in range(3):
        words = [word.replace(f"/{count}", "/3") for word in container["command"]]
        own = {"JOB_COMPLETION_INDEX": str(index)}
        subprocess.run(words, cwd=folder, env={**environment, **own}, check=True, pass_fds=inherited)
    assert len(list((folder / "runs" / "city" / "probability").iterdir())) == COUNT
    script = block("bash", "AWS_BATCH_JOB_ARRAY_INDEX")
    for name in ("AWS_BATCH_JOB_ARRAY_INDEX", "BATCH_TASK_INDEX", "AZ_BATCH_TASK_ID"):
        index = ("AWS_BATCH_JOB_ARRAY_INDEX", "BATCH_TASK_INDEX", "AZ_BATCH_TASK_ID").index(name)
        own = {name: str(index), "STAGE": "vectorize", "PARTS": "3"}
        subprocess.run(["sh", "-c", script], cwd=folder, env={**environment, **own}, check=True, pass_fds=inherited)
    shell("landscribe run city.toml --run runs/city", folder, environment)
    assert made_in(folder / "runs" / "city") == made_in(folder / "alone")
