"""Numbers as words, and tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from landscribe.core.markup import Html, Node, el

MISSING = "–"
MANY_NAMES = 6


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with fixed digits; what is not known is a dash."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def percent(value: float) -> str:
    """Write a share in percent with as many digits as it takes."""
    shown = 100 * value
    return f"{shown:.0f} %" if shown >= 10 else f"{shown:.2g} %" if shown > 0 else "0 %"


def times(ratio: float) -> str:
    """Write a ratio with two or three digits."""
    return f"{ratio:.2f} times" if ratio < 10 else f"{ratio:,.0f} times"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """Write some names, and how many more there are."""
    shown = ", ".join(names[:MANY_NAMES])
    return shown if len(names) <= MANY_NAMES else f"{shown} and {len(names) - MANY_NAMES} more"


def area(value: float, unit: str) -> str:
    """Write an area in the unit that gives a short number.

    Args:
        value: Area.
        unit: `m2`, `px2`, or `unit2` where nobody knows.
    """
    if unit != "m2":
        return f"{value:,.0f} px" if unit == "px2" else f"{value:.4g} square units"
    for factor, name in ((1e6, "km²"), (1e4, "ha")):
        if value >= factor:
            return f"{value / factor:,.1f} {name}"
    return f"{value:,.0f} m²"


def duration(seconds: float) -> str:
    """Write a time a person can grasp."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[Node]],
    label: str,
    *,
    hints: Mapping[str, str] | None = None,
    text: int = 1,
) -> Html:
    """Build a table that scrolls sideways by itself where the window is narrow.

    Args:
        heads: Column heads.
        rows: Cells; the first of a row is its head.
        label: What the table is, for screen readers.
        hints: Column -> what it means, shown on hover and read out.
        text: Number of leading columns that hold text; the others hold numbers.
    """
    hints = hints or {}
    top = [
        el("th", el("abbr", head, title=hints[head]) if head in hints else head, scope="col", class_=_kind(i, text))
        for i, head in enumerate(heads)
    ]
    body = [
        el(
            "tr",
            [
                el("th" if i == 0 else "td", cell, scope="row" if i == 0 else None, class_=_kind(i, text))
                for i, cell in enumerate(row)
            ],
        )
        for row in rows
    ]
    inner = el("table", el("thead", el("tr", top)), el("tbody", body))
    return el("div", inner, class_="scroll", role="region", tabindex=0, aria_label=label)


def _kind(column: int, text: int) -> str | None:
    return None if column < text else "num"
