"""Read a review as people leave it: shapes mended, columns checked, what was meant told from what was found."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from pyproj import CRS

from landscribe.core.arrays import GeometryArray, IntArray
from landscribe.core.features import one_at_a_time
from landscribe.core.legend import Legend
from landscribe.errors import DataError, problem, some
from landscribe.io.review.found_ids import found_id
from landscribe.io.review.review import (
    ACCEPT,
    DRAWN,
    EDITED,
    FEATURE_TEXTS,
    FEATURES,
    FOUND,
    LOOKED,
    LOOKED_TEXTS,
    NUMBERS,
    SOURCES,
    UNSEEN,
    VERDICTS,
    Review,
    looked_areas,
    review_features,
)
from landscribe.io.review.writing import RUN, SCENES
from landscribe.io.safety import require_local_file
from landscribe.io.vector.classes import find_classes, is_missing, require_text
from landscribe.io.vector.clean import clean
from landscribe.io.vector.layer import Layer
from landscribe.io.vector.readers import SQLITE, read_layer
from landscribe.late import geopandas as gpd
from landscribe.late import late

pyogrio = late("pyogrio")

NEEDED = ("class_name", "verdict")
"""Columns without which it is no review."""
FEW = 3
"""So many polygons may all have been changed by hand."""
BY_HAND = "polygons that were changed since they were found and have no verdict, taken for accepted"
DRAWN_ONES = "polygons that were drawn and have no verdict, taken for accepted"


def read_review(path: Path, legend: Legend | None = None) -> Review:
    """Read a review.

    A polygon without a verdict that was drawn, or whose shape or class is no longer the one that was found, counts as
    accepted: whoever changed it has looked at it. Where all polygons without a verdict are changed, and more than a
    few, a program has rewritten the layer, as in another CRS, and nothing is concluded.

    Args:
        path: GeoPackage that `write_review` wrote and people have edited.
        legend: Classes that may occur; None takes every name.

    Returns:
        The review in the file's CRS, with all that was mended or left out in its notes.

    Raises:
        DataError: If it is no GeoPackage, lacks a layer or a column, or names a verdict, source or class that there is
            not.
        LimitError: If it is too large for the memory.
    """
    where = str(path)
    require_local_file(path)
    with path.open("rb") as file:
        if file.read(len(SQLITE)) != SQLITE:
            do = "write one by `landscribe review RUN --to review.gpkg`, or copy the layer into one"
            raise DataError(problem(where, "no GeoPackage, as reviews are", do=do))
    content = read_layer(path, FEATURES, {*FEATURE_TEXTS, *NUMBERS})
    lacking = [name for name in NEEDED if name not in content.columns]
    if lacking:
        got = ", ".join(content.columns) or "none"
        raise DataError(problem(where, f"no column {' and '.join(map(repr, lacking))}: not a review", got=got))
    shapes, kept, counts = clean(content, content.crs, where)
    columns = _texts(content, kept, FEATURE_TEXTS, where)
    columns["class_name"] = _classes(content, kept, legend, where, counts)
    _check_words(columns, where)
    notes = _lines(counts, FEATURES)
    notes += _settle(columns, shapes)
    other = [name for name in content.columns if name not in (*FEATURE_TEXTS, *NUMBERS, "class_id")]
    notes += [f"columns of layer {FEATURES!r} that say nothing here: {some(other)}"] if other else []
    numbers = {name: _numbers(content, kept, name) for name in NUMBERS}
    features = review_features({**columns, **numbers}, shapes, content.crs)
    looked, more = _looked(path, content.crs, legend)
    facts = dict(pyogrio.read_info(path.absolute(), layer=FEATURES)["layer_metadata"] or {})
    scenes = tuple(line for line in facts.get(SCENES, "").split("\n") if line)
    return Review(features, looked, facts.get(RUN, ""), scenes, (*notes, *more))


def _texts(content: Layer, kept: IntArray, names: tuple[str, ...], where: str) -> dict[str, list[str]]:
    found = {}
    for name in names:
        values = content.attributes[name].tolist() if name in content.attributes else [None] * len(content.geometries)
        found[name] = ["" if is_missing(values[k]) else str(values[k]).strip() for k in kept]
        require_text(set(found[name]), name, where)
    return found


def _numbers(content: Layer, kept: IntArray, name: str) -> list[float]:
    values: list[Any] = content.attributes[name].tolist() if name in content.attributes else []
    if not values:
        return [float("nan")] * len(kept)
    return [float(v) if isinstance(v := values[k], int | float) else float("nan") for k in kept]


@one_at_a_time
def _classes(
    content: Layer, kept: IntArray, legend: Legend | None, where: str, counts: Counter[str], *, empty: bool = False
) -> list[str]:
    table = content.attributes.iloc[kept].reset_index(drop=True)
    found = find_classes(content.columns, table, legend, None, "class_name", where, counts)
    missing = [k for k, land_class in enumerate(found) if land_class is None]
    if missing and not empty:
        raise DataError(
            problem(where, f"{len(missing)} polygons without a class", do="give each a class_name, or delete it")
        )
    return ["" if land_class is None else land_class.name for land_class in found]


def _check_words(columns: dict[str, list[str]], where: str) -> None:
    for name, known in (("verdict", VERDICTS), ("source", SOURCES)):
        columns[name] = [text.casefold() for text in columns[name]]
        strange = sorted({text for text in columns[name] if text and text not in known})
        if strange:
            need = " | ".join(text for text in known if text) + ", or nothing"
            raise DataError(problem(where, f"unknown {name}", got=some([repr(t[:40]) for t in strange]), need=need))


def _settle(columns: dict[str, list[str]], shapes: GeometryArray) -> list[str]:
    """Say of each polygon where it comes from, and accept what somebody has drawn or changed without a verdict."""
    names, sources, verdicts = columns["id"], columns["source"], columns["verdict"]
    for k, (name, source) in enumerate(zip(names, sources, strict=True)):
        sources[k] = source or (FOUND if name else DRAWN)
    unseen = [k for k, verdict in enumerate(verdicts) if verdict == UNSEEN]
    found = [k for k in unseen if sources[k] == FOUND]
    changed = [k for k in found if found_id(columns["class_name"][k], shapes[k]) != names[k]]
    notes = []
    if len(changed) == len(found) > FEW:
        notes.append(
            f"none of {len(found)} polygons without a verdict is as it was found: a program has rewritten the layer, "
            "so nothing is concluded from it; give what you changed a verdict"
        )
    else:
        for k in changed:
            sources[k], verdicts[k] = EDITED, ACCEPT
        notes += [f"{len(changed)} {BY_HAND}"] if changed else []
    drawn = [k for k in unseen if sources[k] in (DRAWN, EDITED) and verdicts[k] == UNSEEN]
    for k in drawn:
        verdicts[k] = ACCEPT
    return [*notes, *([f"{len(drawn)} {DRAWN_ONES}"] if drawn else [])]


def _looked(path: Path, crs: CRS | None, legend: Legend | None) -> tuple[gpd.GeoDataFrame, list[str]]:
    if LOOKED not in {str(name) for name, _ in pyogrio.list_layers(path.absolute())}:
        return looked_areas({}, (), crs), [f"no layer {LOOKED!r}: nobody said which ground was looked at wholly"]
    content, where = read_layer(path, LOOKED, set(LOOKED_TEXTS)), f"{path}, layer {LOOKED!r}"
    shapes, kept, counts = clean(content, crs, where)
    columns = _texts(content, kept, LOOKED_TEXTS, where)
    if any(columns["class_name"]):
        columns["class_name"] = _classes(content, kept, legend, where, counts, empty=True)
    return looked_areas(columns, shapes, crs), _lines(counts, LOOKED)


def _lines(counts: Counter[str], layer: str) -> list[str]:
    return [f"layer {layer!r}: {n} {reason}" for reason, n in counts.items() if n]
