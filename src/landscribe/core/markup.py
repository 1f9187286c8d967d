"""HTML by construction: what is not `Html` is text and gets escaped, so that no name can become a tag."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TypeAlias

_VOID = frozenset({"img", "input", "meta", "br", "hr", "col"})


class Html(str):
    """Finished HTML; any other string is text."""

    __slots__ = ()


Node: TypeAlias = "Html | str | int | float | Iterable[Node] | None"


def el(tag: str, *children: Node, **attributes: str | float | bool | None) -> Html:
    """Build one element.

    Args:
        tag: Its name.
        children: `Html` as it is, other values as escaped text, None as nothing, lists one by one.
        attributes: Escaped; a trailing `_` is cut off (`class_`) and other `_` become `-` (`aria_label`); True is an
            attribute without a value; False and None leave it out.

    Returns:
        The element.
    """
    pairs = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID:
        return Html(f"<{tag}{pairs}>")
    return Html(f"<{tag}{pairs}>{join(children)}</{tag}>")


def join(nodes: Node) -> Html:
    """Put nodes one behind the other, escaping what is text."""
    if nodes is None:
        return Html("")
    if isinstance(nodes, Html):
        return nodes
    if isinstance(nodes, str | int | float):
        return Html(html.escape(str(nodes), quote=True))
    return Html("".join(join(node) for node in nodes))


def _attribute(name: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value), quote=True)}"'
