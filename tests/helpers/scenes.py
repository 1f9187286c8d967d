"""Scenes of arrays for tests of networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from affine import Affine

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray
from landscribe.core.grid import Grid
from landscribe.core.sensors import SensorSpec
from landscribe.nn.scene import SceneArrays


def make_arrays(
    images: Mapping[str, AnyArray],
    *,
    maps: Mapping[str, Affine] | None = None,
    valid: Mapping[str, BoolArray] | None = None,
    coverage: ByteArray | None = None,
    labelled: BoolArray | None = None,
    shape: tuple[int, int] | None = None,
    sensors: Iterable[SensorSpec] = (),
    name: str = "s",
) -> SceneArrays:
    """Return a scene; what a test does not say is plain.

    Args:
        images: Pixels of each sensor (C, h, w).
        maps: Reference (col, row) to each sensor's; the identity where none is given.
        valid: Of each sensor (h, w); True everywhere where none is given.
        coverage: Shares of classes (K, h, w); of no class where none is given.
        labelled: Where they are known (h, w); everywhere where none is given.
        shape: Of the reference grid; that of the first sensor where none is given.
        sensors: What they are; numbered bands of 11 bits where a sensor is not told of.
        name: Of the scene.
    """
    height, width = shape or next(iter(images.values())).shape[1:]
    known = {sensor.name: sensor for sensor in sensors}
    grids = {n: Grid(*i.shape[1:], ~(maps or {}).get(n, Affine.identity())) for n, i in images.items()}
    return SceneArrays(
        name,
        Grid(height, width, Affine.identity()),
        {n: known.get(n, SensorSpec(n, n, tuple(f"{n}{k}" for k in range(len(i))), 11)) for n, i in images.items()},
        grids,
        dict(images),
        {n: (valid or {}).get(n, np.ones(i.shape[1:], np.bool_)) for n, i in images.items()},
        np.zeros((0, height, width), np.uint8) if coverage is None else coverage,
        np.ones((height, width), np.bool_) if labelled is None else labelled,
    )
