"""A recipe of small scenes, and what somebody says of polygons in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely
from pyproj import CRS

from landscribe.core.grid import Grid
from landscribe.core.legend import LandClass, Legend
from landscribe.io.review.review import Review, looked_areas, review_features
from landscribe.io.review.writing import write_review
from small_scenes import RECIPE, write_image, write_labels

LEGEND = Legend((LandClass(5, "house", "#AA0000", countable=True), LandClass(3, "road", "#0000AA")))
Row = tuple[str, str, tuple[float, float, float, float]]
"""Class, verdict, box in pixels (left, top, right, bottom)."""


def small_project(
    folder: Path, *, labelled: Sequence[int] = (1, 2, 3, 4), bare: Sequence[int] = (5,)
) -> dict[str, Grid]:
    """Write `old.toml` and its scenes o1.. 1,000 m apart, some without labels; return their grids."""
    grids = {}
    for number in sorted((*labelled, *bare)):
        grids[f"o{number}"] = grid = write_image(folder / "old" / "img" / f"o{number}.tif", 1000 * number, number)
        if number in labelled:
            write_labels(folder / "old" / "lab" / f"o{number}.gpkg", grid)
    (folder / "old.toml").write_text(RECIPE)
    return grids


def said(
    path: Path,
    grid: Grid,
    scene: str,
    rows: Sequence[Row],
    looked: Sequence[tuple[str, tuple[float, float, float, float]]] = (),
    *,
    who: str = "Ann",
    named: bool = True,
    crs: CRS | None = None,
) -> Path:
    """Write a review of one scene; boxes are in its pixels."""
    boxes = grid.pixels_to_ground(np.array([*(shapely.box(*box) for _, _, box in rows), None], dtype=object)[:-1])
    areas = grid.pixels_to_ground(np.array([*(shapely.box(*box) for _, box in looked), None], dtype=object)[:-1])
    columns = {
        "id": [f"{k:016x}" for k in range(len(rows))], "class_name": [name for name, _, _ in rows],
        "verdict": [verdict for _, verdict, _ in rows], "source": ["model"] * len(rows), "model": ["0123"] * len(rows),
        "scene": [scene if named else ""] * len(rows), "who": [who] * len(rows),
    }  # fmt: skip
    features = review_features(columns, boxes, grid.crs)
    areas_said = {"class_name": [name for name, _ in looked], "scene": [scene if named else ""] * len(looked)}
    review = Review(features, looked_areas(areas_said, areas, grid.crs), "city")
    if crs is not None:
        review = Review(features.to_crs(crs), review.looked.to_crs(crs), "city")
    write_review(path, review, LEGEND)
    return path
