"""Soft labels: what networks themselves say of a scene, with a weight for how certain they are and how far they agree.

Source:
    Lee (2013), "Pseudo-Label", in the soft form of Tarvainen & Valpola (2017), arXiv:1703.01780; views in place of
    perturbations as in Yang et al. (2024), arXiv:2410.10777.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
import torch

from landscribe.core.arrays import ByteArray, FloatArray
from landscribe.core.grid import Window
from landscribe.core.pixel_source import PixelSource
from landscribe.core.recipe import PredictTable
from landscribe.core.recipe.adapt import LEAST_VIEWS
from landscribe.nn.device import Engine
from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.predict.reading import TileInput, scene_reader
from landscribe.nn.predict.tiles import each_view, sweep_tiles, tile_side, tile_windows


def soft_labels(
    nets: Sequence[SegmentationNet],
    source: PixelSource,
    engine: Engine,
    predict: PredictTable,
    *,
    least: float,
    bound: float,
) -> Generator[tuple[Window, ByteArray], None, None]:
    """Label a scene by networks of the same classes, tile by tile, without seams.

    The weight of a pixel is |2 p - 1| of the class that is least certain, times 1 - 2 s of the class of which the
    probabilities of all views and networks spread most, s being their standard deviation.

    Args:
        nets: At least one, all with the same classes.
        source: The scene; its labels are not looked at.
        engine: Device and precision.
        predict: Views; at least `LEAST_VIEWS` are taken.
        least: Smaller weights are 0.
        bound: The largest probability; 1 less this is the smallest.

    Yields:
        Window and uint8 (K + 1, h, w): mean probability of each class, 0..255 for 0..1, then the weight.
    """
    count = max(LEAST_VIEWS, *(predict.views_of(name) for name in nets[0].spec.classes))
    plain = {"symmetries": count, "class_symmetries": {}, "combine": "arithmetic", "patch": None}
    table = predict.model_copy(update=plain)

    @torch.inference_mode()
    def sums(net: SegmentationNet, tile: TileInput, _window: Window) -> FloatArray:
        total = torch.zeros(0)
        for _, p in each_view(net, tile, engine, table, count):
            both = torch.cat([p[0], p[0].square()])
            total = both if not total.numel() else total.add_(both)
        found: FloatArray = total.cpu().numpy()
        return found

    windows = tile_windows(source.grid.shape_hw, tile_side(nets, table, source.grid.shape_hw, engine))
    for window, sums_khw in sweep_tiles(nets, scene_reader(nets, source, engine), windows, sums):
        of_net = sums_khw.reshape(len(nets), 2, -1, *window.shape_hw)
        mean_khw, square_khw = of_net.sum(axis=0) / np.float32(len(nets) * count)
        yield window, _to_bytes(mean_khw, square_khw, least, bound)


def _to_bytes(mean_khw: FloatArray, square_khw: FloatArray, least: float, bound: float) -> ByteArray:
    spread_khw = np.sqrt(np.maximum(square_khw - np.square(mean_khw), 0))
    certain_hw = np.abs(2 * mean_khw - 1).min(axis=0) * np.maximum(1 - 2 * spread_khw.max(axis=0), 0)
    certain_hw[certain_hw < least] = 0
    labels_khw = np.clip(mean_khw, 1 - bound, bound)
    stacked: ByteArray = np.rint(np.concatenate([labels_khw, certain_hw[None]]) * 255).astype(np.uint8)
    return stacked
