"""Where single things of a class end: as a network learns it from label polygons, and where a prediction of it lies."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import shapely

from landscribe.core.arrays import BoolArray, ByteArray, GeometryArray
from landscribe.core.burn import burn_share
from landscribe.core.features import of_class
from landscribe.core.grid import Window
from landscribe.core.separate.border import border_ground
from landscribe.io.run.prepared import PreparedScene, Relabelled

_ENDING = "~border"
"""No file that is called by an id ends so, and it comes after that file in any order."""


def border_raster(path: Path) -> Path:
    """Return where the probability that things end lies, beside a raster of probabilities."""
    return path.with_name(f"{path.stem}{_ENDING}{path.suffix}")


def is_border_raster(name: str) -> bool:
    """Tell whether a file of a record is one."""
    return Path(name).stem.endswith(_ENDING)


def with_borders(scene: PreparedScene, borders: Sequence[str], reach_px: float) -> Relabelled:
    """Return a scene whose coverage also says where single things of some classes end.

    Args:
        scene: With label polygons.
        borders: The classes; their borders come after the shares of all classes, in this order.
        reach_px: Ground no farther than this from an outline is border.
    """

    @cache
    def ground(class_name: str) -> GeometryArray:
        things = scene.grid.ground_to_pixels(of_class(scene.read_labels(), class_name))
        return border_ground(things, reach_px)

    def burn(class_name: str, window: Window) -> ByteArray:
        _, top, _, bottom = shapely.bounds(ground(class_name)).T
        near = ground(class_name)[(bottom >= window.row) & (top <= window.row_stop)]
        return burn_share(near, scene.grid.shape_hw, window=window)

    def labels(window: Window) -> tuple[ByteArray, BoolArray]:
        coverage_khw, known_hw = scene.read_coverage(window)
        return np.concatenate([coverage_khw, *(burn(name, window)[None] for name in borders)]), known_hw

    return Relabelled(scene, labels)
