"""Polygons against polygons: cutting out, clipping, joining and voting, by spatial index.

All functions work on `Rows` in one planar frame and say in `counts` what became of every polygon: after a step there
are as many as before, less those dropped or joined, plus those added.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import shapely
from numpy.typing import NDArray

from landscribe.core.arrays import BoolArray, Floats, GeometryArray, Ints
from landscribe.core.polygons.components import components
from landscribe.core.polygons.flatten import subdivide
from landscribe.core.polygons.quiet import is_valid
from landscribe.core.polygons.rings import polygon_parts, to_polygons, to_rings
from landscribe.core.polygons.simplify import FREE, thin
from landscribe.workers import stop_if_asked

SLIVER = 1e-9
"""Parts with less area than this, in units of the frame, are rounding of the overlay."""

HALVINGS = 6
"""How often the tolerance is halved for a polygon that simplification would make invalid, before it stays as it is."""

Counts = Counter[str]


@dataclass(frozen=True)
class Rows:
    """Features of one scene as columns."""

    geometry: GeometryArray
    """Valid Polygons or MultiPolygons, object (N,)."""
    class_index: Ints
    """Position in the legend, -1 for a class outside of it."""
    score: Floats
    """Mean probability, NaN where there is none."""
    origin: Ints
    """Row of the input that each feature came from."""
    changed: BoolArray
    """Whether the geometry is no longer that of the input."""

    def __len__(self) -> int:
        return len(self.geometry)

    def take(self, index: NDArray[np.bool_] | Ints) -> Rows:
        """Return some rows."""
        return Rows(
            self.geometry[index],
            self.class_index[index],
            self.score[index],
            self.origin[index],
            self.changed[index],
        )


def drop(rows: Rows, gone: BoolArray, reason: str, counts: Counts) -> Rows:
    """Leave rows out and count them."""
    counts[f"dropped, {reason}"] += int(np.count_nonzero(gone))
    return rows.take(~gone)


def reshape(rows: Rows, index: Ints, geometries: GeometryArray, reason: str, counts: Counts) -> Rows:
    """Give some rows new geometries; each part becomes a row of its own, in the place of the old one.

    Args:
        rows: Features.
        index: Rows that change.
        geometries: Their new geometries, of any type; what is not polygonal is left out.
        reason: Why a row is gone whose new geometry is empty.
        counts: Changed in place.
    """
    if not len(index):
        return rows
    parts, source = polygon_parts(geometries)
    solid = shapely.area(parts) > SLIVER
    parts, source = parts[solid], source[solid]
    members = np.bincount(source, minlength=len(index))
    counts[f"dropped, {reason}"] += int(np.count_nonzero(members == 0))
    counts["added, split off"] += int(np.maximum(members - 1, 0).sum())
    counts["changed"] += int(np.count_nonzero(members))
    still = np.ones(len(rows), dtype=np.bool_)
    still[index] = False
    old = np.concatenate((np.flatnonzero(still), index[source]))
    order = np.argsort(old, kind="stable")
    changed = np.concatenate((rows.changed[still], np.ones(len(parts), dtype=np.bool_)))[order]
    result = rows.take(old[order])
    return replace(result, geometry=np.concatenate((rows.geometry[still], parts))[order], changed=changed)


def erase(rows: Rows, losers: BoolArray, takers: BoolArray, counts: Counts) -> Rows:
    """Cut the ground of some rows out of others."""
    at, hits = _hits(rows.geometry, np.flatnonzero(losers & ~takers), rows.geometry[takers])
    cut = shapely.difference(rows.geometry[at], hits)
    return _if_moved(rows, at, cut, "erased whole", counts)


def clip(rows: Rows, chosen: BoolArray, keep: GeometryArray, counts: Counts) -> Rows:
    """Keep of some rows only what lies in other polygons."""
    index = np.flatnonzero(chosen)
    at, hits = _hits(rows.geometry, index, keep)
    cut = np.full(len(rows), shapely.Polygon(), dtype=object)
    cut[at] = shapely.intersection(rows.geometry[at], hits)
    return _if_moved(rows, index, cut[index], "outside of the clip", counts)


def _if_moved(rows: Rows, index: Ints, new: GeometryArray, reason: str, counts: Counts) -> Rows:
    """Reshape only rows that lost ground, so that those which merely touch keep their vertices."""
    before = shapely.area(rows.geometry[index])
    moved = before - shapely.area(new) > SLIVER * np.maximum(before, 1.0)
    return reshape(rows, index[moved], new[moved], reason, counts)


def _hits(geometries: GeometryArray, index: Ints, others: GeometryArray) -> tuple[Ints, GeometryArray]:
    """Find what lies on some geometries.

    Returns:
        The rows of `index` that anything lies on, and for each the union of all that does.
    """
    pieces = subdivide(polygon_parts(others)[0])
    tree = shapely.STRtree(pieces)
    mine, theirs = tree.query(geometries[index], predicate="intersects")
    order = np.argsort(mine, kind="stable")
    mine, theirs = mine[order], theirs[order]
    rows, begin = np.unique(mine, return_index=True)
    end = np.append(begin[1:], len(mine))
    united = np.empty(len(rows), dtype=object)
    one = end - begin == 1
    united[one] = pieces[theirs[begin[one]]]
    for k in np.flatnonzero(~one):
        stop_if_asked()
        united[k] = shapely.union_all(pieces[theirs[begin[k] : end[k]]])
    return index[rows], united


def merge(rows: Rows, chosen: BoolArray, counts: Counts, *, reach: float = 0.0) -> Rows:
    """Join rows of one class that touch, overlap, or have a gap narrower than twice `reach` between them.

    Each group becomes the parts of its union, with the mean of the members' scores by area and the origin of the
    largest member. A row without company stays as it is where `reach` is 0.
    """
    for class_index in np.unique(rows.class_index[chosen]):
        stop_if_asked()
        index = np.flatnonzero(chosen & (rows.class_index == class_index))
        grown = outline(rows.geometry[index], reach) if reach else rows.geometry[index]
        tree = shapely.STRtree(grown)
        a, b = tree.query(grown, predicate="intersects")
        group = components(len(index), a, b)
        members = np.bincount(group)
        joined = np.flatnonzero(members[group] > (0 if reach else 1))
        if not len(joined):
            continue
        order = joined[np.argsort(group[joined], kind="stable")]
        cuts = np.flatnonzero(np.diff(group[order])) + 1
        sets = np.split(order, cuts)
        united = np.array([grown[s[0]] if len(s) == 1 else shapely.union_all(grown[s]) for s in sets], dtype=object)
        new = outline(united, -reach) if reach else united
        area = shapely.area(rows.geometry[index])
        largest = np.array([s[np.argmax(area[s])] for s in sets])
        score = rows.score.copy()
        score[index[largest]] = [_mean(rows.score[index[s]], area[s]) for s in sets]
        gone = np.zeros(len(rows), dtype=np.bool_)
        gone[index[joined]] = True
        gone[index[largest]] = False
        counts["joined to others"] += int(np.count_nonzero(gone))
        moved = np.cumsum(~gone) - 1
        rows = replace(rows, score=score).take(~gone)
        chosen = chosen[~gone]
        rows, chosen = _reshape_with(rows, chosen, moved[index[largest]], new, counts)
    return rows


def _reshape_with(
    rows: Rows, chosen: BoolArray, index: Ints, new: GeometryArray, counts: Counts
) -> tuple[Rows, BoolArray]:
    """Reshape and carry the choice along, by way of the origin column."""
    tagged = replace(rows, origin=np.arange(len(rows)))
    after = reshape(tagged, index, new, "vanished", counts)
    return replace(after, origin=rows.origin[after.origin]), chosen[after.origin]


def vote(rows: Rows, sources: list[int], at_least: int, target: int, counts: Counts) -> Rows:
    """Replace sources, and the class they vote for, by the ground that enough of them cover.

    Args:
        rows: Features.
        sources: Class index of each source.
        at_least: How many of them must cover the ground.
        target: Class index of the result.
        counts: Changed in place.
    """
    parts = agreed_ground([rows.geometry[rows.class_index == source] for source in sources], at_least)
    voters = np.isin(rows.class_index, sources)
    mine, theirs = shapely.STRtree(rows.geometry[voters]).query(parts, predicate="intersects")
    share = shapely.area(shapely.intersection(parts[mine], rows.geometry[voters][theirs]))
    known = np.isfinite(rows.score[voters][theirs])
    weight = np.bincount(mine[known], weights=share[known], minlength=len(parts))
    total = np.bincount(mine[known], weights=(share * rows.score[voters][theirs])[known], minlength=len(parts))
    score = np.full(len(parts), np.nan)
    np.divide(total, weight, out=score, where=weight > 0)
    origin = np.zeros(len(parts), dtype=np.int64)
    order = np.argsort(share, kind="stable")
    origin[mine[order]] = rows.origin[voters][theirs[order]]
    replaced = voters | (rows.class_index == target)
    counts["dropped, replaced by the vote"] += int(np.count_nonzero(replaced))
    counts["added, voted for"] += len(parts)
    kept = rows.take(~replaced)
    return Rows(
        np.concatenate((kept.geometry, parts)),
        np.concatenate((kept.class_index, np.full(len(parts), target))),
        np.concatenate((kept.score, score)),
        np.concatenate((kept.origin, origin)),
        np.concatenate((kept.changed, np.ones(len(parts), dtype=np.bool_))),
    )


def agreed_ground(sources: Sequence[GeometryArray], at_least: int) -> GeometryArray:
    """Return the ground that at least so many of several sources cover, as polygons that do not overlap.

    Args:
        sources: Valid polygons of each source, in a frame whose unit is about a pixel.
        at_least: How many must cover the ground, 1 to the number of sources.
    """
    layers = [_flat(source) for source in sources]
    agreed = []
    for some in combinations(layers, at_least):
        stop_if_asked()
        ground = some[0]
        for layer in some[1:]:
            ground = intersections(ground, layer)[0]
        agreed.append(ground)
    return _flat(np.concatenate(agreed))


def intersections(ours: GeometryArray, theirs: GeometryArray) -> tuple[GeometryArray, Ints, Ints]:
    """Intersect two layers.

    Returns:
        Polygons with area, and the row of each in `ours` and in `theirs`.
    """
    mine, other = shapely.STRtree(theirs).query(ours, predicate="intersects")
    parts, source = polygon_parts(shapely.intersection(ours[mine], theirs[other]))
    solid = shapely.area(parts) > SLIVER
    return parts[solid], mine[source[solid]], other[source[solid]]


def outline(geometries: GeometryArray, distance: float) -> GeometryArray:
    """Move outlines outwards, or inwards with a negative distance; right angles stay right angles."""
    moved: GeometryArray = shapely.buffer(geometries, distance, join_style="mitre", mitre_limit=2.0)
    return moved


def simplify(geometries: GeometryArray, tolerance: float) -> GeometryArray:
    """Leave out vertices as long as no outline moves further; polygons stay valid and keep their holes.

    `shapely.simplify` moves an outline further than it says where a ring begins.

    Args:
        geometries: Valid Polygons or MultiPolygons.
        tolerance: Largest distance from the old outline.

    Returns:
        As many geometries.
    """
    parts, source = polygon_parts(geometries)
    result = parts.copy()
    left = np.arange(len(parts))
    no_vertices = np.empty(0, dtype=np.bool_)
    for halving in range(HALVINGS):
        stop_if_asked()
        rings = to_rings(parts[left])
        xy, ring_start = thin(rings.xy, rings.ring_start, no_vertices, tolerance / 2**halving, FREE, -1, -1)
        new = to_polygons(xy, ring_start, rings.polygon_start)
        good = is_valid(new)
        result[left[good]] = new[good]
        left = left[~good]
        if not len(left):
            break
    if len(parts) == len(geometries):
        return result
    united: GeometryArray = shapely.multipolygons(result, indices=source)
    return united


def fill_holes(geometries: GeometryArray, area: float) -> tuple[GeometryArray, Ints]:
    """Fill the holes that are smaller than `area`.

    Returns:
        New geometries, and how many holes were filled in each, int64.
    """
    filled = np.zeros(len(geometries), dtype=np.int64)
    result = geometries.copy()
    parts, source = polygon_parts(geometries)
    for k in np.unique(source[shapely.get_num_interior_rings(parts) > 0]):
        stop_if_asked()
        new = []
        for part in parts[np.searchsorted(source, k) : np.searchsorted(source, k, side="right")]:
            holes = shapely.polygons([ring.coords for ring in part.interiors])
            small = shapely.area(holes) < area
            filled[k] += int(np.count_nonzero(small))
            kept = [ring for ring, gone in zip(part.interiors, small, strict=True) if not gone]
            new.append(shapely.Polygon(part.exterior, kept))
        if filled[k]:
            # A filled hole may have held an island, now a part on top of another one.
            result[k] = new[0] if len(new) == 1 else shapely.union_all(new)
    return result, filled


def _flat(geometries: GeometryArray) -> GeometryArray:
    """Return polygons that cover the same ground and do not overlap."""
    parts, _ = polygon_parts(geometries)
    if not len(parts):
        return parts
    a, b = shapely.STRtree(parts).query(parts, predicate="intersects")
    group = components(len(parts), a, b)
    order = np.argsort(group, kind="stable")
    sets = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    united = np.array([parts[s[0]] if len(s) == 1 else shapely.union_all(parts[s]) for s in sets], dtype=object)
    flat = polygon_parts(united)[0]
    return flat[shapely.area(flat) > SLIVER]


def _mean(score: Floats, weight: Floats) -> float:
    known = np.isfinite(score)
    if not known.any():
        return float("nan")
    return float(np.average(score[known], weights=weight[known]))
