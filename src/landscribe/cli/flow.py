"""Commands of the flow: one per stage, and `run`, which does them in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landscribe.cli.console import reporting, say, tell
from landscribe.cli.results import raise_failures, tell_plan, tell_result, tell_score, tell_seeds
from landscribe.cli.sharing import EVERYTHING, GpuOption, How, OnlyOption, OnOption, PartOption, do_stage_as
from landscribe.cli.submissions import RecipeArgument, SetOption
from landscribe.errors import RecipeError, problem
from landscribe.io.bundle.ready import named_models, ready_line

if TYPE_CHECKING:
    from landscribe.io.project import Project, StageResult
    from landscribe.io.run.runs import Run

RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run", help="Run folder; made if it is not there.", metavar="DIR", show_default="RECIPE, if that is one"
    ),
]


def _named(models: Path | None) -> Path | None:
    """Take the name of a ready model for its bundle, and say what that is."""
    if models is None:
        return None
    found = named_models(models)
    if ready_line(found):
        say(ready_line(found))
    return found


ModelsOption = Annotated[
    Path | None,
    typer.Option(
        "--models",
        help="Finished models, a bundle, or the name of a ready model, to use instead of training.",
        metavar="DIR|ZIP|NAME",
        callback=_named,
    ),
]
READING = ("report", "map", "pictures", "masks", "chips")
"""Stages that read what others wrote, also while another process is at work in the folder; `score` is one too."""
FOUND = Path("found")
"""Where results of images go that a ready model looks at, unless somebody says it."""
IMAGES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".jp2")
AnywayOption = Annotated[
    bool,
    typer.Option("--anyway", help="Predict scenes outside of what the models were trained on too, with a caution."),
]
TrustOption = Annotated[
    bool, typer.Option("--trust", help="Take models that were edited since they were trained: it is meant so.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("prepare")(prepare)
    for name, help_text in _STAGES.items():
        app.command(name, help=help_text)(_stage_command(name))
    app.command("pictures")(pictures)
    app.command("predict")(predict)
    app.command("vectorize")(vectorize)
    app.command("run")(run)


_STAGES = {
    "train": "Train the models of a recipe; an interrupted training goes on where it was.",
    "adapt": "Train networks on with what they themselves predict of scenes without labels, as its table adapt says.",
    "tune": "Choose threshold, minimum area and shape per class on scenes that fold models have not seen.",
    "submit": "Write and validate the DSTL submission.",
    "report": "Write the report of a run as one HTML file.",
    "map": "Write the map of a run as one HTML file: pictures, probabilities and polygons to look at.",
}


def open_recipe(
    recipe: str,
    overrides: list[str] | None,
    models: Path | None = None,
    *,
    trust: bool = False,
    given: Path | None = None,
) -> Project:
    """Load a recipe, or that of a run folder, and bind it to its data and to finished models."""
    from landscribe.io.project import open_project, with_models
    from landscribe.io.settings import load_recipe, recipe_of_run

    load = recipe_of_run if Path(recipe).is_dir() else load_recipe
    project = open_project(load(Path(recipe), overrides or ()))
    bundle = given if given != models else None
    return project if models is None else with_models(project, models, trust=trust, given=bundle)


def run_folder(recipe: str, run: Path | None) -> Path:
    """Return the run folder that is meant: the one given, or the recipe where that is a run folder.

    Raises:
        RecipeError: If there is neither.
    """
    if run is None and not Path(recipe).is_dir():
        if not Path(recipe).exists() and not Path(recipe).suffix:
            raise RecipeError(problem(recipe, "no such run folder", need="a run folder, or a recipe and --run"))
        raise RecipeError(problem("--run", "missing", need="a run folder, or one in place of the recipe"))
    return run or Path(recipe)


def prepare(
    recipe: RecipeArgument,
    run: RunOption = None,
    models: ModelsOption = None,
    overrides: SetOption = None,
    trust: TrustOption = False,
    part: PartOption = None,
    only: OnlyOption = None,
    on: OnOption = None,
) -> None:
    """Write every sensor at its own resolution, labels as shares, and statistics; draw which scenes validate."""
    how = How(part, tuple(only or ()), on)
    _do("prepare", recipe, run_folder(recipe, run), overrides, models, trust=trust, how=how)


def vectorize(
    recipe: RecipeArgument,
    run: RunOption = None,
    overrides: SetOption = None,
    part: PartOption = None,
    only: OnlyOption = None,
    on: OnOption = None,
) -> None:
    """Turn probabilities into polygons."""
    _do("vectorize", recipe, run_folder(recipe, run), overrides, how=How(part, tuple(only or ()), on))


def _stage_command(name: str) -> Callable[..., None]:
    def command(recipe: RecipeArgument, run: RunOption = None, overrides: SetOption = None) -> None:
        _do(name, recipe, run_folder(recipe, run), overrides)

    return command


def pictures(
    recipe: RecipeArgument,
    run: RunOption = None,
    overrides: SetOption = None,
    masks: Annotated[bool, typer.Option(help="Truth, pixels and polygons of validation scenes instead.")] = False,
    chips: Annotated[
        bool, typer.Option(help="Chips of training instead, before and after each change of colour, a PNG per network.")
    ] = False,
) -> None:
    """Draw the polygons of each scene beside its picture, one PNG each."""
    if masks and chips:
        raise RecipeError(problem("pictures", "--masks and --chips", need="one of them"))
    _do("chips" if chips else "masks" if masks else "pictures", recipe, run_folder(recipe, run), overrides)


def predict(
    what: Annotated[
        list[str],
        typer.Argument(
            help="A TOML recipe, the name of a built-in one, or a run folder; with --out images, or patterns of them.",
            metavar="RECIPE|IMAGE...",
        ),
    ],
    run: RunOption = None,
    models: ModelsOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Of images: where DIR/IMAGE.tif and DIR/features.gpkg are written; `found` with a ready model.",
            metavar="DIR",
        ),
    ] = None,
    overrides: SetOption = None,
    anyway: AnywayOption = False,
    trust: TrustOption = False,
    part: PartOption = None,
    only: OnlyOption = None,
    on: OnOption = None,
    gpu: GpuOption = False,
) -> None:
    """Predict the probability of every class for each scene; or, without a recipe, images by finished models."""
    how = How(part, tuple(only or ()), on, gpu)
    are_images = len(what) > 1 or Path(what[0]).suffix.lower() in IMAGES
    first_look = out is None and are_images and models is not None and bool(ready_line(models))
    out = FOUND if first_look else out
    if out is not None:
        how.require_none("images and --out")
        _predict_images(what, run, models, out, overrides, anyway=anyway, trust=trust)
        if first_look:
            _draw(out)
        return
    if are_images:
        raise RecipeError(problem("predict", "images without --out", need="--out DIR, and --models DIR"))
    _do("predict", what[0], run_folder(what[0], run), overrides, models, anyway=anyway, trust=trust, how=how)


def _draw(out: Path) -> None:
    """Draw what was found in images beside them."""
    from landscribe.io.run.runs import Run
    from landscribe.pipeline import RUN_INSIDE, do_stage

    run = Run(out / RUN_INSIDE)
    with reporting() as progress:
        do_stage("pictures", open_recipe(str(run.root), None), run, progress)
    tell(f"pictures: {run.path('pictures')}")


def _predict_images(
    images: list[str],
    run: Path | None,
    models: Path | None,
    out: Path,
    overrides: list[str] | None,
    *,
    anyway: bool,
    trust: bool,
) -> None:
    from landscribe.pipeline import predict_images

    if models is None:
        raise RecipeError(problem("predict", "images without --models", need="--models DIR, such as runs/city/models"))
    if run is not None:
        raise RecipeError(problem("predict", "--run goes with a recipe, --out with images", got="both"))
    results: list[StageResult] = []
    asked = predict_images(images, models, out, overrides or (), anyway=anyway, trust=trust, reporting=reporting)
    for result in asked:
        tell_result(result, {note for before in results for note in before.notes})
        results.append(result)
    tell(f"results: {out}")
    raise_failures(results)


def _do(
    name: str,
    recipe: str,
    run: Path,
    overrides: list[str] | None,
    models: Path | None = None,
    *,
    anyway: bool = False,
    trust: bool = False,
    how: How = EVERYTHING,
) -> None:
    from landscribe.io.bundle.models import models_at
    from landscribe.io.run.runs import Run

    with models_at(models) as ready:
        project = replace(open_recipe(recipe, overrides, ready, trust=trust, given=models), anyway=anyway)
        if name in READING and run.is_dir():
            from landscribe.pipeline import do_stage

            with reporting() as progress:
                result = do_stage(name, project, Run(run), progress, models=ready)
        else:
            result = do_stage_as(how, name, project, run, ready)
    tell_result(result)
    raise_failures([result])


def run(
    recipe: RecipeArgument,
    run: RunOption = None,
    models: ModelsOption = None,
    overrides: SetOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be read, written and what it costs.")
    ] = False,
    anyway: AnywayOption = False,
    trust: TrustOption = False,
    on: OnOption = None,
    gpu: GpuOption = False,
) -> None:
    """Do all stages of a recipe in order, leaving out what is up to date."""
    how = How(on=on, gpu=gpu)
    if models is None and Path(recipe).is_dir():
        models = models_of(Path(recipe))
    from landscribe.io.bundle.models import models_at

    with models_at(models) as folder:
        project = open_recipe(recipe, overrides, folder, trust=trust, given=models)
        if dry_run:
            tell_plan(project, folder)
            return
        run_all(replace(project, anyway=anyway), _open_run(run_folder(recipe, run)), folder, how)


def run_all(project: Project, folder: Run, models: Path | None = None, how: How = EVERYTHING) -> None:
    """Do all stages in order and say what each did.

    Raises:
        PartialError: If scenes failed, at the end, with their names.
    """
    from landscribe.io.project.seeds import seeds_of_run
    from landscribe.io.run.scored import run_score
    from landscribe.pipeline import run_pipeline

    results: list[StageResult] = []
    with how.way(project, models) as way:
        for result in run_pipeline(project, folder, models, reporting=reporting, way=way):
            told = {note for before in results for note in before.notes}
            results.append(result)
            tell_result(result, told)
    score = run_score(folder)
    if score is not None:
        tell_score(score)
        tell_seeds(seeds_of_run(folder))
    tell(f"report: {folder.path('report.html')}")
    tell(f"map: {folder.path('map.html')}")
    raise_failures(results)


def models_of(folder: Path) -> Path | None:
    """Return the finished models that a run folder has used, if it has: a folder or a bundle."""
    from landscribe.io.models.finished import read_finished
    from landscribe.io.run.runs import Run

    finished = read_finished(Run(folder))
    return None if finished is None else finished.folder


def _open_run(path: Path) -> Run:
    from landscribe.io.run.runs import open_run

    return open_run(path)
