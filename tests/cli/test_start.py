"""What a command brings into its process: torch, numba and tables only where they are used."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from shared_runs import do, write_scenes

HEAVY = ("torch", "numba", "pandas", "pyarrow", "pyogrio", "scipy")
STAGES = (
    "check", "prepare", "stats", "vectorize", "score", "report", "maps.map", "maps.view", "tune", "submit",
    "files.trace", "files.burn", "files.compare", "files.merge_features", "files.score_files", "review.absorb",
    "review.review", "review.suggest", "plan", "pictures", "submissions.clean", "submissions.merge", "runs", "init",
    "bundles.export", "bundles.verify",
)  # fmt: skip
TELL = "print(*(name for name in {heavy} if name in sys.modules), file=sys.stderr)"


def brought(code: str, *arguments: str | Path, cwd: Path | None = None) -> set[str]:
    """Return which of the heavy libraries are there after some code."""
    code = f"import sys\n{code}\n{TELL.format(heavy=HEAVY)}"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def commands(*lines: str, cwd: Path) -> dict[str, set[str]]:
    """Do commands one after the other in one process; return which of the heavy libraries are there after each."""
    code = (
        "import sys\nfrom landscribe.cli import main\nlines = sys.argv[1:]\n"
        "for line in lines:\n    sys.argv = ['landscribe', *line.split()]\n    try:\n        main()\n"
        f"    except SystemExit as stop:\n        assert not stop.code, line\n    {TELL.format(heavy=HEAVY)}"
    ).replace("print(*", "print('HEAVY', *")
    done = subprocess.run([sys.executable, "-c", code, *lines], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    said = [set(line.split()[1:]) for line in done.stderr.splitlines() if line.startswith("HEAVY")]
    return dict(zip(lines, said, strict=True))


def stages(names: Iterable[str]) -> str:
    return "\n".join(f"import landscribe.stages.{name}" for name in names)


def test_no_stage_but_those_of_networks_begins_with_what_is_heavy() -> None:
    assert brought(f"import landscribe.cli.app, landscribe.pipeline\n{stages(STAGES)}") == set()
    assert {"torch", "numba"} <= brought("import landscribe.nn.sample")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes with vectors for labels, and a finished run of a model that needs no network."""
    folder = tmp_path_factory.mktemp("start")
    write_scenes(folder, 3)
    assert do("run", "many.toml", "--run", "run", cwd=folder)[0] == 0
    return folder


def test_commands_do_without_what_they_do_not_use(home: Path) -> None:
    """Files from outside are read by processes of their own, which may need what the command itself does not."""
    found = commands(
        "--help", "check many.toml", "stats many.toml", "prepare many.toml --run fresh", "trace img/s00.tif s00.gpkg",
        "burn lab/s00.gpkg s00.tif --like img/s00.tif", "vectorize run", "score run", "compare run run", "runs .",
        cwd=home,
    )  # fmt: skip
    assert not any(found.values()), found
    (home / "run" / "score.json").unlink()
    found = commands("score run", "report run", "map run", cwd=home)
    assert not any(some & {"torch", "scipy"} for some in found.values()), found
