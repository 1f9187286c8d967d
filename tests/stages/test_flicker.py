"""The picture of the worst shift: colours where the sensors disagree before, none afterwards."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from landscribe.io.project import open_project
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.report.flicker import picture_worst
from landscribe.stages.prepare import prepare
from landscribe.stages.report import gather
from landscribe.stages.world import write_world
from landscribe.worlds import WorldSpec


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    home = tmp_path_factory.mktemp("flicker")
    write_world(home / "world", WorldSpec(scenes=1, height=307, width=331, seed=3))
    (home / "r.toml").write_text('[data]\nsource = "dstl"\nroot = "world"\n')
    project, run = open_project(load_recipe(home / "r.toml")), open_run(home / "run")
    prepare(project, run)
    return project, run


def colourfulness(webp):
    picture = cv2.imdecode(np.frombuffer(webp, np.uint8), cv2.IMREAD_COLOR).astype(int)
    return np.abs(picture[..., 0] - picture[..., 2]).mean()


def test_the_worst_shift_is_pictured_before_and_after(run):
    data = gather(*run)
    flicker = data.flicker
    assert flicker is not None
    length = {r["sensor"]: np.hypot(float(r["row_px"]), float(r["col_px"])) for r in data.alignment}
    own_px = {"RGB": 1, "P": 1, "M": 4, "A": 25}
    assert flicker.sensor == max(length, key=lambda name: length[name] / own_px[name])
    assert flicker.shift_px == pytest.approx(length[flicker.sensor], rel=1e-3)
    m = picture_worst(run[1], [r for r in data.alignment if r["sensor"] == "M"])
    assert colourfulness(m.after) < 0.8 * colourfulness(m.before)


def test_without_a_shift_there_is_no_picture(run):
    rows = [{"scene": "6010_0_0", "sensor": "M", "row_px": "0.0", "col_px": "0.0", "decision": "refused: too far"}]
    assert picture_worst(run[1], rows) is None
