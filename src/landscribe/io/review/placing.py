"""Which scenes a review speaks of: by name, or by where its polygons lie."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import shapely

from landscribe.core.features import one_at_a_time
from landscribe.core.grid import Grid
from landscribe.errors import DataError, problem, some
from landscribe.io.review.found import stack, to_crs
from landscribe.io.review.review import ACCEPT, REJECT, UNSEEN, Review
from landscribe.late import geopandas as gpd

OUTSIDE = "outside of its image, left out"
NOWHERE = "polygons and areas that name no scene and lie in none"


def named_scenes(review: Review) -> set[str]:
    """Return the scenes that a review names."""
    return {*review.scenes, *review.features["scene"], *review.looked["scene"]} - {""}


def says_something(review: Review) -> bool:
    """Say whether there is a verdict or an area that was looked at, wherever it lies."""
    return bool(len(review.looked) or review.features["verdict"].isin([ACCEPT, REJECT]).any())


def needs_places(review: Review) -> bool:
    """Say whether polygons or areas name no scene."""
    return bool((review.features["scene"] == "").any() or (review.looked["scene"] == "").any())


def refuse_strangers(review: Review, known: Collection[str], where: str) -> None:
    """Refuse a review of scenes that a recipe does not have.

    Raises:
        DataError: With their names.
    """
    strange = sorted(named_scenes(review) - set(known))
    if strange:
        of_run = f" {review.run!r}" if review.run else ""
        what = f"speaks of scenes that the recipe does not have: a review of another run{of_run}?"
        raise DataError(problem(where, what, got=some(strange), need=some(list(known))))


def placed(review: Review, grids: Mapping[str, Grid], where: str) -> Review:
    """Return a review whose every row names its scene and lies in it.

    What names no scene is of each scene that it lies in. What lies outside of its scene is left out and counted.

    Args:
        review: The review.
        grids: Grid of the reference of each scene that it may be of.
        where: Its file, for messages.

    Raises:
        DataError: If the review has a CRS and a scene has none or the other way round, pixels name no scene, or all
            that is said of a scene lies outside of it.
    """
    afloat = [scene for scene, grid in grids.items() if grid.crs is None]
    if review.crs is None and needs_places(review) and len(grids) > 1:
        need = "a column scene in layers features and looked"
        raise DataError(problem(where, "no CRS, and polygons that name no scene", got=some(list(grids)), need=need))
    named = named_scenes(review)
    for scene in [s for s in grids if s in named or not named]:
        if (scene in afloat) != (review.crs is None):
            got = "none" if review.crs is None else review.crs.name
            need = "none, pixels of the image" if scene in afloat else "one"
            raise DataError(problem(where, f"its CRS is not what scene {scene!r} needs", got=got, need=need))
    notes = list(review.notes)
    parts: dict[str, list[gpd.GeoDataFrame]] = {"features": [], "looked": []}
    for scene, grid in grids.items():
        frame = shapely.box(0, 0, grid.width, grid.height)
        tables = {layer: _that_may_be_of(getattr(review, layer), scene) for layer in parts}
        here = to_crs(replace(review, **tables), grid.crs)
        own_rows = kept_rows = 0
        for layer, kept in parts.items():
            table, own = tables[layer], (tables[layer]["scene"] == scene).to_numpy()
            pixels = grid.ground_to_pixels(getattr(here, layer).geometry.to_numpy())
            # A common border is no common ground.
            inside = np.array(shapely.area(shapely.intersection(pixels, frame)) > 0, dtype=np.bool_).reshape(len(table))
            kept.append(_of_scene(table[inside], scene))
            own_rows, kept_rows = own_rows + int(own.sum()), kept_rows + int((own & inside).sum())
        if own_rows and not kept_rows:
            do = "check the CRS of the file"
            raise DataError(problem(where, f"all that it says of scene {scene!r} lies outside of it", do=do))
        if own_rows > kept_rows:
            notes.append(f"scene {scene!r}: {own_rows - kept_rows} polygons and areas {OUTSIDE}")
    features, looked = (stack(parts[layer]) for layer in ("features", "looked"))
    lost = _nowhere(review, parts)
    if lost:
        notes.append(f"{lost} {NOWHERE}, left out")
    return replace(review, features=features, looked=looked, scenes=tuple(grids), notes=tuple(notes))


def speaking(review: Review, grids: Mapping[str, Grid]) -> Review:
    """Return of a placed review what says something: polygons with a verdict, those in looked-at ground, and areas."""
    features, looked = review.features, review.looked
    keep = np.array(features["verdict"].isin([ACCEPT, REJECT]), dtype=np.bool_)
    for scene in grids:
        unseen = np.flatnonzero(((features["scene"] == scene) & (features["verdict"] == UNSEEN)).to_numpy())
        areas = looked.geometry[looked["scene"] == scene].to_numpy()
        if len(unseen) and len(areas):
            seen = shapely.union_all(areas)
            keep[unseen] = shapely.area(shapely.intersection(features.geometry.to_numpy()[unseen], seen)) > 0
    kept = features[keep].reset_index(drop=True)
    scenes = {*kept["scene"], *looked["scene"]}
    return replace(review, features=kept, scenes=tuple(scene for scene in grids if scene in scenes))


def _that_may_be_of(table: gpd.GeoDataFrame, scene: str) -> gpd.GeoDataFrame:
    return table[table["scene"].isin(["", scene])]


@one_at_a_time
def _of_scene(table: gpd.GeoDataFrame, scene: str) -> gpd.GeoDataFrame:
    own = table.copy()
    own["scene"] = own["scene"].where(own["scene"] != "", scene)
    return own


def _nowhere(review: Review, parts: Mapping[str, list[gpd.GeoDataFrame]]) -> int:
    lost = 0
    for layer, kept in parts.items():
        table = getattr(review, layer)
        free = set(table.index[table["scene"] == ""])
        lost += len(free - {row for part in kept for row in part.index})
    return lost
