"""`merge-features`: the polygons of finished runs -> one map, each object once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS

from landscribe.core.legend import join_legends
from landscribe.core.mosaic import one_map
from landscribe.errors import DataError, RecipeError, problem
from landscribe.io.models.ranges import cautions_of
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.runs import Run
from landscribe.io.run.sheets import sheets_of
from landscribe.io.settings import legend_of_run, read_run_facts
from landscribe.io.tables.hilbert import along_hilbert
from landscribe.io.tables.lots import DRIVERS, write_lots
from landscribe.io.vector.vectors import read_own
from landscribe.late import geopandas as gpd

LONLAT = CRS.from_epsg(4326)
SCENES, WRITTEN = "scenes", "polygons written"


@dataclass(frozen=True)
class _Part:
    """A scene of one of the runs."""

    run: Run
    scene_id: str
    name: str
    """In the merged map."""
    rank: int


def merge_features(folders: Sequence[Path], target: Path, *, in_order: bool = False) -> dict[str, int]:
    """Make one map of the polygons of finished runs, as a run does of its scenes.

    Args:
        folders: Run folders. Of two scenes that lie equally deep, that of the earlier run owns.
        target: `.gpkg` or `.fgb`, whole or not at all.
        in_order: Whether an earlier run owns all that it shows, however deep.

    Returns:
        How many scenes there are, how many polygons were written, left out and joined.

    Raises:
        DataError: If a run has no polygons, a scene lies nowhere, some have a CRS and some have none, or a class of one
            run is another one in another.
        IntegrityError: If a file is not what its record says.
        RecipeError: If the target ends otherwise than the formats that can be written.
    """
    if target.suffix not in DRIVERS:
        raise RecipeError(problem(str(target), "cannot be written here", need=" or ".join(DRIVERS)))
    runs = [Run(folder) for folder in folders]
    legends = {str(run.root): legend_of_run(read_run_facts(run.root), str(run.root)) for run in runs}
    legend = join_legends(legends, do="merge runs of the same classes")
    parts = _parts(runs, in_order=in_order)
    systems = {_crs_of(part) for part in parts}
    if None in systems and len(systems) > 1:
        raise DataError(problem("merge-features", "some scenes have a CRS and some have none", do="merge them apart"))
    crs = next(iter(systems)) if len(systems) == 1 else LONLAT

    def read(number: int) -> gpd.GeoDataFrame:
        part = parts[number]
        found = read_own(part.run.checked(part.run.features(part.scene_id))).assign(scene=part.name)
        return found if crs is None or found.crs == crs else found.to_crs(crs)

    counts: Counter[str] = Counter()
    lots: Iterable[gpd.GeoDataFrame]
    if crs is None:  # they lie by their own numbers, and nobody knows what is beside them
        lots = (read(number) for number in range(len(parts)))
    else:
        rasters = [part.run.checked(part.run.probability(part.scene_id)) for part in parts]
        sheets = sheets_of(rasters, crs, [part.rank for part in parts])
        order = along_hilbert(np.array([sheet.footprint.bounds for sheet in sheets]))
        lots = one_map(read, sheets, counts, order.tolist())
    written = write_lots(target, lots, crs=crs, legend=legend, caution=_cautions(parts))
    return {SCENES: len(parts), WRITTEN: written, **{f"polygons {why}": n for why, n in counts.items() if n}}


def _parts(runs: Sequence[Run], *, in_order: bool) -> list[_Part]:
    """Return the scenes of all runs; where two runs have one of the same name, names say the run too."""
    scenes = {run.root: list(run.require("vectorize")) for run in runs}
    often = Counter(scene_id for ids in scenes.values() for scene_id in ids)
    names = _names([run.root for run in runs])
    return [
        _Part(run, i, i if often[i] == 1 else f"{names[run.root]}/{i}", number if in_order else 0)
        for number, run in enumerate(runs)
        for i in scenes[run.root]
    ]


def _names(roots: Sequence[Path]) -> Mapping[Path, str]:
    """Return what runs are called: the names of their folders, whole paths where two are the same."""
    often = Counter(root.resolve().name for root in roots)
    if len(set(roots)) < len(roots):
        raise DataError(problem("merge-features", "a run is given twice"))
    return {root: root.resolve().name if often[root.resolve().name] == 1 else str(root) for root in roots}


def _crs_of(part: _Part) -> CRS | None:
    """Return the CRS of a scene; None for one that lies in a frame of its own."""
    with open_raster(part.run.probability(part.scene_id)) as raster:
        grid = raster.info.grid
    if grid.crs is None and grid.transform == Affine.identity():
        where = f"{part.run.root}, scene {part.scene_id!r}"
        raise DataError(problem(where, "is a picture without a place, so nobody knows where it lies"))
    return grid.crs


def _cautions(parts: Sequence[_Part]) -> str:
    found = [part.run.read_record("predict", part.scene_id) for part in parts]
    return "; ".join(line for record in found if record is not None for line in cautions_of(record))
