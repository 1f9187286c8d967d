"""Aligning the sensors of a scene one after the other, finest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from landscribe.core.recipe import PrepareTable
from landscribe.core.register.ecc import estimate_ecc, estimate_ecc_green
from landscribe.core.register.move import NOT_ASKED, REFERENCE, Move, Source, judge_move, move_grid

ESTIMATORS: dict[str, Callable[[Source, list[Source]], Move]] = {
    "ecc": estimate_ecc,
    "ecc-green": estimate_ecc_green,
}


def align_scene(sources: Iterable[Source], table: PrepareTable) -> dict[str, Move]:
    """Estimate the move of every sensor of a scene against the first one.

    Finer sensors come first, since the coarser ones are compared with them.

    Args:
        sources: The reference first.
        table: Method and limits.

    Returns:
        A move for each sensor by name, with its decision.
    """
    reference, *others = sources
    moves = {reference.name: Move(decision=REFERENCE)}
    if table.align == "none":
        return moves | {source.name: Move(decision=NOT_ASKED) for source in others}
    aligned = [reference]
    for source in sorted(others, key=lambda s: pixel_size(s, reference)):
        move = judge_move(ESTIMATORS[table.align](source, aligned), table.max_shift_px)
        moves[source.name] = move
        if move.is_applied:
            aligned.append(replace(source, grid=move_grid(source.grid, reference.grid, move)))
    return {name: moves[name] for name in (reference.name, *(source.name for source in others))}


def pixel_size(source: Source, reference: Source) -> float:
    """Return the side of a sensor's pixel in pixels of the reference."""
    return float(abs(source.grid.pixel_map(reference.grid).determinant) ** 0.5)
