"""Scenes on servers: their heads for `check`, their copies for `prepare`. Only recipes that allow it come here."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from landscribe.errors import problem
from landscribe.io.atomic import atomic_path, write_text
from landscribe.io.project import Project, StageResult
from landscribe.io.project.batches import Batch
from landscribe.io.remote.client import Facts, copy_file, read_range
from landscribe.io.remote.tiff_head import BLOCK_BYTES, require_tiff, write_head
from landscribe.io.run.runs import Made, Run, make_key
from landscribe.io.safety import check_output
from landscribe.io.source.copies import FOLDER, copy_of, read_source, source_of
from landscribe.io.source.scenes import Scene

FORMAT = 1
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""
FETCH = "fetch"
"""Stage name of the records of copies: a part of `prepare`, and no command of its own."""
CHANGED = "changed on the server since it was copied"


def fetch_scenes(project: Project, run: Run) -> Generator[Batch, StageResult, Project]:
    """Copy what the scenes of a project have on servers; what was copied is not asked for again.

    Yields:
        The scenes to copy; nothing for a project without any, so that no server is asked.

    Returns:
        The project, reading the copies. A scene that could not be copied is broken, with the reason.
    """
    remote = {scene.id: scene for scene in project.scenes.scenes if scene.is_remote}
    if not remote:
        return project
    folder = run.path(FOLDER)

    def key_of(scene_id: str) -> str:
        return make_key(FORMAT, files={name: f.address for name, f in remote[scene_id].sensors.items() if f.address})

    def make(scene_id: str, _threads: int) -> Made:
        return _copy_scene(remote[scene_id], folder)

    failed = (yield Batch(FETCH, tuple(remote), key_of, make, lambda _: BLOCK_BYTES, inner=True, whole=True)).failed
    with contextlib.suppress(OSError):
        folder.rmdir()  # where nothing could be copied
    return replace(project, copies=folder, not_copied={**run.failures(FETCH), **failed})


def changed_copies(run: Run) -> list[str]:
    """Return what is to be said of copies whose file was another one when it was copied before."""
    return [note for record in run.records(FETCH).values() for note in record.notes if CHANGED in note]


def _copy_scene(scene: Scene, folder: Path) -> Made:
    before = read_source(folder, scene.id)
    outputs: list[Path] = []
    said: dict[str, dict[str, str | int]] = {}
    notes: list[str] = []
    total = 0
    for name, file in scene.sensors.items():
        if not file.address:
            continue
        target = copy_of(folder, scene.id, name)
        try:
            facts = _copy(file.address, target)
        except BaseException:
            with contextlib.suppress(OSError):  # where other copies are it stays
                target.parent.rmdir()
            raise
        outputs.append(target)
        total += facts.size
        said[name] = {"address": file.address, "etag": facts.etag, "bytes": facts.size}
        notes.append(f"{file.address}: ETag {facts.etag or 'none'}, {facts.size} bytes")
        old = before.get(name)
        if old is not None and old.get("address") == file.address and (old.get("etag") or "") != facts.etag:
            notes.append(_say_changed(file.address, str(old.get("etag")), facts.etag))
    outputs.append(source_of(folder, scene.id))
    write_text(outputs[-1], json.dumps(said, indent=1))
    return Made(tuple(outputs), {"bytes": total}, tuple(notes))


def _copy(address: str, target: Path) -> Facts:
    start, facts = read_range(address, 0, BLOCK_BYTES)
    require_tiff(address, start)
    check_output(target, facts.size, packed=1)
    with atomic_path(target) as temporary, temporary.open("wb") as file:
        copy_file(address, file, facts)
    return facts


def read_heads(scene: Scene, folder: Path, copies: Path | None) -> tuple[Scene, list[str]]:
    """Fetch the heads of what a scene has on servers, or take its copies, into files that show all but pixels.

    Args:
        scene: The scene.
        folder: For the heads.
        copies: Copies of a run, to compare with; None where there is none.

    Returns:
        The scene, reading the heads, and what is to be said of copies that are older.

    Raises:
        DataError: If a server refuses, or what it has is no GeoTIFF.
    """
    said, sensors = [], {}
    known = {} if copies is None else read_source(copies, scene.id)
    for number, (name, file) in enumerate(scene.sensors.items()):
        sensors[name] = file
        if not file.address:
            continue
        start, facts = read_range(file.address, 0, BLOCK_BYTES)

        def read(first: int, stop: int, address: str = file.address, facts: Facts = facts) -> bytes:
            return read_range(address, first, stop, facts)[0]

        path = folder / str(number) / file.path.name
        path.parent.mkdir(parents=True)
        write_head(path, file.address, facts.size, start, read)
        sensors[name] = replace(file, path=path, address="")
        old = known.get(name, {})
        if old.get("address") == file.address and (old.get("etag") or "") != facts.etag:
            said.append(_say_changed(file.address, str(old.get("etag")), facts.etag))
    return replace(scene, sensors=sensors), said


def with_addresses(text: str, scene: Scene, local: Scene) -> str:
    """Call the heads in a line about a scene by the addresses of their files."""
    for name, file in scene.sensors.items():
        text = text.replace(str(local.sensors[name].path), file.address) if file.address else text
    return text


def _say_changed(address: str, old: str, new: str) -> str:
    do = f"what was copied stays in use; remove its folder in {FOLDER}/ of the run to copy it anew"
    return problem(address, CHANGED, got=f"ETag {new or 'none'}, before {old or 'none'}", do=do)
