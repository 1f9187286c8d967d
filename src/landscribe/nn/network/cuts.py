"""What a decoder computes of each level where only a part of the logits is wanted."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

Span = tuple[int, int]
"""First and after the last."""


@dataclass(frozen=True)
class LevelCut:
    """What the decoder computes of one level; spans of rows, then of columns."""

    near: tuple[Span, Span]
    """Of the level's skip, what the decoder looks at."""
    offset_hw: tuple[int, int]
    """Where that begins on the upsampled grid of what comes from below."""
    wanted: tuple[Span, Span]
    """Of that, what goes up."""


@dataclass(frozen=True)
class Cuts:
    """What the decoder computes of each level where only a part of the logits is wanted."""

    lowest: tuple[Span, Span]
    levels: tuple[LevelCut, ...]
    """The highest first."""
    keep: tuple[Span, Span]
    """Of the logits that come out, those that are wanted."""
    yields: tuple[tuple[Span, Span], ...]
    """Of each level, what the decoder yields there, the highest first; the last is `lowest`."""

    @property
    def strip(self) -> Strip:
        """All rows as one strip."""
        (top, bottom), (left, right) = self.yields[1]
        return Strip(((0, bottom - top), (0, right - left)), self.levels[0], self.keep)


@dataclass(frozen=True)
class Strip:
    """Some rows of the logits, and what the highest level of the decoder computes for them."""

    below: tuple[Span, Span]
    """Of what the level below yields for all rows, what is looked at."""
    level: LevelCut
    keep: tuple[Span, Span]
    """Of the logits that come out, those that are wanted."""


def cut(x: Tensor, rows: Span, cols: Span) -> Tensor:
    """Return some rows and columns of (B, C, h, w)."""
    height, width = x.shape[-2:]
    if (*rows, *cols) == (0, height, 0, width):
        return x
    # Negative padding instead of a slice: the gradient of a slice is channels-first, which slows all layers before it.
    return functional.pad(x, (-cols[0], cols[1] - width, -rows[0], rows[1] - height))
