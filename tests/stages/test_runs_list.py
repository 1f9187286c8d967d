"""`landscribe runs`: the list of runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from landscribe.errors import DataError
from landscribe.stages.runs import list_runs


def write(folder: Path, jaccard: float | None, written: str) -> None:
    folder.mkdir(parents=True)
    score = None if jaccard is None else {"polygon": {"jaccard": jaccard, "low": jaccard - 0.1, "high": None}}
    record = {
        "recipe_name": "r.toml",
        "written": written,
        "seed": 3,
        "scenes": {"a": {}, "b": {}},
        "classes": [{}],
        "score": score,
        "seconds": {"train": 7.25, "predict": 1.0},
        "landscribe": "0.1.0",
    }
    (folder / "run.json").write_text(json.dumps(record))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "b" / "deep", 0.5, "2026-01-02")
    write(tmp_path / "a", 0.25, "2026-01-03")
    write(tmp_path / "c", None, "2026-01-01")
    return tmp_path


@pytest.mark.parametrize(
    ("sort", "order"), [("score", ["b/deep", "a", "c"]), ("date", ["a", "b/deep", "c"]), ("name", ["a", "b/deep", "c"])]
)
def test_order(folder: Path, sort: str, order: list[str]) -> None:
    rows, problems = list_runs(folder, sort)  # type: ignore[arg-type]
    assert [row.path for row in rows] == order
    assert not problems
    assert (rows[0].seconds, rows[0].scenes, rows[0].high) == (8.2, 2, None)


def test_what_is_no_record_is_named(folder: Path) -> None:
    (folder / "a" / "run.json").write_text("{")
    rows, problems = list_runs(folder)
    assert len(rows) == 2
    assert "run.json" in problems[0]


@pytest.mark.parametrize("score", [{"polygon": {"jaccard": "0.5"}}, {"pixel": {}}, [0.5]])
def test_a_record_with_another_score_is_named(folder: Path, score: object) -> None:
    record = json.loads((folder / "a" / "run.json").read_text()) | {"score": score}
    (folder / "a" / "run.json").write_text(json.dumps(record))
    rows, problems = list_runs(folder)
    assert len(rows) == 2
    assert "not the record of a run" in problems[0]


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run below it"):
        list_runs(tmp_path)
