"""A hand on the map of `landscribe view`: goes to a scene, clicks at its pixels, draws around them."""

from __future__ import annotations

import math
import time

from browser import Page

NEAR = 6.0
"""Pixels of the screen; the map takes a click within 5 of such a corner for the end."""


def go_to(page: Page, scene: str) -> None:
    page.evaluate(f"LS.view.goScene(LS.manifest.scenes.findIndex((s) => s.id === '{scene}'), {{ instant: true }})")
    page.until(f"LS.here().id === '{scene}' && LS.edit.book(LS.here()).told && !LS.map.getView().getAnimating()")
    page.evaluate("LS.map.renderSync()")  # where pixels are is known of the last picture alone
    page.evaluate("LS.vector.load()")


def on_screen(page: Page, col: float, row: float) -> tuple[float, float]:
    """Return where a pixel of the scene is in the window."""
    script = (
        f"(() => {{ const s = LS.here(), [left, bottom, right, top] = s.extent;"
        f" const at = [left + {col} * (right - left) / s.size[0], top - {row} * (top - bottom) / s.size[1]];"
        f" const [x, y] = LS.map.getPixelFromCoordinate(at);"
        f" const box = LS.byId('map').getBoundingClientRect(); return [box.left + x, box.top + y]; }})()"
    )
    x, y = page.evaluate(script)
    return x, y


def mouse(page: Page, kind: str, x: float, y: float, count: int = 1, buttons: int = 0) -> None:
    button = "left" if kind != "mouseMoved" or buttons else "none"
    page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button=button, buttons=buttons, clickCount=count)


def click(page: Page, col: float, row: float, *, count: int = 1) -> None:
    x, y = on_screen(page, col, row)
    mouse(page, "mouseMoved", x, y)
    for number in range(1, count + 1):
        mouse(page, "mousePressed", x, y, number, 1)
        mouse(page, "mouseReleased", x, y, number)


def choose(page: Page, col: float, row: float) -> None:
    page.until("!LS.busy")
    page.evaluate("LS.card.hide()")
    click(page, col, row)
    page.until("LS.card.feature !== null && LS.card.feature.get('kind') === 'found'")


def draw(page: Page, *corners: tuple[float, float]) -> None:
    """Click around and end by Enter: two quick clicks at one place would zoom.

    A click near the first or the last corner ends a polygon, so corners there are left out.
    """
    first = last = None
    for col, row in corners:
        at = on_screen(page, col, row)
        if first is not None and min(math.dist(at, first), math.dist(at, last)) <= NEAR:
            continue
        first, last = first or at, at
        click(page, col, row)
        time.sleep(0.3)
    page.press("Enter", 13)


def key(page: Page, name: str) -> None:
    page.press(name, ord(name.upper()) if len(name) == 1 else {"Delete": 46, "Escape": 27}[name])
