"""Which side of a split scenes stand on that people have reviewed: they train, and are never scored."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import shapely

from landscribe.core.split.split import Split
from landscribe.errors import RecipeError, problem, some
from landscribe.io.labels.reviewed import REVIEWED, reviewed_ground
from landscribe.io.project import Project
from landscribe.io.project.label_facts import LABELLED
from landscribe.io.project.leaks import find_leaks
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import Record, Run
from landscribe.io.source.scenes import Scene

WHY = "reviewed, so never scored"
WAITS, GONE = "reviewed, but neither trained on nor scored", "no longer scored, since they were reviewed"
SAID = (WHY, WAITS, GONE)
"""What a split says of them begins with one of these."""
NOT_SCORED = "reviewed: people have seen what was found there, and their labels begin with it"


def with_reviewed_sides(
    project: Project, run: Run, prepared: Mapping[str, Record], split: Split, same_ground: Mapping[str, str]
) -> Split:
    """Take reviewed scenes out of what is scored, and let them train where that tells nothing of what is.

    What a person said of a scene begins with what a model found there: labels made so would praise that model. Cutting
    out the polygons alone would leave what it had missed. So the whole scene, or the whole corner of it that was held
    out, is not scored. It trains, unless its place, or its ground, stands among what is scored still.

    Args:
        project: The recipe with its data.
        run: The run folder.
        prepared: Records of `prepare`.
        split: As it is drawn from label files alone.
        same_ground: Places that are taken for another one, since they show the same ground.
    """
    known = reviewed_scenes(prepared)
    reviewed = [scene for scene in project.scenes.scenes if scene.id in known]
    if not reviewed:
        return split
    whole = {s.id for s in reviewed if s.id not in split.corners or _meets_corner(project, run, s, split)}
    ids = [scene.id for scene in reviewed if scene.id in whole]
    validate = tuple(i for i in split.validate if i not in whole)
    corners = {i: corner for i, corner in split.corners.items() if i not in whole}
    place_of = {s.id: same_ground.get(s.place, s.place) for s in project.scenes.scenes}
    table = project.recipe.validation
    held_places = {place_of[i] for i in validate} if table.whole_places and not corners else set()
    wait = {i: "its place is held out" for i in ids if i not in split.train and place_of[i] in held_places}
    new = tuple(i for i in ids if i not in split.train and i not in wait)
    if table.leak_check and new and validate:
        for leak in find_leaks(project, run, Split(new, validate))[1]:
            first, second = (leak.first, leak.second) if leak.first in new else (leak.second, leak.first)
            wait[first] = f"it shows the ground of {second!r}, which is held out"
    train = {*split.train, *(i for i in new if i not in wait)}
    left = [i for i in ids if i in split.validate]
    said = [f"{WHY}: {some(ids)}"] if ids else []
    said += [f"{WAITS}: {i!r}, {why}" for i, why in wait.items()]
    said += [f"{GONE}: {some(left)}, which leaves {len(validate)} held-out scenes"] if left else []
    return replace(
        split,
        train=tuple(scene.id for scene in project.scenes.scenes if scene.id in train),
        validate=validate,
        corners=corners,
        why="; ".join([split.why, *said]),
    )


def require_unreviewed(prepared: Mapping[str, Record], split: Split, where: str) -> None:
    """Refuse to score a scene that was reviewed, unless a corner of it is held out.

    Raises:
        RecipeError: With the first such scene.
    """
    for scene_id in reviewed_scenes(prepared):
        if scene_id in split.validate and scene_id not in split.corners:
            do = "take it out of 'validate', or delete the file to have it drawn again"
            raise RecipeError(problem(where, f"scene {scene_id!r} validates, and people have reviewed it", do=do))


def unscored(project: Project, reviewed: Collection[str]) -> list[str]:
    """Say which of some reviewed scenes are not scored any more, as far as a recipe tells without its data.

    Args:
        project: The recipe.
        reviewed: Scenes that were reviewed; beside those of which it knows that.
    """
    table = project.recipe.validation
    if table.split in ("corner", "none"):  # a corner is scored as long as nothing in it was reviewed
        return []
    may = [s for s in project.scenes.scenes if s.label_files and s.id not in table.train]
    if table.split == "named":
        may = [s for s in may if s.id in table.scenes or s.place in table.places]
    gone = [s.id for s in may if s.id in reviewed]
    left = [s.id for s in may if s.id not in reviewed and not s.reviews]
    if not gone:
        return []
    end = "" if left else "; no other is left that could be, so nothing will be scored"
    what = "held out by the recipe, and" if table.split == "named" else "labelled, and"
    return [f"{some(gone)}: {what} {WHY}{end}"]


def reviewed_scenes(prepared: Mapping[str, Record]) -> list[str]:
    """Return the prepared scenes that people have reviewed and that have labels."""
    return [i for i, record in prepared.items() if REVIEWED in record.counts and LABELLED in record.counts]


def _meets_corner(project: Project, run: Run, scene: Scene, split: Split) -> bool:
    corner = split.corners[scene.id]
    window = shapely.box(corner.col, corner.row, corner.col_stop, corner.row_stop)
    ground = reviewed_ground(scene, project.legend, open_prepared(run, scene.id).grid)
    return bool(shapely.intersects(ground, window).any())
