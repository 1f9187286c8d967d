"""Copies of what lies on servers, in the run folder: where they are, and scenes that read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from landscribe.errors import problem
from landscribe.io.names import safe_name
from landscribe.io.source.scenes import Scene, SceneList

FOLDER, SOURCE = "remote", "source.json"
"""Folder of a run that holds them, and what each scene's folder says of where they came from."""


def copy_of(folder: Path, scene_id: str, sensor: str) -> Path:
    """Return where the copy of a sensor's raster lies."""
    return folder / safe_name(scene_id) / f"{sensor}.tif"


def source_of(folder: Path, scene_id: str) -> Path:
    """Return the file that says where a scene's copies came from."""
    return folder / safe_name(scene_id) / SOURCE


def read_source(folder: Path, scene_id: str) -> dict[str, dict[str, Any]]:
    """Return address, ETag and size of a scene's copies by sensor; nothing where there is none that can be read."""
    try:
        content = json.loads(source_of(folder, scene_id).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def use_copies(found: SceneList, folder: Path, why: Mapping[str, str]) -> SceneList:
    """Return scenes that read copies for what lies on servers.

    Args:
        found: The scenes.
        folder: Of the copies.
        why: Scene -> why it was not copied.

    Returns:
        The scenes; one of which a copy is missing is broken.
    """
    scenes, broken = [], dict(found.broken)
    for scene in found.scenes:
        lost = [n for n, f in scene.sensors.items() if f.address and not copy_of(folder, scene.id, n).is_file()]
        if lost:
            text = problem(f"scene {scene.id!r}", f"{lost[0]} was not copied", do="run `landscribe prepare`")
            broken[scene.id] = why.get(scene.id, text)
        else:
            scenes.append(_on_disk(scene, folder) if scene.is_remote else scene)
    return replace(found, scenes=tuple(scenes), broken=broken)


def _on_disk(scene: Scene, folder: Path) -> Scene:
    sensors = {
        name: replace(file, path=copy_of(folder, scene.id, name), address="") if file.address else file
        for name, file in scene.sensors.items()
    }
    return replace(scene, sensors=sensors)
