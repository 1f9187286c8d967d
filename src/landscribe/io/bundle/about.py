"""What a bundle says of itself, `bundle.json`: what goes in, what comes out, thresholds, and what is replayed."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from landscribe.core.legend import LandClass, Legend
from landscribe.errors import IntegrityError, problem
from landscribe.io.bundle.archive import Bundle, read_member

ABOUT, RECIPE, ITEM, README = "bundle.json", "recipe.toml", "item.json", "README.md"
GRAPH, DEEPNESS, MODELS, REPLAY = "model.onnx", "deepness-{}.onnx", "models", "replay"
FORMAT = 1


class ClassRow(BaseModel, frozen=True, extra="forbid", strict=True):
    """A class, in the order of channels."""

    id: int
    name: str
    colour: str
    countable: bool
    threshold: float
    """Polygons are made of pixels at or above it."""
    smallest_byte: int
    """The smallest of 0..255 that is."""


class InputRow(BaseModel, frozen=True, extra="forbid", strict=True):
    """An input of `model.onnx`: float32 (n, bands, height / step, width / step), NaN where there are no data."""

    name: str
    sensor: str
    kind: str
    bands: tuple[str, ...]
    bits: int
    step: int
    """Reference pixels on a side that are one of its pixels."""
    resample: str
    """How a sensor with a grid of its own is laid on the reference grid: `linear` or `cubic`."""
    pixels: float
    """Size of the sensor's own pixels in those of the reference."""
    types: tuple[str, ...]
    """Pixel types that networks were trained on."""


class ReplayRow(BaseModel, frozen=True, extra="forbid", strict=True):
    """What `landscribe verify` predicts again."""

    scene: str
    place: str
    rasters: dict[str, str]
    """Sensor -> file, the reference first."""
    probability: str
    polygons: str


class DeepnessRow(BaseModel, frozen=True, extra="forbid", strict=True):
    """How Deepness is fed."""

    tile: int
    overlap_percent: int
    files: dict[str, str]
    """Class -> file."""


class About(BaseModel, frozen=True, extra="forbid", strict=True):
    """`bundle.json`."""

    format: int
    name: str
    classes: tuple[ClassRow, ...]
    inputs: tuple[InputRow, ...]
    outputs: dict[str, str]
    """Name -> what it is."""
    reference: str
    """Sensor whose grid all others are laid on."""
    divisor: int
    """Height and width of what the graph sees are multiples of it, at least twice it."""
    context: int
    """Pixels by which a scene is mirrored at its edges."""
    radius: int
    """Pixels around one that reach it: what a tile has to overlap by on each side."""
    pixel_m: float | None
    """Side of a reference pixel in metres; none without a CRS."""
    patch: int | None
    step: int | None
    """Prediction in patches of this side, each with its context and nothing more, at this distance; none for tiles."""
    empty_edges: tuple[str, ...]
    """Classes of which nothing is predicted within the context of a scene's edge."""
    deepness: DeepnessRow | None
    without_deepness: str = Field(default="")
    """Why there is no file for Deepness, where there is none."""
    replay: ReplayRow

    @property
    def legend(self) -> Legend:
        """Its classes."""
        return Legend(tuple(LandClass(c.id, c.name, c.colour, c.countable) for c in self.classes))

    def to_json(self) -> str:
        """Return the text of the file."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_about(bundle: Bundle) -> About:
    """Return what a bundle says of itself.

    Raises:
        IntegrityError: If it says it in another way.
    """
    where = f"{bundle.path}: {ABOUT}"
    content = read_member(bundle, ABOUT)
    try:
        version: Any = json.loads(content)["format"]
    except (ValueError, RecursionError, TypeError, KeyError):
        raise IntegrityError(problem(where, "damaged")) from None
    if version != FORMAT:
        do = "use the Landscribe that made it, or export again"
        raise IntegrityError(problem(where, "of another version", got=str(version)[:20], need=FORMAT, do=do))
    try:
        return About.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        got = f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}"
        raise IntegrityError(problem(where, "says something else than a bundle does", got=got)) from None
