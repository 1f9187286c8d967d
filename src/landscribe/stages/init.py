"""`init`: look at a folder of images and labels and write a recipe that works."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from landscribe.errors import DataError, LandscribeError, problem
from landscribe.io.atomic import write_text
from landscribe.io.raster.rasters import RasterInfo, open_raster
from landscribe.io.source.dstl import GRID_SIZES
from landscribe.io.vector.vectors import list_fields, list_values

RASTERS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2")
VECTORS = (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".parquet")
CLASS_FIELDS = ("class_name", "class", "label", "kind", "category", "type")
LABEL_WORDS = re.compile(r"mask|label|annot|truth|(^|[/_])gt([/_.]|$)")
TILE = re.compile(r"^(.*?)(\d+)([-_/])(\d+)([-_/])(\d+)(\.[^./]+)$")
"""x, y and z at the end of a name."""
ALNUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
MAX_COLOURS = 24
"""A picture with more colours than this is an image, not labels."""
DSTL_RECIPE = """# A folder in the DSTL layout.
[data]
source = "dstl"
root = {root}

[validate]
split = "place"
"""


@dataclass(frozen=True)
class Group:
    """Files whose paths differ in one field."""

    pattern: str
    scenes: tuple[str, ...]
    """What the fields read in each file; the same texts in two groups mean the same scenes."""
    first: Path
    scene: str = "{scene}"
    place: str = "{scene}"
    is_tile: bool = False
    """True for web-mercator tiles, whose frame is in the name."""


def write_recipe(folder: Path, out: Path) -> list[str]:
    """Write a recipe for a folder.

    Args:
        folder: Images and labels, in any sub-folders.
        out: TOML file to write.

    Returns:
        What was recognised, one line each.

    Raises:
        DataError: If the folder has no image, or nothing that can be read.
    """
    if not folder.is_dir():
        raise DataError(problem(str(folder), "no such folder"))
    root = _quote(Path(os.path.relpath(folder.resolve(), out.resolve().parent)).as_posix())
    if (folder / GRID_SIZES).is_file() and (folder / "three_band").is_dir():
        write_text(out, DSTL_RECIPE.format(root=root))
        return ["a DSTL folder"]
    groups = find_groups(folder, RASTERS)
    if not groups:
        raise DataError(problem(str(folder), "no image found", need=", ".join(RASTERS)))
    pictures = [group for group in groups if LABEL_WORDS.search(group.pattern.lower())]
    sensors = _same_scenes(folder, [group for group in groups if group not in pictures] or groups)
    reference = sensors[0]
    lines = [f"# Written by landscribe init for {folder.name}; look it through, then: landscribe check {out.name}"]
    lines += ["seed = 0", "", "[data]", f"root = {root}"]
    kinds: list[str] = []
    said = []
    for number, group in enumerate(sensors):
        with open_raster(folder / group.first) as raster:
            info = raster.info
        kind, extra = _kind(info, number)
        kinds += extra
        name = "RGB" if number == 0 and _bands(info) == 3 else f"S{number + 1}"
        frame = ', frame = "webmercator-tile"' if group.is_tile and not info.georeferenced else ""
        lines.append(f"sensors.{name} = {{ path = {_quote(group.pattern)}, kind = {_quote(kind)}{frame} }}")
        said.append(f"sensor {name}: {len(group.scenes)} rasters like {group.pattern}, {kind}")
    if reference.scene != "{scene}":
        lines += [f"scene = {_quote(reference.scene)}", f"place = {_quote(reference.place)}"]
    labels = _labels(folder, reference, pictures)
    lines += [*labels, *kinds]
    said += labels or ["no labels found; add labels = { ... } to [data] to train"]
    split = "place" if len(reference.scenes) > 1 else "none"
    lines += ["", "[[models]]", 'name = "all"', "", "[validate]", f'split = "{split}"']
    write_text(out, "\n".join(lines) + "\n")
    return said


def find_groups(folder: Path, suffixes: tuple[str, ...]) -> list[Group]:
    """Return the patterns that files below a folder follow, the one with most files first.

    Files belong together when they stand in one folder, or in folders that differ in numbers only and hold rasters of
    the same bands, with one ending.
    """
    by_shape: dict[tuple[str, str, str], list[Path]] = defaultdict(list)
    bands: dict[tuple[Path, str], str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix.lower() in suffixes and not path.name.startswith("."):
            own = path.relative_to(folder)
            if (own.parent, own.suffix) not in bands:
                bands[own.parent, own.suffix] = _band_text(path)
            by_shape[re.sub(r"\d+", "0", own.parent.as_posix()), own.suffix, bands[own.parent, own.suffix]].append(own)
    groups = [_pattern(part) for paths in by_shape.values() for part in _by_sensor(paths)]
    return sorted(groups, key=lambda group: (-len(group.scenes), group.pattern))


def _by_sensor(paths: list[Path]) -> list[list[Path]]:
    # Files of several sensors in one folder differ in their last word: 1_M.tif, 1_P.tif.
    by_end: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        by_end[re.sub(r"^.*?([A-Za-z]*)$", r"\1", path.stem)].append(path)
    sizes = {len(part) for part in by_end.values()}
    return list(by_end.values()) if len(by_end) > 1 and len(sizes) == 1 and min(sizes) > 1 else [paths]


def _pattern(paths: list[Path]) -> Group:
    texts = [path.as_posix() for path in paths]
    tiles = [TILE.search(text) for text in texts]
    if all(match and _is_tile(match) for match in tiles):
        numbers = tuple("-".join(match.group(2, 4, 6)) for match in tiles if match)
        pattern = TILE.sub(r"\1{x}\3{y}\5{z}\7", texts[0])
        return Group(pattern, numbers, paths[0], "{z}-{x}-{y}", "{z}-{x}-{y}", is_tile=True)
    if len(texts) == 1:
        stem = paths[0].stem
        return Group(f"{texts[0].removesuffix(paths[0].name)}{{scene}}{paths[0].suffix}", (stem,), paths[0])
    if len({path.parent for path in paths}) == 1:
        start = _whole_words(_common_start(texts), len(texts[0]) - len(paths[0].name))
        end = _common_start([text[::-1] for text in texts])[::-1]
        # An end that begins within a number or word would cut scene ids apart: 1_a, 11_a.
        end = end[len(end) - len(end.lstrip(ALNUM)) :]
        scenes = tuple(text[len(start) : len(text) - len(end)] for text in texts)
        return Group(f"{start}{{scene}}{end}", scenes, paths[0])
    return _several_folders(paths, texts)


def _several_folders(paths: list[Path], texts: list[str]) -> Group:
    # Numbers that change become fields named after the word before them; the folder's ones make the place.
    pieces = [re.split(r"(\d+)", text) for text in texts]
    if len({len(piece) for piece in pieces}) > 1:
        raise DataError(problem(paths[0].parent.as_posix(), "names follow no pattern", got=f"{texts[0]}, {texts[-1]}"))
    columns = [set(column) for column in zip(*pieces, strict=True)]
    changing = [k for k, column in enumerate(columns) if len(column) > 1]
    pattern, seen = "", ""
    names: list[str] = []
    places: list[str] = []
    for k, column in enumerate(zip(*pieces, strict=True)):
        if k not in changing:
            pattern, seen = pattern + column[0], seen + column[0]
            continue
        word = (re.findall(r"[A-Za-z]+", seen) or ["part"])[-1].lower()
        name = word if word not in names else f"{word}{len(names) + 1}"
        names.append(name)
        pattern += "{" + name + "}"
        seen += column[0]
        if "/" in "".join(pieces[0])[len(seen) :]:
            places.append(name)
    scene = "_".join("{" + name + "}" for name in names)
    place = "_".join("{" + name + "}" for name in (places or names))
    numbers = tuple("_".join(piece[k] for k in changing) for piece in pieces)
    return Group(pattern, numbers, paths[0], scene, place)


def _is_tile(match: re.Match[str]) -> bool:
    x, y, z = (int(match.group(k)) for k in (2, 4, 6))
    return 10 <= z <= 24 and max(x, y) < 2**z and min(x, y) > 2 ** (z - 10)


def _common_start(texts: list[str]) -> str:
    length = 0
    for column in zip(*texts, strict=False):
        if len(set(column)) > 1:
            break
        length += 1
    return texts[0][:length]


def _whole_words(start: str, least: int) -> str:
    # A beginning that ends within a number or word would cut scene ids apart: img1, img12.
    end = len(start)
    while end > least and start[end - 1].isalnum():
        end -= 1
    return start[:end]


def _band_text(path: Path) -> str:
    if path.suffix.lower() not in RASTERS:
        return ""
    try:
        with open_raster(path) as raster:
            return f"{raster.info.count} {raster.info.dtype}"
    except LandscribeError:
        return "unreadable"


def _pixels(path: Path) -> int:
    with open_raster(path) as raster:
        return raster.info.grid.height * raster.info.grid.width


def _same_scenes(folder: Path, groups: list[Group]) -> list[Group]:
    # The reference is the group with most files, and of equal ones that with most pixels. Another sensor shares most
    # of its scenes.
    groups = sorted(groups, key=lambda g: (-len(g.scenes), -_pixels(folder / g.first)))
    first = groups[0]
    return [g for g in groups if g is first or len(set(g.scenes) & set(first.scenes)) >= len(first.scenes) / 2]


def _bands(info: RasterInfo) -> int:
    return info.count - (1 if info.alpha_band is not None else 0)


def _kind(info: RasterInfo, number: int) -> tuple[str, list[str]]:
    known = {
        (3, "uint8"): "rgb8",
        (3, "uint16"): "rgb16",
        (1, "uint8"): "grey8",
        (4, "uint8"): "naip",
        (8, "uint16"): "worldview2-m",
    }
    bands = _bands(info)
    if (bands, info.dtype) in known:
        return known[bands, info.dtype], []
    kind = f"own-{number + 1}"
    bits = np.dtype(info.dtype).itemsize * 8 if np.dtype(info.dtype).kind in "iu" else 0
    names = ", ".join(_quote(info.descriptions[k] or f"b{k + 1}") for k in range(bands))
    return kind, ["", "[[data.kinds]]", f"kind = {_quote(kind)}", f"bands = [{names}]", f"bits = {bits}"]


def _labels(folder: Path, images: Group, pictures: list[Group]) -> list[str]:
    for group in pictures:
        colours = _palette(folder / group.first)
        if colours and len(set(group.scenes) & set(images.scenes)) >= len(images.scenes) / 2:
            table = ", ".join(f'class{i + 1} = "{colour}"' for i, colour in enumerate(colours))
            return [f"labels = {{ path = {_quote(group.pattern)}, colours = {{ {table} }} }}"]
    for group in find_groups(folder, VECTORS):
        shared = len(group.scenes) == 1 and len(images.scenes) > 1
        if shared or set(group.scenes) & set(images.scenes):
            field = _class_field(folder / group.first)
            by = f"class_field = {_quote(field)}" if field else 'class = "building"'
            return [f"labels = {{ path = {_quote(group.first.as_posix() if shared else group.pattern)}, {by} }}"]
    return []


def _palette(path: Path) -> list[str]:
    with open_raster(path) as raster:
        image_chw, _ = raster.read()
    if image_chw.dtype != np.uint8 or image_chw.shape[0] != 3:
        return []
    colours, counts = np.unique(image_chw.reshape(3, -1).T, axis=0, return_counts=True)
    chosen = colours[counts > image_chw[0].size / 2000]
    if len(chosen) > MAX_COLOURS:
        return []
    return ["#{:02X}{:02X}{:02X}".format(*colour) for colour in chosen]


def _class_field(path: Path) -> str | None:
    try:
        by_lower = {name.lower(): name for name in list_fields(path)}
        named = [by_lower[name] for name in CLASS_FIELDS if name in by_lower]
        return next((field for field in named if 2 <= len(list_values(path, field)) <= MAX_COLOURS), None)
    except LandscribeError:
        return None


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
