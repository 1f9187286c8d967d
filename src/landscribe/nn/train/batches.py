"""Batches cut in the background, a few ahead of the step that takes them, and cut into pieces."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from landscribe.nn.train.chips import Chips, cut_chips, draw_plan, weighted
from landscribe.nn.train.hard import NONE_YET, HardChips
from landscribe.nn.train.losses import frame_of
from landscribe.nn.train.ranks import share_of
from landscribe.nn.train.setup import Setup
from landscribe.workers import result_of, thread_pool

AHEAD = 2
"""Batches that are being cut while a step runs."""


@contextlib.contextmanager
def cut_ahead(setup: Setup, hard: HardChips | None, done: int) -> Iterator[Iterator[Chips]]:
    """Yield this process's part of each batch of a run, in the order of its steps.

    None is cut ahead of the end of an epoch, since hard chips follow from all of its losses.

    Args:
        setup: The run.
        hard: Told where chips lie, and asked for the worst of the epoch before; None where the recipe wants none.
        done: Steps that an earlier run has taken.
    """
    device = setup.bank.device

    def in_order(pool: ThreadPoolExecutor) -> Iterator[Chips]:
        waiting: collections.deque[Future[Chips]] = collections.deque()
        for step in range(done, setup.total_steps):
            waiting.append(pool.submit(cut_batch, setup, hard, step))
            while waiting and (len(waiting) > AHEAD or (step + 1) % setup.epoch_steps == 0):
                yield result_of(waiting.popleft()).to(setup.engine.device)

    with thread_pool(AHEAD if device.type == "cpu" else 1, "chips") as pool:
        yield in_order(pool)


def cut_batch(setup: Setup, hard: HardChips | None, step: int) -> Chips:
    """Cut this process's part of a batch; the whole of it is drawn in each, so that it is the same for any count.

    Args:
        setup: The run.
        hard: As `cut_ahead` has it.
        step: Counted from 0 over the whole run.
    """
    soft = setup.soft if step % 2 else None
    bank, table = soft or setup.bank, setup.chips
    plan = draw_plan(bank, table, setup.seed, step, NONE_YET if hard is None else hard.worst)
    if hard is not None:
        hard.place(step, plan.scene_b, plan.map_b6)
    share = share_of(setup.ranks, table.batch)
    batch = cut_chips(bank, table, plan.part(share), frame=frame_of(setup.loss), first=share.start)
    batch = batch if soft is None else weighted(batch)
    return batch.pinned() if setup.engine.device.type == "cuda" and bank.device.type == "cpu" else batch


def split_chips(batch: Chips, count: int) -> list[Chips]:
    """Cut a batch into `count` pieces, or as many as it has chips."""
    n = len(batch.target)
    count = min(count, n)
    return [batch.part(slice(n * i // count, n * (i + 1) // count)) for i in range(count)]
