"""`absorb`: what people said of found polygons becomes labels of a recipe, with its history; and is taken back."""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from landscribe.apart import apart, start
from landscribe.core.grid import Grid
from landscribe.errors import BAD_FILE, DataError, RecipeError, problem, some
from landscribe.io.atomic import sweep_partials, write_bytes
from landscribe.io.digests import file_digest
from landscribe.io.project import Project, open_project
from landscribe.io.review.found import FOLDER, complete, of_scene, reviews_of
from landscribe.io.review.history import HISTORY, REVIEWS, Absorbed, History, read_history, write_history
from landscribe.io.review.line import with_reviews_line
from landscribe.io.review.placing import named_scenes, needs_places, placed, refuse_strangers, says_something, speaking
from landscribe.io.review.reading import read_review
from landscribe.io.review.review import Review
from landscribe.io.review.writing import write_review
from landscribe.io.run.owner import alone_in
from landscribe.io.run.runs import Run
from landscribe.io.settings import load_recipe
from landscribe.io.source.scenes import Scene, sensor_grids
from landscribe.stages.review._facing import Facing, content_of, counts_of, face_labels, face_others, quarrels
from landscribe.stages.review._unscored import say_unscored


@dataclass(frozen=True)
class Absorbing:
    """What came of reviews that were given."""

    folder: Path
    taken: tuple[Absorbed, ...]
    known: dict[str, str]
    """Files that say what was absorbed already -> as which one."""
    lines: tuple[str, ...]
    """What the user should know."""


@dataclass(frozen=True)
class _Given:
    path: Path
    review: Review
    """Placed, and without what says nothing."""
    grids: dict[str, Grid]
    run: Run | None
    content: str


def absorb(
    recipe: Path, given: Sequence[Path], *, who: str = "", prefer_last: bool = False, over_labels: bool = False
) -> Absorbing:
    """Take reviews into the labels of a recipe; all of them or none.

    Each is copied, as it was understood, into the folder of reviews beside the recipe, and the recipe's `[data]` names
    that folder. Label files are not touched.

    Args:
        recipe: A recipe file.
        given: Reviews, or run folders for what their maps have kept.
        who: Who absorbs; empty takes the people that the review names, else the name of the user.
        prefer_last: Where two of the reviews do not agree, the later one holds; else they are refused.
        over_labels: Let them hold over label files too.

    Raises:
        RecipeError: If the recipe is no file of its own, or there is no place for the line.
        DataError: If a review cannot be read, says nothing, speaks of other scenes or classes, lies elsewhere, or two
            do not agree.
        IntegrityError: If the history of reviews was changed.
        LimitError: If another process absorbs at the same time.
        OSError: If the disk is full.
    """
    start()
    project, raw = _open(recipe)
    history = _history(project)
    known = {own.content: own.file for own in history.holding}
    found = [_read(project, path, run) for path, run in _files(given)]
    again = {str(own.path): known[own.content] for own in found if own.content in known}
    fresh = list({own.content: own for own in found if own.content not in known}.values())
    others = face_others(
        [(str(own.path), own.review, own.grids) for own in fresh],
        project.legend.names,
        project.recipe.vectorize.exclusive,
    )
    if others and not prefer_last:
        do = "settle it in one of them, or let the last one hold: --prefer last"
        raise DataError(
            problem(
                "absorb", f"reviews do not agree: {'; '.join(others[:3])}", got=f"{len(others)} such polygons", do=do
            )
        )
    faced = [_face(project, own, over_labels) for own in fresh]
    changed = with_reviews_line(raw.decode("utf-8"), _named(project), recipe.name)
    lines = [f"the later review holds: {line}" for line in others]
    taken: list[Absorbed] = []
    history.folder.mkdir(exist_ok=True)
    with alone_in(Run(history.folder)):
        sweep_partials(history.folder)
        history = _history(project)
        here = {own.content for own in history.holding}  # another process may have come before
        for own, facing in [pair for pair in zip(fresh, faced, strict=True) if pair[0].content not in here]:
            taken.append(_keep(project, history, own, facing, who=who, over_labels=over_labels, more=taken))
        if taken or not (history.folder / HISTORY).is_file():
            write_history(replace(history, reviews=(*history.reviews, *taken)))
        if changed.encode("utf-8") != raw:
            write_bytes(recipe, changed.encode("utf-8"))
            lines.append(f'{recipe}: reviews = "{_named(project)}" written into [data]')
    lines += say_unscored(project, [(own.review, own.run) for own in fresh])
    return Absorbing(history.folder, tuple(taken), again, tuple(lines))


def undo(recipe: Path) -> tuple[Absorbed, ...]:
    """Take back what the last call absorbed and still holds; copies and history stay.

    Returns:
        The reviews, oldest first: one call may have absorbed several, as those of a map, a file for each scene.

    Raises:
        RecipeError: If there is none.
        IntegrityError: If the history of reviews was changed.
    """
    project, _ = _open(recipe)
    history = _history(project)
    if not history.holding:
        raise RecipeError(problem(str(recipe), "no review to take back", got=f"{len(history.reviews)} in its history"))
    with alone_in(Run(history.folder)):
        history = read_history(history.folder)
        last, now = history.holding[-1], _now()
        of_call = [r for r in history.holding if r.file == last.file or (r.call and r.call == last.call)]
        gone = {r.file: replace(r, undone=now) for r in of_call}
        write_history(replace(history, reviews=tuple(gone.get(r.file, r) for r in history.reviews)))
    return tuple(gone.values())


def absorbed(recipe: Path) -> History:
    """Return the history of the reviews of a recipe.

    Raises:
        IntegrityError: If it was changed.
    """
    return _history(_open(recipe)[0])


def _open(recipe: Path) -> tuple[Project, bytes]:
    if not recipe.is_file():
        what = "a run folder: reviews belong to a recipe" if recipe.is_dir() else "no such recipe file"
        raise RecipeError(problem(str(recipe), what, need="the TOML file of a recipe, which gets a line"))
    if recipe.suffix.lower() in (".gpkg", ".geojson", ".json", ".shp", ".parquet", ".fgb"):
        do = "name the recipe last: landscribe absorb REVIEW... RECIPE"
        raise RecipeError(problem(str(recipe), "a review, or labels, where the recipe should be", do=do))
    return open_project(load_recipe(recipe)), recipe.read_bytes()


def _named(project: Project) -> str:
    return project.recipe.data.reviews or REVIEWS


def _history(project: Project) -> History:
    """Return the history of a recipe, an empty one where it begins."""
    folder = (project.home or project.root) / _named(project)
    if (folder / HISTORY).is_file():
        return read_history(folder)
    if project.recipe.data.reviews is not None:
        return read_history(folder)  # which says what is missing
    foreign = [path.name for path in folder.glob("[!.]*") if not _is_numbered(path)] if folder.is_dir() else []
    if foreign:
        do = 'name another folder in the recipe, as [data] reviews = "my-reviews"'
        raise RecipeError(problem(str(folder), "holds other things than reviews", got=some(sorted(foreign)), do=do))
    return History(folder)


def _is_numbered(path: Path) -> bool:
    return path.suffix == ".gpkg" and path.stem[:4].isdigit()


def _files(given: Sequence[Path]) -> list[tuple[Path, Run | None]]:
    """Return the reviews that are meant, each with the run whose map has kept it."""
    found: list[tuple[Path, Run | None]] = []
    for path in given:
        if path.is_dir():
            kept = reviews_of(Run(path))
            if not kept:
                do = "review something in `landscribe view`, or name a review"
                raise DataError(problem(str(path), "its map has kept no review", do=do))
            found += [(file, Run(path)) for file in kept.values()]
        else:
            run = path.absolute().parent.parent
            of_map = path.absolute().parent.name == FOLDER and bool(Run(run).records("vectorize"))
            found.append((path, Run(run) if of_map else None))
    return list({path.resolve(): (path, run) for path, run in found}.values())


def _read(project: Project, path: Path, run: Run | None) -> _Given:
    where = str(path)
    review = apart(where, read_review, path, project.legend, limits=project.limits, paths=(path,))
    if run is not None:
        scene = next((scene for scene, file in reviews_of(run).items() if file.name == path.name), path.stem)
        review = complete(of_scene(review, scene), run, scene, where)
    refuse_strangers(review, [scene.id for scene in project.scenes.scenes], where)
    if not len(review.features) and not len(review.looked):
        what = "says nothing: no polygon in it, and no area that was looked at"
        raise DataError(problem(where, what, got="; ".join(review.notes) or None))
    grids, unread = _grids_for(project, review)
    whole = placed(review, grids, where)
    own = speaking(whole, grids)
    if not own.scenes:
        what = "says nothing: no verdict, nothing drawn or changed, and no area that was looked at"
        got = "; ".join([f"{len(review.features)} polygons as they were found", *review.notes])
        if says_something(review):
            what, got = "all that it says lies outside of every scene of the recipe", "; ".join(whole.notes)
        raise DataError(problem(where, what, got=got))
    own = replace(own, notes=(*own.notes, *unread))
    twice = quarrels(own, grids)
    if twice:
        got = f"{len(twice)} such polygons"
        what, do = f"says two things of one polygon: {'; '.join(twice[:3])}", "settle it in the file"
        raise DataError(problem(where, what, got=got, do=do))
    return _Given(path, own, {i: grids[i] for i in own.scenes}, run, content_of(own))


def _grids_for(project: Project, review: Review) -> tuple[dict[str, Grid], list[str]]:
    """Return the grids of the scenes that a review may be of, and which others could not be read.

    What names no scene may lie in any of the recipe's, also in one of which nothing was found.
    """
    names = named_scenes(review)
    anywhere = needs_places(review) and (review.crs is not None or not names)
    grids, unread = {}, []
    for scene in project.scenes.scenes:
        if scene.id not in names and not anywhere:
            continue
        try:
            grid = apart(f"scene {scene.id!r}", grid_of, scene, limits=project.limits, paths=scene.paths)
        except BAD_FILE as error:
            if scene.id in names:
                raise
            unread.append(f"not looked for in scene {scene.id!r}: {error}")
            continue
        if scene.id in names or not names or grid.crs is not None:
            grids[scene.id] = grid
    return grids, unread


def grid_of(scene: Scene) -> Grid:
    """Return the grid of a scene's reference."""
    return sensor_grids(scene)[scene.reference.name]


def _face(project: Project, given: _Given, over_labels: bool) -> Facing:
    """Compare a review with the labels that there are, scene by scene."""
    found = Facing((), ())
    scenes = {scene.id: scene for scene in project.scenes.scenes}
    for scene_id in given.review.scenes:
        scene = scenes[scene_id]
        about = (scene, project.legend, given.review, project.recipe.vectorize.exclusive, over_labels)
        own = apart(f"scene {scene_id!r}", face_labels, *about, limits=project.limits, paths=scene.paths)
        found = Facing(found.conflicts + own.conflicts, found.notes + own.notes)
    return found


def _keep(
    project: Project,
    history: History,
    own: _Given,
    facing: Facing,
    *,
    who: str,
    over_labels: bool,
    more: list[Absorbed],
) -> Absorbed:
    """Copy a review into the folder and return what its history says."""
    before = [
        *(r.file for r in history.reviews),
        *(r.file for r in more),
        *(p.name for p in history.folder.glob("*.gpkg")),
    ]
    number = 1 + max((int(name[:4]) for name in before if name[:4].isdigit()), default=0)
    now, review = _now(), own.review
    path = history.folder / f"{number:04d}-{now[:10]}.gpkg"
    write_review(path, review, project.legend)
    people = tuple(sorted({*review.features["who"], *review.looked["who"]} - {""}))
    return Absorbed(
        file=path.name,
        sha256=file_digest(path),
        content=own.content,
        at=now,
        who=who or ", ".join(people) or _user(),
        source=own.path.name,
        run=review.run,
        models=tuple(sorted(set(review.features["model"]) - {""})),
        people=people,
        scenes=counts_of(review),
        over_labels=over_labels,
        conflicts=facing.conflicts,
        notes=(*review.notes, *facing.notes),
        call=more[0].file if more else path.name,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _user() -> str:
    with contextlib.suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return ""
