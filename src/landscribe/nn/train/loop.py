"""The training loop in plain sight."""

from __future__ import annotations

import collections
import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from landscribe.core.arrays import AnyArray, BoolArray
from landscribe.core.grid import Window
from landscribe.core.recipe import ChipTable, LossTable, PredictTable, ScheduleTable
from landscribe.errors import DataError, LandscribeError, RecipeError, problem
from landscribe.nn.device import Engine
from landscribe.nn.network.bundle import SegmentationNet, channels_last
from landscribe.nn.predict.tiles import predict_tiles
from landscribe.nn.train.chips import ChipBank, Chips, SceneArrays, cut_chips, draw_plan, steps_per_epoch
from landscribe.nn.train.compile import compiled
from landscribe.nn.train.gradients import add_gradients, split_chips
from landscribe.nn.train.hard import NONE_YET, HardChips
from landscribe.nn.train.losses import (
    LossSums,
    class_weights,
    combine_terms,
    frame_of,
    split_frame,
    sum_pixels,
)
from landscribe.nn.train.ranks import Ranks, share_of
from landscribe.nn.train.schedule import begins_anew, rate_at, start_run
from landscribe.nn.train.snapshot import Run, load_state, save_state

ALONE = Ranks()
AHEAD = 2
"""Batches that are being cut while a step runs."""


def train(
    bank: ChipBank,
    net: SegmentationNet,
    engine: Engine,
    loss: LossTable,
    chips: ChipTable,
    schedule: ScheduleTable,
    *,
    seed: int,
    state: Mapping[str, bytes] | None = None,
    on_step: Callable[[int, int, Tensor], None] | None = None,
    on_epoch: Callable[[int, dict[str, float], Callable[[], dict[str, bytes]]], None] | None = None,
    on_snapshot: Callable[[int, SegmentationNet], None] | None = None,
    on_warning: Callable[[str], None] | None = None,
    evaluate: Callable[[SegmentationNet], dict[str, float]] | None = None,
    ranks: Ranks = ALONE,
) -> SegmentationNet:
    """Train a network.

    Every batch follows from `seed` and the number of its step, so that a resumed run takes the steps that an
    uninterrupted one would have taken, on the processor bit for bit. Several processes take a part of each batch.

    Args:
        bank: Training scenes.
        net: The network; its weights are changed in place.
        engine: Device and precision.
        loss: Terms and class weights.
        chips: What a batch is.
        schedule: Optimiser, rate and length.
        seed: Of chips and dropout.
        state: What `on_epoch` was given in an earlier run; None starts anew.
        on_step: Called with steps done, steps in all and the loss, a scalar left on the device.
        on_epoch: Called with epochs done, a row of the history, and a function that returns the state as files.
        on_warning: Called with what could not be done as asked for.
        on_snapshot: Called before `on_epoch` with epochs done and the averaged network.
        evaluate: Called after each epoch with the averaged network; its numbers join the row.
        ranks: The processes that train together; `on_epoch`, `on_snapshot` and `evaluate` are called in the first.

    Returns:
        The averaged network, in evaluation mode.

    Raises:
        RecipeError: If the chip size does not divide, or nothing is left of it within its frame.
        DataError: If labels have another number of classes than the network.
        LandscribeError: If the loss stops being a number.
        IntegrityError: If `state` does not fit.

    Source:
        Averaged weights: Polyak & Juditsky (1992), doi:10.1137/0330046, as an exponential average. Batch norm
        statistics are averaged in the same way: that needs no further pass over data and is part of the state.
    """
    _check(net, bank, chips)
    net = channels_last(net.to(engine.device)).train()
    weights = torch.tensor(class_weights(loss, net.spec.classes), device=engine.device)
    keep = Window(0, 0, chips.size, chips.size).pad(-chips.context)
    epoch_steps = schedule.steps or steps_per_epoch(bank, chips)
    total = epoch_steps * schedule.epochs
    hard = HardChips(chips, epoch_steps, engine.device) if chips.hard else None
    run = start_run(net, schedule, hard)
    done = load_state(run, state) if state is not None else 0
    forward = compiled(net, on_warning or (lambda _text: None)) if schedule.compile else net
    history = _History(engine, net.spec.classes)
    devices = [engine.device] if engine.device.type == "cuda" else []

    def sums_of(piece: int, batch: Chips) -> LossSums:
        torch.manual_seed(_step_seed(seed, step, ranks.rank, piece))
        with torch.autocast(engine.device.type, torch.bfloat16, enabled=engine.dtype == torch.bfloat16):
            logits = forward(batch.images, batch.valid, keep)
        target, weight, near = split_frame(batch.target, batch.weight, loss)
        if hard is not None:
            before = sum(len(other.target) for other in pieces[:piece])
            hard.note(step, share_of(ranks, chips.batch).start + before, logits, target, weight)
        return sum_pixels(logits, target, weight, near)

    pin = engine.device.type == "cuda" and bank.device.type == "cpu"
    cut = functools.partial(_cut_share, bank, chips, seed, ranks, frame_of(loss), hard, pin)
    with torch.random.fork_rng(devices), _ahead(cut, range(done, total), epoch_steps, bank.device) as batches:
        for step, cut_batch in enumerate(batches, start=done):
            batch = cut_batch.to(engine.device)
            if begins_anew(schedule, step, epoch_steps):
                run.optimizer.state.clear()
            rate = rate_at(schedule, step, epoch_steps)
            for group in run.optimizer.param_groups:
                group["lr"] = rate
            run.optimizer.zero_grad(set_to_none=True)
            pieces = split_chips(batch, schedule.accumulate)
            value, parts = add_gradients(net, pieces, sums_of, loss, weights, ranks)
            if schedule.clip_norm:
                torch.nn.utils.clip_grad_norm_(run.parameters, schedule.clip_norm)
            run.optimizer.step()
            _move_average(run, min(schedule.average, (1 + step) / (10 + step)))
            history.add(value, parts, chips.batch)
            if on_step is not None:
                on_step(step + 1, total, value)
            if (step + 1) % epoch_steps == 0:
                row = history.row((step + 1) // epoch_steps, step + 1, rate)
                if hard is not None:
                    hard.settle(ranks)
                if not ranks.is_first:
                    continue
                if evaluate is not None:
                    row |= evaluate(run.average)
                if on_snapshot is not None:
                    on_snapshot((step + 1) // epoch_steps, run.average)
                if on_epoch is not None:
                    on_epoch((step + 1) // epoch_steps, row, functools.partial(save_state, run, step + 1))
    return run.average


def evaluate(
    net: SegmentationNet, scenes: Sequence[SceneArrays], engine: Engine, loss: LossTable, *, tile: int | None = None
) -> dict[str, float]:
    """Return loss and pixel Jaccard on whole scenes, without symmetries, on labelled pixels.

    Everything is summed over all scenes before it is divided. A pixel is of a class where half of it is covered, and
    predicted where the probability is above a half.

    Args:
        net: The network.
        scenes: Validation scenes.
        engine: Device and precision.
        loss: As in training.
        tile: Side of a forward pass in reference pixels; None takes what memory allows.

    Returns:
        `valid_loss`, `valid_jaccard` (the mean over classes that occur or are predicted) and `jaccard/<class>`, NaN
        for a class that neither occurs nor is predicted.
    """
    sums: LossSums | None = None
    counts_k2 = np.zeros((len(net.spec.classes), 2), np.int64)
    table = PredictTable(tile=tile, symmetries=1)
    for scene in scenes:
        shapes = {name: image.shape[1:] for name, image in scene.images_chw.items()}
        tiles = predict_tiles([net], _reader(scene), scene.shape_hw, scene.maps, shapes, engine, table)
        for window, p_khw in tiles:
            known_hw = scene.labelled_hw[window.slices]
            share_khw = scene.coverage_khw[:, *window.slices]
            true_khw, found_khw = (share_khw >= 128) & known_hw, (p_khw > 0.5) & known_hw
            counts_k2[:, 0] += (true_khw & found_khw).sum((1, 2))
            counts_k2[:, 1] += (true_khw | found_khw).sum((1, 2))
            logits = torch.logit(torch.from_numpy(p_khw).double(), 1e-7)[None]
            part = sum_pixels(logits, *split_frame(*_labels(scene, window, frame_of(loss)), loss))
            sums = part if sums is None else sums + part
    if sums is None:
        raise RecipeError(problem("validation", "no scene"))
    weights = torch.tensor(class_weights(loss, net.spec.classes), dtype=torch.float64)
    value, _ = combine_terms(sums, loss, weights)
    jaccard = [float(tp / union) if union else math.nan for tp, union in counts_k2]
    defined = [j for j in jaccard if not math.isnan(j)]
    row = {"valid_loss": float(value), "valid_jaccard": float(np.mean(defined)) if defined else math.nan}
    return row | {f"jaccard/{name}": j for name, j in zip(net.spec.classes, jaccard, strict=True)}


def _labels(scene: SceneArrays, window: Window, frame: int) -> tuple[Tensor, Tensor]:
    """Return share (1, K, h, w) and weight (1, 1, h, w) of a window and its frame; nothing is known off the scene."""
    rows, off_rows = _span(window.row - frame, window.row_stop + frame, scene.shape_hw[0])
    cols, off_cols = _span(window.col - frame, window.col_stop + frame, scene.shape_hw[1])
    share_khw = np.pad(scene.coverage_khw[:, rows, cols], ((0, 0), off_rows, off_cols))
    known_hw = np.pad(scene.labelled_hw[rows, cols], (off_rows, off_cols))
    return torch.from_numpy(share_khw)[None] / 255, torch.from_numpy(known_hw)[None, None].float()


def _span(start: int, stop: int, size: int) -> tuple[slice, tuple[int, int]]:
    """Return the part of a span that lies on the scene, and how much of it lies before and behind."""
    return slice(max(start, 0), min(stop, size)), (max(-start, 0), max(stop - size, 0))


class _History:
    """Sums of an epoch, kept on the device so that no step waits for them."""

    def __init__(self, engine: Engine, classes: Sequence[str]) -> None:
        self.classes = classes
        self.sums = torch.zeros(len(classes) + 1, device=engine.device)
        self.steps, self.chips, self.since = 0, 0, time.perf_counter()

    def add(self, loss: Tensor, parts: Tensor, chips: int) -> None:
        self.sums += torch.cat([loss[None], parts])
        self.steps, self.chips = self.steps + 1, self.chips + chips

    def row(self, epoch: int, step: int, rate: float) -> dict[str, float]:
        """Return the epoch's row and begin the next one."""
        means = (self.sums / self.steps).tolist()
        if not all(math.isfinite(m) for m in means):
            raise LandscribeError(
                problem("training", "loss is not a number", got=f"epoch {epoch}", do="lower schedule.rate")
            )
        seconds = time.perf_counter() - self.since
        row = {"epoch": float(epoch), "step": float(step), "rate": rate, "loss": means[0], "seconds": seconds}
        row["chips_per_s"] = self.chips / seconds
        row |= {f"loss/{name}": mean for name, mean in zip(self.classes, means[1:], strict=True)}
        self.sums.zero_()
        self.steps, self.chips, self.since = 0, 0, time.perf_counter()
        return row


def _cut_share(
    bank: ChipBank,
    table: ChipTable,
    seed: int,
    ranks: Ranks,
    frame: int,
    hard: HardChips | None,
    pin: bool,
    step: int,
) -> Chips:
    """Cut this process's part of a batch; the whole of it is drawn everywhere, so that it is the same for any count."""
    plan = draw_plan(bank, table, seed, step, NONE_YET if hard is None else hard.worst)
    if hard is not None:
        hard.place(step, plan.scene_b, plan.map_b6)
    batch = cut_chips(bank, table, plan.part(share_of(ranks, table.batch)), frame=frame)
    return batch.pinned() if pin else batch


@contextlib.contextmanager
def _ahead(
    cut: Callable[[int], Chips], steps: range, epoch_steps: int, device: torch.device
) -> Iterator[Iterator[Chips]]:
    """Cut batches in the background, a few ahead, in the order of their steps.

    None is cut ahead of the end of an epoch, since hard chips follow from all of its losses.
    """

    def in_order(pool: ThreadPoolExecutor) -> Iterator[Chips]:
        waiting: collections.deque[Future[Chips]] = collections.deque()
        for step in steps:
            waiting.append(pool.submit(cut, step))
            while waiting and (len(waiting) > AHEAD or (step + 1) % epoch_steps == 0):
                yield waiting.popleft().result()

    pool = ThreadPoolExecutor(AHEAD if device.type == "cpu" else 1, thread_name_prefix="chips")
    try:
        yield in_order(pool)
    finally:
        pool.shutdown(cancel_futures=True)


def _check(net: SegmentationNet, bank: ChipBank, chips: ChipTable) -> None:
    if len(bank.of_class) != len(net.spec.classes):
        raise DataError(problem("labels", "classes", got=len(bank.of_class), need=len(net.spec.classes)))
    if chips.size % net.divisor:
        raise RecipeError(problem("chips.size", "does not divide", got=chips.size, need=f"multiple of {net.divisor}"))
    if 2 * chips.context >= chips.size:
        raise RecipeError(problem("chips.context", "leaves nothing", got=chips.context, need=f"< {chips.size // 2}"))


def _step_seed(seed: int, step: int, rank: int, piece: int) -> int:
    return int(np.random.SeedSequence([seed, step, rank, piece]).generate_state(1, np.uint64)[0])


@torch.no_grad()
def _move_average(run: Run, decay: float) -> None:
    ours, theirs = list(run.average.state_dict().values()), list(run.net.state_dict().values())
    floats = [i for i, t in enumerate(ours) if t.is_floating_point()]
    torch._foreach_lerp_([ours[i] for i in floats], [theirs[i] for i in floats], 1 - decay)
    for mine, new in zip(ours, theirs, strict=True):
        if not mine.is_floating_point():
            mine.copy_(new)


def _reader(scene: SceneArrays) -> Callable[[str, Window], tuple[AnyArray, BoolArray]]:
    def read(sensor: str, window: Window) -> tuple[AnyArray, BoolArray]:
        return scene.images_chw[sensor][:, *window.slices], scene.valid_hw[sensor][window.slices]

    return read
