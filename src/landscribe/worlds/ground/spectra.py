"""Reflectance of the materials in a synthetic world, band by band, and what light and sensor make of it.

Reflectances are approximate values read from published curves at the centre wavelengths of WorldView-3: Kokaly et al.
(2017), "USGS Spectral Library Version 7", doi:10.3133/ds1035 (vegetation, soils, asphalt, concrete, roofing, water);
Meerdink et al. (2019), "The ECOSTRESS spectral library version 1.0", doi:10.1016/j.rse.2019.05.015 (man-made
materials, trees); Bowker et al. (1985), NASA RP-1139 (crops, turbid water). They are typical, not exact: a world needs
contrasts of the right sign and size between bands, not a certified standard.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from landscribe.core.arrays import FloatArray

# Bands: coastal 427, blue 482, green 547, yellow 604, red 660, red edge 723, NIR 824, NIR 914,
#        SWIR 1210, 1572, 1661, 1730, 2164, 2203, 2259, 2329 nm. In percent.
_PERCENT: Final[dict[str, tuple[float, ...]]] = {
    # living and dry plants
    "grass": (3.4, 4.7, 10.0, 8.9, 8.0, 24, 39, 41, 42, 30, 33, 30, 17, 18, 17, 14),
    "lawn": (3.0, 4.0, 10.2, 7.8, 6.2, 26, 46, 48, 45, 27, 31, 28, 14, 15, 14, 11),
    "dry_grass": (6.0, 8.4, 13.4, 16.5, 18.5, 26, 34, 37, 43, 38, 40, 37, 26, 27, 24, 21),
    "broadleaf": (2.4, 3.1, 7.0, 5.4, 4.2, 20, 40, 42, 40, 22, 25, 22, 10, 11, 10, 8),
    "broadleaf_yellow": (2.9, 4.0, 9.6, 8.6, 6.6, 25, 42, 44, 42, 26, 29, 26, 13, 14, 13, 10),
    "conifer": (2.1, 2.5, 4.9, 4.0, 3.3, 12, 25, 27, 25, 12, 14, 12, 5.5, 6.0, 5.5, 4.5),
    "olive_scrub": (3.4, 4.4, 7.8, 7.6, 7.0, 17, 29, 31, 32, 22, 24, 22, 13, 14, 13, 11),
    "cereal_green": (3.0, 3.9, 8.8, 6.6, 5.2, 24, 45, 47, 44, 25, 29, 26, 13, 14, 13, 10),
    "cereal_ripe": (6.6, 9.6, 15.5, 20.5, 24, 29, 35, 38, 45, 41, 42, 39, 29, 30, 27, 23),
    "maize": (3.0, 4.0, 10.4, 7.4, 5.4, 27, 50, 52, 48, 27, 31, 28, 14, 15, 14, 11),
    "rape": (3.4, 4.4, 12.5, 12.2, 9.4, 31, 48, 50, 46, 27, 30, 27, 14, 15, 14, 11),
    "potato": (2.7, 3.5, 8.8, 6.2, 4.8, 22, 44, 46, 42, 23, 27, 24, 11, 12, 11, 9),
    "stubble": (7.2, 9.6, 14.2, 18, 20.5, 25, 30, 32, 40, 40, 41, 38, 30, 31, 28, 25),
    "reeds": (3.4, 4.6, 9.0, 9.4, 8.8, 21, 33, 35, 36, 27, 29, 27, 16, 17, 16, 13),
    "forest_floor": (3.0, 3.6, 5.6, 6.2, 6.6, 12, 19, 21, 24, 22, 23, 22, 15, 16, 15, 13),
    # bare ground
    "soil": (5.0, 6.8, 10.8, 13.8, 16, 18.5, 22.5, 24.5, 31, 36, 37, 37, 34, 33, 33, 31),
    "soil_dark": (3.2, 4.1, 6.8, 8.4, 9.7, 11.4, 14, 15.5, 20, 24, 25, 25, 24, 23, 23, 22),
    "soil_red": (4.0, 5.2, 9.2, 14.5, 18.5, 22, 27, 28, 33, 39, 40, 40, 36, 34, 36, 34),
    "sand": (8.5, 11.5, 17, 22, 25.5, 29, 33, 35, 42, 47, 48, 48, 44, 43, 44, 41),
    "mud": (4.8, 5.8, 8.0, 9.8, 11, 12.5, 14, 14, 13, 11, 11.5, 11, 8, 8, 7.5, 6.5),
    "gravel": (10, 12.2, 15.6, 18, 19.6, 21, 23, 24, 27, 30, 30.5, 30.5, 28, 28, 28, 26),
    # paving and building
    "asphalt": (7.6, 8.8, 10.8, 12.2, 13.0, 13.6, 14.2, 14.6, 16.3, 17.8, 18.2, 18.2, 17.2, 17.0, 16.8, 16.2),
    "asphalt_new": (4.6, 5.0, 5.6, 6.0, 6.2, 6.5, 6.8, 7.0, 8.0, 9.0, 9.2, 9.2, 8.8, 8.8, 8.6, 8.4),
    "asphalt_worn": (10.4, 12.2, 15.2, 17.4, 18.8, 19.8, 20.8, 21.3, 23, 25, 25.5, 25.5, 24, 24, 23.5, 22.5),
    "concrete": (12.5, 15, 18.5, 21, 22.5, 23.5, 24.5, 25, 28, 31, 31.5, 31.5, 29, 29, 28.5, 27),
    "road_paint": (38, 46, 50, 52, 53, 53, 53, 52, 50, 45, 43, 40, 34, 34, 33, 30),
    "tile_red": (5.2, 6.4, 9.4, 17.5, 23.5, 27, 31, 31, 37, 41, 42, 42, 38, 37, 38, 36),
    "tile_brown": (4.4, 5.2, 7.4, 10.6, 12.8, 15, 18, 18.5, 23, 27, 28, 28, 26, 26, 26, 25),
    "slate": (9.0, 9.8, 10.6, 11, 11.2, 11.4, 11.8, 12, 13, 14, 14.2, 14.2, 13.5, 13.4, 13.2, 12.8),
    "fibre_cement": (17, 19.5, 22.5, 24, 25, 25.5, 26, 26.2, 28, 30, 30.2, 30, 27, 27, 26, 24),
    "zinc": (20, 22.5, 25, 26.5, 27.5, 28, 28, 27.5, 31, 35, 36, 36, 38, 38, 38, 38),
    "rust": (4.6, 5.6, 8.2, 13.5, 18, 21, 24, 23, 28, 37, 39, 40, 42, 42, 42, 41),
    "green_metal": (5.5, 7.5, 13, 9.0, 7.0, 8.5, 22, 27, 33, 34, 34, 31, 29, 29, 27, 24),
    "blue_metal": (14, 19.5, 14.5, 9.5, 8.5, 11, 24, 29, 34, 35, 34, 31, 29, 29, 27, 24),
    "bitumen": (5.0, 5.4, 5.9, 6.2, 6.4, 6.7, 7.0, 7.2, 8.2, 9.2, 9.4, 8.8, 8.6, 8.6, 7.8, 7.2),
    "white_roof": (30, 37, 42, 44, 45, 45, 45, 44, 42, 38, 36, 33, 29, 29, 27, 25),
    "wood": (8.0, 10, 13.5, 16.5, 18.5, 22, 27, 30, 36, 33, 35, 32, 23, 24, 22, 19),
    "plastic_film": (26, 30, 33, 34, 35, 36, 37, 37, 36, 34, 31, 24, 27, 27, 24, 17),
    # vehicles
    "paint_white": (36, 44, 47, 48, 49, 49, 48, 47, 45, 40, 37, 33, 29, 29, 27, 23),
    "paint_silver": (28, 31, 33, 34, 34, 34, 34, 34, 34, 34, 34, 33, 32, 32, 31, 30),
    "paint_black": (3.0, 3.0, 3.1, 3.2, 3.3, 3.6, 4.2, 4.6, 6, 8, 8, 7.5, 7, 7, 6.5, 6),
    "paint_red": (4.0, 4.2, 5.2, 15, 36, 42, 44, 44, 44, 42, 40, 36, 32, 32, 30, 26),
    "paint_blue": (10, 15, 9.0, 5.5, 5.0, 9, 27, 33, 38, 38, 37, 33, 30, 30, 28, 24),
    "paint_orange": (5.0, 6.0, 16, 40, 48, 50, 50, 50, 48, 44, 42, 38, 32, 32, 30, 26),
    "glass": (5.0, 5.2, 5.4, 5.2, 5.0, 4.8, 4.6, 4.6, 4.5, 4.2, 4.2, 4.2, 4.0, 4.0, 4.0, 4.0),
    # water
    "river": (4.4, 5.2, 6.6, 5.4, 4.4, 3.0, 1.8, 1.4, 0.8, 0.5, 0.5, 0.5, 0.4, 0.4, 0.4, 0.4),
    "river_silty": (5.4, 7.0, 10.5, 10.8, 9.6, 6.2, 3.6, 2.8, 0.9, 0.5, 0.5, 0.5, 0.4, 0.4, 0.4, 0.4),
    "pond": (2.8, 3.2, 4.8, 3.6, 2.8, 2.8, 2.0, 1.7, 0.8, 0.5, 0.5, 0.5, 0.4, 0.4, 0.4, 0.4),
    "pond_dark": (2.2, 2.3, 2.6, 2.1, 1.7, 1.4, 1.1, 1.0, 0.6, 0.4, 0.4, 0.4, 0.3, 0.3, 0.3, 0.3),
    "algae": (2.8, 3.4, 8.5, 6.0, 4.4, 14, 17, 16, 12, 6, 7, 6, 2.5, 2.7, 2.5, 2.0),
}
BANDS: Final = 16
SPECTRA: Final[dict[str, FloatArray]] = {
    name: np.array(percent, dtype=np.float32) / np.float32(100) for name, percent in _PERCENT.items()
}
"""Hemispherical reflectance 0..1 by material, float32 (16,): the eight M bands, then the eight A bands."""

# Share of the light on a sunlit horizontal surface that comes from the sky: it falls with wavelength (clear air,
# continental aerosol; shape after Bird & Riordan (1986), doi:10.1175/1520-0450(1986)025<0087:SSSMFD>2.0.CO;2).
SKYLIGHT: Final[FloatArray] = np.array(
    [0.34, 0.28, 0.21, 0.175, 0.15, 0.125, 0.10, 0.09, 0.06, 0.05, 0.045, 0.045, 0.035, 0.035, 0.03, 0.03],
    dtype=np.float32,
)

# Panchromatic 450-800 nm as shares of the M bands (blue, green, yellow, red, red edge, NIR).
PAN_SHARES: Final[dict[int, float]] = {1: 0.14, 2: 0.25, 3: 0.19, 4: 0.21, 5: 0.16, 6: 0.05}

# Numbers per unit of reflectance, and the numbers that path radiance alone makes: chosen so that a mixed rural scene
# has the means and spreads of the DSTL training images (reference_methods.md 2.3).
GAIN: Final[FloatArray] = np.array(
    [620, 900, 1250, 1300, 1250, 1050, 980, 800, 6200, 9400, 8400, 7600, 8600, 7600, 7900, 7900], dtype=np.float32
)
OFFSET: Final[FloatArray] = np.array(
    [273, 280, 347, 355, 286, 335, 408, 298, 2150, 1750, 1650, 1450, 900, 850, 850, 850], dtype=np.float32
)
PAN_GAIN: Final = 1200.0
PAN_OFFSET: Final = 366.0
BITS_11: Final = 2047
BITS_14: Final = 16383


def spectrum(*parts: tuple[str, float]) -> FloatArray:
    """Mix materials by area.

    Args:
        parts: Pairs of a name in `SPECTRA` and its weight; weights are divided by their sum.

    Returns:
        Reflectance float32 (16,), 0..1.
    """
    total = sum(weight for _, weight in parts)
    mixed = np.zeros(BANDS, dtype=np.float32)
    for name, weight in parts:
        mixed += SPECTRA[name] * np.float32(weight / total)
    return mixed
