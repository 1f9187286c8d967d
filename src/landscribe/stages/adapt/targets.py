"""Which scenes networks are trained on with soft labels, and what of these scenes may be looked at: pixels alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from landscribe.core.split.split import Split
from landscribe.errors import DataError, problem
from landscribe.io.models.finished import Description
from landscribe.io.models.ranges import outside_of
from landscribe.io.project import Project
from landscribe.io.project.label_facts import LABELLED
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import Record, Run


def find_targets(
    project: Project, run: Run, split: Split, prepared: Mapping[str, Record], networks: Collection[Description]
) -> tuple[list[str], list[str]]:
    """Return the scenes that networks are adapted to, and what is to be said of others.

    Scenes that lack a sensor, or lie outside of what networks were trained on, are left out and counted; the latter
    come in with `--anyway`.

    Raises:
        DataError: If there is none.
    """
    wanted = project.recipe.adapt.scenes
    taught = set(split.train)
    free = [i for i in prepared if i not in taught and (wanted == "new" or LABELLED not in prepared[i].counts)]
    found, lacking, outside = [], 0, 0
    for scene_id in free:
        scene = open_prepared(run, scene_id)
        if any(name not in scene.sensors for one in networks for name in names_of(one)):
            lacking += 1
        elif not project.anyway and any(
            outside_of((one.knows or {}).get("ranges") or {}, scene, names_of(one)) for one in networks
        ):
            outside += 1
        else:
            found.append(scene_id)
    if not found:
        got = f"{len(prepared)} scenes, {len(free)} of them {wanted}, {lacking} without a sensor, {outside} outside"
        do = "prepare scenes without labels" + ("" if wanted == "new" else ", or [adapt].scenes = 'new'")
        raise DataError(problem("adapt", f"no {wanted} scene to adapt to", got=got, do=do))
    notes = [f"{lacking} scenes lack a sensor and are not adapted to"] if lacking else []
    notes += [f"{outside} scenes lie outside of what networks were trained on: not adapted to"] if outside else []
    return found, notes


def names_of(network: Description) -> list[str]:
    """Return the sensors that a network reads."""
    return [sensor.name for sensor in network.sensors]


def pixels_of(record: Record) -> dict[str, str]:
    """Return the outputs of a prepared scene that are pixels, with their digests: labels have no part in them."""
    return {name: digest for name, digest in record.outputs.items() if "/sensors/" in name}
