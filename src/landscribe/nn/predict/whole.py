"""A whole scene: which windows are predicted one after the other, and the bytes that are kept of each.

The same for the scenes of a run and for arrays of another program, so that both get the same bytes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence

import numpy as np

from landscribe.core.arrays import BoolArray, ByteArray, FloatArray
from landscribe.core.grid import Window
from landscribe.core.owners import Owners, average_owners
from landscribe.core.pixel_source import PixelSource
from landscribe.core.recipe import PredictTable
from landscribe.nn.device import Engine
from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.predict.in_flight import QUICK_PX, device_strips, predict_bytes
from landscribe.nn.predict.patches import STRIP_ROWS, predict_patches
from landscribe.nn.predict.reading import scene_reader
from landscribe.nn.predict.tiles import predict_tiles, tile_side, tile_windows


def in_patches(nets: Sequence[SegmentationNet], table: PredictTable) -> bool:
    """Tell whether networks predict in patches that see their own context only."""
    return table.patch is not None and bool(nets)


def makes_bytes(nets: Sequence[SegmentationNet], table: PredictTable, engine: Engine) -> bool:
    """Tell whether a device makes the bytes of classes itself, so that no probabilities have to come back."""
    return engine.samples and bool(nets) and not in_patches(nets, table)


def are_kept(windows: Sequence[Window], nets: Sequence[SegmentationNet], table: PredictTable, engine: Engine) -> bool:
    """Tell whether finished windows of a scene are worth keeping on the disk until all are done.

    Strips of patches begin with what the one above left over. Strips of a device that are done in seconds cost less
    than their files would, and lie on the blocks of rasters, which tiles do not.
    """
    quick = windows[-1].row_stop * windows[-1].col_stop <= QUICK_PX
    strips = all(window.col == 0 and window.width == windows[-1].width for window in windows)
    if makes_bytes(nets, table, engine) and strips and quick:
        return False
    return len(windows) > 1 and not in_patches(nets, table)


def windows_of(
    nets: Sequence[SegmentationNet], table: PredictTable, shape_hw: tuple[int, int], engine: Engine
) -> list[Window]:
    """Return the windows in which a scene of that size is predicted."""
    if in_patches(nets, table):
        return Window(0, 0, *shape_hw).strips(STRIP_ROWS)
    strips = device_strips(nets, table, shape_hw, engine) if makes_bytes(nets, table, engine) else []
    if strips:
        return strips
    return tile_windows(shape_hw, tile_side(nets, table, shape_hw, engine))


def predict_windows(
    nets: Sequence[SegmentationNet],
    source: PixelSource,
    engine: Engine,
    table: PredictTable,
    windows: Sequence[Window],
) -> Generator[tuple[Window, Iterable[FloatArray]], None, None]:
    """Predict windows of a scene; to be closed before its rasters are, for threads of it read them.

    Args:
        nets: Networks; none yields windows with nothing.
        source: The scene.
        engine: Device and precision.
        table: The recipe's table.
        windows: All of `windows_of`, or some of them where these are tiles.

    Yields:
        Window and probability, float32 (K, h, w), of the classes of all networks in their order.
    """
    if not nets:
        yield from ((window, ()) for window in windows)
    elif in_patches(nets, table):
        yield from predict_patches(nets, source, engine, table)
    else:
        yield from predict_tiles(nets, source, engine, table, windows)


def predict_classes(
    nets: Sequence[SegmentationNet],
    source: PixelSource,
    engine: Engine,
    table: PredictTable,
    owners: Sequence[Owners],
    windows: Sequence[Window],
) -> Generator[ByteArray, None, None]:
    """Predict windows of a scene where `makes_bytes`; to be closed before its rasters are.

    Args:
        nets: Networks, at least one; no other output is among the owners.
        source: The scene.
        engine: Device and precision.
        table: The recipe's table.
        owners: Of each class, which outputs are averaged.
        windows: All of `windows_of`, or some of them.

    Yields:
        Probability of each class in bytes, uint8 (K, h, w), also where there is no data.
    """
    return predict_bytes(nets, scene_reader(nets, source, engine), table, owners, windows)


def to_bytes(
    outputs_khw: Iterable[FloatArray], valid_hw: BoolArray, owners: Sequence[Owners], table: PredictTable
) -> ByteArray:
    """Return what is kept of a window.

    Args:
        outputs_khw: Probability of each output of each model (h, w), 0..1, in the order of `owners`.
        valid_hw: Where the reference sensor has data (h, w).
        owners: Of each class, which outputs are averaged.
        table: Says how they are.

    Returns:
        uint8 (K + 1, h, w): the probability of each class, 0..255 for 0..1 and 0 where there is no data, then validity.
    """
    stack_khw = np.empty((len(owners) + 1, *valid_hw.shape), np.uint8)
    stack_khw[-1] = valid_hw
    for k, p_hw in enumerate(average_owners(list(outputs_khw), tuple(owners), table.combine)):
        stack_khw[k] = np.rint(p_hw * np.float32(255)) * valid_hw
    return stack_khw


def with_validity(classes_khw: ByteArray, valid_hw: BoolArray) -> ByteArray:
    """Return what is kept of a window, as `to_bytes`, from the bytes of its classes (K, h, w)."""
    stack_khw = np.empty((len(classes_khw) + 1, *valid_hw.shape), np.uint8)
    np.multiply(classes_khw, valid_hw, out=stack_khw[:-1])
    stack_khw[-1] = valid_hw
    return stack_khw
