"""Models that come with Landscribe, by name: small bundles, each with what it learned from and under which licence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from landscribe.errors import RecipeError, problem

FOLDER = Path(__file__).parents[2] / "ready"
MOST_BYTES = 5_000_000
"""A larger bundle does not come with the package: it is made on the spot."""
SCRIPT = "python docs/make_ready_models.py"
"""Of the repository; makes a bundle from its recipe."""


@dataclass(frozen=True)
class ReadyModel:
    """A model that has a name."""

    finds: str
    """What, in which imagery."""
    data: str
    """What it learned from, with credit."""
    licence: str
    """Of the data, and so of the weights."""


READY: Mapping[str, ReadyModel] = {
    "buildings-demo": ReadyModel(
        "buildings, block by block as they were labelled, in 8-bit RGB pictures from above",
        "Dubai, Mohammed Bin Rashid Space Centre imagery, annotated by Humans in the Loop",
        "CC0 1.0",
    ),
    "buildings-vegas": ReadyModel(
        "buildings in WorldView-3 RGB of 11 bits, 0.3 m a pixel",
        "SpaceNet 2, Las Vegas: Van Etten, Lindenbaum, Bacastow (2018), arXiv:1807.01232",
        "CC BY-SA 4.0",
    ),
}


def named_models(models: Path) -> Path:
    """Return the bundle of a model that has a name; whatever else is given, and a file or folder of that name, stays.

    Args:
        models: A folder, a bundle, or the name of a ready model.

    Raises:
        RecipeError: If the bundle is not in this installation.
    """
    name = str(models)
    if name not in READY or models.exists():
        return models
    bundle = FOLDER / f"{name}.zip"
    if not bundle.is_file():
        do = f"{SCRIPT} {name} --to {name}.zip, then --models {name}.zip"
        raise RecipeError(problem(f"--models {name}", "its bundle does not come with the package", do=do))
    return bundle


def ready_line(models: Path) -> str:
    """Return what is to be said of a ready model; nothing of other models."""
    if models.parent != FOLDER or models.stem not in READY:
        return ""
    known = READY[models.stem]
    return f"{models.stem} finds {known.finds}; trained on {known.data} ({known.licence})"


def readme_of(name: str, scored: str) -> str:
    """Return the page of a ready model.

    Args:
        name: Of the model.
        scored: What was scored, and how well.
    """
    known = READY[name]
    lines = [
        f"# {name}", "", f"Finds {known.finds}.", "", f"- Trained on: {known.data}", f"- Licence: {known.licence}",
        f"- Score: {scored}", f"- Made by: {SCRIPT} {name}, from recipes/ready/{name}.toml", "",
        f"    landscribe predict IMAGE --models {name}", "",
        "It shows what comes out, and is no product: other roofs, other light or other pixels need labels of your own.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
