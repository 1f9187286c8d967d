"""Everything in a folder: groups of rasters by what their pixels are, groups of vector files by what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from landscribe.errors import RecipeError, problem
from landscribe.io.atomic import PARTIAL_PREFIX
from landscribe.io.layout.classes import TABLES
from landscribe.io.layout.found import Inventory, Pictures, Vectors
from landscribe.io.layout.groups import Group, find_groups
from landscribe.io.layout.pictures import FEW_FILES, MANY_FILES, Look, look_at
from landscribe.io.layout.vectors import VECTORS, file_kind, look_at_vectors
from landscribe.io.layout.words import means_labels, means_quality
from landscribe.io.review.history import HISTORY
from landscribe.io.source.stac import NO_IMAGERY, read_assets
from landscribe.io.vector.wkt_csv import has_wkt, is_table

RASTERS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2")
UNREAD = (".zip", ".7z", ".rar", ".tar", ".gz", ".npy", ".npz", ".h5", ".hdf5", ".hdf", ".nc", ".mat", ".img", ".ecw",
          ".sid", ".bil", ".asc", ".bmp", ".gif", ".webp", ".heic", ".tab", ".mif", ".osm", ".pbf", ".gpx", ".svg",
          ".dwg", ".topojson", ".xlsx", ".xls", ".pkl")  # fmt: skip
"""Endings of files that may well be data and that nothing here reads."""
RUN_FILES = ("manifest.json", "split.json")
"""A folder with these is a run, and nothing in it is data."""


def take_inventory(folder: Path, *, images: str | None = None, labels: str | None = None) -> Inventory:
    """Look at all files of a folder.

    Args:
        folder: The folder.
        images: Part of the paths of imagery, where the user said it; all else is no imagery then.
        labels: The same of labels.

    Raises:
        RecipeError: If the user named something that is not there.
    """
    files = list_files_below(folder)
    assets = read_assets(folder, [p for p in files if p.suffix == ".json" and file_kind(folder / p) == "stac"])
    unwanted = {path for path, asset in assets.items() if asset.roles & NO_IMAGERY}
    rasters = [path for path in files if path.suffix.lower() in RASTERS and path not in unwanted]
    looks: dict[tuple[Path, ...], Look] = {}

    def raster_facts(paths: Sequence[Path]) -> str:
        look = looks.setdefault(tuple(paths), look_at(folder, paths))
        side, info = _side(look, paths), look.info
        # Pictures of one set of labels may differ in what they are stored as, and imagery in transparency.
        if info is None or side == "label":
            return f"{side} {look.role}"
        return f"{info.count - (look.alpha is True)} {info.dtype} {side}"

    found_images, found_masks, left_out, others = [], [], [], []
    if unwanted:
        left_out.append(f"not used: {len(unwanted)} files that STAC items call overviews, thumbnails or masks")
    virtual = [path for path in files if path.suffix.lower() == ".vrt"]
    if virtual:
        do = f"gdal_translate {virtual[0].name} {virtual[0].with_suffix('.tif').name} makes a raster of one"
        left_out.append(f"not used: {len(virtual)} virtual rasters (VRT), which are not read; {do}")
    unread = [path for path in files if path.suffix.lower() in UNREAD and not is_table(path)]
    if unread:
        endings = ", ".join(sorted({path.suffix.lower() for path in unread}))
        do = "unpack or convert them to GeoTIFF, PNG, JPEG, GeoPackage or GeoJSON"
        left_out.append(f"not used: {len(unread)} files of endings that are not read ({endings}); {do}")
    for group in find_groups(folder, rasters, raster_facts):
        look = look_at(folder, group.files)
        side = _side(look, group.files)
        if images is not None or labels is not None:
            side = _as_asked(group, side, images, labels)
        if side == "image":
            found_images.append(Pictures(group, look))
        elif side == "label":
            found_masks.append(Pictures(group, look_at(folder, group.files, most=MANY_FILES)))
        else:
            left_out.append(f"not used: {group.pattern} ({len(group.files)} files), {side}")
            if look.role != "unreadable":
                others.append(group)
    constant = [found for found in found_images if found.look.role == "constant"]
    if labels is None and images is None and len(constant) < len(found_images):
        # Pictures of one number show no ground; beside imagery they may be masks of nothing, or of everything.
        found_images = [found for found in found_images if found not in constant]
        others += [found.group for found in constant]
        left_out += [_say_constant(found) for found in constant]
    if not found_images and len(found_masks) == 1 and labels is None:
        # One set of pictures with few colours is imagery that has few colours.
        found_images, found_masks = found_masks, []
    if not found_images and labels is None:
        # Fill and smooth water in a JPEG look like a mask that it has blurred.
        found_images = [found for found in found_masks if found.look.blurred and not _is_called_labels(found.group)]
        found_masks = [found for found in found_masks if found not in found_images]
    vectors = _vectors(folder, files, labels)
    for what, wanted, found in (("images", images, found_images), ("labels", labels, [*found_masks, *vectors])):
        if wanted is not None and not found:
            raise RecipeError(
                problem(f"--set {what}", "no such files", got=wanted, need=f"a part of paths in {folder}")
            )
    return Inventory(
        folder, tuple(found_images), tuple(found_masks), tuple(vectors), tuple(left_out), tuple(others), assets
    )


def _is_called_labels(group: Group) -> bool:
    return means_labels(" ".join(path.as_posix() for path in group.files[:3]))


def _say_constant(found: Pictures) -> str:
    value = next(iter(found.look.values or found.look.colours or {}), "alike")
    group = found.group
    what = f"not used: {group.pattern} ({len(group.files)} files), all pixels are {value}"
    return f"{what}: neither imagery nor labels by that; --set labels=PART takes them for masks"


def list_files_below(folder: Path) -> list[Path]:
    """Return the files below a folder, relative and sorted; those that are hidden, of runs and of reviews are not."""
    found, waiting = [], [folder]
    while waiting:
        here = waiting.pop()
        if all((here / name).is_file() for name in RUN_FILES) or (here / HISTORY).is_file():
            continue  # of a run; or reviews, which are labels in a way of their own
        for path in here.iterdir():
            if path.name.startswith((".", PARTIAL_PREFIX)) or path.name == "__MACOSX":
                continue
            if path.is_dir():
                waiting.append(path)
            elif path.is_file():
                found.append(path.relative_to(folder))
    return sorted(found)


def _side(look: Look, files: Sequence[Path]) -> str:
    """Tell imagery from labels and from what is neither."""
    names = " ".join(dict.fromkeys(path.as_posix() for path in files[:3]))
    if look.role == "unreadable":
        return look.why or "cannot be read"
    if any(means_quality(path.stem) for path in files[:3]):
        return "a quality layer or a thumbnail"
    if look.role in ("values", "colours", "one-hot", "objects"):
        return "label" if look.role != "objects" or means_labels(names) else "image"
    if look.role == "constant":
        return "label" if means_labels(names) else "image"
    return "image"


def _as_asked(group: Group, side: str, images: str | None, labels: str | None) -> str:
    paths = [path.as_posix() for path in group.files]
    if labels is not None and all(labels in path for path in paths):
        return "label"
    if labels is not None and side == "label":
        return "not asked for"
    if images is not None:
        return "image" if all(images in path for path in paths) else "label" if side == "label" else "not asked for"
    return side


def _vectors(folder: Path, files: Sequence[Path], labels: str | None) -> list[Vectors]:
    def facts(paths: Sequence[Path]) -> str:
        kinds = [file_kind(folder / path).partition(":")[0] for path in paths[:FEW_FILES]]
        return max(dict.fromkeys(kinds), key=kinds.count)

    own = [path for path in files if path.suffix.lower() in VECTORS or is_table(path)]
    tables = {path for path in own if is_table(path) and not has_wkt(folder / path)}
    lists = {path for path in tables if path.name.lower() in TABLES}
    own = [path for path in own if labels is None or labels in path.as_posix()]
    parts = ([path for path in own if path not in tables], sorted(tables - lists))
    groups = [group for part in parts for group in find_groups(folder, part, facts)]
    return [Vectors(group, tuple(look_at_vectors(folder, group.files))) for group in groups]
