"""Soft labels of scenes in files, and a scene that shows these in place of its own labels, which it cannot reach."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from landscribe.core.arrays import BoolArray, ByteArray
from landscribe.core.grid import Window
from landscribe.io.atomic import atomic_path
from landscribe.io.run.prepared import PreparedScene, Relabelled


def soft_scene(scene: PreparedScene, file: Path, classes: int) -> Relabelled:
    """Return a scene with the soft labels of a file, which `write_soft` has written, in place of its own.

    Its labels are the probability of each class, then the weight, (K + 1, h, w); what has none does not count.
    """
    soft_khw = np.memmap(file, np.uint8, "r", shape=(classes + 1, *scene.grid.shape_hw))

    def labels(window: Window) -> tuple[ByteArray, BoolArray]:
        part_khw = np.array(soft_khw[:, *window.slices])
        return part_khw, part_khw[-1] > 0

    return Relabelled(scene, labels)


def write_soft(file: Path, shape_khw: tuple[int, ...], windows: Iterable[tuple[Window, ByteArray]]) -> float:
    """Write soft labels window by window; return the mean weight, 0..1.

    Args:
        file: Where they go.
        shape_khw: Classes and one more, height, width.
        windows: All of a scene, with labels and weight.
    """
    total = 0
    with atomic_path(file) as path:
        soft_khw = np.memmap(path, np.uint8, "w+", shape=shape_khw)
        for window, part_khw in windows:
            soft_khw[:, *window.slices] = part_khw
            total += int(part_khw[-1].sum(dtype=np.int64))
        soft_khw.flush()
        del soft_khw
    return total / 255 / (shape_khw[1] * shape_khw[2])
