"""Spectral indices: formula, the bands each needs, and where it comes from.

A formula is plain arithmetic on bands, so that it works on NumPy arrays and torch tensors alike. Bands are
raw numbers divided by `full_scale` of the sensor where a formula has constants (EVI); ratios do not care.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from landscribe.errors import RecipeError, problem

EPSILON = 1e-6
"""Added to denominators: a dark pixel gives 0 instead of NaN."""


@dataclass(frozen=True)
class Index:
    """One spectral index."""

    name: str
    needs: tuple[str, ...]
    """Band names, in the order of the formula's arguments."""
    formula: Callable[..., Any]
    source: str


def _ratio(a: Any, b: Any) -> Any:
    return (a - b) / (a + b + EPSILON)


_INDICES = (
    Index("ndvi", ("nir", "red"), _ratio, "Rouse et al. (1974)"),
    Index("ndwi", ("green", "nir"), _ratio, "McFeeters (1996), doi:10.1080/01431169608948714"),
    Index("ndre", ("nir", "red_edge"), _ratio, "Gitelson & Merzlyak (1994)"),
    Index(
        "evi",
        ("nir", "red", "blue"),
        lambda nir, red, blue: 2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1).clip(min=0.05),
        "Huete et al. (2002), doi:10.1016/S0034-4257(02)00096-2; denominator kept above 0.05",
    ),
    Index(
        "savi",
        ("nir", "red"),
        lambda nir, red: 1.5 * (nir - red) / (nir + red + 0.5),
        "Huete (1988), doi:10.1016/0034-4257(88)90106-X, L = 0.5",
    ),
    Index(
        "ccci",
        ("nir", "red_edge", "red"),
        lambda nir, red_edge, red: _ratio(nir, red_edge) * _ratio(nir, red),
        "the product used by DSTL's third place; the literature's CCCI is a quotient",
    ),
    Index(
        "ternaus_evi",
        ("nir", "red", "blue"),
        lambda nir, red, blue: (nir - red) / (nir + 6 * red - 7.5 * blue + 1).clip(min=0.05),
        "DSTL's third place: EVI without its gain of 2.5",
    ),
    Index("ndvi_nir1", ("nir1", "red"), _ratio, "NDVI with WorldView's first near infrared, M6"),
    Index("ndvi_nir2", ("nir2", "red"), _ratio, "NDVI with WorldView's second near infrared, M7"),
    Index(
        "rei",
        ("nir2", "blue"),
        lambda nir, blue: nir - blue / (nir + EPSILON) + blue * nir,
        "second author of DSTL's third place, for water: lower than a threshold",
    ),
    Index("water", ("red_edge", "nir"), _ratio, "the rule that DSTL's third place really ran: positive on water"),
)
INDICES: dict[str, Index] = {index.name: index for index in _INDICES}

# The first of these that a sensor has stands for the general name.
ALIASES: dict[str, tuple[str, ...]] = {"nir": ("nir", "nir2", "nir1", "nir_narrow")}


def find_index(name: str, where: str = "inputs.indices") -> Index:
    """Return the index of that name; `where` is the place of the recipe that errors name.

    Raises:
        RecipeError: If there is none.
    """
    if name not in INDICES:
        raise RecipeError(problem(where, "unknown index", got=repr(name), need=" | ".join(sorted(INDICES))))
    return INDICES[name]


def band_positions(name: str, band_names: tuple[str, ...], where: str = "inputs.indices") -> tuple[int, ...]:
    """Return where the bands of an index stand in a stack.

    Args:
        name: Index name.
        band_names: Names of the stack's bands; where a name occurs twice, the first counts.
        where: Place of the recipe that errors name.

    Raises:
        RecipeError: If the index is unknown or the stack lacks a band of it.
    """
    found = []
    for need in find_index(name, where).needs:
        choices = [band for band in ALIASES.get(need, (need,)) if band in band_names]
        if not choices:
            raise RecipeError(
                problem(where, f"{name!r} lacks band {need!r}", got=", ".join(band_names), do="add the sensor")
            )
        found.append(band_names.index(choices[0]))
    return tuple(found)
