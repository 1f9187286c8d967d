"""Models of a run or from elsewhere, loaded and compared with what they say of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from landscribe.core.owners import Owners, find_owners, is_border, row_of
from landscribe.errors import IntegrityError, RecipeError, problem
from landscribe.io.digests import file_digest
from landscribe.io.models.finished import read_description
from landscribe.io.models.formulas import FORMULA, Formula, read_formula
from landscribe.io.models.model_files import DESCRIPTION, model_folders, read_model
from landscribe.io.models.ranges import Ranges
from landscribe.io.project import Project

if TYPE_CHECKING:  # torch takes seconds to import, and not every command needs it
    from landscribe.nn.network.bundle import SegmentationNet


@dataclass(frozen=True)
class LoadedModels:
    """Networks that together own the classes of a run."""

    rows: tuple[str, ...]
    """Row of `[[models]]` that each network belongs to."""
    folders: tuple[Path, ...]
    """Of each network."""
    described: tuple[str, ...]
    """Digest of what was read of each network's description."""
    classes: tuple[tuple[str, ...], ...]
    """Of each network, in the order of its outputs."""
    sensors: tuple[tuple[str, ...], ...]
    """Names of those that each network reads."""
    digests: dict[str, str]
    trained_on: frozenset[str]
    formulas: tuple[Formula, ...] = ()
    """Models without weights."""
    ranges: tuple[Ranges, ...] = ()
    """What each network was trained on, as `io.models.ranges` has it."""
    trusted: bool = False
    """Whether edited ones are meant so."""
    adapted: tuple[SegmentationNet, ...] | None = None
    """Networks that predict in place of those of the files: the same with statistics of a place."""

    @cached_property
    def nets(self) -> tuple[SegmentationNet, ...]:
        """Built when they are first asked for: a run that is up to date has no need of them."""
        from landscribe.nn.network.bundle import from_files
        from landscribe.nn.predict.fused import keep_ready

        if self.adapted is not None:
            return self.adapted
        nets = []
        for folder, digest in zip(self.folders, self.described, strict=True):
            files = read_model(folder)
            if sha256(files[DESCRIPTION]).hexdigest() != digest:
                raise IntegrityError(problem(str(folder / DESCRIPTION), "changed while it was read", do="run again"))
            nets.append(keep_ready(from_files(files, str(folder), trusted=self.trusted)[0]))
        return tuple(nets)

    @property
    def borders(self) -> tuple[str, ...]:
        """Outputs that say where things of a class end, in the order in which networks have them."""
        return tuple(dict.fromkeys(name for classes in self.classes for name in classes if is_border(name)))

    @property
    def outputs(self) -> list[tuple[str, tuple[str, ...]]]:
        """Row of `[[models]]` and classes in the order of outputs: of networks, then of models without weights."""
        return [*zip(self.rows, self.classes, strict=True)] + [
            (row_of(formula.name), formula.classes) for formula in self.formulas
        ]


def load_models(folder: Path, project: Project, *, own: bool) -> LoadedModels:
    """Load models, or with `[predict].snapshots` those of their last epochs, checked against their own descriptions.

    Args:
        folder: One folder for each model, or the folder of one.
        project: The recipe with its data.
        own: Take only those that the recipe names.

    Raises:
        DataError: If there is none, or one is missing.
        IntegrityError: If a file is damaged or foreign.
    """
    recipe = project.recipe
    names = [name for table in recipe.models for name in table.members(recipe.seed)] if own else None
    rows, folders, formulas, trained_on = [], [], [], set[str]()
    known, digests = [], {}
    trusted = project.finished is not None and project.finished.trusted
    for name, paths in model_folders(folder, names, snapshots=recipe.predict.snapshots).items():
        for path in paths:
            file = path / (DESCRIPTION if (path / DESCRIPTION).is_file() else FORMULA)
            if file.name == FORMULA:
                digests[file.relative_to(folder).as_posix()] = file_digest(file)
                formulas.append(read_formula(file, trusted=trusted))
                trained_on |= set(formulas[-1].trained_on)
                continue
            rows.append(row_of(name))
            folders.append(path)
            known.append(read_description(file, trust=trusted))
            digests[file.relative_to(folder).as_posix()] = known[-1].digest
            trained_on |= set(known[-1].trained_on)
    classes = tuple(each.classes for each in known)
    sensors = tuple(tuple(sensor.name for sensor in each.sensors) for each in known)
    ranges = tuple((each.knows or {}).get("ranges") or {} for each in known)
    return LoadedModels(
        tuple(rows), tuple(folders), tuple(each.described for each in known), classes, sensors, digests,
        frozenset(trained_on), tuple(formulas), ranges, trusted,
    )  # fmt: skip


def owners_of(loaded: LoadedModels, project: Project) -> tuple[Owners, ...]:
    """Return which outputs of models are averaged: for each class of a project's legend, then for each border.

    Raises:
        RecipeError: If a model has a class that the legend lacks, or two rows own a class and the recipe does not allow
            it.
    """
    legend = project.legend.names
    unknown = sorted({name for _, classes in loaded.outputs for name in classes} - {*legend, *loaded.borders})
    if unknown:
        need = "classes of the legend: " + ", ".join(legend)
        raise RecipeError(problem("models", "a model knows other classes", got=", ".join(unknown), need=need))
    return find_owners((*legend, *loaded.borders), loaded.outputs, project.recipe.predict)
