"""Alignment of scenes on disk: what estimators read, and the table of what they found."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from landscribe.apart import apart
from landscribe.core.arrays import AnyArray, BoolArray
from landscribe.core.grid import Grid, Window
from landscribe.core.recipe import PrepareTable
from landscribe.core.register import Move, Source, align_scene, alone, fall_back
from landscribe.errors import BAD_FILE
from landscribe.io.atomic import write_text
from landscribe.io.digests import stamp_of
from landscribe.io.project import Project, StageResult
from landscribe.io.project.batches import Batch
from landscribe.io.run.prepared import read_facts
from landscribe.io.run.runs import Made, Run, make_key
from landscribe.io.source.scenes import Scene, sensor_grids
from landscribe.io.source.sensor_files import SensorFile, open_sensor

FORMAT = 1
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""
ECC_FORMAT = 2
"""The same for estimates by ECC alone."""

ALIGN = "align"
"""Stage name of the records of estimates: a part of `prepare`, and no command of its own."""
FALL_BACK = "align-by-place"
"""The same for scenes that take the median of their place."""
MOVES, PLACE_MOVES, TABLE = "moves.json", "moves-by-place.json", "alignment.csv"
HEADER = ("scene", "sensor", "row_px", "col_px", "score", "spread", "decision")


def align_scenes(
    project: Project, run: Run, need_bytes: Callable[[str], int]
) -> Generator[Batch, StageResult, Callable[[str], Mapping[str, Move]]]:
    """Estimate how far the sensors of each scene have to move; what was estimated and is unchanged is not done again.

    Args:
        project: The recipe with its data.
        run: Where estimates are kept.
        need_bytes: Memory that a scene takes.

    Yields:
        The scenes to estimate, then those that take the median of their place.

    Returns:
        A function from a scene's id to its moves by sensor; nothing for a scene whose rasters cannot be read.
    """
    table = project.recipe.prepare
    settings = table.model_dump(include={"align", "align_model", "max_shift_px"})
    if table.align.startswith("ecc"):
        settings |= {"ecc": ECC_FORMAT, "ecc_limit_s": table.ecc_limit_s}
    scenes = {scene.id: scene for scene in project.scenes.scenes}
    # A scene of one sensor has nothing to compare.
    several = {scene_id: scene for scene_id, scene in scenes.items() if len(scene.sensors) > 1}

    digests: dict[str, Callable[[Path], str]] = {}

    def key_of(scene_id: str) -> str:
        scene = scenes[scene_id]
        digests[scene_id] = source_digests(run, scene)
        return make_key(
            FORMAT,
            sensors=sensor_keys(scene, digests[scene_id]),
            settings=settings,
        )

    def make(scene_id: str, _threads: int) -> Made:
        scene = scenes[scene_id]
        try:
            moves = apart(f"scene {scene_id!r}", _align, scene, table, limits=project.limits, paths=scene.paths)
        except BAD_FILE:
            moves = {}  # what cannot be read here cannot be read by `prepare` either, which says so
        sources = sources_of([path for file in scene.sensors.values() for path in file.paths], digests[scene_id])
        return Made((_write_moves(run.scene_folder(scene_id) / MOVES, moves),), sources=sources)

    if several:
        yield Batch(ALIGN, tuple(several), key_of, make, need_bytes, inner=True, whole=True)
    moves = {i: _read_kept(run, ALIGN, i, MOVES) for i in several}
    by_place = yield from _by_place(project, several, run, moves, need_bytes)

    def moves_of(scene_id: str) -> Mapping[str, Move]:
        if scene_id not in several:
            return alone(scenes[scene_id].reference.name)
        return by_place.get(scene_id, moves[scene_id])

    return moves_of


def _align(scene: Scene, table: PrepareTable) -> dict[str, Move]:
    return align_scene(scene_sources(scene), table)


def _fall_back(scene: Scene, own: Mapping[str, Move], neighbours: Mapping[str, list[Move]]) -> dict[str, Move]:
    return fall_back(scene_sources(scene), own, neighbours)


def _by_place(
    project: Project,
    scenes: Mapping[str, Scene],
    run: Run,
    moves: Mapping[str, Mapping[str, Move]],
    need_bytes: Callable[[str], int],
) -> Generator[Batch, StageResult, Mapping[str, Mapping[str, Move]]]:
    """Return the moves of the scenes that lack one and have neighbours in their place that do not."""
    places: dict[str, list[str]] = defaultdict(list)
    for scene_id in moves:
        places[scenes[scene_id].place].append(scene_id)
    neighbours: dict[str, dict[str, list[Move]]] = {}
    for scene_id, own in moves.items():
        lost = [name for name, move in own.items() if move.is_lost]
        near = [moves[i] for i in places[scenes[scene_id].place] if i != scene_id] if lost else []
        found = {name: [o[name] for o in near if name in o and o[name].is_applied] for name in lost}
        if any(found.values()):
            neighbours[scene_id] = found

    def key_of(scene_id: str) -> str:
        return make_key(FORMAT, own=str(moves[scene_id]), neighbours=str(neighbours[scene_id]))

    def make(scene_id: str, _threads: int) -> Made:
        scene, given = scenes[scene_id], (moves[scene_id], neighbours[scene_id])
        settled = apart(f"scene {scene_id!r}", _fall_back, scene, *given, limits=project.limits, paths=scene.paths)
        return Made((_write_moves(run.scene_folder(scene_id) / PLACE_MOVES, settled),))

    if not neighbours:
        return {}
    yield Batch(FALL_BACK, tuple(neighbours), key_of, make, need_bytes, inner=True, whole=True)
    return {i: _read_kept(run, FALL_BACK, i, PLACE_MOVES) for i in neighbours}


def _read_kept(run: Run, stage: str, scene_id: str, name: str) -> dict[str, Move]:
    """Read the moves that an item of a stage kept; none where it failed."""
    if run.read_record(stage, scene_id) is None:
        return {}
    return read_moves(run.checked(run.scene_folder(scene_id) / name))


def source_digests(run: Run, scene: Scene) -> Callable[[Path], str]:
    """Return the SHA-256 of a scene's files; those whose stamp a record knows are not read for it.

    Hashing thousands of scenes anew to find that none has changed would take hours.
    """
    records = [run.read_record(stage, scene.id) for stage in (ALIGN, "prepare")]
    known = {name: source for record in records if record is not None for name, source in record.sources.items()}
    return lambda path: run.source_digest(path, known)


def sources_of(paths: Iterable[Path], digest: Callable[[Path], str]) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return what a record says of files that were read."""
    return {str(path): (stamp_of(path), digest(path)) for path in paths}


def sensor_keys(scene: Scene, digest: Callable[[Path], str]) -> dict[str, object]:
    """Return what decides the pixels of each sensor of a scene: its files, and how the recipe reads them.

    Args:
        scene: The scene.
        digest: As `source_digests` returns it.

    Raises:
        DataError: If a file is missing.
    """
    digests = {name: [digest(path) for path in file.paths] for name, file in scene.sensors.items()}
    return {n: (digests[n], str(file.frame), file.reading) for n, file in scene.sensors.items()}


def scene_sources(scene: Scene) -> list[Source]:
    """Return the sensors of a scene as estimators read them, the reference first.

    Raises:
        DataError: If a raster cannot be opened or has other bands than its kind.
    """
    grids = sensor_grids(scene)
    return [_source(file, grids[name]) for name, file in scene.sensors.items()]


def _source(file: SensorFile, grid: Grid) -> Source:
    def read(window: Window) -> tuple[AnyArray, BoolArray]:
        with open_sensor(file) as raster:
            return raster.read(window)

    bands = file.sensor.bands
    return Source(file.name, grid, file.sensor.band_names, tuple(band.wavelength_nm for band in bands), read)


def _write_moves(path: Path, moves: Mapping[str, Move]) -> Path:
    write_text(path, json.dumps({name: asdict(move) for name, move in moves.items()}, indent=1))
    return path


def read_moves(path: Path) -> dict[str, Move]:
    """Read the moves of a scene, by sensor."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {name: _move(row) for name, row in rows.items()}


def read_applied(run: Run, scene_id: str) -> dict[str, Move]:
    """Read the moves that a scene was prepared with, by sensor."""
    return {name: _move(row) for name, row in read_facts(run, scene_id)["shifts"].items()}


def _move(row: dict[str, object]) -> Move:
    linear = row.pop("linear")
    return Move(**row, linear=None if linear is None else tuple(linear))  # type: ignore[arg-type]


def write_table(path: Path, moves: Mapping[str, Mapping[str, Move]]) -> None:
    """Write `alignment.csv`: shifts and spread in pixels of the reference, positive = down and to the right."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(HEADER)
    for scene_id, by_sensor in moves.items():
        for sensor, move in by_sensor.items():
            numbers = (move.row_px, move.col_px, move.score, move.spread)
            table.writerow((scene_id, sensor, *("" if v is None else round(v, 4) for v in numbers), move.decision))
    write_text(path, text.getvalue())
