"""Scenes that people have reviewed: their reviews beside their label files."""

from __future__ import annotations

from dataclasses import replace

from landscribe.core.recipe import Recipe
from landscribe.errors import problem, some
from landscribe.io.review.history import History, strays
from landscribe.io.source.scenes import ReviewFile, Scene, SceneList


def with_reviews(found: SceneList, history: History | None, recipe: Recipe) -> SceneList:
    """Return scenes with the reviews that hold.

    Args:
        found: The scenes of the recipe.
        history: What was absorbed, None where the recipe names none.
        recipe: Which says whether classes exclude each other.
    """
    if history is None:
        return found
    exclusive = recipe.vectorize.exclusive

    def reviewed(scene: Scene) -> Scene:
        files = [
            ReviewFile(history.folder / r.file, r.sha256, r.over_labels, exclusive) for r in history.of_scene(scene.id)
        ]
        return replace(scene, reviews=tuple(files))

    known = {scene.id for scene in found.scenes}
    said = []
    for review in history.holding:
        lost = [scene for scene in review.scenes if scene not in known]
        if lost:
            said.append(
                problem(f"review {review.file}", "speaks of scenes that the recipe does not have", got=some(lost))
            )
    said += [problem(f"{history.folder / name}", "was not absorbed and is not used") for name in strays(history)]
    return replace(found, scenes=tuple(map(reviewed, found.scenes)), problems=(*found.problems, *said))
