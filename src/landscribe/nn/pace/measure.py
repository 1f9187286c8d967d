"""How fast this machine is with one network: a few steps and a prediction on made-up pixels, measured beforehand."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping

import numpy as np
import torch
from affine import Affine

from landscribe.core.arrays import AnyArray
from landscribe.core.grid import Grid
from landscribe.core.plan.facts import Pace
from landscribe.core.recipe import ModelTable
from landscribe.core.sensors import SensorSpec
from landscribe.nn.device import Engine
from landscribe.nn.network.bundle import SegmentationNet, model_spec
from landscribe.nn.predict.tiles import predict_logits
from landscribe.nn.scene import SceneArrays
from landscribe.nn.train.decoded import decode_scenes, in_memory
from landscribe.nn.train.loop import Callbacks, train
from landscribe.nn.train.setup import Setup, set_up
from landscribe.process import most_memory_bytes

WARM, LEAST, MOST = 2, 2, 60
"""Steps that warm up, and that are measured whatever they take, or however fast they are."""
LEAST_SIDE, MOST_SIDE = 256, 1024
"""Of the scene that is made up, in pixels of the reference."""
AGAIN_S = 2.0
"""A prediction that was faster is made once more, since the first one warms up."""


class _Enough(Exception):  # noqa: N818 (it is none)
    """Ends a training whose steps were measured."""


def measure_pace(
    table: ModelTable,
    sensors: Mapping[str, SensorSpec],
    scales: Mapping[str, float],
    classes: tuple[str, ...],
    engine: Engine,
    *,
    side: int,
    seconds: float,
) -> Pace:
    """Measure what a step of a network costs on this machine, and a prediction.

    The weights are drawn by chance and the pixels are noise, which take as long as any others. Nothing of a run is
    read or changed.

    Args:
        table: What the recipe says of the model.
        sensors: Of the scenes, the reference first.
        scales: Pixel size of each sensor divided by that of the reference.
        classes: Of the model.
        engine: Device and precision.
        side: Of a scene, in pixels of the reference; only up to some size does it matter.
        seconds: About how long steps are measured.

    Raises:
        RecipeError: If the table contradicts itself.
        DataError: If chips shall lie inside of scenes and there is no room for one.
    """
    table = table.model_copy(update={"seeds": ()})
    side = max(min(max(side, LEAST_SIDE), MOST_SIDE), 2 * table.chips.size)
    scene = make_scene(sensors, scales, len(classes), side)
    step_s, net = _time_steps(table, scene, classes, engine, seconds)
    return Pace(step_s, _time_prediction(net, scene, engine), _most_bytes(engine))


def make_scene(sensors: Mapping[str, SensorSpec], scales: Mapping[str, float], classes: int, side: int) -> SceneArrays:
    """Return a scene of noise.

    Args:
        sensors: The reference first.
        scales: Pixel size of each divided by that of the reference.
        classes: Their number.
        side: Of the reference, in pixels.
    """
    rng = np.random.default_rng(0)
    grid = Grid(side, side, Affine.identity())
    grids = {name: grid.resize(*(max(1, round(side / scales[name])),) * 2) for name in sensors}
    images = {name: _noise(sensor, grids[name], rng) for name, sensor in sensors.items()}
    valid = {name: np.ones(own.shape_hw, np.bool_) for name, own in grids.items()}
    coverage = (rng.random((classes, side, side)) < 0.3).astype(np.uint8) * np.uint8(255)
    return SceneArrays("noise", grid, sensors, grids, images, valid, coverage, np.ones((side, side), np.bool_))


def _noise(sensor: SensorSpec, grid: Grid, rng: np.random.Generator) -> AnyArray:
    values = rng.random((len(sensor.bands), *grid.shape_hw), np.float32) * sensor.full_scale
    return values.astype(np.float32 if not sensor.bits else np.uint8 if sensor.bits <= 8 else np.uint16)


def _time_steps(
    table: ModelTable, scene: SceneArrays, classes: tuple[str, ...], engine: Engine, seconds: float
) -> tuple[float, SegmentationNet]:
    """Return the seconds of a step, and the network after them."""
    alone = {"epochs": 1, "steps": MOST, "stages": (), "settle": 0, "snapshots": 0, "snapshot_mean": False}
    schedule = table.schedule.model_copy(update={**alone, "compile": False})
    table = table.model_copy(update={"schedule": schedule})
    spec = model_spec(table, classes, [scene])
    names = [sensor.name for sensor in spec.sensors]
    decoded = decode_scenes([scene], names, range(len(classes)), in_memory)
    setup: Setup = set_up(table, spec, decoded, engine, engine.device if engine.samples else torch.device("cpu"), 0)
    stamps: list[float] = []

    def note(_done: int, _total: int, _loss: torch.Tensor) -> None:
        _wait(engine)
        stamps.append(time.perf_counter())
        if len(stamps) >= WARM + LEAST and stamps[-1] - stamps[WARM - 1] >= seconds:
            raise _Enough

    with contextlib.suppress(_Enough):
        train(setup, Callbacks(on_step=note))
    return (stamps[-1] - stamps[WARM - 1]) / (len(stamps) - WARM), setup.net.eval()


def _time_prediction(net: SegmentationNet, scene: SceneArrays, engine: Engine) -> float:
    """Return the seconds of a million pixels in one view."""
    seconds = [math.inf]
    while min(seconds) == math.inf or (len(seconds) < 3 and min(seconds) < AGAIN_S):
        begin = time.perf_counter()
        with contextlib.closing(predict_logits(net, scene, engine)) as tiles:
            for _tile in tiles:
                _wait(engine)
        seconds.append(time.perf_counter() - begin)
    return min(seconds) / (scene.shape_hw[0] * scene.shape_hw[1] / 1e6)


def _wait(engine: Engine) -> None:
    if engine.device.type == "cuda":
        torch.cuda.synchronize(engine.device)


def _most_bytes(engine: Engine) -> int:
    """Return the most memory that this process has had, or has had on the GPU."""
    if engine.device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(engine.device))
    return most_memory_bytes()
