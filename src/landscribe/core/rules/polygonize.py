"""The probabilities of a scene to features: traced class by class, measured on the ground, and ruled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from landscribe.core.features import join_features, make_features
from landscribe.core.grid import Grid
from landscribe.core.legend import Legend
from landscribe.core.recipe import Recipe
from landscribe.core.rules import apply_rules
from landscribe.core.separate import FieldReader, separate
from landscribe.core.trace.classes import BandReader, field_of, trace_classes
from landscribe.late import geopandas as gpd


def polygonize(
    read: BandReader,
    grid: Grid,
    scene_id: str,
    recipe: Recipe,
    legend: Legend,
    place: str | None = None,
    *,
    threads: int = 1,
    border: Mapping[str, FieldReader] | None = None,
) -> tuple[gpd.GeoDataFrame, dict[str, int]]:
    """Trace the classes of a scene and apply the class rules.

    Args:
        read: Gives some bands, numbered from 0, of a window of the probabilities, (C, h, w), uint8 for 0..1; invalid
            pixels are 0. It is called by one thread at a time.
        grid: Of the scene.
        scene_id: Scene id for the features.
        recipe: Thresholds, minimum areas, rules.
        legend: Classes in band order.
        place: Place of the scene, for rules that name places.
        threads: Classes that are traced at once.
        border: Of classes, where single things of them end, for those that `[vectorize] separate` names.

    Returns:
        Features in ground coordinates, and polygons kept and dropped by class and reason.
    """
    counts: Counter[str] = Counter()
    parts = []
    table = recipe.vectorize
    traced_of = trace_classes(
        read,
        grid.shape_hw,
        [table.tracing(name, grid.pixel_area) for name in legend.names],
        exclusive=table.exclusive,
        shared_borders=table.shared_borders,
        threads=threads,
    )
    for name in (name for name in legend.names if name in table.separate):
        band, tracing = legend.index(name), table.tracing(name, grid.pixel_area)
        field = field_of(read, band, len(legend), exclusive=table.exclusive)
        cut = separate(traced_of[band], field, grid.shape_hw, tracing, table.neck, (border or {}).get(name))
        traced_of[band] = cut[0]
        counts.update({f"{name}: {what}": n for what, n in cut[1].items()})
    for land_class, traced in zip(legend, traced_of, strict=True):
        counts.update({f"{land_class.name}: {reason}": n for reason, n in traced.dropped.items() if n})
        ground = grid.pixels_to_ground(traced.geometries)
        area = traced.area_px * grid.pixel_area
        parts.append(make_features(scene_id, land_class, ground, score=traced.score, area=area, crs=grid.crs))
    places = {} if place is None else {scene_id: place}
    features, steps = apply_rules(join_features(parts, grid.crs), recipe.rules, legend, {scene_id: grid}, places=places)
    for number, step in enumerate(steps, start=1):
        counts.update({f"rule {number}: {reason}": n for reason, n in step.items() if isinstance(n, int) and n})
    for land_class in legend:
        counts[f"{land_class.name}: kept"] = int((features["class_name"] == land_class.name).sum())
    return features, dict(counts)
