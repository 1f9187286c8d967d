"""What a stage does item by item, so that the same work can be done here, as a part, or by a worker elsewhere."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias

from landscribe.errors import BAD_FILE, RecipeError, problem
from landscribe.io.project import Progress, StageResult, is_current, make_noted, silent, take_outcomes
from landscribe.io.run.leases import Leases
from landscribe.io.run.runs import Made, Run
from landscribe.workers import abreast, scenes_at_once, usable_processors

Outcome: TypeAlias = tuple[bool, list[str]]
"""Whether an item was made, and what is to be said of that."""


def _itself(item: str) -> str:
    return item


@dataclass(frozen=True)
class Batch:
    """What a stage does item by item."""

    stage: str
    """Of the records."""
    items: tuple[str, ...]
    key_of: Callable[[str], str]
    """Digest of everything an item depends on."""
    make: Callable[[str, int], Made]
    """Does the work on an item with so many threads."""
    need_bytes: Callable[[str], int] | None = None
    """Memory that an item takes; without, one item is made at a time."""
    beside: str = ""
    """What the items are called where they are not the stage's own."""
    inner: bool = False
    """The stage does not tell of these items."""
    whole: bool = False
    """What comes next needs all of them: a part makes, shared with others, all of them."""
    pieces: bool = False
    """Items are pieces of scenes: a part makes, shared with others, all those of scenes that it may take."""
    tells: bool = False
    """`make` tells of its progress by itself."""
    gpu: bool = False
    """A GPU helps."""
    scene_of: Callable[[str], str] = _itself
    """The scene that an item belongs to."""


Ending: TypeAlias = Callable[[StageResult], None]
"""Writes what all items share, and adds to the result what is to be said."""
Work: TypeAlias = Generator[Batch, StageResult, Ending]
"""A stage: yields its batches, gets what became of each, and returns its ending. It only reads until then."""


Looks: TypeAlias = Callable[[Sequence[str]], Iterator[tuple[str, Callable[[], Any]]]]
"""Looks at scenes elsewhere: yields each, in order, with a function that gives what was seen."""


class Way(Protocol):
    """How the items of a batch are made."""

    @property
    def ends(self) -> bool:
        """Whether the ending follows."""
        ...

    @property
    def look_at(self) -> Looks | None:
        """Looks at scenes, as `check` does; None for here."""
        ...

    def make(self, run: Run, batch: Batch, progress: Progress, at: tuple[str, int], /) -> StageResult:
        """Make the items of a batch, which is that of a stage, by its place from 0 among the stage's batches."""
        ...


@dataclass(frozen=True)
class Here:
    """All items, in threads of this process."""

    ends: bool = True
    look_at: Looks | None = None

    def make(self, run: Run, batch: Batch, progress: Progress, _at: tuple[str, int], /) -> StageResult:
        """Make the items of a batch."""
        settled, others = settled_items(run, batch)
        at_once, threads = _room_for(batch, others)

        def work(item: str) -> Outcome:
            return make_noted(run, batch.stage, item, batch.key_of, lambda item: batch.make(item, threads))

        told = silent if batch.tells else progress
        with abreast(work, others, at_once) as outcomes:
            result = take_outcomes(run, batch.stage, batch.items, itertools.chain(settled, outcomes), told)
        run.write_manifest(unless_there=not (result.made or result.failed))
        return result


HERE = Here()


@dataclass(frozen=True)
class Part:
    """Some of the items, beside other processes that make others."""

    leases: Leases
    number: int = 1
    """Counts from 1."""
    count: int = 1
    only: frozenset[str] = frozenset()
    """Scenes; empty for all."""
    ends: bool = False
    look_at: Looks | None = None

    def takes(self, batch: Batch, item: str) -> bool:
        """Tell whether an item belongs to this part: by its name alone, so that parts stay as scenes are added."""
        if batch.whole:
            return True
        if self.only and batch.scene_of(item) not in self.only:
            return False
        return batch.pieces or part_of(item, self.count) == self.number

    def of_others(self) -> list[str]:
        """Say which of the scenes that were named belong to other parts."""
        homes = {scene_id: part_of(scene_id, self.count) for scene_id in sorted(self.only)}
        return [f"{i} belongs to part {own}/{self.count}" for i, own in homes.items() if own != self.number]

    def make(self, run: Run, batch: Batch, progress: Progress, _at: tuple[str, int], /) -> StageResult:
        """Make the items of this part; what another process works on is waited for."""
        names = [item for item in batch.items if self.takes(batch, item)]
        at_once, threads = _room_for(batch, names)

        def make(item: str) -> Outcome:
            return make_noted(run, batch.stage, item, batch.key_of, lambda item: batch.make(item, threads))

        def unless_taken(item: str) -> Outcome | None:
            if self.leases.is_taken(batch.stage, item):
                return None
            try:
                return make(item)
            finally:
                self.leases.give(batch.stage, item)

        def once_free(item: str) -> Outcome:
            with self.leases.waited_for(batch.stage, item):
                return make(item)

        def outcomes() -> Iterator[tuple[str, Callable[[], Outcome]]]:
            taken = []
            with abreast(unless_taken, names, at_once) as first:
                for item, outcome in first:
                    own = _settled(outcome)
                    if own is None:
                        taken.append(item)
                    else:
                        yield item, own
            with abreast(once_free, taken, at_once) as later:
                yield from later

        return take_outcomes(run, batch.stage, names, outcomes(), silent if batch.tells else progress)


def carry_out(run: Run, stage: str, work: Work, progress: Progress = silent, way: Way = HERE) -> StageResult:
    """Do a stage.

    Args:
        run: The run folder.
        stage: Its name.
        work: Its batches and its ending.
        progress: Told of each item.
        way: How items are made.

    Raises:
        LandscribeError: If every item of a batch failed, with all reasons; a full disk stops at once.
    """
    result = StageResult(stage)
    own: StageResult | None = None
    for number in itertools.count():
        try:
            batch = next(work) if own is None else work.send(own)
        except StopIteration as over:
            ending: Ending = over.value
            break
        told = silent if batch.inner and not batch.items else progress
        if not (batch.inner or batch.beside):
            told = _in_words_of(stage, batch.stage, told)
        own = way.make(run, batch, told, (stage, number))
        result.notes += [note for note in own.notes if note not in result.notes]
        if batch.beside:
            result.add(own, batch.beside)
        elif not batch.inner:
            result.made += own.made
            result.current += own.current
            result.failed |= own.failed
            result.damaged += own.damaged
    if way.ends:
        ending(result)
    return result


def _in_words_of(stage: str, of_records: str, progress: Progress) -> Progress:
    """Tell of items by the name of the stage where records have another."""

    def tell(what: str, done: int, total: int) -> None:
        progress(stage + what.removeprefix(of_records) if what.startswith(of_records) else what, done, total)

    return progress if stage == of_records else tell


def settled_items(run: Run, batch: Batch) -> tuple[list[tuple[str, Callable[[], Outcome]]], list[str]]:
    """Return the items that are up to date, with that for an outcome, and the others."""
    settled: list[tuple[str, Callable[[], Outcome]]] = []
    others: list[str] = []
    for item in batch.items:
        if is_current(run, batch.stage, item, batch.key_of):
            settled.append((item, _nothing_done))
        else:
            others.append(item)
    return settled, others


def part_of(item: str, count: int) -> int:
    """Return the part of so many, from 1, that an item belongs to."""
    return int.from_bytes(hashlib.sha256(item.encode()).digest()[:8], "big") % count + 1


def read_part(text: str) -> tuple[int, int]:
    """Read `K/N`.

    Raises:
        RecipeError: If it is none.
    """
    number, slash, count = text.partition("/")
    if not (slash and number.isascii() and number.isdigit() and count.isascii() and count.isdigit()):
        raise RecipeError(problem("--part", "no part", got=repr(text), need="K/N, such as 3/100"))
    if not int(count):
        raise RecipeError(problem("--part", "parts of nothing", got=text, need="K/N, such as 3/100"))
    if not 1 <= int(number) <= int(count):
        raise RecipeError(problem("--part", "no such part", got=text, need=f"1/{count} to {count}/{count}"))
    return int(number), int(count)


def _room_for(batch: Batch, items: list[str] | tuple[str, ...]) -> tuple[int, int]:
    """Return how many of the items to make at once, and how many threads each may have."""
    if batch.need_bytes is None:
        return 1, usable_processors()
    return scenes_at_once(len(items), max(map(batch.need_bytes, items), default=0))


def _nothing_done() -> Outcome:
    return False, []


def _settled(outcome: Callable[[], Outcome | None]) -> Callable[[], Outcome] | None:
    """Wait for an outcome, or for what makes its item fail; None where another process is at it."""
    try:
        value = outcome()
    except (OSError, *BAD_FILE) as error:
        return partial(_raise, error)
    return None if value is None else partial(_itself_again, value)


def _itself_again(value: Outcome) -> Outcome:
    return value


def _raise(error: Exception) -> Outcome:
    raise error
