"""What reviews say of ground, class by class, and how that is laid over older labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import BoolArray, GeometryArray
from landscribe.core.polygons.flatten import flatten, subdivide, with_area
from landscribe.core.polygons.repair import polygonal
from landscribe.io.review.review import ACCEPT, REJECT, UNSEEN, Review

POLYGONAL = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
PIECE = 256
"""Vertices of a piece of ground that polygons are compared with."""
HALF = 0.5
"""Part of a polygon that decides what becomes of it."""
ADDED, REJECTED = "polygons that reviews add", "polygons that reviews reject"
AGREED = "polygons of reviews that older labels have already"
STANDING = "polygons in ground that was looked at, right as they stand"
REVISED = "polygons of earlier reviews that later ones take away, cut or replace"
TAKEN = "older labels that reviews take away or cut"


@dataclass(frozen=True)
class Said:
    """What one review says of a scene, in the coordinates of the polygons."""

    right: Mapping[str, GeometryArray]
    """Polygons of each class that are right."""
    wrong: Mapping[str, BaseGeometry]
    """Ground of each class where nothing of it is."""
    known: Mapping[str, BaseGeometry]
    """Ground of which it is known whether it is of each class: both of the above."""
    counts: Mapping[str, int] = field(default_factory=dict)


def said_of(review: Review, scene: str, names: Sequence[str], *, exclusive: bool = False) -> Said:
    """Tell what a review says of the ground of a scene.

    Accepted polygons are right. Ground that was looked at is known: polygons there that nobody rejected are right as
    they stand (of those without a verdict the part inside), and all else is none of the class. Rejected ground is none
    of the class either, but for what is accepted on it.

    Args:
        review: The review.
        scene: The scene.
        names: Classes of the legend.
        exclusive: Whether ground of one class is none of the others.
    """
    own = review.features[review.features["scene"] == scene]
    looked = review.looked[review.looked["scene"].isin(["", scene])]
    shapes, areas = own.geometry.to_numpy(), looked.geometry.to_numpy()
    verdict, of_class, area_class = (
        np.array(c, dtype=object) for c in (own["verdict"], own["class_name"], looked["class_name"])
    )
    right: dict[str, GeometryArray] = {}
    known: dict[str, BaseGeometry] = {}
    whole: dict[str, BaseGeometry] = {}
    counts = Counter[str]()
    for name in names:
        seen = shapely.union_all(areas[(area_class == "") | (area_class == name)])
        accepted = shapes[(of_class == name) & (verdict == ACCEPT)]
        rejected = shapes[(of_class == name) & (verdict == REJECT)]
        standing = polygons_of(shapely.intersection(shapes[(of_class == name) & (verdict == UNSEEN)], seen))
        right[name] = np.concatenate([accepted, standing])
        known[name] = _with(seen, np.concatenate([rejected, right[name]]))
        whole[name] = shapely.disjoint_subset_union_all(right[name])
        counts.update({STANDING: len(standing), REJECTED: len(rejected)})
    if exclusive:
        other = {name: shapely.union_all([whole[one] for one in names if one != name]) for name in names}
        known = {name: shapely.union(known[name], other[name]) for name in names}
    wrong = {name: shapely.difference(known[name], whole[name]) for name in names}
    return Said(right, wrong, known, {reason: n for reason, n in counts.items() if n})


@dataclass(frozen=True)
class Laid:
    """Labels of a scene with reviews laid over them."""

    polygons: Mapping[str, GeometryArray]
    """By class: those of the older labels that hold, then those of reviews."""
    known: BaseGeometry
    """Ground of which reviews say of all classes whether it is of them."""
    counts: Mapping[str, int]
    """What reviews add and take away."""


def lay_over(older: Mapping[str, GeometryArray], said: Sequence[tuple[Said, bool]]) -> Laid:
    """Lay reviews over the older labels of a scene, one after the other.

    Older labels hold, unless a review was absorbed to hold over them: then what lies in ground that the review calls
    wrong is cut away, and what is mostly covered by a polygon of the review gives way to it. A polygon of a review that
    older labels mostly cover already is theirs. Later reviews hold over earlier ones in the same way.

    Args:
        older: Polygons of the label files by class, all classes of the legend.
        said: What each review says, and whether it holds over the label files.
    """
    base, added = dict(older), {name: _none() for name in older}
    known = {name: shapely.Polygon() for name in older}
    counts = Counter[str]()
    for own, over_labels in said:
        counts.update(own.counts)
        for name in older:
            right, wrong = own.right[name], own.wrong[name]
            known[name] = shapely.union(known[name], own.known[name])
            if over_labels:
                kept = _give_way(base[name], right, wrong)
                counts[TAKEN] += _differing(base[name], kept)
                base[name] = kept
            kept = _give_way(added[name], right, wrong)
            counts[REVISED] += _differing(added[name], kept)
            added[name] = kept
            there = mostly_in(right, base[name])
            counts.update({ADDED: int((~there).sum()), AGREED: int(there.sum())})
            added[name] = np.concatenate([added[name], right[~there]])
    of_all = shapely.intersection_all(list(known.values())) if known else shapely.Polygon()
    polygons = {name: np.concatenate([base[name], added[name]]) for name in older}
    return Laid(polygons, of_all, {reason: n for reason, n in counts.items() if n})


def mostly_in(polygons: GeometryArray, ground: GeometryArray) -> BoolArray:
    """Say which polygons lie with more than half of their area in the ground that others cover together."""
    shared = np.zeros(len(polygons))
    # Ground that was looked at is one polygon with a hole for each house in it, which no pair should go over.
    pieces = subdivide(flatten(ground), PIECE)
    if len(polygons) and len(pieces):
        rows, cols = shapely.STRtree(pieces).query(polygons, predicate="intersects")
        np.add.at(shared, rows, shapely.area(shapely.intersection(polygons[rows], pieces[cols])))
    inside: BoolArray = shared > HALF * shapely.area(polygons)
    return inside


def polygons_of(geometries: GeometryArray) -> GeometryArray:
    """Return the polygons in geometries, without those that have no area."""
    found = np.array(geometries, dtype=object)
    odd = np.flatnonzero(~np.isin(shapely.get_type_id(found), POLYGONAL))
    for k in odd:
        found[k] = polygonal(found[k])
    return found[shapely.area(found) > 0]


def _with(ground: BaseGeometry, polygons: GeometryArray) -> BaseGeometry:
    """Return ground with polygons, most of which lie in it."""
    shapely.prepare(ground)
    beyond = polygons[~shapely.contains(ground, polygons)]
    return shapely.union(ground, shapely.disjoint_subset_union_all(beyond))


def _give_way(polygons: GeometryArray, right: GeometryArray, wrong: BaseGeometry) -> GeometryArray:
    kept = polygons[~mostly_in(polygons, right)].copy()
    pieces = subdivide(with_area(np.array([wrong], dtype=object)), PIECE)
    if len(kept) and len(pieces):
        rows, cols = shapely.STRtree(pieces).query(kept, predicate="intersects")
        touched, starts = np.unique(rows, return_index=True)  # in the order of rows
        for row, near in zip(touched, np.split(cols, starts[1:]), strict=True):
            kept[row] = polygonal(shapely.difference(kept[row], shapely.union_all(pieces[near])))
    return kept[shapely.area(kept) > 0]


def _differing(before: GeometryArray, after: GeometryArray) -> int:
    same = {shapely.to_wkb(polygon) for polygon in after}
    return sum(shapely.to_wkb(polygon) not in same for polygon in before)


def _none() -> GeometryArray:
    return np.empty(0, dtype=object)
