"""Finished models that a run uses instead of training its own: what their files say of what they know.

A model's file says, under `knows`, which classes it was trained for (id, name, colour), which sensors its scenes had,
and by what each of those scenes can be known again. Models of older versions say the names of scenes only, and their
classes stand in the recipe that they keep.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from landscribe.core.legend import DSTL_LEGEND, LandClass, Legend, default_colour
from landscribe.core.owners import is_border, row_of
from landscribe.core.seal import seal, unseal
from landscribe.core.split.leaks import lonlat_outline
from landscribe.core.split.seen import Sighting
from landscribe.errors import IntegrityError, RecipeError, problem
from landscribe.io.atomic import write_text
from landscribe.io.digests import file_digest
from landscribe.io.models.formulas import FORMULA, MEANT
from landscribe.io.models.model_files import DESCRIPTION, WEIGHTS, model_folders
from landscribe.io.models.ranges import learn_ranges, pixel_size
from landscribe.io.run.prepared import open_prepared, read_facts
from landscribe.io.run.runs import Run

FINISHED = "finished.json"
OPTION = "--models"
_DAMAGED = (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError)


@dataclass(frozen=True)
class ModelSensor:
    """A sensor that models read."""

    name: str
    kind: str
    bands: tuple[str, ...]
    bits: int
    scale: float | None = None
    """Its pixel size in those of the reference; None where no model says it."""


@dataclass(frozen=True)
class Description:
    """What the file of one model says of itself."""

    name: str
    classes: tuple[str, ...]
    """In the order of outputs."""
    sensors: tuple[ModelSensor, ...]
    """Those that it reads."""
    trained_on: tuple[str, ...]
    """Scenes by name."""
    knows: Mapping[str, Any] | None
    """As `what_it_knows` returns it; None for models of older versions."""
    recipe: Any
    """The recipe that it was trained by, with all defaults; anything, in the file of another program."""
    reads_labels: bool
    digest: str
    """Of the model: that of its description, which names the weights, and where they are others, of both."""
    described: str
    """Of the description alone."""
    edited: bool = False
    """Since it was trained; whoever uses it has said that it is meant so."""


@dataclass(frozen=True)
class FinishedModels:
    """What the models in a folder know."""

    folder: Path
    digests: Mapping[str, str]
    """Description below the folder -> SHA-256."""
    classes: tuple[LandClass, ...]
    sensors: tuple[ModelSensor, ...]
    seen: tuple[Sighting, ...] = ()
    """Scenes that one of them was trained on."""
    seen_by_name: tuple[str, ...] = ()
    """The same of models that know no more of them than their names."""
    read_labels: tuple[str, ...] = ()
    """Models that give back labels."""
    owned: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Row of `[[models]]` -> classes."""
    recipe: Mapping[str, Any] | None = None
    """The recipe of one of the networks, with all defaults."""
    edited: tuple[str, ...] = ()
    """Descriptions below the folder that somebody has changed and that are trusted all the same."""
    trusted: bool = False
    """Whether somebody said that changed ones are meant so."""
    given: Path | None = None
    """The bundle that the folder was unpacked from; None where the folder itself was given."""

    @property
    def named(self) -> Path:
        """What to give again to use the same models."""
        return self.given or self.folder

    @property
    def legend(self) -> Legend:
        """Their classes in the order of ids; labels may name others."""
        return Legend(tuple(sorted(self.classes, key=lambda c: c.id)), is_partial=True)


def sighting_of(run: Run, scene_id: str) -> Sighting:
    """Return by what a prepared scene can be known again."""
    facts = read_facts(run, scene_id)
    pixels = tuple(row["pixels"] for row in facts["statistics"].values() if row.get("pixels"))
    grid = open_prepared(run, scene_id).grid
    corners = [] if grid.crs is None else list(lonlat_outline(grid).exterior.coords)[:-1]
    return Sighting(scene_id, pixels, tuple((round(x, 9), round(y, 9)) for x, y in corners))


def what_it_knows(run: Run, legend: Legend, trained_on: Iterable[str], like: Sequence[str] = ()) -> dict[str, Any]:
    """Return, as JSON values, what the file of a model keeps of the run that it was trained in.

    Args:
        run: The run folder; the scenes are prepared.
        legend: Classes of the run.
        trained_on: Scenes that the model was trained on.
        like: Scenes whose sensors it reads, where its own description does not say them.
    """
    sensors = []
    if like:
        first = open_prepared(run, like[0])
        sensors = [ModelSensor(name, kind, first.bands[name], first.bits[name]) for name, kind in first.kinds.items()]
    scenes = [open_prepared(run, scene_id) for scene_id in like or trained_on]
    return {
        "ranges": learn_ranges([scene.folder for scene in scenes], map(pixel_size, scenes)),
        "sensors": [asdict(sensor) for sensor in sensors],
        "classes": [asdict(land_class) for land_class in legend],
        "scenes": [asdict(sighting_of(run, scene_id)) for scene_id in trained_on],
    }


def look_at_models(folder: Path, *, snapshots: bool = False, trust: bool = False) -> FinishedModels:
    """Read what finished models say of themselves, without building them.

    Args:
        folder: One folder for each model, or the folder of one.
        snapshots: Whether their snapshots are asked for, which then have to be there.
        trust: Take models that somebody has edited, too.

    Raises:
        RecipeError: If it is no folder, no model is in it, or two of them read a sensor in two ways.
        DataError: If snapshots are asked for and missing.
        IntegrityError: If a description is damaged or edited, or weights are not those of their description.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise RecipeError(problem(f"{OPTION} {folder}", what, need="a folder of finished models, such as RUN/models"))
    if not [path for kind in (DESCRIPTION, FORMULA) for path in (*folder.glob(kind), *folder.glob(f"*/{kind}"))]:
        inner = [path for path in (folder / "models",) if any(path.glob("*/*.json"))]
        do = f"take {inner[0]}" if inner else None
        need = f"NAME/{DESCRIPTION} or NAME/{FORMULA} in it"
        raise RecipeError(problem(f"{OPTION} {folder}", "no finished model", need=need, do=do))
    model_folders(folder, None, snapshots=snapshots)
    files = [
        path / (DESCRIPTION if (path / DESCRIPTION).is_file() else FORMULA)
        for (path,) in model_folders(folder, None).values()
    ]
    found = {file.relative_to(folder).as_posix(): read_description(file, trust=trust) for file in files}
    return replace(_gather(folder, found), trusted=trust)


def read_description(file: Path, *, trust: bool = False) -> Description:
    """Read the description of a model and compare its weights with it.

    Args:
        file: The description.
        trust: Take one that was edited, and weights that are not its own.

    Raises:
        IntegrityError: If it is damaged or edited, or the weights are missing or others.
    """
    raw, edited = file.read_bytes(), False
    digest = hashlib.sha256(raw).hexdigest()
    try:
        content = unseal(raw, str(file), do=MEANT)
    except IntegrityError:
        if not trust:
            raise
        content, edited = unseal(raw, str(file), do=MEANT, trusted=True), True
    try:
        own = content["spec"] if file.name == DESCRIPTION else content
        kept = content["extra"] if file.name == DESCRIPTION else content
        found = Description(
            str(own["name"]),
            tuple(str(name) for name in own["classes"]),
            tuple(_sensors_of(content, own)),
            tuple(str(scene) for scene in kept.get("trained_on", ())),
            kept.get("knows") or None,
            kept.get("recipe"),
            content.get("kind") == "labels",
            digest,
            digest,
        )
        weights = content["sha256"] if file.name == DESCRIPTION else None
    except _DAMAGED as error:
        raise IntegrityError(problem(str(file), "not the description of a model", got=type(error).__name__)) from None
    beside = file.with_name(WEIGHTS)
    if weights is not None and not beside.is_file():
        raise IntegrityError(problem(str(beside), "missing", do="copy the whole folder"))
    if weights is not None and file_digest(beside) != weights:
        if not trust:
            raise IntegrityError(problem(str(beside), "not the weights of its description", do=MEANT))
        other = hashlib.sha256(f"{digest} {file_digest(beside)}".encode()).hexdigest()
        found, edited = replace(found, digest=other), True
    return replace(found, edited=edited)


def _sensors_of(content: Mapping[str, Any], own: Mapping[str, Any]) -> list[ModelSensor]:
    """Return the sensors of a network, or those of its run that a rule reads."""
    if "spec" in content:
        scales = own["scales"]
        rows = [row | {"scale": float(scales[row["name"]])} for row in own["sensors"]]
    else:
        rows = content.get("knows", {}).get("sensors", ())
        rows = [row for row in rows if own["sensors"] is None or row["name"] in own["sensors"]]
    return [_sensor(row) for row in rows]


def _sensor(row: Mapping[str, Any]) -> ModelSensor:
    return ModelSensor(row["name"], row["kind"], tuple(row["bands"]), int(row["bits"]), row["scale"])


def _gather(folder: Path, models: Mapping[str, Description]) -> FinishedModels:
    try:
        scenes = [_sighting(row) for m in models.values() if m.knows for row in m.knows["scenes"]]
        classes = _classes(models.values())
    except _DAMAGED as error:
        got = type(error).__name__
        raise IntegrityError(problem(f"{OPTION} {folder}", "a model says wrongly what it knows", got=got)) from None
    recipes = [m.recipe for m in models.values() if isinstance(m.recipe, dict)]
    return FinishedModels(
        folder.resolve(),
        {name: m.digest for name, m in models.items()},
        classes,
        _sensors(folder, models.values()),
        tuple(dict.fromkeys(scenes)),
        tuple(dict.fromkeys(i for m in models.values() if not m.knows for i in m.trained_on)),
        tuple(m.name for m in models.values() if m.reads_labels),
        {
            row_of(Path(name).parent.name or folder.name): tuple(n for n in m.classes if not is_border(n))
            for name, m in models.items()
        },
        recipes[0] if recipes else None,
        tuple(name for name, m in models.items() if m.edited),
    )


def _sighting(row: Mapping[str, Any]) -> Sighting:
    outline = tuple((float(x), float(y)) for x, y in row["outline"])
    return Sighting(str(row["scene"]), tuple(str(digest) for digest in row["pixels"]), outline)


def _sensors(folder: Path, models: Iterable[Description]) -> tuple[ModelSensor, ...]:
    found: dict[str, ModelSensor] = {}
    for model in models:
        for sensor in model.sensors:
            other = found.setdefault(sensor.name, sensor)
            if other.bands != sensor.bands:
                what = f"two models read sensor {sensor.name!r} in two ways"
                got = f"{', '.join(other.bands)} and {', '.join(sensor.bands)}"
                raise RecipeError(problem(f"{OPTION} {folder}", what, got=got, do="use them in two runs"))
    return tuple(found.values())


def _classes(models: Iterable[Description]) -> tuple[LandClass, ...]:
    """Return the classes that models own, as the first one that says more than a name describes them."""
    described: dict[str, LandClass] = {}
    owned: list[str] = []
    for model in models:
        owned += [name for name in model.classes if name not in owned and not is_border(name)]
        for row in model.knows["classes"] if model.knows else _rows_of(model.recipe):
            land_class = _land_class(row)
            described.setdefault(land_class.name, land_class)
    # Those without a description come last, and models of two runs may number their classes alike.
    order = sorted(owned, key=lambda name: name not in described)
    free = max((land_class.id for land_class in described.values()), default=0) + 1
    classes: dict[int, LandClass] = {}
    for name in order:
        land_class = described.get(name, LandClass(free, name, default_colour(free - 1)))
        number = free if land_class.id in classes else land_class.id
        classes[number] = replace(land_class, id=number)
        free = max(free, number + 1)
    return tuple(classes.values())


def _land_class(row: Mapping[str, Any]) -> LandClass:
    also = tuple(str(name) for name in row.get("also", ()))
    return LandClass(int(row["id"]), str(row["name"]), str(row["colour"]), bool(row["countable"]), also)


def _rows_of(recipe: Any) -> list[dict[str, Any]]:
    """Return the classes that the recipe of an older model says."""
    if not isinstance(recipe, dict):
        return []
    if recipe.get("classes"):
        return [
            {"id": row["id"] or k + 1, "name": row["name"], "colour": row["colour"] or default_colour(k),
             "countable": row["countable"]}
            for k, row in enumerate(recipe["classes"])
        ]  # fmt: skip
    if recipe["data"]["source"] == "dstl":
        return [asdict(land_class) for land_class in DSTL_LEGEND]
    return []


def keep_finished(run: Run, finished: FinishedModels) -> None:
    """Write into a run folder which finished models it uses."""
    values = asdict(finished) | {"folder": str(finished.named), "recipe": None, "given": None}
    text = seal(values)
    file = run.path(FINISHED)
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        write_text(file, text)


def forget_finished(run: Run) -> None:
    """Let a run use its own models from now on."""
    run.path(FINISHED).unlink(missing_ok=True)


def read_finished(run: Run) -> FinishedModels | None:
    """Return the finished models that a run uses; None where it trains its own.

    Raises:
        IntegrityError: If the file is damaged.
    """
    file = run.path(FINISHED)
    if not file.is_file():
        return None
    try:
        content = unseal(file.read_bytes(), str(file), do=f"delete it and give {OPTION} again", sealed=False)
        return FinishedModels(
            Path(content["folder"]),
            dict(content["digests"]),
            tuple(_land_class(row) for row in content["classes"]),
            tuple(_sensor(row) for row in content["sensors"]),
            tuple(_sighting(row) for row in content["seen"]),
            tuple(content["seen_by_name"]),
            tuple(content["read_labels"]),
            {row: tuple(names) for row, names in content["owned"].items()},
            edited=tuple(content.get("edited", ())),
            trusted=bool(content.get("trusted")),
        )
    except _DAMAGED as error:
        do = f"delete it and give {OPTION} again"
        raise IntegrityError(problem(FINISHED, "damaged", got=type(error).__name__, do=do)) from None
