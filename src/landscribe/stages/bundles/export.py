"""`export`: a finished run -> one zip that other programs can use, and that anybody can replay."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from landscribe.core.arrays import AnyArray, ByteArray
from landscribe.core.grid import Window
from landscribe.core.owners import row_of
from landscribe.core.recipe import Recipe
from landscribe.core.rules.polygonize import polygonize
from landscribe.errors import IntegrityError, RecipeError, problem
from landscribe.io.bundle.about import (
    ABOUT,
    DEEPNESS,
    GRAPH,
    ITEM,
    MODELS,
    README,
    RECIPE,
    REPLAY,
    About,
    ClassRow,
    DeepnessRow,
    InputRow,
    ReplayRow,
)
from landscribe.io.bundle.archive import write_bundle
from landscribe.io.bundle.item import item_text
from landscribe.io.bundle.readme import readme_text
from landscribe.io.bundle.recipe_file import recipe_toml
from landscribe.io.bundle.replay_files import (
    POLYGONS,
    PROBABILITY,
    ReplayScene,
    cut_scene,
    read_scene,
    write_expected,
)
from landscribe.io.models.finished import Description, read_description
from landscribe.io.models.model_files import DESCRIPTION, model_folders, read_model
from landscribe.io.names import safe_name
from landscribe.io.project import Progress, Project, silent
from landscribe.io.project.splits import split_of
from landscribe.io.project.training import models_folder
from landscribe.io.run.prepared import PreparedScene, open_prepared
from landscribe.io.run.runs import Run
from landscribe.io.run.tuned import TUNED, effective_recipe
from landscribe.io.safety import require_output

if TYPE_CHECKING:  # torch takes seconds to import, and not every command needs it
    from landscribe.nn.export.graph import GraphSpec
    from landscribe.nn.network.bundle import SegmentationNet

REPLAY_PX = 160
"""Side of the piece of a scene that is replayed; a multiple of every network's divisor."""
LOOKED_AT = 8
"""Held-out scenes that it is looked for in."""
STEPS = 5
"""Of the progress."""


def export(project: Project, run: Run, out: Path, progress: Progress = silent) -> list[str]:
    """Write the bundle of a run.

    Args:
        project: The recipe with its data.
        run: The run folder; `train` must have run, or finished models are bound to the project.
        out: The zip; whole or not at all.
        progress: Told of the steps.

    Returns:
        What is to be said of it, one line each.

    Raises:
        RecipeError: If the networks cannot be said in one graph, with the reason, or the extra packages are missing.
        DataError: If there are no networks, or no scene is prepared.
        IntegrityError: If a file of the run is damaged, or the graph gives other probabilities than the networks.
    """
    from landscribe.nn.export.deepness import deepness_graph, tile_and_overlap, why_not
    from landscribe.nn.export.graph import ProbabilityGraph, plan_graph
    from landscribe.nn.export.onnx_file import export_graph
    from landscribe.nn.network.bundle import from_files

    require_output(out, [], [".zip"])
    if out.is_dir():
        raise RecipeError(problem(str(out), "is a folder", need="the name of a zip"))
    recipe = effective_recipe(project.recipe, run)
    folders = _network_folders(project, run)
    read = [(row, path, read_description(path / DESCRIPTION), read_model(path)) for row, path in folders]
    nets = [from_files(files, str(path))[0] for _, path, _, files in read]
    scene, window = _piece(project, run, nets, recipe)
    spec = plan_graph(nets, [row for row, *_ in read], project.legend.names, recipe, scene.reference)
    progress("export graph", 1, STEPS)
    graph = export_graph(ProbabilityGraph(nets, spec))
    pixel_m = None if scene.grid.crs is None else round(scene.grid.pixel_length, 6)
    types = _types(spec, scene, [described for _, _, described, _ in read])
    progress("export deepness", 2, STEPS)
    without = why_not(spec, pixel_m) or ""
    members: dict[str, bytes | Path] = {GRAPH: graph}
    deepness = None
    size = tile_and_overlap(spec.divisor, spec.radius)
    if not without and pixel_m is not None and size is not None:
        owned = [name for name, shares in zip(spec.legend, spec.owners, strict=True) if shares]
        files = {name: DEEPNESS.format(safe_name(name)) for name in owned}
        members |= {file: deepness_graph(graph, spec, name, pixel_m, types) for name, file in files.items()}
        deepness = DeepnessRow(tile=size[0], overlap_percent=size[1], files=files)
    with tempfile.TemporaryDirectory(prefix="landscribe-export-") as temporary:
        folder = Path(temporary)
        progress("export replay", 3, STEPS)
        names = [scene.reference, *(n for n in scene.sensors if n in {each.sensor.name for each in spec.inputs})]
        rasters = cut_scene(scene, window, folder, list(dict.fromkeys(names)))
        replay = ReplayRow(
            scene=scene.id, place=scene.place, rasters=rasters, probability=PROBABILITY, polygons=POLYGONS
        )
        about = _about(project, recipe, spec, scene.reference, pixel_m, types, deepness, without, replay)
        notes = _replay(folder, about, recipe, spec, nets, graph)
        members |= {f"{MODELS}/{name}": content for name, content in _model_members(project, run, recipe).items()}
        if project.recipe.vectorize.tuned:  # that it is whole, `effective_recipe` has seen
            members[TUNED] = run.path(TUNED)
        members |= {
            ABOUT: about.to_json().encode(),
            README: readme_text(about).encode(),
            RECIPE: recipe_toml(_settled(recipe), f"{about.name}: the whole recipe, defaults included").encode(),
            ITEM: _item(about, nets, [d for _, _, d, _ in read], _written(read[0][1] / DESCRIPTION)).encode(),
        }
        members |= {path.relative_to(folder).as_posix(): path for path in sorted((folder / REPLAY).rglob("*.*"))}
        progress("export zip", 4, STEPS)
        write_bundle(out, members)
    progress("export", STEPS, STEPS)
    return [*notes, *([f"no file for Deepness: {without}"] if without else [])]


def _settled(recipe: Recipe) -> Recipe:
    """Return a recipe that has in it what was tuned, and does not ask for it again."""
    return recipe.model_copy(update={"vectorize": recipe.vectorize.model_copy(update={"tuned": False})})


def _network_folders(project: Project, run: Run) -> list[tuple[str, Path]]:
    """Return row and folder of each network that predicts in this run."""
    found = []
    for name, paths in _found_models(project, run, snapshots=project.recipe.predict.snapshots).items():
        for path in paths:
            if not (path / DESCRIPTION).is_file():
                what = "has no weights: a rule on bands or the labels, which no graph says"
                raise RecipeError(problem(f"model {name!r}", what, do="export a run of networks alone"))
            found.append((row_of(name), path))
    return found


def _found_models(project: Project, run: Run, *, snapshots: bool) -> dict[str, list[Path]]:
    recipe = project.recipe
    if project.finished is not None:
        return model_folders(project.finished.folder, None, snapshots=snapshots)
    run.require("train")
    names = [name for table in recipe.models for name in table.members(recipe.seed)]
    return model_folders(models_folder(project, run), names, snapshots=snapshots)


def _model_members(project: Project, run: Run, recipe: Recipe) -> dict[str, bytes]:
    """Return the files of all models, below the folder of models."""
    found: dict[str, bytes] = {}
    for name, (path,) in _found_models(project, run, snapshots=False).items():
        found |= {f"{name}/{file}": content for file, content in read_model(path).items()}
    if recipe.predict.snapshots:
        for name, paths in _found_models(project, run, snapshots=True).items():
            for path in paths:
                found |= {f"{name}/{path.name}/{file}": content for file, content in read_model(path).items()}
    return found


def _piece(project: Project, run: Run, nets: Sequence[SegmentationNet], recipe: Recipe) -> tuple[PreparedScene, Window]:
    """Return the scene and the part of it that is replayed: held out if there is one, with much of both sides."""
    split, prepared = split_of(project, run), run.require("prepare")
    wanted = {sensor.name for net in nets for sensor in net.spec.sensors}
    held_out = [i for i in split.validate if i in prepared] or list(prepared)
    scenes = [open_prepared(run, i) for i in held_out[:LOOKED_AT]]
    missing = sorted(wanted - set(scenes[0].sensors))
    if missing:
        where = f"scene {scenes[0].id!r}"
        raise RecipeError(problem(where, "lacks a sensor of the networks", got=", ".join(missing)))
    whole = [scene for scene in scenes if not wanted & scene.absent] or scenes[:1]
    labelled = [scene for scene in whole if scene.is_labelled] or whole[:1]
    patch = 0 if recipe.predict.patch is None else 2 * (recipe.predict.patch + max(n.spec.context for n in nets))
    divisor = max(net.divisor for net in nets)
    side = -(-max(REPLAY_PX, patch) // divisor) * divisor
    places = [(scene, place) for scene in labelled for place in _places(scene.grid.shape_hw, side, divisor)]
    if not labelled[0].is_labelled:
        return places[len(places) // 2]
    return max(places, key=lambda place: _mixed(*place))


def _places(shape_hw: tuple[int, int], side: int, divisor: int) -> list[Window]:
    """Return windows side by side on the pooling grid, as large as the scene lets them be."""
    height, width = (min(side, size) for size in shape_hw)
    rows, cols = (
        range(0, size - part + 1, max(divisor, part // divisor * divisor))
        for size, part in zip(shape_hw, (height, width), strict=True)
    )
    return [Window(row, col, height, width) for row in rows for col in cols]


def _mixed(scene: PreparedScene, window: Window) -> float:
    """Return how much there is of classes and of what is none of them."""
    coverage_khw, labelled_hw = scene.read_coverage(window)
    share_k = (coverage_khw * labelled_hw).mean(axis=(1, 2)) / 255
    return float((share_k * (1 - share_k)).sum())


def _types(spec: GraphSpec, scene: PreparedScene, described: Sequence[Description]) -> dict[str, tuple[str, ...]]:
    """Return the pixel types of each sensor that networks were trained on, or those of the scene."""
    found: dict[str, tuple[str, ...]] = {}
    for each in spec.inputs:
        known: list[str] = []
        for one in described:
            sensors: Mapping[str, Any] = ((one.knows or {}).get("ranges") or {}).get("sensors", {})
            known += [str(kind) for kind in sensors.get(each.sensor.name, {}).get("types", ())]
        found[each.sensor.name] = tuple(dict.fromkeys(known)) or (scene.dtype(each.sensor.name),)
    return found


def _about(
    project: Project,
    recipe: Recipe,
    spec: GraphSpec,
    reference: str,
    pixel_m: float | None,
    types: Mapping[str, tuple[str, ...]],
    deepness: DeepnessRow | None,
    without: str,
    replay: ReplayRow,
) -> About:
    from landscribe.nn.export.graph import FIELD, MASK
    from landscribe.nn.export.graph import PROBABILITY as OUTPUT

    predict = recipe.predict
    empty = [name for name, is_empty in zip(spec.legend, predict.empty_of(spec.legend), strict=True) if is_empty]
    return About(
        format=1,
        name=Path(project.name).stem,
        classes=tuple(
            ClassRow(id=c.id, name=c.name, colour=c.colour, countable=c.countable, threshold=t, smallest_byte=level)
            for c, t, level in zip(project.legend, spec.thresholds, spec.levels, strict=True)
        ),
        inputs=tuple(
            InputRow(
                name=each.name,
                sensor=each.sensor.name,
                kind=each.sensor.kind,
                bands=each.sensor.bands,
                bits=each.sensor.bits,
                step=each.step,
                resample="cubic" if each.cubic else "linear",
                pixels=round(each.scale, 6),
                types=types[each.sensor.name],
            )
            for each in spec.inputs
        ),
        outputs={
            OUTPUT: "float32, 0..1, 0 where the reference sensor has no data",
            MASK: "uint8, 1 where polygons are, before class rules and smallest areas",
            FIELD: "float32, 0..1, what thresholds are compared with",
        },
        reference=reference,
        divisor=spec.divisor,
        context=spec.context,
        radius=spec.radius,
        pixel_m=pixel_m,
        patch=predict.patch,
        step=predict.step,
        empty_edges=tuple(empty),
        deepness=deepness,
        without_deepness=without,
        replay=replay,
    )


def _replay(
    folder: Path,
    about: About,
    recipe: Recipe,
    spec: GraphSpec,
    nets: Sequence[SegmentationNet],
    graph: bytes,
) -> list[str]:
    """Predict the piece, write what came out, and compare the graph with the networks where it can be run here."""
    from landscribe.nn.export.onnx_file import GraphRunner, has_runtime
    from landscribe.nn.export.replay import compare, predict_by_graph, predict_by_torch

    scene = read_scene(folder, about.replay, {each.sensor.name: each.sensor for each in spec.inputs})
    bytes_khw = np.rint(predict_by_torch(nets, spec, scene) * np.float32(255)).astype(np.uint8)
    if has_runtime():
        _, apart = compare(predict_by_graph(GraphRunner(graph, GRAPH), spec, scene), bytes_khw)
        if not apart.fine:
            raise IntegrityError(problem(GRAPH, "gives other probabilities than the networks", got=apart))
        notes = [f"ONNX Runtime on the piece of {scene.id}: {apart}"]
    else:
        notes = ["onnxruntime is not installed: the graph was not run"]
    features, _ = polygonize(_reader(bytes_khw), scene.grid, scene.id, recipe, about.legend, about.replay.place)
    write_expected(folder, scene.grid, bytes_khw, _valid(scene), features, about.legend)
    return notes


def _reader(bytes_khw: ByteArray) -> Any:
    def read(window: Window, bands: Sequence[int]) -> AnyArray:
        return bytes_khw[list(bands)][:, *window.slices]

    return read


def _valid(scene: ReplayScene) -> Any:
    return scene.valid_hw[next(iter(scene.sensors))]


def _written(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _item(about: About, nets: Sequence[SegmentationNet], described: Sequence[Description], written: str) -> str:
    from landscribe.nn.network.unet import count_parameters

    kinds = dict.fromkeys(_kind(net) for net in nets)
    scenes = {row["scene"]: row["outline"] for one in described if one.knows for row in one.knows["scenes"]}
    others = {RECIPE: "The recipe, with thresholds and class rules", README: "How to use it"}
    if about.deepness is not None:
        others |= {file: f"For Deepness: {name}" for name, file in about.deepness.files.items()}
    return item_text(
        about,
        architecture=" and ".join(kinds) + (f", mean of {len(nets)}" if len(nets) > 1 else ""),
        parameters=sum(count_parameters(net) for net in nets),
        written=written,
        outlines=[[(float(x), float(y)) for x, y in outline] for outline in scenes.values()],
        others=others,
    )


def _kind(net: SegmentationNet) -> str:
    table = net.spec.network
    return f"U-Net of {table.block} blocks" if table.family == "unet" else table.family
