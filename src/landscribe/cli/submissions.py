"""Commands on DSTL submissions: `merge` and `vote`, and the half of `check` that looks at one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landscribe.cli.console import reporting, say, tell, tell_json
from landscribe.errors import DataError, RecipeError, problem

if TYPE_CHECKING:
    from landscribe.stages.submissions.merge import Source

SampleOption = Annotated[
    Path | None,
    typer.Option("--sample", help="sample_submission.csv: which rows, in which order."),
]
ClassOption = Annotated[
    list[str] | None,
    typer.Option("--class", help="Only these classes, by name or ClassType 1..10; may be repeated.", metavar="CLASS"),
]
RecipeArgument = Annotated[
    str, typer.Argument(help="A TOML recipe, the name of a built-in one, or a run folder.", metavar="RECIPE")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Override a setting, such as models.*.schedule.epochs=9; KEY= takes it out; may be repeated.",
        metavar="KEY=VALUE",
    ),
]
PROBLEMS_SHOWN = 100


class MergeBy(StrEnum):
    """What a later file replaces."""

    row = "row"
    class_ = "class"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("merge")(merge)
    app.command("vote")(vote)
    app.command("clean")(clean)


def merge(
    out: Annotated[Path, typer.Argument(help="Submission to write, .csv or .csv.gz.")],
    inputs: Annotated[
        list[str],
        typer.Argument(help="Submissions in order; 7=FILE or 1,2=FILE takes those classes.", metavar="[CLASSES=]IN..."),
    ],
    sample: SampleOption = None,
    by: Annotated[
        MergeBy,
        typer.Option(help="A later file replaces rows that it fills, or whole classes of which it has any polygon."),
    ] = MergeBy.row,
    classes: ClassOption = None,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", help="Rows that become empty, as 6100_2_2_7.", metavar="ID_CLASS")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", help="The only rows that do not.", metavar="ID_CLASS")
    ] = None,
) -> None:
    """Merge DSTL submissions, plain or gzipped; later files go before earlier ones."""
    from landscribe.stages.submissions.merge import merge as merge_files

    counts = merge_files(
        out,
        [_source(text) for text in inputs],
        sample=sample,
        by="class" if by is MergeBy.class_ else "row",
        class_ids=_class_ids(classes),
        skip=[_row(text) for text in skip or ()],
        keep=None if keep is None else [_row(text) for text in keep],
    )
    _tell_counts(counts, out)


def vote(
    out: Annotated[Path, typer.Argument(help="Submission to write, .csv or .csv.gz.")],
    inputs: Annotated[list[Path], typer.Argument(help="Submissions.", metavar="IN...")],
    at_least: Annotated[int, typer.Option(min=1, help="How many of them must cover the ground.")] = 2,
    sample: SampleOption = None,
    classes: ClassOption = None,
    buffer: Annotated[float, typer.Option(help="Outlines move outwards by this, in units of the file.")] = 0.0,
    simplify: Annotated[float, typer.Option(min=0, help="Largest move of an outline, in units of the file.")] = 0.0,
    min_area: Annotated[float, typer.Option(min=0, help="Smallest polygon, in squared units of the file.")] = 0.0,
    decimals: Annotated[int, typer.Option(min=0, max=16, help="Decimals of the coordinates.")] = 8,
) -> None:
    """Keep the ground that enough of several DSTL submissions agree on; other classes become empty."""
    from landscribe.stages.submissions.vote import vote as vote_files

    counts = vote_files(
        out, inputs, at_least=at_least, sample=sample, class_ids=_class_ids(classes),
        buffer=buffer, simplify=simplify, min_area=min_area, decimals=decimals,
    )  # fmt: skip
    _tell_counts(counts, out)


def clean(
    recipe: RecipeArgument,
    source: Annotated[Path, typer.Argument(help="Submission, .csv or .csv.gz.", metavar="IN")],
    out: Annotated[Path, typer.Argument(help="Submission to write.")],
    overrides: SetOption = None,
) -> None:
    """Apply the class rules of a recipe to a DSTL submission, such as one merged from several."""
    from landscribe.io.project import open_project
    from landscribe.io.settings import load_recipe
    from landscribe.stages.submissions.clean import clean as clean_file

    project = open_project(load_recipe(recipe, overrides or ()))
    with reporting() as progress:
        counts = clean_file(project, source, out, progress)
    _tell_counts(counts, out)


def is_submission(text: str) -> bool:
    """Tell whether the argument of `check` is a submission rather than a recipe."""
    return text.lower().endswith((".csv", ".csv.gz"))


def check(path: Path, sample: Path | None, decimals: int | None, max_mb: float | None, *, as_json: bool) -> None:
    """Check a submission and say every bad row."""
    from landscribe.io.source.dstl import read_grid_sizes, read_sample
    from landscribe.io.source.dstl_files import GRID_SIZES, find_table
    from landscribe.io.source.submissions import check_submission

    if not path.is_file():
        raise DataError(problem(str(path), "missing", need="a submission, .csv or .csv.gz"))
    frames = None
    if sample is not None and (sizes := find_table(sample.parent, GRID_SIZES)) is not None:
        frames = read_grid_sizes(sizes)
    result = check_submission(
        path,
        read_sample(sample) if sample is not None else None,
        decimals=decimals,
        max_bytes=None if max_mb is None else round(max_mb * 1e6),
        frames=frames,
    )
    if as_json:
        tell_json(result.__dict__)
    else:
        for line in result.problems[:PROBLEMS_SHOWN]:
            tell(line)
        if len(result.problems) > PROBLEMS_SHOWN:
            tell(f"and {len(result.problems) - PROBLEMS_SHOWN} more; --json lists all")
        tell(
            f"{result.rows} rows, {result.filled} with {result.polygons} polygons of {result.vertices} vertices, "
            f"{result.decimals} decimals, {result.bytes / 1e6:.1f} MB: {len(result.problems)} problems"
        )
    if not result.filled:
        say(f"WARNING: {path.name} is empty: no row has a polygon")
    if result.problems:
        raise typer.Exit(DataError.exit_code)


def _source(text: str) -> Source:
    from landscribe.stages.submissions.merge import Source

    classes, equals, path = text.partition("=")
    if not equals or Path(text).exists():
        return Source(Path(text))
    return Source(Path(path), _class_ids(classes.split(",")))


def _class_ids(names: list[str] | None) -> frozenset[int] | None:
    from landscribe.core.legend import DSTL_LEGEND

    if names is None:
        return None
    known = {str(c.id): c.id for c in DSTL_LEGEND} | {c.name: c.id for c in DSTL_LEGEND}
    unknown = [name for name in names if name not in known]
    if unknown:
        need = "1 to 10, or " + ", ".join(DSTL_LEGEND.names)
        raise RecipeError(problem("classes", "unknown class", got=repr(unknown[0]), need=need))
    return frozenset(known[name] for name in names)


def _row(text: str) -> tuple[str, int]:
    image_id, _, class_id = text.rpartition("_")
    if not image_id or not class_id.isdigit():
        raise RecipeError(
            problem("--skip, --keep", "not a row", got=repr(text), need="image id, _, ClassType: 6100_2_2_7")
        )
    return image_id, int(class_id)


def _tell_counts(counts: dict[str, int], out: Path) -> None:
    from landscribe.io.source.submissions import has_polygons

    for reason, count in counts.items():
        say(f"{reason}: {count}")
    if not has_polygons(out):
        say(f"WARNING: {out.name} is empty: no row has a polygon")
    tell(str(out))
