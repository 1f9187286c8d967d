"""The DSTL layout: finding its scenes, reading and writing its labels, writing its images.

three_band/{id}.tif   sixteen_band/{id}_{P,M,A}.tif   grid_sizes.csv   train_wkt_v4.csv   sample_submission.csv

Copies go around packed, with the RGB as PNG or JPEG 2000, or without it: the finest sensor that is there is then the
reference. Which file is what, `dstl_files` finds out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path

from affine import Affine

from landscribe.core.arrays import AnyArray
from landscribe.core.features import of_class
from landscribe.core.grid import Grid
from landscribe.core.legend import DSTL_LEGEND
from landscribe.core.recipe import LabelTable
from landscribe.core.sensors import find_sensor
from landscribe.core.split.places import dstl_place
from landscribe.errors import DataError, problem
from landscribe.io.atomic import write_text
from landscribe.io.raster.geotiff import Packing, write_raster
from landscribe.io.source.dstl_files import (
    GRID_SIZES,
    LABELS,
    NAMED,
    SAMPLE,
    SENSORS,
    SIXTEEN,
    THREE,
    find_dstl_files,
    find_table,
    labelled_ids,
)
from landscribe.io.source.scenes import LabelFile, Scene, SceneList
from landscribe.io.source.sensor_files import Frame, SensorFile
from landscribe.io.vector.wkt_csv import HEADER, open_rows, write_wkt_csv
from landscribe.late import geopandas as gpd

FINER = {"RGB": 1, "P": 1, "M": 4, "A": 25}
"""Pixels of the RGB along one of the sensor."""
LABEL_TABLE = LabelTable(path=LABELS)


def list_dstl(root: Path) -> SceneList:
    """Find the scenes of a DSTL folder: every image that grid_sizes.csv knows.

    All scenes have one reference, the finest sensor of the folder; images without it are counted and left out.

    Raises:
        DataError: If the folder lacks grid_sizes.csv or images, or a table is not what it should be.
    """
    frames = read_grid_sizes(find_table(root, GRID_SIZES) or root / GRID_SIZES)
    files = find_dstl_files(root)
    labelled = labelled_ids(files.labels)
    table = None if files.labels is None else LabelTable(path=files.labels.relative_to(root).as_posix())
    scenes, problems = [], []
    reference = next((name for name in SENSORS if set(files.images[name]) & set(frames)), "RGB")
    for scene_id, path in files.images[reference].items():
        if scene_id not in frames:
            name = path.relative_to(root).as_posix()
            problems.append(problem(name, "no row in grid_sizes.csv", do="the image is left out"))
            continue
        own = {name: files.images[name][scene_id] for name in SENSORS if scene_id in files.images[name]}
        labels = (LabelFile(table, root / table.path),) if table is not None and scene_id in labelled else ()
        scenes.append(_scene(root, scene_id, own, frames[scene_id], labels))
    if not scenes:
        raise DataError(
            problem(
                str(root),
                "no DSTL image found",
                got="; ".join(files.said[:NAMED]) or None,
                need="three_band/<id>.tif (or .jp2, .png, or sixteen_band/<id>_A.tif) with a row in grid_sizes.csv",
            )
        )
    known = {scene.id for scene in scenes}
    problems += _without_reference(files.images, known, reference)
    problems += [
        problem(f"{table.path if table else LABELS}, image {i!r}", "no raster", need=f"three_band/{i}.tif")
        for i in sorted(labelled - known)
    ]
    return SceneList(tuple(scenes), (table or LABEL_TABLE,), files.sample, (*problems, *files.said))


def _without_reference(images: Mapping[str, Mapping[str, Path]], known: set[str], reference: str) -> list[str]:
    """Count the images that have other sensors and not the reference."""
    lost = sorted({i for name in SENSORS if name != reference for i in images[name]} - known)
    if not lost:
        return []
    names = ", ".join(lost[:NAMED]) + (f" and {len(lost) - NAMED} more" if len(lost) > NAMED else "")
    what = f"no {reference}, the finest sensor of the folder and the reference of all images"
    return [problem(f"images {names}", what, do="they are left out")]


def read_grid_sizes(path: Path) -> dict[str, tuple[float, float]]:
    """Read grid_sizes.csv: image id -> (Xmax, Ymin).

    Args:
        path: The table, plain or packed; without a header the columns are id, Xmax, Ymin.

    Raises:
        DataError: If the file is missing or a row is not an id and two numbers.
    """
    if not path.is_file():
        raise DataError(problem(str(path), "missing", need="the table of Xmax and Ymin that belongs to the images"))
    frames = {}
    places = (0, 1, 2)
    with open_rows(path) as (header, rows):
        if "Xmax" in header and "Ymin" in header:
            x_place, y_place = header.index("Xmax"), header.index("Ymin")
            # The original has no name for the column of ids; a copy may count its rows in another such column.
            id_place = header.index("ImageId") if "ImageId" in header else x_place - 1
            places = (id_place, x_place, y_place)
            numbered = rows
        else:
            numbered = itertools.chain([(1, header)], rows) if _is_number(header[1:2]) else rows
        for number, row in numbered:
            if not row:
                continue
            try:
                scene_id, x_max, y_min = row[places[0]], float(row[places[1]]), float(row[places[2]])
            except (IndexError, ValueError):
                raise DataError(
                    problem(f"{path.name}, row {number}", "not an id and two numbers", got=repr(row)[:80])
                ) from None
            frames[scene_id] = (x_max, y_min)
    return frames


def _is_number(cells: list[str]) -> bool:
    try:
        return bool([float(cell) for cell in cells])
    except ValueError:
        return False


def write_scene(
    root: Path,
    scene_id: str,
    images_chw: Mapping[str, AnyArray],
    *,
    packing: Packing = "zstd",
) -> None:
    """Write the rasters of one scene in the DSTL layout, without georeference and band after band as DSTL's are.

    Args:
        root: Folder of the data set.
        scene_id: Image id.
        images_chw: Sensor name (RGB, P, M, A) -> uint16 (C, H, W).
        packing: How pixels are compressed.
    """
    for name, image_chw in images_chw.items():
        path = root / THREE / f"{scene_id}.tif" if name == "RGB" else _sixteen(root, scene_id, name)
        count, height, width = image_chw.shape
        grid = Grid(height, width, Affine.identity())
        dtype = str(image_chw.dtype)
        with write_raster(
            path, grid, count=count, dtype=dtype, overviews=False, packing=packing, by_band=True
        ) as writer:
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
    """Read the rows that a submission must have, in their order, from a table that is plain or packed.

    Raises:
        DataError: If the header or a row is not DSTL's.
    """
    with open_rows(path) as (header, rows):
        if tuple(header) != HEADER:
            raise DataError(problem(path.name, "wrong header", got=",".join(header)[:80], need=",".join(HEADER)))
        try:
            return [(row[0], int(row[1])) for _, row in rows if row]
        except (IndexError, ValueError):
            raise DataError(problem(path.name, "a row is not ImageId,ClassType,WKT")) from None


def _scene(
    root: Path, scene_id: str, files: Mapping[str, Path], frame: tuple[float, float], labels: tuple[LabelFile, ...]
) -> Scene:
    sensors: dict[str, SensorFile] = {}
    missing: dict[str, str] = {}
    for name, kind in SENSORS.items():
        if name in files:
            # The other sensors show the same ground as the first, each with its own number of pixels.
            own = None if sensors else Frame("dstl", (*frame, FINER[name]))
            sensors[name] = SensorFile(name, files[name], find_sensor(kind), None, own)
        else:
            path = root / THREE / f"{scene_id}.tif" if name == "RGB" else _sixteen(root, scene_id, name)
            missing[name] = path.relative_to(root).as_posix()
    return Scene(scene_id, dstl_place(scene_id), sensors, labels, missing=missing)


def _sixteen(root: Path, scene_id: str, name: str) -> Path:
    return root / SIXTEEN / f"{scene_id}_{name}.tif"
