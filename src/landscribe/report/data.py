"""What a report is made of: plain values, gathered by the stage, rendered by the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from landscribe.core.arrays import FloatArray
from landscribe.core.ground import Ground
from landscribe.core.legend import Legend
from landscribe.core.score.score import Score
from landscribe.report.flicker import Flicker


@dataclass(frozen=True)
class ClassLayer:
    """One class drawn on one scene: SVG path data in quarters of a picture pixel; empty where there is nothing."""

    name: str
    predicted: str = ""
    """Outlines of the prediction."""
    truth: str = ""
    """Outlines of the truth."""
    found: str = ""
    """Ground in both."""
    invented: str = ""
    """Ground predicted and not true."""
    missed: str = ""
    """Ground true and not predicted."""


@dataclass(frozen=True)
class SceneView:
    """One scene as it is shown."""

    id: str
    place: str
    split: str
    """`validate`, `train`, `unlabelled`, or empty where nobody said."""
    picture: bytes
    """WebP."""
    height: int
    """Of the picture, in its pixels."""
    width: int
    layers: tuple[ClassLayer, ...] = ()
    simplified_px: float = 0.0
    """Largest move of a drawn line, in pixels of the picture, to keep the page small."""
    shrink: int = 1
    """Scene pixels along one side of a picture pixel."""
    bands: tuple[str, ...] = ()
    """Bands shown as red, green, blue."""


@dataclass(frozen=True)
class ThresholdCurve:
    """What would have come out of one class at other thresholds, and whether its probabilities mean what they say."""

    name: str
    thresholds: FloatArray
    """(T,), 0..1."""
    jaccard: FloatArray
    """(T,), on pixels, NaN where nothing is predicted and nothing true."""
    chosen: float
    """Threshold of the run."""
    said: FloatArray
    """(B,), mean probability of the pixels in a bin."""
    true: FloatArray
    """(B,), share of those pixels that are truth."""


@dataclass(frozen=True)
class Unlike:
    """How unlike training a scene is, or several."""

    name: str
    mixture: float
    """Share of the labelled ground that would have to change class, 0..1; NaN where nothing is labelled."""
    looks: float
    """Distance of mean brightness in standard deviations of training pixels; NaN where it cannot be said."""


@dataclass(frozen=True)
class LabelEvidence:
    """What the labels say, and where they may say nothing."""

    scored: Mapping[str, Ground] = field(default_factory=dict)
    """Class -> ground of the scenes that validate, in pixels."""
    trained: Mapping[str, Ground] = field(default_factory=dict)
    """The same of the scenes that train."""
    pixels: Mapping[str, float] = field(default_factory=dict)
    """Labelled scene -> labelled pixels."""
    untouched: tuple[str, ...] = ()
    """Scenes in which a label file that scenes share has nothing."""
    one_sided: Mapping[str, float] = field(default_factory=dict)
    """Scenes of such a file -> the largest part that it leaves empty on one side."""
    taken_for_empty: tuple[str, ...] = ()
    """Scenes without a label file that count as empty."""


@dataclass(frozen=True)
class ReportData:
    """A whole report."""

    title: str
    legend: Legend
    written: str = ""
    """When, as it shall be read."""
    score: Score | None = None
    """None where nothing could be scored."""
    scenes: tuple[SceneView, ...] = ()
    """Worst first."""
    splits: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Scene -> place and split."""
    split_why: str = ""
    """How the split was drawn, in a sentence."""
    split_notes: tuple[str, ...] = ()
    """What is to be known of a split that was edited by hand, or of scenes that finished models know."""
    split_edited: bool = False
    """By hand."""
    unlike: tuple[Unlike, ...] = ()
    """How unlike the training scenes the held-out ones are, together and each, and training scenes each other."""
    areas: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Split -> class -> labelled area, in the unit of `area_unit`."""
    predicted_areas: Mapping[str, float] = field(default_factory=dict)
    """Class -> predicted area over all predicted scenes, in the same unit."""
    area_unit: str = "m2"
    histories: Mapping[str, tuple[Mapping[str, float], ...]] = field(default_factory=dict)
    """Model -> rows of its training, one per epoch."""
    curves: tuple[ThresholdCurve, ...] = ()
    alignment: tuple[Mapping[str, str], ...] = ()
    """Rows of `alignment.csv`."""
    flicker: Flicker | None = None
    """The worst shift, before and after."""
    labels: LabelEvidence = LabelEvidence()
    dropped: tuple[tuple[str, str, float], ...] = ()
    """Stage, what and why, how many."""
    failed: tuple[tuple[str, str], ...] = ()
    """What failed, and the reason."""
    notes: tuple[str, ...] = ()
    """What stages remarked."""
    tuned: Mapping[str, Any] = field(default_factory=dict)
    """Content of `tuned.json`; empty where nothing was tuned."""
    recipe: str = ""
    """The whole recipe with all defaults, as text."""
    map: str = ""
    """Address of the map of this run; empty where none is made."""
    versions: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Stage -> working time."""
