"""What makes one place differ from another: soil, plants, crops, roofs, roads, sun."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.random import Generator

Mix = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Character:
    """A kind of country: choices with weights, shares of the land, lengths in metres."""

    name: str
    soil: str
    greenness: float
    """Share of living grass in meadows, 0..1."""
    crops: Mix
    trees: Mix
    roofs: Mix
    water: tuple[str, str]
    """Materials of river and pond."""
    crop_share: float
    wood_share: float
    plot_width_m: tuple[float, float]
    plot_depth_m: tuple[float, float]
    field_m: float
    """Side of a typical field."""
    paved_street: float
    """Chance that a side street is paved."""
    fence: float
    """Chance that a plot has a fence."""
    strips: float
    """Chance that a field is worked in narrow strips."""


CHARACTERS: Final[tuple[Character, ...]] = (
    Character(
        name="village",
        soil="soil",
        greenness=0.72,
        crops=(("cereal_green", 2), ("cereal_ripe", 2), ("potato", 2), ("maize", 1), ("ploughed", 2)),
        trees=(("broadleaf", 5), ("broadleaf_yellow", 2), ("conifer", 1)),
        roofs=(("fibre_cement", 4), ("tile_red", 2), ("rust", 2), ("zinc", 2), ("green_metal", 1), ("tile_brown", 1)),
        water=("river_silty", "pond"),
        crop_share=0.30,
        wood_share=0.09,
        plot_width_m=(17, 25),
        plot_depth_m=(34, 52),
        field_m=120,
        paved_street=0.25,
        fence=0.85,
        strips=0.6,
    ),
    Character(
        name="farmland",
        soil="soil_dark",
        greenness=0.85,
        crops=(("cereal_green", 3), ("cereal_ripe", 2), ("rape", 1), ("maize", 2), ("ploughed", 2), ("stubble", 2)),
        trees=(("broadleaf", 6), ("broadleaf_yellow", 2), ("conifer", 1)),
        roofs=(("tile_red", 5), ("tile_brown", 3), ("slate", 2), ("zinc", 1)),
        water=("river", "pond"),
        crop_share=0.44,
        wood_share=0.09,
        plot_width_m=(20, 30),
        plot_depth_m=(32, 46),
        field_m=150,
        paved_street=0.5,
        fence=0.6,
        strips=0.0,
    ),
    Character(
        name="dry hills",
        soil="soil_red",
        greenness=0.28,
        crops=(("ploughed", 3), ("stubble", 3), ("cereal_ripe", 2), ("maize", 2), ("cereal_green", 1)),
        trees=(("olive_scrub", 4), ("broadleaf", 3)),
        roofs=(("zinc", 4), ("rust", 3), ("tile_red", 1), ("fibre_cement", 2), ("blue_metal", 1)),
        water=("river_silty", "pond"),
        crop_share=0.32,
        wood_share=0.07,
        plot_width_m=(18, 28),
        plot_depth_m=(26, 40),
        field_m=85,
        paved_street=0.15,
        fence=0.7,
        strips=0.25,
    ),
    Character(
        name="woodland",
        soil="soil",
        greenness=0.9,
        crops=(("cereal_green", 2), ("cereal_ripe", 1), ("maize", 1), ("potato", 1), ("ploughed", 2)),
        trees=(("broadleaf", 4), ("conifer", 4), ("broadleaf_yellow", 1)),
        roofs=(("slate", 3), ("tile_brown", 3), ("tile_red", 2), ("green_metal", 1), ("fibre_cement", 2)),
        water=("river", "pond_dark"),
        crop_share=0.24,
        wood_share=0.19,
        plot_width_m=(20, 28),
        plot_depth_m=(30, 45),
        field_m=110,
        paved_street=0.4,
        fence=0.6,
        strips=0.1,
    ),
    Character(
        name="plain",
        soil="sand",
        greenness=0.5,
        crops=(("cereal_ripe", 3), ("stubble", 2), ("ploughed", 2), ("maize", 2), ("potato", 1)),
        trees=(("broadleaf", 4), ("olive_scrub", 2), ("conifer", 1)),
        roofs=(("white_roof", 2), ("zinc", 2), ("tile_red", 3), ("bitumen", 1), ("fibre_cement", 2)),
        water=("river_silty", "pond"),
        crop_share=0.36,
        wood_share=0.07,
        plot_width_m=(18, 26),
        plot_depth_m=(28, 42),
        field_m=130,
        paved_street=0.6,
        fence=0.8,
        strips=0.1,
    ),
)


# Roofs that are found everywhere; every second roof of a place is one of them, so that what is learned in one place
# helps in the next.
_COMMON_ROOFS: Final[Mix] = (("tile_red", 0.4), ("fibre_cement", 0.25), ("tile_brown", 0.2), ("slate", 0.15))


@dataclass(frozen=True)
class Region:
    """One place: its character, and what its scenes have in common."""

    character: Character
    heading: float
    """Direction of its main roads, radians from the column axis towards the row axis."""
    sun_azimuth: float
    """Radians clockwise from north."""
    sun_elevation: float
    """Radians above the horizon."""
    haze: float
    """Factor on the path radiance."""


def make_region(number: int, rng: Generator) -> Region:
    """Draw the place with that number; the characters take turns."""
    character = CHARACTERS[number % len(CHARACTERS)]
    total = sum(weight for _, weight in character.roofs)
    own = tuple((name, weight / total) for name, weight in character.roofs)
    return Region(
        character=replace(character, roofs=(*own, *_COMMON_ROOFS)),
        heading=float(rng.uniform(-0.6, 0.6) + (np.pi / 2 if rng.random() < 0.4 else 0.0)),
        sun_azimuth=float(np.radians(rng.uniform(135, 172))),
        sun_elevation=float(np.radians(rng.uniform(42, 58))),
        haze=float(rng.uniform(0.96, 1.04)),
    )


def pick(rng: Generator, choices: Mix) -> str:
    """Draw one name with its weight."""
    weights = np.array([weight for _, weight in choices], dtype=np.float64)
    return choices[int(rng.choice(len(choices), p=weights / weights.sum()))][0]
