from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from browser import find_chromium, open_page
from fake_report import make_report, make_unscored
from landscribe.core.legend import Legend
from landscribe.report import render_report

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")

IMAGES = "Promise.all([...document.images].map(async (i) => (await i.decode(), i.naturalWidth)))"
SEEN = "[...document.querySelectorAll('.stack .missed')].filter((p) => p.getBoundingClientRect().width > 0).length"


def write(tmp_path, data):
    path = tmp_path / "report <1>.html"
    path.write_text(render_report(data), encoding="utf-8")
    return path


def outside(page) -> list[str]:
    urls = [event["request"]["url"] for event in page.named("Network.requestWillBeSent")]
    return [url for url in urls if not url.startswith(("data:", "file:"))]


@pytest.mark.parametrize("scored", [True, False])
def test_every_picture_loads_and_nothing_is_asked_for(tmp_path, scored):
    data = make_report(3) if scored else make_unscored()
    with open_page(write(tmp_path, data)) as page:
        assert page.evaluate(IMAGES) == [view.width for view in data.scenes]
        page.evaluate("new Promise((done) => setTimeout(done, 200))")
        files = [e for e in page.named("Network.requestWillBeSent") if e["request"]["url"].startswith("file:")]
        assert len(files) == 1
        assert outside(page) == []
        assert page.named("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded") == []
        assert page.named("Page.javascriptDialogOpening") == []


def test_the_policy_stops_a_foreign_script_and_request(tmp_path):
    path = write(tmp_path, make_report(1))
    evil = "<script>document.title = 'taken'; fetch('https://example.invalid/')</script></body>"
    path.write_text(path.read_text(encoding="utf-8").replace("</body>", evil), encoding="utf-8")
    with open_page(path) as page:
        assert page.evaluate("document.title") != "taken"
        assert any("Content Security Policy" in e["entry"]["text"] for e in page.named("Log.entryAdded"))


def test_switches_act_on_all_scenes(tmp_path):
    with open_page(write(tmp_path, make_report(2))) as page:
        before = page.evaluate(SEEN)
        assert before > 0
        page.evaluate("document.querySelector('[data-only=\"0\"]').click()")
        only = page.evaluate(SEEN)
        assert 0 < only < before
        page.evaluate("document.querySelector('[data-layer=missed]').click()")
        assert page.evaluate(SEEN) == 0
        page.evaluate("const o = document.querySelector('#opacity'); o.value = 20; o.dispatchEvent(new Event('input'))")
        fill = "getComputedStyle(document.querySelector('.stack .invented')).fillOpacity"
        assert float(page.evaluate(fill)) == pytest.approx(0.2)


def test_scenes_can_be_put_in_another_order(tmp_path):
    data = make_report(4)
    with open_page(write(tmp_path, data)) as page:
        script = (
            "const o = document.querySelector('#order'); o.value = '{}'; o.dispatchEvent(new Event('change'));"
            "[...document.querySelectorAll('.card')].map((c) => c.dataset.name)"
        )
        assert page.evaluate(script.format("name")) == [f"scene_{i}" for i in range(4)]
        wrong = {
            scene: sum(row.polygon.fp + row.polygon.fn for row in found.values())
            for scene, found in data.score.scenes.items()
        }
        page.evaluate("0")
        assert page.evaluate("{" + script.format("wrong") + "}") == sorted(wrong, key=wrong.get, reverse=True)


def test_a_scene_opens_with_the_keyboard_and_closes_again(tmp_path):
    with open_page(write(tmp_path, make_report(3))) as page:
        page.evaluate("document.querySelector('.open').focus()")
        page.press("Enter", 13)
        page.until("document.querySelector('#enlarged').open")
        assert page.evaluate("document.querySelector('#shown img').getBoundingClientRect().width") > 500
        first = page.evaluate("document.querySelector('#shown-name').textContent")
        page.press("ArrowRight", 39)
        page.until(f"document.querySelector('#shown-name').textContent !== {first!r}")
        assert page.evaluate("document.querySelectorAll('#shown .stack').length") == 1
        width = page.evaluate("document.querySelector('#shown .stack').offsetWidth")
        page.press("+", 187)
        page.until(f"Math.abs(document.querySelector('#shown .stack').offsetWidth - {1.5 * width}) < 3")
        page.press("Escape", 27)
        page.until("!document.querySelector('#enlarged').open && document.activeElement.className === 'open'")
        page.until("[...document.querySelectorAll('.card')].every((c) => c.querySelector('.stack img'))")


def test_everything_that_can_be_clicked_can_be_reached_by_key(tmp_path):
    with open_page(write(tmp_path, make_report(2))) as page:
        unreachable = (
            "[...document.querySelectorAll('button, a, input, select, summary')].filter((e) => e.tabIndex < 0).length"
        )
        assert page.evaluate(unreachable) == 0
        nameless = (
            "[...document.querySelectorAll('button, select, input')].filter((e) => "
            "!(e.textContent.trim() || e.getAttribute('aria-label') || e.closest('label')?.textContent.trim())).length"
        )
        assert page.evaluate(nameless) == 0


@pytest.mark.parametrize("width", [320, 768, 1920])
def test_no_window_needs_scrolling_sideways(tmp_path, width):
    with open_page(write(tmp_path, make_report(2)), width=width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def contrast(first: str, second: str) -> float:
    def light(colour: str) -> float:
        rgb = np.array([float(v) for v in colour[colour.index("(") + 1 : -1].split(",")[:3]]) / 255
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    low, high = sorted((light(first), light(second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [True, False])
def test_lines_of_pale_and_dark_classes_stand_out(tmp_path, dark):
    data = make_report(2)
    pale, black = (replace(data.legend.classes[k], colour=c) for k, c in enumerate(("#FFFDE0", "#111111")))
    legend = Legend((pale, black, *data.legend.classes[2:]))
    script = (
        "[...document.querySelectorAll('.line.s0, .line.s1')].map((e) => { const c = document.createElement('canvas');"
        "const g = c.getContext('2d'); g.fillStyle = getComputedStyle(e).stroke; g.fillRect(0, 0, 1, 1);"
        "return `rgb(${[...g.getImageData(0, 0, 1, 1).data].slice(0, 3)})`; })"
    )
    with open_page(write(tmp_path, replace(data, legend=legend)), dark=dark) as page:
        card = page.evaluate("getComputedStyle(document.querySelector('.chart-card')).backgroundColor")
        found = page.evaluate(script)
        assert len(found) >= 2
        assert all(contrast(line, card) >= 1.5 for line in found)


def test_switches_leave_the_bars_of_the_areas_alone(tmp_path):
    with open_page(write(tmp_path, make_report(2))) as page:
        page.evaluate("document.querySelector('[data-layer=missed]').click()")
        assert page.evaluate("document.querySelector('#areas rect.missed').getBoundingClientRect().width") > 0
        assert page.evaluate(SEEN) == 0


@pytest.mark.parametrize("dark", [True, False])
def test_text_can_be_read_in_light_and_dark(tmp_path, dark):
    with open_page(write(tmp_path, make_report(2)), dark=dark) as page:
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (contrast(paper, "rgb(0, 0, 0)") < 3) == dark
        for selector in ("body", ".explain", "a", ".brand"):
            ink = page.evaluate(f"getComputedStyle(document.querySelector('{selector}')).color")
            assert contrast(ink, paper) >= 4.5
