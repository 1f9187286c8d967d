"""The labels of a scene that were drawn on its picture: COCO, labelme and YOLO."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PureWindowsPath

import numpy as np
import shapely

from landscribe.core.features import one_at_a_time
from landscribe.core.grid import Grid
from landscribe.core.legend import Legend
from landscribe.errors import DataError, problem
from landscribe.io.labels.vectors import settle
from landscribe.io.source.scenes import LabelFile, Scene
from landscribe.io.vector.coco import Coco, CocoImage, drawn_on, picture_names, read_coco
from landscribe.io.vector.foreign import Kind
from landscribe.io.vector.labelme import read_labelme
from landscribe.io.vector.layer import CATEGORY, Drawn
from landscribe.io.vector.vectors import to_features
from landscribe.io.vector.yolo import read_names, read_yolo
from landscribe.late import geopandas as gpd

SCALED = "shapes drawn on the picture at another size, scaled"
STRAYS = "annotations of no image, or malformed"


def read_drawn(
    scene: Scene, file: LabelFile, kind: Kind, legend: Legend, grid: Grid
) -> tuple[gpd.GeoDataFrame, dict[str, int], dict[str, int]] | None:
    """Read what was drawn on the picture of a scene.

    Args:
        scene: The scene; its reference is the picture.
        file: The label file.
        kind: What it is.
        legend: Classes.
        grid: The scene's reference grid.

    Returns:
        Features in ground coordinates, what was left out or mended by reason, and the same for the whole file; None
        where the file does not speak of this picture.

    Raises:
        DataError: If the file cannot be read, speaks of several such pictures, or of one of another shape.
    """
    path = file.path
    if path is None:
        return None
    found = _drawn(scene, path, file, kind)
    if found is None:
        return None
    drawn, strays = found
    table, where = file.table, str(path)
    counts: Counter[str] = Counter()
    layer = replace(drawn.layer, geometries=_scaled(drawn, grid, f"scene {scene.id!r}, {path.name}", counts))
    field = None if table.class_name is not None else table.class_field or CATEGORY
    features, own = to_features(
        layer, where, legend=legend, crs=None, scene=scene.id, class_name=table.class_name, class_field=field,
        width_field=table.width_field, marks=True,
    )  # fmt: skip
    counts.update(own)
    with one_at_a_time:
        ground = features.set_geometry(grid.pixels_to_ground(features.geometry.to_numpy())).set_crs(grid.crs)
    kept, said = settle(ground, counts, scene.id, where, table, grid)
    return kept, said, {STRAYS: strays}


def drawn_classes(kind: Kind, files: Sequence[LabelFile]) -> list[str]:
    """Return the classes that drawings name, in their order: by number where they have one, else by name.

    Raises:
        DataError: If a file cannot be read.
    """
    named = [(path, file.names) for file in files if (path := file.path) is not None]
    paths = dict.fromkeys(named)
    if kind == "coco":
        return list(dict.fromkeys(name for path, _ in paths for name in read_coco(path, path.stat().st_mtime_ns).used))
    found: dict[str, None] = {}
    for path, names in paths:
        layer = (read_labelme(path) if kind == "labelme" else read_yolo(path, _names(names))).layer
        found |= dict.fromkeys(str(name).strip() for name in layer.attributes[CATEGORY] if name is not None)
    order = {name: k for _, names in paths for k, name in enumerate(_names(names))}
    return sorted(found, key=lambda name: (order.get(name, len(order)), int(name) if name.isdecimal() else 0, name))


def _names(path: Path | None) -> tuple[str, ...]:
    return () if path is None else read_names(path)


def _drawn(scene: Scene, path: Path, file: LabelFile, kind: Kind) -> tuple[Drawn, int] | None:
    if kind == "yolo":
        return read_yolo(path, _names(file.names)), 0
    if kind == "labelme":
        drawn = read_labelme(path)
        return (drawn, 0) if not file.table.is_shared or _called(scene) & picture_names(drawn.picture) else None
    coco = read_coco(path, path.stat().st_mtime_ns)
    image = _image_of(coco, scene)
    if image is None and not file.table.is_shared:
        if len(coco.images) != 1:
            got = ", ".join(i.file_name for i in coco.images[:3])
            need = f"{scene.reference.path.name} among its images"
            raise DataError(problem(f"scene {scene.id!r}, {path.name}", "is of other images", got=got, need=need))
        image = coco.images[0]
    return None if image is None else (drawn_on(coco, image), coco.strays)


def _image_of(coco: Coco, scene: Scene) -> CocoImage | None:
    """Return the image of a COCO file that shows a scene: by its file name, with as much of its folders as tells."""
    named = [image for name in _called(scene) for image in coco.by_name.get(name, ())]
    found = list({id(image): image for image in named}.values())
    ours = scene.reference.path.parts
    shared = [_same_end(_parts(image.file_name), ours) for image in found]
    best = [image for image, parts in zip(found, shared, strict=True) if parts == max(shared)]
    if len(best) > 1:
        got = " and ".join(image.file_name for image in best[:3])
        raise DataError(problem(str(coco.path), f"several images for scene {scene.id!r}", got=got, need="one"))
    return best[0] if best else None


def _parts(name: str) -> tuple[str, ...]:
    # Both kinds of slashes occur, whatever the machine.
    return PureWindowsPath(name).parts


def _same_end(theirs: tuple[str, ...], ours: tuple[str, ...]) -> int:
    folders = zip(reversed(theirs[:-1]), reversed(ours[:-1]), strict=False)
    same = 0
    for a, b in folders:
        if a.casefold() != b.casefold():
            break
        same += 1
    return 2 * same + (theirs[-1].casefold() == ours[-1].casefold())


def _called(scene: Scene) -> set[str]:
    return {scene.reference.path.stem.casefold(), scene.id.casefold()}


def _scaled(drawn: Drawn, grid: Grid, where: str, counts: Counter[str]) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    geometries = drawn.layer.geometries
    if drawn.in_shares:
        scale = np.array([grid.width, grid.height], dtype=np.float64)
    elif drawn.size_hw is None or drawn.size_hw == grid.shape_hw:
        return geometries
    else:
        height, width = drawn.size_hw
        if abs(height * grid.width - width * grid.height) > max(grid.shape_hw) + max(height, width):
            need = f"{grid.shape_hw} as the image"
            raise DataError(problem(where, "drawn on a picture of another shape", got=(height, width), need=need))
        scale = np.array([grid.width / width, grid.height / height])
        counts[SCALED] += len(geometries)
    return shapely.transform(geometries, lambda xy: xy * scale)
