"""The table of the recipe about which scenes are kept out of training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from landscribe.core.recipe.values import Count, Name

Corner = Literal["top-left", "top-right", "bottom-left", "bottom-right"]


class ValidateTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[validate]`: which scenes are kept out of training and scored."""

    split: Literal["place", "named", "dstl-five", "stratified", "random", "corner", "none"] = "place"
    """`place` draws whole places; `named` takes `places` and `scenes` below; `dstl-five` the five images of DSTL's
    fifth place; `stratified` every fourth by area of `classes`; `random` draws by chance alone; `corner` keeps a square
    in a corner of every scene; `none` trains on everything. See docs/validation.md."""
    share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """Of the places, for `place` and `random`."""
    places: tuple[Name, ...] = ()
    """Places kept out, for `named`."""
    scenes: tuple[Name, ...] = ()
    """Scenes kept out, for `named`."""
    classes: tuple[Name, ...] = ()
    """Classes whose area `stratified` goes by; none takes all."""
    train: tuple[Name, ...] = ()
    """Scenes that train in any case, in a split that is drawn or stratified."""
    corner: Corner = "top-left"
    """Which one `corner` keeps."""
    corner_px: Count = 400
    """Side of the square of `corner`, in pixels of the reference."""
    whole_places: bool = True
    """Keep out all scenes of a place that has one kept out. Without, scenes of the same ground may stand on both sides,
    as they did in both DSTL methods; `leak_check` then has to be off too."""
    leak_check: bool = True
    """Refuse to train when a held-out scene shows the ground of a training scene, by footprint or by its looks."""

    @model_validator(mode="after")
    def _possible(self) -> ValidateTable:
        both = sorted(set(self.train) & set(self.scenes))
        if both:
            raise ValueError(f"{both[0]!r} stands in scenes and in train")
        if self.split != "named" and (self.places or self.scenes):
            raise ValueError(f'places and scenes are kept out by split = "named" alone, and it is {self.split!r}')
        return self
