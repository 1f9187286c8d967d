"""Commands of the flow: one per stage, and `run`, which does them in order."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from landscribe.cli import submissions
from landscribe.cli.console import reporting, say, tell, tell_json, tell_table
from landscribe.cli.results import tell_plan, tell_score
from landscribe.cli.submissions import RecipeArgument, SetOption
from landscribe.errors import DataError, IntegrityError, PartialError, RecipeError, problem

if TYPE_CHECKING:
    from landscribe.core.ground import Ground
    from landscribe.io.project import Project, StageResult
    from landscribe.io.run.runs import Run

RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run", help="Run folder; made if it is not there.", metavar="DIR", show_default="RECIPE, if that is one"
    ),
]
ModelsOption = Annotated[
    Path | None,
    typer.Option("--models", help="Finished models, or a bundle, to use instead of training.", metavar="DIR|ZIP"),
]
READING = ("report", "map", "pictures", "masks")
"""Stages that read what others wrote, also while another process is at work in the folder; `score` is one too."""
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
    app.command("check")(check)
    app.command("stats")(stats)
    app.command("prepare")(prepare)
    for name, help_text in _STAGES.items():
        app.command(name, help=help_text)(_stage_command(name))
    app.command("pictures")(pictures)
    app.command("predict")(predict)
    app.command("run")(run)


_STAGES = {
    "train": "Train the models of a recipe; an interrupted training goes on where it was.",
    "tune": "Choose threshold, minimum area and shape per class on scenes that fold models have not seen.",
    "vectorize": "Turn probabilities into polygons.",
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
        raise RecipeError(problem("--run", "missing", need="a run folder, or one in place of the recipe"))
    return run or Path(recipe)


def check(
    recipe: Annotated[
        str,
        typer.Argument(
            help="A TOML recipe, the name of a built-in one, or a DSTL submission.",
            metavar="RECIPE|SUBMISSION.csv[.gz]",
        ),
    ],
    models: ModelsOption = None,
    trust: TrustOption = False,
    overrides: SetOption = None,
    as_json: JsonOption = False,
    sample: submissions.SampleOption = None,
    decimals: Annotated[
        int | None, typer.Option(min=0, help="Submission: most decimals of a coordinate.", show_default="any number")
    ] = None,
    max_mb: Annotated[float | None, typer.Option(min=0, help="Submission: largest file in MB.")] = None,
) -> None:
    """Look at all data of a recipe, or at every row of a submission, and list every problem at once."""
    if submissions.is_submission(recipe):
        submissions.check(Path(recipe), sample, decimals, max_mb, as_json=as_json)
        return
    from landscribe.io.bundle.models import models_at
    from landscribe.stages.check import check as look

    with models_at(models) as folder:
        project = open_recipe(recipe, overrides, folder, trust=trust, given=models)
        with reporting() as progress:
            result = look(project, progress)
    if as_json:
        rows = [{"level": f.level, "text": f.text} for f in result.findings]
        ground = {name: asdict(own) for name, own in result.ground.items()}
        tell_json(
            {
                "scenes": result.scenes,
                "labelled": result.labelled,
                "classes": result.classes,
                "findings": rows,
                "ground": ground,
                "unit": result.unit,
            }
        )
    else:
        for finding in result.findings:
            tell(f"{finding.level}: {finding.text}")
        if result.ground:
            unit = result.unit
            columns = ["class", f"positive {unit}", "share", f"negative {unit}", f"unlabelled {unit}"]
            tell_table(columns, [_ground_row(name, own) for name, own in result.ground.items()])
        names = ", ".join(result.classes) or "of the models"
        tell(
            f"{result.scenes} scenes, {result.labelled} labelled, classes {names}: "
            f"{result.errors} errors, {len(result.findings) - result.errors} warnings"
        )
    if result.errors:
        raise typer.Exit(PartialError.exit_code if result.lost else DataError.exit_code)


def _ground_row(name: str, ground: Ground) -> list[str]:
    areas = [f"{area:,.0f}" for area in (ground.positive, ground.negative, ground.unlabelled)]
    return [name, areas[0], f"{ground.share:.2%}", *areas[1:]]


def stats(
    recipe: RecipeArgument,
    overrides: SetOption = None,
    as_json: JsonOption = False,
    images: Annotated[bool, typer.Option("--images", help="Size and type of every raster instead.")] = False,
) -> None:
    """Show area, perimeter and number of the labels per class and scene, or the sizes of the images."""
    from landscribe.stages.stats import shapes
    from landscribe.stages.stats import stats as measure

    project = open_recipe(recipe, overrides)
    with reporting() as progress:
        failed: dict[str, str] = {}
        look = shapes if images else measure
        rows: list[Any] = list(look(project, progress, failed=failed))
    _tell_stats(rows, project.legend.names if not images else (), as_json=as_json, images=images)
    for reason in failed.values():
        say(f"failed: {reason}")
    if failed:
        raise PartialError(problem(f"{len(failed)} failed, the others are done", ", ".join(failed)))


def _tell_stats(rows: list[Any], names: tuple[str, ...], *, as_json: bool, images: bool) -> None:
    if as_json:
        tell_json([row.__dict__ for row in rows])
        return
    if images:
        columns = ["scene", "sensor", "file", "dtype", "bands", "height", "width"]
        tell_table(columns, [[str(getattr(row, name)) for name in columns] for row in rows], right=4)
        return
    for title, field, scale, decimals, together in (
        ("area %", "area_share", 100, 4, "mean"),
        ("perimeter px", "perimeter_px", 1, 0, "sum"),
        ("count", "count", 1, 0, "sum"),
    ):
        scenes = list(dict.fromkeys(row.scene for row in rows))
        cells = {(row.scene, row.class_name): scale * getattr(row, field) for row in rows}
        table = [[scene, *(f"{cells[scene, name]:.{decimals}f}" for name in names)] for scene in scenes]
        divisor = len(scenes) if together == "mean" else 1
        totals = [sum(cells[scene, name] for scene in scenes) / max(divisor, 1) for name in names]
        tell_table([title, *names], [*table, [together, *(f"{total:.{decimals}f}" for total in totals)]])
        tell("")


def prepare(
    recipe: RecipeArgument,
    run: RunOption = None,
    models: ModelsOption = None,
    overrides: SetOption = None,
    trust: TrustOption = False,
) -> None:
    """Write every sensor at its own resolution, labels as shares, and statistics; draw which scenes validate."""
    _do("prepare", recipe, run_folder(recipe, run), overrides, models, trust=trust)


def _stage_command(name: str) -> Callable[..., None]:
    def command(recipe: RecipeArgument, run: RunOption = None, overrides: SetOption = None) -> None:
        _do(name, recipe, run_folder(recipe, run), overrides)

    return command


def pictures(
    recipe: RecipeArgument,
    run: RunOption = None,
    overrides: SetOption = None,
    masks: Annotated[bool, typer.Option(help="Truth, pixels and polygons of validation scenes instead.")] = False,
) -> None:
    """Draw the polygons of each scene beside its picture, one PNG each."""
    _do("masks" if masks else "pictures", recipe, run_folder(recipe, run), overrides)


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
        typer.Option("--out", help="Of images: where DIR/IMAGE.tif and DIR/features.gpkg are written.", metavar="DIR"),
    ] = None,
    overrides: SetOption = None,
    anyway: AnywayOption = False,
    trust: TrustOption = False,
) -> None:
    """Predict the probability of every class for each scene; or, without a recipe, images by finished models."""
    if out is not None:
        _predict_images(what, run, models, out, overrides, anyway=anyway, trust=trust)
        return
    if len(what) > 1 or Path(what[0]).suffix.lower() in IMAGES:
        raise RecipeError(problem("predict", "images without --out", need="--out DIR, and --models DIR"))
    _do("predict", what[0], run_folder(what[0], run), overrides, models, anyway=anyway, trust=trust)


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
        _tell_result(result, {note for before in results for note in before.notes})
        results.append(result)
    tell(f"results: {out}")
    _raise_failures(results)


def _do(
    name: str,
    recipe: str,
    run: Path,
    overrides: list[str] | None,
    models: Path | None = None,
    *,
    anyway: bool = False,
    trust: bool = False,
) -> None:
    from landscribe.io.bundle.models import models_at
    from landscribe.io.run.owner import alone_in
    from landscribe.io.run.runs import Run, open_run
    from landscribe.pipeline import do_stage

    with models_at(models) as ready:
        project = replace(open_recipe(recipe, overrides, ready, trust=trust, given=models), anyway=anyway)
        reads = name in READING
        folder = Run(run) if reads and run.is_dir() else open_run(run)
        with contextlib.nullcontext() if reads else alone_in(folder), reporting() as progress:
            result = do_stage(name, project, folder, progress, models=ready)
    _tell_result(result)
    _raise_failures([result])


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
) -> None:
    """Do all stages of a recipe in order, leaving out what is up to date."""
    if models is None and Path(recipe).is_dir():
        models = models_of(Path(recipe))
    from landscribe.io.bundle.models import models_at

    with models_at(models) as folder:
        project = open_recipe(recipe, overrides, folder, trust=trust, given=models)
        if dry_run:
            tell_plan(project, folder)
            return
        run_all(replace(project, anyway=anyway), _open_run(run_folder(recipe, run)), folder)


def run_all(project: Project, folder: Run, models: Path | None = None) -> None:
    """Do all stages in order and say what each did.

    Raises:
        PartialError: If scenes failed, at the end, with their names.
    """
    from landscribe.io.run.scored import run_score
    from landscribe.pipeline import run_pipeline

    results: list[StageResult] = []
    for result in run_pipeline(project, folder, models, reporting=reporting):
        told = {note for before in results for note in before.notes}
        results.append(result)
        _tell_result(result, told)
    score = run_score(folder)
    if score is not None:
        tell_score(score)
    tell(f"report: {folder.path('report.html')}")
    tell(f"map: {folder.path('map.html')}")
    _raise_failures(results)


def models_of(folder: Path) -> Path | None:
    """Return the finished models that a run folder has used, if it has: a folder or a bundle."""
    from landscribe.io.models.finished import read_finished
    from landscribe.io.run.runs import Run

    finished = read_finished(Run(folder))
    return None if finished is None else finished.folder


def _open_run(path: Path) -> Run:
    from landscribe.io.run.runs import open_run

    return open_run(path)


def _tell_result(result: StageResult, told: Collection[str] = ()) -> None:
    if result.left_out:
        say(f"{result.stage}: {result.left_out}")
        return
    parts = [f"{len(result.made)} made"] if result.made or not result.current else []
    parts += [f"{len(result.current)} up to date"] if result.current else []
    parts += [f"{len(result.failed)} failed"] if result.failed else []
    say(f"{result.stage}: {', '.join(parts)}")
    for item, reason in result.failed.items():
        say(f"  failed: {reason}" if item.split(" (")[0] in reason else f"  failed: {item}: {reason}")
    for note in result.notes:
        if note not in told:
            say(f"  {note}")


def _raise_failures(results: list[StageResult]) -> None:
    failed: dict[str, str] = {}
    for result in results:
        for item, reason in result.failed.items():
            failed.setdefault(item, f"{result.stage}: {reason}")
    if failed:
        names = ", ".join(sorted(failed))
        text = problem(f"{len(failed)} failed, the others are done", names, do="see the lines above")
        raise IntegrityError(text) if any(result.damaged for result in results) else PartialError(text)
