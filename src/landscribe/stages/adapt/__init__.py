"""`adapt`: finished networks and scenes without labels -> networks that were trained on with both.

Networks label the new scenes themselves, softly: probabilities are the labels, and pixels of which views and seeds are
sure count most. Every other step is on labelled chips as before, so what was learned is not forgotten.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from landscribe.core.arrays import ByteArray
from landscribe.core.grid import Window
from landscribe.core.owners import row_of
from landscribe.errors import RecipeError, problem
from landscribe.io.atomic import write_bytes
from landscribe.io.models.finished import Description, read_description
from landscribe.io.models.formulas import FORMULA
from landscribe.io.models.model_files import DESCRIPTION, MODEL_FILES, read_model
from landscribe.io.names import safe_name
from landscribe.io.project import Progress, Project, StageResult, follow_items, make_items, silent
from landscribe.io.project.leftovers import leave_only
from landscribe.io.project.splits import split_of
from landscribe.io.project.training import ADAPTED, adapting_jobs
from landscribe.io.run.prepared import PreparedScene, open_prepared
from landscribe.io.run.runs import Made, Record, Run, is_first_process, make_key
from landscribe.stages.adapt.soft_scene import write_soft
from landscribe.stages.adapt.targets import find_targets, pixels_of

if TYPE_CHECKING:  # torch takes seconds to import, and not every command needs it
    from landscribe.nn.network.bundle import SegmentationNet

FORMAT = 2
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""
LABELS = "adapt-labels"
"""Stage name of the records of soft labels: no stage of its own."""


def adapt(project: Project, run: Run, progress: Progress = silent) -> StageResult:
    """Train the networks of a run on with soft labels of scenes that have none.

    Of held-out scenes, which `[adapt].scenes = "new"` takes too, nothing but pixels is read.

    Args:
        project: The recipe with its data.
        run: The run folder; `train` must have run.
        progress: Told of each scene and epoch.

    Returns:
        What was made, what was up to date.

    Raises:
        RecipeError: If `[adapt].epochs` is 0.
        DataError: If there is no scene to adapt to, or networks are sure of no pixel of them.

    Examples:
        >>> import landscribe as ls
        >>> ls.adapt(project, run)
        Traceback (most recent call last):
        landscribe.errors.RecipeError: [adapt].epochs: is 0: nothing to do, need 1 or more; --set adapt.epochs=10
    """
    if not project.recipe.adapt.epochs:
        do = "--set adapt.epochs=10"
        raise RecipeError(problem("[adapt].epochs", "is 0: nothing to do", need="1 or more", do=do))
    split = split_of(project, run)
    prepared, trained = run.require("prepare", split.sides), run.require("train")
    networks = adapting_jobs(project, run, split)
    formulas = {row.name: run.path("models", row.name, FORMULA) for row in project.recipe.models if row.name in trained}
    formulas = {name: path for name, path in formulas.items() if name not in networks}
    known = {name: read_description(run.checked(run.path("models", name, DESCRIPTION))) for name in networks}
    targets, notes = find_targets(project, run, split, prepared, known.values())
    labelling = _Labelling(project, run, prepared, known, progress)
    wanted = {f"{row}/{i}": row for row in dict.fromkeys(map(row_of, networks)) for i in targets}
    soft = make_items(run, LABELS, wanted, labelling.key, labelling.make) if is_first_process() else StageResult(LABELS)
    _wait_for_the_first()
    made = {item: record for item, record in run.records(LABELS).items() if item in wanted}

    def labels_of(item: str) -> dict[str, Record]:
        return {name: record for name, record in made.items() if wanted[name] == row_of(item)}

    def key_of(item: str) -> str:
        if item in formulas:
            return make_key(FORMAT, formula=trained[item].outputs)
        soft = {name: record.outputs for name, record in labels_of(item).items()}
        began = trained[item].outputs
        return make_key(FORMAT, soft=soft, began=began, **networks[item].made_from(prepared, validates=False))

    def make(item: str) -> Made:
        if item in formulas:
            target = run.path(ADAPTED, item, FORMULA)
            write_bytes(target, run.checked(formulas[item]).read_bytes())
            return Made((target,))
        from landscribe.stages.adapt.training import train_on

        files = {name.partition("/")[2]: run.checked(labelling.file(name)) for name in labels_of(item)}
        return train_on(project, run, networks[item], files, key_of(item), progress)

    if not is_first_process():
        return follow_items(run, "adapt", networks, key_of, make)
    result = make_items(run, "adapt", [*networks, *formulas], key_of, make)
    result.failed |= soft.failed
    result.damaged += soft.damaged
    result.notes += [*notes, *soft.notes, f"scenes adapted to, without their labels: {len(targets) - len(soft.failed)}"]
    result.notes += leave_only(run, LABELS, wanted)
    return result


def _wait_for_the_first() -> None:
    """Let the processes of `torchrun` go on together."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from landscribe.nn.device import choose_engine
        from landscribe.nn.train.ranks import join_ranks, wait_for_all

        wait_for_all(join_ranks(choose_engine().device))


@dataclass(frozen=True)
class _Labelling:
    """Networks that label scenes; an item is a row of `[[models]]` and a scene."""

    project: Project
    run: Run
    prepared: Mapping[str, Record]
    known: Mapping[str, Description]
    """Networks by name."""
    progress: Progress

    @cached_property
    def nets(self) -> dict[str, SegmentationNet]:
        """Built when they are first asked for."""
        from landscribe.nn.network.bundle import from_files
        from landscribe.nn.predict.fused import keep_ready

        folders = {name: self.run.path("models", name) for name in self.known}
        return {name: keep_ready(from_files(read_model(path), str(path))[0]) for name, path in folders.items()}

    def file(self, item: str) -> Path:
        """Return where soft labels lie."""
        row, _, scene_id = item.partition("/")
        return self.run.path("soft", row, f"{safe_name(scene_id)}.bin")

    def key(self, item: str) -> str:
        """Return a digest of all that soft labels depend on."""
        row, _, scene_id = item.partition("/")
        recipe = self.project.recipe
        models = {name: one.digest for name, one in self.known.items() if row_of(name) == row}
        return make_key(
            FORMAT, pixels=pixels_of(self.prepared[scene_id]), models=models, predict=recipe.predict.said(),
            adapt=recipe.adapt.model_dump(mode="json", include={"least", "bound"}),
        )  # fmt: skip

    def make(self, item: str) -> Made:
        """Label a scene."""
        from landscribe.nn.device import choose_engine
        from landscribe.nn.predict.prepare_network import engine_for
        from landscribe.nn.predict.soft import soft_labels

        row, _, scene_id = item.partition("/")
        self.progress(f"adapt {scene_id}: soft labels", 0, 1)
        for name in (one for one in self.known if row_of(one) == row):
            for file in MODEL_FILES:
                self.run.checked(self.run.path("models", name, file))
        nets = [net for name, net in self.nets.items() if row_of(name) == row]
        table, recipe = self.project.recipe.adapt, self.project.recipe
        scene = open_prepared(self.run, scene_id)
        names = {sensor.name for net in nets for sensor in net.spec.sensors} | {scene.reference}
        with scene.open_rasters(names) as source, scene.open_rasters([scene.reference]) as reference:
            precision = recipe.predict.precision
            engine = engine_for(choose_engine(precision=precision), nets, precision, scene.grid.shape_hw)
            labelled = soft_labels(nets, source, engine, recipe.predict, least=table.least, bound=table.bound)
            shape_khw = (len(nets[0].spec.classes) + 1, *scene.grid.shape_hw)
            with closing(labelled):
                weight = write_soft(self.file(item), shape_khw, _where_data(labelled, reference))
        return Made((self.file(item),), {"percent of the weight": round(100 * weight)})


def _where_data(
    labelled: Iterable[tuple[Window, ByteArray]], scene: PreparedScene
) -> Iterator[tuple[Window, ByteArray]]:
    """Yield soft labels with the weight 0 where the reference sensor has no data."""
    for window, stack_khw in labelled:
        stack_khw[-1] *= scene.read(scene.reference, window)[1]
        yield window, stack_khw
