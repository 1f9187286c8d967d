"""A landscape: everything in one scene as geometry, before a single pixel is painted."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import shapely
from numpy.random import Generator
from shapely.geometry import LineString, Polygon, box
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import AnyArray, BoolArray, FloatArray, GeometryArray
from landscribe.worlds.ground.canvas import px
from landscribe.worlds.ground.regions import Region, pick
from landscribe.worlds.objects.fields import Parcels, plan_parcels
from landscribe.worlds.objects.roads import Way, make_way, plan_roads
from landscribe.worlds.objects.trees import Crowns, hedge_places, plan_crowns, species_of, tree_cover, wood_places
from landscribe.worlds.objects.vehicles import Vehicle
from landscribe.worlds.objects.village import Village, plan_village, street_points, traffic
from landscribe.worlds.objects.water import Water, plan_pond, plan_river


@dataclass(frozen=True)
class Landscape:
    """The plan of one scene, in scene pixels."""

    region: Region
    ways: list[Way]
    water: list[Water]
    parcels: Parcels
    village: Village
    crowns: Crowns
    vehicles: list[Vehicle]


def plan_landscape(rng: Generator, region: Region, shape_hw: tuple[int, int], margin: int, *, river: bool) -> Landscape:
    """Plan one scene.

    Args:
        rng: Source of randomness of this scene.
        region: Its place.
        shape_hw: Rows and columns of the scene.
        margin: How far the plan reaches over each side, pixels.
        river: True for a river; ponds come either way.
    """
    extent = box(-margin, -margin, shape_hw[1] + margin, shape_hw[0] + margin)
    frame = box(0, 0, shape_hw[1], shape_hw[0])
    ways = plan_roads(rng, extent, region)
    water: list[Water] = []
    if river:
        water.append(plan_river(rng, extent, region, ways)[0])
    wet = shapely.union_all([body.outline.buffer(px(5)) for body in water])
    village = plan_village(rng, extent, ways, wet, region, share=0.78)
    corridors = [way.outline.buffer(px(2.5 if way.paved else 1.5)) for way in ways]
    # Land enclosed by houses and streets is no farmland: closing the gaps gives fields straight borders.
    settled = shapely.union_all([*corridors, *village.plots]).buffer(px(9)).buffer(-px(8))
    free = extent.difference(shapely.union_all([settled, wet])).buffer(-px(4)).buffer(px(4), join_style="mitre")
    parcels = plan_parcels(rng, extent, free, region)
    tracks = [line.buffer(px(3)) for line, kind in parcels.seams if kind == "track"]
    keep_off = [*corridors, wet, *tracks, *(plot.buffer(px(1)) for plot in village.plots)]
    ponds = _place_ponds(rng, frame, extent, [*parcels.meadows, *parcels.woods, settled], keep_off, region)
    water += ponds
    parcels = _leave_out(parcels, ponds)
    for line, kind in parcels.seams:
        if kind == "track":
            ways.append(make_way(rng, line, rng.uniform(3.0, 4.0), "dirt"))
    crowns = _plant(rng, extent, region, ways, water, parcels, village)
    _put_poles(rng, village, ways)
    parked = [vehicle for vehicle in village.vehicles if not vehicle.outline.intersects(crowns.union)]
    vehicles = [*parked, *traffic(rng, ways, frame, crowns.union)]
    return Landscape(region, ways, water, parcels, village, crowns, vehicles)


def _put_poles(rng: Generator, village: Village, ways: list[Way]) -> None:
    for way in ways:
        if way.paved:
            side = -0.99 if rng.random() < 0.5 else 0.99
            edge = shapely.get_coordinates(way.ribbon(side, 0.0, fixed_px=px(0.9)))
            line = LineString(edge[: len(edge) // 2])
            for at in np.arange(px(rng.uniform(0, 30)), line.length, px(rng.uniform(32, 42))):
                village.fences.append((line.interpolate(at).buffer(px(0.17), quad_segs=2), "wood", 8.0))


def _place_ponds(
    rng: Generator,
    frame: Polygon,
    extent: Polygon,
    allowed: list[BaseGeometry],
    taken: list[BaseGeometry],
    region: Region,
) -> list[Water]:
    """Place ponds where no crop grows, and in fields where there is no such place; one at least in the frame."""
    land = shapely.union_all(allowed)
    taken = list(taken)
    wanted = max(1, round(extent.area / px(300) ** 2))
    ponds: list[Water] = []
    for attempt in range(400):
        if len(ponds) == wanted:
            break
        left, top, right, bottom = (extent if ponds else frame).bounds
        centre = rng.uniform([left, top], [right, bottom])
        pond = plan_pond(rng, centre, px(rng.uniform(6, 12) * (1 - attempt / 800)), region)
        shore = pond.outline.buffer(px(2))
        if (attempt > 150 or land.contains(shore)) and not shapely.intersects(taken, shore).any():
            ponds.append(pond)
            taken.append(shore)
    return ponds


def _leave_out(parcels: Parcels, ponds: list[Water]) -> Parcels:
    """Take the ponds and their banks out of the fields."""
    banks = shapely.union_all([pond.outline.buffer(px(3)) for pond in ponds])
    fields = [
        replace(field, outline=piece)
        for field in parcels.fields
        for piece in shapely.get_parts(field.outline.difference(banks))
        if isinstance(piece, Polygon) and piece.area > px(10) ** 2
    ]
    return replace(parcels, fields=fields)


def _plant(
    rng: Generator,
    extent: Polygon,
    region: Region,
    ways: list[Way],
    water: list[Water],
    parcels: Parcels,
    village: Village,
) -> Crowns:
    places: list[AnyArray] = []
    radii: list[AnyArray] = []
    species: list[str] = []

    def add(xy_n2: FloatArray, low_m: float, high_m: float, stand: str | None = None) -> None:
        places.append(xy_n2)
        radii.append(px(1) * rng.uniform(low_m, high_m, len(xy_n2)))
        species.extend(species_of(rng, region, len(xy_n2), stand))

    for wood in parcels.woods:
        stand = pick(rng, region.character.trees)
        trees = wood_places(rng, wood.buffer(-px(1)), px(rng.uniform(3.4, 4.4)))
        large = rng.random(len(trees)) < 0.45
        add(trees[large], 2.2, 4.2, stand)
        add(trees[~large], 1.2, 2.4, stand)
    for line, kind in parcels.seams:
        if kind == "hedge" and isinstance(line, LineString):
            add(hedge_places(rng, line), 0.9, 2.4)
    for meadow in parcels.meadows:
        # Bushes come in loose groups.
        groups = rng.poisson(meadow.area / px(34) ** 2)
        left, top, right, bottom = meadow.bounds
        centres = rng.uniform([left, top], [right, bottom], (groups, 2))
        spots = np.repeat(centres, rng.integers(1, 9, groups), axis=0)
        spots = spots + rng.normal(0, px(5), spots.shape)
        add(spots[shapely.contains_xy(meadow, spots)], 0.7, 3.2)
    for body in water:
        if body.flows:
            shore = body.outline.buffer(px(3)).exterior if isinstance(body.outline, Polygon) else None
            if shore is not None:
                line = shore.intersection(extent)
                for part in shapely.get_parts(line):
                    along = hedge_places(rng, part)
                    add(along[rng.random(len(along)) < 0.5], 1.2, 3.6)
    for way in ways:
        beside = street_points(rng, way, 9.0)
        add(beside[rng.random(len(beside)) < 0.25], 1.2, 3.4)
    for plot in village.plots:
        if rng.random() < 0.35:
            corners = shapely.get_coordinates(plot)
            add(hedge_places(rng, LineString(corners[2:4])), 0.8, 2.6)
    yard = np.array(village.trees).reshape(-1, 3)
    places.append(yard[:, :2])
    radii.append(yard[:, 2])
    species += species_of(rng, region, len(yard))
    xy, radius = np.concatenate(places), np.concatenate(radii)
    keep = _room(xy, radius, ways, water, village)
    return plan_crowns(rng, xy[keep], radius[keep], [name for name, kept in zip(species, keep, strict=True) if kept])


def _room(xy_n2: FloatArray, radius_px: FloatArray, ways: list[Way], water: list[Water], village: Village) -> BoolArray:
    """Say which trees stand clear of roads, water and houses with their trunk, and of fields with most of the crown."""
    hard = [way.outline for way in ways] + [body.outline for body in water]
    hard += [building.outline for building in (*village.buildings, *village.sheds)]
    trunk = shapely.points(xy_n2)
    tree = shapely.STRtree(hard)
    touched, _ = tree.query(shapely.buffer(trunk, radius_px * 0.55), predicate="intersects")
    keep = np.ones(len(xy_n2), dtype=bool)
    keep[touched] = False
    return keep


def labels(landscape: Landscape, shape_hw: tuple[int, int]) -> dict[int, GeometryArray]:
    """Return the polygons of each DSTL class (1..10) in scene pixels, cut at the scene's edge."""
    village = landscape.village
    fences = [outline for outline, _, _ in village.fences]
    roads = shapely.union_all([way.outline for way in landscape.ways if way.paved])
    tracks = shapely.union_all([way.outline for way in landscape.ways if not way.paved])
    bridges = shapely.union_all([roads, tracks])
    found: dict[int, list[BaseGeometry]] = {
        1: [building.outline for building in village.buildings],
        2: [shed.outline for shed in village.sheds] + fences,
        3: [roads],
        4: [tracks.difference(roads)],
        5: list(tree_cover(landscape.crowns)),
        6: [field.outline for field in landscape.parcels.fields],
        7: [body.outline.difference(bridges) for body in landscape.water if body.flows],
        8: [body.outline for body in landscape.water if not body.flows],
        9: [vehicle.outline for vehicle in landscape.vehicles if vehicle.large],
        10: [vehicle.outline for vehicle in landscape.vehicles if not vehicle.large],
    }
    frame = box(0, 0, shape_hw[1], shape_hw[0])
    return {number: _clip(np.array(shapes, dtype=object), frame) for number, shapes in found.items()}


def _clip(shapes: GeometryArray, frame: Polygon) -> GeometryArray:
    """Cut at the frame and keep the polygons that are left, slivers under a tenth of a pixel excepted."""
    if len(shapes) == 0:
        return shapes
    parts = shapely.get_parts(shapely.intersection(shapes, frame))
    polygons = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    valid = shapely.get_parts(shapely.make_valid(polygons, method="structure", keep_collapsed=False))
    kept: GeometryArray = valid[shapely.area(valid) >= 0.1]
    return kept
