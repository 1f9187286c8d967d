"""What reviews say of ground, class by class, and how that is laid over older labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import BoolArray, GeometryArray
from landscribe.core.polygons.repair import polygonal
from landscribe.io.review.review import ACCEPT, REJECT, UNSEEN, Review

HALF = 0.5
"""Part of a polygon that decides what becomes of it."""
ADDED, REJECTED = "polygons that reviews add", "polygons that reviews reject"
AGREED = "polygons of reviews that older labels have already"
STANDING = "polygons in ground that was looked at, right as they stand"
TAKEN = "older labels that reviews take away or cut"


@dataclass(frozen=True)
class Said:
    """What one review says of a scene, in the coordinates of the polygons."""

    right: Mapping[str, GeometryArray]
    """Polygons of each class that are right."""
    wrong: Mapping[str, BaseGeometry]
    """Ground of each class where nothing of it is."""
    counts: Mapping[str, int] = field(default_factory=dict)

    def known(self, name: str) -> BaseGeometry:
        """Return the ground of which it is known whether it is of a class."""
        return shapely.union_all([*self.right[name], self.wrong[name]])


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
    wrong: dict[str, BaseGeometry] = {}
    counts = Counter[str]()
    for name in names:
        seen = shapely.union_all(areas[(area_class == "") | (area_class == name)])
        accepted = shapes[(of_class == name) & (verdict == ACCEPT)]
        rejected = shapes[(of_class == name) & (verdict == REJECT)]
        standing = polygons_of(shapely.intersection(shapes[(of_class == name) & (verdict == UNSEEN)], seen))
        right[name] = np.concatenate([accepted, standing])
        wrong[name] = shapely.difference(shapely.union_all([*rejected, seen]), shapely.union_all(right[name]))
        counts.update({STANDING: len(standing), REJECTED: len(rejected)})
    if exclusive:
        whole = {name: shapely.union_all(right[name]) for name in names}
        for name in names:
            others = shapely.union_all([whole[other] for other in names if other != name])
            wrong[name] = shapely.union(wrong[name], shapely.difference(others, whole[name]))
    return Said(right, wrong, {reason: n for reason, n in counts.items() if n})


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
            known[name] = shapely.union_all([known[name], wrong, *right])
            if over_labels:
                kept = _give_way(base[name], right, wrong)
                counts[TAKEN] += _differing(base[name], kept)
                base[name] = kept
            added[name] = _give_way(added[name], right, wrong)
            there = mostly_in(right, base[name])
            counts.update({ADDED: int((~there).sum()), AGREED: int(there.sum())})
            added[name] = np.concatenate([added[name], right[~there]])
    of_all = shapely.intersection_all(list(known.values())) if known else shapely.Polygon()
    polygons = {name: np.concatenate([base[name], added[name]]) for name in older}
    return Laid(polygons, of_all, {reason: n for reason, n in counts.items() if n})


def mostly_in(polygons: GeometryArray, ground: GeometryArray) -> BoolArray:
    """Say which polygons lie with more than half of their area in the ground that others cover together."""
    inside = np.zeros(len(polygons), dtype=np.bool_)
    if not len(polygons) or not len(ground):
        return inside
    tree = shapely.STRtree(ground)
    for k, polygon in enumerate(polygons):
        near = ground[tree.query(polygon, predicate="intersects")]
        if len(near):
            shared = shapely.intersection(polygon, shapely.union_all(near)).area
            inside[k] = shared > HALF * polygon.area
    return inside


def polygons_of(geometries: GeometryArray) -> GeometryArray:
    """Return the polygons in geometries, without those that have no area."""
    found = np.array([polygonal(geometry) for geometry in geometries], dtype=object)
    return found[shapely.area(found) > 0] if len(found) else _none()


def _give_way(polygons: GeometryArray, right: GeometryArray, wrong: BaseGeometry) -> GeometryArray:
    kept = polygons[~mostly_in(polygons, right)]
    touched = shapely.intersects(kept, wrong)
    cut = shapely.difference(kept[touched], wrong)
    result = kept.copy()
    result[touched] = [polygonal(geometry) for geometry in cut]
    return result[shapely.area(result) > 0] if len(result) else _none()


def _differing(before: GeometryArray, after: GeometryArray) -> int:
    same = {shapely.to_wkb(polygon) for polygon in after}
    return sum(shapely.to_wkb(polygon) not in same for polygon in before)


def _none() -> GeometryArray:
    return np.empty(0, dtype=object)
