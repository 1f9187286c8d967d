"""The training loop in plain sight."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from landscribe.errors import LandscribeError, problem
from landscribe.nn.network.bundle import SegmentationNet, channels_last
from landscribe.nn.train.batches import cut_ahead, cut_batch, split_chips
from landscribe.nn.train.compile import forward_of
from landscribe.nn.train.gradients import gather_gradients, logits_of, look_ahead, own_numbers, within_batch
from landscribe.nn.train.hard import HardChips
from landscribe.nn.train.losses import combine_terms, split_frame, sum_pixels
from landscribe.nn.train.schedule import move_average, set_rate, start_learner
from landscribe.nn.train.settle import settled
from landscribe.nn.train.setup import Setup
from landscribe.nn.train.snapshot import load_state, save_state


@dataclass(frozen=True)
class Epoch:
    """An epoch that is done."""

    row: dict[str, float]
    """What happened in it, a row of the history: its number, steps done, rate, losses and speed."""
    net: SegmentationNet
    """The averaged network, its statistics settled where it is kept; the next step may change it."""
    state: Callable[[], dict[str, bytes]]
    """Gives the files from which a run goes on after this epoch."""

    @property
    def number(self) -> int:
        """Epochs done."""
        return int(self.row["epoch"])


def _nothing(*_told: object) -> None:
    """Do nothing about what is told."""


@dataclass(frozen=True)
class Callbacks:
    """Who is told what while a network trains."""

    on_step: Callable[[int, int, Tensor], None] = _nothing
    """Steps done, steps in all, and the loss of the last one, a scalar left on the device."""
    on_epoch: Callable[[Epoch], None] = _nothing
    """An epoch that is done; only in the first of several processes."""
    on_warning: Callable[[str], None] = _nothing
    """What could not be done as asked for."""


QUIET = Callbacks()


def train(setup: Setup, callbacks: Callbacks = QUIET) -> SegmentationNet:
    """Train a network.

    Every batch follows from the seed and the number of its step, so that a resumed run takes the steps that an
    uninterrupted one would have taken, on the processor bit for bit. Several processes take a part of each batch.

    Args:
        setup: What decides the result.
        callbacks: Who is told on the way.

    Returns:
        The averaged network, in evaluation mode.

    Raises:
        DataError: If chips shall lie inside of scenes and there is no room for one.
        LandscribeError: If the loss stops being a number.
        IntegrityError: If the state to go on from does not fit.
    """
    schedule, device = setup.schedule, setup.engine.device
    net = channels_last(setup.net.to(device)).train()
    hard = HardChips(setup.chips, setup.epoch_steps, device) if setup.chips.hard else None
    learner, history = start_learner(net, schedule, hard), _History(setup)
    done = load_state(learner, setup.state) if setup.state is not None else 0
    forward = forward_of(setup, net, callbacks.on_warning, functools.partial(cut_batch, setup, None, done))
    with own_numbers(device), cut_ahead(setup, hard, done) as batches:
        for step, batch in enumerate(batches, start=done):
            rate = set_rate(learner, schedule, step, setup.epoch_steps)
            learner.optimizer.zero_grad(set_to_none=True)
            pieces = split_chips(batch, schedule.accumulate)
            whole = look_ahead(setup, forward, step, pieces)
            for number, piece in enumerate(pieces):
                logits = logits_of(setup, forward, step, number, piece)
                target, weight, near = split_frame(piece.target, piece.weight, setup.loss)
                sums = within_batch(sum_pixels(logits, target, weight, near), whole, setup.ranks)
                loss, parts = combine_terms(sums, setup.loss, setup.weights_k)
                loss.backward()  # type: ignore[no-untyped-call]
                if hard is not None:
                    hard.note(step, piece.first, logits, target, weight)
            gather_gradients(net, setup.ranks)
            if schedule.clip_norm:
                torch.nn.utils.clip_grad_norm_(learner.parameters, schedule.clip_norm)
            learner.optimizer.step()
            move_average(learner, schedule, step)
            history.add(loss.detach(), parts.detach())
            callbacks.on_step(step + 1, setup.total_steps, loss.detach())
            if (step + 1) % setup.epoch_steps == 0:
                row = history.row(step + 1, rate)
                if hard is not None:
                    hard.settle(setup.ranks)
                if setup.ranks.is_first:
                    # What is kept is what is shown; before, the running statistics do.
                    is_kept = int(row["epoch"]) > schedule.epochs - max(1, schedule.snapshots)
                    shown = settled(learner.average, setup) if is_kept else learner.average
                    callbacks.on_epoch(Epoch(row, shown, functools.partial(save_state, learner, step + 1)))
    return settled(learner.average, setup)


class _History:
    """Sums of an epoch, kept on the device so that no step waits for them."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.sums = torch.zeros(len(setup.net.spec.classes) + 1, device=setup.engine.device)
        self.steps, self.since = 0, time.perf_counter()

    def add(self, loss: Tensor, parts: Tensor) -> None:
        self.sums += torch.cat([loss[None], parts])
        self.steps += 1

    def row(self, step: int, rate: float) -> dict[str, float]:
        """Return the row of the epoch that ends with `step` steps done, and begin the next one."""
        epoch = step // self.setup.epoch_steps
        means = (self.sums / self.steps).tolist()
        if not all(math.isfinite(m) for m in means):
            raise LandscribeError(
                problem("training", "loss is not a number", got=f"epoch {epoch}", do="lower schedule.rate")
            )
        seconds = time.perf_counter() - self.since
        row = {"epoch": float(epoch), "step": float(step), "rate": rate, "loss": means[0], "seconds": seconds}
        row["chips_per_s"] = self.steps * self.setup.chips.batch / seconds
        row |= {f"loss/{name}": mean for name, mean in zip(self.setup.net.spec.classes, means[1:], strict=True)}
        self.sums.zero_()
        self.steps, self.since = 0, time.perf_counter()
        return row
