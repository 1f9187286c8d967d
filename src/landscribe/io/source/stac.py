"""STAC items beside imagery: what they say of its bands. No link is followed but to files in the same folder tree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landscribe.errors import LandscribeError
from landscribe.io.json_text import as_number, read_json

NO_IMAGERY = frozenset(("thumbnail", "overview", "metadata", "cloud", "cloud-shadow", "snow-ice", "water-mask"))
"""Roles of assets that are no measurement of the ground."""


@dataclass(frozen=True)
class Asset:
    """A file that an item speaks of."""

    key: str
    roles: frozenset[str]
    bands: tuple[tuple[str, float], ...]
    """Name and wavelength in nm of each band; 0 where it is not said."""


def read_assets(folder: Path, items: Iterable[Path]) -> dict[Path, Asset]:
    """Return what STAC items say of the files below a folder.

    Args:
        folder: The folder.
        items: JSON files, relative to it; what cannot be read or is no item says nothing.

    Returns:
        File, relative to the folder -> asset.
    """
    found: dict[Path, Asset] = {}
    root = folder.resolve()
    for item in items:
        try:
            content = read_json(folder / item)
        except LandscribeError:
            continue
        assets = content.get("assets") if isinstance(content, dict) else None
        for key, row in assets.items() if isinstance(assets, dict) else ():
            href = row.get("href") if isinstance(row, dict) else None
            if not isinstance(href, str) or "://" in href:
                continue
            path = (folder / item).parent.joinpath(href).resolve()
            if path.is_relative_to(root) and path.is_file():
                roles = row.get("roles")
                known = frozenset(str(role) for role in roles) if isinstance(roles, list) else frozenset()
                found[path.relative_to(root)] = Asset(str(key), known, _bands(row))
    return found


def _bands(row: dict[str, Any]) -> tuple[tuple[str, float], ...]:
    rows = row.get("bands", row.get("eo:bands"))
    found = []
    for band in rows if isinstance(rows, list) else ():
        if not isinstance(band, dict):
            return ()
        name = band.get("common_name") or band.get("eo:common_name") or band.get("name") or "band"
        micrometres = as_number(band.get("center_wavelength", band.get("eo:center_wavelength")))
        found.append((str(name), round(1000 * micrometres, 1) if micrometres > 0 else 0.0))
    return tuple(found)
