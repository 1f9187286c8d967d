"""`--part` and `--only`: several commands at once in one run folder, and one that ends each stage."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from landscribe.io.project.batches import part_of
from shared_runs import do, leftovers, made_in, start, write_scenes

pytestmark = pytest.mark.slow
COUNT = 7


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes, and a run of one process."""
    folder = tmp_path_factory.mktemp("parts")
    write_scenes(folder, COUNT)
    assert do("run", "many.toml", "--run", "alone", cwd=folder)[0] == 0
    return folder


def made(text: str) -> int:
    return sum(int(n) for n in re.findall(r"(\d+) made", text))


def test_parts_at_once_make_what_one_process_makes(home: Path) -> None:
    both = [start("prepare", "many.toml", "--run", "shared", "--part", f"{k}/2", cwd=home) for k in (1, 2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(map(made, said)) == COUNT
    assert all("writes what all scenes share" in text for text in said)

    code, text = do("predict", "many.toml", "--run", "shared", "--part", "1/2", cwd=home)
    assert code == 3
    assert "run `landscribe prepare` once without --part" in text

    assert do("prepare", "many.toml", "--run", "shared", cwd=home)[0] == 0
    assert do("train", "many.toml", "--run", "shared", cwd=home)[0] == 0
    for stage in ("predict", "vectorize"):
        said = [do(stage, "many.toml", "--run", "shared", "--part", f"{k}/2", cwd=home)[1] for k in (1, 2)]
        assert sum(map(made, said)) == COUNT
    assert not (home / "shared" / "features" / "features.gpkg").exists()
    code, text = do("run", "many.toml", "--run", "shared", cwd=home)
    assert code == 0
    assert f"predict: {COUNT} up to date" in text
    assert f"vectorize: {COUNT} up to date" in text
    assert made_in(home / "shared") == made_in(home / "alone")
    assert leftovers(home / "shared") == []


def test_only_makes_scenes_that_are_named(home: Path) -> None:
    code, text = do("prepare", "many.toml", "--run", "some", "--only", "s03", "--only", "s05", cwd=home)
    assert (code, made(text)) == (0, 2)
    assert sorted(path.stem for path in (home / "some" / ".done" / "prepare").iterdir()) == ["s03", "s05"]
    code, text = do("prepare", "many.toml", "--run", "some", "--only", "nowhere", cwd=home)
    assert code == 2
    assert "--only: no such scene, got nowhere" in text
    code, text = do("prepare", "many.toml", "--run", "some", "--part", "3/2", cwd=home)
    assert code == 2
    assert "need 1/2 to 2/2" in text
    home_of = part_of("s03", 2)
    for part in (1, 2):
        code, text = do("prepare", "many.toml", "--run", "one", "--only", "s03", "--part", f"{part}/2", cwd=home)
        assert (code, made(text)) == (0, int(part == home_of))
        assert (f"s03 belongs to part {home_of}/2" in text) == (part != home_of)
    code, text = do("predict", "img/s01.tif", "--models", "alone/models", "--out", "x", "--part", "1/2", cwd=home)
    assert code == 2
    assert "do not go with" in text


def test_a_run_waits_for_no_part_and_no_part_for_a_run(home: Path) -> None:
    from landscribe.io.run.owner import alone_in, beside_others_in
    from landscribe.io.run.runs import open_run

    run = open_run(home / "busy")
    with alone_in(run):
        code, text = do("prepare", "many.toml", "--run", "busy", "--part", "1/2", cwd=home)
    assert code == 5
    assert "another process is at work" in text
    with beside_others_in(run, "prepare --part 2/2"):
        code, text = do("run", "many.toml", "--run", "busy", cwd=home)
        assert code == 5
        assert "prepare --part 2/2" in text
        assert do("prepare", "many.toml", "--run", "busy", "--part", "1/2", cwd=home)[0] == 0


def test_a_part_that_fails_says_so_to_whoever_ends_the_stage(home: Path, tmp_path: Path) -> None:
    write_scenes(tmp_path, 5)
    (tmp_path / "img" / "s02.tif").write_bytes(b"no raster")
    codes = [do("prepare", "many.toml", "--run", "run", "--part", f"{k}/2", cwd=tmp_path)[0] for k in (1, 2)]
    assert sorted(codes) == [0, 4]
    assert [path.stem for path in (tmp_path / "run" / ".failed" / "prepare").iterdir()] == ["s02"]
    code, text = do("prepare", "many.toml", "--run", "run", cwd=tmp_path)
    assert code == 4
    assert "4 up to date, 1 failed" in text
