"""The table of the recipe about training chips: what they are, where they lie, how they are changed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from landscribe.core.recipe.values import Count, Name, NonNegative, Share


class ChipTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`chips` of a model: training crops of the reference grid."""

    size: Annotated[int, Field(ge=16, le=4096)] = 128
    """Side of what the network sees, in reference pixels."""
    context: Annotated[int, Field(ge=0, le=1024)] = 16
    """Frame on each side that is seen but not learned from."""
    batch: Count = 16
    """Chips of a step."""
    rotate_deg: Annotated[float, Field(ge=0, le=180)] = 180.0
    """Angles are uniform in plus or minus this."""
    flips: bool = True
    """Rows and columns are each reversed in half of the chips."""
    edges: Literal["mirror", "inside"] = "mirror"
    """`mirror`: chips are centred on any labelled pixel, and what lies beyond a scene's edge is mirrored; `inside`: as
    in both DSTL methods they lie wholly within the scene, however they are turned."""
    sharp: Share = 0.5
    """Share of chips that are flipped and turned by quarters only, along whole pixels: interpolation blurs the others,
    and what a network predicts is not blurred."""
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Zoom is uniform in 1 plus or minus this."""
    gain: NonNegative = 0.1
    """Standard deviation of a brightness factor common to all bands."""
    band_gain: NonNegative = 0.05
    """Standard deviation of a factor drawn for each band."""
    band_contrast: NonNegative = 0.0
    """Standard deviation of a factor drawn for each band on its distance from the band's mean: the channel noise of
    the first DSTL method, which came after standardisation."""
    band_offset: NonNegative = 0.0
    """Standard deviation of a shift drawn for each band, in standard deviations of the band's values: haze, hue."""
    balance: Literal["scene", "area"] = "scene"
    """`scene`: every scene gives as many chips, as in both DSTL methods; `area`: every labelled pixel is as likely."""
    sensor_dropout: dict[Name, Share] = {}
    """Share of chips that go without a sensor, by sensor, `{ A = 0.3 }`; no chip goes without all of them."""
    oversample: Share = 0.3
    """Share of chips made to hold a pixel of a class drawn evenly among the classes; the others hold one as often as
    chance will have it."""
    hard: Share = 0.0
    """Share of chips, from the second epoch on, that are centred where a chip of the last epoch was among the eighth
    with the largest cross entropy, turned and flipped anew; of the others `oversample` holds."""
    strength: Share = 0.0
    """How far changes of colour and zoom go from what the settings here say, at 0, to strong ones, at 1; a setting that
    is stronger already stays. docs/augmentation.md has the numbers. `match` and `cutmix` are asked for apart."""
    gamma: NonNegative = 0.0
    """Standard deviation of the logarithm of an exponent on brightness, from the 1st percentile of a band to its 99th;
    common to all bands, and half as much drawn for each band."""
    saturation: NonNegative = 0.0
    """Standard deviation of a factor on what sets the bands of a sensor apart: their distance, in standard deviations,
    from the mean of all of them."""
    haze: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    """Largest share of a veil as bright as each band's 99th percentile; drawn evenly from none to this."""
    blur: Annotated[float, Field(ge=0, le=4)] = 0.0
    """Largest standard deviation of a blur, in reference pixels; half of the chips have none, for the others it is
    drawn evenly from 0 to this."""
    noise: NonNegative = 0.0
    """Largest standard deviation of noise in each pixel, in standard deviations of the band; half of the chips have
    none, for the others it is drawn evenly from 0 to this."""
    match: Share = 0.0
    """Share of chips whose scene takes the colours of another scene: its quantiles, band by band, are moved a part of
    the way to those of a scene drawn by chance, in all bands and sensors alike."""
    match_scenes: Literal["all", "train"] = "all"
    """Whose colours those may be: of every scene of the recipe, those without labels and those that are held out
    included, of which nothing but their pixels is looked at; or of training scenes alone."""
    cutmix: Share = 0.0
    """Share of chips of which a rectangle, a tenth to a half of the chip, is replaced by that of another chip of the
    batch, pixels and labels alike."""

    @property
    def strong(self) -> ChipTable:
        """The same with `strength` worked into the settings that it is about."""
        if not self.strength:
            return self
        own = {key: getattr(self, key) for key in STRONG}
        moved = {key: own[key] + self.strength * max(0.0, most - own[key]) for key, most in STRONG.items()}
        return self.model_copy(update=moved | {"strength": 0.0})

    @model_validator(mode="after")
    def _require_another_chip(self) -> ChipTable:
        if self.cutmix and self.batch == 1:
            raise ValueError("cutmix needs batch = 2 or more: a chip takes from another one")
        return self


STRONG = {
    "scale": 0.3, "band_contrast": 0.2, "band_offset": 0.3, "gamma": 0.3, "saturation": 0.3, "haze": 0.3, "blur": 1.0,
    "noise": 0.15,
}  # fmt: skip
"""What `chips.strength = 1` gives, in spreads and ranges of the bands. Factors on whole numbers stay as they are: raw
imagery begins far above 0, and a factor throws it out of its range. A change here wants a new `FORMAT` of `train`."""
LATER = (
    "strength", "gamma", "saturation", "haze", "blur", "noise", "match", "match_scenes", "cutmix",
)  # fmt: skip
"""Settings that older runs knew nothing of; at their defaults they change nothing."""
