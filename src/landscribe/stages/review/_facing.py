"""What a review says beside other reviews and older labels."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely

from landscribe.core.arrays import GeometryArray
from landscribe.core.features import of_class
from landscribe.core.grid import Grid, Window
from landscribe.core.legend import Legend
from landscribe.io.labels.labels import Labels, read_labels
from landscribe.io.labels.reviewed import read_reviews
from landscribe.io.review.disagree import disagreements, place_of
from landscribe.io.review.found import to_crs
from landscribe.io.review.ground import lay_over, mostly_in, said_of
from landscribe.io.review.review import ACCEPT, REJECT, Review
from landscribe.io.source.scenes import Scene, sensor_grids


@dataclass(frozen=True)
class Facing:
    """Where a review and what was known before do not agree."""

    conflicts: tuple[str, ...]
    """One line each, with class, scene, place and area."""
    notes: tuple[str, ...]


def content_of(review: Review) -> str:
    """Return a digest of what a review says, whatever file it comes in; notes, times and people leave it the same."""
    rows = [
        [*texts, shapely.to_wkb(shapely.normalize(shape), hex=True)]
        for layer, names in (
            (review.features, ("scene", "class_name", "verdict")),
            (review.looked, ("scene", "class_name")),
        )
        for shape, *texts in zip(layer.geometry, *(layer[name] for name in names), strict=True)
    ]
    return hashlib.sha256(json.dumps(sorted(rows)).encode("utf-8")).hexdigest()


def counts_of(review: Review) -> dict[str, dict[str, int]]:
    """Return scene -> what is said of it, in numbers."""
    found = {}
    for scene in review.scenes:
        own = review.features[review.features["scene"] == scene]
        changed = own["source"].isin(["edited", "drawn"])
        counts = {
            "accepted": int(((own["verdict"] == ACCEPT) & ~changed).sum()),
            "edited or drawn": int(((own["verdict"] == ACCEPT) & changed).sum()),
            "rejected": int((own["verdict"] == REJECT).sum()),
            "as they stand": int((own["verdict"] == "").sum()),
            "areas looked at": int((review.looked["scene"] == scene).sum()),
        }
        found[scene] = {what: n for what, n in counts.items() if n}
    return found


def face_others(
    given: Sequence[tuple[str, Review, dict[str, Grid]]], names: Sequence[str], exclusive: bool
) -> list[str]:
    """Return where reviews that are given together do not agree, one line for each polygon."""
    lines = []
    for k, (path, review, grids) in enumerate(given):
        for other_path, other, other_grids in given[k + 1 :]:
            for scene in [scene for scene in grids if scene in other_grids]:
                grid = grids[scene]
                one, two = (said_of(to_crs(r, grid.crs), scene, names, exclusive=exclusive) for r in (review, other))
                found = disagreements(one, two, scene, names, grid)
                lines += [f"{line}: {path} and {other_path}" for line in found]
    return lines


def quarrels(review: Review, grids: Mapping[str, Grid]) -> list[str]:
    """Return where one review says two things of one polygon: accepted and rejected, or two classes for one name.

    Another shape on the same ground is none: a better outline is drawn over one that is rejected.

    Args:
        review: Placed.
        grids: Of its scenes.
    """
    lines: list[str] = []
    verdicts: dict[tuple[str, str, bytes], str] = {}
    classes: dict[tuple[str, str, bytes], str] = {}
    own = review.features[review.features["verdict"].isin([ACCEPT, REJECT])]
    columns = (own[name] for name in ("scene", "id", "class_name", "verdict"))
    for k, (shape, scene, name, class_name, verdict) in enumerate(zip(own.geometry, *columns, strict=True)):
        outline = shapely.to_wkb(shapely.normalize(shape))
        one = verdicts.setdefault((scene, class_name, outline), verdict)
        other = classes.setdefault((scene, name, outline), class_name) if name else class_name
        if one == verdict and other == class_name:
            continue
        moved = to_crs(replace(review, features=own.iloc[[k]], looked=review.looked[:0]), grids[scene].crs)
        where = place_of(moved.features.geometry.iloc[0], scene, class_name, grids[scene])
        lines.append(f"{where}, accepted and rejected" if one != verdict else f"{where}, or {other}")
    return list(dict.fromkeys(lines))


def face_labels(scene: Scene, legend: Legend, review: Review, exclusive: bool, over_labels: bool) -> Facing:
    """Compare a review with the label files of a scene and with what was absorbed before.

    Args:
        scene: The scene.
        legend: Classes.
        review: What is to be absorbed, placed.
        exclusive: Whether ground of one class is none of the others.
        over_labels: Whether it shall hold over label files.
    """
    grid, names = sensor_grids(scene)[scene.reference.name], legend.names
    own = said_of(to_crs(review, grid.crs), scene.id, names, exclusive=exclusive)
    labels = read_labels(replace(scene, reviews=()), legend, grid) if scene.label_files else None
    older = {name: _none() if labels is None else of_class(labels.features, name) for name in names}
    conflicts = []
    for name in names:
        new = own.right[name][~mostly_in(own.right[name], older[name])]
        strange = [p for p in new if labels is not None and _is_labelled(labels, p, grid)]
        conflicts += [f"{place_of(p, scene.id, name, grid)}: labels say that none is there; added" for p in strange]
        wrong: GeometryArray = shapely.get_parts(np.array([own.wrong[name]], dtype=object))
        denied = older[name][mostly_in(older[name], wrong)]
        outcome = "taken away" if over_labels else "kept"
        conflicts += [
            f"{place_of(p, scene.id, name, grid)}: labels have one, the review has none; {outcome}" for p in denied
        ]
    before = [
        (f, said_of(r, scene.id, names, exclusive=exclusive))
        for f, r in zip(scene.reviews, read_reviews(scene, legend, grid), strict=True)
    ]
    for file, said in before:
        conflicts += [
            f"{line}: {file.path.name} says otherwise; the new one holds"
            for line in disagreements(said, own, scene.id, names, grid)
        ]
    laid = lay_over(older, [(said, file.over_labels) for file, said in before] + [(own, over_labels)])
    alone = [p for name in names for p in own.right[name] if labels is None or not _is_labelled(labels, p, grid)]
    open_ = ~mostly_in(np.array([*alone, None], dtype=object)[:-1], np.array([laid.known], dtype=object))
    notes = []
    if open_.any():
        what = (
            "on ground of which nobody said whether other classes are there: it stays unlabelled until it is looked at"
        )
        notes.append(f"scene {scene.id!r}: {int(open_.sum())} polygons {what}")
    return Facing(tuple(conflicts), tuple(notes))


def _is_labelled(labels: Labels, polygon: shapely.Geometry, grid: Grid) -> bool:
    point = grid.ground_to_pixels(np.array([shapely.point_on_surface(polygon)], dtype=object))[0]
    row, col = int(np.floor(point.y)), int(np.floor(point.x))
    inside = 0 <= row < grid.height and 0 <= col < grid.width
    return inside and bool(labels.labelled(grid, Window(row, col, 1, 1))[0, 0])


def _none() -> GeometryArray:
    return np.empty(0, dtype=object)
