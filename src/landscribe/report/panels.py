"""The panels below the pictures: areas, curves, training, alignment, what was dropped, recipe, versions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from landscribe.core.markup import Html, Node, el
from landscribe.core.owners import row_of
from landscribe.core.score.rows import TunedRow, Tuning
from landscribe.core.score.seeds import OF_CLASS, RowSeeds, class_jaccards
from landscribe.report.charts import Frame, Line, area_bars, line_chart, nice_top, shares_bar
from landscribe.report.data import ReportData, ThresholdCurve
from landscribe.report.flicker import flicker_panel
from landscribe.report.words import MISSING, area, duration, number, percent, plural, table

MAX_ROWS = 500
DOUBTFUL_FIRST = ("doubtful", "failed", "rejected", "refused")


def area_panel(data: ReportData) -> Html | None:
    """Compare how much ground truth and prediction give each class, in the scored scenes."""
    if data.score is None:
        return _predicted_only(data)
    rows = {name: row.polygon for name, row in data.score.classes.items()}
    truth = {name: row.tp + row.fn for name, row in rows.items()}
    found = {name: row.tp + row.fp for name, row in rows.items()}
    unit = data.score.unit
    cells: list[list[Node]] = []
    for name, row in rows.items():
        pair = ((truth[name], "", "bar truth"), (found[name], "", "bar predicted"))
        ratio = f"{found[name] / truth[name]:.2f}" if truth[name] > 0 else ""
        shares = shares_bar([(row.tp, "found"), (row.fn, "missed"), (row.fp, "invented")])
        bars = area_bars(pair, max(truth[name], found[name]))
        cells.append([name, bars, shares, area(truth[name], unit), area(found[name], unit), ratio])
    kinds = [el("span", el("span", "", class_=f"swatch {kind}"), kind) for kind in ("found", "missed", "invented")]
    key = el("p", kinds, class_="key")
    hints = {
        "ground": "truth above, prediction below, each class to its own scale",
        "divided": "all ground of the class, true or predicted: found, missed, invented; the found part is the Jaccard",
    }
    heads = ["class", "ground", "divided", "truth", "prediction", "ratio"]
    return el("div", table(heads, cells, "Class areas", text=3, hints=hints), key)


def _predicted_only(data: ReportData) -> Html | None:
    if not data.predicted_areas:
        return None
    largest = max(data.predicted_areas.values())
    rows: list[list[Node]] = [
        [name, area_bars([(value, area(value, data.area_unit), "bar predicted")], largest)]
        for name, value in data.predicted_areas.items()
    ]
    return table(["class", "predicted ground"], rows, "Predicted areas", text=2)


def split_panel(data: ReportData) -> Html | None:
    """Show which share of the labelled ground each class has in training and in validation."""
    sides = [side for side in ("train", "validate") if sum(data.areas.get(side, {}).values()) > 0]
    if not sides:
        return None
    totals = {side: sum(data.areas[side].values()) for side in sides}
    rows: list[list[Node]] = [
        [name, *(percent(data.areas[side].get(name, 0.0) / totals[side]) for side in sides),
         *(area(data.areas[side].get(name, 0.0), data.area_unit) for side in sides)]
        for name in data.legend.names
    ]  # fmt: skip
    places = {side: sorted({place for place, split in data.splits.values() if split == side}) for side in sides}
    lines = [
        el(
            "p",
            el("strong", f"{_SIDES[side]}: "),
            f"{plural(_count(data, side), 'scene')} of {plural(len(names), 'place')}: ",
            _some(names),
        )
        for side, names in places.items()
    ]
    if data.split_why and not data.split_notes:
        lines.append(el("p", el("strong", "how: "), data.split_why))
    lines += [el("p", note, class_="note") for note in data.split_notes]
    heads = ["class", *(f"{_SIDES[side]}, share" for side in sides), *(f"{_SIDES[side]}, area" for side in sides)]
    shares = table(heads, rows, "Labelled ground on both sides of the split")
    return el("div", lines, shares, _unlike_table(data) if data.unlike else None)


def _unlike_table(data: ReportData) -> Html:
    rows: list[list[Node]] = [
        [row.name, MISSING if math.isnan(row.mixture) else percent(row.mixture), number(row.looks, 2)]
        for row in data.unlike[:MAX_ROWS]
    ]
    hints = {
        "other classes": "share of the labelled ground that would have to change class to show the mixture of training",
        "other brightness": "distance of the mean brightness, in standard deviations of training pixels",
    }
    heads = ["unlike the training scenes", "other classes", "other brightness"]
    shown = table(heads, rows, "How unlike training the held-out scenes are", hints=hints)
    return el(
        "div", el("h3", "How unlike training the held-out scenes are"), shown, _rest(len(data.unlike)), class_="below"
    )


_SIDES = {"train": "trained on", "validate": "held out"}


def threshold_panel(data: ReportData) -> Html | None:
    """Draw Jaccard over the threshold, and how often what was said with some probability was true."""
    if not data.curves:
        return None
    return el("div", [_curve_card(data, curve) for curve in data.curves], class_="charts")


def _curve_card(data: ReportData, curve: ThresholdCurve) -> Html:
    index = data.legend.names.index(curve.name)
    best = int(np.nanargmax(curve.jaccard))
    at_chosen = int(np.argmin(np.abs(curve.thresholds - curve.chosen)))
    frame = Frame()
    chart = line_chart(
        [Line(curve.name, curve.thresholds, curve.jaccard, f"s{index}")],
        frame,
        label=f"Jaccard of {curve.name} over the threshold",
        x_label="threshold",
        marks=[(curve.chosen, f"{curve.chosen:g}")],
    )
    now, top = number(curve.jaccard[at_chosen]), number(curve.jaccard[best])
    text = f"{now} at {curve.chosen:g}; at most {top} at {curve.thresholds[best]:.2f}"
    parts: list[Node] = [
        el("h3", el("span", "", class_=f"swatch c{index}"), curve.name),
        chart,
        el("p", text, class_="note"),
    ]
    if len(curve.said):
        parts += [
            line_chart(
                [Line("ideal", (0, 1), (0, 1), "ideal"), Line(curve.name, curve.said, curve.true, f"s{index} dotted")],
                frame,
                label=f"How often {curve.name} was true, over the probability given",
                x_label="probability given; above the diagonal: too cautious",
            )
        ]
    return el("section", parts, class_="chart-card")


def tuned_panel(data: ReportData) -> Html | None:
    """Show what was tuned per class, what it gained on places it was not tuned on, and why it was refused."""
    if not data.tuned:
        return None
    rows: list[list[Node]] = []
    for name, row in data.tuned["classes"].items():
        low, high = row["gain"]["low"], row["gain"]["high"]
        gain = "" if low is None else f"{low:+.3f} to {high:+.3f}"
        decision = "used" if row["accepted"] else f"default stays: {row['why_not']}"
        by_objects = "f1" in row
        values = row["f1"] if by_objects else row["jaccard"]
        figures = [number(values[key]) + (" F1 of objects" if by_objects else "") for key in ("default", "nested")]
        rows.append([name, decision, _say_choice(row["chosen"]), *figures, gain])
    heads = ["class", "decision", "best found", "Jaccard by default", "tuned on other places", "gain, 95 %"]
    return el("div", table(heads, rows, "Tuning", text=3), _tuned_here(data))


def _tuned_here(data: ReportData) -> Node:
    """Show the held-out scenes, which nothing was tuned on, by default and tuned."""
    found = data.score.tuning if data.score else None
    if found is None:
        return None
    heads = ["class", "tuning made it", "Jaccard by default", "tuned", "change", "95 %"]
    shown = table(heads, _with_and_without(found), "The held-out scenes by default and tuned", text=2)
    return el("div", el("h3", "The held-out scenes by default and tuned"), shown, class_="below")


def adapted_panel(data: ReportData) -> Html | None:
    """Show the held-out scenes by networks that were adapted to new scenes, and by the same as they were trained."""
    found = data.score.adapting if data.score else None
    if found is None:
        return None
    heads = ["class", "adapting made it", "Jaccard without", "adapted", "change", "95 %"]
    return table(heads, _with_and_without(found), "The held-out scenes without adapting and with it", text=2)


def _with_and_without(found: Tuning) -> list[list[Node]]:
    rows: list[list[Node]] = []
    for name, row in (*found.classes.items(), ("mean", found.mean)):
        ends = MISSING if row.low is None or row.high is None else f"{row.low:+.3f} to {row.high:+.3f}"
        change = MISSING if row.difference is None else f"{row.difference:+.3f}"
        rows.append([name, _verdict(row), number(row.default), number(row.tuned), change, ends])
    return rows


def _verdict(row: TunedRow) -> str:
    if not row.difference:
        return "no different"
    word = "better" if row.difference > 0 else "worse"
    return {True: word, False: f"{word}, perhaps by chance", None: f"{word}; too little to tell"}[row.real]


def _say_choice(choice: Mapping[str, Any]) -> str:
    parts = [f"threshold {choice['threshold']:g}", f"minimum area {choice['min_area']:g}"]
    parts += [f"at most {choice['max_area']:g}"] if choice["max_area"] else []
    parts += [] if choice["reshape"] == "none" else [f"{choice['reshape']} {choice['distance']:g}"]
    parts += [f"simplify {choice['simplify']:g}"] if choice["simplify"] else []
    parts += [f"mean of {plural(choice['symmetries'], 'view')}"] if choice["symmetries"] else []
    return ", ".join(parts)


def training_panel(data: ReportData) -> Html | None:
    """Draw how each model learned."""
    if not data.histories:
        return None
    parts = [_history(data, name, rows) for name, rows in data.histories.items() if rows]
    return el("div", [*parts, *seeds_notes(data.histories)], class_="models")


def seeds_notes(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> list[Html]:
    """Say how far networks that differ in their seed alone lie apart, row by row."""
    last: dict[str, list[dict[str, float]]] = {}
    for name, rows in histories.items():
        last.setdefault(row_of(name), []).append(class_jaccards(rows[-1] if rows else {}))
    notes = []
    for row in (RowSeeds(name, own) for name, own in last.items()):
        if row.spread is not None:
            each = ", ".join(f"{value:.3f}" for value in row.means())
            text = f"model {row.name}: its {row.networks} networks differ in their seed alone and give {each} each, "
            text += f"pixels in one view; spread {row.spread:.3f}. A difference below {row.noise:.3f} from another run "
            notes.append(el("p", f"{text}of {row.networks} networks is noise.", class_="note"))
    return notes


def _history(data: ReportData, model: str, rows: Sequence[Mapping[str, float]]) -> Html:
    epochs = [row["epoch"] for row in rows]
    loss = [Line("training loss", epochs, _column(rows, "loss"), "train")]
    if any("valid_loss" in row for row in rows):
        loss.append(Line("loss on held-out scenes", epochs, _column(rows, "valid_loss"), "valid"))
    top = nice_top([v for line in loss for v in line.y])
    wide = {"width": 460.0, "height": 220.0, "x0": min(epochs), "x1": max(epochs)}
    chart = line_chart(loss, Frame(**wide, y1=top), label=f"Loss of {model}", x_label="epoch")
    charts = (_with_key("Loss", chart, loss), _jaccards(data, model, rows, epochs, wide))
    parts: list[Node] = [el("h3", f"model {model}"), el("div", charts, class_="charts wide")]
    seconds = sum(v for v in _column(rows, "seconds") if math.isfinite(v))
    last = rows[-1]
    facts = [f"{len(rows)} epochs", f"{last.get('step', math.nan):.0f} steps", duration(seconds)]
    parts.append(el("p", ", ".join(facts), class_="note"))
    return el("section", parts)


def _jaccards(
    data: ReportData, model: str, rows: Sequence[Mapping[str, float]], epochs: list[float], wide: Mapping[str, float]
) -> Html | None:
    names = [name for name in data.legend.names if any(f"{OF_CLASS}{name}" in row for row in rows)]
    if not names:
        return None
    lines = [
        Line(name, epochs, _column(rows, f"{OF_CLASS}{name}"), f"s{data.legend.names.index(name)}") for name in names
    ]
    lines.append(Line("mean", epochs, _column(rows, "valid_jaccard"), "mean"))
    chart = line_chart(lines, Frame(**wide), label=f"Jaccard of {model} on held-out scenes", x_label="epoch")
    return _with_key("Jaccard on held-out scenes", chart, lines)


def _with_key(title: str, chart: Html, lines: Sequence[Line]) -> Html:
    entries = [el("span", el("span", "", class_=f"stroke {line.style}"), line.name) for line in lines]
    return el("div", el("h4", title), chart, el("p", entries, class_="key"))


def alignment_panel(data: ReportData) -> Html | None:
    """List the shifts between sensors, doubtful ones first."""
    rows = [row for row in data.alignment if row.get("decision") not in {"reference", "not estimated"}]
    if not rows:
        return None
    rows.sort(key=lambda row: not any(word in row.get("decision", "") for word in DOUBTFUL_FIRST))
    heads = ["scene", "sensor", "down, px", "right, px", "score", "spread, px", "decision"]
    keys = ("scene", "sensor", "row_px", "col_px", "score", "spread", "decision")
    cells = [[_short(row.get(key, "")) for key in keys] for row in rows[:MAX_ROWS]]
    listed = table(heads, cells, "Alignment", text=2)
    return el("div", flicker_panel(data.flicker), listed, _rest(len(rows)))


def dropped_panel(data: ReportData) -> Html:
    """List what was left out, and why; and what failed."""
    parts: list[Node] = []
    if data.failed:
        parts += [table(["failed", "why"], list(data.failed[:MAX_ROWS]), "Failures", text=2), _rest(len(data.failed))]
    rows = [[stage, what, f"{count:,.0f}"] for stage, what, count in data.dropped[:MAX_ROWS]]
    if rows:
        parts += [table(["stage", "what", "how many"], rows, "Left out", text=2), _rest(len(data.dropped))]
    if data.notes:
        parts += [el("ul", [el("li", note) for note in data.notes[:MAX_ROWS]]), _rest(len(data.notes))]
    return el("div", parts or el("p", "Nothing was dropped, nothing failed.", class_="note"))


def recipe_panel(data: ReportData) -> Html:
    """Show the whole recipe."""
    return el("details", el("summary", "every setting, defaults included"), el("pre", data.recipe, tabindex=0))


def versions_panel(data: ReportData) -> Html:
    """Show what it ran on and how long it took."""
    times = [[_STAGE.get(stage, stage), duration(seconds)] for stage, seconds in data.seconds.items()]
    versions = [[name, version] for name, version in data.versions.items()]
    return el(
        "div",
        table(["stage", "working time"], times, "Times") if times else None,
        table(["program", "version"], versions, "Versions", text=2) if versions else None,
        class_="pair",
    )


_STAGE = {"oof": "predict training scenes"}


def _column(rows: Sequence[Mapping[str, float]], key: str) -> list[float]:
    return [row.get(key, math.nan) for row in rows]


def _count(data: ReportData, side: str) -> int:
    return sum(split == side for _, split in data.splits.values())


def _some(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _short(text: str) -> str:
    try:
        value = float(text)
    except ValueError:
        return text
    return f"{value:.2f}"


def _rest(count: int) -> Html | None:
    return el("p", f"{count - MAX_ROWS} more rows are not shown.", class_="note") if count > MAX_ROWS else None
