"""The first hour of the docs, by a script that clicks: correct, absorb, train again."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import geopandas as gpd
import pytest

import warm
from browser import find_chromium

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")

DOCS = Path(__file__).parents[3] / "docs"


def landscribe(folder: Path, *arguments: str) -> str:
    """As the script does it, without the imports of each command; the server is a process of its own."""
    done = warm.landscribe(*arguments, cwd=folder, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.filterwarnings("ignore")  # a script of ours may say what a library says
def test_what_is_clicked_becomes_labels_and_is_never_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(DOCS)
    script = importlib.import_module("make_tutorial")
    monkeypatch.setattr(script, "landscribe", landscribe)
    monkeypatch.setattr(sys, "argv", ["make_tutorial.py", str(tmp_path / "hour"), "--quick"])
    script.main()
    told = json.loads(capsys.readouterr().out)
    assert told["errors"] == []
    said = {scene: counts["rejected"] + counts["drawn"] for scene, counts in told["said"].items()}
    assert all(said.values())
    for number, scene in enumerate(said, start=1):
        (review,) = (tmp_path / "hour/reviews").glob(f"{number:04}-*.gpkg")
        rows = gpd.read_file(review, layer="features")
        assert set(rows["scene"]) == {scene}
        assert (rows["verdict"] == "reject").sum() == told["said"][scene]["rejected"]
        drawn = rows[rows["source"] == "drawn"]
        assert len(drawn) == told["said"][scene]["drawn"]
        # A corner that went astray would cost a fifth of a house or more.
        assert drawn.area.sum() / 0.31**2 == pytest.approx(told["said"][scene]["drawn_px"], rel=0.12)
    split = json.loads((tmp_path / "hour/runs/second/split.json").read_text())
    assert set(said) <= set(split["train"])
    assert not set(said) & set(split["validate"])
    assert "real" in told["compared"]
