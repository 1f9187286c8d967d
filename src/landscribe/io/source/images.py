"""Images given one by one, each a scene of its own, in place of a recipe's patterns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from landscribe.apart import Limits, apart
from landscribe.core.recipe import Recipe
from landscribe.core.sensors import CATALOGUE, find_sensor
from landscribe.errors import BAD_FILE, DataError, RecipeError, problem
from landscribe.io.raster.rasters import RasterInfo
from landscribe.io.source.patterns import own_kinds
from landscribe.io.source.scenes import Scene, SceneList
from landscribe.io.source.sensor_files import SensorFile, open_sensor


def find_images(given: Iterable[str]) -> tuple[Path, ...]:
    """Return the images that are meant, each once, in the order given.

    Args:
        given: Files, or patterns with `*`, `?`, `[...]` and `**` where the shell has not resolved them.

    Raises:
        RecipeError: If one is missing or a folder, nothing fits a pattern, or two would have one name.
    """
    found: dict[Path, Path] = {}
    for text in given:
        for path in _matches(text):
            found.setdefault(path.resolve(), path)
    by_name: dict[str, Path] = {}
    for path in found.values():
        other = by_name.setdefault(path.stem.casefold(), path)
        if other != path:
            what = f"two images of one name: results of {other} and {path} would be one file"
            raise RecipeError(problem("predict", what, do="rename one, or predict them into two folders"))
    return tuple(found)


def _matches(text: str) -> list[Path]:
    path = Path(text)
    if path.is_file():
        return [path]
    if path.is_dir():
        raise RecipeError(problem(text, "is a folder", need="images", do=f"take {path}/*.tif"))
    if not set("*?[") & set(text):
        raise RecipeError(problem(text, "no such image"))
    start = Path(path.anchor)
    matches = sorted(match for match in start.glob(str(path.relative_to(path.anchor))) if match.is_file())
    if not matches:
        raise RecipeError(problem(text, "no image fits this pattern"))
    return matches


def image_table(name: str, kind: str, bands: Sequence[str], bits: int) -> dict[str, Any]:
    """Return `[data]` of a recipe for images of one sensor, which need not be in the catalogue."""
    data: dict[str, Any] = {"sensors": {name: {"path": "{scene}", "kind": kind}}}
    known = CATALOGUE.get(kind)
    if known is None or known.band_names != tuple(bands):
        data["kinds"] = [{"kind": kind, "bands": list(bands), "bits": bits}]
    return data


def list_images(recipe: Recipe, images: Sequence[Path], limits: Limits) -> SceneList:
    """Return images as scenes of the recipe's only sensor, called by their file names.

    An image that cannot be read, or has another number of bands, is broken, and the others go on.

    Raises:
        DataError: If all of them are broken, with the first reason.
    """
    (name, table), *_ = recipe.data.sensors.items()
    sensor = find_sensor(table.kind, own_kinds(recipe.data))
    scenes, broken = [], {}
    for path in images:
        any_band = table.nodata_bands == "any"
        file = SensorFile(name, path, sensor, table.nodata, None, any_band, table.alpha, table.bands, table.scale)
        try:
            why = apart(str(path), _what_is_wrong, file, limits=limits, paths=(path,))
        except BAD_FILE as error:
            why = str(error)
        if why:
            broken[path.stem] = why
        else:
            scenes.append(Scene(path.stem, path.stem, {name: file}))
    if not scenes:
        raise DataError(next(iter(broken.values())))
    return SceneList(tuple(scenes), broken=broken)


def _what_is_wrong(file: SensorFile) -> str:
    try:
        with open_sensor(file) as raster:
            return wrong_bands(file, raster.info)
    except BAD_FILE as error:
        return str(error)


def wrong_bands(file: SensorFile, info: RasterInfo) -> str:
    """Return what is wrong with the number of an image's bands, empty where it is that of the models."""
    bands, sensor = info.count - (info.alpha_band is not None), file.sensor
    if bands == len(sensor.bands):
        return ""
    need = f"{len(sensor.bands)} for the models: {', '.join(sensor.band_names)}"
    do = f"pick them with --set data.sensors.{file.name}.bands=[...]" if bands > len(sensor.bands) else None
    return problem(str(file.path), "wrong number of bands", got=bands, need=need, do=do)
