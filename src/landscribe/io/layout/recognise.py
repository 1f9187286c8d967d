"""A folder -> what a recipe is written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from landscribe.errors import DataError, RecipeError, problem
from landscribe.io.layout.found import FoundLabels, FoundSensor, Inventory, Layout
from landscribe.io.layout.groups import Group
from landscribe.io.layout.inventory import RASTERS, take_inventory
from landscribe.io.layout.labels import find_labels
from landscribe.io.layout.sensors import choose_reference, find_sensors
from landscribe.io.source.dstl import list_dstl
from landscribe.io.source.dstl_files import is_dstl
from landscribe.io.source.patterns import match_files

WISHES = ("images", "labels", "class", "class_field")
"""What a user may say where nothing in the folder does."""


def recognise(folder: Path, wishes: Mapping[str, str]) -> Layout:
    """Recognise imagery and labels in a folder.

    Args:
        folder: The folder.
        wishes: Of `WISHES`: parts of paths of imagery and of labels, the class, its column.

    Raises:
        DataError: If the folder has no image.
        RecipeError: If something can be read in several ways and nothing says which.
    """
    unknown = sorted(set(wishes) - set(WISHES))
    if unknown:
        raise RecipeError(problem("--set", "unknown key", got=unknown[0], need=" | ".join(WISHES)))
    if is_dstl(folder):
        return _dstl(folder)
    inventory = take_inventory(folder, images=wishes.get("images"), labels=wishes.get("labels"))
    if not inventory.images:
        raise DataError(_no_image(folder, inventory))
    reference = choose_reference(inventory.images)
    sensors, left_out = find_sensors(folder, inventory.images, reference, inventory.assets)
    group = reference.group
    labels, said = find_labels(inventory, group, wishes)
    sensors = _leave_others_out(inventory, sensors, [found.path for found in labels])
    said = [*(_say_sensor(sensor) for sensor in sensors), *said, *left_out, *inventory.left_out]
    if not labels:
        said.append("no labels found: the recipe predicts only, with --models; --set labels=PART names label files")
    scenes = len(group.files)
    return Layout(
        folder, tuple(sensors), group.scene, group.place, scenes, tuple(labels), _sides(group), said=tuple(said)
    )


def _no_image(folder: Path, inventory: Inventory) -> str:
    """Say why there is no image: what the rasters of the folder are, or that there is none of a kind that is read."""
    if inventory.left_out:
        why = [line.removeprefix("not used: ").replace(f"{folder}/", "") for line in inventory.left_out[:3]]
        return problem(str(folder), f"no image found: {' | '.join(why)}")
    return problem(str(folder), "no image found", need=", ".join(RASTERS))


def _leave_others_out(
    inventory: Inventory, sensors: Sequence[FoundSensor], label_paths: Sequence[str]
) -> list[FoundSensor]:
    """Name in `without` what a sensor's path fits beside its own files, and no other path of the recipe claims."""
    used = [path for path in (*label_paths, *(sensor.path for sensor in sensors)) if "{" in path]
    groups = [*(found.group for found in (*inventory.images, *inventory.masks)), *inventory.others]
    settled = []
    for sensor in sensors:
        claimed = {path for other in used if other != sensor.path for path in _fitting(inventory.folder, other)}
        strays = _fitting(inventory.folder, sensor.path) - set(sensor.own) - claimed
        without: list[str] = []
        for group in groups:
            mine = [path.as_posix() for path in group.files if path in strays]
            if mine:
                is_apart = not _fitting(inventory.folder, group.pattern) & set(sensor.own)
                without += [group.pattern] if is_apart else mine
        settled.append(replace(sensor, settings={**sensor.settings, "without": without}) if without else sensor)
    return settled


def _fitting(folder: Path, pattern: str) -> set[Path]:
    return {path.relative_to(folder) for path, _ in match_files(folder, pattern)}


def _dstl(folder: Path) -> Layout:
    """Describe a folder in the DSTL layout, with whichever sensors are there."""
    found = list_dstl(folder)
    labelled = sum(bool(scene.label_files) for scene in found.scenes)
    names = list(dict.fromkeys(name for scene in found.scenes for name in scene.sensors))
    said = [
        f"a DSTL folder: {len(found.scenes)} images, sensors {', '.join(names)}, {labelled} labelled",
        *found.problems,
    ]
    if "RGB" not in names:
        said.append(f"  without RGB: {names[0]} is the reference, and its pixels are those of the result")
    optional = tuple(name for name in names if any(name in scene.missing for scene in found.scenes))
    if optional:
        said.append(f"some images lack {', '.join(optional)}: they are used all the same, as optional says")
    if not labelled:
        said.append("no labels found: the recipe predicts only, with --models")
    labels = tuple(FoundLabels(table.path, {}, {}, labelled) for table in found.label_tables if labelled)
    return Layout(
        folder, (), "{scene}", "{scene}", len(found.scenes), labels, source="dstl", optional=optional, said=tuple(said)
    )


def _say_sensor(sensor: FoundSensor) -> str:
    text = f"sensor {sensor.name}: {sensor.files} rasters like {sensor.path}, {sensor.kind}"
    alpha = sensor.settings.get("alpha")
    if alpha is not None:
        other = "near infrared is kind = 'naip', alpha = false" if alpha else "alpha = true takes it for transparency"
        is_nir = sensor.kind == "naip" or "nir" in sensor.bands
        shows = "transparency" if alpha else "a picture, taken for near infrared" if is_nir else "a picture"
        text += f"; the last band is {shows}, {other}"
    if "nodata" in sensor.settings:
        value = sensor.settings["nodata"]
        text += f"; {value} fills parts of it and is taken for nodata, if it is data take nodata out"
    picked = sensor.settings.get("bands")
    if isinstance(picked, list) and picked != sorted(picked):
        text += f"; bands reordered to {picked} by what the files say ({sensor.ordered_by})"
    elif sensor.ordered_by:
        text += f"; bands in the order of their {sensor.ordered_by}"
    if len(sensor.bands) > 1:
        text += f"; bands {', '.join(sensor.bands[:12])}{', ...' if len(sensor.bands) > 12 else ''}"
    return text


def _sides(group: Group) -> dict[str, str]:
    if not group.sides:
        return {}
    names = {}
    for fields in group.fields:
        scene = group.scene
        for name, value in fields.items():
            scene = scene.replace("{" + name + "}", value)
        names[scene] = group.sides[fields["side"]]
    return names
