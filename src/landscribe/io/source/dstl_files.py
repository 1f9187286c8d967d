"""Which file of a folder is what of DSTL's data, in the shapes in which copies go around.

Tables are plain, gzipped, zipped as Kaggle gives them, or unpacked into a folder of their own name; the RGB is a TIFF,
a JPEG 2000 or a PNG; images lie in DSTL's two folders, in folders below those, or beside the tables. What is there and
is not read is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from landscribe.errors import DataError, problem
from landscribe.io.atomic import PARTIAL_PREFIX
from landscribe.io.vector.wkt_csv import open_rows

SENSORS = {"RGB": "worldview3-rgb", "P": "worldview3-p", "M": "worldview3-m", "A": "worldview3-a"}
"""Sensor -> kind, finest first."""
THREE, SIXTEEN = "three_band", "sixteen_band"
GRID_SIZES, LABELS, SAMPLE = "grid_sizes.csv", "train_wkt_v4.csv", "sample_submission.csv"
SUFFIXES = (".tif", ".tiff", ".jp2", ".png", ".jpg", ".jpeg")
"""Endings of images; where one is there twice, the earlier ending is taken."""
PACKED = ("", ".gz", ".zip")
OTHER_LABELS = re.compile(r"train_wkt(_v\d+)?\.csv")
GEOJSON = re.compile(r"train_geojson(_v\d+)?")
IMAGE_ID = re.compile(r"\d{4}_\d_\d")
NAMED = 3
"""So many of what is not read are named one by one."""


@dataclass(frozen=True)
class DstlFiles:
    """The files of a DSTL folder."""

    images: Mapping[str, Mapping[str, Path]]
    """Sensor -> image id -> raster, ids sorted."""
    labels: Path | None
    sample: Path | None
    said: tuple[str, ...]
    """What is there and is not read, one line each."""


def find_dstl_files(root: Path) -> DstlFiles:
    """Look through a folder, which need not be a DSTL one.

    Args:
        root: The folder.

    Raises:
        DataError: If a table of labels is there and cannot be opened.
    """
    found: dict[str, dict[str, Path]] = {name: {} for name in SENSORS}
    twice, strange = [], []
    for path, name, image_id in _rasters(root):
        if name is None:
            strange.append(path)
        elif image_id in found[name]:
            twice.append(path)
        else:
            found[name][image_id] = path
    images = {name: dict(sorted(paths.items())) for name, paths in found.items()}
    labels = find_table(root, LABELS) or _other_labels(root)
    said = [
        *_list(root, twice, "the image is there in another format too, and that one is read"),
        *_list(root, strange, "not read: neither an image of DSTL nor one of its sensors P, M and A"),
        *_said(root, labels),
    ]
    return DstlFiles(images, labels, find_table(root, SAMPLE), tuple(said))


def is_dstl(root: Path) -> bool:
    """Tell whether a folder has the table that makes it a DSTL folder."""
    return find_table(root, GRID_SIZES) is not None


def find_table(root: Path, name: str) -> Path | None:
    """Return one of DSTL's tables, plain, packed, or unpacked into a folder of its own name."""
    for ending in PACKED:
        for path in (root / f"{name}{ending}", root / name / f"{name}{ending}"):
            if path.is_file():
                return path
    return None


def labelled_ids(path: Path | None) -> set[str]:
    """Return the images that a table of labels has rows of.

    Raises:
        DataError: If it cannot be read, or has no column of images.
    """
    if path is None:
        return set()
    with open_rows(path) as (header, rows):
        if "ImageId" not in header:
            raise DataError(problem(path.name, "wrong header", got=",".join(header)[:80], need="ImageId"))
        place = header.index("ImageId")
        return {cells[place] for _, cells in rows if len(cells) > place}


def _rasters(root: Path) -> Iterator[tuple[Path, str | None, str]]:
    """Yield images, those that are to be taken first, with sensor and id; the sensor is None where nothing tells it."""
    own = {THREE: _below(root / THREE), SIXTEEN: _below(root / SIXTEEN), "": _beside(root)}
    for rank in range(len(SUFFIXES)):
        for folder, paths in own.items():
            for path in paths:
                if path.suffix.lower() == SUFFIXES[rank]:
                    yield path, *_name_of(path, folder)
    for folder in (THREE, SIXTEEN):
        yield from ((path, None, "") for path in own[folder] if path.suffix.lower() not in SUFFIXES)


def _name_of(path: Path, folder: str) -> tuple[str | None, str]:
    if folder == THREE:
        return "RGB", path.stem
    image_id, _, name = path.stem.rpartition("_")
    name = name.upper()
    if name in SENSORS and name != "RGB" and image_id:
        return name, image_id
    return (None, "") if folder == SIXTEEN else ("RGB", path.stem)


def _below(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not _is_hidden(path.relative_to(folder))]


def _beside(root: Path) -> list[Path]:
    """Return the images beside the tables: those with a name of DSTL's alone, since anything may lie there."""
    named = [path for path in sorted(root.iterdir()) if IMAGE_ID.match(path.stem) and path.is_file()]
    return [path for path in named if IMAGE_ID.fullmatch(re.sub(r"_[PMApma]$", "", path.stem))]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", PARTIAL_PREFIX)) or part == "__MACOSX" for part in path.parts)


def _other_labels(root: Path) -> Path | None:
    """Return the latest other version of the table of labels."""
    names = {path.name.removesuffix(".gz").removesuffix(".zip") for path in root.iterdir()}
    for name in sorted(filter(OTHER_LABELS.fullmatch, names), reverse=True):
        if path := find_table(root, name):
            return path
    return None


def _said(root: Path, labels: Path | None) -> Iterator[str]:
    """Name the entries of a folder that are DSTL's, or look like data, and are not read."""
    if labels is not None and not labels.name.startswith(LABELS):
        yield problem(labels.name, f"read in place of {LABELS}, the last version")
    known = {THREE, SIXTEEN, GRID_SIZES, LABELS, SAMPLE}
    others = []
    for path in sorted(root.iterdir()):
        if _is_hidden(Path(path.name)) or path.name in known:
            continue
        if GEOJSON.fullmatch(path.name.removesuffix(".zip")):
            what = "not read: " + ("the labels are those of" if labels else "the labels by finer classes, read from")
            yield problem(path.name, f"{what} {labels.name if labels else LABELS + ' or its .zip'}")
        elif path.name in (f"{THREE}.zip", f"{SIXTEEN}.zip"):
            if not (root / path.stem).is_dir():
                yield problem(path.name, "not read: images are read from a folder", do="unpack it")
        elif path.is_dir() and not find_table(root, path.name):
            others.append(path)
    yield from _list(root, others, "not read: no folder of DSTL's")


def _list(root: Path, paths: list[Path], what: str) -> Iterator[str]:
    if paths:
        names = ", ".join(path.relative_to(root).as_posix() for path in paths[:NAMED])
        more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
        yield problem(names + more, what)
