"""Groups of imagery -> the sensors of a recipe."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import shapely
from pyproj import Transformer

from landscribe.core.grid import Grid
from landscribe.core.sensors import CATALOGUE, Band, Sensor, colour_word
from landscribe.errors import LandscribeError
from landscribe.io.layout.found import FoundSensor, Pictures
from landscribe.io.layout.groups import fill, templates
from landscribe.io.layout.pictures import FEW_FILES, spread
from landscribe.io.layout.words import SENSOR_WORDS
from landscribe.io.raster.rasters import RasterInfo, open_raster
from landscribe.io.raster.suspects import find_suspects, thin
from landscribe.io.source.sensor_files import USUAL_TAGS, BandWords, SensorFile, open_sensor, other_order, words_of
from landscribe.io.source.stac import Asset

KINDS = {(3, "uint8"): "rgb8", (3, "uint16"): "rgb16", (1, "uint8"): "grey8", (4, "uint8"): "naip",
         (8, "uint16"): "worldview2-m"}  # fmt: skip
"""Bands and type -> kind, where nothing in the files says otherwise."""
NAMES = {1: "PAN", 3: "RGB", 4: "RGBN"}
MAX_FOOTPRINTS = 400
MAX_LOOK_PIXELS = 1 << 26
MIXED_FILES = 64
"""Files of a sensor whose bands are compared."""
MUCH = 0.05
"""Share of the pixels from which on a number along the edge is taken for nodata by `init`; `check` warns of less."""


def choose_reference(images: Sequence[Pictures]) -> Pictures:
    """Return the imagery that decides the scenes: most files, of equal ones most pixels, then most bands."""

    def rank(found: Pictures) -> tuple[int, int, int]:
        info = found.look.info
        pixels = info.grid.height * info.grid.width if info else 0
        return len(found.group.files), pixels, info.count if info else 0

    return max(images, key=rank)


def find_sensors(
    folder: Path, images: Sequence[Pictures], reference: Pictures, assets: Mapping[Path, Asset]
) -> tuple[list[FoundSensor], list[str]]:
    """Return the sensors of the scenes of the reference, it first, and a line for each group that is none of them.

    Args:
        folder: The folder.
        images: All imagery in it.
        reference: That which decides the scenes.
        assets: What STAC items say of files.
    """
    chosen: list[tuple[Pictures, str]] = [(reference, reference.group.pattern)]
    left_out = []
    for found in images:
        if found is reference:
            continue
        template = sensor_template(folder, found, reference)
        if template is None:
            left_out.append(f"not used: {found.group.pattern} ({len(found.group.files)} files), other scenes")
        else:
            chosen.append((found, template))
    sensors: list[FoundSensor] = []
    for shown, path in chosen:
        found, common, said = _settle_bands(folder, shown, path)
        left_out += said
        name = _name(found, [sensor.name for sensor in sensors], several=len(chosen) > 1)
        sensor = describe_sensor(name, path, found, assets.get(found.group.files[0]))
        sensor = replace(sensor, settings={**sensor.settings, **common})
        settings = {**sensor.settings, **suspected_nodata(folder, found, sensor)}
        sensors.append(replace(sensor, settings=settings, own=found.group.files))
    return sensors, left_out


def _settle_bands(folder: Path, found: Pictures, path: str) -> tuple[Pictures, dict[str, object], list[str]]:
    """Return imagery described by the commonest of its files where these differ in bands, settings for it, and a line.

    Where some have a band behind red, green and blue, those three are what all have.
    """
    infos: dict[int, list[RasterInfo]] = {}
    for file in spread(found.group.files, MIXED_FILES):
        try:
            with open_raster(folder / file, palette=True, alpha=False) as raster:
                infos.setdefault(raster.info.count, []).append(raster.info)
        except LandscribeError:
            continue
    if len(infos) < 2 or found.look.alpha is True:
        return found, {}, []
    shown = " and ".join(f"{len(infos[count])} with {count} bands" for count in sorted(infos))
    line = f"sensor files like {path} differ: {shown}"
    if set(infos) == {3, 4} and all(info.dtype == "uint8" for some in infos.values() for info in some):
        look = replace(found.look, info=infos[3][0], alpha=None)
        return replace(found, look=look), {"bands": [1, 2, 3]}, [f"{line}; bands = [1, 2, 3] takes what all have"]
    most = max(infos, key=lambda count: len(infos[count]))
    look = replace(found.look, info=infos[most][0], alpha=found.look.alpha if most in (2, 4) else None)
    return replace(found, look=look), {}, [f"{line}; the others are refused: --set images=PART takes one kind"]


def suspected_nodata(folder: Path, found: Pictures, sensor: FoundSensor) -> dict[str, object]:
    """Return the settings of a number that nobody declared and that is no data in most of a few files.

    Larger rasters than `MAX_LOOK_PIXELS` are left to `check`, which reads all pixels anyway.
    """
    if found.look.alpha is True or found.look.info is None:
        return {}
    kind = CATALOGUE.get(sensor.kind) or Sensor(sensor.kind, tuple(Band(name) for name in sensor.bands), 0, 0)
    votes: dict[tuple[float, bool], int] = {}
    seen = 0
    for path in spread(found.group.files, FEW_FILES):
        alpha, bands = sensor.settings.get("alpha"), sensor.settings.get("bands")
        file = SensorFile(
            sensor.name,
            folder / path,
            kind,
            alpha=alpha if isinstance(alpha, bool) else None,
            bands=tuple(bands) if isinstance(bands, list) else None,
        )
        try:
            with open_sensor(file) as raster:
                grid = raster.info.grid
                if grid.height * grid.width > MAX_LOOK_PIXELS:
                    continue
                parts = [thin(*raster.read(window), window, grid) for window in grid.window.strips()]
        except LandscribeError:
            continue
        seen += 1
        small_chw = np.concatenate([image_chw for image_chw, _ in parts], axis=1)
        for own in find_suspects(small_chw, np.concatenate([valid_hw for _, valid_hw in parts])):
            if own.share >= MUCH or own.why == "far":
                votes[own.value, own.in_all_bands] = votes.get((own.value, own.in_all_bands), 0) + 1
    best = max(votes, key=lambda key: votes[key], default=None)
    if best is None or votes[best] * 2 < seen:
        return {}
    value, in_all = best
    number: object = int(value) if float(value).is_integer() and abs(value) < 1e15 else value
    return {"nodata": number} if in_all else {"nodata": number, "nodata_bands": "any"}


def sensor_template(folder: Path, found: Pictures, reference: Pictures) -> str | None:
    """Return the pattern of another sensor in the fields of the reference; None where it shows other scenes."""
    own, other = reference.group, found.group
    if len(own.files) == 1:
        same = len(other.files) == 1 and _share_ground(folder, own.files[0], other.files[0])
        return other.pattern if same else None
    paths = {path.as_posix() for path in other.files}
    for template in templates(other, own):
        hits = sum(fill(template, fields).as_posix() in paths for fields in own.fields)
        if hits * 2 >= len(own.files):
            return template
    return None


def _share_ground(folder: Path, one: Path, other: Path) -> bool:
    grids = []
    for path in (one, other):
        with open_raster(folder / path, palette=True) as raster:
            grids.append(raster.info.grid if raster.info.georeferenced else None)
    if grids[0] is None or grids[1] is None:
        return grids[0] is None and grids[1] is None
    try:
        return bool(lonlat_box(grids[0]).intersects(lonlat_box(grids[1])))
    except LandscribeError:
        return False


def lonlat_box(grid: Grid) -> shapely.Geometry:
    """Return the footprint in longitude and latitude, or in its own coordinates where it has no CRS."""
    if grid.crs is None:
        return grid.footprint
    move = Transformer.from_crs(grid.crs, 4326, always_xy=True)
    xy = np.array(grid.footprint.segmentize(max(grid.footprint.length / 40, 1e-9)).exterior.coords)
    return shapely.Polygon(np.column_stack(move.transform(xy[:, 0], xy[:, 1])))


def describe_sensor(name: str, path: str, found: Pictures, asset: Asset | None = None) -> FoundSensor:
    """Return a sensor with its kind: a row of the catalogue, or one of its own."""
    info = found.look.info
    if info is None:
        raise ValueError(path)
    alpha = found.look.alpha is True
    count = info.count - alpha
    settings: dict[str, object] = {"alpha": found.look.alpha} if found.look.alpha is not None else {}
    if found.group.is_tile and not info.georeferenced:
        settings["frame"] = "webmercator-tile"
    found_words = words_of(info, count, _satellite(info))
    if count == 4 and list(found_words.described) == ["blue", "green", "red", "nir"] and _satellite(info):
        return FoundSensor(name, path, "sentinel2-10m", settings, files=len(found.group.files))
    kind = KINDS.get((count, info.dtype))
    said = asset.bands if asset is not None and len(asset.bands) == count else ()
    if said and [colour_word(band) for band, _ in said] != ["red", "green", "blue"]:
        kind = None  # the item knows better than the number of bands
    if kind is not None:
        sensor = FoundSensor(name, path, kind, settings, files=len(found.group.files))
        shown = replace(info, alpha_band=info.count if alpha else None)
        text, is_error = other_order("", SensorFile(name, info.path, CATALOGUE[kind]), shown)
        if not text or not is_error:
            return replace(sensor, ordered_by=_order_of(found_words)) if found_words.against else sensor
        wanted = [colour_word(band.name) for band in CATALOGUE[kind].bands]
        if None not in wanted and set(wanted) == set(found_words.words):
            order = [found_words.words.index(word) + 1 for word in wanted]
            return replace(sensor, settings={**settings, "bands": order}, ordered_by=_order_of(found_words))
    bits = np.dtype(info.dtype).itemsize * 8 if np.dtype(info.dtype).kind in "iu" else 0
    texts = [band for band, _ in said] or _texts_of(info, count, found_words)
    if found.look.alpha is False and count == 4 and not texts[3] and set(found_words.words[:3]) == set(USUAL_TAGS):
        texts[3] = "nir"
    names = _band_names(texts if count > 1 or texts[0] else [name])
    own = name.lower() if name.lower() not in CATALOGUE else f"own-{name.lower()}"
    lengths = tuple(nm for _, nm in said)
    return FoundSensor(name, path, own, settings, names, lengths, bits, len(found.group.files))


def _order_of(found: BandWords) -> str:
    if not any(found.described):
        return "tags"
    differ = any(a != b for a, b in zip(found.described, found.tagged, strict=True) if a and b)
    return "descriptions, not tags" if differ else "descriptions"


def _texts_of(info: RasterInfo, count: int, found: BandWords) -> list[str]:
    """Return what names the bands of a sensor of its own: descriptions, and tags that are not those of any picture."""
    tags = [None] * count if found.tags_are_usual else found.tagged
    return [text or tag or "" for text, tag in zip(info.descriptions[:count], tags, strict=True)]


def _satellite(info: RasterInfo) -> str:
    texts = [text or "" for text in info.descriptions]
    numbered = any(re.search(r"\bB0?[248]A?\b", text, re.IGNORECASE) for text in texts)
    return "sentinel2" if numbered and re.search(r"S2[ABC]?_|sentinel-?2|T\d\d[A-Z]{3}", str(info.path)) else ""


def _band_names(texts: Sequence[str]) -> tuple[str, ...]:
    names: list[str] = []
    for number, text in enumerate(texts):
        word = colour_word(text) or re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_") or f"b{number + 1}"
        names.append(word if word not in names else f"b{number + 1}")
    return tuple(names)


def _name(found: Pictures, taken: Sequence[str], *, several: bool) -> str:
    """Return a name for a sensor: what its files or folder are called among several, else by its bands."""
    info = found.look.info
    count = (info.count if info else 1) - (found.look.alpha is True)
    usual = NAMES.get(count, "MS" if count > 1 else "S")
    if several:
        pattern = re.sub(r"\{[^}]*\}", " ", found.group.pattern)
        words = [word for word in re.split(r"[^A-Za-z0-9]+", pattern.rpartition(".")[0]) if word]
        telling = [w for w in words if w.lower() in SENSOR_WORDS or re.fullmatch(r"(?i)b\d{1,2}a?", w)]
        usual = telling[-1] if telling else usual
    name, number = usual, 2
    while name in taken:
        name, number = f"{usual}{number}", number + 1
    return name
