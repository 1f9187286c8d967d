"""How fast this machine is: what is measured, and what is left as it was."""

from __future__ import annotations

import pytest
import torch

from landscribe.core.recipe import ModelTable
from landscribe.core.sensors import SensorSpec
from landscribe.nn.device import choose_engine
from landscribe.nn.pace.measure import make_scene, measure_pace

SENSORS = {
    "RGB": SensorSpec("RGB", "rgb8", ("red", "green", "blue"), 8),
    "M": SensorSpec("M", "own", ("nir", "height"), 11),
    "H": SensorSpec("H", "own", ("height",), 0),
}
SCALES = {"RGB": 1.0, "M": 4.0, "H": 2.0}


def test_noise_is_of_the_sensors() -> None:
    scene = make_scene(SENSORS, SCALES, 2, 131)
    assert {name: scene.dtype(name) for name in SENSORS} == {"RGB": "uint8", "M": "uint16", "H": "float32"}
    assert {name: own.shape_hw for name, own in scene.grids.items()} == {
        "RGB": (131, 131),
        "M": (33, 33),
        "H": (66, 66),
    }
    assert int(scene.images_chw["M"].max()) < 2048
    assert scene.coverage_khw.shape == (2, 131, 131)


@pytest.mark.parametrize("seeds", ["[]", "[1, 2, 3]"])
def test_a_pace_is_measured_and_leaves_no_trace(seeds: str) -> None:
    table = ModelTable.model_validate_json(
        f'{{"seeds": {seeds}, "network": {{"filters": 2, "depth": 2}}, "chips": {{"size": 32, "context": 4, "batch": 2,'
        '"edges": "inside"}, "schedule": {"settle": 24, "compile": true, "stages": [{"epochs": 2, "rate": 0.1}]}}'
    )
    before, engine = torch.get_rng_state(), choose_engine("cpu")
    pace = measure_pace(table, SENSORS, SCALES, ("a", "b"), engine, side=300, seconds=0.01)
    assert 0 < pace.step_s < 60
    assert 0 < pace.mpx_s < 600
    assert pace.memory_bytes > 10**7
    assert torch.equal(torch.get_rng_state(), before)
