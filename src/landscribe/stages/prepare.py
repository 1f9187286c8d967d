"""`prepare`: sensor rasters and labels -> native-resolution tiled rasters, coverage, `alignment.csv`, `split.json`."""

from __future__ import annotations

import functools
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from landscribe.apart import apart, start
from landscribe.core.arrays import BoolArray, ByteArray, GeometryArray
from landscribe.core.burn import MaskMode, burn_mask, burn_share
from landscribe.core.features import of_class
from landscribe.core.grid import STRIP_ROWS, Grid, Window
from landscribe.core.legend import Legend
from landscribe.core.quantiles import quantiles_of
from landscribe.core.recipe import PrepareTable
from landscribe.core.register import Move, move_grid
from landscribe.errors import BAD_FILE, DataError, problem
from landscribe.io.atomic import write_text
from landscribe.io.digests import stamp_of
from landscribe.io.labels.findings import NOBODY_LOOKED
from landscribe.io.labels.ground import empty_side
from landscribe.io.labels.labels import Labels, read_labels
from landscribe.io.models.ranges import percentiles
from landscribe.io.project import Progress, Project, StageResult, scenes_of, silent
from landscribe.io.project.alignment import TABLE, align_scenes, sensor_keys, source_digests, sources_of, write_table
from landscribe.io.project.batches import Batch, Work, carry_out
from landscribe.io.project.fetching import changed_copies, fetch_scenes
from landscribe.io.project.label_facts import AREA, BEFORE, LABELLED, NO_FILE, ONE_SIDED, UNLABELLED, UNTOUCHED
from landscribe.io.project.splits import split_of
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.raster.moments import moments_of
from landscribe.io.raster.rasters import open_raster
from landscribe.io.raster.suspects import TAKEN_FOR_DATA, Suspect, find_suspects, thin
from landscribe.io.review.history import require_as_absorbed
from landscribe.io.run.prepared import (
    COVERAGE,
    FACTS,
    LABELS,
    QUANTILES,
    blank_statistics,
    facts_of,
    quantiles_to_plain,
    read_facts,
    sensor_raster,
    write_blank,
)
from landscribe.io.run.runs import Made, Record, Run, make_key, note_made
from landscribe.io.run.sharpened import write_sharpened
from landscribe.io.source.scenes import Scene, require_shared_ground, sensor_grids
from landscribe.io.source.sensor_files import SensorFile, open_sensor
from landscribe.io.source.sensor_findings import DROPPED, drops_band, say_suspects
from landscribe.io.vector.vectors import write_features
from landscribe.workers import stop_if_asked, thread_pool

FORMAT = 5
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""

SUSPECTS = "suspects"
"""Of a sensor's statistics in the facts of a scene: numbers that look like "no data", where there are some."""
STATISTICS_BYTES = 24
"""Memory for a value of a strip while it is copied and summed."""


def prepare(project: Project, run: Run, progress: Progress = silent) -> StageResult:
    """Prepare every scene of a project, and draw which scenes validate.

    Args:
        project: The recipe with its data.
        run: Where to write.
        progress: Told of each scene.

    Returns:
        What was made, what was up to date, what failed.

    Raises:
        DataError: If no scene could be prepared.
        RecipeError: If `[validate]`, or a split that was edited by hand, cannot be carried out with these scenes.

    Examples:
        >>> import landscribe as ls
        >>> ls.prepare(project, run).current
        ['6010_0_0', '6010_0_1', '6020_0_0', '6020_0_1']
    """
    return carry_out(run, "prepare", prepare_work(project, run), progress)


def prepare_work(project: Project, run: Run) -> Work:
    """Yield what `prepare` does scene by scene, as `io.project.batches` has it."""
    start(*project.libraries)
    project = yield from fetch_scenes(project, run)
    scenes = {scene.id: scene for scene in project.scenes.scenes}
    broken = project.scenes.broken
    legend = project.legend

    @functools.cache
    def need_bytes(scene_id: str) -> int:
        return _memory_of(project, scenes[scene_id]) if scene_id in scenes else 0

    moves_of = yield from align_scenes(project, run, need_bytes)
    stamps: dict[str, dict[Path, tuple[int, ...]]] = {}
    digests: dict[str, Callable[[Path], str]] = {}

    def key_of(scene_id: str) -> str:
        if scene_id in broken:
            raise DataError(broken[scene_id])
        scene = scenes[scene_id]
        stamps[scene_id] = _stamps(scene)
        digest = digests[scene_id] = source_digests(run, scene)
        for review in scene.reviews:
            require_as_absorbed(review.path, review.sha256)
        return make_key(
            FORMAT,
            sensors=sensor_keys(scene, digest),
            labels=[[digest(path) for path in label.paths] for label in scene.label_files],
            label_tables=[label.table.model_dump(mode="json") for label in scene.label_files],
            place=scene.place,
            absent=sorted(scene.absent),
            legend=[(c.id, c.name) for c in legend],
            prepare=project.recipe.prepare.model_dump(),
            moves={name: str(move) for name, move in moves_of(scene_id).items()},
            # A scene that nobody reviewed is what it was before there were reviews.
            **({"reviews": [[r.sha256, r.over_labels, r.exclusive] for r in scene.reviews]} if scene.reviews else {}),
        )

    def make(scene_id: str, threads: int) -> Made:
        scene = scenes[scene_id]
        given = (project.recipe.prepare, legend, run.scene_folder(scene_id), scene, moves_of(scene_id), threads)
        made = apart(f"scene {scene_id!r}", _prepare_scene, *given, limits=project.limits, paths=scene.paths)
        for path, stamp in stamps[scene_id].items():
            if stamp_of(path) != stamp:
                raise DataError(problem(str(path), "changed while it was read", do="run again"))
        return replace(made, sources=sources_of(stamps[scene_id], digests[scene_id]))

    items = (*scenes, *(i for i in broken if i not in scenes))
    yield Batch("prepare", items, key_of, make, need_bytes)

    def end(result: StageResult) -> None:
        done = run.records("prepare")
        table = run.path("prepared", TABLE)
        write_table(table, {i: moves_of(i) for i in scenes if i in done})
        note_made(run, "alignment", "all", "", Made((table,)))
        result.notes += split_of(project, run).notes
        result.notes += changed_copies(run) if project.copies is not None else []
        result.notes += _about_suspects(run, [done[i] for i in result.made if i in done])
        if project.images:  # of a recipe's files `check` says it
            made = scenes_of(project, result.made)
            result.notes += [f"{s.id}: {DROPPED}" for s in made if any(map(drops_band, s.sensors.values()))]

    return end


def _about_suspects(run: Run, made: Sequence[Record]) -> list[str]:
    """Say which numbers of scenes that were made look like "no data"."""
    suspects: dict[str, dict[str, Sequence[Suspect]]] = defaultdict(dict)
    for record in made:
        if any(TAKEN_FOR_DATA in count for count in record.counts):
            for name, own in read_facts(run, record.item)["statistics"].items():
                suspects[name][record.item] = [Suspect(**row) for row in own.get(SUSPECTS, ())]
    return [line for name, own in suspects.items() for line in say_suspects(name, dict(sorted(own.items())))]


def _stamps(scene: Scene) -> dict[Path, tuple[int, ...]]:
    """Return what tells whether a file of a scene is still the one whose digest was taken."""
    return {path: stamp_of(path) for path in scene.paths}


def _memory_of(project: Project, scene: Scene) -> int:
    """Return about how much memory a scene takes while it is prepared; 0 for one that cannot be opened."""
    try:
        return apart(scene.id, _need_bytes, scene, len(project.legend), limits=project.limits, paths=scene.paths)
    except BAD_FILE:
        return 0


def _need_bytes(scene: Scene, classes: int) -> int:
    grids = sensor_grids(scene)
    strips = {name: min(grid.height, STRIP_ROWS) * grid.width for name, grid in grids.items()}
    most = max(strips[name] * len(file.sensor.bands) * STATISTICS_BYTES for name, file in scene.sensors.items())
    reference = grids[scene.reference.name]
    painted = any(label.table.is_picture for label in scene.label_files)
    rows = reference.height if painted else min(reference.height, STRIP_ROWS)
    return most + rows * reference.width * classes


def _prepare_scene(
    table: PrepareTable, legend: Legend, folder: Path, scene: Scene, moves: Mapping[str, Move], threads: int
) -> Made:
    grids = sensor_grids(scene)
    require_shared_ground(scene, grids)
    reference = grids[scene.reference.name]
    grids = {name: move_grid(grid, reference, moves[name]) if name in moves else grid for name, grid in grids.items()}
    outputs, counts, statistics = [], {}, {}
    for name, file in scene.sensors.items():
        outputs.append(sensor_raster(folder, name))
        statistics[name], suspects = _copy(file, grids[name], outputs[-1])
        counts[f"invalid pixels of {name}"] = statistics[name]["invalid_pixels"]
        for own in suspects:
            pixels = round(own.share * statistics[name]["valid_pixels"])
            counts[f"pixels of {name} of {own.value:.10g} {TAKEN_FOR_DATA}"] = pixels
        statistics[name] |= {SUSPECTS: [asdict(own) for own in suspects]} if suspects else {}
    if table.pansharpen != "none":
        outputs += write_sharpened(folder, grids, table.pansharpen)
    labels = read_labels(scene, legend, grids[scene.reference.name]) if scene.has_labels else None
    notes = [f"{scene.id}: {name} is missing" for name in scene.missing]
    if labels is not None and not labels.is_labelled:
        notes.append(f"{scene.id}: {NOBODY_LOOKED}; it is only predicted")
        labels = None
    if labels is not None:
        outputs += [folder / COVERAGE, folder / LABELS]
        counts |= labels.file_counts | labels.counts
        burnt = (table, legend, folder, scene, grids[scene.reference.name])
        if scene.reviews and scene.label_files:  # the split goes by what was there before
            before = read_labels(replace(scene, reviews=()), legend, grids[scene.reference.name])
            alone = _write_coverage(*burnt, before, threads) if before.is_labelled else {}
            counts |= {f"{BEFORE}{name}": n for name, n in alone.items()}
        counts |= _write_coverage(*burnt, labels, threads)
        write_features(folder / LABELS, labels.features, legend=legend)
        counts["label polygons"] = len(labels.features)
        counts[NO_FILE] = sum(label.path is None for label in scene.label_files)
        if labels.is_shared:
            side, part = empty_side(labels, grids[scene.reference.name])
            counts |= {UNTOUCHED: 1} if side == "any" else {ONE_SIDED: round(part, 4)}
    outputs += [write_blank(folder, name, sensor, reference) for name, sensor in scene.absent.items()]
    sensors = {name: file.sensor for name, file in scene.sensors.items()} | dict(scene.absent)
    facts = facts_of(scene.place, sensors, scene.absent, labelled=labels is not None)
    statistics |= {name: blank_statistics(sensor) for name, sensor in scene.absent.items()}
    facts |= {"statistics": statistics, "shifts": {name: asdict(move) for name, move in moves.items()}}
    facts["grids"] = {name: _written_grid(sensor_raster(folder, name)).to_plain() for name in sensors}
    outputs.append(folder / FACTS)
    write_text(outputs[-1], json.dumps(facts, indent=1))
    return Made(tuple(outputs), counts, tuple(notes))


def _written_grid(path: Path) -> Grid:
    with open_raster(path) as raster:
        return raster.info.grid


def _copy(file: SensorFile, grid: Grid, target: Path) -> tuple[dict[str, Any], list[Suspect]]:
    with open_sensor(file) as raster:
        info = raster.info
        count = len(file.sensor.bands)
        total, square = np.zeros(count), np.zeros(count)
        low, high = np.full(count, np.inf), np.full(count, -np.inf)
        valid_pixels, parts = 0, []
        digest = hashlib.sha256(f"{info.dtype} {count} {grid.shape_hw}".encode())
        with write_raster(
            target, grid, count=count, dtype=info.dtype, descriptions=file.sensor.band_names, mask=True
        ) as writer:
            for window in grid.window.strips():
                image_chw, valid_hw = raster.read(window)
                writer.write(window, image_chw)
                writer.write_mask(window, valid_hw)
                digest.update(image_chw.tobytes())
                parts.append(thin(image_chw, valid_hw, window, grid))
                own = moments_of(image_chw, valid_hw)
                if own is None:
                    continue
                valid_pixels += own.n
                total += own.total
                square += own.square
                low, high = np.minimum(low, own.low), np.maximum(high, own.high)
    n = max(valid_pixels, 1)
    mean = total / n
    facts = {
        # A picture of nothing but one number is like any other.
        "pixels": digest.hexdigest() if valid_pixels and (low < high).any() else "",
        "valid_pixels": valid_pixels,
        "invalid_pixels": grid.height * grid.width - valid_pixels,
        "mean": mean.tolist(),
        "std": np.sqrt(np.maximum(square / n - mean**2, 0)).tolist(),
        "min": low.tolist() if valid_pixels else None,
        "max": high.tolist() if valid_pixels else None,
    }
    small_chw = np.concatenate([image_chw for image_chw, _ in parts], axis=1)
    small_hw = np.concatenate([valid_hw for _, valid_hw in parts])
    facts |= {"type": info.dtype, "percentiles": percentiles(small_chw, small_hw)}
    facts |= {QUANTILES: quantiles_to_plain(quantiles_of(small_chw, small_hw))} if valid_pixels else {}
    return facts, find_suspects(small_chw, small_hw)


def _write_coverage(
    table: PrepareTable, legend: Legend, folder: Path, scene: Scene, grid: Grid, labels: Labels, threads: int
) -> dict[str, float]:
    pixels = {name: grid.ground_to_pixels(of_class(labels.features, name)) for name in legend.names}
    grown = {name: by for name, by in table.grow_px.items() if by and legend.by_name(name)}
    pixels |= {name: shapely.buffer(pixels[name], by) for name, by in grown.items()}
    area = dict.fromkeys(legend.names, 0.0)
    labelled_pixels = valid_pixels = 0
    with (
        open_raster(sensor_raster(folder, scene.reference.name)) as raster,
        write_raster(
            folder / COVERAGE, grid, count=len(legend), dtype="uint8", descriptions=legend.names, mask=True
        ) as writer,
        thread_pool(threads, "burn") as pool,
    ):
        for window in grid.window.strips():
            if labels.coverage_khw is None or grown:
                burn = functools.partial(_target, grid=grid, target=table.target, window=window)
                coverage_khw = np.stack([*pool.map(burn, (pixels[name] for name in legend.names))])
            else:
                coverage_khw = labels.coverage_khw[(slice(None), *window.slices)]
            valid_hw: BoolArray = raster.read(window)[1]
            labelled_hw = valid_hw & labels.labelled(grid, window)
            writer.write(window, coverage_khw)
            writer.write_mask(window, labelled_hw)
            labelled_pixels += int(labelled_hw.sum())
            valid_pixels += int(valid_hw.sum())
            for name, coverage_hw in zip(legend.names, coverage_khw, strict=True):
                area[name] += float(coverage_hw[labelled_hw].sum(dtype=np.int64)) / 255
    counts: dict[str, float] = {f"{AREA}{name}": round(value, 2) for name, value in area.items()}
    return {**counts, LABELLED: labelled_pixels, UNLABELLED: valid_pixels - labelled_pixels}


def _target(polygons: GeometryArray, grid: Grid, target: str, window: Window) -> ByteArray:
    stop_if_asked()
    if target == "share":
        return burn_share(polygons, grid.shape_hw, window=window)
    mode: MaskMode = "opencv" if target == "opencv" else "touched" if target == "touched" else "gdal"
    return burn_mask(polygons, grid.shape_hw, mode=mode, window=window) * np.uint8(255)
