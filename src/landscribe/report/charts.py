"""Charts as inline SVG. Colours come from the style sheet, so that they follow dark mode; numbers come as text too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from landscribe.core.arrays import FloatArray
from landscribe.core.markup import Html, el


@dataclass(frozen=True)
class Line:
    """One line of a chart."""

    name: str
    x: Sequence[float] | FloatArray
    y: Sequence[float] | FloatArray
    style: str
    """Class of the style sheet."""


@dataclass(frozen=True)
class Frame:
    """The box of a chart in its own units, and the values at its edges."""

    width: float = 300
    height: float = 180
    left: float = 34
    bottom: float = 30
    top: float = 10
    right: float = 10
    x0: float = 0.0
    x1: float = 1.0
    y0: float = 0.0
    y1: float = 1.0

    def x(self, value: float) -> float:
        """Return where a value stands from the left."""
        share = (value - self.x0) / ((self.x1 - self.x0) or 1)
        return round(self.left + share * (self.width - self.left - self.right), 1)

    def y(self, value: float) -> float:
        """Return where a value stands from the top."""
        share = (value - self.y0) / ((self.y1 - self.y0) or 1)
        return round(self.height - self.bottom - share * (self.height - self.top - self.bottom), 1)


def interval_bar(value: float | None, low: float | None, high: float | None, style: str = "") -> Html:
    """Draw a score between 0 and 1 as a dot, with its interval as a line."""
    frame = Frame(width=180, height=18, left=6, right=6, top=0, bottom=0)
    parts = [el("line", x1=frame.x(0), x2=frame.x(1), y1=9, y2=9, class_="track")]
    parts += [el("line", x1=frame.x(t), x2=frame.x(t), y1=6, y2=12, class_="track") for t in (0, 0.25, 0.5, 0.75, 1)]
    if low is not None and high is not None:
        parts.append(el("line", x1=frame.x(low), x2=frame.x(high), y1=9, y2=9, class_="whisker"))
    if value is not None:
        parts.append(el("circle", cx=frame.x(value), cy=9, r=4.5, class_="dot"))
    return el("svg", parts, viewBox="0 0 180 18", class_=f"interval {style}".strip(), aria_hidden="true")


def line_chart(
    lines: Sequence[Line], frame: Frame, *, label: str, x_label: str = "", marks: Sequence[tuple[float, str]] = ()
) -> Html:
    """Draw lines over a grid.

    Args:
        lines: Lines; points that are not finite interrupt them.
        frame: Box and value range.
        label: What a screen reader says.
        x_label: Name of the horizontal axis.
        marks: Vertical lines, each with its text.
    """
    parts = _grid(frame)
    for at, text in marks:
        x = frame.x(at)
        side = "end" if x > frame.width * 0.7 else "start"
        parts.append(el("line", x1=x, x2=x, y1=frame.top, y2=frame.height - frame.bottom, class_="mark"))
        offset = -4 if side == "end" else 4
        parts.append(el("text", text, x=x + offset, y=frame.top + 8, text_anchor=side, class_="mark-text"))
    parts += [el("path", d=_path(line, frame), class_=f"line {line.style}") for line in lines]
    if x_label:
        middle = (frame.left + frame.width - frame.right) / 2
        parts.append(el("text", x_label, x=middle, y=frame.height - 4, text_anchor="middle", class_="axis"))
    return el(
        "svg", parts, viewBox=f"0 0 {frame.width:g} {frame.height:g}", class_="chart", role="img", aria_label=label
    )


def area_bars(rows: Sequence[tuple[float, str, str]], largest: float) -> Html:
    """Draw horizontal bars one above the other.

    Args:
        rows: Value, text behind the bar, class of the style sheet.
        largest: Value of a full bar.
    """
    height = 16 * len(rows)
    parts = []
    for i, (value, text, style) in enumerate(rows):
        width = 0 if largest <= 0 else 200 * value / largest
        parts.append(el("rect", x=0, y=16 * i + 2, width=round(max(width, 0.5), 1), height=12, rx=2, class_=style))
        parts.append(el("text", text, x=round(width + 6, 1), y=16 * i + 12, class_="bar-text"))
    return el("svg", parts, viewBox=f"0 0 300 {height}", class_="bars", aria_hidden="true")


def shares_bar(parts: Sequence[tuple[float, str]]) -> Html:
    """Draw one bar that is divided as its parts are.

    Args:
        parts: Value and class of the style sheet of each part.
    """
    total = sum(value for value, _ in parts)
    at, rects = 0.0, []
    for value, style in parts:
        width = 200 * value / total if total > 0 else 0.0
        rects.append(el("rect", x=round(at, 1), y=2, width=round(width, 1), height=12, class_=style))
        at += width
    return el("svg", rects, viewBox="0 0 200 16", preserveAspectRatio="none", class_="shares", aria_hidden="true")


def nice_top(values: Sequence[float]) -> float:
    """Return a round number not below the largest finite value."""
    finite = [v for v in values if math.isfinite(v)]
    largest = max(finite, default=1.0)
    if largest <= 0:
        return 1.0
    step = 10 ** math.floor(math.log10(largest))
    return next(step * m for m in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * m >= largest * (1 - 1e-9))


def _grid(frame: Frame) -> list[Html]:
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        value = frame.y0 + share * (frame.y1 - frame.y0)
        y = frame.y(value)
        parts.append(el("line", x1=frame.left, x2=frame.width - frame.right, y1=y, y2=y, class_="grid"))
        if share in {0, 0.5, 1}:
            parts.append(el("text", f"{value:.3g}", x=frame.left - 5, y=y + 3, text_anchor="end", class_="tick"))
    middle = (frame.x0 + frame.x1) / 2
    # Between epochs there is nothing to name.
    whole = frame.x1 - frame.x0 > 1 and float(frame.x0).is_integer() and float(frame.x1).is_integer()
    for value, anchor in ((frame.x0, "start"), (round(middle) if whole else middle, "middle"), (frame.x1, "end")):
        y = frame.height - frame.bottom + 11
        parts.append(el("text", f"{value:.4g}", x=frame.x(value), y=y, text_anchor=anchor, class_="tick"))
    return parts


def _path(line: Line, frame: Frame) -> str:
    path, pen_down = [], False
    for x, y in zip(line.x, line.y, strict=True):
        if math.isfinite(x) and math.isfinite(y):
            inside = min(max(float(y), min(frame.y0, frame.y1)), max(frame.y0, frame.y1))
            path.append(f"{'L' if pen_down else 'M'}{frame.x(float(x))} {frame.y(inside)}")
            pen_down = True
        else:
            pen_down = False
    return "".join(path)
