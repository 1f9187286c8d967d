"""Lists of polygons that lead somewhere, from the tables of a site."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely

from landscribe.errors import LandscribeError
from landscribe.report.map.gather import MOST_ROWS, SMALL
from landscribe.stages.maps._polygons import Table
from landscribe.stages.maps._site import FOUND, Place, Site

MOST_POLYGONS = 300_000
"""Of all scenes together; of more, lists would keep the page waiting."""


def least_certain(site: Site, counts: dict[int, int]) -> list[dict[str, Any]]:
    """Return the polygons with the lowest mean probability, without those that are small for their class in a scene.

    Args:
        site: What is served.
        counts: Number of a scene -> number of polygons found there.
    """
    if sum(counts.values()) > MOST_POLYGONS:
        return []
    rows: list[tuple[float, dict[str, Any]]] = []
    for place in site.places:
        if counts.get(place.number):
            try:
                rows += _of_scene(place, site.table(place, FOUND))
            except (LandscribeError, OSError):
                continue  # said when the scene is looked at
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])[:MOST_ROWS]]


def _of_scene(place: Place, table: Table) -> list[tuple[float, dict[str, Any]]]:
    middle = {number: float(np.median(table.area[table.named == number])) for number in np.unique(table.named).tolist()}
    least = np.array([SMALL * middle[number] for number in table.named.tolist()])
    known = np.flatnonzero(np.isfinite(table.score) & (table.area >= least))
    chosen = known[np.argsort(table.score[known], kind="stable")][:MOST_ROWS]
    shapes, ids = table.shapes_and_ids(chosen)
    a, b, c, d, e, f = tuple(~place.to_map)[:6]
    moved = shapely.transform(
        shapes, lambda xy: np.column_stack((a * xy[:, 0] + b * xy[:, 1] + c, d * xy[:, 0] + e * xy[:, 1] + f))
    )
    rows = []
    for k, name, shape in zip(chosen.tolist(), ids, moved, strict=True):
        row = {"scene": place.number, "kind": FOUND, "id": name, "class": int(table.class_id[k]), "why": "unsure"}
        row |= {"area": float(f"{table.area[k]:.3g}"), "score": round(1000 * float(table.score[k]))}
        rows.append((float(table.score[k]), row | {"bbox": [round(v, 3) for v in shape.bounds]}))
    return rows
