"""The scores of a run: the headline, the table of classes, the table of scenes."""

from __future__ import annotations

import math

from landscribe.core.markup import Html, Node, el, join
from landscribe.core.score.intervals import Basis
from landscribe.core.score.rows import ClassRow, MeanRow, Means, PolygonRow
from landscribe.core.score.score import Score, lost_to_polygons, scene_jaccard
from landscribe.core.score.shown import OBJECT_HEADS, object_rows
from landscribe.report.charts import interval_bar
from landscribe.report.data import ReportData
from landscribe.report.words import number, plural, table

MAX_SCENE_ROWS = 1000
WEAK: dict[Basis | None, str] = {"scenes": "over scenes of one place", "parts": "over parts of one scene"}
"""Bases of intervals that say nothing about other places, in words."""
TOO_NARROW = "seen in one place only, so the interval is too narrow for other places"


def headline(data: ReportData) -> Html:
    """Say the mean score, what it rests on, and show the interval."""
    if data.score is None:
        text = "Not scored: no labelled scene was held out from training."
        return el("div", el("p", "no score", class_="big none"), el("p", text, class_="lead"), class_="headline")
    mean, score = data.score.mean.polygon, data.score
    scenes = len(score.scenes)
    places = len({data.splits[scene][0] for scene in score.scenes if scene in data.splits})
    counted = sum(row.polygon.jaccard is not None for row in score.classes.values())
    words = [
        f"Mean Jaccard over {plural(counted, 'class', 'classes')}, polygons against polygons, measured on ",
        f"{plural(scenes, 'scene')} of {plural(places, 'place')} that no model was trained on.",
    ]
    return el(
        "div",
        el("p", number(mean.jaccard), class_="big"),
        el("p", _interval(mean), class_="range"),
        _bar(mean, "wide"),
        el("p", words, class_="lead"),
        class_="headline",
    )


def class_table(data: ReportData, score: Score) -> Html:
    """Show every class with its interval, its errors and what the way to polygons cost."""
    rows = [_class_row(data, name, row) for name, row in score.classes.items()]
    rows.append(_mean_row(score.mean))
    heads = [
        "class",
        "",
        "Jaccard",
        "95 % interval",
        "precision",
        "recall",
        "F1",
        "objects",
        "boundary",
        "on pixels",
        "lost",
    ]
    hints = {
        "precision": "share of the predicted ground that is true",
        "recall": "share of the true ground that was found",
        "objects": "found, of all true objects; invented ones behind the plus",
        "boundary": "Jaccard of the strips along the outlines",
        "on pixels": "Jaccard of the thresholded pixels, before they became polygons",
        "lost": "Jaccard on pixels minus Jaccard on polygons",
    }
    used = [i for i in range(len(heads)) if i < 2 or any(row[i] != "" for row in rows)]
    shown = [[row[i] for i in used] for row in rows]
    return table([heads[i] for i in used], shown, "Scores per class", hints=hints)


def object_table(score: Score) -> Html | None:
    """Show how the objects of countable classes are found one by one; None where no class is countable."""
    rows = object_rows(score)
    hints = {
        "F1": "objects one to one, matched where intersection over union reaches 0.5",
        "precision": "share of the predicted objects that are true ones",
        "recall": "share of the true objects that were found",
        "merged": "predicted objects that hold two true ones or more",
        "fragmented": "true objects that hold two predicted ones or more",
    }
    if not rows:
        return None
    merged = any(row.objects is not None and row.objects.merged for row in score.classes.values())
    note = "Where many are merged and few fragmented, [vectorize] separate cuts them apart; areas stay as they are."
    shown = table(list(OBJECT_HEADS), [list(row) for row in rows], "Objects per class", hints=hints)
    return join([shown, el("p", note, class_="note") if merged else None])


def scene_table(score: Score) -> Html:
    """Show every scored scene, worst first."""
    names = list(score.classes)
    order = sorted(score.scenes, key=lambda scene: _order(scene_jaccard(score.scenes[scene])))
    rows: list[list[Node]] = []
    for scene in order[:MAX_SCENE_ROWS]:
        found = score.scenes[scene]
        cells = [number(found[name].polygon.jaccard) if name in found else "" for name in names]
        rows.append([scene, score.places[scene], number(scene_jaccard(found)), *cells])
    heads = ["scene", "place", "mean", *names]
    note = None
    if len(order) > MAX_SCENE_ROWS:
        note = el(
            "p", f"{len(order) - MAX_SCENE_ROWS} better scenes are not listed; score.json has them.", class_="note"
        )
    return join([table(heads, rows, "Jaccard per scene"), note])


def _class_row(data: ReportData, name: str, row: ClassRow) -> list[Node]:
    polygon, index = row.polygon, data.legend.names.index(name)
    objects, boundary, pixel = row.objects, row.boundary, row.pixel
    show = el(
        "button",
        el("span", "", class_=f"swatch c{index}"),
        name,
        type="button",
        class_="only",
        data_only=index,
        title="show only this class on the scenes",
    )
    counted = ""
    if objects:
        counted = f"{objects.tp} of {objects.tp + objects.fn}" + (f" + {objects.fp}" if objects.fp else "")
    return [
        show,
        _bar(polygon),
        el("strong", number(polygon.jaccard)),
        _interval(polygon, short=True),
        number(polygon.precision),
        number(polygon.recall),
        number(polygon.f1),
        counted,
        number(boundary.jaccard) if boundary else "",
        number(pixel.jaccard) if pixel else "",
        _lost(row),
    ]


def _mean_row(mean: Means) -> list[Node]:
    polygon = mean.polygon
    return [
        el("strong", "mean of classes"),
        _bar(polygon),
        el("strong", number(polygon.jaccard)),
        _interval(polygon, short=True),
        *[""] * 4,
        number(mean.boundary.jaccard) if mean.boundary else "",
        number(mean.pixel.jaccard) if mean.pixel else "",
        _lost(mean),
    ]


def _lost(row: ClassRow | Means) -> str:
    cost = lost_to_polygons(row)
    # Adding 0.0 turns the -0.0 of rounding into 0.0.
    return "" if cost is None else f"{round(cost, 3) + 0.0:+.3f}"


def _interval(row: PolygonRow | MeanRow, *, short: bool = False) -> list[Node]:
    if row.low is None or row.high is None:
        return ["–" if short else "no interval: one piece of evidence"]
    weak = WEAK.get(row.basis)
    words = f"{row.low:.2f} to {row.high:.2f}" + ("" if short else " with 95 % confidence")
    return [words, el("small", " ", weak, title=TOO_NARROW) if weak else None]


def _bar(row: PolygonRow | MeanRow, style: str = "") -> Html:
    weak = "weak" if row.basis in WEAK else ""
    return interval_bar(row.jaccard, row.low, row.high, f"{style} {weak}")


def _order(value: float) -> float:
    return math.inf if math.isnan(value) else value
