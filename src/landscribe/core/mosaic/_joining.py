"""Pieces that the borders between scenes cut, found again as one polygon while scenes come one after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import BoolArray, GeometryArray
from landscribe.core.mosaic._ground import TOUCHING_PX, Sheet
from landscribe.core.polygons.repair import repair
from landscribe.late import geopandas as gpd
from landscribe.late import pandas as pd

LEAST_SHARE = 0.5
"""Of the border that the shorter of two pieces has, so much must be common for them to be one."""

Piece = tuple[int, int]
"""Scene, and row among those of its pieces that lie at a border."""


@dataclass(frozen=True)
class _Shore:
    """What a scene has at its borders."""

    rows: gpd.GeoDataFrame
    owned: BaseGeometry
    """Ground that the scene owns."""


@dataclass(frozen=True)
class Borders:
    """Scenes that still wait for a neighbour, and which of their pieces belong together."""

    sheets: Sequence[Sheet]
    beside: Sequence[Sequence[int]]
    """Of each scene, those that overlap or meet it."""
    _shores: dict[int, _Shore] = field(default_factory=dict)
    _missing: dict[int, int] = field(default_factory=dict)
    """Of each scene that came, how many neighbours have not come yet."""
    _parent: dict[Piece, Piece] = field(default_factory=dict)
    _members: dict[Piece, list[Piece]] = field(default_factory=dict)
    """Pieces of a polygon, by the first of them."""
    _waiting: dict[int, int] = field(default_factory=dict)
    """Of each scene that is held, how many of its pieces are not handed out yet."""

    def add(
        self, k: int, part: gpd.GeoDataFrame, owned: BaseGeometry
    ) -> tuple[gpd.GeoDataFrame, list[gpd.GeoDataFrame], int]:
        """Take what a scene owns.

        Args:
            k: The scene; each comes once.
            part: Its features, cut to the ground that it owns.
            owned: That ground.

        Returns:
            Its features that lie at no border, polygons for which no neighbour is awaited any more, and how many pieces
            were joined to make these.
        """
        inside, at_border = self._apart(k, part, owned)
        self._shores[k], self._waiting[k] = _Shore(at_border, owned), len(at_border)
        for row in range(len(at_border)):
            self._parent[k, row] = (k, row)
            self._members[k, row] = [(k, row)]
        here = [j for j in self.beside[k] if j in self._missing]
        self._missing[k] = len(self.beside[k]) - len(here)
        for j in here:
            self._link(j, k)
            self._missing[j] -= 1
        return inside, *self._finished([j for j in (*here, k) if not self._missing[j]])

    def _apart(self, k: int, part: gpd.GeoDataFrame, owned: BaseGeometry) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
        """Part features that touch the ground of a neighbour from those that do not."""
        near = np.zeros(len(part), np.bool_)
        if len(part) and self.beside[k]:
            shapes, sheet = part.geometry.to_numpy(), self.sheets[k]
            outline = shapely.boundary(owned)
            shapely.prepare(outline)
            reach = 2 * TOUCHING_PX * max(sheet.pixel, *(self.sheets[j].pixel for j in self.beside[k]))
            near = shapely.dwithin(shapes, outline, reach)
        return part[~near].reset_index(drop=True), part[near].reset_index(drop=True)

    def _link(self, i: int, j: int) -> None:
        """Note which pieces of two neighbours are of one polygon."""
        first, second = self._shores[i], self._shores[j]
        reach = TOUCHING_PX * max(self.sheets[i].pixel, self.sheets[j].pixel)
        if not len(first.rows) or not len(second.rows):
            return
        border = shapely.buffer(first.owned, reach).intersection(shapely.buffer(second.owned, reach))
        left, right = (shore.rows.geometry.to_numpy() for shore in (first, second))
        ours, theirs = (np.flatnonzero(_touching(border, shapes)) for shapes in (left, right))
        if not len(ours) or not len(theirs):
            return
        left_m = {row: _along(left[row], border) for row in ours.tolist()}
        right_m = {row: _along(right[row], border) for row in theirs.tolist()}
        classes, others = (shore.rows["class_name"].to_numpy() for shore in (first, second))
        tree = shapely.STRtree(right[theirs])
        for a, b in zip(*tree.query(left[ours], predicate="dwithin", distance=2 * reach), strict=True):
            row, other = int(ours[a]), int(theirs[b])
            least = min(left_m[row], right_m[other])
            if classes[row] != others[other] or least <= 4 * reach:
                continue
            with np.errstate(all="ignore"):  # GEOS divides by zero at edges that turn back
                near = shapely.buffer(right[other], 2 * reach, join_style="mitre")
            if _along(left[row], border.intersection(near)) >= LEAST_SHARE * least:
                self._unite((i, row), (j, other))

    def _root(self, piece: Piece) -> Piece:
        while self._parent[piece] != piece:
            self._parent[piece] = self._parent[self._parent[piece]]
            piece = self._parent[piece]
        return piece

    def _unite(self, first: Piece, second: Piece) -> None:
        first, second = sorted((self._root(first), self._root(second)))
        if first != second:
            self._parent[second] = first
            self._members[first] += self._members.pop(second)

    def _finished(self, closed: Sequence[int]) -> tuple[list[gpd.GeoDataFrame], int]:
        """Hand out the polygons of scenes that await no neighbour, unless another of their scenes does."""
        done, joined = [], 0
        roots = dict.fromkeys(self._root((k, row)) for k in closed for row in range(len(self._shores[k].rows)))
        single: dict[int, list[int]] = defaultdict(list)
        for root in roots:
            members = sorted(self._members[root])
            if any(self._missing[k] for k, _ in members):
                continue
            if len(members) == 1:
                single[root[0]].append(root[1])
            else:
                done.append(self._united(members))
                joined += len(members)
            self._members.pop(root)
            for k, row in members:
                del self._parent[k, row]
                self._waiting[k] -= 1
        done += [self._shores[k].rows.iloc[rows] for k, rows in single.items()]
        for k in [k for k, pieces in self._waiting.items() if not pieces and not self._missing[k]]:
            del self._shores[k], self._waiting[k]
        return done, joined

    def _united(self, members: Sequence[Piece]) -> gpd.GeoDataFrame:
        rows = pd.concat([self._shores[k].rows.iloc[[row]] for k, row in members])
        shapes = rows.geometry.to_numpy()
        size = shapely.area(shapes)
        reach = TOUCHING_PX * max(self.sheets[k].pixel for k, _ in members)
        kept = rows.iloc[[int(size.argmax())]].copy()
        kept["score"] = [float(np.average(rows["score"].to_numpy(), weights=size))]
        kept["area"] = [float(rows["area"].to_numpy().sum())]
        return kept.set_geometry(gpd.GeoSeries([_closed(shapes, reach)], index=kept.index, crs=rows.crs))


def _touching(border: BaseGeometry, shapes: GeometryArray) -> BoolArray:
    shapely.prepare(border)
    touching: BoolArray = shapely.intersects(border, shapes)
    return touching


def _along(shape: BaseGeometry, border: BaseGeometry) -> float:
    """Return how much of a polygon's boundary lies on a border."""
    return float(shapely.length(shapely.intersection(shapely.boundary(shape), border)))


def _closed(pieces: GeometryArray, reach: float) -> BaseGeometry:
    """Unite pieces that touch, or nearly so."""
    united = shapely.union_all(pieces)
    if united.geom_type != "Polygon":
        grown = shapely.buffer(pieces, reach, join_style="mitre")
        united = shapely.buffer(shapely.union_all(grown), -reach, join_style="mitre")
    repaired, _ = repair(np.array([united], dtype=object))
    return repaired[0]
