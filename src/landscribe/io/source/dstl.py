"""The DSTL layout: finding its scenes, reading and writing its labels, writing its images.

three_band/{id}.tif   sixteen_band/{id}_{P,M,A}.tif   grid_sizes.csv   train_wkt_v4.csv   sample_submission.csv

Copies go around with the RGB as PNG, or without it: the finest sensor that is there is then the reference.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import geopandas as gpd
from affine import Affine

from landscribe.core.arrays import AnyArray
from landscribe.core.features import of_class
from landscribe.core.grid import Grid
from landscribe.core.legend import DSTL_LEGEND
from landscribe.core.recipe import LabelTable
from landscribe.core.sensors import find_sensor
from landscribe.core.split.places import dstl_place
from landscribe.errors import DataError, problem
from landscribe.io.atomic import PARTIAL_PREFIX, write_text
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.source.scenes import LabelFile, Scene, SceneList
from landscribe.io.source.sensor_files import Frame, SensorFile
from landscribe.io.vector.wkt_csv import long_cells, write_wkt_csv

SENSORS = {"RGB": "worldview3-rgb", "P": "worldview3-p", "M": "worldview3-m", "A": "worldview3-a"}
FINER = {"RGB": 1, "P": 1, "M": 4, "A": 25}
"""Pixels of the RGB along one of the sensor."""
GRID_SIZES, LABELS, SAMPLE = "grid_sizes.csv", "train_wkt_v4.csv", "sample_submission.csv"
LABEL_TABLE = LabelTable(path=LABELS)
HEADER = ("ImageId", "ClassType", "MultipolygonWKT")


def list_dstl(root: Path) -> SceneList:
    """Find the scenes of a DSTL folder: every RGB image that grid_sizes.csv knows, or of another sensor without RGB.

    Raises:
        DataError: If the folder lacks grid_sizes.csv or images, or its table is not what it should be.
    """
    frames = read_grid_sizes(root / GRID_SIZES)
    labelled = _labelled_ids(root / LABELS)
    scenes, problems = [], []
    files = _find_images(root)
    # All scenes have one reference: the finest sensor of the folder.
    reference = next((name for name in SENSORS if files[name]), "RGB")
    for scene_id, path in files[reference].items():
        if scene_id not in frames:
            name = path.relative_to(root).as_posix()
            problems.append(problem(name, "no row in grid_sizes.csv", do="the image is left out"))
            continue
        own = {name: files[name][scene_id] for name in SENSORS if scene_id in files[name]}
        scenes.append(_scene(root, scene_id, own, frames[scene_id], has_labels=scene_id in labelled))
    if not scenes:
        raise DataError(
            problem(
                str(root),
                "no DSTL image found",
                need="three_band/<id>.tif (or .png, or sixteen_band/<id>_A.tif) with a row in grid_sizes.csv",
            )
        )
    problems += [
        problem(f"{LABELS}, image {i!r}", "no raster", need=f"three_band/{i}.tif")
        for i in sorted(labelled - {s.id for s in scenes})
    ]
    sample = root / SAMPLE
    return SceneList(tuple(scenes), (LABEL_TABLE,), sample if sample.is_file() else None, tuple(problems))


def read_grid_sizes(path: Path) -> dict[str, tuple[float, float]]:
    """Read grid_sizes.csv: image id -> (Xmax, Ymin).

    Raises:
        DataError: If the file is missing or a row is not an id and two numbers.
    """
    if not path.is_file():
        raise DataError(problem(str(path), "missing", need="the table of Xmax and Ymin that belongs to the images"))
    frames = {}
    with long_cells():
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig", errors="replace"))))
    for number, row in enumerate(rows, start=1):
        if number == 1 or not row:
            continue
        try:
            scene_id, x_max, y_min = row[0], float(row[1]), float(row[2])
        except (IndexError, ValueError):
            raise DataError(
                problem(f"{path.name}, row {number}", "not an id and two numbers", got=repr(row)[:80])
            ) from None
        frames[scene_id] = (x_max, y_min)
    return frames


def write_scene(
    root: Path,
    scene_id: str,
    images_chw: Mapping[str, AnyArray],
) -> None:
    """Write the rasters of one scene in the DSTL layout, without georeference as DSTL's are.

    Args:
        root: Folder of the data set.
        scene_id: Image id.
        images_chw: Sensor name (RGB, P, M, A) -> uint16 (C, H, W).
    """
    for name, image_chw in images_chw.items():
        path = root / "three_band" / f"{scene_id}.tif" if name == "RGB" else _sixteen(root, scene_id, name)
        count, height, width = image_chw.shape
        grid = Grid(height, width, Affine.identity())
        with write_raster(path, grid, count=count, dtype=str(image_chw.dtype), overviews=False) as writer:
            writer.write(grid.window, image_chw)


def write_tables(
    root: Path, frames: Mapping[str, tuple[float, float]], labels: gpd.GeoDataFrame, labelled: Iterable[str]
) -> None:
    """Write grid_sizes.csv, train_wkt_v4.csv and sample_submission.csv of a DSTL folder.

    Args:
        root: Folder of the data set.
        frames: Image id -> (Xmax, Ymin).
        labels: Features of the labelled scenes in grid units.
        labelled: Ids of the labelled scenes; the sample lists the others, all of them if none is left.
    """
    lines = [",Xmax,Ymin", *(f"{i},{x_max!r},{y_min!r}" for i, (x_max, y_min) in frames.items())]
    write_text(root / GRID_SIZES, "\n".join(lines) + "\n")
    known = list(labelled)
    rows = [(i, c.id, of_class(labels, c.name, i)) for i in known for c in DSTL_LEGEND]
    write_wkt_csv(root / LABELS, rows, decimals=12)
    asked = [i for i in frames if i not in set(known)] or list(frames)
    sample = [",".join(HEADER), *(f"{i},{c.id},MULTIPOLYGON EMPTY" for i in asked for c in DSTL_LEGEND)]
    write_text(root / SAMPLE, "\n".join(sample) + "\n")


def read_sample(path: Path) -> list[tuple[str, int]]:
    """Read the rows that a submission must have, in their order.

    Raises:
        DataError: If the header or a row is not DSTL's.
    """
    with path.open(encoding="utf-8-sig", newline="") as file, long_cells():
        rows = csv.reader(file)
        header = next(rows, [])
        if tuple(header) != HEADER:
            raise DataError(problem(path.name, "wrong header", got=",".join(header)[:80], need=",".join(HEADER)))
        try:
            return [(row[0], int(row[1])) for row in rows if row]
        except (IndexError, ValueError):
            raise DataError(problem(path.name, "a row is not ImageId,ClassType,WKT")) from None


def _find_images(root: Path) -> dict[str, dict[str, Path]]:
    """Return the images of each sensor by their ids."""
    found: dict[str, dict[str, Path]] = {name: {} for name in SENSORS}
    for suffix in (".png", ".tif"):  # where an image is there twice, the TIFF is the original
        for path in sorted((root / "three_band").glob(f"*{suffix}")):
            found["RGB"][path.stem] = path
    for path in sorted((root / "sixteen_band").glob("*.tif")):
        scene_id, _, name = path.stem.rpartition("_")
        if name in found and name != "RGB":
            found[name][scene_id] = path
    return {
        name: {i: path for i, path in sorted(paths.items()) if not path.name.startswith(PARTIAL_PREFIX)}
        for name, paths in found.items()
    }


def _scene(
    root: Path, scene_id: str, files: Mapping[str, Path], frame: tuple[float, float], *, has_labels: bool
) -> Scene:
    sensors: dict[str, SensorFile] = {}
    missing: dict[str, str] = {}
    for name, kind in SENSORS.items():
        if name in files:
            # The other sensors show the same ground as the first, each with its own number of pixels.
            own = None if sensors else Frame("dstl", (*frame, FINER[name]))
            sensors[name] = SensorFile(name, files[name], find_sensor(kind), None, own)
        else:
            path = root / "three_band" / f"{scene_id}.tif" if name == "RGB" else _sixteen(root, scene_id, name)
            missing[name] = path.relative_to(root).as_posix()
    labels = (LabelFile(LABEL_TABLE, root / LABELS),) if has_labels else ()
    return Scene(scene_id, dstl_place(scene_id), sensors, labels, missing=missing)


def _sixteen(root: Path, scene_id: str, name: str) -> Path:
    return root / "sixteen_band" / f"{scene_id}_{name}.tif"


def _labelled_ids(path: Path) -> set[str]:
    if not path.is_file():
        return set()
    # Only the first field is wanted; the WKT behind it can have megabytes, more than the csv module takes.
    with path.open(encoding="utf-8-sig") as file:
        next(file, None)
        return {line.partition(",")[0] for line in file if "," in line}
