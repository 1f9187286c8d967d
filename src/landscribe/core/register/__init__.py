"""The shift between two sensors of one scene, with a score that says how far to trust it."""

from landscribe.core.register.align import align_scene, alone, fall_back
from landscribe.core.register.ecc import estimate_ecc, estimate_ecc_green
from landscribe.core.register.fit import estimate_fit, looks_flipped
from landscribe.core.register.move import Move, Source, correction, judge_move, move_grid

__all__ = [
    "Move",
    "Source",
    "align_scene",
    "alone",
    "correction",
    "estimate_ecc",
    "estimate_ecc_green",
    "estimate_fit",
    "fall_back",
    "judge_move",
    "looks_flipped",
    "move_grid",
]
