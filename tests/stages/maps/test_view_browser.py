"""Editing in the page: draw, reject, change, undo, reload, two tabs, a server that dies, a phone."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser import Page, find_chromium, open_page
from landscribe.io.review.reading import read_review
from landscribe.io.run.runs import Run
from map_runs import BOXES
from pointer import choose, click, draw, key, mouse, on_screen
from view_client import served

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")

SESSION = Path(__file__).parents[2] / "helpers" / "view_session.py"
READY = "typeof LS !== 'undefined' && LS.state?.scene >= 0 && LS.edit?.book(LS.here()).told"
SAVED = "LS.edit.state === 'saved' && !LS.edit.queue.length && !LS.edit.busy"
FOUND = (
    "LS.vector.layers['found@{}'].getSource().getFeatures().filter((f) => f.get('scene') === LS.here()).length === 6"
)
ROWS = "[...LS.edit.book(LS.here()).rows.values()].map((row) => [row.class_name, row.verdict, row.source])"


@contextlib.contextmanager
def looking(address: str, **options) -> Iterator[Page]:
    with open_page(address, **options) as page:
        page.until(READY)
        page.until(FOUND.format(0))
        yield page
        assert page.named("Runtime.exceptionThrown", "Runtime.consoleAPICalled") == []
        urls = [event["request"]["url"] for event in page.named("Network.requestWillBeSent")]
        assert all(url.startswith(("http://127.0.0.1:", "data:", "blob:")) for url in urls)


def test_what_is_drawn_and_said_is_there_after_a_reload(own_run):
    with served(own_run) as client, looking(f"{client.origin}/?token={client.token}") as page:
        assert "token" not in page.evaluate("location.href")
        assert page.evaluate("LS.here().split") == "validate"
        assert page.evaluate("LS.byId('held-out').textContent").startswith("Held out: what you review here takes")
        key(page, "r")
        page.until("LS.edit.mode === 'draw'")
        draw(page, (300, 20), (380, 20), (380, 120), (300, 120))
        draw(page, (620, 300), (680, 300), (650, 400))
        key(page, "Escape")
        page.until(f"{ROWS}.length === 2")
        choose(page, *middle(BOXES[0]))
        key(page, "x")
        choose(page, *middle(BOXES[1]))
        key(page, "c")
        choose(page, *middle(BOXES[2]))
        key(page, "y")
        page.until(f"{ROWS}.length === 5")
        key(page, "z")
        page.until(f"{ROWS}.length === 4")
        page.until(SAVED)
        want = [
            ["house", "accept", "drawn"],
            ["house", "accept", "drawn"],
            ["house", "reject", "model"],
            ["road", "accept", "edited"],
        ]
        assert sorted(page.evaluate(ROWS)) == sorted(want)
        page.call("Page.reload")
        time.sleep(0.5)
        page.until(f"{READY} && {ROWS}.length === 4")
        assert sorted(page.evaluate(ROWS)) == sorted(want)
        key(page, "i")
        draw(page, (10, 10), (690, 10), (690, 510), (10, 510))
        page.until(SAVED)
        page.until(f"{ROWS}.length === 5")
        counts = page.evaluate("LS.byId('review-counts').textContent")
        assert counts == "m2: 0 accepted, 1 rejected, 1 edited, 2 drawn, 1 area looked at"
        # One by one to the last; no key but that of a verdict overturns one.
        rejected = "LS.edit.row(LS.here(), LS.card.feature.get('pid'))?.verdict === 'reject'"
        for _ in range(4):
            key(page, "u")
            page.until("LS.card.feature && !LS.edit.row(LS.here(), LS.card.feature.get('pid'))")
            key(page, "x")
            page.until(rejected)
        page.evaluate("LS.once = LS.card.feature.get('pid')")
        page.press("Enter", 13)
        page.until("LS.card.feature === null && LS.byId('note').textContent.startsWith('Nothing is left')")
        key(page, "y")
        page.until("LS.byId('note').textContent.startsWith('Choose a found polygon')")
        assert page.evaluate("LS.edit.row(LS.here(), LS.once).verdict") == "reject"
        page.until(SAVED)
    review = read_review(own_run / "review" / "m2.gpkg")
    assert sorted(review.features["verdict"]) == ["accept"] * 3 + ["reject"] * 5
    assert len(review.looked) == 1


def test_corners_splits_joins_and_what_is_deleted(own_run):
    with served(own_run) as client, looking(f"{client.origin}/?token={client.token}") as page:
        x0, y0, x1, y1 = BOXES[2]
        choose(page, *middle(BOXES[2]))
        key(page, "e")
        page.until("LS.edit.mode === 'edit'")
        (ax, ay), (bx, by) = on_screen(page, x1, y1), on_screen(page, x1 + 40, y1 + 30)
        mouse(page, "mouseMoved", ax, ay)
        mouse(page, "mousePressed", ax, ay, 1, 1)
        for k in range(1, 6):
            mouse(page, "mouseMoved", ax + (bx - ax) * k / 5, ay + (by - ay) * k / 5, 1, 1)
        mouse(page, "mouseReleased", bx, by)
        page.until(f"{ROWS}.length === 1")
        key(page, "Escape")
        assert page.evaluate(ROWS) == [["house", "accept", "edited"]]
        choose(page, *middle(BOXES[3]))
        key(page, "q")
        page.until("LS.edit.mode === 'split'")
        draw(page, (520, 40), (520, 190))
        page.until(f"{ROWS}.length === 4")
        page.until("LS.edit.mode === null")
        choose(page, *middle(BOXES[0]))
        key(page, "g")
        page.until("LS.edit.mode === 'merge'")
        click(page, *middle(BOXES[1]))
        page.until(f"{ROWS}.length === 7")
        choose(page, *middle(BOXES[4]))
        key(page, "Delete")
        page.until(f"{ROWS}.length === 8")
        for _ in range(4):
            key(page, "z")
        page.until(f"{ROWS}.length === 0")
        for _ in range(4):
            key(page, "Z")
        page.until(f"{ROWS}.length === 8")
        page.until(SAVED)
        # Of two damaged files each is said where its scene is looked at, and not elsewhere.
        for scene in ("m1", "m2"):
            file = Run(own_run).features(scene)
            file.write_bytes(file.read_bytes()[:-999])
        page.call("Page.reload")
        time.sleep(0.5)
        page.until("typeof LS !== 'undefined' && LS.served?.broken?.size > 1")
        for scene, other in (("m1", "m2"), ("m2", "m1"), ("m1", "m2")):
            page.evaluate(f"LS.view.goScene(LS.manifest.scenes.findIndex((s) => s.id === '{scene}'))")
            page.until(f"LS.byId('note').textContent.includes('features/{scene}.')")
            assert f"features/{other}." not in page.evaluate("LS.byId('note').textContent")
    rows = read_review(own_run / "review" / "m2.gpkg").features
    assert sorted(rows["verdict"]) == ["accept"] * 4 + ["reject"] + ["replaced"] * 3
    pieces = rows[rows["verdict"] == "accept"]
    assert (pieces["source"] == "edited").all()
    whole = (x1 - x0) * (y1 - y0) / 4
    assert pieces.area.max() > whole


def test_what_two_tabs_kept_of_a_server_that_dies_goes_into_its_run_and_into_no_other(own_run, made_run, tmp_path):
    def begin(port: str, run: Path = own_run):
        command = [sys.executable, str(SESSION), str(run), port]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        address = process.stdout.readline().strip()
        return process, address

    def end(process, how: int) -> None:
        process.send_signal(how)
        process.wait(10)
        process.stdout.close()

    process, address = begin("0")
    port = address.partition("127.0.0.1:")[2].partition("/")[0]
    with open_page(address) as page:
        page.until(READY)
        first = page.tab(f"http://127.0.0.1:{port}/")
        page.until(READY)
        page.until(FOUND.format(0))
        second, page.session = page.session, first
        end(process, signal.SIGKILL)
        key(page, "r")
        draw(page, (300, 20), (380, 20), (380, 120), (300, 120))
        page.until("LS.byId('saving').textContent.startsWith('Not saved: no connection')")
        page.session = second
        choose(page, *middle(BOXES[1]))
        key(page, "x")
        page.until("LS.edit.queue.length === 1")
        # Another run whose folder has the same name, on the same port.
        other = shutil.copytree(made_run, tmp_path / "other" / own_run.name, ignore=shutil.ignore_patterns("review"))
        process, address = begin(port, other)
        page.until("LS.edit.why.includes('started anew')")
        page.call("Page.navigate", url=address)
        page.until(f"{READY} && {SAVED} && LS.edit.recalled")
        assert page.evaluate(ROWS) == []
        assert page.evaluate("LS.byId('note').textContent").startswith("2 edits of a run run that is not shown here")
        end(process, signal.SIGINT)
        process, address = begin(port)
        page.call("Page.navigate", url=address)
        page.until(f"{READY} && {SAVED} && {ROWS}.length === 2")
        assert page.evaluate("localStorage.length") == 0
        end(process, signal.SIGINT)
    assert not (other / "review").exists()
    assert sorted(read_review(own_run / "review" / "m2.gpkg").features["source"]) == ["drawn", "model"]


def test_two_tabs_see_each_other_and_the_later_one_hears_of_it(own_run):
    with served(own_run) as client:
        address = f"{client.origin}/?token={client.token}"
        with looking(address) as one, looking(address) as two:
            choose(one, *middle(BOXES[0]))
            key(one, "y")
            one.until(f"{SAVED} && {ROWS}.length === 1")
            choose(two, *middle(BOXES[0]))
            key(two, "x")
            two.until("LS.byId('note').textContent.includes('changed meanwhile')")
            two.until(f"{ROWS}[0][1] === 'accept'")
            choose(two, *middle(BOXES[1]))
            key(two, "x")
            one.until(f"{ROWS}.length === 2")


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone(own_run, dark):
    with (
        served(own_run) as client,
        looking(f"{client.origin}/?token={client.token}", width=390, height=780, dark=dark) as page,
    ):
        page.evaluate("LS.panel.show('review')")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        choose(page, *middle(BOXES[2]))
        # The card hides neither tabs nor what is said of saving.
        edges = page.evaluate(
            "[LS.byId('card').getBoundingClientRect().top, LS.byId('saving').getBoundingClientRect().bottom]"
        )
        assert edges[0] >= edges[1]
        page.evaluate("document.querySelector('#card [data-act=x]').click()")
        page.until(f"{SAVED} && {ROWS}.length === 1")
        wide = page.evaluate("[...document.querySelectorAll('.act')].every((b) => b.scrollWidth <= b.clientWidth + 1)")
        assert wide


def test_two_models_by_swipe(own_run, made_run):
    with served(made_run, own_run) as client, open_page(f"{client.origin}/?token={client.token}") as page:
        page.until(READY)
        key(page, "s")
        page.until("LS.state.swipe")
        page.until(FOUND.format(0))
        page.until("LS.vector.layers['found@1'].getSource().getFeatures().length >= 6")
        page.until("!!document.querySelector('.run-0') && !!document.querySelector('.run-1')")
        clips = page.evaluate("[0, 1].map((k) => getComputedStyle(document.querySelector(`.run-${k}`)).clipPath)")
        assert len(set(clips)) == 2
        names = page.evaluate("[...document.querySelectorAll('.side-name')].map((n) => [n.textContent, n.className])")
        of = [f"{run.parent.name}/{run.name}" for run in (made_run, own_run)]
        assert names == [[of[0], "side-name left edited"], [of[1], "side-name right"]]
        assert page.evaluate("LS.byId('review-counts').textContent").startswith(f"{of[0]}, m2: ")
        assert page.named("Runtime.exceptionThrown", "Runtime.consoleAPICalled") == []


def middle(box: tuple[int, int, int, int]) -> tuple[float, float]:
    x0, y0, x1, y1 = box
    return (x0 + x1) / 2, (y0 + y1) / 2
