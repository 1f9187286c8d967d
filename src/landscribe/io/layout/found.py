"""What was recognised in a folder: sensors, labels and classes, and what to tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from landscribe.io.layout.groups import Group
from landscribe.io.layout.pictures import Look
from landscribe.io.layout.vectors import VectorLook
from landscribe.io.source.stac import Asset


@dataclass(frozen=True)
class Pictures:
    """A group of rasters, and what its pixels are."""

    group: Group
    look: Look


@dataclass(frozen=True)
class Vectors:
    """A group of vector files, and what they hold; one look for each layer."""

    group: Group
    looks: tuple[VectorLook, ...]


@dataclass(frozen=True)
class Inventory:
    """Everything in a folder, group by group."""

    folder: Path
    images: tuple[Pictures, ...]
    masks: tuple[Pictures, ...]
    vectors: tuple[Vectors, ...]
    left_out: tuple[str, ...] = ()
    """Groups that are neither, one line each."""
    others: tuple[Group, ...] = ()
    """Those of them that can be read."""
    assets: Mapping[Path, Asset] = field(default_factory=dict)
    """What STAC items say of files."""


@dataclass(frozen=True)
class FoundSensor:
    """A sensor of the recipe to be written."""

    name: str
    path: str
    kind: str
    settings: Mapping[str, object] = field(default_factory=dict)
    """Further keys of its table."""
    bands: tuple[str, ...] = ()
    """Of a kind that the catalogue lacks."""
    wavelengths_nm: tuple[float, ...] = ()
    bits: int = 0
    files: int = 0
    ordered_by: str = ""
    """What of the files put its bands in order: descriptions or tags."""
    own: tuple[Path, ...] = ()
    """These files, relative to the folder."""


@dataclass(frozen=True)
class FoundLabels:
    """A table of labels of the recipe to be written."""

    path: str
    settings: Mapping[str, object]
    classes: Mapping[str, str | None]
    """Names, with the colours that the files give them."""
    scenes: int
    """Of the scenes, how many have such labels."""


@dataclass(frozen=True)
class Layout:
    """What a recipe is written from."""

    root: Path
    sensors: tuple[FoundSensor, ...]
    scene: str
    place: str
    scenes: int
    labels: tuple[FoundLabels, ...] = ()
    sides: Mapping[str, str] = field(default_factory=dict)
    """Scene id -> train, validate or test, where folders say so."""
    corner: str | None = None
    """Corner kept out of training where there is one image only."""
    corner_px: int = 0
    source: str = "files"
    optional: tuple[str, ...] = ()
    """Sensors of a DSTL folder that some of its images lack."""
    said: tuple[str, ...] = ()
    """What was taken for what, one line each, and how to take another reading."""

    @property
    def classes(self) -> dict[str, str | None]:
        """Classes of all labels in order, with the colours that the files give them."""
        found: dict[str, str | None] = {}
        for labels in self.labels:
            for name, colour in labels.classes.items():
                found[name] = found.get(name) or colour
        return found
