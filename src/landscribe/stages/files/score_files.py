"""`score PREDICTED TRUTH`: one file of polygons against another, without any recipe."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pyproj import CRS

from landscribe.core.legend import DSTL_LEGEND, LandClass, Legend, default_colour
from landscribe.core.score.left_out import LeftOut, add_left_out, scenes_left_out
from landscribe.core.score.score import NotScored, Score
from landscribe.core.score.scores import score_features
from landscribe.core.split.places import dstl_place
from landscribe.errors import DataError, problem
from landscribe.io.vector.clean import EMPTY
from landscribe.io.vector.standing import Standing, read_standing

UNNAMED = "feature"
"""Class of the polygons of a file that names none."""


def score_files(predicted: Path, truth: Path, class_field: str | None = None) -> Score:
    """Score one file of polygons against another.

    Scenes come from a column `scene` or, in DSTL tables, from `ImageId`; files without it are one scene. Scored are
    the scenes of the truth; where the prediction is a DSTL table, which names every image it is about, only those
    that it names.

    Args:
        predicted: `.gpkg`, `.geojson`, `.parquet`, `.fgb`, or a table with WKT, plain or gzipped.
        truth: The same.
        class_field: Column that names the class, where a file has it, and one of the two has to; else `class_name`, or
            DSTL's `ClassType`.

    Returns:
        The score.

    Raises:
        DataError: If a file cannot be read, or the two have no class or no scene in common.
    """
    theirs = read_standing(truth, class_field=class_field)
    ours = read_standing(predicted, class_field=class_field, crs=crs_of(theirs))
    return score_standing(ours, theirs, (str(predicted), str(truth)), class_field)


def crs_of(theirs: Standing) -> CRS | None:
    """Return the CRS in which a truth is compared."""
    # What a file without polygons says of coordinates is of no matter.
    return theirs.features.crs if len(theirs.features) else None


def score_standing(ours: Standing, theirs: Standing, names: tuple[str, str], class_field: str | None = None) -> Score:
    """Score what is predicted against the truth, wherever they come from; otherwise as `score_files`.

    Args:
        ours: What is predicted, in the CRS of the truth.
        theirs: The truth.
        names: Of both, for messages.
        class_field: As it was read with.
    """
    crs = crs_of(theirs)
    _require_column(names, ours, theirs, class_field)
    if len(ours.features) and len(theirs.features) and ours.features.crs is not None and crs is None:
        raise DataError(problem(names[1], "no CRS", need=f"the one of {names[0]}: {ours.features.crs.to_string()}"))
    short = (Path(names[0]).name, Path(names[1]).name)
    ours, theirs = _same_class(*_same_scenes(ours, theirs))
    scenes = [i for i in theirs.scenes if not ours.names_all or i in ours.scenes]
    if not set(scenes) & set(ours.scenes):
        got = f"{', '.join(ours.scenes[:3])} in {short[0]}; {', '.join(theirs.scenes[:3])} in {short[1]}"
        raise DataError(problem("score", "no scene in both files", got=got, need="the same ids"))
    score = score_features(
        ours.features, theirs.features, _legend_of(short, ours, theirs),
        places={i: dstl_place(i) if ours.names_all else i for i in scenes},
    )  # fmt: skip
    counts = {side: _counts(read) for side, read in (("predicted", ours), ("truth", theirs))}
    alone = [[i for i in side.scenes if i not in set(scenes)] for side in (theirs, ours)]
    said = replace(
        score.conventions,
        left_out={side: reasons for side, reasons in counts.items() if reasons},
        scenes_not_scored=NotScored(truth=len(alone[0]), predicted=len(alone[1])),
    )
    rows = [
        scenes_left_out("which the prediction does not name", alone[0], len(theirs.scenes)),
        _polygons_of("true, in scenes that are not scored", theirs, alone[0]),
        scenes_left_out("which the truth does not name", alone[1], len(ours.scenes)),
        _polygons_of("predicted, in scenes that are not scored", ours, alone[1]),
    ]
    return replace(score, conventions=said, left_out=add_left_out(rows))


def _require_column(names: tuple[str, str], ours: Standing, theirs: Standing, name: str | None) -> None:
    pairs = list(zip((ours, theirs), names, strict=True))
    if name is not None and not any(name in side.columns or not side.columns for side in (ours, theirs)):
        there = [f"{', '.join(side.columns[:10])} in {Path(where).name}" for side, where in pairs]
        need = f"one of {'; '.join(there)}"
        raise DataError(problem("--class-field", "no such column in either file", got=repr(name), need=need))


def _counts(read: Standing) -> dict[str, int]:
    # An empty row of a DSTL table says that there is nothing; nothing was left out.
    return {reason: n for reason, n in read.counts.items() if not (read.names_all and reason == EMPTY)}


def _polygons_of(why: str, side: Standing, scenes: list[str]) -> LeftOut:
    count = int(side.features["scene"].isin(scenes).sum())
    return LeftOut("polygons", why, count, len(side.features))


def _same_scenes(ours: Standing, theirs: Standing) -> tuple[Standing, Standing]:
    """Take both files as one scene where one of them knows of no scenes; one without polygons takes the other's."""
    if not len(ours.features) and ours.scenes == ("",):
        return replace(ours, scenes=theirs.scenes, names_all=theirs.names_all), theirs
    if not len(theirs.features) and theirs.scenes == ("",):
        return ours, replace(theirs, scenes=ours.scenes, names_all=ours.names_all)
    if all(side.scenes != ("",) for side in (ours, theirs)) or ours.scenes == theirs.scenes:
        return ours, theirs
    named = ours if ours.scenes != ("",) else theirs
    if len(named.scenes) > 1 and named.features.crs is None:
        raise DataError(
            problem(
                "score",
                "one file names scenes, the other does not, and pixels of several scenes cannot be told apart",
                got=", ".join(named.scenes[:3]),
                do="add a column `scene` to the other",
            )
        )
    ours, theirs = (
        replace(side, features=side.features.assign(scene=""), scenes=("",), names_all=False) for side in (ours, theirs)
    )
    return ours, theirs


def _same_class(ours: Standing, theirs: Standing) -> tuple[Standing, Standing]:
    """Take a file that tells no classes apart as being of the other's class, where that has only one."""
    names = [list(dict.fromkeys(side.features["class_name"].astype(str))) for side in (ours, theirs)]
    if len(names[0]) == len(names[1]) == 1 and UNNAMED in (names[0][0], names[1][0]):
        name = names[1][0] if names[0][0] == UNNAMED else names[0][0]
        ours, theirs = (replace(side, features=side.features.assign(class_name=name)) for side in (ours, theirs))
    return ours, theirs


def _legend_of(names: tuple[str, str], ours: Standing, theirs: Standing) -> Legend:
    if ours.names_all and theirs.names_all:
        return DSTL_LEGEND
    sides = [dict.fromkeys(side.features["class_name"].astype(str)) for side in (ours, theirs)]
    if all(sides) and not set(sides[0]) & set(sides[1]):
        got = f"{', '.join(list(sides[0])[:5])} in {names[0]}; {', '.join(list(sides[1])[:5])} in {names[1]}"
        do = "name the column with --class-field, which a file that lacks it may replace by class_name"
        raise DataError(problem("score", "no class in both files", got=got, do=do))
    found = [*sides[1], *(name for name in sides[0] if name not in sides[1])]
    # Nobody says which classes are countable, so objects are counted in all of them.
    return Legend(tuple(LandClass(k + 1, n, default_colour(k), countable=True) for k, n in enumerate(found)))
