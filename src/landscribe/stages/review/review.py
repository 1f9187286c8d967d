"""`review`: what a run found, as a file that people correct."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from landscribe.core.legend import Legend
from landscribe.errors import DataError, RecipeError, problem
from landscribe.io.names import safe_name
from landscribe.io.review.found import as_found, complete, models_digest, of_scene, reviews_of, stack, to_crs
from landscribe.io.review.reading import read_review
from landscribe.io.review.review import Review, looked_areas
from landscribe.io.review.writing import write_review
from landscribe.io.run.runs import COMBINED, Run
from landscribe.io.safety import require_output
from landscribe.io.vector.styles import read_legend
from landscribe.io.vector.vectors import read_own


def review(run: Run, out: Path) -> dict[Path, int]:
    """Write the polygons of a run with an empty verdict each, and what was said of them in its map already.

    Args:
        run: The run folder; `vectorize` must have run. It is only read.
        out: GeoPackage to write. Pictures without a place get one each, named after it and the picture.

    Returns:
        File -> number of polygons.

    Raises:
        DataError: If nothing was vectorized, or a review of the map is of other polygons.
        RecipeError: If there is no such run folder, a file is there already, for it may hold somebody's work, or is no
            GeoPackage by its name.
        IntegrityError: If the polygons are not what was written.
        OSError: If the disk is full.
    """
    require_output(out, (), (".gpkg",))
    if not run.root.is_dir():
        raise RecipeError(problem(str(run.root), "no such run folder"))
    scenes = {safe_name(scene): scene for scene in run.records("vectorize")}
    found = sorted(path for path in run.path("features").glob("[!.]*.gpkg") if path.name != COMBINED)
    sources = {out.with_name(f"{out.stem}-{path.stem}.gpkg"): path for path in found}
    together = run.path("features", COMBINED)
    if together.exists():
        sources = {out: together, **sources}
    if not sources:
        in_parts = any(run.path("features", "map").glob("*.parquet"))
        do = (
            'name "gpkg" in map of [outputs], then `landscribe vectorize`'
            if in_parts
            else "run `landscribe vectorize` first"
        )
        raise DataError(problem(str(run.root), "no polygons to review", do=do))
    for target in sources:
        if target.exists():
            do = "choose another --to, or remove it if nobody worked on it"
            raise RecipeError(problem(str(target), "is there already", do=do))
    pictures = {scenes.get(path.stem, path.stem) for path in found}
    written = {}
    for target, path in sources.items():
        legend = read_legend(run.checked(path), "features")
        own = tuple(i for i in scenes.values() if i not in pictures) if path == together else (scenes[path.stem],)
        content = _begun(run, path, own, legend)
        write_review(target, content, legend)
        written[target] = len(content.features)
    return written


def _begun(run: Run, path: Path, scenes: tuple[str, ...], legend: Legend) -> Review:
    """Return what was found in some scenes, with what the map has kept of them in its place."""
    features = as_found(read_own(run.checked(path)), models_digest(run))
    kept = {scene: file for scene, file in reviews_of(run).items() if scene in scenes}
    parts, looked = [features[~features["scene"].isin(set(kept))]], []
    for scene, file in kept.items():
        said = complete(read_review(file, legend), run, scene, str(file))
        said = to_crs(of_scene(said, scene), features.crs)
        parts.append(said.features)
        looked.append(said.looked)
    begun = Review(stack(parts), looked_areas({}, (), features.crs), run.root.resolve().name, scenes)
    return replace(begun, looked=stack(looked)) if looked else begun
