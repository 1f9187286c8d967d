"""The driver's side: hands items to workers, takes what came of them, and says which worker cannot do the work."""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from landscribe.apart import OF_THE_DISK
from landscribe.errors import DataError, LimitError, problem, some
from landscribe.io.atomic import sweep_partials
from landscribe.io.project import Progress, Project, StageResult, take_outcomes
from landscribe.io.project.batches import Batch, settled_items
from landscribe.io.run.leases import sweep_leases
from landscribe.io.run.runs import Run
from landscribe.scale.ticket import ticket_of
from landscribe.scale.worker import Answer, do_item, look, look_at
from landscribe.workers import stop_if_asked

WAIT_S = 30.0
"""For a worker, where there is none."""
LOOK_S, CENSUS_S = 0.25, 2.0
AHEAD = 3
"""Items that wait at the scheduler, for each worker."""
LEAST_AHEAD = 16
TRIES = 3
"""Of an item whose result was lost on the way."""
GPU = "GPU"


def _nothing_to_mend() -> None:
    """Workers of others are theirs."""


@dataclass(frozen=True)
class Crew:
    """Workers of a Dask scheduler, as a way to make items."""

    on: str
    """What the user said."""
    project: Project
    models: Path | None = None
    gpu: bool = False
    beside: int = 1
    """Workers on one machine."""
    client: Any = None
    mend: Callable[[], None] = _nothing_to_mend
    """Starts workers anew that died as they began, which Dask's nannies give up."""
    ends: bool = True

    def make(self, run: Run, batch: Batch, progress: Progress, at: tuple[str, int], /) -> StageResult:
        """Make the items of a batch on workers; the first that a worker cannot do are done by another."""
        settled, others = settled_items(run, batch)
        if not others:
            return take_outcomes(run, batch.stage, batch.items, settled, progress)
        ticket = ticket_of(self.project, self.models, *at, run.root, beside=self.beside)
        token = run.path(ticket.token)
        token.touch()
        hands = _Hands(self, asdict(ticket), batch.gpu)

        def tell(what: str, done: int, total: int) -> None:
            progress(f"{what}, {len(hands.fit)} workers", done, total)

        try:
            with contextlib.closing(hands.outcomes(do_item, others)) as outcomes:
                result = take_outcomes(run, batch.stage, batch.items, itertools.chain(settled, outcomes), tell)
        finally:
            token.unlink(missing_ok=True)
            sweep_leases(run, batch.stage)
        if hands.has_lost():
            sweep_partials(run.root)
        result.notes += hands.said
        run.write_manifest()
        return result

    def look_at(self, names: Sequence[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Look at scenes on workers, as `check` does; yield them in order."""
        ticket = ticket_of(self.project, self.models, "check", 0, None, beside=self.beside)
        hands, early = _Hands(self, asdict(ticket), gpu=False), dict[str, Callable[[], Any]]()
        with contextlib.closing(hands.outcomes(look_at, names)) as outcomes:
            for name in names:
                while name not in early:
                    item, outcome = next(outcomes)
                    early[item] = outcome
                yield name, early.pop(name)


@dataclass
class _Hands:
    """The workers that can do a batch, as far as is known, and the items that they have."""

    crew: Crew
    ticket: dict[str, Any]
    gpu: bool
    """Whether a GPU helps."""
    fit: dict[str, dict[str, float]] = field(default_factory=dict)
    """Address -> resources."""
    unfit: dict[str, str] = field(default_factory=dict)
    """Address -> why it cannot."""
    said: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    """Addresses of all that could."""
    accused: set[str] = field(default_factory=set)
    """Items whose workers died, which may have been another item's doing: each is tried alone at the end."""
    alone_since: float | None = None

    def outcomes(
        self, work: Callable[..., Answer], names: Sequence[str]
    ) -> Generator[tuple[str, Callable[[], Any]], None, None]:
        """Yield each item, as it is done, with a function that gives what came of it.

        Raises:
            LimitError: If no worker can do the batch, or the scheduler is gone.
        """
        self._await_workers()
        waiting, alone, tries = deque(names), deque[str](), Counter[str]()
        flying: dict[str, tuple[Any, str, frozenset[str] | None]] = {}
        back: SimpleQueue[Any] = SimpleQueue()
        counted = time.monotonic()
        try:
            while waiting or flying or alone:
                if not (waiting or flying):
                    waiting.append(alone.popleft())
                while waiting and len(flying) < max(LEAST_AHEAD, AHEAD * len(self.fit)):
                    item = waiting.popleft()
                    future, where = self._submit(work, item, tries[item])
                    flying[future.key] = future, item, where
                    future.add_done_callback(back.put)
                stop_if_asked()
                if time.monotonic() - counted > CENSUS_S:
                    counted = time.monotonic()
                    self._census()
                    for key in [key for key, (_, _, where) in flying.items() if self._is_stuck(where)]:
                        future, item, _ = flying.pop(key)
                        self._again(item, tries, "its worker is gone")
                        waiting.append(item)
                        future.cancel()
                with contextlib.suppress(Empty):
                    future = back.get(timeout=LOOK_S)
                    if future.key in flying:
                        _, item, _ = flying.pop(future.key)
                        outcome = self._outcome(future, item, tries)
                        if outcome is None:
                            (alone if item in self.accused else waiting).append(item)
                        else:
                            yield item, outcome
        finally:
            if flying and self.crew.client.status == "running":
                with contextlib.suppress(Exception):  # what is left over is not worth a line
                    self.crew.client.cancel([future for future, _, _ in flying.values()])

    def has_lost(self) -> bool:
        """Tell whether a worker went away that had work."""
        self._census()
        return bool(self.seen - set(self.fit))

    def _submit(self, work: Callable[..., Answer], item: str, number: int) -> tuple[Any, frozenset[str] | None]:
        key = f"{self.ticket['stage']}-{item}-{self.ticket['serial'][:12]}-{number}"
        where = frozenset(self.fit) if self.unfit else None
        resources = {GPU: 1} if self.gpu and self._gpus() else None
        with self._scheduler():
            future = self.crew.client.submit(
                work,
                self.ticket,
                item,
                key=key,
                pure=False,
                retries=0,
                workers=sorted(where) if where is not None else None,
                resources=resources,
            )
        return future, where

    def _outcome(self, future: Any, item: str, tries: Counter[str]) -> Callable[[], Any] | None:
        """Return what came of an item, None where it is to be done again."""
        from distributed import KilledWorker

        if future.status == "finished":
            try:
                address, (kind, value) = future.result(timeout=WAIT_S)
            except Exception as error:  # noqa: BLE001  # lost lines, cancelled futures, what cannot be unpacked: again
                self._again(item, tries, str(error) or type(error).__name__)
                return None
            if kind == "unfit":
                self._refuse(address, value)
                tries[item] += 1
                self._require_hope()
                return None
            return partial(_give, kind, value)
        self._require_scheduler()
        if future.status == "error":
            raised = future.exception()
            if isinstance(raised, KilledWorker) and item not in self.accused:
                # Dask blames all that a worker had when it died, whatever it was at.
                self.accused.add(item)
                tries[item] += 1
                return None
            if isinstance(raised, KilledWorker):
                got = f"{raised.last_worker.address if raised.last_worker else 'the last one'} among them"
                died = DataError(problem(item, "every process that worked on it died", got=got))
                return partial(_give, "failed", died)
            self._census(anew=True)
            self._again(item, tries, f"{type(raised).__name__}: {raised}")
            return None
        self._again(item, tries, f"its work was {future.status}")
        return None

    def _again(self, item: str, tries: Counter[str], why: str) -> None:
        self._require_scheduler()
        tries[item] += 1
        if tries[item] > TRIES + len(self.unfit):
            raise LimitError(problem(self.crew.on, f"{item!r} was lost {tries[item]} times", got=why, do="run again"))

    def _await_workers(self) -> None:
        until = time.monotonic() + WAIT_S
        while True:
            self._census()
            if self.fit:
                break
            if time.monotonic() > until:
                do = f"start `dask worker {self.crew.on} --nthreads 1`"
                raise LimitError(problem(self.crew.on, f"no worker in {WAIT_S:.0f} s", do=do))
            stop_if_asked()
            time.sleep(LOOK_S)
        if self.gpu and self.crew.gpu and not self._gpus():
            do = f"start `dask worker {self.crew.on} --nthreads 1 --resources GPU=1` where there is one"
            raise LimitError(problem(self.crew.on, "no worker declares a GPU", got=some(sorted(self.fit)), do=do))

    def _census(self, *, anew: bool = False) -> None:
        """Look which workers there are, and at those that are new."""
        self._require_scheduler()
        with self._scheduler():
            there = self.crew.client.scheduler_info(n_workers=-1)["workers"]
        if len(there) < len(self.seen):
            self.crew.mend()
        self.fit = {} if anew else {address: own for address, own in self.fit.items() if address in there}
        self.unfit = {address: why for address, why in self.unfit.items() if address in there}
        new = [address for address in there if address not in self.fit and address not in self.unfit]
        crowded = [address for address in new if there[address]["nthreads"] > 1]
        for address in crowded:
            self._refuse(address, f"has {there[address]['nthreads']} threads, start it with --nthreads 1")
        asked = [address for address in new if address not in crowded]
        if asked:
            with self._scheduler():
                answers = self.crew.client.run(look, self.ticket, workers=asked, on_error="return")
            for address, why in answers.items():
                if isinstance(why, (ImportError, AttributeError)):
                    self._refuse(address, f"has no Landscribe, or another one: {why}")
                elif isinstance(why, str):
                    self._refuse(address, why)
                elif why is None:
                    self.fit[address] = dict(there[address].get("resources") or {})
                    self.seen.add(address)
        if self.fit:
            self.alone_since = None
            return
        self.alone_since = self.alone_since or time.monotonic()
        self._require_hope()
        if time.monotonic() - self.alone_since > WAIT_S:
            do = "start workers, then run the same again: what is done is kept"
            raise LimitError(problem(self.crew.on, f"no worker is left for {WAIT_S:.0f} s", do=do))

    def _refuse(self, address: str, why: str) -> None:
        self.fit.pop(address, None)
        if address not in self.unfit:
            self.unfit[address] = why
            self.said.append(f"worker {address} was left out: it {why}")

    def _require_hope(self) -> None:
        """Give up where all workers were refused; one that died may come back."""
        if self.unfit and not self.fit and self.seen <= set(self.unfit):
            raise self._nobody()

    def _nobody(self) -> LimitError:
        got = "; ".join(f"{address} {why}" for address, why in list(self.unfit.items())[:5])
        return LimitError(problem(self.crew.on, "no worker can do this", got=got, do="put that right and run again"))

    def _gpus(self) -> bool:
        return any(own.get(GPU) for own in self.fit.values())

    def _is_stuck(self, where: frozenset[str] | None) -> bool:
        return where is not None and not where & set(self.fit)

    def _require_scheduler(self) -> None:
        if self.crew.client.status != "running":
            raise self._gone()

    @contextlib.contextmanager
    def _scheduler(self) -> Iterator[None]:
        try:
            yield
        except (OSError, TimeoutError, RuntimeError) as error:
            if isinstance(error, OSError) and error.errno in OF_THE_DISK:
                raise
            raise self._gone() from error

    def _gone(self) -> LimitError:
        do = "start it and its workers, then run the same again: what is done is kept"
        return LimitError(problem(self.crew.on, "the scheduler is gone", do=do))


def _give(kind: str, value: Any) -> Any:
    if kind == "failed":
        raise value
    return value


def hush() -> None:
    """Keep to themselves what Dask logs of workers that come and go; what matters is said in one line."""
    for name in ("distributed", "tornado", "asyncio", *logging.root.manager.loggerDict):
        if name.startswith(("distributed", "tornado", "asyncio")):
            logging.getLogger(name).setLevel(logging.CRITICAL)
