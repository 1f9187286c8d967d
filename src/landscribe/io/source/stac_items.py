"""Scenes that STAC item files describe: an asset for each sensor, on disk beside the item or on a server."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from landscribe.core.recipe import DataTable, SensorTable
from landscribe.core.sensors import Sensor, find_sensor
from landscribe.errors import BAD_FILE, DataError, RecipeError, problem
from landscribe.io.json_text import as_number, as_size, read_json
from landscribe.io.remote.addresses import is_address, require_address
from landscribe.io.source.patterns import (
    check_picked,
    fill,
    label_files,
    match_files,
    own_kinds,
    require_network,
    require_no_addresses,
)
from landscribe.io.source.scenes import Scene, SceneList, lacks
from landscribe.io.source.sensor_files import SensorFile, Stated


def list_items(data: DataTable, root: Path) -> SceneList:
    """Find the scenes of STAC item files; an item that cannot be used is a broken scene.

    Args:
        data: `[data]` of the recipe.
        root: Its data folder, absolute.

    Raises:
        DataError: If no item is found.
        RecipeError: If `items` or the sensors are missing, or an item names an address and the network is not allowed.
    """
    if data.items is None or not data.sensors:
        need = 'items = "items/{name}.json", and sensors.RGB = { path = "ASSET", kind = "rgb8" }'
        raise RecipeError(problem("[data]", "source 'stac' lacks items or sensors", need=need))
    for name, table in data.sensors.items():
        if is_address(table.path):
            need = "the name of an asset"
            raise RecipeError(problem(f"[data].sensors.{name}.path", "an address", got=table.path, need=need))
    require_no_addresses(data)
    scenes: dict[str, Scene] = {}
    broken: dict[str, str] = {}
    names: dict[str, Path] = {}
    for path, _ in match_files(root, data.items):
        try:
            scene = _scene(data, root, path)
        except BAD_FILE as error:
            broken[path.stem] = str(error)
            continue
        if scene.id in names:
            got, do = f"{names[scene.id].name} and {path.name}", "take one of them away; the first is used"
            broken[path.stem] = problem(str(path), f"a second item of the id {scene.id!r}", got=got, do=do)
            continue
        names[scene.id] = path
        if next(iter(data.sensors)) in scene.missing:
            reference = next(iter(data.sensors))
            broken[scene.id] = lacks(scene.id, reference, f"asset {data.sensors[reference].path!r}")
            continue
        scenes[scene.id] = scene
    if not scenes and not broken:
        raise DataError(problem(str(root), "no scene found", need=f"item files like {data.items!r}"))
    return SceneList(tuple(scenes.values()), data.labels, broken=broken)


def _scene(data: DataTable, root: Path, path: Path) -> Scene:
    item = read_json(path)
    assets = item.get("assets") if isinstance(item, dict) else None
    if not isinstance(assets, dict) or item.get("type") != "Feature" or not isinstance(item.get("id"), str):
        raise DataError(problem(str(path), "is no STAC item", need="a Feature with id and assets"))
    if not item["id"].isprintable():
        raise DataError(problem(str(path), "an id that cannot be shown", got=ascii(item["id"])[:80]))
    properties = item.get("properties") if isinstance(item.get("properties"), dict) else {}
    fields = {"scene": item["id"], "date": _text(properties, "datetime")[:10], "collection": _text(item, "collection")}
    scene_id = fill(data.scene, fields, "[data].scene")
    fields["scene"] = scene_id
    sensors, missing = {}, {}
    for name, table in data.sensors.items():
        asset = assets.get(table.path)
        if not isinstance(asset, dict) or not isinstance(asset.get("href"), str):
            missing[name] = f"asset {table.path!r} of {path.name}"
            continue
        sensors[name] = _sensor_file(data, root, path, name, table, asset, properties)
    labels, unlabelled = label_files(data.labels, root, fields)
    place = fill(data.place, fields, "[data].place")
    return Scene(scene_id, place, sensors, labels, unlabelled, missing)


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) and value.isprintable() else ""


def _sensor_file(
    data: DataTable,
    root: Path,
    item: Path,
    name: str,
    table: SensorTable,
    asset: Mapping[str, Any],
    properties: Mapping[str, Any],
) -> SensorFile:
    href, where = asset["href"], f"{item.name}, asset {table.path!r}"
    address = _address(data, where, href) if is_address(href) else ""
    path = Path(href.rpartition("/")[2]) if address else _beside(where, item, href)
    if not address and not path.is_relative_to(root.resolve()):
        raise DataError(problem(where, "its file lies outside of the data folder", got=href, do="set [data].root"))
    if not address and not path.is_file():
        do = "a relative href begins in the folder of its item"
        raise DataError(problem(where, "no such file", got=f"{href}, looked for at {path}", do=do))
    sensor = find_sensor(table.kind, own_kinds(data))
    if table.scale:
        sensor = replace(sensor, bits=0)
    check_picked(name, table, sensor)
    rows = _rows(asset)
    said = _stated(item.name, asset, rows, properties)
    if table.scale and not all(map(math.isfinite, itertools.chain(*said.scales))):
        raise DataError(problem(where, "scale or offset is no number"))
    return SensorFile(
        name,
        path,
        sensor,
        table.nodata if table.nodata is not None else said.nodata,
        None,
        table.nodata_bands == "any",
        table.alpha,
        table.bands or _picked(where, sensor, rows),
        table.scale,
        address,
        said,
    )


def _beside(where: str, item: Path, href: str) -> Path:
    try:
        return (item.parent / href).resolve()
    except (ValueError, OSError, RuntimeError):  # a name that no file can have, or links in a circle
        raise DataError(problem(where, "its file has no name that can be", got=ascii(href)[:80])) from None


def _address(data: DataTable, where: str, href: str) -> str:
    try:
        require_address(href, where)
    except RecipeError as error:  # the item says so, and the other items are none the worse
        raise DataError(str(error)) from None
    return require_network(data, where, href)


def _rows(asset: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what is said of each band: by `bands` of STAC 1.1, else by the `eo` and `raster` extensions together."""
    own = _dicts(asset.get("bands"))
    if own:
        return own
    colours, numbers = _dicts(asset.get("eo:bands")), _dicts(asset.get("raster:bands"))
    longer = max(len(colours), len(numbers))
    colours, numbers = (rows + [{}] * (longer - len(rows)) for rows in (colours, numbers))
    return [{**number, **colour} for colour, number in zip(colours, numbers, strict=True)]


def _dicts(rows: object) -> list[Mapping[str, Any]]:
    return rows if isinstance(rows, list) and all(isinstance(row, dict) for row in rows) else []


def _picked(where: str, sensor: Sensor, rows: list[Mapping[str, Any]]) -> tuple[int, ...] | None:
    """Return the numbers of the sensor's bands in the file, by their common names; None where the item names none."""
    said = [row.get("eo:common_name") or row.get("common_name") for row in rows]
    names = [name for name in said if isinstance(name, str) and name.isprintable()]
    if not names or len(names) < len(said) or len(set(names)) < len(names):
        return None
    known = {name: number for number, name in enumerate(names, start=1)}
    missing = [name for name in sensor.band_names if name not in known]
    if missing:
        got, need = ", ".join(known), ", ".join(sensor.band_names)
        do = "take another kind, or say bands = [...] in [data].sensors"
        raise DataError(problem(where, "other bands than the kind's", got=got, need=need, do=do))
    found = tuple(known[name] for name in sensor.band_names)
    return None if found == tuple(range(1, len(names) + 1)) else found


def _stated(
    item: str, asset: Mapping[str, Any], rows: list[Mapping[str, Any]], properties: Mapping[str, Any]
) -> Stated:
    def of(key: str) -> Any:
        return asset.get(key, properties.get(key))

    numbers, shape = of("proj:transform"), of("proj:shape")
    transform = tuple(map(as_number, numbers[:6])) if isinstance(numbers, list) and len(numbers) in (6, 9) else None
    if numbers is not None and (transform is None or not all(map(math.isfinite, transform))):
        raise DataError(problem(item, "proj:transform is none", got=str(numbers)[:80], need="6 or 9 numbers"))
    shape_hw = (as_size(shape[0]), as_size(shape[1])) if isinstance(shape, list) and len(shape) == 2 else None
    if shape is not None and (shape_hw is None or not all(shape_hw)):
        raise DataError(problem(item, "proj:shape is none", got=str(shape)[:80], need="height and width"))
    code, epsg = of("proj:code"), of("proj:epsg")
    nodata = {_nodata(row) for row in rows} or {_nodata(asset)}
    scales = tuple((_or(row.get("raster:scale", row.get("scale")), 1.0),
                    _or(row.get("raster:offset", row.get("offset")), 0.0)) for row in rows)  # fmt: skip
    return Stated(
        item,
        transform,
        shape_hw,
        code if isinstance(code, str) and code.isprintable() else f"EPSG:{epsg}" if isinstance(epsg, int) else "",
        nodata.pop() if len(nodata) == 1 else None,
        scales,
    )


def _nodata(row: Mapping[str, Any]) -> float | None:
    value = row.get("nodata")
    if value == "nan":
        return math.nan
    number = as_number(value)
    return None if math.isnan(number) else number


def _or(value: object, default: float) -> float:
    return default if value is None else as_number(value)
