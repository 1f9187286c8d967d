"""The table of a class rule."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from landscribe.core.recipe.values import Count, Name, Names, NonNegative, Positive, Share


class EraseTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`erase` of a rule: ground that one class gives up to another."""

    from_: Names = Field(alias="from")
    """Classes that lose ground; `*` is every class that is not in `by`."""
    by: Names
    """Classes that take it; `*` is every class that is not in `from`."""


class AreaWindowTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`area_window` of a rule: areas from `min` to `max`, both included, or up to but not including `below`."""

    min: NonNegative = 0.0
    max: Positive | None = None
    above: NonNegative | None = None
    """More than this."""
    below: Positive | None = None
    """Less than this."""


class VoteTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`vote` of a rule: ground that enough of several sources agree on."""

    sources: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Classes that were predicted independently of each other."""
    at_least: Count
    """How many of them must cover the ground."""


class RuleTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[[rules]]`: one declared step on features; exactly one action per row (see docs/rules.md)."""

    classes: Names = "*"
    """Classes the rule works on, `*` for all; `erase` and `vote` name their own."""
    places: tuple[Name, ...] | None = None
    """Only scenes of these places; None takes all."""
    scenes: tuple[Name, ...] | None = None
    """Only these scenes; None takes all."""
    unit: Literal["ground", "px"] = "ground"
    """Unit of lengths and areas: `ground` is metres (pixels without a CRS), `px` pixels of the reference."""
    erase: EraseTable | None = None
    """Cut one class out of others."""
    clip: Names | None = None
    """Keep only what lies in these classes, or in the scene with `clip = "scene"`."""
    vote: VoteTable | None = None
    """Replace the one class in `classes` by the ground that k of n sources agree on."""
    drop_small: Positive | None = None
    """Drop polygons with a smaller area."""
    fill_holes: Positive | None = None
    """Fill holes with a smaller area."""
    area_window: AreaWindowTable | tuple[AreaWindowTable, ...] | None = None
    """Drop polygons with an area outside of the window, or outside of all of several windows."""
    min_score: Share | None = None
    """Drop polygons with a lower score; those without a score stay."""
    keep_largest: Count | None = None
    """Keep only this many polygons of each class in each scene, the largest ones."""
    buffer: float | None = None
    """Move outlines outwards, or inwards with a negative length."""
    open: Positive | None = None
    """Remove what is narrower than twice this length."""
    close: Positive | None = None
    """Close gaps and holes narrower than twice this length."""
    simplify: Positive | None = None
    """Leave out vertices as long as no outline moves by more than this length."""
    merge_touching: Literal[True] | None = None
    """Join polygons of a class that touch or overlap."""

    @model_validator(mode="after")
    def _one_action(self) -> RuleTable:
        given = [name for name in RULE_ACTIONS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"needs exactly one action of {' | '.join(RULE_ACTIONS)}, has {' and '.join(given) or 'none'}"
            )
        if self.buffer is not None and (self.buffer == 0 or not math.isfinite(self.buffer)):
            raise ValueError("buffer must be a length above or below 0")
        if self.erase is not None and self.classes != "*":
            raise ValueError("erase names its classes itself, in from and by")
        if self.vote is not None and (self.classes == "*" or len(name_list(self.classes)) != 1):
            raise ValueError("vote needs the one class it makes in classes")
        if self.vote is not None and self.vote.at_least > len(self.vote.sources):
            raise ValueError(f"vote has {len(self.vote.sources)} sources and wants {self.vote.at_least} of them")
        return self

    @property
    def action(self) -> str:
        """Name of the one action."""
        return next(name for name in RULE_ACTIONS if getattr(self, name) is not None)


RULE_ACTIONS = tuple(name for name in RuleTable.model_fields if name not in ("classes", "places", "scenes", "unit"))


def name_list(names: Names) -> tuple[str, ...]:
    """Return one name or several as several."""
    return (names,) if isinstance(names, str) else names
