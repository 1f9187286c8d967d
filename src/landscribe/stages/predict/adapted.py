"""Places whose scenes give batch norm a share of its statistics: taken once for each, kept in a file, and recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from landscribe.core.pixel_source import PixelSource
from landscribe.core.recipe import PredictTable
from landscribe.errors import DataError, IntegrityError, RecipeError, problem
from landscribe.io.atomic import write_bytes
from landscribe.io.models.ranges import outside_of
from landscribe.io.names import safe_name
from landscribe.io.project import Project
from landscribe.io.project.batches import Batch
from landscribe.io.run.prepared import PreparedScene, open_prepared
from landscribe.io.run.runs import Made, Record, Run, make_key
from landscribe.stages.predict.models import LoadedModels

if TYPE_CHECKING:  # torch takes seconds to import, and not every command needs it
    from landscribe.nn.network.bundle import SegmentationNet

FORMAT = 1
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""
STATISTICS = "predict-statistics"
"""Stage name of the records of statistics: no stage of its own."""


@dataclass(frozen=True)
class Adapting:
    """Networks that are adapted to each place before they predict it."""

    run: Run
    loaded: LoadedModels
    prepared: Mapping[str, Record]
    table: PredictTable
    anyway: bool
    """Whether scenes count that lie outside of what networks were trained on."""
    before: str = ""
    """Begins the names of items: a fold has models, and so statistics, of its own."""
    keys: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    """Of the items that were asked for."""
    ready: dict[str, tuple[SegmentationNet, ...]] = field(default_factory=dict, repr=False, compare=False)
    """Networks of the place that was asked for last."""

    @property
    def note(self) -> str:
        """What is to be said of it."""
        return f"batch norm took {self.table.adapt_share:g} of its statistics from the scenes of each place"

    @cached_property
    def members(self) -> dict[str, list[PreparedScene]]:
        """Scenes by place, all that can be read; the others tell of it when they are predicted."""
        found: dict[str, list[PreparedScene]] = {}
        for scene_id in self.prepared:
            try:
                scene = open_prepared(self.run, scene_id)
            except (DataError, IntegrityError):
                continue
            if self._fits(scene):
                found.setdefault(scene.place, []).append(scene)
        return found

    def places_of(self, scene_ids: Iterable[str]) -> list[str]:
        """Return the items of statistics that some scenes need."""
        wanted = set(scene_ids)
        return [self.before + p for p, scenes in self.members.items() if any(scene.id in wanted for scene in scenes)]

    def said_of(self, scene_id: str) -> dict[str, str]:
        """Return what decides the statistics that a scene is predicted with, as a part of its key."""
        return {"adapted": self._key(self.before + open_prepared(self.run, scene_id).place)}

    def batch(self, items: Iterable[str]) -> Batch:
        """Return the work of taking statistics."""

        def make(item: str, _threads: int) -> Made:
            from landscribe.nn.device import choose_engine
            from landscribe.nn.predict.adapted import has_batch_norm, place_statistics, to_file

            engine, scenes = choose_engine(precision=self.table.precision), self._members_of(item)
            taken = []
            for net in self.loaded.nets:
                if not has_batch_norm(net):
                    what = f"model {net.spec.name!r} has no batch norm"
                    raise RecipeError(problem("predict.adapt", what, do="predict.adapt = 'none'"))
                names = [sensor.name for sensor in net.spec.sensors]
                opens = [partial(_open, scene, names) for scene in scenes]
                taken.append(place_statistics(net, opens, engine, self.table.adapt_share))
            write_bytes(self._file(item), to_file(taken))
            return Made((self._file(item),), {"scenes": len(scenes)})

        return Batch(STATISTICS, tuple(items), self._key, make, inner=True, whole=True, gpu=True)

    def models_for(self, scene_id: str) -> LoadedModels:
        """Return the models that predict a scene.

        Raises:
            DataError: If there are no statistics of its place.
            IntegrityError: If they are not what was written.
        """
        from landscribe.nn.predict.adapted import from_file, with_statistics

        item = self.before + open_prepared(self.run, scene_id).place
        if all(scene.id != scene_id for scene in self._members_of(item)):
            return self.loaded  # it lacks what networks look at, which is said when they do
        file, key = self._file(item), self._key(item)
        if not self.run.is_current(STATISTICS, item, key):
            why = self.run.failures(STATISTICS).get(item, "run `landscribe predict` without --part or --only")
            raise DataError(problem(f"scene {scene_id!r}", "no statistics of batch norm of its place", got=why))
        content = self.run.checked(file).read_bytes()  # noted by whoever predicts, each time
        if key not in self.ready:
            statistics = from_file(content, len(self.loaded.nets))
            self.ready.clear()
            self.ready[key] = tuple(map(with_statistics, self.loaded.nets, statistics))
        return replace(self.loaded, adapted=self.ready[key])

    def _fits(self, scene: PreparedScene) -> bool:
        own, loaded = scene.sensors, self.loaded
        if any(name not in own for names in loaded.sensors for name in names):
            return False
        return self.anyway or not any(
            outside_of(ranges, scene, names) for names, ranges in zip(loaded.sensors, loaded.ranges, strict=True)
        )

    def _members_of(self, item: str) -> list[PreparedScene]:
        return self.members.get(item.removeprefix(self.before), [])

    def _key(self, item: str) -> str:
        if item not in self.keys:
            inputs = {scene.id: self.prepared[scene.id].outputs for scene in self._members_of(item)}
            settings = self.table.said(include={"adapt", "adapt_share", "precision"})
            self.keys[item] = make_key(FORMAT, inputs=inputs, models=self.loaded.digests, settings=settings)
        return self.keys[item]

    def _file(self, item: str) -> Path:
        return self.run.path("statistics", f"{safe_name(item)}.safetensors")


def adapting_to(
    project: Project, run: Run, loaded: LoadedModels, prepared: Mapping[str, Record], before: str = ""
) -> Adapting | None:
    """Return how networks are adapted to places; None where the recipe wants it not, or there is no network.

    Args:
        project: The recipe with its data.
        run: The run folder.
        loaded: The models.
        prepared: Records of `prepare`.
        before: Begins the names of items.
    """
    table = project.recipe.predict
    if table.adapt == "none" or not loaded.folders:
        return None
    return Adapting(run, loaded, prepared, table, project.anyway, before)


def _open(scene: PreparedScene, names: list[str]) -> AbstractContextManager[PixelSource]:
    return scene.open_rasters(names)
