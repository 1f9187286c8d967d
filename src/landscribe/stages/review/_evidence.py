"""What speaks for each window of a scene: read from its rasters, and asked of the networks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from landscribe.core.arrays import BoolArray, FloatArray
from landscribe.core.grid import Window
from landscribe.core.owners import against_the_best_other
from landscribe.core.recipe import PredictTable
from landscribe.core.suggest.doubt import at_threshold, disagreement, doubt_table, entropy
from landscribe.core.suggest.looks import TRAITS, describe
from landscribe.core.suggest.windows import why_not
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.prepared import PreparedScene
from landscribe.io.run.runs import Run
from landscribe.workers import stop_if_asked

if TYPE_CHECKING:  # torch takes seconds to import
    from landscribe.nn.network.bundle import SegmentationNet

OTHER_VIEWS = 4
"""Views whose mean a single network is compared with where the run has averaged none."""


@dataclass(frozen=True)
class Facts:
    """Of one window."""

    window: Window
    pixels: int
    """With data."""
    traits_f: FloatArray
    """What it looks like, all sensors one after the other."""
    doubt_k: FloatArray
    """Mean entropy of each class where nobody has labelled, in bits."""


def look_at_windows(
    run: Run, scene: PreparedScene, windows: Sequence[Window], thresholds: Sequence[float], *, exclusive: bool
) -> tuple[list[Facts], dict[str, int]]:
    """Read windows of a predicted scene one after the other.

    Args:
        run: The run folder.
        scene: The scene.
        windows: Inside of its reference grid.
        thresholds: Of each class.
        exclusive: Whether they are on the share of a class in itself and the best other.

    Returns:
        What those are like that could be suggested, and how many could not, by reason.
    """
    tables = [doubt_table(threshold) for threshold in thresholds]
    found, left_out = [], dict[str, int]()
    with _opened(scene) as source, open_raster(run.checked(run.probability(scene.id))) as predicted:
        for window in windows:
            stop_if_asked()
            p_khw, valid_hw = predicted.read(window)
            open_hw = valid_hw & ~_labelled(scene, window)
            reason = why_not(int(valid_hw.sum()), int((valid_hw & ~open_hw).sum()), valid_hw.size)
            if reason:
                left_out[reason] = left_out.get(reason, 0) + 1
                continue
            seen_kn = p_khw[:, open_hw]
            if exclusive:
                shares_kn = against_the_best_other(seen_kn[..., None])[..., 0]
                pairs = zip(shares_kn, thresholds, strict=True)
                doubt_k = np.array([entropy(at_threshold(p_n, t)).mean(dtype=np.float64) for p_n, t in pairs])
            else:
                doubt_k = np.array([t[p_n].mean(dtype=np.float64) for t, p_n in zip(tables, seen_kn, strict=True)])
            found.append(Facts(window, int(valid_hw.sum()), _traits(source, window, valid_hw), doubt_k))
    return found, left_out


def look_at_training(scene: PreparedScene, windows: Sequence[Window], least: float) -> list[tuple[FloatArray, int]]:
    """Return what labelled ground of a training scene looks like, window by window, with how many pixels it is.

    Args:
        scene: The scene, with the labels that count.
        windows: Inside of its reference grid.
        least: Share of a window that has to be labelled.
    """
    found = []
    with _opened(scene) as source:
        for window in windows:
            stop_if_asked()
            known_hw = _labelled(scene, window)
            if known_hw.sum() > least * known_hw.size:
                found.append((_traits(source, window, known_hw), int(known_hw.sum())))
    return found


def disagreements(
    run: Run,
    scene: PreparedScene,
    windows: Sequence[Window],
    nets: Sequence[SegmentationNet],
    classes: Sequence[str],
    table: PredictTable,
) -> FloatArray:
    """Return how much predictions disagree over windows of a scene, in bits for each class, float64 (N, K).

    Networks that predict a class are compared with each other, each in one view. A class of a single network is
    compared between one view and the mean of several.

    Args:
        run: The run folder.
        scene: The scene.
        windows: Inside of its reference grid.
        nets: At least one.
        classes: The legend in band order.
        table: How the run predicts.
    """
    from landscribe.nn.device import choose_engine
    from landscribe.nn.predict.prepare_network import engine_for
    from landscribe.nn.predict.whole import predict_windows, windows_of

    engine = engine_for(choose_engine(precision=table.precision), nets, table.precision, scene.grid.shape_hw)
    one = table.model_copy(update={"symmetries": 1, "class_symmetries": {}})
    several = one.model_copy(update={"symmetries": OTHER_VIEWS})
    outputs = [(n, name) for n, net in enumerate(nets) for name in net.spec.classes]
    alone = [name for name in classes if len([0 for _, own in outputs if own == name]) == 1]
    averaged = table.patch is None and all(table.views_of(name) > 1 for name in alone)
    passes = [one] if averaged or not alone else [one, several]
    tiles = windows_of(nets, several, scene.grid.shape_hw, engine)
    sums_nk, counts_n = np.zeros((len(windows), len(classes))), np.zeros(len(windows))
    wanted = {sensor.name for net in nets for sensor in net.spec.sensors}
    with ExitStack() as files:
        predicted = files.enter_context(open_raster(run.checked(run.probability(scene.id))))
        sweeps = []
        for own in passes:
            source = files.enter_context(scene.open_rasters(wanted))
            sweeps.append(files.enter_context(closing(predict_windows(nets, source, engine, own, tiles))))
        for found in zip(*sweeps, strict=True):
            tile = found[0][0]
            stacks = [list(outputs_khw) for _, outputs_khw in found]
            kept_khw, valid_hw = predicted.read(tile)
            open_hw = valid_hw & ~_labelled(scene, tile)
            said_khw = np.zeros((len(classes), *tile.shape_hw), np.float32)
            for k, name in enumerate(classes):
                members = [stacks[0][i] for i, (_, own) in enumerate(outputs) if own == name]
                if len(members) == 1:
                    i = outputs.index(next(row for row in outputs if row[1] == name))
                    members.append(kept_khw[k] / np.float32(255) if averaged else stacks[1][i])
                if members:
                    said_khw[k] = disagreement(members) * open_hw
            for n, window in enumerate(windows):
                both = window.intersection(tile)
                if both is not None:
                    inside = Window(both.row - tile.row, both.col - tile.col, *both.shape_hw).slices
                    sums_nk[n] += said_khw[:, *inside].sum(axis=(1, 2), dtype=np.float64)
                    counts_n[n] += open_hw[inside].sum()
    return sums_nk / np.maximum(counts_n, 1)[:, None]


@contextmanager
def _opened(scene: PreparedScene) -> Iterator[PreparedScene]:
    with scene.open_rasters([name for name in scene.sensors if name not in scene.absent]) as opened:
        yield opened


def _labelled(scene: PreparedScene, window: Window) -> BoolArray:
    """Return what of a window is labelled, (h, w)."""
    return scene.read_coverage(window)[1] if scene.is_labelled else np.zeros(window.shape_hw, np.bool_)


def _traits(scene: PreparedScene, window: Window, known_hw: BoolArray) -> FloatArray:
    """Return what a window looks like in all sensors; NaN in those that are not there."""
    found = []
    for name, sensor in scene.sensors.items():
        part = window if name == scene.reference else _on(scene, name, window)
        if name in scene.absent or part is None:
            found.append(np.full(len(sensor.bands) * TRAITS, np.nan))
            continue
        image_chw, valid_hw = scene.read(name, part)
        found.append(describe(image_chw, valid_hw & known_hw if name == scene.reference else valid_hw))
    return np.concatenate(found)


def _on(scene: PreparedScene, name: str, window: Window) -> Window | None:
    """Return the box of a sensor's pixels that a window of the reference lies on; None where it lies beside it."""
    grid = scene.grids[name]
    to_sensor = scene.grid.pixel_map(grid)
    corners = [(c, r) for r in (window.row, window.row_stop) for c in (window.col, window.col_stop)]
    cols, rows = zip(*(to_sensor @ corner for corner in corners), strict=True)
    row, col = math.floor(min(rows)), math.floor(min(cols))
    box = Window(row, col, max(math.ceil(max(rows)) - row, 1), max(math.ceil(max(cols)) - col, 1))
    return box.intersection(grid.window)
