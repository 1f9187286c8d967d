"""How our values look in a notebook: small tables, without scripts and without colours of our own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from landscribe.core.markup import Html, Node, el, join

RIGHT = "text-align:right"
LEFT = "text-align:left"
MOST_LINES = 12


def box(title: str, *parts: Node) -> Html:
    """Return a title with what belongs to it below."""
    return el(
        "div", el("strong", title), *[part if isinstance(part, Html) else el("div", part) for part in parts if part]
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[Node]], *, text: int = 1) -> Html:
    """Return a table whose first columns are text and stand on the left, and whose others are numbers."""
    styles = [LEFT if k < text else RIGHT for k in range(len(heads))]
    head = el("tr", [el("th", name, style=style) for name, style in zip(heads, styles, strict=True)])
    body = [el("tr", [el("td", cell, style=style) for cell, style in zip(row, styles, strict=True)]) for row in rows]
    return el("table", el("thead", head), el("tbody", body))


def lines(texts: Sequence[str]) -> Html:
    """Return lines below each other, and how many more there are."""
    more = [f"and {len(texts) - MOST_LINES:,} more"] if len(texts) > MOST_LINES else []
    return join([el("div", text) for text in [*texts[:MOST_LINES], *more]])


def folded(title: str, text: str) -> Html:
    """Return text that is shown when its title is clicked."""
    return el("details", el("summary", title), el("pre", text))
