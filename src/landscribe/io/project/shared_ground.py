"""Ground that several scored scenes show: which of them it counts in, so that none counts twice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from pyproj import CRS, Transformer
from shapely.geometry.base import BaseGeometry

from landscribe.core.grid import Grid
from landscribe.core.mosaic import Sheet, lost_grounds, overlapping_pairs
from landscribe.core.recipe import MosaicTable
from landscribe.core.split.split import Split
from landscribe.io.project.splits import open_side
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import Run

LONLAT = CRS.from_epsg(4326)


@dataclass(frozen=True)
class SharedGround:
    """Scored scenes that show ground of each other."""

    run: Run
    split: Split
    grids: Mapping[str, Grid]
    """Of the scenes with a CRS."""
    sheets: Mapping[str, Sheet]
    """Of the same, in one CRS; where they have labels is not known yet."""
    beside: Mapping[str, tuple[str, ...]]
    """Of each scene, those that show some of its ground, in the order of scenes."""
    crs: CRS

    def lost(self, scene_id: str) -> BaseGeometry | None:
        """Return the ground of a scene that counts in another one, in the scene's CRS; None where that is nothing.

        What nobody labelled in the other one is not its to count.
        """
        others = self.beside.get(scene_id, ())
        if not others:
            return None
        names = [name for name in self.sheets if name == scene_id or name in others]
        sheets = [self.sheets[name] for name in names]
        labelled = [None if name == scene_id else self._labelled(name) for name in names]
        lost = lost_grounds([replace(sheet, valid=valid) for sheet, valid in zip(sheets, labelled, strict=True)])
        gone = lost[names.index(scene_id)]
        return None if gone is None else _move(gone, self.crs, self.grids[scene_id].crs)

    def rests_on(self, scene_id: str) -> dict[str, int]:
        """Return the scenes that decide with a scene which ground counts in it, and their ranks."""
        others = self.beside.get(scene_id, ())
        return {name: self.sheets[name].rank for name in (scene_id, *others)} if others else {}

    def _labelled(self, scene_id: str) -> BaseGeometry:
        ground = open_side(self.run, scene_id, self.split, "validate").labelled_ground()
        return _move(ground, self.grids[scene_id].crs, self.crs)


def find_shared_ground(run: Run, split: Split, scene_ids: Sequence[str], mosaic: MosaicTable) -> SharedGround:
    """Find which scored scenes show ground of each other.

    Args:
        run: The run folder.
        split: Says which part of a scene is held out.
        scene_ids: The scored scenes. Where two of one rank lie equally deep, the first counts.
        mosaic: Says whose word counts.
    """
    grids = {i: grid for i in scene_ids if (grid := open_prepared(run, i).grid).crs is not None}
    systems = {grid.crs for grid in grids.values()}
    crs = next(iter(systems)) if len(systems) == 1 else LONLAT
    sheets = {}
    for scene_id, grid in grids.items():
        footprint = _move(grid.footprint, grid.crs, crs or LONLAT)
        pixel = math.sqrt(footprint.area / (grid.height * grid.width))
        sheets[scene_id] = Sheet(footprint, pixel, rank=mosaic.rank(scene_id))
    names = list(sheets)
    beside: dict[str, list[str]] = {name: [] for name in names}
    for i, j in overlapping_pairs(list(sheets.values())):
        beside[names[i]].append(names[j])
        beside[names[j]].append(names[i])
    return SharedGround(
        run, split, grids, sheets, {name: tuple(others) for name, others in beside.items()}, crs or LONLAT
    )


def _move(ground: BaseGeometry, crs: CRS | None, other: CRS | None) -> BaseGeometry:
    if crs is None or other is None or crs == other:
        return ground
    move = Transformer.from_crs(crs, other, always_xy=True)
    return shapely.transform(ground, lambda xy: np.column_stack(move.transform(xy[:, 0], xy[:, 1])))
