"""Scenes with what was found, invented and missed, and the tools to look at them."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping

from landscribe.core.markup import Html, Node, el
from landscribe.core.score.rows import SceneRow
from landscribe.core.score.score import scene_jaccard
from landscribe.report.data import ClassLayer, ReportData, SceneView
from landscribe.report.overlays import STEPS_PER_PX
from landscribe.report.words import number, plural

COARSE_PX = 2.0
"""Lines moved by more than this are said to be; less cannot be seen on a card."""
KEY = (
    ("found", "found", "predicted and true"),
    ("invented", "invented", "predicted, not true"),
    ("missed", "missed", "true, not predicted"),
)


def toolbar(data: ReportData) -> Html:
    """Build the switches that act on all scenes."""
    judged = data.score is not None
    layers: list[Node] = []
    if judged:
        layers += [_switch(key, [el("span", "", class_=f"swatch {key}"), text], hint) for key, text, hint in KEY]
    layers.append(
        _switch("predicted", [el("span", "", class_="stroke predicted"), "prediction"], "outline of the prediction")
    )
    if judged:
        layers.append(_switch("truth", [el("span", "", class_="stroke truth"), "truth"], "outline of the truth"))
    classes = [
        el(
            "label",
            el("input", type="checkbox", checked=True, data_class=k),
            el("span", "", class_=f"swatch c{k}"),
            name,
        )
        for k, name in enumerate(data.legend.names)
    ]
    slider = el("input", type="range", min=0, max=100, value=55, id="opacity")
    buttons = [el("button", word, type="button", data_all=state) for word, state in (("all", "on"), ("none", "off"))]
    return el(
        "div",
        el(
            "div",
            layers,
            el("label", "opacity", slider, class_="opacity"),
            class_="switches",
            role="group",
            aria_label="layers",
        ),
        el("div", classes, buttons, class_="switches", role="group", aria_label="classes"),
        id="toolbar",
    )


def gallery(data: ReportData) -> Html:
    """Show the scenes that were chosen, in their order."""
    cards = [_card(data, view) for view in data.scenes]
    options = [("worst", "lowest Jaccard first"), ("wrong", "most wrong ground first"), ("name", "by name")]
    chooser = el(
        "label",
        "order ",
        el("select", [el("option", text, value=value) for value, text in options], id="order"),
        class_="order",
    )
    return el(
        "div",
        chooser if data.score is not None and len(cards) > 1 else None,
        el("div", cards, class_="cards", id="cards"),
        _dialog(),
    )


def _card(data: ReportData, view: SceneView) -> Html:
    found = None if data.score is None else data.score.scenes.get(view.id)
    mean = scene_jaccard(found) if found else math.nan
    wrong = _wrong(found) if found else 0.0
    stack = el("div", _image(view), _drawing(view), class_="stack")
    opener = el("button", stack, type="button", class_="open", aria_label=f"enlarge {view.id}")
    facts = [plural(view.shrink, "scene pixel") + " a side to one here" if view.shrink > 1 else None]
    if view.simplified_px > COARSE_PX:
        facts.append(f"lines moved by up to {view.simplified_px:.1f} px to keep this page small")
    caption = el(
        "figcaption",
        el("span", view.id, class_="name"),
        el("span", number(mean, 2), class_="value", title="mean Jaccard of the classes in this scene")
        if found
        else None,
        el("span", _where(view), class_="place"),
        _worst_classes(found) if found else None,
        el("span", "nothing true, nothing predicted", class_="classes") if found and math.isnan(mean) else None,
        [el("small", fact) for fact in facts if fact],
    )
    return el(
        "figure",
        opener,
        caption,
        class_="card",
        data_worst=2 if math.isnan(mean) else f"{mean:.6f}",
        data_wrong=f"{wrong:.6g}",
        data_name=view.id,
    )


def _image(view: SceneView) -> Html:
    source = "data:image/webp;base64," + base64.b64encode(view.picture).decode("ascii")
    shown = f" in bands {', '.join(view.bands)}" if view.bands else ""
    return el("img", src=source, width=view.width, height=view.height, alt=f"scene {view.id}{shown}")


def _drawing(view: SceneView) -> Html:
    groups = [_class_group(k, layer) for k, layer in enumerate(view.layers)]
    box = f"0 0 {view.width * STEPS_PER_PX} {view.height * STEPS_PER_PX}"
    return el("svg", groups, viewBox=box, preserveAspectRatio="none", aria_hidden="true")


def _class_group(index: int, layer: ClassLayer) -> Html:
    fills = (("found", layer.found), ("invented", layer.invented), ("missed", layer.missed))
    lines = (("truth", layer.truth), ("predicted", layer.predicted))
    paths = [el("path", d=path, class_=kind) for kind, path in (*fills, *lines) if path]
    return el("g", paths, class_=f"k{index}")


def _worst_classes(found: Mapping[str, SceneRow]) -> Html:
    rows = [(name, row.polygon.jaccard) for name, row in found.items()]
    known = sorted((value, name) for name, value in rows if not math.isnan(value))
    return el("span", ", ".join(f"{name} {value:.2f}" for value, name in known[:4]), class_="classes")


def _wrong(found: Mapping[str, SceneRow]) -> float:
    return sum(row.polygon.fp + row.polygon.fn for row in found.values())


def _where(view: SceneView) -> str:
    place = "" if view.place == view.id else f"place {view.place}"
    side = {"validate": "held out from training", "train": "trained on", "unlabelled": "no labels"}.get(view.split, "")
    return ", ".join(part for part in (place, side) if part)


def _switch(key: str, content: Node, hint: str) -> Html:
    return el("label", el("input", type="checkbox", checked=True, data_layer=key), content, title=hint)


def _dialog() -> Html:
    buttons = [
        el("button", sign, type="button", data_act=act, aria_label=label)
        for sign, act, label in (
            ("←", "previous", "previous scene"),
            ("→", "next", "next scene"),
            ("−", "out", "smaller"),
            ("+", "in", "larger"),
            ("✕", "close", "close"),
        )
    ]
    return el(
        "dialog",
        el("div", el("strong", "", id="shown-name"), el("span", buttons), class_="dialog-bar"),
        el("div", "", id="shown-tools"),
        el("div", "", id="shown", tabindex=0, aria_label="enlarged scene"),
        id="enlarged",
        aria_label="enlarged scene",
    )
