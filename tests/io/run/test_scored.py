from __future__ import annotations

import pytest
from shapely import box

from landscribe.core.features import make_features
from landscribe.core.legend import LandClass, Legend
from landscribe.core.score.scores import score_features
from landscribe.errors import DataError, IntegrityError
from landscribe.io.run import scored
from landscribe.io.run.runs import open_run

HOUSE = LandClass(1, "house", "#B22222")


def text() -> str:
    truth = make_features("a", HOUSE, [box(0, 0, 3, 5)])
    return score_features(truth, truth, Legend((HOUSE,))).to_json()


def test_the_score_of_a_run_is_read(tmp_path):
    run = open_run(tmp_path)
    assert scored.run_score(run) is None
    run.path("score.json").write_text(text())
    found = scored.run_score(run)
    assert found is not None
    assert found.classes["house"].polygon.tp == 15
    assert found == scored.read_score(run.path("score.json"))


def test_a_damaged_score_of_a_run_says_what_to_do(tmp_path):
    run = open_run(tmp_path)
    run.path("score.json").write_text(text()[:-9])
    with pytest.raises(
        IntegrityError, match=r"score.json: not a score, got Invalid JSON.*; delete it and run `landscr"
    ):
        scored.run_score(run)
    with pytest.raises(DataError, match="not a score"):
        scored.read_score(run.path("score.json"))


def test_a_file_too_large_for_a_score_is_not_read(tmp_path):
    with (tmp_path / "score.json").open("wb") as file:
        file.truncate(scored.MAX_BYTES + 1)
    with pytest.raises(DataError, match="too large for a score"):
        scored.read_score(tmp_path / "score.json")
