"""The page: sections in the order in which somebody who has to decide reads them."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources

from landscribe import __version__
from landscribe.core.legend import Legend, default_colour
from landscribe.core.markup import Html, Node, el, join
from landscribe.report.cautions import cautions
from landscribe.report.data import ReportData
from landscribe.report.gallery import gallery, toolbar
from landscribe.report.panels import (
    adapted_panel,
    alignment_panel,
    area_panel,
    dropped_panel,
    recipe_panel,
    split_panel,
    threshold_panel,
    training_panel,
    tuned_panel,
    versions_panel,
)
from landscribe.report.scorecard import class_table, headline, object_table, scene_table

_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")

LONE_OUTLINE = "#ffe14d"
EXPLAIN = {
    "score": "Areas are exact and summed over all scored scenes before anything is divided. The interval says how far "
    "the number would move had other places been drawn. A class name shows that class alone on the pictures.",
    "scenes": "Lowest Jaccard first. Classes lie over each other: look at one at a time. Hatched ground is not scored, "
    "for lack of data or of labels.",
    "areas": "A model that predicts the right amount of ground in the wrong places looks good here and bad above.",
    "curves": "Upper: Jaccard on pixels at every threshold; the line marks the one in use. Choosing the best threshold "
    "on these very scenes would flatter the score. Lower: what was said with some probability, how often was it true?",
    "adapted": "Networks took statistics of new scenes, or were trained on with what they themselves predict of them. "
    "Labels of the held-out scenes were not looked at; their pixels may have been, and the recipe says so.",
    "tuned": "Chosen on training scenes, by models that had not seen them. The held-out scenes of the score were not "
    "looked at: what tuning is worth there is in the second table, where anything was used.",
    "alignment": "How far each raster's georeference was moved so that it lies on the reference sensor, in pixels of "
    "that sensor; the score says how alike they are then (1 is best), the spread how far parts of the scene disagree.",
}


def render_report(data: ReportData) -> str:
    """Write the page.

    Args:
        data: Everything to show; any text in it is escaped.

    Returns:
        One HTML document that needs no other file and asks no network.
    """
    style = Html(_file("report.css") + _class_style(data.legend))
    script = Html(_file("report.js"))
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", f"{data.title} · Landscribe"),
        el("style", style),
    )
    content = (_skip(), _top(data), el("main", _sections(data), id="main"), _foot(data), el("script", script))
    body = el("body", content, class_=None if data.score is not None else "unscored")
    return "<!doctype html>\n" + el("html", head, body, lang="en") + "\n"


def _sections(data: ReportData) -> list[Node]:
    parts: list[Node] = [_section("trust", "Before you trust it", _caution_list(data))]
    if data.score is not None:
        parts.append(
            _section("score", "Score per class", join([class_table(data, data.score), object_table(data.score)]))
        )
    if data.scenes:
        parts.append(_section("scenes", "Scenes", join([toolbar(data), gallery(data), _not_shown(data)])))
    if data.score is not None and len(data.score.scenes) > 1:
        parts.append(
            el("details", el("summary", "Jaccard of every scored scene"), scene_table(data.score), class_="wide")
        )
    for key, title, panel in (
        ("areas", "How much ground", area_panel(data)),
        ("curves", "Thresholds and probabilities", threshold_panel(data)),
        ("tuned", "Tuning", tuned_panel(data)),
        ("adapted", "Adapted to new scenes", adapted_panel(data)),
        ("training", "Training", training_panel(data)),
        ("split", "Trained on and held out", split_panel(data)),
        ("alignment", "Alignment", alignment_panel(data)),
        ("dropped", "Left out", dropped_panel(data)),
        ("recipe", "Recipe", recipe_panel(data)),
        ("versions", "Times and versions", versions_panel(data)),
    ):
        if panel is not None:
            parts.append(_section(key, title, panel))
    return parts


def _section(key: str, title: str, content: Node) -> Html:
    explain = el("p", EXPLAIN[key], class_="explain") if key in EXPLAIN else None
    return el("section", el("h2", title, id=f"{key}-title"), explain, content, id=key, aria_labelledby=f"{key}-title")


def _top(data: ReportData) -> Html:
    when = el("p", data.written, class_="when") if data.written else None
    links = [
        ("score", "scores"),
        ("scenes", "scenes"),
        ("areas", "areas"),
        ("curves", "thresholds"),
        ("tuned", "tuning"),
        ("training", "training"),
    ]
    links += [("dropped", "left out"), ("recipe", "recipe")]
    has = {
        "score": data.score is not None,
        "scenes": bool(data.scenes),
        "curves": bool(data.curves),
        "tuned": bool(data.tuned),
    }
    has |= {"training": bool(data.histories), "areas": data.score is not None or bool(data.predicted_areas)}
    shown = [el("a", text, href=f"#{key}") for key, text in links if has.get(key, True)]
    shown += [el("a", "map", href=data.map, title="landscribe run and landscribe map write it")] if data.map else []
    return el(
        "header",
        el("div", el("p", "Landscribe report", class_="brand"), el("h1", data.title), when),
        headline(data),
        el("nav", shown, aria_label="sections"),
    )


def _caution_list(data: ReportData) -> Html:
    found = cautions(data)
    if not found:
        text = "None of the automatic checks found a reason for doubt. Look at the worst scenes all the same."
        return el("p", text, class_="fine")
    return el("ul", [el("li", _with_code(text)) for text in found], class_="cautions")


def _with_code(text: str) -> list[Node]:
    """Set what stands between back quotes as commands and settings are."""
    return [el("code", part) if number % 2 else part for number, part in enumerate(text.split("`"))]


def _not_shown(data: ReportData) -> Html | None:
    total = len(data.score.scenes) if data.score is not None else len(data.splits)
    hidden = total - len(data.scenes)
    if hidden <= 0:
        return None
    rule = "those with the lowest Jaccard are" if data.score is not None else "held-out ones come first"
    text = f"{hidden:,} more scenes are not pictured, to keep this page small: {rule}. The map shows any scene."
    return el("p", text, class_="note")


def _skip() -> Html:
    return el("a", "skip to content", href="#main", class_="skip")


def _foot(data: ReportData) -> Html:
    version = data.versions.get("landscribe", __version__)
    return el(
        "footer", el("p", f"Written by Landscribe {version}. This page is one file and loads nothing from anywhere.")
    )


def _class_style(legend: Legend) -> str:
    lines = []
    for k, land_class in enumerate(legend):
        # A colour goes into the style sheet, where escaping does not help: only #RRGGBB may.
        colour = land_class.colour if _COLOUR.fullmatch(land_class.colour) else default_colour(k)
        lines.append(
            f".c{k}{{background:{colour}}}.k{k}{{--class:{colour}}}.no-k{k} .k{k}{{display:none}}"
            f".line.s{k}{{stroke:{colour};stroke:{_readable(colour)}}}"
            f".stroke.s{k}{{background:{colour};background:{_readable(colour)}}}"
        )
    if len(legend) == 1:
        # Nothing to tell apart by colour, so take one that is none of found, invented and missed.
        lines.append(f".k0{{--class:{LONE_OUTLINE}}}")
    return "\n".join(lines)


def _readable(colour: str) -> str:
    # Towards the ink, so that a pale line stands out on white and a dark one on black.
    return f"color-mix(in oklab,{colour} 70%,var(--ink))"


def _file(name: str) -> str:
    return (resources.files("landscribe.report") / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
