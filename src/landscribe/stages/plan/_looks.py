"""What a plan has to know of labels and imagery, scene by scene."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import shapely

from landscribe.apart import apart, at_once, start
from landscribe.core.arrays import GeometryArray
from landscribe.core.features import of_class
from landscribe.core.legend import Legend
from landscribe.core.plan.facts import ClassFacts, Facts
from landscribe.core.plan.rules import ENCODER, LEAVE_ONE_OUT
from landscribe.core.recipe import NetworkTable
from landscribe.core.sensors import Sensor
from landscribe.core.spectral.colours import colour_shares
from landscribe.errors import DataError, RecipeError, problem
from landscribe.io.labels.ground import measure_ground
from landscribe.io.labels.labels import read_labels
from landscribe.io.models.known_weights import EXTRA, find_weights
from landscribe.io.project import Progress, Project, silent
from landscribe.io.source.scenes import Scene, sensor_grids
from landscribe.io.source.sensor_files import open_sensor
from landscribe.workers import abreast

CELL_PX = 96
"""Side of a cell: what a chip of 128 pixels is learned from."""
MOST_LOOKS = 200
"""More labelled scenes are not looked at one by one: these, evenly spread over all of them, stand for the others."""
OTHER_SPLIT = 0.25
"""Share that splits hold out which say none."""


@dataclass(frozen=True)
class SceneLook:
    """What the labels of one scene say, in pixels of its reference."""

    scene: str
    place: str
    shape_hw: tuple[int, int]
    scales: dict[str, float]
    """Pixel size of each sensor divided by that of the reference."""
    store_bytes: float
    """What it takes in memory when networks learn from it."""
    labelled: bool = False
    labelled_px: float = 0.0
    union_px: float = 0.0
    """Ground of any class."""
    cells: int = 0
    area_px: dict[str, float] = field(default_factory=dict)
    ground_px: dict[str, float] = field(default_factory=dict)
    """Labelled ground of each class that has imagery."""
    perimeter_px: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    near: dict[str, int] = field(default_factory=dict)
    """Cells that show the class."""


def look_at_scenes(project: Project, progress: Progress = silent) -> tuple[list[SceneLook], float]:
    """Look at the labelled scenes of a project, and at the size of the others.

    Returns:
        What was seen, and how many scenes each of them stands for.

    Raises:
        DataError: If a scene cannot be read.
    """
    start(*project.libraries)
    scenes = [scene for scene in project.scenes.scenes if not scene.is_remote]
    apart_by = max(1, -(-len(scenes) // MOST_LOOKS))
    by_id = {scene.id: scene for scene in scenes[::apart_by]}

    def one(scene_id: str) -> SceneLook:
        scene = by_id[scene_id]
        work = functools.partial(look_at_scene, legend=project.legend)
        return apart(f"scene {scene_id!r}", work, scene, limits=project.limits, paths=scene.paths)

    found = []
    with abreast(one, list(by_id), at_once()) as outcomes:
        for number, (scene_id, outcome) in enumerate(outcomes):
            progress(f"plan {scene_id}", number, len(by_id))
            found.append(outcome())
    progress("plan", len(by_id), len(by_id))
    return found, len(scenes) / max(len(by_id), 1)


def look_at_scene(scene: Scene, legend: Legend) -> SceneLook:
    """Look at one scene."""
    grids = sensor_grids(scene)
    grid = grids[scene.reference.name]
    scales = {name: float(1 / np.sqrt(abs(grid.pixel_map(own).determinant))) for name, own in grids.items()}
    held = sum(own.height * own.width * _pixel_bytes(scene.sensors[name].sensor) for name, own in grids.items())
    held += grid.height * grid.width * (len(legend) + 1)
    alone = SceneLook(scene.id, scene.place, grid.shape_hw, scales, held)
    labels = read_labels(scene, legend, grid) if scene.has_labels else None
    if labels is None or not labels.is_labelled:
        return alone
    with open_sensor(scene.reference) as raster:
        valid = ((window, raster.read_valid(window)) for window in grid.window.low_strips())
        ground = measure_ground(labels, legend, grid, valid)
    frame = shapely.box(0, 0, grid.width, grid.height)
    boxes = _cells(grid.shape_hw)
    look = replace(alone, labelled=True, cells=len(boxes))
    shapes: list[GeometryArray] = []
    for name in legend.names:
        pixels = shapely.make_valid(grid.ground_to_pixels(of_class(labels.features, name)))
        inside = shapely.intersection(pixels, frame)
        inside = inside[shapely.area(inside) > 0]
        look.area_px[name] = float(shapely.area(inside).sum())
        look.ground_px[name] = ground[name].positive
        look.perimeter_px[name] = float(shapely.length(inside).sum())
        look.counts[name] = len(inside)
        hit = shapely.STRtree(inside).query(boxes, predicate="intersects")[0] if len(inside) else np.zeros(0)
        look.near[name] = len(np.unique(hit))
        shapes.append(inside)
    every = np.concatenate(shapes) if shapes else np.zeros(0, object)
    union = float(shapely.area(shapely.union_all(every))) if len(every) else 0.0
    one = next(iter(ground.values()), None)
    labelled_px = one.positive + one.negative if one is not None else 0.0
    return replace(look, labelled_px=labelled_px, union_px=union)


def _pixel_bytes(sensor: Sensor) -> int:
    """Return the bytes of a pixel and of whether it is valid."""
    return len(sensor.bands) * (4 if not sensor.bits else 1 if sensor.bits <= 8 else 2) + 1


def _cells(shape_hw: tuple[int, int]) -> GeometryArray:
    height, width = shape_hw
    rows, cols = np.mgrid[0:height:CELL_PX, 0:width:CELL_PX]
    bottoms, rights = np.minimum(rows + CELL_PX, height), np.minimum(cols + CELL_PX, width)
    boxes: GeometryArray = shapely.box(cols.ravel(), rows.ravel(), rights.ravel(), bottoms.ravel())
    return boxes


def facts_from(project: Project, looks: Sequence[SceneLook], stands_for: float, *, gpu: bool) -> Facts:
    """Add up what was seen of scenes.

    Args:
        project: The recipe with its data.
        looks: Of scenes.
        stands_for: How many scenes each of them stands for.
        gpu: Whether networks run on one.

    Raises:
        DataError: If no scene has labels.
    """
    labelled = [look for look in looks if look.labelled and look.labelled_px > 0]
    if not labelled:
        if any(scene.is_remote and scene.has_labels for scene in project.scenes.scenes):
            do = "landscribe prepare copies it; or give a copy of it"
            raise DataError(problem("plan", "what is labelled lies on servers", do=do))
        do = "label some, or predict with finished models"
        raise DataError(problem("plan", "no scene has labels that say anything", do=do))
    total = sum(look.labelled_px for look in labelled)
    places = len({look.place for look in labelled})
    held_share = _held_share(project, labelled)
    unlabelled = [look for look in looks if not look.labelled]
    size = {look.scene: look.shape_hw[0] * look.shape_hw[1] for look in looks}
    held_px = held_share * sum(size[look.scene] for look in labelled)
    everything = project.recipe.predict.scenes == "all"
    predicted = sum(size.values()) if everything else held_px + sum(size[look.scene] for look in unlabelled)
    areas, unions = sum(sum(look.area_px.values()) for look in labelled), sum(look.union_px for look in labelled)
    return Facts(
        scenes=round(len(labelled) * stands_for),
        places=round(places * stands_for) if places == len(labelled) else places,
        unlabelled=round(len(unlabelled) * stands_for),
        side_px=min(min(look.shape_hw) for look in labelled),
        train_px=max(total * stands_for * (1 - held_share), 1.0),
        all_px=predicted * stands_for,
        held_px=held_px * stands_for,
        covered=min(unions / total, 1.0),
        overlap=areas / unions - 1 if unions else 0.0,
        store_bytes=sum(look.store_bytes for look in labelled) * stands_for,
        no_encoder=_no_encoder(project),
        gpu=gpu,
        classes={name: _class(labelled, name, total) for name in project.legend.names},
    )


def _class(looks: Sequence[SceneLook], name: str, total_px: float) -> ClassFacts:
    area, length = (
        sum(own[name] for own in rows) for rows in ([k.area_px for k in looks], [k.perimeter_px for k in looks])
    )
    cells = sum(look.cells for look in looks)
    return ClassFacts(
        share=sum(look.ground_px[name] for look in looks) / total_px,
        near=sum(look.near[name] for look in looks) / max(cells, 1),
        width_px=2 * area / length if length else 0.0,
        count=sum(look.counts[name] for look in looks),
    )


def _held_share(project: Project, looks: Sequence[SceneLook]) -> float:
    """Return about which share of the labelled ground is held out."""
    table, total = project.recipe.validation, sum(look.labelled_px for look in looks)
    if table.split == "none":
        return 0.0
    if table.split == "corner":
        return min(0.5, len(looks) * table.corner_px**2 / total)
    if table.split == "named":
        held = [k for k in looks if k.scene in table.scenes or k.place in table.places]
        return min(sum(look.labelled_px for look in held) / total, 0.9)
    if table.split == "place":
        places = len({look.place for look in looks})
        return 1 / places if 1 < places <= LEAVE_ONE_OUT else 0.2
    return table.share if table.split == "random" else OTHER_SPLIT


def _no_encoder(project: Project) -> str:
    """Return why no encoder with weights can be had, nothing where one can."""
    try:
        find_weights(NetworkTable(encoder=ENCODER), project.root)
    except (RecipeError, DataError):
        return f"its weights are not installed: {EXTRA}"
    for scene in project.scenes.scenes[:1]:
        for name, file in scene.sensors.items():
            for band in file.sensor.bands:
                if colour_shares(band.name, band.wavelength_nm, file.sensor.kind) is None:
                    return f"band {band.name!r} of {name!r} has no wavelength"
    return ""
