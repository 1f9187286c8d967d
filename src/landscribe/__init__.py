"""Landscribe: imagery of several sensors and polygons in, networks and polygons with an honest score out.

    import landscribe as ls

    model = ls.load_model("runs/city/models")
    found = model.predict("scene.tif")              # or an array, a data set of rasterio, a DataArray of xarray
    houses = ls.trace(found)                        # a GeoDataFrame with the CRS of the scene
    ls.score(houses, "truth.gpkg")
    ls.run("city.toml", "runs/city", progress=True)

Beside these are the nouns, and the stages of a run as functions. Names are imported when they are first used, so that
``import landscribe`` is quick, and nothing of the host's process is changed.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:  # to import typing takes as long as all else here
    from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "core.burn": ("burn_mask", "burn_share"),
    "core.grid": ("Grid", "Window"),
    "core.legend": ("DSTL_LEGEND", "LandClass", "Legend"),
    "core.recipe": ("Recipe",),
    "core.score.score": ("Score",),
    "core.sensors": ("Band", "Sensor"),
    "core.tracing": ("Tracing",),
    "errors": ("DataError", "IntegrityError", "LandscribeError", "LimitError", "PartialError", "RecipeError"),
    "io.raster.geotiff": ("write_raster",),
    "io.project": ("Project", "StageResult"),
    "io.raster.rasters": ("open_raster",),
    "io.run.runs": ("Run", "open_run"),
    "io.source.scenes": ("Scene",),
    "io.settings": ("LoadedRecipe", "load_recipe"),
    "library.flow": ("init", "open_project", "run"),
    "library.model": ("Model", "load_model"),
    "library.polygons": ("burn", "trace"),
    "library.progress": ("progress_bars",),
    "library.rasters": ("ClassRaster",),
    "library.scores": ("compare", "score"),
    "io.vector.vectors": ("read_features", "write_features"),
    "stages.adapt": ("adapt",),
    "stages.check": ("check",),
    "stages.submissions.clean": ("clean",),
    "stages.submissions.merge": ("Source", "merge"),
    "stages.pictures": ("masks", "pictures"),
    "stages.predict": ("predict",),
    "stages.prepare": ("prepare",),
    "stages.stats": ("stats",),
    "stages.submit": ("submit",),
    "stages.train": ("train",),
    "stages.tune": ("tune",),
    "stages.vectorize": ("vectorize",),
    "stages.submissions.vote": ("vote",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_OTHERWISE = {
    "score_run": ("stages.score", "score"),
    "trace_pixels": ("core.trace", "trace"),
    "write_map": ("stages.maps.map", "map"),
    "write_report": ("stages.report", "report"),
}
"""Public name -> where it stands under another one: `report` is a room of ours, the others mean something else."""
_HOME_OF |= {name: home for name, (home, _) in _OTHERWISE.items()}

__all__ = ["__version__", *sorted(_HOME_OF)]  # noqa: PLE0604  # the names are plain text, from the table above


def home_of(name: str) -> tuple[str, str]:
    """Return the module below the package in which a public name stands, and what it is called there."""
    return _OTHERWISE.get(name) or (_HOME_OF[name], name)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'landscribe' has no attribute {name!r}")
    home, own = home_of(name)
    return getattr(import_module(f"landscribe.{home}"), own)


def __dir__() -> list[str]:
    return sorted(__all__)
