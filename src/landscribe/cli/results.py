"""What is told of a score, and of what a run would do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from landscribe.cli.console import reporting, say, tell, tell_table
from landscribe.errors import DataError, IntegrityError, PartialError, problem

if TYPE_CHECKING:
    from landscribe.core.score.score import Score
    from landscribe.core.score.seeds import RowSeeds
    from landscribe.io.project import Project, StageResult
    from landscribe.stages.plan import Plan


def tell_score(score: Score) -> None:
    """Write the score table."""
    from landscribe.core.score.shown import HEADS, OBJECT_HEADS, OBJECT_SPARE, object_rows, score_rows

    tell_table(list(HEADS), score_rows(score))
    objects = object_rows(score)
    if objects:
        tell_table(list(OBJECT_HEADS), objects, spare=OBJECT_SPARE)
    say_left_out(score)


def tell_seeds(rows: Sequence[RowSeeds]) -> None:
    """Say what networks that differ in their seed alone give, and below which a difference is noise."""
    for row in rows:
        if row.spread is None or row.noise is None:
            continue
        each = ", ".join(f"{value:.3f}" for value in row.means())
        tell(f"seeds of {row.name!r}: {each} each alone (pixels, one view), spread {row.spread:.3f}")
        tell(f"  a difference below {row.noise:.3f} from another run of {row.networks} networks is noise")


def say_left_out(score: Score) -> None:
    """Say what counts on no side of a score, and where there is nothing to score."""
    from landscribe.core.score.left_out import alarms, left_out_lines

    for line in left_out_lines(score):
        say(line)
    for line in alarms(score):
        say(f"WARNING: {line}")


def tell_plan(project: Project, models: Path | None) -> None:
    """Say what a run would read, write and compute."""
    scenes = project.scenes.scenes
    files = [file for scene in scenes for file in scene.sensors.values()]
    size = sum(file.path.stat().st_size for file in files if not file.address)
    labelled = sum(scene.has_labels for scene in scenes)
    tell(f"reads {len(files)} rasters of {len(scenes)} scenes ({labelled} labelled), {size / 1e6:.1f} MB")
    from landscribe.io.source.scenes import sensor_grids

    pixels = 0
    remote = sum(scene.is_remote for scene in scenes)
    if remote:
        tell(f"copies what {remote} of the scenes have on servers; their sizes are not counted here")
    for scene in (scene for scene in scenes if not scene.is_remote):
        grid = sensor_grids(scene)[scene.reference.name]
        pixels += grid.height * grid.width
    classes = len(project.legend)
    written = f"{size / 1e6:.0f} MB of prepared rasters and up to {pixels * classes / 1e6:.0f} MB of probabilities"
    tell(f"writes about {written}")
    for table in project.recipe.models if models is None else ():
        inner = table.chips.size - 2 * table.chips.context
        steps = table.schedule.steps or max(1, round(pixels / (inner**2 * table.chips.batch)))
        chips = steps * table.schedule.epochs * table.chips.batch
        say_steps = f"{table.schedule.epochs} epochs of about {steps} steps"
        tell(f"trains {table.name!r}: {say_steps}, {chips} chips of {table.chips.size} px")
    adapt = project.recipe.adapt
    if adapt.epochs and models is None:
        often = "epoch" if adapt.epochs == 1 else "epochs"
        tell(f"trains on for {adapt.epochs} {often} with {adapt.scenes} scenes, and predicts held-out ones twice")
    views = project.recipe.predict.symmetries
    networks = sum(len(table.members(project.recipe.seed)) for table in project.recipe.models)
    if project.finished is not None:
        networks = len(project.finished.digests)
    tell(f"predicts up to {pixels / 1e6:.1f} Mpx x {views} views x {networks} networks")
    if models is None and any(table.kind == "network" for table in project.recipe.models):
        from landscribe.stages.plan import expect

        try:
            with reporting() as progress:
                found = expect(project, progress)
        except DataError as error:
            tell(f"how long it takes cannot be said: {error}")
        else:
            tell_costs(found)


def tell_costs(found: Plan, write: Callable[[str], None] = tell) -> None:
    """Say what a run takes: minutes of training and predicting, and memory."""
    from landscribe.workers import free_memory_bytes

    for cost in found.costs:
        several = f"{cost.networks} networks of " if cost.networks > 1 else ""
        write(
            f"train {cost.name!r}: {several}{cost.steps} steps of {cost.pace.step_s:.2f} s, "
            f"about {_minutes(cost.train_s)}; predict: about {_minutes(cost.predict_s)}"
        )
    where = "of the GPU" if found.facts.gpu else f"of {free_memory_bytes() / 1e9:.1f} GB free"
    if found.memory_bytes:
        write(f"in all about {_minutes(found.seconds)} on this machine, and {found.memory_bytes / 1e9:.1f} GB {where}")
    for note in found.notes:
        write(note)


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 120 * 60 else f"{seconds / 3600:.1f} h"


def tell_result(result: StageResult, told: Collection[str] = ()) -> None:
    """Say what a stage did, without what was told before."""
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


def raise_failures(results: list[StageResult]) -> None:
    """End with the code of scenes that failed, if some did.

    Raises:
        PartialError: With their names.
        IntegrityError: The same, where a file was not what had been written.
    """
    failed: dict[str, str] = {}
    for result in results:
        for item, reason in result.failed.items():
            failed.setdefault(item, f"{result.stage}: {reason}")
    if failed:
        names = ", ".join(sorted(failed))
        text = problem(f"{len(failed)} failed, the others are done", names, do="see the lines above")
        raise IntegrityError(text) if any(result.damaged for result in results) else PartialError(text)
