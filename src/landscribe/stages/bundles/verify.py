"""`verify`: a bundle compared with its manifest, then predicted and traced again, by torch and by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely

from landscribe.apart import Limits, apart, start
from landscribe.core.arrays import AnyArray, ByteArray, FloatArray
from landscribe.core.grid import Window
from landscribe.core.owners import row_of
from landscribe.core.recipe import Recipe
from landscribe.core.rules.polygonize import polygonize
from landscribe.core.sensors import SensorSpec
from landscribe.errors import DataError, IntegrityError, RecipeError, problem
from landscribe.io.bundle.about import ABOUT, GRAPH, ITEM, MODELS, README, RECIPE, REPLAY, About, read_about
from landscribe.io.bundle.archive import COPY_AGAIN, Bundle, open_bundle, read_member, require_members, unpacked
from landscribe.io.bundle.replay_files import ReplayScene, read_expected, read_scene
from landscribe.io.models.model_files import DESCRIPTION, model_folders, read_model
from landscribe.io.project import Progress, silent
from landscribe.io.settings import parse_recipe
from landscribe.late import geopandas as gpd

if TYPE_CHECKING:  # torch takes seconds to import, and not every command needs it
    from landscribe.nn.export.graph import GraphSpec
    from landscribe.nn.network.bundle import SegmentationNet

SAME_PX = 1e-6
"""Polygons are equal where no vertex is further from its other self, in pixels: the last digits of a sum."""
GRAPH_SECONDS = 600.0
"""ONNX Runtime says nothing while it works on a tile."""
STEPS = 4
"""Of the progress."""


@dataclass(frozen=True)
class Verified:
    """What became of a bundle that is whole and gives what it promises."""

    files: int
    polygons: int
    lines: tuple[str, ...]
    """What was replayed, one line each."""


def verify(path: Path, progress: Progress = silent) -> Verified:
    """Compare a bundle with its manifest and replay it.

    Nothing of it is run before all of it was compared, and its graph only where it is plain ONNX. The graph is run
    where the extra packages are installed.

    Args:
        path: The bundle.
        progress: Told of the steps.

    Raises:
        RecipeError: If there is no such file.
        IntegrityError: If a byte was changed, a part is missing, it is of another version, or other probabilities or
            polygons come out.
        LimitError: If it claims to be larger than a bundle can be.
    """
    start()
    bundle = open_bundle(path)
    require_members(bundle, (ABOUT, GRAPH, RECIPE, ITEM, README))
    about, recipe = read_about(bundle), _recipe(bundle)
    require_members(bundle, (*about.replay.rasters.values(), about.replay.probability, about.replay.polygons))
    require_members(bundle, about.deepness.files.values() if about.deepness else ())
    progress("verify", 1, STEPS)
    wanted = (f"{MODELS}/", f"{REPLAY}/")
    with unpacked(bundle, lambda name: name.startswith(wanted) or name == GRAPH) as folder:
        try:
            return _replay(bundle, folder, about, recipe, progress)
        except (DataError, RecipeError) as error:  # whatever is wrong with its parts, it is the bundle
            said = str(error).replace(str(folder), str(bundle.path))
            at = "" if str(bundle.path) in said else f"{bundle.path}: "
            raise IntegrityError(f"{at}{said}") from error


def _recipe(bundle: Bundle) -> Recipe:
    where = f"{bundle.path}: {RECIPE}"
    try:
        return parse_recipe(read_member(bundle, RECIPE).decode("utf-8"), Path.cwd(), where).recipe
    except UnicodeDecodeError:
        raise IntegrityError(problem(where, "not UTF-8 text", do=COPY_AGAIN)) from None
    except RecipeError as error:
        raise IntegrityError(str(error)) from None


def _replay(bundle: Bundle, folder: Path, about: About, recipe: Recipe, progress: Progress) -> Verified:
    from landscribe.nn.export.graph import plan_graph
    from landscribe.nn.export.onnx_file import EXTRA, has_runtime
    from landscribe.nn.export.replay import predict_by_torch

    nets, rows = _networks(bundle, folder, recipe)
    spec = plan_graph(nets, rows, about.legend.names, recipe, about.reference)
    _require_same_inputs(bundle, about, spec)
    scene, expected_khw, features = apart(
        str(bundle.path), _read_replay, folder, about, {each.sensor.name: each.sensor for each in spec.inputs},
        limits=Limits(seconds=60.0),
    )  # fmt: skip
    progress("verify with torch", 2, STEPS)
    judged = (bundle, about, recipe, scene, expected_khw, features)
    lines = [_judge(*judged, "torch", predict_by_torch(nets, spec, scene))]
    progress("verify with ONNX Runtime", 3, STEPS)
    if has_runtime():
        where = f"{bundle.path}: {GRAPH}"
        # In a process of its own, since what a stranger's graph does to a library of C is not known.
        p_khw = apart(where, _run_graph, folder / GRAPH, where, spec, scene, limits=Limits(seconds=GRAPH_SECONDS))
        lines.append(_judge(*judged, "ONNX Runtime", p_khw))
    else:
        lines.append(f"ONNX Runtime: not installed, the graph was not run; {EXTRA}")
    progress("verify", STEPS, STEPS)
    return Verified(len(bundle.members), len(features), tuple(lines))


def _networks(bundle: Bundle, folder: Path, recipe: Recipe) -> tuple[list[SegmentationNet], list[str]]:
    from landscribe.nn.network.bundle import from_files

    nets, rows = [], []
    for name, paths in model_folders(folder / MODELS, None, snapshots=recipe.predict.snapshots).items():
        for path in paths:
            where = f"{bundle.path}: {path.relative_to(folder).as_posix()}"
            if not (path / DESCRIPTION).is_file():
                raise IntegrityError(problem(where, "not a network", do=COPY_AGAIN))
            nets.append(from_files(read_model(path), where)[0])
            rows.append(row_of(name))
    return nets, rows


def _require_same_inputs(bundle: Bundle, about: About, spec: GraphSpec) -> None:
    """Refuse a bundle that says other inputs than its networks have."""
    said = [(row.name, row.sensor, row.bands, row.step) for row in about.inputs]
    own = [(each.name, each.sensor.name, each.sensor.bands, each.step) for each in spec.inputs]
    if sorted(said) != sorted(own):
        raise IntegrityError(problem(f"{bundle.path}: {ABOUT}", "other inputs than the networks have", do=COPY_AGAIN))


def _read_replay(
    folder: Path, about: About, sensors: dict[str, SensorSpec]
) -> tuple[ReplayScene, ByteArray, gpd.GeoDataFrame]:
    scene = read_scene(folder, about.replay, sensors)
    return scene, *read_expected(folder, about.replay, scene.grid, len(about.classes))


def _run_graph(path: Path, where: str, spec: GraphSpec, scene: ReplayScene) -> FloatArray:
    from landscribe.nn.export.onnx_file import GraphRunner
    from landscribe.nn.export.replay import predict_by_graph

    return predict_by_graph(GraphRunner(path.read_bytes(), where), spec, scene)


def _judge(
    bundle: Bundle,
    about: About,
    recipe: Recipe,
    scene: ReplayScene,
    expected_khw: ByteArray,
    features: gpd.GeoDataFrame,
    who: str,
    p_khw: FloatArray,
) -> str:
    """Compare what came out with what is to come out; return a line on it."""
    from landscribe.nn.export.replay import compare

    bytes_khw, agreement = compare(p_khw, expected_khw)
    where = f"{bundle.path}: {REPLAY}"
    if not agreement.fine:
        need = "at most one step of 255"
        raise IntegrityError(problem(where, f"{who} gives other probabilities", got=agreement, need=need))

    def read(window: Window, bands: Sequence[int]) -> AnyArray:
        return bytes_khw[list(bands)][:, *window.slices]

    own, _ = polygonize(read, scene.grid, scene.id, recipe, about.legend, about.replay.place)
    other = _difference(own, features, scene.grid.pixel_length if scene.grid.crs is None else _unit(scene))
    if other:
        raise IntegrityError(problem(where, f"{who} gives other polygons", got=other))
    return f"{who}: {agreement}, {len(features):,} polygons equal"


def _unit(scene: ReplayScene) -> float:
    """Return the length of a pixel in units of the scene's coordinates."""
    return float(np.sqrt(abs(scene.grid.transform.determinant)))


def _difference(own: gpd.GeoDataFrame, expected: gpd.GeoDataFrame, pixel: float) -> str:
    """Return how polygons differ from those that are expected; nothing where they do not."""
    names, wanted = own["class_name"].tolist(), expected["class_name"].tolist()
    if names != wanted:
        counts = {name: names.count(name) - wanted.count(name) for name in dict.fromkeys((*names, *wanted))}
        return ", ".join(f"{n:+d} {name}" for name, n in counts.items() if n) or "another order"
    same = shapely.equals_exact(
        shapely.normalize(own.geometry.to_numpy()), shapely.normalize(expected.geometry.to_numpy()), SAME_PX * pixel
    )
    return "" if same.all() else f"{int((~same).sum())} of {len(same)} with other outlines"
