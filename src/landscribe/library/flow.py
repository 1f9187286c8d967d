"""Recipes, projects and whole runs for programs: what the command line does, with keywords, results and exceptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from landscribe.core.recipe import Recipe
from landscribe.errors import DataError, IntegrityError, PartialError, problem
from landscribe.io import project as projects
from landscribe.io.bundle.models import is_bundle, models_at
from landscribe.io.bundle.ready import named_models
from landscribe.io.project import Progress, Project, StageResult
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import LoadedRecipe, load_recipe, make_recipe, recipe_of_run
from landscribe.library.progress import open_progress
from landscribe.pipeline import run_pipeline
from landscribe.stages.init import write_recipe

RecipeLike = Recipe | LoadedRecipe | Mapping[str, Any] | str | Path
"""A recipe, what it says as plain lists and dictionaries, a TOML file, the name of a built-in one, or a run folder."""
NAME = "recipe"
"""What a recipe is called that has no file."""


def open_recipe(recipe: RecipeLike, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """Take a recipe from wherever it is.

    Args:
        recipe: The recipe; of one without a file, a relative `data.root` starts from the working folder.
        overrides: `table.key=value` each, as for `load_recipe`.

    Raises:
        RecipeError: If it is missing, or says something that a recipe does not know.
    """
    if isinstance(recipe, LoadedRecipe):
        return recipe
    if isinstance(recipe, Recipe):
        said = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return make_recipe(said, NAME, overrides)
    if isinstance(recipe, Mapping):
        said = Recipe.of(recipe, NAME).model_dump(mode="json", by_alias=True, exclude_unset=True)
        return make_recipe(said, NAME, overrides)
    return recipe_of_run(Path(recipe), overrides) if Path(recipe).is_dir() else load_recipe(recipe, overrides)


def open_project(
    recipe: RecipeLike, *, overrides: Sequence[str] = (), models: str | Path | None = None, trust: bool = False
) -> Project:
    """Bind a recipe to its data; the data are looked at when they are first asked for.

    Args:
        recipe: A recipe, a mapping of its tables, a TOML file, the name of a built-in one, or a run folder.
        overrides: `table.key=value` each, as for `load_recipe`.
        models: Finished models, a folder, a bundle or the name of a ready model, to use instead of training.
        trust: Take models that somebody has edited, too.

    Raises:
        RecipeError: If the recipe is missing or wrong, or the models do not fit to it.
        IntegrityError: If a model is damaged or edited.

    Examples:
        >>> import landscribe as ls
        >>> tables = {"data": {"sensors": {"RGB": {"path": "{scene}.tif", "kind": "rgb8"}}}}
        >>> ls.open_project(tables, overrides=["predict.symmetries=4"]).recipe.predict.symmetries
        4
    """
    project = projects.open_project(open_recipe(recipe, overrides))
    if models is None:
        return project
    own = named_models(Path(models))
    with models_at(own) as folder:
        return projects.with_models(project, folder or own, trust=trust, given=_bundle(own))


def init(
    folder: str | Path,
    out: str | Path = "landscribe.toml",
    *,
    force: bool = False,
    images: str | None = None,
    labels: str | None = None,
    class_name: str | None = None,
    class_field: str | None = None,
) -> LoadedRecipe:
    """Look at a folder of images and labels and write a recipe for it.

    Args:
        folder: Images and labels, in any sub-folders.
        out: TOML file to write.
        force: Replace a recipe that is there.
        images: Part of the paths of images, where the folder does not say which.
        labels: The same of labels.
        class_name: Class of all labels.
        class_field: Column that names the class.

    Returns:
        The recipe; `said` is what was taken for what, and how to take the other reading.

    Raises:
        DataError: If a recipe is there already, or the folder has no image, or nothing that can be read.
        RecipeError: If it can be read in several ways, and nothing says which.

    Examples:
        >>> import landscribe as ls
        >>> ls.init("no such folder")
        Traceback (most recent call last):
        landscribe.errors.DataError: no such folder: no such folder
    """
    target = Path(out)
    if target.exists() and not force:
        raise DataError(problem(str(target), "is there already", do="choose another one or say force=True"))
    wishes = {"images": images, "labels": labels, "class": class_name, "class_field": class_field}
    said = write_recipe(Path(folder), target, {key: value for key, value in wishes.items() if value is not None})
    return replace(load_recipe(target), said=tuple(said))


def run(
    recipe: RecipeLike | Project,
    run_dir: str | Path,
    *,
    overrides: Sequence[str] = (),
    models: str | Path | None = None,
    anyway: bool = False,
    trust: bool = False,
    progress: Progress | bool = False,
) -> Run:
    """Do all stages of a recipe in order, leaving out what is up to date, as `landscribe run` does.

    Args:
        recipe: A recipe, a mapping of its tables, a TOML file, the name of a built-in one, a run folder or a project.
        run_dir: The run folder; made if it is not there.
        overrides: `table.key=value` each, as for `load_recipe`.
        models: Finished models, a folder, a bundle or the name of a ready model, to use instead of training.
        anyway: Predict scenes that lie outside of what the models were trained on too, with a note.
        trust: Take models that somebody has edited, too.
        progress: Told of what is done; True shows bars, in Jupyter below the cell.

    Returns:
        The run. In a notebook it shows its score and what each stage did.

    Raises:
        RecipeError: If the recipe is missing or wrong, before anything is done.
        DataError: If the data cannot be used.
        PartialError: If some scenes failed, when all others are done; the message names each with its reason.
        IntegrityError: The same, where a file was not what had been written.
        LimitError: If another process is at work in the run folder, or a limit was hit.

    Examples:
        >>> import landscribe as ls
        >>> ls.run("no-such-recipe.toml", "runs/city")
        Traceback (most recent call last):
        landscribe.errors.RecipeError: no-such-recipe.toml: no such recipe, need a TOML file, or one of ...
    """
    own = None if models is None else named_models(Path(models))
    project = recipe if isinstance(recipe, Project) else open_project(recipe, overrides=overrides)
    with models_at(own) as ready:
        if ready is not None:
            project = projects.with_models(project, ready, trust=trust, given=_bundle(own))
        folder = open_run(Path(run_dir))
        results = list(
            run_pipeline(replace(project, anyway=anyway), folder, ready, reporting=lambda: open_progress(progress))
        )
    _raise_failures(results)
    return folder


def _bundle(models: Path | None) -> Path | None:
    return models if models is not None and is_bundle(models) else None


def _raise_failures(results: Sequence[StageResult]) -> None:
    failed: dict[str, str] = {}
    for result in results:
        for item, reason in result.failed.items():
            failed.setdefault(item, f"{result.stage}: {reason}")
    if failed:
        text = problem(f"{len(failed)} failed, the others are done", "; ".join(failed.values()))
        raise IntegrityError(text) if any(result.damaged for result in results) else PartialError(text)
