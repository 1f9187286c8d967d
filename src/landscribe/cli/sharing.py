"""Options that share a stage's scenes out: `--part`, `--only`, `--on`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from landscribe.cli.console import reporting
from landscribe.errors import RecipeError, problem

if TYPE_CHECKING:
    from landscribe.io.project import Project, StageResult
    from landscribe.io.project.batches import Way

PartOption = Annotated[
    str | None,
    typer.Option(
        "--part",
        help="Only the K-th of N parts of the scenes, beside other processes that do the others.",
        metavar="K/N",
    ),
]
OnlyOption = Annotated[list[str] | None, typer.Option("--only", help="Only this scene; may be repeated.", metavar="ID")]

OnOption = Annotated[
    str | None,
    typer.Option(
        "--on",
        help="Share the scenes among N worker processes here, or those of a Dask scheduler (landscribe[dask]).",
        metavar="local:N|tcp://HOST:PORT",
    ),
]
GpuOption = Annotated[
    bool, typer.Option("--gpu", help="With --on: predict on workers that declare a GPU, or not at all.")
]


@dataclass(frozen=True)
class How:
    """How the scenes of a stage are shared out."""

    part: str | None = None
    only: tuple[str, ...] = ()
    on: str | None = None
    gpu: bool = False

    def __post_init__(self) -> None:
        if self.is_part and self.on is not None:
            raise RecipeError(problem("--on", "does not go with --part and --only", do="leave one of them out"))
        if self.gpu and self.on is None:
            raise RecipeError(
                problem("--gpu", "goes with --on", do="leave it out: a GPU of this machine is used anyway")
            )

    @property
    def is_part(self) -> bool:
        """Whether some scenes are left to others."""
        return self.part is not None or bool(self.only)

    def require_none(self, what: str) -> None:
        """Refuse options that do not go with something.

        Raises:
            RecipeError: If one is given.
        """
        if self.is_part or self.on is not None:
            raise RecipeError(problem("--part, --only and --on", f"do not go with {what}"))

    @contextlib.contextmanager
    def way(self, project: Project, models: Path | None) -> Iterator[Way]:
        """Open the workers that are asked for, or none."""
        from landscribe.io.project.batches import HERE

        if self.on is None:
            yield HERE
            return
        from landscribe.scale import open_crew

        with open_crew(self.on, project, models, gpu=self.gpu) as crew:
            yield crew


EVERYTHING = How()


def do_stage_as(how: How, name: str, project: Project, run: Path, models: Path | None = None) -> StageResult:
    """Do a stage in a run folder as the options say.

    Raises:
        LimitError: If another process is at work there.
    """
    from landscribe.io.project.batches import Part, read_part
    from landscribe.io.run.leases import leases_in
    from landscribe.io.run.owner import alone_in, beside_others_in
    from landscribe.io.run.runs import Run, open_run
    from landscribe.pipeline import do_part, do_stage

    if not how.is_part:
        folder = open_run(run)
        with alone_in(folder), how.way(project, models) as way, reporting() as progress:
            return do_stage(name, project, folder, progress, models=models, way=way)
    number, count = read_part(how.part) if how.part is not None else (1, 1)
    run.mkdir(parents=True, exist_ok=True)
    folder = Run(run)  # leftovers are swept by whoever is alone
    said = f"{name} --part {number}/{count}" if how.part is not None else f"{name} --only {how.only[0]}"
    with beside_others_in(folder, said), leases_in(folder) as leases, reporting() as progress:
        part = Part(leases, number, count, frozenset(how.only))
        return do_part(name, project, folder, progress, part, models=models)
