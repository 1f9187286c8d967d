"""Villages: plots along streets, with houses, sheds, fences, beds, drives and parked cars."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import shapely
import shapely.ops
from numpy.random import Generator
from shapely.geometry import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import FloatArray
from landscribe.worlds.ground.canvas import px
from landscribe.worlds.ground.regions import Region, pick
from landscribe.worlds.objects.buildings import Building, Frame, make_hall, make_house, make_shed
from landscribe.worlds.objects.roads import Way
from landscribe.worlds.objects.vehicles import Vehicle, make_car, make_lorry


@dataclass(frozen=True)
class Village:
    """What stands on the plots; its lists grow while it is planned."""

    plots: list[Polygon] = field(default_factory=list)
    yards: list[tuple[Polygon, str]] = field(default_factory=list)
    """Ground surfaces within plots, and their material."""
    beds: list[tuple[Polygon, float]] = field(default_factory=list)
    """Garden beds and the direction of their rows."""
    buildings: list[Building] = field(default_factory=list)
    sheds: list[Building] = field(default_factory=list)
    fences: list[tuple[BaseGeometry, str, float]] = field(default_factory=list)
    """Outline, material and height in metres of fences, walls, heaps and the like."""
    trees: list[tuple[float, float, float]] = field(default_factory=list)
    """x, y and radius in pixels."""
    vehicles: list[Vehicle] = field(default_factory=list)


def plan_village(
    rng: Generator, extent: Polygon, ways: list[Way], taken: BaseGeometry, region: Region, share: float
) -> Village:
    """Place plots along the streets, then fill them.

    Args:
        rng: Source of randomness.
        extent: The land to plan.
        ways: Roads and streets.
        taken: Land that no plot may touch besides the ways themselves.
        region: The place.
        share: Mean part of a street that is built up, 0..1.
    """
    village = Village()
    surfaces = shapely.union_all([way.outline for way in ways])
    blocked = [shapely.union_all([surfaces, taken])]
    halls = max(1, round(extent.area / px(380) ** 2))
    for way in ways:
        for side in (-1, 1):
            # Plots of one side share a depth: their back fences line up.
            deep = px(rng.uniform(*region.character.plot_depth_m))
            # Houses gather: how densely a street is built up swells and fades along it.
            wave, phase = px(rng.uniform(260, 420)), rng.uniform(0, 2 * np.pi)
            at = 0.0
            while at < way.line.length:
                farm = halls > 0 and rng.random() < 0.08
                wide = px(rng.uniform(*((40, 52) if farm else region.character.plot_width_m)))
                frame = _street_frame(way, at + wide / 2, side)
                depth = max(deep, px(42)) if farm else deep * rng.uniform(0.97, 1.0)
                plot = frame.rectangle(0, depth / 2, wide, depth)
                seen = extent.contains(shapely.Point(frame.to_scene(np.array([[0, depth / 2]]))[0]))
                if not seen or shapely.intersects(blocked, plot.buffer(-px(0.6))).any():
                    at += px(4)
                    continue
                at += wide
                if rng.random() > share + 0.45 * np.cos(2 * np.pi * at / wave + phase):
                    at += px(rng.uniform(0, 30))
                    continue
                blocked.append(plot)
                village.plots.append(plot)
                if farm:
                    halls -= 1
                    _fill_farm(rng, village, frame, wide, depth, region)
                elif rng.random() < 0.1:
                    _put_orchard(rng, village, frame, wide, depth)
                else:
                    _fill_plot(rng, village, frame, wide, depth, region)
    return village


def _street_frame(way: Way, at: float, side: int) -> Frame:
    point = np.array(way.line.interpolate(at).coords[0])
    ahead = np.array(way.line.interpolate(at + 8).coords[0])
    behind = np.array(way.line.interpolate(max(at - 8, 0)).coords[0])
    angle = float(np.arctan2(*(ahead - behind)[::-1])) + (0.0 if side > 0 else np.pi)
    out = max(way.half_widths) + px(1.6)
    return Frame(float(point[0]), float(point[1]), angle).at(0, out)


def _fill_plot(rng: Generator, village: Village, frame: Frame, wide: float, deep: float, region: Region) -> None:
    character = region.character
    length, width = rng.uniform(8.5, 12.5), rng.uniform(7.0, 9.5)
    along_street = rng.random() < 0.65
    span = length if along_street else width
    drive_side = float(rng.choice([-1, 1]))
    u = -drive_side * max(0.0, wide / 2 - px(span / 2 + 1.8)) * rng.uniform(0.5, 1.0)
    back = px(rng.uniform(4, 9)) + px((width if along_street else length) / 2)
    house_frame = frame.at(u, back, (0.0 if along_street else np.pi / 2) + rng.normal(0, 0.03))
    house = make_house(rng, house_frame, length, width, pick(rng, character.roofs))
    village.buildings.append(house)
    yard = px(rng.uniform(17, 22))
    village.yards.append((frame.rectangle(0, yard / 2, wide, yard), "yard"))
    drive_u = drive_side * (wide / 2 - px(2.6))
    drive_end = px(rng.uniform(12, 20))
    surface = str(rng.choice(["gravel", "concrete", character.soil, character.soil, character.soil]))
    drive = frame.rectangle(drive_u, drive_end / 2 - px(1), px(rng.uniform(2.4, 3.0)), drive_end + px(2))
    village.yards.append((drive, surface))
    occupied: list[BaseGeometry] = [house.outline.buffer(px(1)), drive]
    if rng.random() < 0.75:
        shed_length, shed_width = rng.uniform(3.5, 8.0), rng.uniform(3.0, 4.8)
        shed_frame = frame.at(drive_side * (wide / 2 - px(shed_length / 2 + 1.2)), yard + px(rng.uniform(0, 3)))
        material = pick(rng, (*character.roofs, ("bitumen", 3), ("fibre_cement", 2)))
        shed = make_shed(rng, shed_frame, shed_length, shed_width, material)
        if not shapely.intersects(occupied, shed.outline).any():
            # DSTL counts garages as buildings and small sheds as structures.
            (village.buildings if shed_length * shed_width > 22 else village.sheds).append(shed)
            occupied.append(shed.outline.buffer(px(1)))
    if rng.random() < 0.35:
        hut = make_shed(rng, frame.at(rng.uniform(-0.3, 0.3) * wide, yard + px(6)), 2.6, 2.2, "wood")
        if not shapely.intersects(occupied, hut.outline).any():
            village.sheds.append(hut)
            occupied.append(hut.outline.buffer(px(1)))
    if rng.random() < 0.45:
        parked = frame.at(drive_u + px(rng.normal(0, 0.2)), px(rng.uniform(4, 9)), np.pi / 2 + rng.normal(0, 0.04))
        village.vehicles.append(make_car(rng, parked))
    _plant_garden(rng, village, frame, wide, (yard + px(5), deep - px(1.5)), occupied)
    _put_clutter(rng, village, frame, wide, yard, occupied)
    _put_trees(rng, village, frame, wide, deep, occupied)
    if rng.random() < character.fence:
        _put_fence(rng, village, frame, wide, deep, drive_u)


def _plant_garden(
    rng: Generator,
    village: Village,
    frame: Frame,
    wide: float,
    along: tuple[float, float],
    occupied: list[BaseGeometry],
) -> None:
    start = along[0]
    while start < along[1] - px(4):
        depth = min(px(rng.uniform(4, 10)), along[1] - start)
        left = -wide / 2 + px(1.2)
        while left < wide / 2 - px(4):
            span = min(px(rng.uniform(4, 12)), wide / 2 - px(1.2) - left)
            bed = frame.rectangle(left + span / 2, start + depth / 2, span - px(0.7), depth - px(0.7))
            if rng.random() < 0.62 and not shapely.intersects(occupied, bed).any():
                village.beds.append((bed, frame.angle + (np.pi / 2 if rng.random() < 0.5 else 0)))
                occupied.append(bed.buffer(-px(0.5)))
            elif rng.random() < 0.15 and span > px(6):
                house = frame.rectangle(left + span / 2, start + depth / 2, px(rng.uniform(5, 8)), px(2.8))
                if not shapely.intersects(occupied, house).any():
                    village.fences.append((house, "plastic_film", 1.8))
                    occupied.append(house)
            left += span
        start += depth


def _put_clutter(
    rng: Generator, village: Village, frame: Frame, wide: float, yard: float, occupied: list[BaseGeometry]
) -> None:
    for _ in range(int(rng.integers(1, 8))):
        size, slender = px(rng.uniform(0.7, 2.2)), rng.uniform(0.35, 1.0)
        spot = frame.at(rng.uniform(-0.46, 0.46) * wide, rng.uniform(0.15, 1.1) * yard, rng.uniform(0, np.pi))
        heap = spot.rectangle(0, 0, size, size * slender)
        if not shapely.intersects(occupied, heap).any():
            material = str(rng.choice(["wood", "zinc", "plastic_film", "gravel", "tile_red", "rust", "bitumen"]))
            village.fences.append((heap, material, float(rng.uniform(0.4, 1.4))))
            occupied.append(heap)


def _put_trees(
    rng: Generator, village: Village, frame: Frame, wide: float, deep: float, occupied: list[BaseGeometry]
) -> None:
    for _ in range(int(rng.integers(5, 18))):
        radius = px(rng.choice([rng.uniform(0.8, 1.8), rng.uniform(1.8, 3.6)]))
        u, v = rng.uniform(-0.47, 0.47) * wide, rng.uniform(0.04, 0.97) * deep
        x, y = frame.to_scene(np.array([[u, v]]))[0]
        if not shapely.intersects(occupied, shapely.Point(x, y).buffer(radius * 0.8)).any():
            village.trees.append((float(x), float(y), float(radius)))


def _put_orchard(rng: Generator, village: Village, frame: Frame, wide: float, deep: float) -> None:
    step = px(rng.uniform(4.2, 6.0))
    radius = step * rng.uniform(0.26, 0.42)
    for u in np.arange(-wide / 2 + step / 2, wide / 2, step):
        for v in np.arange(step, deep - step / 2, step):
            if rng.random() < 0.88:
                x, y = frame.to_scene(np.array([[u, v]]))[0] + rng.normal(0, px(0.25), 2)
                village.trees.append((float(x), float(y), float(radius * rng.uniform(0.8, 1.2))))


def _put_fence(rng: Generator, village: Village, frame: Frame, wide: float, deep: float, gate_u: float) -> None:
    material = str(rng.choice(["wood", "fibre_cement", "rust", "green_metal"], p=[0.6, 0.12, 0.16, 0.12]))
    line = frame.rectangle(0, deep / 2, wide - px(0.5), deep - px(0.5)).exterior
    line = line.difference(frame.rectangle(gate_u, 0, px(4), px(3)))
    for _ in range(int(rng.integers(0, 3))):
        # Gaps: a hedge, an open side, a part that has fallen down.
        u, v = rng.uniform(-0.5, 0.5) * wide, rng.uniform(0.3, 1) * deep
        line = line.difference(frame.rectangle(u, v, wide * rng.uniform(0.3, 0.9), deep * rng.uniform(0.3, 0.9)))
    # Pales let half of the light through: a lower fence throws the same shade.
    height = float(rng.uniform(0.5, 1.1))
    village.fences.append((line.buffer(px(0.14), cap_style="flat", join_style="mitre"), material, height))


def _fill_farm(rng: Generator, village: Village, frame: Frame, wide: float, deep: float, region: Region) -> None:
    ground = str(rng.choice(["concrete", "gravel", region.character.soil, region.character.soil]))
    village.yards.append((frame.rectangle(0, deep / 2, wide * 0.97, deep * 0.97), ground))
    village.yards.append((frame.rectangle(0, 0, px(6), px(6)), ground))
    material = pick(rng, (("zinc", 4), ("fibre_cement", 3), ("green_metal", 1), ("white_roof", 2), ("rust", 1)))
    length, width = rng.uniform(26, 36), rng.uniform(11, 15)
    barn = make_hall(rng, frame.at(0, deep - px(width / 2 + 3)), length, width, material)
    village.buildings.append(barn)
    side = float(rng.choice([-1, 1]))
    shop_width = rng.uniform(8, 11)
    shop_frame = frame.at(side * (wide / 2 - px(shop_width / 2 + 2)), px(13), np.pi / 2)
    village.buildings.append(
        make_hall(rng, shop_frame, rng.uniform(14, 19), shop_width, pick(rng, region.character.roofs))
    )
    for k in range(int(rng.integers(1, 4))):
        x, y = frame.to_scene(np.array([[-side * (wide / 2 - px(4 + 6 * k)), deep - px(width + 8)]]))[0]
        tank = shapely.Point(x, y).buffer(px(rng.uniform(1.4, 2.4)), quad_segs=6)
        village.fences.append((tank, str(rng.choice(["zinc", "white_roof", "rust"])), float(rng.uniform(3, 6))))
    for k in range(int(rng.integers(2, 5))):
        place = frame.at(
            -side * (wide / 2 - px(3.5 + 4.2 * k)), px(rng.uniform(9, 14)), np.pi / 2 + rng.normal(0, 0.05)
        )
        village.vehicles.append(make_lorry(rng, place))
    for k in range(int(rng.integers(0, 4))):
        place = frame.at(side * px(2 - 2.9 * k), px(4.0), np.pi / 2 + rng.normal(0, 0.04))
        village.vehicles.append(make_car(rng, place))
    if rng.random() < 0.8:
        _put_fence(rng, village, frame, wide, deep, 0.0)


def traffic(rng: Generator, ways: list[Way], extent: Polygon, shade: BaseGeometry) -> list[Vehicle]:
    """Put vehicles on the roads: most drive, some are parked at the edge.

    Args:
        rng: Source of randomness.
        ways: Roads and tracks; only paved ones carry traffic.
        extent: The land in view.
        shade: Tree crowns, under which nothing is placed.
    """
    found: list[Vehicle] = []
    lorries = 0
    for way in ways:
        inside = way.line.intersection(extent.buffer(px(20))) if way.paved else None
        if not isinstance(inside, LineString):
            continue
        at = px(rng.uniform(5, 30))
        while at < inside.length - px(10):
            # A road in view has a lorry on it: the class is rare enough as it is.
            wide = max(way.half_widths) > px(2.2)
            lorry = wide and (rng.random() < 0.05 or (lorries == 0 and at > 0.3 * inside.length))
            lane = float(rng.choice([-1, 1]))
            parked = rng.random() < 0.3 and not lorry
            across = lane * max(way.half_widths) * (0.95 if parked else 0.5)
            here = np.array(inside.interpolate(at).coords[0])
            ahead = np.array(inside.interpolate(at + 10).coords[0])
            angle = float(np.arctan2(*(ahead - here)[::-1]))
            # Right-hand traffic: with y down, the right side of the driver is +v.
            frame = Frame(float(here[0]), float(here[1]), angle).at(0, across, 0.0 if lane > 0 else np.pi)
            speed = 0.0 if parked else rng.uniform(3, 8)
            vehicle = make_lorry(rng, frame, speed) if lorry else make_car(rng, frame, speed)
            if not vehicle.outline.intersects(shade):
                found.append(vehicle)
                lorries += lorry and extent.contains(vehicle.outline)
                at += px(rng.exponential(60) + 16)
            else:
                at += px(4)
    return found


def street_points(rng: Generator, way: Way, every_m: float) -> FloatArray:
    """Return places along both edges of a street, (n, 2), for trees and poles."""
    points = []
    for side in (-1, 1):
        for at in np.arange(rng.uniform(0, px(every_m)), way.line.length, px(every_m)):
            frame = _street_frame(way, at + rng.normal(0, px(1.5)), side)
            points.append((frame.x, frame.y))
    found: FloatArray = np.array(points).reshape(-1, 2)
    return found
