"""`init`: look at a folder of images and labels and write a recipe that works."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from landscribe.errors import DataError, problem
from landscribe.io.atomic import write_text
from landscribe.io.layout.corner import choose_corner
from landscribe.io.layout.found import Layout
from landscribe.io.layout.recognise import recognise
from landscribe.io.layout.text import recipe_text
from landscribe.io.project import open_project
from landscribe.io.review.history import HISTORY, REVIEWS, History, read_history
from landscribe.io.review.line import with_reviews_line
from landscribe.io.settings import parse_recipe


def write_recipe(folder: Path, out: Path, wishes: Mapping[str, str] | None = None) -> list[str]:
    """Write a recipe for a folder.

    Args:
        folder: Images and labels, in any sub-folders.
        out: TOML file to write.
        wishes: What the user says where the folder does not: `images` and `labels` as parts of paths, `class`,
            `class_field`.

    Returns:
        What was taken for what, and how to take the other reading, one line each.

    Raises:
        DataError: If the folder has no image, or nothing that can be read.
        RecipeError: If it can be read in several ways, and nothing says which.
        IntegrityError: If reviews beside the recipe were changed since they were absorbed.
    """
    if not folder.is_dir():
        raise DataError(problem(str(folder), "no such folder"))
    layout = recognise(folder, wishes or {})
    root = Path(os.path.relpath(folder.resolve(), out.resolve().parent)).as_posix()
    title = (
        f"Written by landscribe init for {folder.resolve().name}; look it through, then: landscribe check {out.name}"
    )
    if layout.scenes == 1 and layout.labels:
        layout = _with_corner(layout, root, out)
    text, said = recipe_text(layout, root, title), list(layout.said)
    reviews = out.resolve().parent / REVIEWS
    if (reviews / HISTORY).is_file():
        text = with_reviews_line(text, REVIEWS, out.name)
        said.append(_count(read_history(reviews)))
    write_text(out, text)
    return said


def _count(history: History) -> str:
    """Say how much of the reviews beside the recipe there is."""
    said = [n for review in history.holding for counts in review.scenes.values() for n in counts.values()]
    scenes = {scene for review in history.holding for scene in review.scenes}
    what = f"{sum(said)} polygons and areas in {len(scenes)} scenes"
    return f"reviews: {len(history.holding)} of them, {what}, count as labels"


def _with_corner(layout: Layout, root: str, out: Path) -> Layout:
    """Choose a corner of the only image that validates."""
    project = open_project(parse_recipe(recipe_text(layout, root, ""), out.resolve().parent, out.name))
    corner, side, least = choose_corner(project)
    said = [*layout.said, f"one image: its {corner} corner of {side} px validates, which says little of other ground"]
    if least == 0:
        said.append("  no corner has all classes in it and beside it; label more, or another image")
    return replace(layout, corner=corner, corner_px=side, said=tuple(said))
