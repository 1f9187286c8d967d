"""Tables of the recipe about models that are a spectral rule."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from landscribe.core.recipe.values import Name, NonNegative, Positive


class GateTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`gate` of a spectral rule: how much a scene must show for its pixels to count; else the scene has none."""

    above: NonNegative | None = None
    """More than this must be found."""
    up_to: Positive | None = None
    """No more than this may be found."""
    unit: Literal["px", "m2", "share"] = "px"
    """`px` are pixels of the grid that the rule runs on, `share` is a part (0..1) of the scene's valid pixels."""


class SpectralRowTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`rows` of a spectral rule: what differs in some scenes; the first row that names a scene counts."""

    scenes: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Scene ids, with `*` and `?` for any text and any character."""
    index: Name | None = None
    threshold: float | None = None
    side: Literal["above", "below"] | None = None
    gate: GateTable | None = None
    """In place of the rule's own gate; an empty table lets everything pass."""
    empty: bool = False
    """These scenes have none."""


class SwitchTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`switch` of a spectral rule: another threshold for regions whose index goes that low anywhere."""

    below: float
    """Value that the index must fall below in some prepared scene of the region."""
    threshold: float


class SearchTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`search` of a spectral rule: index and threshold with the best pixel Jaccard on the training scenes."""

    indices: Annotated[tuple[Name, ...], Field(min_length=1)]
    low: float = -2.0
    high: float = 2.0
    """Thresholds run from `low` up to, not including, `high`."""
    step: Positive = 0.01
    by: Literal["all", "place", "region"] = "region"
    """`region` is what stands before the first `_` of a scene id, as in DSTL. Scenes of a region without training
    scene, or whose training scenes show nothing of the class, take what is best over all."""
    pick: Literal["pooled", "largest"] = "pooled"
    """`pooled` adds up areas over the scenes of a region; `largest` looks only at the one that shows most of it."""
    truth: tuple[Name, ...] | None = None
    """Classes that count as found; None is the model's own."""

    @model_validator(mode="after")
    def _some_thresholds(self) -> SearchTable:
        if not 1 <= (self.high - self.low) / self.step <= 100_000:
            raise ValueError("low, high and step must give 1 to 100000 thresholds")
        return self


class SpectralTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`spectral` of a model of kind `index`: a pixel is of the class where an index is beyond a threshold."""

    index: Name = "water"
    """Name of a spectral index (docs/spectral.md lists them)."""
    threshold: float = 0.11
    side: Literal["above", "below"] = "above"
    """Strictly above or below; a pixel without a value is of no class."""
    soft: NonNegative = 0.02
    """Width of the slope in index units: the probability is a half at the threshold and 0.73 this far beyond it, so
    that contours can run between pixels; 0 gives a mask of 0 and 1."""
    grid: Literal["reference", "native"] = "reference"
    """`reference`: bands are laid on the reference grid first; `native`: the rule runs on the grid of the coarsest
    sensor it needs, and its result is laid on the reference grid."""
    gate: GateTable = GateTable()
    rows: tuple[SpectralRowTable, ...] = ()
    switch: SwitchTable | None = None
    """Only for scenes that no row names."""
    search: SearchTable | None = None
    """Choose `rows`, `index` and `threshold` on the training scenes; rows of the recipe go first."""

    @property
    def indices(self) -> tuple[str, ...]:
        """All that the rule may look at, each once."""
        own = (self.index,) if self.search is None else self.search.indices
        return tuple(dict.fromkeys((*own, *(row.index for row in self.rows if row.index is not None))))
