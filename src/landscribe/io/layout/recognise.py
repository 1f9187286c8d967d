"""A folder -> what a recipe is written from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from landscribe.errors import DataError, RecipeError, problem
from landscribe.io.layout.found import FoundLabels, FoundSensor, Layout
from landscribe.io.layout.groups import Group
from landscribe.io.layout.inventory import RASTERS, take_inventory
from landscribe.io.layout.labels import find_labels
from landscribe.io.layout.sensors import choose_reference, find_sensors
from landscribe.io.source.dstl import list_dstl
from landscribe.io.source.dstl_files import is_dstl

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
        got = "; ".join(inventory.left_out[:3]) or None
        raise DataError(problem(str(folder), "no image found", got=got, need=", ".join(RASTERS)))
    reference = choose_reference(inventory.images)
    sensors, left_out = find_sensors(folder, inventory.images, reference, inventory.assets)
    group = reference.group
    labels, said = find_labels(inventory, group, wishes)
    said = [*(_say_sensor(sensor) for sensor in sensors), *said, *left_out, *inventory.left_out]
    if not labels:
        said.append("no labels found: the recipe predicts only, with --models; --set labels=PART names label files")
    scenes = len(group.files)
    return Layout(
        folder, tuple(sensors), group.scene, group.place, scenes, tuple(labels), _sides(group), said=tuple(said)
    )


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
        text += f"; the last band is {'transparency' if alpha else 'a picture, taken for near infrared'}, {other}"
    if "nodata" in sensor.settings:
        value = sensor.settings["nodata"]
        text += f"; {value} fills parts of it and is taken for nodata, if it is data take nodata out"
    if "bands" in sensor.settings:
        text += f"; bands reordered to {sensor.settings['bands']} by what the files say"
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
