"""The map of all scenes of a run, written scene by scene in the formats that the recipe names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid
from landscribe.core.mosaic import Sheet, one_map
from landscribe.core.recipe import OutputsTable
from landscribe.io.project import Project
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.runs import COMBINED, Made, Run
from landscribe.io.run.sheets import sheets_of
from landscribe.io.tables.columns import unpacked_bytes
from landscribe.io.tables.hilbert import along_hilbert
from landscribe.io.tables.lots import write_lots, write_parts
from landscribe.io.vector.vectors import read_own, write_features
from landscribe.late import geopandas as gpd

LONLAT = CRS.from_epsg(4326)
PARTS = "map"
"""Folder of a map in parts, in that of the features."""


def write_map(project: Project, run: Run, scene_ids: Sequence[str], cautions: Mapping[str, Sequence[str]]) -> Made:
    """Write the map of all scenes that lie on the ground, in one CRS: their own, or longitude and latitude.

    Pictures without georeference all lie at the origin, so each of them gets a GeoPackage of its own instead. Of the
    scenes one is held at a time, and what lies at borders with scenes to come.

    Args:
        project: The recipe with its legend.
        run: The run folder; the scenes must have been predicted and made polygons of.
        scene_ids: Scenes, in the order in which they own ground that is equally deep in two.
        cautions: What is to be known of each scene.

    Raises:
        IntegrityError: If features are not what was written.
        LimitError, OSError: If the disk will not hold it.
    """
    grids = {i: _grid_of(run, i) for i in scene_ids}
    pictures = [i for i, grid in grids.items() if grid.crs is None and grid.transform == Affine.identity()]
    written = [_write_picture(project, run, i, cautions[i]) for i in pictures]
    placed = [i for i in scene_ids if i not in set(pictures)]
    notes: list[str] = []
    if placed:
        said = "; ".join(line for i in placed for line in cautions[i])
        together, notes = _write_formats(project, run, {i: grids[i] for i in placed}, said)
        written += together
    _remove_others(run, written)
    return Made(tuple(written), {}, tuple(notes))


def _write_picture(project: Project, run: Run, scene_id: str, said: Sequence[str]) -> Path:
    path = run.features(scene_id).with_suffix(".gpkg")
    features = read_own(run.checked(run.features(scene_id)))
    write_features(path, features, legend=project.legend, caution="; ".join(said))
    return path


def _write_formats(project: Project, run: Run, grids: Mapping[str, Grid], caution: str) -> tuple[list[Path], list[str]]:
    table, scene_ids = project.recipe.outputs, list(grids)
    kinds = {None if grid.crs is None else grid.crs.to_wkt() for grid in grids.values()}
    crs = next(iter(grids.values())).crs if len(kinds) == 1 else LONLAT
    all_placed = None not in kinds
    sheets: list[Sheet] = []
    if all_placed and crs is not None:
        rasters, ranks = map(run.probability, scene_ids), map(project.recipe.mosaic.rank, scene_ids)
        sheets = sheets_of(list(rasters), crs, list(ranks))
    counts = Counter[str]()
    formats, notes = _formats(run, table, scene_ids)
    afloat = sum(grid.crs is None for grid in grids.values())
    if len(kinds) > 1 and afloat:
        notes.append(f"{COMBINED}: {afloat} scenes have no CRS and lie there by their own numbers")
    written: list[Path] = []
    for ending in formats:
        counts.clear()
        lots = _lots(run, scene_ids, sheets, crs, counts)
        if ending == "parquet":
            written += write_parts(run.path("features", PARTS), lots, legend=project.legend, caution=caution)
            continue
        path = run.path("features", COMBINED).with_suffix(f".{ending}")
        write_lots(path, lots, crs=crs, legend=project.legend, caution=caution)
        written.append(path)
    return written, [*notes, *(f"{COMBINED}: {n} polygons {reason}" for reason, n in counts.items() if n)]


def _formats(run: Run, table: OutputsTable, scene_ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the formats that are to be written, each once, and what is to be said of those that are left out."""
    wanted: list[str] = list(dict.fromkeys(table.map))
    size = sum(unpacked_bytes(run.checked(run.features(i))) for i in scene_ids)
    if set(wanted) == {"parquet"} or size <= 1e6 * table.largest_gpkg_mb:
        return wanted, []
    left = ", ".join(f"features.{ending}" for ending in wanted if ending != "parquet")
    limit = f"outputs.largest_gpkg_mb = {table.largest_gpkg_mb:g}"
    return ["parquet"], [f"{left} left out: polygons of {size / 1e6:.3g} MB, {limit}; {PARTS}/*.parquet has them"]


def _lots(
    run: Run, scene_ids: Sequence[str], sheets: Sequence[Sheet], crs: CRS | None, counts: Counter[str]
) -> Iterator[gpd.GeoDataFrame]:
    def read(number: int) -> gpd.GeoDataFrame:
        found = read_own(run.checked(run.features(scene_ids[number])))
        return found if found.crs is None or found.crs == crs else found.to_crs(crs)

    if not sheets:  # some lie on no known ground, so nobody knows what is beside them
        yield from (read(number) for number in range(len(scene_ids)))
        return
    # What comes one after the other lies side by side, so that little has to be held, and lots make compact parts.
    order = along_hilbert(np.array([sheet.footprint.bounds for sheet in sheets]))
    yield from one_map(read, sheets, counts, order.tolist())


def _remove_others(run: Run, written: Sequence[Path]) -> None:
    """Remove maps in formats that the recipe names no more, and parts of a longer map."""
    folder = run.path("features")
    flat = folder / "features.fgb"
    known = [folder / COMBINED, flat, *folder.joinpath(PARTS).glob("part-*.parquet")]
    style = [] if flat in written else [flat.with_suffix(".qml")]
    for path in [*(one for one in known if one not in written), *style]:
        path.unlink(missing_ok=True)


def _grid_of(run: Run, scene_id: str) -> Grid:
    with open_raster(run.probability(scene_id)) as raster:
        return raster.info.grid
