"""Aligning the sensors of a scene one after the other, finest first."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from landscribe.core.recipe import PrepareTable
from landscribe.core.register.ecc import estimate_ecc, estimate_ecc_green
from landscribe.core.register.fit import estimate_fit, similarity
from landscribe.core.register.move import MEDIAN, NOT_ASKED, REFERENCE, Move, Source, judge_move, move_grid


def _estimate(moved: Source, aligned: list[Source], table: PrepareTable) -> Move:
    if table.align == "ecc":
        return estimate_ecc(moved, aligned, table.ecc_limit_s)
    if table.align == "ecc-green":
        return estimate_ecc_green(moved, aligned, table.ecc_limit_s)
    return estimate_fit(moved, aligned, table.max_shift_px, affine=table.align_model == "affine")


def alone(name: str) -> dict[str, Move]:
    """Return what `align_scene` finds of a scene of one sensor."""
    return {name: Move(decision=REFERENCE)}


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
    moves = alone(reference.name)
    if table.align == "none":
        return moves | {source.name: Move(decision=NOT_ASKED) for source in others}
    aligned = [reference]
    for source in sorted(others, key=lambda s: pixel_size(s, reference)):
        move = judge_move(_estimate(source, aligned, table), table.max_shift_px)
        moves[source.name] = move
        if move.is_applied:
            aligned.append(replace(source, grid=move_grid(source.grid, reference.grid, move)))
    return {name: moves[name] for name in (reference.name, *(source.name for source in others))}


def fall_back(
    sources: Iterable[Source], moves: Mapping[str, Move], neighbours: Mapping[str, Sequence[Move]]
) -> dict[str, Move]:
    """Give a sensor without a shift of its own the median of its place, where that makes it more alike.

    Args:
        sources: The reference first.
        moves: What `align_scene` found.
        neighbours: Of each sensor, the applied moves of the other scenes of the place.

    Returns:
        All moves; those of sensors with a shift of their own are as before.
    """
    reference, *others = sources
    found, aligned = dict(moves), [reference]
    for source in sorted(others, key=lambda s: pixel_size(s, reference)):
        move, others_px = moves[source.name], neighbours.get(source.name, ())
        if move.is_lost and others_px:
            row, col = (statistics.median(getattr(m, axis) for m in others_px) for axis in ("row_px", "col_px"))
            before = similarity(source, aligned)
            tried = Move(row, col, spread=move.spread, before=before, decision=MEDIAN)
            moved = replace(source, grid=move_grid(source.grid, reference.grid, tried))
            after = similarity(moved, aligned)
            if before is not None and after is not None and after > before:
                move = found[source.name] = replace(tried, score=after)
        if move.is_applied:
            aligned.append(replace(source, grid=move_grid(source.grid, reference.grid, move)))
    return found


def pixel_size(source: Source, reference: Source) -> float:
    """Return the side of a sensor's pixel in pixels of the reference."""
    return float(abs(source.grid.pixel_map(reference.grid).determinant) ** 0.5)
