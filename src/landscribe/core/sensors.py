"""Sensors and their bands: a table of known ones, to which a recipe can add rows.

Centre wavelengths: DigitalGlobe (2014), "WorldView-2/-3 Radiometric Use"; USDA NAIP sensor sheets (Leica ADS, typical);
ESA Sentinel-2 User Handbook. A wavelength of 0 means that nobody said it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from landscribe.errors import RecipeError, problem


@dataclass(frozen=True, slots=True)
class Band:
    """One band of a sensor.

    Examples:
        >>> import landscribe as ls
        >>> ls.Band("nir", 842.0).wavelength_nm
        842.0
    """

    name: str
    wavelength_nm: float = 0.0


@dataclass(frozen=True)
class Sensor:
    """What one raster of a scene holds.

    Examples:
        >>> import landscribe as ls
        >>> drone = ls.Sensor("drone", (ls.Band("red", 660), ls.Band("nir", 840)), gsd_m=0.05, bits=8)
        >>> drone.band_names
        ('red', 'nir')
    """

    kind: str
    """Name in recipes."""
    bands: tuple[Band, ...]
    gsd_m: float
    """Nominal pixel size in metres; 0 where unknown."""
    bits: int
    """Significant bits of a value; 0 for floats or unknown."""

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names in file order."""
        return tuple(band.name for band in self.bands)


def _sensor(kind: str, gsd_m: float, bits: int, **wavelength_nm: float) -> Sensor:
    return Sensor(kind, tuple(Band(name, nm) for name, nm in wavelength_nm.items()), gsd_m, bits)


_SENSORS = (
    _sensor("worldview3-rgb", 0.31, 11, red=660, green=547, blue=482),
    _sensor("worldview3-p", 0.31, 11, pan=649),
    _sensor(
        "worldview3-m",
        1.24,
        11,
        coastal=427,
        blue=482,
        green=547,
        yellow=604,
        red=660,
        red_edge=723,
        nir1=824,
        nir2=914,
    ),
    _sensor(
        "worldview3-a",
        7.5,
        14,
        swir1=1210,
        swir2=1572,
        swir3=1661,
        swir4=1730,
        swir5=2164,
        swir6=2203,
        swir7=2259,
        swir8=2329,
    ),
    _sensor("worldview2-rgb8", 0.5, 8, red=659, green=546, blue=478),
    _sensor(
        "worldview2-m", 2.0, 11, coastal=427, blue=478, green=546, yellow=608, red=659, red_edge=724, nir1=833, nir2=949
    ),
    _sensor("naip", 0.6, 8, red=635, green=555, blue=465, nir=845),
    _sensor("sentinel2-10m", 10.0, 14, blue=492, green=560, red=665, nir=833),
    _sensor(
        "sentinel2-20m", 20.0, 14, red_edge=704, red_edge2=741, red_edge3=783, nir_narrow=865, swir1=1614, swir2=2202
    ),
    _sensor("rgb8", 0.0, 8, red=0, green=0, blue=0),
    _sensor("rgb16", 0.0, 16, red=0, green=0, blue=0),
    _sensor("grey8", 0.0, 8, grey=0),
)
CATALOGUE: dict[str, Sensor] = {sensor.kind: sensor for sensor in _SENSORS}


COLOUR_WORDS = {
    "coastal": "coastal", "coastalblue": "coastal", "coastalaerosol": "coastal", "aerosol": "coastal",
    "blue": "blue", "b": "blue", "green": "green", "g": "green", "red": "red", "r": "red", "yellow": "yellow",
    "rededge": "red_edge", "rededge1": "red_edge", "nir": "nir", "n": "nir", "nearinfrared": "nir", "nir1": "nir",
    "nir08": "nir", "ir": "nir", "nir2": "nir2", "pan": "pan", "panchromatic": "pan", "swir1": "swir1",
    "swir16": "swir1", "swir2": "swir2", "swir22": "swir2",
}  # fmt: skip
"""What bands are called in files -> one word for each colour."""
SENTINEL2_WORDS = {
    "b01": "coastal", "b02": "blue", "b03": "green", "b04": "red", "b05": "red_edge", "b08": "nir", "b11": "swir1",
    "b12": "swir2",
}  # fmt: skip
"""The same for the numbers of Sentinel-2's bands: other satellites number theirs differently."""


def colour_word(text: str, kind: str = "") -> str | None:
    """Return the colour that the name of a band says, in one word for all spellings; None where it says none.

    Args:
        text: A description from a file, or the name of a kind's band: "NIR", "Band 1 (blue)", "B04, red".
        kind: Of the sensor, since numbers of bands mean something in those of Sentinel-2 only.
    """
    whole = re.sub(r"[-_ ]", "", text.lower())
    words = [word for word in re.split(r"[^a-z0-9]+", text.lower().replace("red edge", "rededge")) if word]
    if whole in COLOUR_WORDS:
        words = [whole]
    if kind.startswith("sentinel2"):
        words = [SENTINEL2_WORDS.get(re.sub(r"^b(\d)$", r"b0\1", word), word) for word in words]
    found = list(dict.fromkeys(COLOUR_WORDS[word] for word in words if word in COLOUR_WORDS))
    return found[0] if len(found) == 1 else None


def find_sensor(kind: str, extra: dict[str, Sensor] | None = None) -> Sensor:
    """Return the sensor of that kind from the catalogue or from a recipe's own rows.

    Raises:
        RecipeError: If neither has it.
    """
    known = CATALOGUE | (extra or {})
    if kind not in known:
        raise RecipeError(problem("[data].sensors", "unknown kind", got=repr(kind), need=" | ".join(sorted(known))))
    return known[kind]


@dataclass(frozen=True)
class SensorSpec:
    """A sensor of a scene as networks and spectral rules know it."""

    name: str
    kind: str
    bands: tuple[str, ...]
    bits: int
    """Significant bits; 0 for floats, whose full scale is then 1."""

    @property
    def full_scale(self) -> float:
        """The value that indices take for 1."""
        return float(2**self.bits - 1) if self.bits else 1.0


def describe_sensors(
    kinds: Mapping[str, str], bands: Mapping[str, tuple[str, ...]], bits: Mapping[str, int]
) -> dict[str, SensorSpec]:
    """Describe the sensors of a scene for networks and spectral rules.

    Args:
        kinds: Sensor name -> kind, in stack order.
        bands: Sensor name -> names of its bands.
        bits: Sensor name -> significant bits.
    """
    return {name: SensorSpec(name, kind, bands[name], bits[name]) for name, kind in kinds.items()}
