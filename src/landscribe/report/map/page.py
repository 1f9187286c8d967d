"""The page of a map: a shell that scripts fill, with what they need inside, or by address from a server."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

from landscribe.core.markup import Html, Node, el

OPENLAYERS, LICENCE, STYLE = "ol.js", "ol.LICENSE", "map.css"
SCRIPTS = (
    "core.js", "source.js", "raster.js", "picture.js", "vector.js", "view.js", "status.js", "panel.js", "list.js",
    "card.js", "swipe.js", "measure.js", "keys.js",
)  # fmt: skip
"""In the order in which each needs those before it."""
START = "start.js"
EDITING = re.compile(r"edit[\w-]*\.js")
"""Scripts that only a server's page gets, between `SCRIPTS` and `START`, by name."""
_SOURCE_MAP = re.compile(r"\n//# sourceMappingURL=\S+\s*$")


def render_map(manifest: Mapping[str, Any], scenes: Sequence[Mapping[str, Any]]) -> str:
    """Write the page that needs no other file and asks no network.

    Args:
        manifest: What the page holds, as `manifest_of` gives it.
        scenes: Images and polygons of each scene of it, in its order.

    Returns:
        One HTML document. Nothing in it runs but the scripts of this folder, whose digests its policy names.
    """
    style = Html(read_asset(STYLE))
    licence = Html("/*\n" + read_asset(LICENCE) + "*/\n")
    scripts = [Html(licence + read_asset(OPENLAYERS)), *(Html(read_asset(name)) for name in (*SCRIPTS, START))]
    digests = " ".join(f"'{_digest(one)}'" for one in scripts)
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"script-src {digests}; base-uri 'none'; form-action 'none'"
    )
    data = [_json_block("manifest", manifest), *(_json_block(f"scene-{k}", one) for k, one in enumerate(scenes))]
    return _document(manifest, policy, el("style", style), data, [el("script", one) for one in scripts])


def render_shell(manifest: Mapping[str, Any], base: str = "/web/", *, edit: bool = False) -> tuple[str, str]:
    """Write the page that a server hands out: scripts, tiles and polygons come from it by address.

    Args:
        manifest: As in `render_map`, with `server` set.
        base: Address of the folder of the assets.
        edit: Take the scripts for editing in.

    Returns:
        The HTML document, and the policy for its `Content-Security-Policy` header, which also stands in it.
    """
    policy = (
        "default-src 'none'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'"
    )
    names = (OPENLAYERS, *SCRIPTS, *(editing_scripts() if edit else ()), START)
    link = el("link", rel="stylesheet", href=base + STYLE)
    scripts = [el("script", src=base + name) for name in names]
    page = _document(
        manifest, policy, Html(str(link).removesuffix("</link>")), [_json_block("manifest", manifest)], scripts
    )
    return page, policy


def editing_scripts() -> tuple[str, ...]:
    """Return the names of the scripts for editing, in the order in which they are run."""
    folder = resources.files("landscribe.report.map") / "web"
    return tuple(sorted(file.name for file in folder.iterdir() if EDITING.fullmatch(file.name)))


def asset_names() -> frozenset[str]:
    """Return the names of the files that a server may hand out from `web`."""
    return frozenset((OPENLAYERS, STYLE, *SCRIPTS, *editing_scripts(), START))


def read_asset(name: str) -> str:
    """Return a script or style sheet as a page gets it: without the line by which browsers look for its source."""
    text = (resources.files("landscribe.report.map") / "web" / name).read_text(encoding="utf-8")
    return _SOURCE_MAP.sub("\n", text)


def _document(
    manifest: Mapping[str, Any], policy: str, style: Html, data: Iterable[Html], scripts: Iterable[Html]
) -> str:
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1, viewport-fit=cover"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", f"{manifest['title']} · map · Landscribe"),
        style,
    )
    body = el(
        "body",
        _stage(),
        _panel(manifest),
        _help(),
        el("p", id="said", class_="unseen", role="status"),
        list(data),
        list(scripts),
    )
    return "<!doctype html>\n" + el("html", head, body, lang="en") + "\n"


def _stage() -> Html:
    grip = el("span", "⇔", aria_hidden="true")
    bar = el(
        "div", grip, id="swipe", role="slider", tabindex="0", hidden=True, aria_label="swipe",
        aria_valuemin="0", aria_valuemax="100", aria_valuenow="50",
    )  # fmt: skip
    scale = el("span", el("span", id="scale-line"), el("span", id="scale-text"), id="scale")
    status = el("div", el("span", id="where"), el("span", id="crs"), scale, id="status")
    card = el("section", id="card", hidden=True, aria_label="polygon")
    tools = el("div", id="tools", role="toolbar", aria_label="tools")
    surface = el("div", id="map", tabindex="0", role="application", aria_label="map")
    return el("div", surface, bar, tools, status, el("p", id="note", hidden=True), card, id="stage")


def _panel(manifest: Mapping[str, Any]) -> Html:
    link: Node = el("a", "report", href=str(manifest["report"])) if manifest.get("report") else None
    brand = el("p", "Landscribe map", link, class_="brand")
    return el(
        "aside",
        el("button", id="handle", type="button", aria_label="larger or smaller"),
        el("header", brand, el("h1", str(manifest["title"])), id="head"),
        el("div", id="tabs", role="tablist"),
        el("div", id="pages"),
        id="panel",
        aria_label="panel",
    )


def _help() -> Html:
    close = el("button", "close", id="help-close", type="button")
    head = el("div", el("h2", "Keys", id="help-title"), close, class_="dialog-head")
    return el("dialog", head, el("div", id="help-keys"), id="help", aria_labelledby="help-title")


def _json_block(name: str, value: Any) -> Html:
    """Return JSON that no parser of HTML can leave early: it has no `<`, so no tag and no comment begins in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return el("script", Html(text), id=name, type="application/json")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
