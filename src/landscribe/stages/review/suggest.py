"""`suggest`: which windows of unlabelled ground to label next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely
from pyproj import CRS, Transformer

from landscribe.core.arrays import FloatArray
from landscribe.core.grid import Window
from landscribe.core.split.leaks import lonlat_outline
from landscribe.core.split.split import Split
from landscribe.core.suggest.choose import Spot, choose, on_earth
from landscribe.core.suggest.looks import in_units, spread_of, unlikeness, usual
from landscribe.core.suggest.reasons import Evidence, rounded, say_why
from landscribe.core.suggest.windows import (
    DEFAULT_SIZE,
    HELD_OUT,
    LABELLED,
    NOT_PREDICTED,
    TOO_SMALL,
    Size,
    said,
    windows_on,
)
from landscribe.errors import DataError, RecipeError, problem
from landscribe.io.digests import file_digest
from landscribe.io.models.model_files import DESCRIPTION, model_folders, read_model, snapshot_folders
from landscribe.io.project import Progress, Project, StageResult, make_items, silent
from landscribe.io.project.label_facts import LABELLED as LABELLED_PIXELS
from landscribe.io.project.label_facts import UNLABELLED as UNLABELLED_PIXELS
from landscribe.io.project.splits import open_side, split_of
from landscribe.io.project.training import models_folder
from landscribe.io.review.suggested import (
    SUGGESTED,
    Suggested,
    SuggestedWindow,
    parse_suggested,
    todo_files,
    write_suggested,
    write_todo,
)
from landscribe.io.run.prepared import PreparedScene, open_prepared
from landscribe.io.run.runs import Made, Record, Run, make_key
from landscribe.io.run.tuned import effective_recipe
from landscribe.stages.review._evidence import Facts, disagreements, look_at_training, look_at_windows

if TYPE_CHECKING:  # torch takes seconds to import
    from landscribe.nn.network.bundle import SegmentationNet

FORMAT = 1
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""

LEAST_TAUGHT = 0.1
"""Share of a window that has to be labelled for it to stand for training ground."""
MOST_TAUGHT = 4000
"""Training windows that others are compared with; of more, every so many."""


@dataclass(frozen=True)
class Wish:
    """What is asked for."""

    count: int = 20
    """Windows to suggest."""
    size: Size = DEFAULT_SIZE
    ask_networks: bool = True
    """Run the networks once more, to see where they disagree."""


def suggest(
    project: Project, run: Run, wish: Wish, to: Path | None = None, progress: Progress = silent
) -> tuple[StageResult, Suggested, dict[Path, int]]:
    """Find windows to label next: in doubt, in dispute, or unlike the training ground.

    Args:
        project: The recipe with its data.
        run: The run folder; `predict` must have run. `suggested.json` is written there.
        wish: How many windows, of which size.
        to: GeoPackage to write; None writes none. Pictures without a place get one each.
        progress: Told of each scene.

    Returns:
        What the stage did; what it found; file -> number of windows.

    Raises:
        RecipeError: If no window is asked for, none fits on any scene, or a file of that name is there.
        DataError: If nothing was predicted, or every window is left out, with the reasons.
    """
    if wish.count < 1:
        raise RecipeError(problem("suggest", "no window asked for", got=wish.count, need="1 or more"))
    predicted = run.require("predict")
    prepared = run.require("prepare", predicted)
    if to is not None:
        todo_files(to, {i: open_prepared(run, i).grid for i in predicted})
    split = split_of(project, run)
    models = _model_paths(project, run) if wish.ask_networks else {}
    recipe = effective_recipe(project.recipe, run, needed=False)

    def key_of(_item: str) -> str:
        return make_key(
            FORMAT,
            wish=asdict(wish),
            predicted={i: record.outputs for i, record in predicted.items()},
            prepared={i: record.outputs for i, record in prepared.items()},
            split=split.digest,
            places=[(scene.id, scene.place) for scene in project.scenes.scenes],
            models=[file_digest(path / DESCRIPTION) for paths in models.values() for path in paths],
            thresholds=(recipe.vectorize.threshold.model_dump(mode="json"), recipe.vectorize.exclusive),
        )

    target = run.path(SUGGESTED)

    def make(_item: str) -> Made:
        nets = _load(models, trusted=project.finished is not None and project.finished.trusted)
        found = _find(project, run, wish, split, predicted, nets, progress)
        write_suggested(target, found)
        return Made((target,), {"windows": len(found.windows), "looked at": found.looked_at}, found.notes)

    result = make_items(run, "suggest", ["all"], key_of, make)
    found = parse_suggested(run.checked(target).read_bytes(), str(target))
    grids = {row.scene: open_prepared(run, row.scene).grid for row in found.windows}
    return result, found, {} if to is None else write_todo(to, found.windows, grids)


def _find(
    project: Project,
    run: Run,
    wish: Wish,
    split: Split,
    predicted: Mapping[str, Record],
    nets: Sequence[SegmentationNet],
    progress: Progress,
) -> Suggested:
    recipe = effective_recipe(project.recipe, run, needed=False)
    names = project.legend.names
    thresholds = [recipe.vectorize.threshold.of(name) for name in names]
    held_out = _HeldOut.of(project, run, split)
    left_out: Counter[str] = Counter()
    facts: list[Facts] = []
    spots: list[Spot] = []
    disagree: list[FloatArray] = []
    prepared = run.records("prepare")
    scenes = [scene.id for scene in project.scenes.scenes if scene.id in prepared]
    for number, scene_id in enumerate(scenes):
        progress(f"suggest {scene_id}", number, len(scenes))
        scene = open_prepared(run, scene_id)
        windows = windows_on(scene.grid.shape_hw, wish.size.pixels(scene.grid, scene_id))
        left_out[TOO_SMALL] += not windows
        kept = held_out.without(scene, windows)
        left_out[HELD_OUT] += len(windows) - len(kept)
        if scene_id not in predicted:
            left_out[LABELLED if _is_labelled_wholly(prepared[scene_id]) else NOT_PREDICTED] += len(kept)
            continue
        own, reasons = look_at_windows(run, scene, kept, thresholds, exclusive=recipe.vectorize.exclusive)
        left_out.update(reasons)
        if own and nets:
            disagree.append(disagreements(run, scene, [f.window for f in own], nets, names, recipe.predict))
        facts += own
        spots += _spots(scene, [f.window for f in own])
    progress("suggest", len(scenes), len(scenes))
    if not facts:
        _refuse(wish, left_out)
    taught, unit_b, middle_f = _training_looks(run, wish, split, facts)
    looks_nf = in_units(np.array([f.traits_f for f in facts]), middle_f, unit_b)
    evidence = Evidence(
        names,
        np.array([f.doubt_k for f in facts]),
        np.concatenate(disagree) if disagree else None,
        unlikeness(looks_nf, taught) if len(taught) else None,
    )
    worth_n, parts = evidence.worth_n, evidence.parts
    order = choose(worth_n, looks_nf, spots, wish.count)
    rows = tuple(
        SuggestedWindow(
            rank, spots[n].scene, spots[n].window, round(float(worth_n[n]), 3), say_why(evidence, n), rounded(parts, n)
        )
        for rank, n in enumerate(order, start=1)
    )
    return Suggested(
        rows,
        len(facts),
        {k: n for k, n in left_out.items() if n},
        str(wish.size),
        _notes(wish, rows, len(facts), nets, taught),
    )


def _refuse(wish: Wish, left_out: Counter[str]) -> None:
    if {reason for reason, n in left_out.items() if n} == {TOO_SMALL}:
        do = "give a smaller --size"
        raise RecipeError(problem("suggest", "a window is larger than every scene", got=f"size {wish.size}", do=do))
    more = ', or predict more ([predict] scenes = "all")' if left_out[NOT_PREDICTED] else ""
    do = f"add scenes without labels{more}"
    raise DataError(problem("suggest", "no window to suggest", got=said(left_out.items()), do=do))


def _is_labelled_wholly(record: Record) -> bool:
    return LABELLED_PIXELS in record.counts and not record.counts.get(UNLABELLED_PIXELS)


def _notes(
    wish: Wish, rows: Sequence[SuggestedWindow], looked_at: int, nets: Sequence[SegmentationNet], taught: FloatArray
) -> tuple[str, ...]:
    notes = []
    if len(rows) < wish.count:
        beside = looked_at - len(rows)
        why = f"the other {beside} of {looked_at} share much ground with these" if beside else "there are no more"
        notes.append(f"{len(rows)} windows, not {wish.count}: {why}")
    if wish.ask_networks and not nets:
        notes.append("no network to ask: disagreement was not looked at")
    if not len(taught):
        notes.append("no training ground in this run: unlikeness to it was not looked at")
    return tuple(notes)


@dataclass(frozen=True)
class _HeldOut:
    """Ground that has to stay unlabelled, so that scores stay honest."""

    scenes: frozenset[str]
    places: frozenset[str]
    corners: Mapping[str, Window]
    outlines: tuple[shapely.Polygon, ...]
    """Of held-out scenes that lie somewhere, in longitude and latitude."""

    @classmethod
    def of(cls, project: Project, run: Run, split: Split) -> _HeldOut:
        scenes = frozenset(split.validate) - frozenset(split.corners)
        whole = project.recipe.validation.whole_places
        places = {scene.place for scene in project.scenes.scenes if scene.id in scenes} if whole else set()
        grids = [open_prepared(run, i).grid for i in split.validate if i in scenes]
        outlines = tuple(lonlat_outline(grid) for grid in grids if grid.crs is not None)
        return cls(scenes, frozenset(places), dict(split.corners), outlines)

    def without(self, scene: PreparedScene, windows: Sequence[Window]) -> list[Window]:
        """Return the windows that share no ground with it."""
        if scene.id in self.scenes or scene.place in self.places:
            return []
        corner = self.corners.get(scene.id)
        kept = [window for window in windows if corner is None or window.intersection(corner) is None]
        if scene.grid.crs is None:
            return kept
        near = [outline for outline in self.outlines if outline.intersects(lonlat_outline(scene.grid))]
        return [w for w in kept if not any(o.intersects(lonlat_outline(scene.grid.crop(w))) for o in near)]


def _spots(scene: PreparedScene, windows: Sequence[Window]) -> list[Spot]:
    grid, found = scene.grid, []
    to_lonlat = None if grid.crs is None else Transformer.from_crs(grid.crs, CRS.from_epsg(4326), always_xy=True)
    for window in windows:
        col, row = window.col + window.width / 2, window.row + window.height / 2
        if to_lonlat is None:
            frame, centre, side = scene.id, (col, row, 0.0), float(window.width)
        else:
            centre = on_earth(*to_lonlat.transform(*(grid.transform @ (col, row))))
            frame, side = "", window.width * grid.pixel_length
        found.append(Spot(scene.id, scene.place, window, frame, centre, side))
    return found


def _training_looks(
    run: Run, wish: Wish, split: Split, facts: Sequence[Facts]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return what training windows look like (M, F), by how much each band varies there, and what is usual there.

    Where the run has no training ground, the windows themselves say what is usual and how much it varies.
    """
    prepared = run.records("prepare")
    all_windows: list[tuple[str, Window]] = []
    for scene_id in (i for i in split.train if i in prepared):
        grid = open_prepared(run, scene_id).grid
        windows = windows_on(grid.shape_hw, wish.size.pixels(grid, scene_id)) or [grid.window]
        all_windows += [(scene_id, window) for window in windows]
    step = -(-len(all_windows) // MOST_TAUGHT) or 1
    wanted: dict[str, list[Window]] = {}
    for scene_id, window in all_windows[::step]:
        wanted.setdefault(scene_id, []).append(window)
    seen = [
        row
        for scene_id, windows in wanted.items()
        for row in look_at_training(open_side(run, scene_id, split, "train"), windows, LEAST_TAUGHT)
    ]
    seen = [row for row in seen if len(row[0]) == len(facts[0].traits_f)]
    from_nf = np.array([traits for traits, _ in seen] or [f.traits_f for f in facts])
    unit_b = spread_of(from_nf, [n for _, n in seen] or [f.pixels for f in facts])
    middle_f = usual(from_nf)
    taught = in_units(from_nf, middle_f, unit_b) if seen else np.zeros((0, from_nf.shape[1]))
    return taught, unit_b, middle_f


def _model_paths(project: Project, run: Run) -> dict[str, list[Path]]:
    """Return the folders of all networks of a run by name; those of snapshots where one network has no other."""
    if project.finished is None:
        names = [n for t in project.recipe.models if t.kind == "network" for n in t.members(project.recipe.seed)]
        if not names:
            return {}
        found = model_folders(models_folder(project, run), names)
    else:
        found = model_folders(project.finished.folder, None)
        found = {name: paths for name, paths in found.items() if (paths[0] / DESCRIPTION).is_file()}
    if len(found) == 1:
        return {name: snapshot_folders(path) or [path] for name, (path,) in found.items()}
    return found


def _load(models: Mapping[str, Sequence[Path]], *, trusted: bool) -> list[SegmentationNet]:
    if not models:
        return []
    from landscribe.nn.network.bundle import from_files

    return [from_files(read_model(path), str(path), trusted=trusted)[0] for paths in models.values() for path in paths]
