"""Table of the recipe about training on with scenes that have no labels."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from landscribe.core.recipe.values import Count, Positive, Share

LEAST_VIEWS = 4
"""Of a scene that is labelled by networks: a single view agrees with itself."""


class AdaptTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[adapt]`: networks are trained on with what they themselves predict of new scenes; see docs/few-labels.md."""

    epochs: Annotated[int, Field(ge=0)] = 0
    """Length of it; 0 leaves it out. Every other step is on labelled chips."""
    steps: Count | None = None
    """Steps of an epoch; None takes those of the model's `schedule`."""
    rate: Positive = 3e-4
    """Learning rate at the beginning; it falls as the model's `schedule.decay` says."""
    scenes: Literal["unlabelled", "new"] = "unlabelled"
    """`unlabelled`: scenes without labels; `new`: held-out scenes too, of which only the pixels are looked at."""
    least: Share = 0.2
    """Pixels count by how certain they are in all classes and how far views and seeds agree, 0..1 each, multiplied;
    those below this do not count."""
    bound: Annotated[float, Field(gt=0.5, le=1)] = 0.98
    """No pixel is taken to be more certain than this, of a class or of its absence."""
