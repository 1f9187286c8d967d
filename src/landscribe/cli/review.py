"""Commands of the loop: `review`, `absorb`, `suggest`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landscribe.cli.console import reporting, say, tell, tell_json, tell_table
from landscribe.cli.flow import JsonOption, models_of, open_recipe
from landscribe.errors import RecipeError, problem, some

if TYPE_CHECKING:
    from landscribe.io.review.history import Absorbed

SHOWN = 20
"""Conflicts that are said."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("review")(review)
    app.command("absorb")(absorb)
    app.command("suggest")(suggest)


class Prefer(StrEnum):
    """Which of two reviews holds that do not agree."""

    last = "last"


def review(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    to: Annotated[Path, typer.Option("--to", "--out", help="GeoPackage to write.")] = Path("review.gpkg"),
) -> None:
    """Write what a run found as a GeoPackage to correct in QGIS, with a verdict for each polygon."""
    from landscribe.io.run.runs import Run
    from landscribe.report.words import plural
    from landscribe.stages.review.review import review as write

    for path, n in write(Run(run), to).items():
        say(f"{plural(n, 'polygon')} to look at")
        tell(str(path))


def suggest(
    run: Annotated[Path, typer.Argument(help="Run folder in which `predict` has run.")],
    windows: Annotated[int, typer.Option("--windows", help="How many to suggest.")] = 20,
    size: Annotated[
        str,
        typer.Option(
            "--size",
            help="Side of a window: 256px, 75m, or a number alone: metres where scenes have a CRS, else pixels.",
            metavar="LENGTH",
        ),
    ] = "256px",
    to: Annotated[Path, typer.Option("--to", help="GeoPackage to write.")] = Path("todo.gpkg"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the disagreement of networks and views: do not run them again.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Name windows of unlabelled ground to label next: in doubt, in dispute, or unlike the training ground."""
    from landscribe.core.suggest.windows import said, size_of
    from landscribe.io.bundle.models import models_at
    from landscribe.io.project import as_run
    from landscribe.io.run.owner import alone_in
    from landscribe.io.run.runs import Run
    from landscribe.report.words import plural
    from landscribe.stages.maps.map import MAP
    from landscribe.stages.review.suggest import Wish
    from landscribe.stages.review.suggest import suggest as find

    if not run.is_dir():
        raise RecipeError(problem(str(run), "no such run folder"))
    wish, folder = Wish(windows, size_of(size), ask_networks=not quick), Run(run)
    with models_at(None if quick else models_of(run)) as ready:
        project = as_run(open_recipe(str(run), None, ready), folder)
        with alone_in(folder), reporting() as progress:
            result, found, files = find(project, folder, wish, to, progress)
    for note in (*result.notes, *found.notes):
        say(note)
    if as_json:
        tell_json([asdict(row) for row in found.windows])
    else:
        rows = [[str(row.rank), row.scene, f"{row.score:.2f}", row.why] for row in found.windows]
        tell_table(["rank", "scene", "score", "why"], rows, right=4)
    left = said(found.left_out.items())
    say(f"{len(found.windows)} of {plural(found.looked_at, 'window')}" + (f"; left out: {left}" if left else ""))
    for path, n in files.items():
        say(f"{path}: {plural(n, 'window')}")
    if folder.path(MAP).is_file():
        say(f"{folder.path(MAP)} has them after another `landscribe map {run}`")


def absorb(
    what: Annotated[
        list[str],
        typer.Argument(
            help="Reviews (files, or run folders for what their maps have kept), then the recipe; with --undo and "
            "--list the recipe alone.",
            metavar="REVIEW... RECIPE",
        ),
    ],
    who: Annotated[str, typer.Option(help="Who absorbs.", show_default="the people that the review names")] = "",
    prefer: Annotated[
        Prefer | None, typer.Option(help="Where two reviews do not agree, which one holds; without, they are refused.")
    ] = None,
    over_labels: Annotated[
        bool, typer.Option("--over-labels", help="Let reviews hold over label files where they say otherwise.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take back what the last call absorbed.")] = False,
    show: Annotated[bool, typer.Option("--list", help="Show what was absorbed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take what people said of found polygons into the labels of a recipe, with its history."""
    from landscribe.stages.review import absorb as stage

    *given, recipe = what
    if (undo or show) and (given or (undo and show)):
        raise RecipeError(problem("absorb", "--undo and --list take the recipe alone, and one of them", got=some(what)))
    if undo:
        for last in stage.undo(Path(recipe)):
            say(f"taken back: {last.file}, absorbed {last.at} by {last.who}; its copy stays in the folder of reviews")
            tell(last.file)
        return
    if show:
        history = stage.absorbed(Path(recipe))
        if as_json:
            tell_json([asdict(row) for row in history.reviews])
            return
        rows = [
            [r.file, r.at[:16], r.who, r.run or "-", str(len(r.scenes)), _sum(r.scenes), _state(r)]
            for r in history.reviews
        ]
        tell_table(["file", "absorbed", "by", "run", "scenes", "says", "state"], rows)
        return
    if not given:
        raise RecipeError(problem("absorb", "no review", need="REVIEW... RECIPE"))
    done = stage.absorb(
        Path(recipe), [Path(path) for path in given], who=who, prefer_last=prefer is not None, over_labels=over_labels
    )
    if as_json:
        tell_json([asdict(row) for row in done.taken])
    for path, name in done.known.items():
        say(f"{path}: says what was absorbed as {name} already; nothing is done")
    for own in done.taken:
        _say_taken(own)
        if not as_json:
            tell(str(done.folder / own.file))
    for line in done.lines:
        say(line)


def _say_taken(own: Absorbed) -> None:
    from landscribe.report.words import plural

    for scene, counts in own.scenes.items():
        say(f"{scene}: " + ", ".join(f"{n} {_one(what, n)}" for what, n in counts.items()))
    for line in own.notes:
        say(f"  {line}")
    if own.conflicts:
        say(f"  {plural(len(own.conflicts), 'place')} where it and older labels do not agree:")
    for line in own.conflicts[:SHOWN]:
        say(f"    {line}")
    if len(own.conflicts) > SHOWN:
        say(f"    and {len(own.conflicts) - SHOWN} more: landscribe absorb --list --json")


def _sum(scenes: Mapping[str, Mapping[str, int]]) -> str:
    total = Counter[str]()
    for counts in scenes.values():
        total.update(counts)
    return ", ".join(f"{n} {_one(what, n)}" for what, n in total.items())


def _one(what: str, n: int) -> str:
    return what.replace("areas ", "area ") if n == 1 else what


def _state(review: Absorbed) -> str:
    if not review.holds:
        return f"taken back {review.undone[:16]}"
    return "holds over labels" if review.over_labels else "holds"
