"""A fault at a call that touches the disk: one line and a documented end, and the next run finishes as if unharmed."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from landscribe.apart import of_the_system
from landscribe.errors import LandscribeError
from landscribe.io.project import Project, StageResult, open_project
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.pipeline import do_stage, write_run_json
from small_scenes import RECIPE, write_image, write_labels

STAGES = ("check", "prepare", "train", "predict", "vectorize", "score", "report")
FAULTS = {
    "no space": ("replace", errno.ENOSPC),
    "rename fails": ("replace", errno.EIO),
    "quota": ("fsync", errno.EDQUOT),
    "flush fails": ("fsync", errno.EIO),
    "read only": ("open", errno.EROFS),
    "no more files": ("open", errno.EMFILE),
    "vanished": ("open", errno.ENOENT),
    "cannot be removed": ("unlink", errno.EACCES),
    "no right": ("mkdir", errno.EACCES),
}


_calls: dict[tuple[str, str], int] = {}
"""How often a stage does a call."""

FIRST = {call: fault for fault, (call, _) in reversed(FAULTS.items())}.values()
"""One fault of each call: after it the stages that follow are done too. After the others the run is what it was."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    for number in (1, 4):
        grid = write_image(folder / "old" / "img" / f"o{number}.tif", 1000 * number, number)
        write_labels(folder / "old" / "lab" / f"o{number}.gpkg", grid)
    recipe = RECIPE.replace('name = "net"', 'name = "truth"\nkind = "labels"')
    (folder / "r.toml").write_text("\n".join(line for line in recipe.splitlines() if "filters" not in line))
    run = open_run(folder / "whole")
    for stage in STAGES:
        shutil.copytree(run.root, folder / f"before {stage}")
        do_stage(stage, project_of(folder), run)
        write_run_json(project_of(folder), run) if stage != "check" else None
    return folder


def project_of(home: Path) -> Project:
    return open_project(load_recipe(home / "r.toml"))


def bytes_of(run: Path) -> dict[str, str]:
    """Artefacts whose bytes do not hold times."""
    names = [p for p in run.rglob("*") if p.suffix in {".tif", ".parquet"} or p.name in {"score.json", "formula.json"}]
    return {p.relative_to(run).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(names)}


def names_in(run: Path) -> set[str]:
    return {p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file()}


class Fault:
    """Lets calls of the system through until the one that fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path, call: str, number: int) -> None:
        self.root, self.number, self.left, self.seen = str(root), number, -1, 0
        module = io if call == "open" else os
        self.plain: Callable[..., object] = getattr(module, call)
        monkeypatch.setattr(module, call, self)

    def __call__(self, *arguments: object, **options: object) -> object:
        # A file or folder of the run; `fsync` has nothing but a number.
        if isinstance(arguments[0], int) or str(arguments[0]).startswith(self.root):
            self.seen += 1
            self.left -= 1
            if self.left == 0:
                raise OSError(self.number, os.strerror(self.number), str(arguments[0]))
        return self.plain(*arguments, **options)


def do(stage: str, home: Path, run: Run) -> StageResult:
    result = do_stage(stage, project_of(home), run)
    if stage != "check":
        write_run_json(project_of(home), run)
    return result


@pytest.mark.parametrize("fault", list(FAULTS))
@pytest.mark.parametrize("stage", STAGES)
def test_each_fault_ends_in_one_line_and_the_next_run_finishes(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, fault: str
) -> None:
    call, number = FAULTS[fault]
    root = tmp_path / "run"
    shutil.copytree(home / f"before {stage}", root)
    if (stage, call) not in _calls:
        with monkeypatch.context() as patch:
            counted = Fault(patch, root, call, number)
            do(stage, home, Run(root))
        _calls[stage, call] = counted.seen
    seen, later = _calls[stage, call], STAGES[STAGES.index(stage) + 1 :]
    made = home / f"before {later[0]}" if later else home / "whole"
    for place in sorted({1 + seen // 3, seen} if seen else {}):
        shutil.rmtree(root)
        shutil.copytree(home / f"before {stage}", root)
        with monkeypatch.context() as patch:
            one = Fault(patch, root, call, number)
            one.left = place
            said = list(_lines(lambda: do(stage, home, open_run(root))))
        assert one.left <= 0
        assert all("\n" not in line and line for line in said), said
        again = do(stage, home, open_run(root))
        assert not again.failed
        assert names_in(root) == names_in(made)
        assert bytes_of(root) == bytes_of(made)
    if seen and fault in FIRST:
        for each in later:
            assert not do(each, home, open_run(root)).failed
        assert bytes_of(root) == bytes_of(home / "whole")
        assert names_in(root) == names_in(home / "whole")


def _lines(work: Callable[[], StageResult]) -> Iterator[str]:
    """What the command line would say: of its end, or of the scenes that failed."""
    try:
        yield from work().failed.values()
    except LandscribeError as error:
        yield from str(error).splitlines()
    except OSError as error:
        yield str(of_the_system("disk", error))
