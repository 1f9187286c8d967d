"""Landscribe: imagery of several sensors and polygons in, networks and polygons with an honest score out.

The public names are the nouns, the pair `burn_share` / `trace`, and the stages as functions:

    from landscribe import load_recipe, open_project, open_run, prepare, train, predict, vectorize, score

They are imported when they are first used, so that ``import landscribe`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "core.burn": ("burn_mask", "burn_share"),
    "core.grid": ("Grid", "Window"),
    "core.legend": ("DSTL_LEGEND", "LandClass", "Legend"),
    "core.recipe": ("Recipe",),
    "core.score.score": ("Score",),
    "core.sensors": ("Band", "Sensor"),
    "core.trace": ("Traced", "trace"),
    "core.tracing": ("Tracing",),
    "errors": ("DataError", "IntegrityError", "LandscribeError", "LimitError", "PartialError", "RecipeError"),
    "io.raster.geotiff": ("write_raster",),
    "io.project": ("Project", "open_project"),
    "io.raster.rasters": ("open_raster",),
    "io.run.runs": ("Run", "open_run"),
    "io.source.scenes": ("Scene",),
    "io.settings": ("load_recipe",),
    "io.vector.vectors": ("read_features", "write_features"),
    "stages.check": ("check",),
    "stages.submissions.clean": ("clean",),
    "stages.submissions.merge": ("merge",),
    "stages.predict": ("predict",),
    "stages.prepare": ("prepare",),
    "stages.report": ("report",),
    "stages.score": ("score",),
    "stages.stats": ("stats",),
    "stages.submit": ("submit",),
    "stages.train": ("train",),
    "stages.vectorize": ("vectorize",),
    "stages.submissions.vote": ("vote",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]  # noqa: PLE0604  # the names are plain text, from the table above


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'landscribe' has no attribute {name!r}")
    return getattr(import_module(f"landscribe.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
