"""Files beside a raster that other programs would read with it, and what they would have said."""

from __future__ import annotations

import re
from pathlib import Path

MAX_BYTES = 1 << 20
"""A longer `.aux.xml` is not looked into."""
NODATA = re.compile(r"<NoDataValue[^>]*>\s*([-+0-9.eEnaN]{1,40})\s*<")
SAID = {
    "a CRS": re.compile(r"<SRS\b"),
    "a place on the ground": re.compile(r"<(GeoTransform|GCPList)\b"),
    "names of bands": re.compile(r"<Description>"),
    "factors": re.compile(r"<(Scale|Offset)>\s*[-+]?[0-9.]"),
    "a colour table": re.compile(r"<ColorTable\b"),
}
"""What an `.aux.xml` may say beside statistics -> how it is known; nothing of it is taken."""


def say_ignored(folder: Path, name: str) -> tuple[str, str] | None:
    """Say what is lost with something that was not read with a raster.

    Args:
        folder: Of the raster.
        name: As `RasterInfo.ignored` has it.

    Returns:
        What is not followed, and what to do; None for what says nothing of the pixels (overviews, statistics).
    """
    if name.endswith("further pages"):
        return f"{name} are not read", "write each page to a file of its own"
    if name.endswith(".msk"):
        return "a mask beside it (.msk) is not followed: no TIFF of bytes of its size", "say nodata, or make it one"
    if not name.endswith(".aux.xml"):
        return None
    file = folder / name
    if file.stat().st_size > MAX_BYTES:
        return "a large .aux.xml beside it is not followed", "write what it says into the file: gdal_translate"
    text = file.read_text(encoding="utf-8", errors="replace")
    found = [what for what, expression in SAID.items() if expression.search(text)]
    values = sorted(set(NODATA.findall(text)))
    do = "write it into the file: gdal_translate"
    if values:
        found = [f"nodata {' and '.join(values)}", *found]
        do = f"say nodata = {values[0]} in the sensor's table" if len(values) == len(found) == 1 else do
    return (f".aux.xml beside it says {', '.join(found)}, which is not followed", do) if found else None
