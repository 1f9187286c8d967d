"""Prediction on a device that makes the bytes itself: several strips are on their way, and bytes alone come back.

What `sweep_tiles` and `to_bytes` do on a processor. Raw numbers go to the device in page-locked memory, the stem and
the symmetries run there, and what comes back is a quarter of the probabilities, while the next strip is computed.
"""

from __future__ import annotations

import collections
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import torch
from torch import Tensor

from landscribe.core.arrays import ByteArray
from landscribe.core.grid import Window
from landscribe.core.owners import Owners
from landscribe.core.recipe import PredictTable
from landscribe.nn.device import Engine
from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.predict.prepare_network import make_ready_for
from landscribe.nn.predict.reading import SceneReader, TileInput
from landscribe.nn.predict.tiles import average_views, pixel_bytes, tile_budget_bytes
from landscribe.workers import result_of, stop_if_asked, thread_pool

ON_THE_WAY = 2
"""Strips that are computed or copied back while the caller writes one."""
STRIP_ROWS = 1024
"""Of a strip, where memory allows: a multiple of the blocks that rasters are written in."""
BLOCK_ROWS = 512
QUICK_PX = 1 << 27
"""Scenes up to this are predicted in seconds, and begun anew after a kill in place of keeping strips on the disk."""


def device_strips(
    nets: Sequence[SegmentationNet], table: PredictTable, shape_hw: tuple[int, int], engine: Engine
) -> list[Window]:
    """Return the strips in which a scene is predicted on a device; none where tiles have to do.

    Args:
        nets: At least one.
        table: Its symmetries; a side of tiles that it asks for stands.
        shape_hw: Size of the scene.
        engine: Device and precision.
    """
    if table.tile is not None or any(BLOCK_ROWS % net.divisor for net in nets):
        return []
    views = max(table.views_of(name) for net in nets for name in net.spec.classes)
    pixels = tile_budget_bytes(engine) // max(pixel_bytes(net, engine, views) for net in nets)
    seen = max(2 * (net.receptive_radius + net.divisor) for net in nets)
    frame = max(2 * (net.spec.context + net.divisor) for net in nets)
    rows = min(STRIP_ROWS, (pixels // (shape_hw[1] + frame) - seen) // BLOCK_ROWS * BLOCK_ROWS)
    return Window(0, 0, *shape_hw).strips(rows) if rows > 0 else []


@dataclass(frozen=True)
class Landing:
    """Bytes on their way back."""

    bytes_khw: Tensor
    landed: torch.cuda.Event | None
    """None where they are here."""

    def wait(self) -> ByteArray:
        """Return the bytes when they are here, uint8 (K, h, w)."""
        if self.landed is not None:
            self.landed.synchronize()
        here: ByteArray = self.bytes_khw.numpy()
        return here


def land(bytes_khw: Tensor) -> Landing:
    """Send bytes back from a device to page-locked memory; nobody waits."""
    if bytes_khw.device.type != "cuda":
        return Landing(bytes_khw, None)
    here = torch.empty(bytes_khw.shape, dtype=torch.uint8, pin_memory=True)
    here.copy_(bytes_khw, non_blocking=True)
    landed = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    landed.record(torch.cuda.current_stream(bytes_khw.device))
    return Landing(here, landed)


def predict_bytes(
    nets: Sequence[SegmentationNet],
    scene: SceneReader,
    table: PredictTable,
    owners: Sequence[Owners],
    windows: Sequence[Window],
) -> Generator[ByteArray, None, None]:
    """Predict windows of a scene; to be closed before its rasters are, for threads of it read them.

    Args:
        nets: At least one.
        scene: Of what all of them look at, its device gets raw numbers.
        table: Symmetries, what the mean is taken of, and classes with empty edges.
        owners: Of each class, which outputs are averaged.
        windows: Some of a scene; each begins on the pooling grid.

    Yields:
        Probability of each class in turn, uint8 (K, h, w), 0..255 for 0..1, also where there is no data.
    """
    engine = scene.engine
    ready = [make_ready_for(net, scene, engine) for net in nets]

    def load(window: Window) -> list[TileInput]:
        return [scene.load(net, window) for net in ready]

    @torch.inference_mode()
    def compute(window: Window, inputs: Future[list[TileInput]]) -> Landing:
        stop_if_asked()
        parts = [
            probability_of(net, seen, window, scene.shape_hw, engine, table)
            for net, seen in zip(ready, inputs.result(), strict=True)
        ]
        return land(class_bytes(torch.cat(parts), owners, table.combine))

    with thread_pool(1, "strips-read") as reader, thread_pool(1, "strips-compute") as computer:
        flying: collections.deque[Future[Landing]] = collections.deque()
        for window in windows:
            flying.append(computer.submit(compute, window, reader.submit(load, window)))
            if len(flying) > ON_THE_WAY:
                yield result_of(flying.popleft()).wait()
        while flying:
            yield result_of(flying.popleft()).wait()


def probability_of(
    net: SegmentationNet,
    seen: TileInput,
    window: Window,
    shape_hw: tuple[int, int],
    engine: Engine,
    table: PredictTable,
) -> Tensor:
    """Return what a network made ready gives of a window, float32 (K, h, w), on the device; empty edges are 0."""
    mean = average_views(net, seen, engine, table)[0]
    p_khw = mean.exp() if table.combine == "geometric" else mean
    empty = [k for k, is_empty in enumerate(table.empty_of(net.spec.classes)) if is_empty]
    if empty:
        rows, cols = (
            torch.arange(start, start + size, device=p_khw.device)
            for start, size in ((window.row, window.height), (window.col, window.width))
        )
        down, across = (torch.minimum(at, size - 1 - at) for at, size in zip((rows, cols), shape_hw, strict=True))
        frame_hw = torch.minimum(down[:, None], across) < net.spec.context
        for k in empty:
            p_khw[k].masked_fill_(frame_hw, 0)
    return p_khw


def class_bytes(p_ohw: Tensor, owners: Sequence[Owners], combine: str) -> Tensor:
    """Return the probability of each class in bytes, uint8 (K, h, w), as `to_bytes` makes them.

    Args:
        p_ohw: Probability of each output, float32, 0..1.
        owners: Of each class; 0 where it has none.
        combine: `arithmetic` or `geometric`.
    """
    found = torch.zeros((len(owners), *p_ohw.shape[1:]), dtype=torch.uint8, device=p_ohw.device)
    for k, shares in enumerate(owners):
        if len(shares) == 1:
            found[k] = torch.round(p_ohw[shares[0][0]] * 255)
        elif shares:
            take = torch.log if combine == "geometric" else torch.clone
            total = torch.zeros_like(p_ohw[0])
            for i, weight in shares:
                total += weight * take(p_ohw[i])
            found[k] = torch.round((total.exp() if combine == "geometric" else total) * 255)
    return found
