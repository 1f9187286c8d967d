"""Commands that look around: `doctor`, `init`, `world`, `demo`, `runs`, `qgis`."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from landscribe.cli.console import reporting, say, tell, tell_json, tell_table
from landscribe.cli.flow import JsonOption, open_recipe, run_all
from landscribe.cli.planning import MINUTES, MinutesOption, plan_new
from landscribe.errors import DataError, problem


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("init")(init)
    app.command("doctor")(doctor)
    app.command("world")(world)
    app.command("demo")(demo)
    app.command("runs")(runs)
    app.command("qgis")(qgis)


class SortBy(StrEnum):
    """Order of the list of runs."""

    score = "score"
    date = "date"
    name = "name"


class Compression(StrEnum):
    """How the rasters of a world are packed."""

    none = "none"
    lzw = "lzw"
    zstd = "zstd"
    deflate = "deflate"


def runs(
    folder: Annotated[Path, typer.Argument(help="Folder with runs below it.")],
    sort: Annotated[SortBy, typer.Option(help="Best, newest, or by name.")] = SortBy.score,
    as_json: JsonOption = False,
) -> None:
    """List and sort the runs below a folder."""
    from landscribe.stages.runs import list_runs

    rows, problems = list_runs(folder, sort.value)
    for line in problems:
        say(f"left out: {line}")
    if as_json:
        tell_json([row.__dict__ for row in rows])
        return
    cells = []
    for row in rows:
        score = "-" if row.jaccard is None else f"{row.jaccard:.3f}"
        ends = "" if row.low is None or row.high is None else f"{row.low:.3f} to {row.high:.3f}"
        cells.append([row.path, score, ends, row.recipe, row.written[:16], str(row.seed), f"{row.seconds:.0f}"])
    tell_table(["run", "Jaccard", "95 %", "recipe", "written", "seed", "s"], cells)


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of images and labels.")],
    out: Annotated[Path, typer.Option("--out", help="Recipe to write.")] = Path("landscribe.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a recipe that is there.")] = False,
    wishes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Say what the folder does not: images=PART or labels=PART of their paths, class=NAME, "
            "class_field=COLUMN; may be repeated.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    minutes: MinutesOption = MINUTES,
    plan: Annotated[
        bool, typer.Option("--plan/--no-plan", help="Choose its settings from labels, imagery and minutes, too.")
    ] = True,
) -> None:
    """Look at a folder of images and labels and write a recipe for it, with settings that follow from them."""
    from landscribe.core.plan.rules import require_minutes
    from landscribe.stages.init import write_recipe

    require_minutes(minutes)
    if out.exists() and not force:
        raise DataError(problem(str(out), "is there already", do="choose another --out or add --force"))
    said = [wish.partition("=") for wish in wishes or ()]
    for line in write_recipe(folder, out, {key.strip(): value.strip() for key, _, value in said}):
        say(line)
    if plan:
        plan_new(out, minutes)
    tell(str(out))


def doctor(as_json: JsonOption = False) -> None:
    """Show versions, processor, GPU, memory and disk, and test the machine for a few seconds."""
    from landscribe.stages.doctor import doctor as examine

    rows = examine()
    if as_json:
        tell_json([{"topic": topic, "finding": finding, "fine": fine} for topic, finding, fine in rows])
    else:
        for topic, finding, fine in rows:
            tell(f"{'ok ' if fine else 'BAD'} {topic:24} {finding}")
    if not all(fine for _, _, fine in rows):
        raise typer.Exit(1)


def world(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.")],
    scenes: Annotated[int, typer.Option(min=1, help="Number of scenes.")] = 4,
    height: Annotated[int, typer.Option(min=128, help="Rows of the RGB, 0.31 m each.")] = 768,
    width: Annotated[int, typer.Option(min=128, help="Columns of the RGB.")] = 812,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same world.")] = 0,
    unlabelled: Annotated[int, typer.Option(min=0, help="Scenes without labels, as test images.")] = 0,
    compression: Annotated[
        Compression, typer.Option(help="How the TIFFs are packed; `none` is what every reader can read.")
    ] = Compression.zstd,
) -> None:
    """Write a synthetic world in the DSTL layout."""
    from landscribe.stages.world import write_world
    from landscribe.worlds.world import WorldSpec

    spec = WorldSpec(scenes=scenes, height=height, width=width, seed=seed)
    with reporting() as progress:
        ids = write_world(
            folder, spec, unlabelled=unlabelled, packing=compression.value, workers=_workers(scenes), progress=progress
        )
    tell(f"{folder}: {', '.join(ids)}")


def demo(
    folder: Annotated[Path, typer.Argument(help="Where the world and its run go.")] = Path("landscribe-demo"),
) -> None:
    """Make a synthetic world, run every stage on it, and write a report. A few minutes on two cores."""
    from landscribe.io.run.runs import open_run
    from landscribe.stages.world import write_world
    from landscribe.worlds.world import WorldSpec

    spec = WorldSpec(scenes=14, height=544, width=512, seed=1)
    if not (folder / "world" / "sample_submission.csv").is_file():
        with reporting() as progress:
            ids = write_world(folder / "world", spec, unlabelled=1, workers=_workers(spec.scenes), progress=progress)
        say(f"world: {len(ids)} scenes in {folder / 'world'}")
    project = open_recipe("demo", [f"data.root={(folder / 'world').resolve().as_posix()}"])
    run_all(project, open_run(folder / "run"))


def qgis(
    profile: Annotated[str, typer.Option(help="Profile of QGIS.")] = "default",
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder of QGIS's plugins, where it is another.", metavar="DIR")
    ] = None,
) -> None:
    """Install the plugin for QGIS: Train, Predict and Review in its Processing toolbox."""
    from landscribe.stages.files.qgis import install_plugin, plugins_folder

    tell(str(install_plugin(to or plugins_folder(profile))))
    say("start QGIS again, tick Landscribe under Plugins, Manage and Install Plugins, and open the Processing toolbox")
    say("without a window: qgis_process plugins enable landscribe_qgis")


def _workers(scenes: int) -> int:
    return max(1, min(os.cpu_count() or 1, scenes, 8))
