from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browser import Page, find_chromium, open_page
from odd_map import NASTY

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")

READY = "typeof LS !== 'undefined' && LS.state?.scene >= 0 && !LS.raster.busy && !LS.raster.queue.length"
STILL = f"{READY} && !LS.map.getView().getAnimating()"
CODES = {"Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Tab": 9, "Enter": 13}
COPY = (
    "const c = document.querySelector('.ls-{kind} canvas'); const o = new OffscreenCanvas(c.width, c.height);"
    "const g = o.getContext('2d', {{ willReadFrequently: true }}); g.drawImage(c, 0, 0);"
)
"""Of what a layer has drawn, since a canvas that is read itself is drawn slowly from then on, and Chromium says so."""
COLOUR = f"(() => {{{{ {COPY} return [...g.getImageData({{x}}, {{y}}, 1, 1).data]; }}}})()"
INK = f"(() => {{{{ {COPY} const d = g.getImageData(0, 0, o.width, o.height).data; let n = 0;"
INK += "for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; }})()"


@contextlib.contextmanager
def opened(path: Path, **options: Any) -> Iterator[Page]:
    """Open a map; nothing but itself is ever asked for and nothing is complained about."""
    with open_page(path, **options) as page:
        page.until(READY)
        yield page
        page.until(READY)
        asked = [event["request"]["url"] for event in page.named("Network.requestWillBeSent")]
        assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
        assert page.named("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded") == []
        assert page.named("Page.javascriptDialogOpening") == []


def type_key(page: Page, key: str) -> None:
    page.call(
        "Input.dispatchKeyEvent",
        type="keyDown",
        key=key,
        windowsVirtualKeyCode=CODES.get(key, 0),
        text=key if len(key) == 1 else "",
    )
    page.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=CODES.get(key, 0))


def click(page: Page, x: float, y: float, clicks: int = 1) -> None:
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        page.call(
            "Input.dispatchMouseEvent",
            type=kind,
            x=x,
            y=y,
            button="left" if kind != "mouseMoved" else "none",
            clickCount=clicks,
        )


def scene_number(page: Page, name: str) -> int:
    return int(page.evaluate(f"LS.manifest.scenes.findIndex((s) => s.id.startsWith({name!r}))"))


def go(page: Page, name: str) -> None:
    page.evaluate(f"LS.view.goScene({scene_number(page, name)}, {{ instant: true }}); LS.map.renderSync()")
    page.until(f"{STILL} && LS.vector.loaded.size > 0")


def test_every_scene_is_shown_in_its_frame(page_path: Path) -> None:
    with opened(page_path) as page:
        names = page.evaluate("LS.manifest.scenes.map((s) => s.id)")
        assert len(names) == 7
        for name in names:
            go(page, name[:10])
            assert page.evaluate("LS.here().id") == name
            seen = (
                "(() => {{ const p = "
                "LS.map.getPixelFromCoordinate(ol.extent.getCenter(LS.here().extent)); return "
                "[Math.round(p[0]), Math.round(p[1])]; }})()"
            )
            x, y = page.evaluate(seen.format())
            page.until(COLOUR.format(kind="picture", x=x, y=y) + "[3] === 255")
            found = page.evaluate(
                "LS.vector.layers['found@0'].getSource().getFeatures().filter((f) => f.get('scene').id "
                f"=== {json.dumps(name)}).length"
            )
            assert found == page.evaluate("LS.here().counts.found")
            assert (found == 0) == (name == "nothing")
            # Tiles are larger than the scene; nothing of them shows beyond its edge.
            corner = "(() => { const p = LS.map.getPixelFromCoordinate([LS.here().extent[2], LS.here().extent[1]]);"
            x, y = page.evaluate(corner + "return [Math.round(p[0]) - 3, Math.round(p[1])]; })()")
            assert page.evaluate(COLOUR.format(kind="picture", x=x, y=y - 3))[3] == 255
            assert page.evaluate(COLOUR.format(kind="picture", x=x, y=y + 3))[3] == 0


def test_coordinates_are_those_of_the_map(page_path: Path) -> None:
    with opened(page_path) as page:
        for name, spot in (
            ("utm", (650_130.25, 3_999_923.25)),
            ("nowhere", (86.5, 65.5)),
            ("degrees", (-115.2 + 86.5 * 5e-6, 36.1 - 65.5 * 5e-6)),
        ):
            go(page, name)
            page.evaluate(
                "LS.view.fit(LS.here().extent, { instant: true }); LS.emit('pointer', "
                "ol.extent.getCenter(LS.here().extent))"
            )
            words = page.evaluate("LS.byId('where').textContent").replace(",", "").split()
            assert (float(words[1]), float(words[3])) == pytest.approx(spot, rel=2e-6)
        go(page, "nowhere")
        page.until("LS.byId('scale-text').textContent.endsWith(' px')")
        assert page.evaluate("LS.byId('crs').textContent") == "no CRS"


def test_the_scale_bar_is_as_long_as_it_says(page_path: Path) -> None:
    with opened(page_path) as page:
        go(page, "utm")
        page.until("LS.byId('scale-text').textContent")
        text = page.evaluate("LS.byId('scale-text').textContent").split()
        metres = float(text[0]) * {"m": 1, "km": 1000, "cm": 0.01}[text[1]]
        width = page.evaluate("LS.byId('scale-line').getBoundingClientRect().width")
        assert width * page.evaluate("LS.map.getView().getResolution()") == pytest.approx(metres, rel=0.02)


def test_a_click_tells_of_a_polygon(page_path: Path) -> None:
    with opened(page_path) as page:
        go(page, "utm")
        pick = (
            "LS.vector.layers['found@0'].getSource().getFeatures().filter((f) => f.get('scene').id "
            "=== 'utm').sort((a, b) => b.get('area') - a.get('area'))[0]"
        )
        page.evaluate("LS.view.set('truth', false)")
        page.evaluate(f"window.big = {pick}; LS.view.fit(big.getGeometry().getExtent(), {{ instant: true, room: 20 }})")
        page.evaluate("LS.map.renderSync()")
        page.until(STILL)
        x, y = page.evaluate(
            "LS.map.getPixelFromCoordinate((big.getGeometry().getInteriorPoint || "
            "big.getGeometry().getInteriorPoints).call(big.getGeometry()).getFirstCoordinate())"
        )
        click(page, x, y)
        page.until("!LS.byId('card').hidden")
        words = page.evaluate("LS.byId('card').textContent")
        for text in ("area", "m²", "IoU with the truth", "mean probability", "utm"):
            assert text in words
        type_key(page, "Escape")
        page.until("LS.byId('card').hidden")


def test_lists_lead_to_polygons_by_keys(page_path: Path) -> None:
    with opened(page_path) as page:
        type_key(page, "l")
        page.until("LS.list.name === 'worst' && !LS.byId('page-places').hidden")
        areas = page.evaluate("LS.manifest.worst.map((r) => r.area)")
        assert areas == sorted(areas, reverse=True)
        assert {row["why"] for row in page.evaluate("LS.manifest.worst")} == {"invented", "missed"}
        for at in (0, 1):
            type_key(page, "j")
            page.until(
                f"{STILL} && LS.list.at.worst === {at} && LS.card.feature && LS.card.feature.get('pid') "
                f"=== LS.manifest.worst[{at}].id"
            )
            assert page.evaluate(f"LS.here() === LS.manifest.scenes[LS.manifest.worst[{at}].scene]")
            inside = "ol.extent.containsExtent(LS.map.getView().calculateExtent(), LS.manifest.worst[{at}].bbox)"
            assert page.evaluate(inside.format(at=at))
        type_key(page, "l")
        type_key(page, "j")
        page.until(
            "LS.list.name === 'least' && LS.card.feature && LS.card.feature.get('score') === "
            "LS.manifest.least_certain[0].score"
        )
        scores = page.evaluate("LS.manifest.least_certain.map((r) => r.score)")
        assert scores == sorted(scores)


def test_every_key_does_something(page_path: Path) -> None:
    shown = {
        "p": "LS.state.on.picture", "1": "LS.state.on.tp", "2": "LS.state.on.fp", "3": "LS.state.on.fn",
        "t": "LS.state.on.truth", "f": "LS.state.on.found", "b": "LS.state.on.probability", "B": "LS.state.probability",
        "v": "String(LS.picture.bandsOf(LS.here()))", "o": "LS.state.opacity.found", "O": "LS.state.opacity.found",
        "s": "LS.state.swipe", "l": "LS.list.name", "j": "LS.list.at[LS.list.name]", "k": "LS.list.at[LS.list.name]",
        "]": "LS.state.scene", "[": "LS.state.scene",
        "+": "LS.map.getView().getZoom()", "-": "LS.map.getView().getZoom()",
        "ArrowLeft": "LS.map.getView().getCenter()[0]", "ArrowRight": "LS.map.getView().getCenter()[0]",
        "ArrowUp": "LS.map.getView().getCenter()[1]", "ArrowDown": "LS.map.getView().getCenter()[1]",
        "w": "LS.map.getView().getZoom()", "0": "LS.map.getView().getZoom()",
        "m": "LS.measure.what", "a": "LS.measure.what",
        "h": "document.body.className", "d": "document.documentElement.dataset.theme", "?": "LS.byId('help').open",
    }  # fmt: skip
    with opened(page_path) as page:
        go(page, "utm")
        known = set(page.evaluate("LS.keys.all.map((one) => one.key)"))
        assert known == {*shown, "n", "Escape"}
        for key, what in shown.items():
            page.until(STILL)
            if key in ("w", "0"):
                page.evaluate("LS.map.getView().setZoom(LS.map.getView().getZoom() + 2)")
            before = page.evaluate(what)
            type_key(page, key)
            page.until(f"{what} !== {json.dumps(before)}" if before is not None else f"{what} != null")
        assert set(page.evaluate("[...document.querySelectorAll('#help kbd')].map((e) => e.textContent)")) >= {
            "p",
            "?",
            "Esc",
            "←",
        }
        page.evaluate("LS.byId('help-close').click()")
        page.until("!LS.byId('help').open")
        type_key(page, "Escape")
        page.until("!LS.measure.what")


def test_bands_and_stretch_change_the_picture(page_path: Path) -> None:
    with opened(page_path) as page:
        go(page, "utm")
        spot = COLOUR.format(kind="picture", x=700, y=400)
        first = page.evaluate(spot)
        assert page.evaluate("LS.here().bands.map((b) => b.name)") == ["red", "green", "blue", "nir"]
        assert page.evaluate("LS.here().views.map((v) => v.name)") == ["natural", "infrared"]
        page.evaluate("[...document.querySelectorAll('.bands .chips button')][1].click()")
        page.until(f"{READY} && String({spot}) !== '{','.join(map(str, first))}'")
        page.evaluate("LS.picture.choose(LS.here(), [3, 3, 3])")
        page.until(f"{READY} && {spot}[0] === {spot}[1] && {spot}[1] === {spot}[2]")
        grey = page.evaluate(spot)
        page.evaluate(
            "const s = document.querySelector('[data-stretch=gamma]'); s.value = 2; s.dispatchEvent(new Event('input'))"
        )
        page.until(f"{READY} && {spot}[0] > {grey[0]}")


def test_a_switched_off_class_vanishes(page_path: Path) -> None:
    with opened(page_path) as page:
        go(page, "utm")
        ink = INK.format(kind="found")
        page.until(f"{ink} > 500")
        before = page.evaluate(ink)
        page.evaluate("document.querySelector('[data-class=\"7\"]').click()")
        page.until(f"{ink} < {before} && {ink} > 0")
        page.evaluate("document.querySelector('[data-class=\"2\"]').click()")
        page.until(f"{ink} === 0")


def test_swipe_cuts_the_layers_of_one_side(page_path: Path) -> None:
    with opened(page_path) as page:
        type_key(page, "s")
        page.until("!LS.byId('swipe').hidden")
        clip = "getComputedStyle(document.querySelector('.ls-{}')).clipPath"
        page.until(f"{clip.format('found')} !== 'none'")
        assert page.evaluate(clip.format("picture")) == "none"
        page.evaluate(
            "const s = document.querySelector('[data-side=found]'); s.value = 'left'; "
            "s.dispatchEvent(new Event('change'))"
        )
        left, right = (page.evaluate(clip.format(kind)) for kind in ("found", "truth"))
        assert left != right != "none"
        page.evaluate("LS.byId('swipe').focus()")
        at = page.evaluate("LS.state.swipeAt")
        type_key(page, "ArrowRight")
        page.until(f"LS.state.swipeAt > {at}")
        bar = page.evaluate(
            "(() => { const b = LS.byId('swipe').getBoundingClientRect(); return b.left + b.width / 2; })()"
        )
        page.call("Input.dispatchMouseEvent", type="mousePressed", x=bar, y=200, button="left", clickCount=1)
        page.call("Input.dispatchMouseEvent", type="mouseMoved", x=900, y=220, button="left")
        page.call("Input.dispatchMouseEvent", type="mouseReleased", x=900, y=220, button="left", clickCount=1)
        page.until("Math.abs(LS.state.swipeAt - 900 / innerWidth) < 0.01")


def test_a_length_and_an_area_are_measured(page_path: Path) -> None:
    with opened(page_path) as page:
        go(page, "utm")
        ends = [(500, 300), (700, 300), (700, 450)]
        metres = page.evaluate("LS.map.getView().getResolution()")
        for key, true in (("m", metres * 350), ("a", metres**2 * 15_000)):
            type_key(page, key)
            for x, y in ends:
                click(page, x, y)
            click(page, *ends[-1], clicks=2)
            page.until("LS.measure.source.getFeatures().length === 1")
            text = page.evaluate("LS.measure.words(LS.measure.source.getFeatures()[0].getGeometry())").split()
            assert float(text[0].replace(",", "")) == pytest.approx(true, rel=0.02)
            type_key(page, "Escape")
            page.until("!LS.measure.what && LS.byId('note').hidden")


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
@pytest.mark.parametrize("dark", [True, False])
def test_the_page_fits_and_can_be_read(page_path: Path, width: int, height: int, dark: bool) -> None:
    with opened(page_path, width=width, height=height, dark=dark) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        boxes = page.evaluate(
            "['panel', 'tools', 'status'].map((id) => { const b = LS.byId(id).getBoundingClientRect();"
            "return [b.left, b.top, b.right, b.bottom]; })"
        )
        for left, top, right, bottom in boxes:
            assert 0 <= left < right <= width
            assert 0 <= top < bottom <= height
        paper, ink, soft = page.evaluate(
            "['backgroundColor', 'color'].map((k) => getComputedStyle(LS.byId(k === 'color' ? "
            "'pages' : 'panel'))[k]).concat(getComputedStyle(LS.byId('crs')).color)"
        )
        assert (light(paper) < 0.2) == dark
        assert contrast(paper, ink) >= 7
        assert contrast(paper, soft) >= 4.5
        small = page.evaluate(
            "[...document.querySelectorAll('#tools button, #tabs button')].filter((e) => "
            "e.offsetHeight && e.offsetHeight < 36).length"
        )
        assert small == 0


def test_the_sheet_of_a_phone_has_three_heights(page_path: Path) -> None:
    with opened(page_path, width=390, height=844) as page:
        heights = []
        for _ in range(3):
            page.evaluate("LS.byId('handle').click()")
            page.evaluate("new Promise((done) => setTimeout(done, 320))")
            heights.append(page.evaluate("LS.byId('panel').getBoundingClientRect().height"))
        low, half, high = sorted(heights)
        assert low < 100 < half < 500 < high
        page.evaluate("LS.list.show('worst'); LS.list.go(0)")
        page.until("!LS.byId('card').hidden")
        middle = page.evaluate(
            "(() => { const b = LS.byId('card').getBoundingClientRect();"
            "return LS.byId('card').contains(document.elementFromPoint(b.left + 40, b.top + 20)); })()"
        )
        assert middle


def test_names_are_only_words(page_path: Path) -> None:
    with opened(page_path) as page:
        assert page.evaluate("document.querySelectorAll('img, #pages b').length") == 0
        assert NASTY in page.evaluate("LS.byId('pages').textContent")
        page.evaluate("LS.list.show('worst')")
        assert NASTY in page.evaluate("LS.byId('list').textContent")


def test_everything_can_be_reached_by_key_and_has_a_name(page_path: Path) -> None:
    with opened(page_path) as page:
        page.evaluate("LS.swipe.toggle(); document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        unreachable = (
            "[...document.querySelectorAll('button, a, input, select, summary')].filter((e) => "
            "e.tabIndex < 0 && e.role !== 'tab').length"
        )
        assert page.evaluate(unreachable) == 0
        nameless = (
            "[...document.querySelectorAll('button, select, input, [role=slider]')].filter((e) => "
            "!(e.textContent.trim() || e.getAttribute('aria-label') || "
            "e.closest('label')?.textContent.trim())).map((e) => e.outerHTML)"
        )
        assert page.evaluate(nameless) == []


def test_the_policy_stops_a_foreign_script(page_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "changed.html"
    evil = "<script>document.title = 'taken'; fetch('https://example.invalid/')</script></body>"
    path.write_text(page_path.read_text(encoding="utf-8").replace("</body>", evil), encoding="utf-8")
    with open_page(path) as page:
        assert page.evaluate("document.title") != "taken"
        assert any("Content Security Policy" in e["entry"]["text"] for e in page.named("Log.entryAdded"))


def light(colour: str) -> float:
    rgb = np.array([float(v) for v in colour[colour.index("(") + 1 : -1].split(",")[:3]]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def contrast(first: str, second: str) -> float:
    low, high = sorted((light(first), light(second)))
    return (high + 0.05) / (low + 0.05)
