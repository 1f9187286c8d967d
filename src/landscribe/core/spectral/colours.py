"""Which colours of a photograph a band stands for: what a network of photographs is widened by."""

from __future__ import annotations

from landscribe.core.sensors import colour_word
from landscribe.errors import RecipeError, problem

RED, GREEN, BLUE = 620.0, 540.0, 465.0
"""Where cameras see each colour best, in nm."""
CAMERA_NM = (RED, GREEN, BLUE)
"""In the order of photographs."""
ALL_COLOURS = ("pan", "grey", "gray")
WORD_NM = {
    "coastal": BLUE, "blue": BLUE, "green": GREEN, "yellow": RED, "red": RED, "red_edge": RED, "nir": RED, "nir2": RED,
    "swir1": RED, "swir2": RED,
}  # fmt: skip
"""For bands that say a colour and no wavelength."""


def colour_shares(name: str, wavelength_nm: float, kind: str = "") -> tuple[float, float, float] | None:
    """Return how much of red, green and blue a band stands for; the sum is 1.

    A band stands for the colour with the nearest wavelength, so near infrared and beyond for red; a panchromatic or
    grey one for a third of each.

    Args:
        name: Of the band.
        wavelength_nm: Its centre; 0 where nobody said it, and the name decides.
        kind: Of the sensor.

    Returns:
        None where neither name nor wavelength says anything.
    """
    word = colour_word(name, kind) or name.lower()
    if word in ALL_COLOURS:
        return (1 / 3, 1 / 3, 1 / 3)
    nm = wavelength_nm or WORD_NM.get(word, 0.0)
    if not nm:
        return None
    nearest = min(CAMERA_NM, key=lambda colour: abs(colour - nm))
    return (float(nearest == RED), float(nearest == GREEN), float(nearest == BLUE))


def require_colour(
    model: str, sensor: str, name: str, wavelength_nm: float, kind: str = ""
) -> tuple[float, float, float]:
    """Return what `colour_shares` does, for a band that an encoder with weights sees.

    Raises:
        RecipeError: If neither name nor wavelength says anything.
    """
    shares = colour_shares(name, wavelength_nm, kind)
    if shares is None:
        do = 'say it in wavelengths_nm of [[data.kinds]], or network.weights = "none"'
        raise RecipeError(problem(f"model {model!r}", f"band {name!r} of {sensor!r} has no wavelength", do=do))
    return shares
