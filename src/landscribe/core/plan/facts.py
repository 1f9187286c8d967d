"""What a plan is made from: facts of labels and imagery, and how fast this machine is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ClassFacts:
    """One class in the labelled scenes."""

    share: float
    """Of the labelled ground, 0..1."""
    near: float
    """Share of cells as large as what a chip is learned from that show some of it, 0..1."""
    width_px: float
    """Twice area by perimeter: about how wide its objects are, in pixels of the reference; 0 where there are none."""
    count: int
    """Polygons."""


@dataclass(frozen=True)
class Facts:
    """Labels and imagery of a recipe."""

    scenes: int
    """With labels."""
    places: int
    """Of these scenes."""
    unlabelled: int
    """Scenes that are only predicted."""
    side_px: int
    """Shorter side of the smallest labelled scene, in pixels of the reference."""
    train_px: float
    """Labelled pixels of the scenes that train."""
    all_px: float
    """Pixels that are predicted."""
    held_px: float
    """Pixels of scenes that are held out."""
    covered: float
    """Share of the labelled ground that is of some class, 0..1."""
    overlap: float
    """Sum of the areas of all classes over the area of all together, less 1: 0 where no two share ground."""
    store_bytes: float
    """What the labelled scenes take in memory."""
    no_encoder: str = ""
    """Why no encoder with weights can be had; nothing where one can."""
    gpu: bool = False
    classes: Mapping[str, ClassFacts] = field(default_factory=dict)


@dataclass(frozen=True)
class Pace:
    """How fast this machine is with one network, measured for a few seconds."""

    step_s: float
    """Seconds of a training step."""
    mpx_s: float
    """Seconds of predicting a million pixels in one view."""
    memory_bytes: int
    """Of the process at its largest, or of the GPU; 0 where nobody can tell."""


@dataclass(frozen=True)
class Cost:
    """What one row of `[[models]]` takes."""

    name: str
    networks: int
    """Of all seeds, and of folds."""
    steps: int
    """Of each, those with labels of its own among them."""
    pace: Pace
    train_s: float
    """Of all of them."""
    predict_s: float
    memory_bytes: float
    """At its largest, with the scenes."""


@dataclass(frozen=True)
class Choice:
    """A setting of a recipe, and why."""

    key: tuple[str | int, ...]
    """Tables, numbers of list items, and the setting."""
    value: object
    why: str

    @property
    def name(self) -> str:
        """The setting as `--set` names it."""
        return ".".join(map(str, self.key))
