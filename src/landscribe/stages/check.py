"""`check`: every problem of the data at once, before an hour is spent on them."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from landscribe.apart import apart, at_once, start
from landscribe.core.arrays import FloatArray
from landscribe.core.grid import Grid
from landscribe.core.ground import Ground, add_ground
from landscribe.core.legend import Legend
from landscribe.core.recipe import ModelTable
from landscribe.core.register import looks_flipped
from landscribe.core.rules import check_rules
from landscribe.core.spectral.colours import require_colour
from landscribe.core.spectral.indices import band_positions
from landscribe.core.split.leaks import THUMBNAIL_PX, find_overlaps, find_twins, thumbnail_of
from landscribe.errors import BAD_FILE, LandscribeError, RecipeError, problem
from landscribe.io.atomic import write_text
from landscribe.io.digests import file_digest, stamp_of
from landscribe.io.labels.findings import LabelFacts, label_errors, label_warnings, look_at_labels
from landscribe.io.models.known_weights import find_weights
from landscribe.io.project import Progress, Project, StageResult, check_models, make_items, silent
from landscribe.io.project.alignment import scene_sources
from landscribe.io.project.batches import Looks
from landscribe.io.project.fetching import CHANGED, read_heads, with_addresses
from landscribe.io.project.label_facts import named_classes
from landscribe.io.project.leaks import MAX_TWINS, keeps_apart
from landscribe.io.project.reviewed_sides import unscored
from landscribe.io.project.splits import require_named_scenes
from landscribe.io.run.runs import Made, Run, make_key
from landscribe.io.source.copies import FOLDER
from landscribe.io.source.scenes import Scene, other_ground, sensor_grids, shared_ground
from landscribe.io.source.sensor_files import open_sensor
from landscribe.io.source.sensor_findings import SensorFacts, look_at_sensor, sensor_errors, sensor_warnings
from landscribe.workers import abreast

T = TypeVar("T")

FORMAT = 2
"""Raise it when the same inputs shall give another result; what older code made is then made anew."""

MIN_OVERLAP, MOST_PAIRS = 0.9, 10
"""Share of the reference footprint that every sensor should cover; pairs of scenes that are named."""


@dataclass(frozen=True)
class Finding:
    """One problem. An error keeps a scene from being used; a warning does not."""

    level: Literal["error", "warning"]
    text: str
    lost: str = ""
    """The scene that cannot be used, where that is all there is to it: the others can."""


@dataclass(frozen=True)
class CheckResult:
    """What `check` found."""

    scenes: int
    labelled: int
    classes: tuple[str, ...]
    findings: tuple[Finding, ...]
    ground: Mapping[str, Ground] = field(default_factory=dict)
    """Ground of each class in all labelled scenes."""
    unit: str = "m2"
    """Of the ground: `px` where a scene has no CRS."""
    usable: int = 0
    """Scenes that can be used."""

    @property
    def errors(self) -> int:
        """Number of errors."""
        return sum(finding.level == "error" for finding in self.findings)

    @property
    def lost(self) -> tuple[str, ...]:
        """Scenes that cannot be used, where others can and nothing else is wrong."""
        lost = [finding.lost for finding in self.findings if finding.level == "error"]
        return tuple(dict.fromkeys(lost)) if all(lost) and self.usable else ()  # an empty name is another error


def check(
    project: Project, progress: Progress = silent, *, looks: Looks | None = None, copies: Path | None = None
) -> CheckResult:
    """Look at all data of a project; of what lies on servers, at the heads of the files.

    Args:
        project: The recipe with its data.
        progress: Told of each scene.
        looks: Looks at scenes elsewhere; None looks at them here.
        copies: Folder of copies that a run made; files that have changed on the server since are said.

    Returns:
        The findings; an empty list means that every file can be used.

    Raises:
        DataError: If no scene is found at all.
        RecipeError: If the recipe does not fit itself (unknown class, sensor, index).

    Examples:
        >>> import landscribe as ls
        >>> result = ls.check(project)
        >>> result.scenes, result.labelled, result.errors
        (4, 3, 0)
    """
    start(*project.libraries)
    scenes = project.scenes
    findings = [Finding("error", text, scene_id) for scene_id, text in scenes.broken.items()]
    findings += [Finding("warning", text) for text in scenes.problems]
    # Without labels there is nothing to train and nothing to split, and finished models know their classes.
    teaches = _teaches(project)
    legend, unread = _legend_for(project)
    findings += [Finding("error", unread)] if unread else []
    if len(legend):
        _check_models(project)
    grids: dict[str, Grid] = {}
    facts: list[LabelFacts] = []
    pixels: list[SensorFacts] = []
    by_id = {scene.id: scene for scene in scenes.scenes}

    def look(scene_id: str) -> _Looked:
        return _look(project, by_id[scene_id], legend, copies)

    here = abreast(look, list(by_id), at_once())
    with here if looks is None else contextlib.nullcontext(looks(list(by_id))) as outcomes:
        for number, (scene_id, outcome) in enumerate(outcomes):
            progress(f"check {scene_id}", number, len(by_id))
            try:
                own = outcome()
            except BAD_FILE as error:
                findings.append(Finding("error", _at_scene(by_id[scene_id], error), scene_id))
                continue
            findings += own.findings
            pixels += own.pixels
            grids |= {} if own.grid is None else {scene_id: own.grid}
            facts += [] if own.labels is None else [own.labels]
    findings += [Finding("error", text) for text in sensor_errors(pixels)]
    findings += [Finding("warning", text) for text in sensor_warnings(pixels)]
    unit = "px" if any(grid.crs is None for grid in grids.values()) else "m2"
    chosen = named_classes(project) if len(legend) else ()
    findings += [Finding("error", text) for text in label_errors(facts, chosen, unit)]
    findings += [Finding("warning", text) for text in label_warnings(facts, scenes.scenes, legend, chosen)]
    if teaches:
        findings += _check_split(project)
        findings += _check_duplicates(project)
        findings += _check_places(project, grids)
    labelled = sum(own.is_labelled for own in facts)
    asked = project.recipe.data.labels if project.recipe.models and project.finished is None else ()
    if asked and not labelled and grids:
        need = ", ".join(table.path for table in asked)
        findings.append(Finding("error", problem("labels", "no scene has any, nothing can be trained", need=need)))
    usable, ground = set(grids) - {finding.lost for finding in findings}, add_ground([own.ground for own in facts])
    return CheckResult(len(scenes.scenes), labelled, legend.names, tuple(findings), ground, unit, len(usable))


def _teaches(project: Project) -> bool:
    scenes = project.scenes
    return bool(scenes.label_tables) or any(scene.reviews for scene in scenes.scenes)


def _legend_for(project: Project) -> tuple[Legend, str]:
    """Return the classes by which scenes are looked at, and why they cannot be told, if so."""
    try:
        return (project.legend if _teaches(project) or project.recipe.classes else Legend(())), ""
    except BAD_FILE as error:
        return Legend(()), str(error)


def look_at_one(project: Project, scene_id: str) -> _Looked:
    """Look at one scene of a project, as `check` does."""
    scene = next(scene for scene in project.scenes.scenes if scene.id == scene_id)
    return _look(project, scene, _legend_for(project)[0])


def check_run(project: Project, run: Run, progress: Progress = silent, *, looks: Looks | None = None) -> StageResult:
    """Check the data of a run and keep the findings in `check.json`; what was checked and is unchanged is left out.

    Raises:
        DataError: If no scene can be used.
    """
    files = [path for scene in project.scenes.scenes for path in scene.paths]
    remote = [file for scene in project.scenes.scenes for file in scene.sensors.values() if file.address]
    stamps = [(str(path), stamp_of(path)[:2]) for path in files]
    key = make_key(
        FORMAT,
        files=stamps,
        **({"remote": [f.address for f in remote]} if remote else {}),
        data=project.recipe.data.model_dump(mode="json"),
        models=[
            m.model_dump(mode="json", include={"name", "kind", "classes", "inputs", "spectral"})
            for m in project.recipe.models
        ],
        rules=[rule.model_dump(mode="json") for rule in project.recipe.rules],
        validate=project.recipe.validation.model_dump(mode="json"),
        classes=[table.model_dump(mode="json") for table in project.recipe.classes],
        finished=None if project.finished is None else dict(project.finished.digests),
        **_encoders(project.recipe.models),
    )
    target = run.path("check.json")

    def make(_item: str) -> Made:
        result = check(project, progress, looks=looks, copies=run.path(FOLDER))
        rows = [{"level": finding.level, "text": finding.text} for finding in result.findings]
        write_text(target, json.dumps({"scenes": result.scenes, "findings": rows}, indent=1))
        return Made(
            (target,), {"errors": result.errors, "warnings": len(rows) - result.errors}, tuple(r["text"] for r in rows)
        )

    result = make_items(run, "check", ["all"], lambda _item: key, make)
    said = run.records("check")["all"].notes if remote and result.made else ()
    result.notes += [line for line in said if CHANGED in line]  # old pixels go on being used
    return result


def _encoders(models: Sequence[ModelTable]) -> dict[str, object]:
    """Return what of encoders a check hangs on; nothing where there is none."""
    tables = [m.network for m in models if m.kind == "network" and m.network.encoder is not None]
    return {"encoders": [(table.encoder, table.weights) for table in tables]} if tables else {}


@dataclass(frozen=True)
class _Looked:
    """What was seen of one scene."""

    grid: Grid | None
    """Of its reference; None where the scene cannot be used."""
    findings: tuple[Finding, ...]
    pixels: tuple[SensorFacts, ...]
    labels: LabelFacts | None


def _look(project: Project, scene: Scene, legend: Legend, copies: Path | None = None) -> _Looked:
    """Look at a scene in a process apart; of what it has on servers, at the heads of the files."""
    if not scene.is_remote:
        return _in_worker(project, scene, look_at_scene, scene, legend)
    with tempfile.TemporaryDirectory(prefix="landscribe-heads-") as folder:
        local, said = read_heads(scene, Path(folder), copies)
        looked = _in_worker(project, local, look_at_scene, local, legend, whole=False)
    findings = [replace(own, text=with_addresses(own.text, scene, local)) for own in looked.findings]
    return replace(looked, findings=(*findings, *(Finding("warning", text) for text in said)))


def look_at_scene(scene: Scene, legend: Legend, *, whole: bool = True) -> _Looked:
    """Look at the files of one scene; what was seen before one of them turned out to be bad is kept.

    Args:
        scene: The scene.
        legend: Classes.
        whole: Look at pixels too; without, at what the heads of files say.
    """
    grid: Grid | None = None
    findings: list[Finding] = []
    pixels: list[SensorFacts] = []
    labels: LabelFacts | None = None
    try:
        own = sensor_grids(scene)
        grid = own[scene.reference.name]
        findings += _check_extents(scene, own)
        pixels += [look_at_sensor(scene, name) for name in scene.sensors] if whole else []
        if whole and all(shared_ground(scene, own).values()):
            findings += _check_orientation(scene)
        if scene.has_labels and len(legend):
            labels = look_at_labels(scene, legend, grid, pixels=whole)
    except BAD_FILE as error:
        grid = None
        findings.append(Finding("error", _at_scene(scene, error), scene.id))
    return _Looked(grid, tuple(findings), tuple(pixels), labels)


def _in_worker(project: Project, scene: Scene, work: Callable[..., T], *args: Any, **options: Any) -> T:
    return apart(f"scene {scene.id!r}", partial(work, **options), *args, limits=project.limits, paths=scene.paths)


def _at_scene(scene: Scene, error: LandscribeError) -> str:
    text = str(error)
    return text if scene.id in text else f"scene {scene.id!r}: {text}"


def _check_models(project: Project) -> None:
    check_rules(project.recipe.rules, project.legend)
    check_models(project)
    bands = {name: file.sensor.band_names for scene in project.scenes.scenes for name, file in scene.sensors.items()}
    for table in project.recipe.models:
        names = table.inputs.sensors or tuple(project.recipe.data.sensors) or tuple(bands)
        if not set(names) <= set(bands):
            continue  # no scene has that sensor, which is said scene by scene
        stack = tuple(band for name in names for band in bands[name])
        for index in table.inputs.indices:
            band_positions(index, stack)
        if table.kind == "network" and project.finished is None:
            _check_encoder(project, table, names)
        if table.kind == "index":
            for index in table.spectral.indices:
                band_positions(index, stack, where=f"model {table.name!r}, spectral")


def _check_encoder(project: Project, table: ModelTable, names: Sequence[str]) -> None:
    """Refuse weights that are not there, and bands that they cannot be spread to, before anything takes time."""
    if find_weights(table.network, project.root) is None or table.inputs.low != "upsample":
        return
    kinds = {name: file.sensor for scene in project.scenes.scenes for name, file in scene.sensors.items()}
    for name in names:
        for band in kinds[name].bands:
            require_colour(table.name, name, band.name, band.wavelength_nm, kinds[name].kind)


def _check_split(project: Project) -> Iterator[Finding]:
    if project.recipe.models and project.finished is None:
        try:
            require_named_scenes(project, {scene.id for scene in project.scenes.scenes if scene.has_labels})
        except RecipeError as error:
            yield Finding("error", str(error))
    for text in unscored(project, [scene.id for scene in project.scenes.scenes if scene.reviews]):
        yield Finding("warning", text)


def _check_extents(scene: Scene, grids: dict[str, Grid]) -> Iterator[Finding]:
    reference = grids[scene.reference.name]
    shares = shared_ground(scene, grids)
    if reference.transform.determinant > 0 and reference.crs is not None:
        yield Finding("warning", problem(f"scene {scene.id!r}", "raster is stored upside down or mirrored"))
    for name, share in shares.items():
        where = f"scene {scene.id!r}, {name}"
        if share == 0:
            yield Finding("error", other_ground(scene, name), scene.id)
        elif share < MIN_OVERLAP:
            yield Finding("warning", problem(where, "covers a part of the reference only", got=f"{share:.0%}"))
        to_reference = grids[name].pixel_map(reference)
        if (to_reference.determinant > 0) != (to_reference.a > 0 and to_reference.e > 0):
            yield Finding("warning", problem(where, "is flipped against the reference"))


def _check_orientation(scene: Scene) -> Iterator[Finding]:
    sources = scene_sources(scene)
    for source in sources[1:]:
        how = looks_flipped(source, sources[:1])
        if how is not None:
            where = f"scene {scene.id!r}, {source.name}"
            yield Finding("warning", problem(where, f"pixels look flipped {how} against the reference"))


def _check_duplicates(project: Project) -> Iterator[Finding]:
    by_size: dict[int, list[tuple[str, Scene]]] = defaultdict(list)
    for scene in project.scenes.scenes:
        file = scene.reference
        if not file.address and file.path.is_file():  # one that vanishes has its own line
            by_size[file.path.stat().st_size].append((file.name, scene))
    for group in by_size.values():
        if len(group) < 2:
            continue
        by_digest: dict[str, list[Scene]] = defaultdict(list)
        for name, scene in group:
            by_digest[file_digest(scene.sensors[name].path)].append(scene)
        for same in by_digest.values():
            if len(same) > 1:
                ids = " and ".join(repr(scene.id) for scene in same[:4])
                level: Literal["error", "warning"] = "error" if len({s.place for s in same}) > 1 else "warning"
                yield Finding(
                    level, problem(f"scenes {ids}", "are the same file", do="give them one place or drop one")
                )


def _check_places(project: Project, grids: dict[str, Grid]) -> Iterator[Finding]:
    scenes = [scene for scene in project.scenes.scenes if scene.id in grids]
    places = {scene.id: scene.place for scene in scenes}
    leaks = list(find_overlaps(grids, places))
    # Pictures and DSTL images all lie at the origin, so only their looks can tell.
    afloat = [scene for scene in scenes if grids[scene.id].crs is None and not scene.is_remote]
    if len(afloat) <= MAX_TWINS:
        largest = max((max(grids[scene.id].shape_hw) for scene in afloat), default=1)
        thumbnails = {}
        for scene in afloat if len(afloat) > 1 else ():
            try:
                thumbnails[scene.id] = _in_worker(project, scene, _thumbnail, scene, grids[scene.id], largest)
            except BAD_FILE as error:
                yield Finding("error", _at_scene(scene, error))
        leaks += find_twins(thumbnails, places)
    else:
        yield Finding("warning", f"{len(afloat)} scenes without a CRS were not compared by their looks: too many")
    do = "the split keeps them on one side" if keeps_apart(project) else "give them one place"
    pairs = [problem(f"scenes {leak.first!r} and {leak.second!r}", leak.reason, do=do) for leak in leaks]
    more = [f"and {len(pairs) - MOST_PAIRS:,} more pairs of scenes that look or lie alike; {do}"]
    yield from (Finding("warning", t) for t in [*pairs[:MOST_PAIRS], *(more if len(pairs) > MOST_PAIRS else [])])


def _thumbnail(scene: Scene, grid: Grid, largest: int) -> FloatArray:
    # One ground resolution for all: a scene half as wide as the largest gets half as many pixels.
    with open_sensor(scene.reference) as raster:
        return thumbnail_of(raster.read, grid.shape_hw, round(THUMBNAIL_PX * max(grid.shape_hw) / largest))
