"""What a run found, as the beginning of a review, and what was said of it in the map already."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from pyproj import CRS

from landscribe.core.features import one_at_a_time
from landscribe.errors import DataError, problem, some
from landscribe.io.models.finished import read_finished
from landscribe.io.models.model_files import WEIGHTS
from landscribe.io.names import safe_name
from landscribe.io.review.found_ids import found_ids
from landscribe.io.review.journal import Journal
from landscribe.io.review.review import FOUND, LOOKED_TEXTS, Review, looked_areas, review_features
from landscribe.io.run.runs import Run
from landscribe.io.vector.vectors import read_own
from landscribe.late import geopandas as gpd
from landscribe.late import pandas as pd

FOLDER = "review"
"""Of a run: what was said in its map, a file for each scene."""
DIGEST_LETTERS = 16


def models_digest(run: Run) -> str:
    """Return what tells the models of a run from others: of its finished models, else of those that it trained."""
    finished = read_finished(run)
    if finished is not None:
        digests = dict(finished.digests)
    else:
        made = [record.outputs for stage in ("train", "adapt") for record in run.records(stage).values()]
        digests = {n: d for outputs in made for n, d in outputs.items() if n.startswith(("models/", "adapted/"))}
        digests = {n: d for n, d in digests.items() if n.endswith((WEIGHTS, ".json"))}
    text = json.dumps(sorted(digests.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LETTERS] if digests else ""


def reviews_of(run: Run) -> dict[str, Path]:
    """Return the reviews that the map of a run has kept, by scene.

    Raises:
        DataError: If there are edits that are in no file yet.
    """
    for path in sorted(run.path(FOLDER).glob(".*.journal")):
        if Journal(path).says:
            do = "end `landscribe view`, or start it once more and end it, if it was killed"
            raise DataError(problem(str(path), "edits that are not in the review file yet", do=do))
    names = {safe_name(scene): scene for scene in run.records("vectorize")}
    files = sorted(run.path(FOLDER).glob("[!.]*.gpkg"))
    return {names.get(path.stem, path.stem): path for path in files}


def as_found(features: gpd.GeoDataFrame, model: str) -> gpd.GeoDataFrame:
    """Return found polygons as the layer `features` of a review in which nobody has said anything."""
    columns = {
        "id": found_ids(features),
        "scene": features["scene"],
        "class_name": features["class_name"],
        "source": [FOUND] * len(features),
        "model": [model] * len(features),
        "score": features["score"],
        "area": features["area"],
    }
    return review_features(columns, features.geometry.to_numpy(), features.crs)


def complete(review: Review, run: Run, scene: str, where: str) -> Review:
    """Add to the review of a scene, which may hold only what somebody touched, all else that was found there.

    Args:
        review: What was said.
        run: The run whose polygons it is of.
        scene: The scene.
        where: File of the review, for messages.

    Raises:
        DataError: If the run has found other polygons since.
        IntegrityError: If the polygons are not what was written.
    """
    found = as_found(read_own(run.checked(run.features(scene))), models_digest(run))
    known = set(found["id"])
    touched = review.features
    lost = [n for n, source in zip(touched["id"], touched["source"], strict=True) if source == FOUND and n not in known]
    if lost:
        what = f"{len(lost)} of its polygons are not what the run has found in scene {scene!r}"
        do = "the run was made again since: name another run folder for it, or move the review away"
        raise DataError(problem(where, what, got=some(lost), do=do))
    rest = found[~found["id"].isin(set(touched["id"]))]
    return replace(review, features=stack([touched, rest]), run=review.run or run.root.resolve().name, scenes=(scene,))


@one_at_a_time
def stack(parts: list[gpd.GeoDataFrame]) -> gpd.GeoDataFrame:
    """Put layers of one CRS and kind one behind the other."""
    kept = [part for part in parts if len(part)] or parts[:1]
    return gpd.GeoDataFrame(pd.concat(kept, ignore_index=True), geometry="geometry", crs=parts[0].crs)


@one_at_a_time
def to_crs(review: Review, crs: CRS | None) -> Review:
    """Return a review in another CRS; where one of the two is none, as it is."""
    if crs is None or review.crs is None or review.crs.equals(crs, ignore_axis_order=True):
        return review
    return replace(review, features=review.features.to_crs(crs), looked=review.looked.to_crs(crs))


def of_scene(review: Review, scene: str) -> Review:
    """Return a review whose areas and polygons without a scene are of this one."""
    texts = {name: list(review.looked[name]) for name in LOOKED_TEXTS} | {"scene": [scene] * len(review.looked)}
    features = review.features.copy()
    features.loc[features["scene"] == "", "scene"] = scene
    looked = looked_areas(texts, review.looked.geometry.to_numpy(), review.crs)
    return replace(review, features=features, looked=looked, scenes=(scene,))
