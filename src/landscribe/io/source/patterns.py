"""The general source: path patterns with `{fields}` -> scenes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from landscribe.core.recipe import DataTable, LabelTable, SensorTable
from landscribe.core.sensors import Band, Sensor, find_sensor
from landscribe.errors import DataError, RecipeError, problem
from landscribe.io.atomic import PARTIAL_PREFIX
from landscribe.io.remote.addresses import is_address, require_address
from landscribe.io.source.scenes import LabelFile, Scene, SceneList, lacks
from landscribe.io.source.sensor_files import Frame, SensorFile
from landscribe.io.vector.yolo import find_names

FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def list_files(data: DataTable, root: Path) -> SceneList:
    """Find the scenes of path patterns.

    Args:
        data: `[data]` of the recipe.
        root: Its data folder, absolute.

    Raises:
        DataError: If no scene is found, or two files claim one sensor of one scene.
        RecipeError: If a pattern names a field that no path has.
    """
    if not data.sensors:
        raise RecipeError(
            problem("[data].sensors", "is empty", need='RGB = { path = "..._{scene}.tif", kind = "rgb8" }')
        )
    require_no_addresses(data)
    kinds = own_kinds(data)
    rows: dict[str, dict[str, SensorFile]] = {}
    fields_of: dict[str, dict[str, str]] = {}
    for name, table in data.sensors.items():
        sensor = find_sensor(table.kind, kinds)
        if table.scale:
            sensor = replace(sensor, bits=0)  # true values are no whole numbers of the sensor's bits any more
        check_picked(name, table, sensor)
        left_out = {path for pattern in table.without for path, _ in match_files(root, pattern)}
        if is_address(table.path):
            found = _on_server(data, name, table)
        else:
            found = [(path, fields, "") for path, fields in _own_files(data, root, table.path)]
        for path, fields, address in found:
            if path in left_out:
                continue
            scene_id = fill(data.scene, fields, "[data].scene")
            fields_of.setdefault(scene_id, fields)
            if name in rows.setdefault(scene_id, {}):
                raise DataError(
                    problem(f"scene {scene_id!r}, {name}", "two files", got=f"{rows[scene_id][name].path} and {path}")
                )
            frame = _frame(table, fields, path)
            rows[scene_id][name] = SensorFile(
                name,
                path,
                sensor,
                table.nodata,
                frame,
                table.nodata_bands == "any",
                table.alpha,
                table.bands,
                table.scale,
                address,
            )
    reference = next(iter(data.sensors))
    scenes, broken = [], {}
    for scene_id in sorted(rows, key=_natural):
        present = {name: rows[scene_id][name] for name in data.sensors if name in rows[scene_id]}
        missing = {
            name: _fill_known(table.path, scene_id, fields_of)
            for name, table in data.sensors.items()
            if name not in present
        }
        if reference not in present:
            broken[scene_id] = lacks(scene_id, reference, missing[reference])
            continue
        place = fill(data.place, fields_of[scene_id] | {"scene": scene_id}, "[data].place")
        labels, unlabelled = label_files(data.labels, root, fields_of[scene_id] | {"scene": scene_id})
        scenes.append(Scene(scene_id, place, present, labels, unlabelled, missing))
    if not scenes:
        table = data.sensors[reference]
        raise DataError(
            problem(str(root), "no scene found", need=f"files like {table.path!r}", do="check [data].sensors")
        )
    return SceneList(tuple(scenes), data.labels, broken=broken)


def require_no_addresses(data: DataTable) -> None:
    """Refuse addresses where files from disk are wanted, and all of them where the network is not allowed.

    Raises:
        RecipeError: With the first of them.
    """
    for name, table in data.sensors.items():
        if is_address(table.path):
            require_network(data, f"[data].sensors.{name}.path", table.path)
    for label in data.labels:
        for path in (label.path, label.area, label.names):
            if path is not None and is_address(path):
                raise RecipeError(problem("[data].labels", "labels are read from disk only", got=repr(path)))


def require_network(data: DataTable, where: str, address: str) -> str:
    """Return an address that the recipe may ask.

    Raises:
        RecipeError: If it does not allow the network, or the address is not one that may be asked.
    """
    require_address(address, where)
    if not data.network:
        do = "say network = true in [data], if files shall be copied from there"
        raise RecipeError(problem(where, "an address, and the recipe does not allow the network", got=address, do=do))
    return address


def _on_server(data: DataTable, name: str, table: SensorTable) -> list[tuple[Path, dict[str, str], str]]:
    """Return the files of a sensor on a server, one for each scene that the recipe names."""
    where = f"[data].sensors.{name}.path"
    if data.scenes is None:
        do = "name the scenes in [data].scenes, or take STAC items"
        raise RecipeError(problem(where, "folders on servers are not listed", got=table.path, do=do))
    if set(FIELD.findall(table.path)) - {"scene"}:
        raise RecipeError(problem(where, "an address with other fields", got=table.path, need="{scene} alone"))
    found = []
    for scene in data.scenes:
        address = require_network(data, where, table.path.replace("{scene}", scene))
        found.append((Path(address.rpartition("/")[2]), {"scene": scene}, address))
    return found


def check_picked(name: str, table: SensorTable, sensor: Sensor) -> None:
    """Refuse a choice of bands that are not as many as the kind has."""
    if table.bands is not None and len(table.bands) != len(sensor.bands):
        where, need = f"[data].sensors.{name}.bands", f"{len(sensor.bands)} numbers for {table.kind!r}"
        raise RecipeError(problem(where, "other number of bands than the kind's", got=list(table.bands), need=need))


def match_files(root: Path, pattern: str) -> list[tuple[Path, dict[str, str]]]:
    """Return the files below `root` that fit a pattern, with the text each `{field}` stands for.

    A field stands for one or more characters other than a slash; the same field twice must read the same.

    Raises:
        RecipeError: If the pattern leaves the data folder, or two fields stand side by side.
    """
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise RecipeError(problem("[data]", "a path leaves the data folder", got=repr(pattern), do="set [data].root"))
    if "}{" in FIELD.sub("{}", pattern):
        do = "put a sign between them, or take one field for both"
        raise RecipeError(
            problem("[data]", "two fields side by side: nothing ends the first", got=repr(pattern), do=do)
        )
    seen: set[str] = set()

    def group(match: re.Match[str]) -> str:
        name = match.group(1)
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>[^/]+?)"

    pieces = FIELD.split(pattern)
    expression = "".join(
        re.escape(piece) if i % 2 == 0 else group(re.match(FIELD, "{" + piece + "}"))  # type: ignore[arg-type]
        for i, piece in enumerate(pieces)
    )
    glob = FIELD.sub("*", "".join("[" + c + "]" if c in "*?[" else c for c in pattern))
    found = []
    for path in sorted(root.glob(glob)):
        match = re.fullmatch(expression, path.relative_to(root).as_posix())
        if match and path.is_file() and not path.name.startswith(PARTIAL_PREFIX):
            _require_text(path)
            found.append((path, match.groupdict()))
    return found


def _require_text(path: Path) -> None:
    try:
        path.name.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(problem(ascii(path.name), "file name is not UTF-8", do="rename the file")) from None


def _own_files(data: DataTable, root: Path, pattern: str) -> list[tuple[Path, dict[str, str]]]:
    """Return the files that fit a pattern and no narrower one, as `{scene}_mask.tif` is beside `{scene}.tif`."""
    found = match_files(root, pattern)
    patterns = [*(table.path for table in data.labels), *(table.path for table in data.sensors.values())]
    others = {other for other in patterns if FIELD.search(other)} - {pattern}
    claimed: set[Path] = set()
    for other in others:
        if _literal(other) <= _literal(pattern):
            continue
        common = sorted(set(FIELD.findall(other)) & set(FIELD.findall(pattern)))
        known = {tuple(fields[name] for name in common) for _, fields in found}
        claimed |= {path for path, fields in match_files(root, other) if tuple(fields[n] for n in common) in known}
    return [(path, fields) for path, fields in found if path not in claimed]


def _literal(pattern: str) -> int:
    return len(FIELD.sub("", pattern))


def label_files(
    tables: tuple[LabelTable, ...], root: Path, fields: Mapping[str, str]
) -> tuple[tuple[LabelFile, ...], tuple[str, ...]]:
    """Return the label files of a scene, none where one of them is missing, and the missing ones."""
    files, missing = [], []
    for table in tables:
        name = fill(table.path, fields, "[data].labels")
        path = root / name if (root / name).is_file() else None
        if path is None and table.missing == "unlabelled":
            missing.append(name)
        area = None if table.area is None else root / fill(table.area, fields, "[data].labels.area")
        if area is not None and table.area is not None and not FIELD.search(table.area) and not area.is_file():
            raise DataError(problem("[data].labels.area", "no such file", got=table.area))
        files.append(LabelFile(table, path, area, _names_file(table, root, path)))
    return () if missing else tuple(files), tuple(missing)


def _names_file(table: LabelTable, root: Path, path: Path | None) -> Path | None:
    if table.names is not None:
        if not (root / table.names).is_file():
            raise DataError(problem("[data].labels.names", "no such file", got=table.names))
        return root / table.names
    return find_names(path.parent, root) if path is not None and path.suffix.lower() == ".txt" else None


def _frame(table: SensorTable, fields: Mapping[str, str], path: Path) -> Frame | None:
    if table.frame == "file":
        return None
    try:
        return Frame(table.frame, tuple(int(fields[key]) for key in ("x", "y", "z")))
    except (KeyError, ValueError):
        need = "{x}, {y} and {z} in path"
        text = problem("[data].sensors", "frame 'webmercator-tile' lacks numbers", got=path.name, need=need)
        raise RecipeError(text) from None


def fill(template: str, fields: Mapping[str, str], where: str) -> str:
    """Return a template with its fields filled in.

    Raises:
        RecipeError: If it names one that there is not.
    """
    unknown = [name for name in FIELD.findall(template) if name not in fields]
    if unknown:
        need = ", ".join("{" + name + "}" for name in fields)
        raise RecipeError(problem(where, "unknown field", got="{" + unknown[0] + "}", need=f"one of {need}"))
    return FIELD.sub(lambda match: fields[match.group(1)], template)


def _fill_known(pattern: str, scene_id: str, fields_of: Mapping[str, Mapping[str, str]]) -> str:
    fields = {"scene": scene_id, **fields_of[scene_id]}
    return FIELD.sub(lambda match: fields.get(match.group(1), match.group(0)), pattern)


def own_kinds(data: DataTable) -> dict[str, Sensor]:
    """Return the sensors of `[[data.kinds]]` by kind."""
    return {row.kind: _own_kind(row.kind, row.bands, row.wavelengths_nm, row.gsd_m, row.bits) for row in data.kinds}


def _own_kind(kind: str, bands: tuple[str, ...], wavelengths_nm: tuple[float, ...], gsd_m: float, bits: int) -> Sensor:
    if wavelengths_nm and len(wavelengths_nm) != len(bands):
        raise RecipeError(
            problem(f"[[data.kinds]] {kind!r}", "wavelengths_nm", got=len(wavelengths_nm), need=f"{len(bands)} numbers")
        )
    nm = wavelengths_nm or (0.0,) * len(bands)
    return Sensor(kind, tuple(Band(name, value) for name, value in zip(bands, nm, strict=True)), gsd_m, bits)


def _natural(text: str) -> list[tuple[int, int | str]]:
    # img2 before img10
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", text) if part]
