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
        # One that crosses itself is mended, and may come out as two.
        assert (rows["source"] == "drawn").sum() >= told["said"][scene]["drawn"]
        corners = rows.loc[rows["source"] == "drawn"].geometry.explode().map(lambda shape: len(shape.exterior.coords))
        assert (corners >= 4).all()  # no corner of a house went astray
    split = json.loads((tmp_path / "hour/runs/second/split.json").read_text())
    assert set(said) <= set(split["train"])
    assert not set(said) & set(split["validate"])
    assert "real" in told["compared"]
