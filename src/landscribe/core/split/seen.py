"""Scenes that a model was trained on, known again under any name: by their pixels, or by the ground that they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from landscribe.core.split.leaks import MIN_SHARE


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a scene is known by."""

    scene: str
    pixels: tuple[str, ...] = ()
    """Digests of the numbers in its rasters, whatever the files are called."""
    outline: tuple[tuple[float, float], ...] = ()
    """Corners as longitude and latitude; none where it lies nowhere."""


def find_seen(
    scenes: Sequence[Sighting], known: Sequence[Sighting], min_share: float = MIN_SHARE
) -> dict[str, tuple[str, str]]:
    """Find scenes that show what known ones show.

    Args:
        scenes: To be looked for.
        known: Scenes that a model was trained on.
        min_share: Least shared part of the smaller footprint; below it two scenes are neighbours.

    Returns:
        Scene -> the known scene and why it is taken for that: the same pixels, or the part of the footprint.
    """
    found: dict[str, tuple[str, str]] = {}
    of_pixels = {digest: one.scene for one in known for digest in one.pixels}
    for scene in scenes:
        same = [of_pixels[digest] for digest in scene.pixels if digest in of_pixels]
        if same:
            found[scene.scene] = (same[0], "the same pixels")
    placed = [one for one in known if one.outline]
    tree = shapely.STRtree([shapely.Polygon(one.outline) for one in placed])
    for scene in scenes:
        if not scene.outline or scene.scene in found:
            continue
        outline = shapely.Polygon(scene.outline)
        near = tree.query(outline, predicate="intersects")
        others = tree.geometries[near]
        shares = shapely.area(shapely.intersection(others, outline)) / np.minimum(shapely.area(others), outline.area)
        if len(shares) and shares.max() >= min_share:
            best = int(np.argmax(shares))
            part = f"{100 * shares[best]:.0f} % of the smaller footprint"
            found[scene.scene] = (
                placed[near[best]].scene,
                f"the same ground, {part},",
            )
    return found
