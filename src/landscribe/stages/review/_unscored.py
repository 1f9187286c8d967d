"""Reviewed scenes that would have been scored, and no longer are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from landscribe.core.split.split import read_split
from landscribe.errors import LandscribeError, some
from landscribe.io.project import Project
from landscribe.io.project.reviewed_sides import unscored
from landscribe.io.project.splits import SPLIT
from landscribe.io.review.found import models_digest
from landscribe.io.review.review import Review
from landscribe.io.run.runs import Run

LOST = "they are not scored any more, and train instead"


def say_unscored(project: Project, given: Sequence[tuple[Review, Run | None]]) -> list[str]:
    """Say which scenes of reviews were held out, by the run that found the polygons or else by the recipe.

    Args:
        project: The recipe as it was before.
        given: Reviews, each with its run where that is known.
    """
    of_run: dict[Path, list[str]] = {}
    others: list[str] = []
    for review, run in given:
        found = run or _run_of(project, review)
        (others if found is None else of_run.setdefault(found.root.resolve(), [])).extend(review.scenes)
    lines = []
    for root, scenes in of_run.items():
        held = _held_out(Run(root)) or ()
        gone = [scene for scene in dict.fromkeys(scenes) if scene in held]
        left = len(held) - len(gone)
        lines += [f"{some(gone)}: held out in {root.name}: {LOST}; {_scenes(left)} left"] if gone else []
    return [*lines, *unscored(project, others)]


def _run_of(project: Project, review: Review) -> Run | None:
    """Return the run that a review names, if it lies where runs usually do and has the models of the review."""
    models = set(review.features["model"]) - {""}
    for folder in _likely(project, review.run) if review.run else ():
        run = Run(folder)
        if folder.is_dir() and models == {models_digest(run)} and _held_out(run) is not None:
            return run
    return None


def _likely(project: Project, name: str) -> Iterable[Path]:
    for base in dict.fromkeys([project.home or project.root, Path.cwd()]):
        yield from (base / "runs" / Path(name).name, base / Path(name).name)


def _held_out(run: Run) -> tuple[str, ...] | None:
    file = run.path(SPLIT)
    try:
        return read_split(file.read_text(encoding="utf-8", errors="replace"), str(file))[0].validate
    except (OSError, LandscribeError):
        return None


def _scenes(n: int) -> str:
    return "1 held-out scene is" if n == 1 else f"{n} held-out scenes are"
