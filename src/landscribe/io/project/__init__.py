"""A recipe together with its scenes and its legend: what every stage starts from."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from landscribe.apart import Limits, of_the_system
from landscribe.core.legend import Legend
from landscribe.core.owners import require_owners
from landscribe.core.recipe import Recipe
from landscribe.errors import BAD_FILE, IntegrityError, LandscribeError, LimitError, RecipeError, problem, some
from landscribe.io.labels.legend import legend_of
from landscribe.io.models.finished import OPTION, FinishedModels, keep_finished, look_at_models, read_finished
from landscribe.io.project.reviewed import with_reviews
from landscribe.io.review.history import History, read_history
from landscribe.io.run.runs import Made, Run, make_item
from landscribe.io.settings import LoadedRecipe
from landscribe.io.source.copies import use_copies
from landscribe.io.source.images import list_images
from landscribe.io.source.scenes import Scene, SceneList
from landscribe.io.source.sources import list_scenes
from landscribe.workers import abreast

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def silent(_what: str, _done: int, _total: int) -> None:
    """Report nothing."""


LABEL_LIBRARIES = ("geopandas", "pyogrio", "numba")
"""What labels take, whatever they come as: all become polygons, and these are burned."""
MOST_REASONS = 20
"""Lines of an error that has one for each scene."""


@dataclass(frozen=True)
class Project:
    """A recipe with its data found.

    Examples:
        >>> [scene.id for scene in project.scenes.scenes][:2], project.legend.names[:2]
        (['6010_0_0', '6010_0_1'], ('building', 'structure'))
    """

    recipe: Recipe
    root: Path
    name: str
    text: str
    finished: FinishedModels | None = None
    """Finished models that are used instead of training."""
    anyway: bool = False
    """Predict scenes that lie outside of what networks were trained on too, with a caution."""
    images: tuple[Path, ...] = ()
    """Images given one by one, each a scene, in place of what the recipe's pattern finds."""
    home: Path | None = None
    """Folder of the recipe, where reviews lie; None where there is none."""
    copies: Path | None = None
    """Folder of copies that are read for what lies on servers; None where nothing was copied."""
    not_copied: Mapping[str, str] = field(default_factory=dict)
    """Scene -> why it was not."""

    @property
    def limits(self) -> Limits:
        """What reading one scene may take."""
        return Limits(self.recipe.limits.seconds, self.recipe.limits.memory_share)

    @property
    def libraries(self) -> tuple[str, ...]:
        """What reading its scenes takes of libraries that are imported late (`apart.start`)."""
        table = self.recipe.data
        return LABEL_LIBRARIES if table.labels or table.reviews or table.source == "dstl" else ()

    @cached_property
    def scenes(self) -> SceneList:
        """All scenes, in natural order."""
        if self.images:
            return list_images(self.recipe, self.images, self.limits)
        found = list_scenes(self.recipe, self.root)
        if self.copies is not None:
            found = use_copies(found, self.copies, self.not_copied)
        return with_reviews(found, self.reviews, self.recipe)

    @cached_property
    def reviews(self) -> History | None:
        """What people said of what was found, None where the recipe names none."""
        if self.recipe.data.reviews is None or self.images:
            return None
        return read_history((self.home or self.root) / self.recipe.data.reviews)

    @cached_property
    def legend(self) -> Legend:
        """Classes in band order: of the recipe, else of finished models, else of the labels."""
        if self.finished is not None and not self.recipe.classes and self.recipe.data.source != "dstl":
            return self.finished.legend
        return legend_of(self.recipe, self.scenes, self.limits)


@dataclass
class StageResult:
    """What a stage did, item by item.

    Examples:
        >>> import landscribe as ls
        >>> result = ls.vectorize(project, run)
        >>> result.made, result.failed
        ([], {})
    """

    stage: str
    made: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Item -> the one-line reason."""
    damaged: list[str] = field(default_factory=list)
    """Those of them that met a file of the run which is not what was written."""
    left_out: str = ""
    """Why the stage had nothing to do, where it had not."""
    notes: list[str] = field(default_factory=list)
    """What the user should know beside the items."""

    def add(self, other: StageResult, what: str) -> None:
        """Take in what was made beside the stage's own items, each named with what it is."""
        self.made += [f"{item} ({what})" for item in other.made]
        self.current += [f"{item} ({what})" for item in other.current]
        self.failed |= {f"{item} ({what})": reason for item, reason in other.failed.items()}
        self.damaged += [f"{item} ({what})" for item in other.damaged]

    def count_only(self, given: Collection[str]) -> None:
        """Count some of the items, and tell apart what became of those that were there before."""
        before = [item for item in self.current if item.split(" (")[0] not in given]
        self.current = [item for item in self.current if item not in before]
        if before:
            self.notes.append(f"beside those of earlier calls, up to date: {some(before)}")
        again = sorted({item for item in self.made if item.split(" (")[0] not in given})
        if again:
            self.notes.append(f"those of earlier calls among them, made anew: {some(again)}")


def open_project(loaded: LoadedRecipe) -> Project:
    """Bind a recipe to its data; the data are looked at when they are first asked for."""
    return Project(loaded.recipe, loaded.root, loaded.name, loaded.text, images=loaded.images, home=loaded.folder)


def with_models(project: Project, folder: Path, *, trust: bool = False, given: Path | None = None) -> Project:
    """Bind a project to finished models, which then say which classes there are where the recipe does not.

    Args:
        project: The recipe with its data.
        folder: One folder for each model, or the folder of one.
        trust: Take models that somebody has edited, too.
        given: The bundle that the folder was unpacked from, if it was.

    Raises:
        RecipeError: If there is no model, one reads a sensor that the recipe does not have, or has with other bands,
            knows a class that the recipe does not, or two own a class.
        IntegrityError: If a model is damaged or edited.
    """
    if project.finished is not None and project.finished.folder == folder.resolve():
        return project
    finished = look_at_models(folder, snapshots=project.recipe.predict.snapshots, trust=trust)
    return fit_models(project, replace(finished, given=given if given is None else given.resolve()))


def fit_models(project: Project, finished: FinishedModels) -> Project:
    """Bind a project to finished models that were looked at, as `with_models`."""
    where = f"{OPTION} {finished.named}"
    ours = {name: file.sensor for scene in project.scenes.scenes for name, file in scene.sensors.items()}
    ours |= {name: sensor for scene in project.scenes.scenes for name, sensor in scene.absent.items()}
    for sensor in finished.sensors:
        if sensor.name not in ours:
            do = "call the sensor as the models do, or take other models"
            got = ", ".join(ours)
            raise RecipeError(problem(where, f"the models read sensor {sensor.name!r}", got=got, do=do))
        if ours[sensor.name].band_names != sensor.bands:
            got, need = ", ".join(ours[sensor.name].band_names), ", ".join(sensor.bands)
            raise RecipeError(problem(where, f"the models read other bands of {sensor.name!r}", got=got, need=need))
    bound = replace(project, finished=finished)
    require_owners(finished.owned, project.recipe.predict)
    strange = [c.name for c in finished.classes if c.name not in bound.legend.names]
    if strange:
        got, need = ", ".join(strange), "classes of the legend: " + ", ".join(bound.legend.names)
        raise RecipeError(problem(where, "a model knows other classes", got=got, need=need))
    return bound


def use_models(project: Project, run: Run, folder: Path) -> Project:
    """Bind a project and its run folder to finished models, as `with_models`."""
    bound = with_models(project, folder)
    if bound.finished is not None:
        keep_finished(run, bound.finished)
    return bound


def as_run(project: Project, run: Run) -> Project:
    """Bind a project to the finished models that a run uses, if it does."""
    if project.finished is not None:
        return project
    finished = read_finished(run)
    return project if finished is None else replace(project, finished=finished)


def check_models(project: Project) -> None:
    """Refuse models that cannot stand side by side.

    Raises:
        RecipeError: If two have one name, a class is unknown, a spectral rule has several, or two models own a class
            and the recipe does not allow it.
    """
    names = [table.name for table in project.recipe.models]
    if len(set(names)) < len(names):
        raise RecipeError(problem("[[models]]", "two models of one name"))
    classes_of = {table.name: table.classes or project.legend.names for table in project.recipe.models}
    for table in project.recipe.models:
        classes = classes_of[table.name]
        for name in classes:
            project.legend.by_name(name)
        if table.kind == "index" and len(classes) != 1:
            need = "one class; write a model for each"
            raise RecipeError(problem(f"model {table.name!r}", "a spectral rule owns", got=len(classes), need=need))
    require_countable(project, [name for table in project.recipe.models for name in table.borders])
    require_countable(project, project.recipe.vectorize.separate)
    for name in (*project.recipe.predict.empty_edges, *sorted(project.recipe.vectorize.named_classes)):
        project.legend.by_name(name)
    require_owners(classes_of, project.recipe.predict)


def require_countable(project: Project, class_names: Iterable[str]) -> None:
    """Refuse to tell things apart of a class of which nobody said that it has some.

    Raises:
        RecipeError: With the first such class, or one that is unknown.
    """
    for name in class_names:
        if not project.legend.by_name(name).countable:
            do = "say countable = true in [[classes]], or leave it whole"
            raise RecipeError(problem(f"class {name!r}", "is not countable, so nothing of it is separate", do=do))


def make_items(
    run: Run,
    stage: str,
    items: Iterable[str],
    key_of: Callable[[str], str],
    make: Callable[[str], Made],
    progress: Progress = silent,
    *,
    workers: int = 1,
) -> StageResult:
    """Make each item that is not up to date; an item that fails is named and the others go on.

    Args:
        run: The run folder.
        stage: Stage name.
        items: In the order in which they are reported and fail.
        key_of: Digest of everything an item depends on.
        make: Does the work on an item.
        progress: Told of each item.
        workers: Items that are worked on at once; `key_of` and `make` are then called in threads.

    Raises:
        LandscribeError: If every item failed, with all reasons; a full disk stops at once.
    """
    names = list(items)
    with abreast(lambda item: make_noted(run, stage, item, key_of, make), names, workers) as outcomes:
        result = take_outcomes(run, stage, names, outcomes, progress)
    run.write_manifest(unless_there=not (result.made or result.failed))
    return result


def make_noted(
    run: Run, stage: str, item: str, key_of: Callable[[str], str], make: Callable[[str], Made]
) -> tuple[bool, list[str]]:
    """Make one item unless it is up to date; return whether it was made, and what is to be said of that."""
    key, before = key_of(item), run.read_record(stage, item)
    changed = [] if before is None or before.key != key else run.changed(before)
    notes = [f"{run.path(name)}: was changed since it was written, made again" for name in changed]
    return make_item(run, stage, item, key, lambda: make(item))[1], notes


def is_current(run: Run, stage: str, item: str, key_of: Callable[[str], str]) -> bool:
    """Tell whether an item is up to date, and if so, note stamps that are new, as after a copy."""
    record = run.read_record(stage, item)
    if record is None:
        return False
    with contextlib.suppress(OSError, *BAD_FILE):  # said when the item is made
        if run.is_current(stage, item, key_of(item)):
            run.require_unchanged(record.inputs)
            run.renew_stamps(record)
            return True
    return False


def take_outcomes(
    run: Run,
    stage: str,
    names: Sequence[str],
    outcomes: Iterable[tuple[str, Callable[[], tuple[bool, list[str]]]]],
    progress: Progress = silent,
) -> StageResult:
    """Wait for items that are being made, wherever that is, and keep why some failed.

    Args:
        run: The run folder.
        stage: Stage name.
        names: All items, in the order in which they are told.
        outcomes: Each item once, in any order, with a function that waits for what `make_noted` gives or raises.
        progress: Told of each item.

    Raises:
        LandscribeError: If every item failed, with all reasons; a full disk stops at once.
    """
    result = StageResult(stage)
    for number, (item, outcome) in enumerate(outcomes):
        progress(f"{stage} {item}", number, len(names))
        try:
            was_made, notes = outcome()
            (result.made if was_made else result.current).append(item)
            result.notes += notes
            continue
        except BAD_FILE as error:
            last: LandscribeError = error
        except OSError as error:
            last = of_the_system(f"{stage}, {item}", error)
            if isinstance(last, LimitError):
                raise last from error
        last.add_note(f"{stage}, {item}")
        result.failed[item] = str(last)
        result.damaged += [item] if isinstance(last, IntegrityError) else []
    progress(stage, len(names), len(names))
    _in_order(result, names)
    run.note_failures(stage, names, result.failed)
    if names and len(result.failed) == len(names):
        run.write_manifest()
        kind = IntegrityError if result.damaged else type(last)
        raise last if len(names) == 1 else kind(_all_reasons(result.failed)) from last
    return result


def _in_order(result: StageResult, names: Sequence[str]) -> None:
    rank = {name: number for number, name in enumerate(names)}
    result.made.sort(key=rank.__getitem__)
    result.current.sort(key=rank.__getitem__)
    result.failed = {item: result.failed[item] for item in sorted(result.failed, key=rank.__getitem__)}


def _all_reasons(failed: Mapping[str, str]) -> str:
    # A reason that names no scene, and is that of many, stands once.
    reasons = list(dict.fromkeys(failed.values()))
    more = [f"and {len(reasons) - MOST_REASONS:,} more"] if len(reasons) > MOST_REASONS else []
    return "\n".join([*reasons[:MOST_REASONS], *more])


def follow_items(
    run: Run, stage: str, items: Iterable[str], key_of: Callable[[str], str], make: Callable[[str], Made]
) -> StageResult:
    """Work, as one of several processes, on what the first one makes with `make_items`; no record is written here.

    An item that fails does so in every process, and the first one tells; the result says nothing.
    """
    for item in items:
        with contextlib.suppress(*BAD_FILE):
            if not run.is_current(stage, item, key_of(item)):
                make(item)
    return StageResult(stage)


def scenes_of(project: Project, items: Iterable[str]) -> list[Scene]:
    """Return the project's scenes of these ids, in its order."""
    wanted = set(items)
    return [scene for scene in project.scenes.scenes if scene.id in wanted]
