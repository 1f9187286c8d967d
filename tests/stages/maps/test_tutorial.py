"""The first hour of the docs, by a script that clicks: correct, absorb, train again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import pytest

from browser import find_chromium

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")

SCRIPT = Path(__file__).parents[3] / "docs" / "make_tutorial.py"


def test_what_is_clicked_becomes_labels_and_is_never_scored(tmp_path):
    command = [sys.executable, "-W", "ignore", str(SCRIPT), str(tmp_path / "hour"), "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
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
