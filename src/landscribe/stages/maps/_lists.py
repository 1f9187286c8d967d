"""Lists of polygons that lead somewhere, from the tables of a site."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import shapely

from landscribe.core.arrays import FloatArray, GeometryArray, IntArray
from landscribe.errors import LandscribeError
from landscribe.report.map.gather import MOST_ROWS, SMALL
from landscribe.report.map.layers import Layer, judge, move
from landscribe.stages.maps._polygons import Table
from landscribe.stages.maps._site import FOUND, TRUTH, Place, Site

MOST_POLYGONS = 300_000
"""Of all scenes together; of more, lists would keep the page waiting."""
MOST_COMPARED, MOST_PIXELS = 30_000, 100_000_000
"""Polygons and pixels of the scenes that are compared with labels for the list of the worst."""


def fill_lists(site: Site, manifest: dict[str, Any]) -> None:
    """Put the lists of polygons into a manifest, and say where there is none since it would take too long.

    Args:
        site: What is served.
        manifest: Of its scenes, as the page has it.
    """
    rows = manifest["scenes"]
    counts = {k: row["counts"].get("found", 0) for k, row in enumerate(rows)}
    total = sum(counts.values())
    if total > MOST_POLYGONS:
        manifest["about"].append(f"{total:,} polygons: no list of the least certain, which ends at {MOST_POLYGONS:,}.")
    else:
        manifest["least_certain"] = least_certain(site, counts)
    judged = [k for k, row in enumerate(rows) if counts[k] and TRUTH in row["layers"]]
    judged = [k for k in judged if rows[k]["split"] == "validate"] or judged
    found, pixels = sum(counts[k] for k in judged), sum(rows[k]["size"][0] * rows[k]["size"][1] for k in judged)
    if found > MOST_COMPARED or pixels > MOST_PIXELS:
        limits = f"{MOST_COMPARED:,} polygons and {MOST_PIXELS / 1e6:.0f} million pixels"
        manifest["about"].append(f"No list of the worst: it ends at {limits} with labels.")
    else:
        manifest["worst"] = worst(site, judged)


def least_certain(site: Site, counts: Mapping[int, int]) -> list[dict[str, Any]]:
    """Return the polygons with the lowest mean probability, without those that are small for their class in a scene.

    Args:
        site: What is served.
        counts: Number of a scene -> number of polygons found there.
    """
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
    moved = move(shapes, ~place.to_map)
    scores = table.score[chosen].tolist()
    return [
        (score, _row(place, FOUND, table, k, shape, "unsure", float(table.area[k])) | {"id": name})
        for score, k, name, shape in zip(scores, chosen.tolist(), ids, moved, strict=True)
    ]


def worst(site: Site, numbers: Iterable[int]) -> list[dict[str, Any]]:
    """Return the polygons with most ground invented or missed.

    Args:
        site: What is served.
        numbers: Of scenes with labels and polygons.
    """
    rows: list[tuple[float, dict[str, Any]]] = []
    for number in numbers:
        place = site.places[number]
        try:
            rows += _wrong_of(site, place)
        except (LandscribeError, OSError):
            continue  # said when the scene is looked at
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])[:MOST_ROWS]]


def _wrong_of(site: Site, place: Place) -> list[tuple[float, dict[str, Any]]]:
    """Return a scene's rows with what they are sorted by: minus the wrong ground in square frame units."""
    tables = {kind: site.table(place, kind) for kind in (FOUND, TRUTH)}
    ground = np.array([site.scene(place).labelled_ground()], dtype=object)
    layers = [_layer(table, place) for table in tables.values()]
    sides = judge(layers[0], layers[1], move(ground, ~place.to_map)[0])
    rows = []
    for (kind, table), side, why in zip(tables.items(), sides, ("invented", "missed"), strict=True):
        wrong: FloatArray = np.zeros(0) if side.wrong is None else side.wrong
        chosen: IntArray = np.argsort(-wrong, kind="stable")[:MOST_ROWS]
        chosen = chosen[wrong[chosen] > 0]
        ids = table.shapes_and_ids(chosen)[1] if kind == FOUND else [None] * len(chosen)
        for k, name in zip(chosen.tolist(), ids, strict=True):
            row = _row(place, kind, table, k, side.polygons[k], why, float(wrong[k]))
            rows.append((-float(wrong[k]), row if name is None else row | {"id": name}))
    return rows


def _layer(table: Table, place: Place) -> Layer:
    shapes: GeometryArray = move(table.shapes(np.arange(len(table.order))), ~place.to_map)
    return Layer(shapes, table.class_id, shapely.area(shapes))


def _row(
    place: Place, kind: str, table: Table, k: int, shape: shapely.Geometry, why: str, area: float
) -> dict[str, Any]:
    score = float(table.score[k])
    return {
        "scene": place.number,
        "kind": kind,
        "class": int(table.class_id[k]),
        "why": why,
        "area": float(f"{area:.3g}"),
        "score": round(1000 * score) if np.isfinite(score) else -1,
        "bbox": [round(v, 3) for v in shape.bounds],
    }
