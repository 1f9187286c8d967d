"""The table of the recipe about the files that a run hands over."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from landscribe.core.recipe.values import Positive


class OutputsTable(BaseModel, frozen=True, extra="forbid", strict=True):
    """`[outputs]`: what of a run is for other programs (see docs/tables.md)."""

    map: Annotated[tuple[Literal["gpkg", "parquet", "fgb"], ...], Field(min_length=1)] = ("gpkg",)
    """How the map of all scenes is written: `features.gpkg`, `features.fgb`, or `map/part-*.parquet`, GeoParquet 1.1 in
    parts, in the folder `features`."""
    largest_gpkg_mb: Positive = 20_000.0
    """Where the polygons of all scenes are more, unpacked, parts of a GeoParquet take the place of `features.gpkg` and
    `features.fgb`."""
    cog: bool = False
    """Copy each probability raster as a cloud-optimised GeoTIFF to `catalog/<scene>.tif`, for servers and viewers that
    read windows over a network."""
    stac: bool = False
    """Write a STAC item for each scene, `catalog/<scene>.json`, with its probability and its polygons as assets."""
