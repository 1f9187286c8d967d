"""The split of a run folder: drawn once after `prepare`, kept in `split.json`, read by every stage from there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from landscribe.core.arrays import FloatArray
from landscribe.core.grid import Window
from landscribe.core.legend import Legend
from landscribe.core.seal import unseal
from landscribe.core.split.leaks import require_no_leak
from landscribe.core.split.places import DSTL_FIVE, folds, split_places, stratify
from landscribe.core.split.seen import find_seen
from landscribe.core.split.split import Split, read_split, require_sound, write_split
from landscribe.errors import DataError, IntegrityError, RecipeError, problem, some
from landscribe.io.atomic import write_text
from landscribe.io.models.finished import FinishedModels, read_finished, sighting_of
from landscribe.io.models.formulas import FORMULA
from landscribe.io.models.model_files import DESCRIPTION
from landscribe.io.project import Project
from landscribe.io.project.label_facts import AREA, LABELLED, counts_before
from landscribe.io.project.leaks import find_leaks, keeps_apart
from landscribe.io.project.reviewed_sides import SAID, WHY, require_unreviewed, reviewed_scenes, with_reviewed_sides
from landscribe.io.run.prepared import PreparedScene, open_prepared
from landscribe.io.run.runs import Record, Run, is_first_process, make_key
from landscribe.io.source.scenes import sensor_grids

FORMAT = 2
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""

SPLIT = "split.json"
NAMED = 6
"""Scenes named in one line at most."""
ALL_APART: Mapping[str, str] = MappingProxyType({})
"""Every place by itself."""


def split_of(project: Project, run: Run) -> Split:
    """Return the split of a run; where there is none yet, or scenes or settings have changed, it is drawn and written.

    A file that a person has edited is taken as it is, whatever has changed since. Where finished models are used,
    `[validate]` says nothing: the labelled scenes that none of them was trained on validate.

    Args:
        project: The recipe with its data.
        run: The run folder; `prepare` must have run.

    Raises:
        RecipeError: If the recipe names a place, scene or class that does not exist, nothing is left to train on, or an
            edited file cannot be carried out.
    """
    prepared = run.require("prepare")
    finished = project.finished or read_finished(run)
    drawn_from = _drawn_from(project, prepared, finished)
    file = run.path(SPLIT)
    if file.is_file():
        split, was_drawn_from = read_split(file.read_text(encoding="utf-8", errors="replace"), SPLIT)
        if split.edited:
            require_unreviewed(prepared, split, SPLIT)
            return _edited(project, prepared, split, finished, is_old=was_drawn_from != drawn_from)
        if was_drawn_from == drawn_from:
            return _with_note(split, finished)
    split = _draw_apart(project, run, prepared) if finished is None else _tell_seen(project, run, prepared, finished)
    if is_first_process():
        write_text(file, write_split(split, drawn_from))
    return _with_note(split, finished)


def require_drawn(project: Project, run: Run) -> None:
    """Refuse to go on where the split is still to be drawn, which one process has to do for all.

    Raises:
        DataError: If there is none, or it is that of other scenes or settings.
    """
    prepared, finished = run.require("prepare"), project.finished or read_finished(run)
    if finished is not None:  # nothing is drawn: what the models have not seen validates, whoever says it
        return
    file, drawn_from = run.path(SPLIT), _drawn_from(project, prepared, finished)
    if file.is_file():
        split, was_drawn_from = read_split(file.read_text(encoding="utf-8", errors="replace"), SPLIT)
        if split.edited or was_drawn_from == drawn_from:
            return
    what = "the split of what was prepared is still to be drawn"
    raise DataError(problem(str(run.root), what, do="run `landscribe prepare` once without --part"))


def draw_split(project: Project, prepared: Mapping[str, Record], same_ground: Mapping[str, str] = ALL_APART) -> Split:
    """Draw the split that a recipe asks for, among the labelled scenes.

    Where the recipe names no scenes, whole places are drawn so that rare classes stand on both sides where they can
    (class areas come from the records of `prepare`). With the split `corner` every scene is on both sides.

    Args:
        project: The recipe with its data.
        prepared: Records of `prepare`.
        same_ground: Places that are taken for another one, since they show the same ground.

    Raises:
        RecipeError: If the recipe names a place, scene or class that does not exist, or nothing is left to train on.
    """
    recipe = project.recipe.validation
    labelled = set(_labelled(prepared))
    place_of = {s.id: same_ground.get(s.place, s.place) for s in project.scenes.scenes if s.id in labelled}
    everything = tuple(place_of)
    if recipe.split == "none":
        split = Split(everything)
    elif recipe.split == "corner":
        split = Split(everything, everything, corners=_corners(project, everything))
    else:
        chosen = _chosen(project, prepared, place_of)
        if recipe.whole_places:
            places = {place_of[i] for i in chosen}
            chosen = {i for i, place in place_of.items() if place in places} - set(recipe.train)
        split = Split(tuple(i for i in place_of if i not in chosen), tuple(i for i in place_of if i in chosen))
    return replace(
        split, folds=_folds(project, prepared, split, same_ground), why=_why(project, len(set(place_of.values())))
    )


def require_named_scenes(project: Project, labelled: Collection[str]) -> None:
    """Refuse a split that names, or stands for, places and scenes that are not there.

    Raises:
        RecipeError: With the first such place or scene.
    """
    recipe = project.recipe.validation
    known_places, known_scenes = {s.place for s in project.scenes.scenes}, {s.id for s in project.scenes.scenes}
    unknown = [n for n in recipe.places if n not in known_places]
    unknown += [n for n in (*recipe.scenes, *recipe.train) if n not in known_scenes]
    if unknown:
        need = "one that `check` lists"
        raise RecipeError(problem("[validate]", "unknown place or scene", got=unknown[0], need=need))
    if recipe.split == "dstl-five" and not set(DSTL_FIVE) & set(labelled):
        what, do = "'dstl-five', and none of its five images is here with labels", "on other data, validate.split=place"
        raise RecipeError(problem("[validate].split", what, need=", ".join(DSTL_FIVE), do=do))


def open_side(run: Run, scene_id: str, split: Split, side: Literal["train", "validate"]) -> PreparedScene:
    """Open a prepared scene with the labels that count on one side of the split."""
    scene, corner = open_prepared(run, scene_id), split.corners.get(scene_id)
    return replace(scene, without=corner) if side == "train" else replace(scene, within=corner)


def _draw_apart(project: Project, run: Run, prepared: Mapping[str, Record]) -> Split:
    """Draw a split; as long as the same ground stands on both sides, its places are taken for one and it is redrawn."""
    place_of = {scene.id: scene.place for scene in project.scenes.scenes}
    same: dict[str, str] = {}
    reasons: list[str] = []
    # By label files alone: a review moves no scene but those that it speaks of.
    before = {i: replace(record, counts=counts_before(record)) for i, record in prepared.items()}
    while True:
        split = draw_split(project, before, same) if _labelled(before) else Split(why="no scene has label files")
        sides, leaks = find_leaks(project, run, split) if keeps_apart(project) else ({}, ())
        if not leaks:
            split = replace(split, why="; ".join([split.why, *reasons[:NAMED], *_more(reasons)]))
            settled = with_reviewed_sides(project, run, prepared, split, same)
            return settled if settled == split else replace(settled, folds=_folds(project, before, settled, same))
        known = len(reasons)
        for leak in leaks:
            first, second = (same.get(place_of[i], place_of[i]) for i in (leak.first, leak.second))
            if first != second:
                same |= {place: first for place in {*place_of.values()} if same.get(place, place) == second}
                reasons.append(f"{leak.first!r} and {leak.second!r} kept on one side ({leak.reason})")
        if len(reasons) == known:  # [validate].train has put them there
            require_no_leak(leaks, sides, frozenset({"validate"}))


def _more(reasons: list[str]) -> list[str]:
    return [f"and {len(reasons) - NAMED} more such pairs"] if len(reasons) > NAMED else []


def refuse_taught(run: Run, split: Split, scene_ids: Iterable[str]) -> None:
    """Refuse to score scenes that the models of a run were trained on, as after a change of the split.

    Raises:
        IntegrityError: With the first such scene.
    """
    finished = read_finished(run)
    if finished is not None:
        # What was drawn has none of them; somebody may have put one there.
        for scene_id, why in (_seen(run, finished, scene_ids) if split.edited else {}).items():
            what = f"scene {scene_id!r} validates, and finished models were trained on it"
            raise IntegrityError(problem(SPLIT, what, got=why, do="take it out of 'validate'"))
        return
    for file in sorted(run.path("models").glob(f"*/{DESCRIPTION}")) + sorted(run.path("models").glob(f"*/{FORMULA}")):
        facts = unseal(file.read_bytes(), str(file), do="run `landscribe train` again")
        facts = facts if file.name == FORMULA else facts["extra"]
        corners, known = split.corners_of(tuple(scene_ids)), facts.get("corners", {})
        for scene_id in set(scene_ids) & set(facts.get("trained_on", ())):
            if corners.get(scene_id) is None or corners[scene_id] != known.get(scene_id, corners[scene_id]):
                where, what = f"model {file.parent.name!r}", f"was trained on scene {scene_id!r}, which validates now"
                raise IntegrityError(problem(where, what, do="run `landscribe train` and what follows it again"))


def class_areas(record: Record, legend: Legend) -> FloatArray:
    """Return the labelled area of each class in pixels of the reference, (K,), from a record of `prepare`."""
    return np.array([float(record.counts.get(f"{AREA}{name}", 0.0)) for name in legend.names])


def _labelled(prepared: Mapping[str, Record]) -> list[str]:
    return [i for i, record in prepared.items() if LABELLED in record.counts]


def _tell_seen(project: Project, run: Run, prepared: Mapping[str, Record], finished: FinishedModels) -> Split:
    """Tell the labelled scenes that finished models were trained on from those that are new to them."""
    known = set(_labelled(prepared))
    labelled = [scene.id for scene in project.scenes.scenes if scene.id in known]
    reviewed = reviewed_scenes(prepared)
    seen = _seen(run, finished, labelled)
    why = "finished models: labelled scenes that none of them was trained on validate"
    if seen:
        named = [f"{i} ({reason})" for i, reason in list(seen.items())[:NAMED]]
        more = f" and {len(seen) - NAMED} more" if len(seen) > NAMED else ""
        why += f"; trained on, and so not scored: {', '.join(named)}{more}"
    if reviewed:
        why += f"; {WHY}: {some(reviewed)}"
    fresh = tuple(i for i in labelled if i not in seen and i not in reviewed)
    return Split(tuple(i for i in labelled if i in seen), fresh, why=why)


def _seen(run: Run, finished: FinishedModels, scene_ids: Iterable[str]) -> dict[str, str]:
    """Return which scenes finished models were trained on, with the reason."""
    ids = list(scene_ids)
    found = {i: "by its name, all that an older model knows of its scenes" for i in ids if i in finished.seen_by_name}
    alike = find_seen([sighting_of(run, i) for i in ids], finished.seen) if finished.seen else {}
    return found | {i: f"{why} as {known!r}" for i, (known, why) in alike.items()}


def _with_note(split: Split, finished: FinishedModels | None) -> Split:
    """Say which scenes are not scored since finished models know them, or since people have reviewed them."""
    if finished is not None and split.train:
        return replace(split, notes=(*split.notes, split.why))
    reviewed = [text for text in split.why.split("; ") if text.startswith(SAID)]
    return replace(split, notes=(*split.notes, *reviewed))


def _drawn_from(project: Project, prepared: Mapping[str, Record], finished: FinishedModels | None) -> str:
    if finished is not None:
        labelled = {i: prepared[i].key for i in _labelled(prepared)}
        return make_key(FORMAT, labelled=labelled, models=finished.digests)
    corner = project.recipe.validation.split == "corner"
    return make_key(
        FORMAT,
        scenes=[(scene.id, scene.place) for scene in project.scenes.scenes],
        labelled={i: (prepared[i].counts, prepared[i].key if corner else "") for i in _labelled(prepared)},
        validate=project.recipe.validation.model_dump(mode="json", exclude={"leak_check"}),
        folds=project.recipe.tune.folds,
        seed=project.recipe.seed,
        legend=project.legend.names,
    )


def _edited(
    project: Project,
    prepared: Mapping[str, Record],
    split: Split,
    finished: FinishedModels | None,
    *,
    is_old: bool,
) -> Split:
    """Check an edited split, put its scenes in order, and deal folds where it has none."""
    labelled = _labelled(prepared)
    order = [scene.id for scene in project.scenes.scenes]
    # Only a corner has to be compared with the size of its scene, which takes opening it.
    shapes = {i: _shape_hw(project, i) if i in split.corners else (0, 0) for i in labelled}
    require_sound(split, shapes, frozenset(order) - set(labelled), SPLIT, needs_training=finished is None)
    split = replace(split, train=_in_order(split.train, order), validate=_in_order(split.validate, order))
    wanted = project.recipe.tune.folds
    dealt = split.folds and wanted
    split = replace(split, folds=split.folds if dealt else _folds(project, prepared, split))
    changed = ", though scenes or settings have changed since it was drawn" if is_old else ""
    notes = [f"{SPLIT}: edited by hand and kept{changed}; delete it to have it drawn again"]
    neither = len(set(labelled) - set(split.sides))
    if neither:
        notes.append(f"{SPLIT}: labelled scenes on neither side, neither trained on nor scored: {neither}")
    return replace(split, notes=tuple(notes))


def _in_order(scenes: Iterable[str], order: Iterable[str]) -> tuple[str, ...]:
    wanted = set(scenes)
    return tuple(i for i in order if i in wanted)


def _shape_hw(project: Project, scene_id: str) -> tuple[int, int]:
    scene = next(scene for scene in project.scenes.scenes if scene.id == scene_id)
    return sensor_grids(scene)[scene.reference.name].shape_hw


def _corners(project: Project, scene_ids: Iterable[str]) -> dict[str, Window]:
    table, corners = project.recipe.validation, {}
    side = table.corner_px
    for scene_id in scene_ids:
        height, width = _shape_hw(project, scene_id)
        shortest = min(height, width)
        if side >= shortest:
            got, need = f"corner_px = {side}", f"less than {shortest}, the shorter side of scene {scene_id!r}"
            raise RecipeError(problem("[validate].split", "nothing is left to train on", got=got, need=need))
        row = 0 if table.corner.startswith("top") else height - side
        corners[scene_id] = Window(row, 0 if table.corner.endswith("left") else width - side, side, side)
    return corners


def _folds(
    project: Project,
    prepared: Mapping[str, Record],
    split: Split,
    same_ground: Mapping[str, str] = MappingProxyType({}),
) -> tuple[tuple[str, ...], ...]:
    """Deal the training scenes by whole places.

    Where there are fewer training places than `[tune].folds`, there are as many folds as places; with one place, or
    where nothing is tuned, there are none.
    """
    if project.recipe.tune.folds and split.corners:
        raise RecipeError(
            problem("[tune].folds", "no folds of a split with corners", do="take another split, or 0 folds")
        )
    train = set(split.train)
    place_of = {s.id: same_ground.get(s.place, s.place) for s in project.scenes.scenes if s.id in train}
    count = min(project.recipe.tune.folds, len(set(place_of.values())))
    if count < 2:
        return ()
    areas = {i: class_areas(prepared[i], project.legend) for i in place_of}
    dealt = folds(place_of, count, project.recipe.seed, areas)
    return tuple(tuple(i for i in split.train if place_of[i] in places) for places in dealt)


def _chosen(project: Project, prepared: Mapping[str, Record], place_of: Mapping[str, str]) -> set[str]:
    """Return the labelled scenes that a split names, draws or counts off."""
    recipe, legend = project.recipe.validation, project.legend
    require_named_scenes(project, place_of)
    if recipe.split == "named":
        # A scene may be named that has no labels itself; its place is meant then.
        places = set(recipe.places) | {s.place for s in project.scenes.scenes if s.id in recipe.scenes}
        wanted = places if recipe.whole_places else set(recipe.places)
        return {i for i, place in place_of.items() if place in wanted or i in recipe.scenes}
    if recipe.split == "dstl-five":
        return set(DSTL_FIVE) & set(place_of)
    fixed = {place_of[i] for i in recipe.train if i in place_of} if recipe.whole_places else set(recipe.train)
    free = {i: place if recipe.whole_places else i for i, place in place_of.items()}
    free = {i: unit for i, unit in free.items() if unit not in fixed}
    if recipe.split == "stratified":
        bands = [legend.index(name) for name in recipe.classes] or list(range(len(legend)))
        labelled_px = {i: float(prepared[i].counts[LABELLED]) for i in free}
        shown = {i: class_areas(prepared[i], legend)[bands].sum() / max(labelled_px[i], 1) for i in free}
        return set(stratify(shown))
    areas = {i: class_areas(prepared[i], legend) for i in free} if recipe.split == "place" else None
    drawn = split_places(free, recipe.share, project.recipe.seed, areas)
    return {i for i, unit in free.items() if unit in drawn}


def _why(project: Project, places: int) -> str:
    """Say in one sentence how the split came about."""
    recipe = project.recipe.validation
    share = f"{recipe.share:g} of {places} labelled places, seed {project.recipe.seed}"
    how = {
        "place": f"drawn: {share}, so that every class stands on both sides where it can",
        "named": "the places and scenes that [validate] names",
        "dstl-five": "the five images of DSTL's fifth place",
        "stratified": f"every fourth scene by the area of {', '.join(recipe.classes) or 'all classes'}",
        "random": f"drawn by chance alone: {share}",
        "corner": f"a square of {recipe.corner_px} px, {recipe.corner} in every scene, validates, the rest trains",
        "none": "everything trains",
    }
    drawn = recipe.split not in ("corner", "none")
    whole = (", whole places" if recipe.whole_places else ", scene by scene") if drawn else ""
    kept = f"; training in any case: {', '.join(recipe.train)}" if drawn and recipe.train else ""
    return how[recipe.split] + whole + kept
