"""What catalogues and viewers of others want of a scene, where the recipe asks: a COG, a STAC item."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS, Transformer

from landscribe import __version__
from landscribe.core.grid import Grid
from landscribe.core.legend import Legend
from landscribe.errors import DataError, problem
from landscribe.io.atomic import write_text
from landscribe.io.digests import file_digest
from landscribe.io.names import safe_name
from landscribe.io.project import Project
from landscribe.io.project.batches import Batch
from landscribe.io.raster.cog import write_cog
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.runs import Made, Record, Run, make_key

FORMAT = 1
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""
CATALOG = "catalog"
"""Stage name of its records, a part of `vectorize`, and the folder of the run that it fills."""
STAC_VERSION = "1.1.0"
EXTENSIONS = {
    "projection": "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "raster": "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "file": "https://stac-extensions.github.io/file/v2.1.0/schema.json",
}
GEOTIFF = "image/tiff; application=geotiff"
PARQUET = "application/vnd.apache.parquet"
SHA256_MULTIHASH = "1220"
"""How a multihash begins that is a SHA-256."""
EDGE_POINTS = 9
"""Points along each edge of a scene, since it is not straight in longitude and latitude."""


def catalog_work(project: Project, run: Run, predicted: Mapping[str, Record]) -> Batch | None:
    """Return the work on what the recipe asks for of each scene; None where it asks for nothing."""
    table = project.recipe.outputs
    if not table.cog and not table.stac:
        return None

    def features_of(scene_id: str) -> Record:
        record = run.read_record("vectorize", scene_id)
        if record is None:
            raise DataError(problem(f"scene {scene_id!r}", "has no polygons"))
        return record

    def key_of(scene_id: str) -> str:
        return make_key(
            FORMAT,
            probability=predicted[scene_id].outputs,
            features=features_of(scene_id).outputs if table.stac else None,
            settings=(table.cog, table.stac),
            legend=[(c.name, c.colour) for c in project.legend],
        )

    def make(scene_id: str, _threads: int) -> Made:
        source = run.checked(run.probability(scene_id))
        cog, said = (run.path(CATALOG, safe_name(scene_id) + ending) for ending in (".tif", ".json"))
        if table.cog:
            write_cog(source, cog)
        if table.stac:
            features, raster = run.checked(run.features(scene_id)), cog if table.cog else source
            item = _item(scene_id, project.legend, raster, features, is_cog=table.cog)
            write_text(said, json.dumps(item, indent=1, ensure_ascii=False) + "\n")
        wanted = {cog: table.cog, said: table.stac}
        for path in (path for path, is_wanted in wanted.items() if not is_wanted):
            path.unlink(missing_ok=True)
        return Made(tuple(path for path, is_wanted in wanted.items() if is_wanted))

    def need_bytes(scene_id: str) -> int:
        return 2 * run.probability(scene_id).stat().st_size

    return Batch(CATALOG, tuple(predicted), key_of, make, need_bytes, beside=CATALOG)


def _item(scene_id: str, legend: Legend, raster: Path, features: Path, *, is_cog: bool) -> dict[str, Any]:
    with open_raster(raster) as opened:
        grid = opened.info.grid
    extensions = ["raster", "file"] if grid.crs is None else ["projection", "raster", "file"]
    made = datetime.fromtimestamp(raster.stat().st_mtime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    properties = {"datetime": made, "description": f"Classes found by Landscribe {__version__}"}
    properties |= {} if grid.crs is None else _projection(grid)
    bands = [{"name": c.name, "data_type": "uint8", "raster:scale": 1 / 255, "raster:offset": 0.0} for c in legend]
    own = "./" if is_cog else f"../{raster.parent.name}/"
    media = f"{GEOTIFF}; profile=cloud-optimized" if is_cog else GEOTIFF
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [EXTENSIONS[name] for name in extensions],
        "id": scene_id,
        "geometry": None,
    }
    if grid.crs is not None:
        outline = _outline(grid)
        item |= {"geometry": shapely.geometry.mapping(outline), "bbox": list(outline.bounds)}
    probability = {"href": own + raster.name, "type": media, "title": "Probability of each class", "bands": bands}
    polygons = {"href": f"../{features.parent.name}/{features.name}", "type": PARQUET, "title": "Polygons"}
    assets = {
        "probability": {**probability, "roles": ["data"], **_file_facts(raster)},
        "features": {**polygons, "roles": ["data"], **_file_facts(features)},
    }
    return {**item, "properties": properties, "links": [], "assets": assets}


def _projection(grid: Grid) -> dict[str, Any]:
    code = None if grid.crs is None else grid.crs.to_authority()
    said: dict[str, Any] = {"proj:code": ":".join(code) if code else None}
    if code is None and grid.crs is not None:
        said["proj:wkt2"] = grid.crs.to_wkt()
    return said | {"proj:shape": list(grid.shape_hw), "proj:transform": list(tuple(grid.transform)[:6])}


def _outline(grid: Grid) -> shapely.Polygon:
    corners = shapely.get_coordinates(grid.footprint)
    steps = np.linspace(0, 1, EDGE_POINTS)[:-1, None]
    edges: Sequence[Any] = [a + steps * (b - a) for a, b in itertools.pairwise(corners)]
    move = Transformer.from_crs(grid.crs, CRS.from_epsg(4326), always_xy=True)
    lon, lat = move.transform(*np.concatenate(edges).T)
    ring = np.round(np.column_stack([lon, lat]), 7)
    return shapely.orient_polygons(shapely.Polygon(ring))


def _file_facts(path: Path) -> dict[str, Any]:
    return {"file:size": path.stat().st_size, "file:checksum": SHA256_MULTIHASH + file_digest(path)}
