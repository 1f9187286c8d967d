"""`score` and `compare` of values in memory."""

from __future__ import annotations

from pathlib import Path

from landscribe.core.score.compare import Comparison, compare_scores
from landscribe.core.score.score import Score
from landscribe.core.score.seeds import RowSeeds
from landscribe.io.run.runs import Run
from landscribe.io.vector.standing import Standing, read_standing, to_standing
from landscribe.library.polygons import Polygons, to_layer
from landscribe.stages.files.compare import read_scored, seeds_at
from landscribe.stages.files.score_files import crs_of, score_standing

Scored = Score | Run | str | Path
"""A score, a run, its folder, or a `score.json`."""


def score(found: Polygons, truth: Polygons, *, class_field: str | None = None) -> Score:
    """Score polygons against the truth: exact areas, Jaccard, intervals, objects.

    Scenes come from a column `scene`; tables without it are one scene, and so is the whole where one of the two has
    none.

    Args:
        found: What was predicted: a GeoDataFrame in any CRS, or the path of a vector file.
        truth: The same.
        class_field: Column that names the class, where a side has it, and one of the two has to; else `class_name`.

    Raises:
        DataError: If there are no polygons to be had of it, one side has a CRS and the other has none, or the two have
            no class or no scene in common.

    Examples:
        >>> import geopandas as gpd, landscribe as ls
        >>> from shapely.geometry import box
        >>> truth = gpd.GeoDataFrame(geometry=[box(0, 0, 4, 4)], crs=32636)
        >>> found = gpd.GeoDataFrame(geometry=[box(0, 0, 4, 2)], crs=32636)
        >>> round(ls.score(found, truth).mean.polygon.jaccard, 6)
        0.5
    """
    theirs = _standing(truth, "truth", class_field, None)
    ours = _standing(found, "found", class_field, theirs)
    names = tuple(
        str(side) if isinstance(side, str | Path) else text for side, text in ((found, "found"), (truth, "truth"))
    )
    return score_standing(ours, theirs, (names[0], names[1]), class_field)


def compare(first: Scored, second: Scored) -> Comparison:
    """Say which differences between two scores are real.

    Args:
        first: A score, a run, its folder, or a `score.json`.
        second: Another one, scored on the same scenes.

    Raises:
        DataError: If there is no score, or the two have nothing in common.
        IntegrityError: If the score of a run was changed.

    Examples:
        >>> import geopandas as gpd, landscribe as ls
        >>> from shapely.geometry import box
        >>> truth = gpd.GeoDataFrame({"scene": ["a", "b"]}, geometry=[box(0, 0, 4, 4), box(0, 0, 2, 2)], crs=32636)
        >>> half = ls.score(truth.assign(geometry=truth.scale(1, 0.5)), truth)
        >>> round(ls.compare(half, ls.score(truth, truth)).mean.difference, 3)
        0.5
    """
    return compare_scores(_score_of(first), _score_of(second), seeds=(_seeds_of(first), _seeds_of(second)))


def _standing(side: Polygons, where: str, class_field: str | None, truth: Standing | None) -> Standing:
    crs = None if truth is None else crs_of(truth)
    if isinstance(side, str | Path):
        return read_standing(Path(side), class_field=class_field, crs=crs)
    return to_standing(to_layer(side, where), where, class_field=class_field, crs=crs)


def _score_of(one: Scored) -> Score:
    if isinstance(one, Score):
        return one
    return read_scored(one.root if isinstance(one, Run) else Path(one))


def _seeds_of(one: Scored) -> list[RowSeeds]:
    return [] if isinstance(one, Score) else seeds_at(one.root if isinstance(one, Run) else Path(one))
