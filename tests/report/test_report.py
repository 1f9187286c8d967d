from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import box

from fake_report import LEGEND, NASTY, make_report, make_unscored
from landscribe.core.legend import LandClass, Legend
from landscribe.core.markup import Html, el, join
from landscribe.core.score.rows import TunedRow, Tuning
from landscribe.report import render_report
from landscribe.report.cautions import cautions
from landscribe.report.charts import Frame, Line, line_chart, nice_top
from landscribe.report.overlays import ClassGround, draw_layers, path_data, split_ground
from landscribe.report.pictures import choose_bands, encode, ends_of, hatch, shrink, shrink_factor, stretch
from landscribe.report.views import curve_of
from landscribe.report.words import area, duration, number, percent, plural


def array(*geometries: object) -> np.ndarray:
    out = np.empty(len(geometries), dtype=object)
    out[:] = geometries
    return out


class Reader(HTMLParser):
    """Tags, attributes and text of a page, as a browser's parser sees them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"img", "input", "meta", "br", "hr"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(make_report(3))


@pytest.fixture(scope="module")
def read(page) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_every_tag_is_closed_and_ids_are_unique(read):
    ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    targets = [attrs["href"][1:] for tag, attrs in read.tags if tag == "a"]
    assert set(targets) <= set(ids)
    labelled = [attrs["aria-labelledby"] for _, attrs in read.tags if "aria-labelledby" in attrs]
    assert set(labelled) <= set(ids)


def test_a_name_that_looks_like_a_tag_stays_a_name(page, read):
    assert NASTY not in page
    assert not any("onerror" in attrs for _, attrs in read.tags)
    images = [attrs["src"] for tag, attrs in read.tags if tag == "img"]
    assert len(images) == 3
    assert all(source.startswith("data:image/webp;base64,") for source in images)
    assert any(NASTY in text for text in read.words)


def test_nothing_points_outside(page, read):
    for _, attrs in read.tags:
        for name in ("src", "href", "action", "data", "srcset", "xlink:href"):
            assert re.match(r"(data:image/webp;base64,|#)", attrs.get(name) or "#")
    assert not re.search(r"https?://|url\(|@import|fetch\(|XMLHttpRequest", page)


def test_the_policy_allows_this_script_and_this_style_only(page, read):
    policy = next(attrs["content"] for _, attrs in read.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, flags=re.S)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not any("style" in attrs or any(name.startswith("on") for name in attrs) for _, attrs in read.tags)


def test_the_numbers_of_the_score_are_on_the_page(read):
    score = make_report(3).score
    text = " ".join(read.words)
    for row in [score.mean, score.classes["building"]]:
        assert number(row.polygon.jaccard) in text
        assert f"{row.polygon.low:.2f} to {row.polygon.high:.2f}" in text
    found = score.classes["building"].objects
    assert f"{found.f1:.3f} {found.low:.3f} to {found.high:.3f}" in text
    assert f"{found.tp} {found.fp} {found.fn} {found.merged} {found.fragmented}" in text
    assert "scene_9" in text
    assert "1,234" in text


def test_a_run_without_truth_gives_a_page_without_scores():
    reader = Reader()
    reader.feed(render_report(make_unscored()))
    ids = {attrs.get("id") for _, attrs in reader.tags}
    assert "score" not in ids
    assert {"scenes", "areas", "recipe"} <= ids
    assert any("There is no score" in text for text in reader.words)
    assert ("body", {"class": "unscored"}) in reader.tags
    assert not any(attrs.get("data-layer") == "missed" for _, attrs in reader.tags)


def test_a_colour_cannot_leave_its_rule():
    data = make_report(1)
    evil = "red}body{display:none"
    legend = Legend((LandClass(1, "building", evil, countable=True), *LEGEND.classes[1:]))
    assert evil not in render_report(replace(data, legend=legend))


def test_commands_in_cautions_are_set_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "landscribe.report.page.cautions", lambda _data: ["`landscribe compare <b>` says more, `check` less."]
    )
    item = "<li><code>landscribe compare &lt;b&gt;</code> says more, <code>check</code> less.</li>"
    assert item in render_report(make_report())


def test_cautions_say_what_weakens_the_evidence():
    found = " | ".join(cautions(make_report()))
    for words in (
        "rests on 3 places",
        "standing-water",
        "different mixtures",
        "lower than the pixels",
        "scene_9",
        "scene_1",
    ):
        assert words in found
    one_place = make_report(2)
    assert any("lies in one place" in text for text in cautions(one_place))


def test_markup_escapes_text_and_keeps_html():
    assert (
        el("p", "<b>", el("i", 3), None, title='"&', hidden=True, id=None)
        == '<p title="&quot;&amp;" hidden>&lt;b&gt;<i>3</i></p>'
    )
    assert el("img", alt="'") == '<img alt="&#x27;">'
    assert join(["&", Html("&amp;")]) == "&amp;&amp;"


@given(st.text(max_size=40))
@settings(max_examples=80, deadline=None)
def test_any_text_survives_escaping(text):
    clean = re.sub(r"[\r\x00]", "", text)
    reader = Reader()
    reader.feed(el("p", clean, title=clean) + "\n")
    assert [tag for tag, _ in reader.tags] == ["p"]
    assert reader.tags[0][1]["title"] == clean
    assert "".join(reader.words)[:-1] == clean


def test_paths_are_whole_quarters():
    square = box(1, 2, 3, 4)
    holed = box(0, 0, 9, 9).difference(box(2, 2, 4, 4))
    assert path_data(array(square)) == "M12 8l0 8-8 0 0-8z"
    assert path_data(array(holed)).count("M") == 2
    assert path_data(array(box(0, 0, 0.05, 0.05))) == ""


def replay(path: str) -> float:
    """Area of a path by the even-odd rule of its rings, from the path's own numbers."""
    total = 0.0
    for ring in re.findall(r"M([^z]*)z", path):
        start, moves = ring.split("l")
        numbers = np.array([int(v) for v in re.findall(r"-?\d+", moves)]).reshape(-1, 2)
        xy = np.cumsum(np.vstack(([int(v) for v in start.split()], numbers)), axis=0) / 4
        total += shapely.polygons(xy).area
    return total


def test_found_invented_and_missed_make_up_both_sides():
    ours, theirs = array(box(0, 0, 40, 30), box(50, 0, 60, 10)), array(box(20, 0, 60, 30))
    layers, tolerance = draw_layers({"a": ClassGround(ours, theirs)}, Affine.identity(), (61, 83), 10_000)
    (layer,) = layers
    assert tolerance == 0.3
    assert replay(layer.found) == 20 * 30 + 100
    assert replay(layer.invented) == 20 * 30
    assert replay(layer.missed) == 40 * 30 - 600 - 100
    assert replay(layer.predicted) == 1300


def test_ground_that_is_not_scored_is_outlined_only():
    ours, theirs = array(box(0, 0, 40, 30)), array(box(10, 0, 50, 30))
    half = box(0, 0, 83, 15)
    (layer,), _ = draw_layers({"a": ClassGround(ours, theirs)}, Affine.identity(), (61, 83), 10_000, half)
    assert (replay(layer.found), replay(layer.invented), replay(layer.missed)) == (450, 150, 150)
    assert replay(layer.truth) == 1200


def test_a_scene_without_truth_has_one_layer():
    (layer,), _ = draw_layers({"a": ClassGround(array(box(0, 0, 4, 4)), None)}, Affine.scale(2), (17, 19), 999)
    assert layer.truth == layer.found == layer.invented == layer.missed == ""
    assert replay(layer.predicted) == 64


def test_one_polygon_with_many_partners_is_cut_by_all_of_them():
    combs = array(*(box(3 * i, 0, 3 * i + 2, 10) for i in range(9)))
    found, invented, missed = split_ground(array(box(0, 2, 40, 8)), combs)
    assert shapely.area(found).sum() == 9 * 12
    assert shapely.area(invented).sum() == 40 * 6 - 9 * 12
    assert shapely.area(missed).sum() == 9 * 8


def test_paths_get_coarser_until_they_fit():
    angle = np.linspace(0, 2 * np.pi, 4001, endpoint=False)
    reach = 100 + 3 * np.sin(200 * angle)
    shape = array(shapely.polygons(np.stack((150 + reach * np.cos(angle), 150 + reach * np.sin(angle)), -1)))
    ground = {"a": ClassGround(shape, None)}
    fine, near = draw_layers(ground, Affine.identity(), (300, 300), 100_000)
    coarse, far = draw_layers(ground, Affine.identity(), (300, 300), 1_000)
    assert near < far
    assert len(coarse[0].predicted) <= 1_000 < len(fine[0].predicted)


def test_true_colours_are_found_by_name():
    rgb, multi = ("red", "green", "blue"), ("coastal", "blue", "green", "yellow", "red")
    assert choose_bands({"M": multi}) == ("M", (4, 2, 1))
    assert choose_bands({"P": ("pan",), "RGB": rgb}) == ("RGB", (0, 1, 2))
    assert choose_bands({"P": ("pan",)}) == ("P", (0, 0, 0))
    assert choose_bands({"A": ("swir1", "swir2", "swir3", "swir4")}) == ("A", (0, 1, 2))
    assert choose_bands({"X": ("one", "two")}) == ("X", (0, 0, 0))


def test_shrinking_averages_valid_pixels_only():
    rng = np.random.default_rng(3)
    image_chw, valid_hw = rng.uniform(0, 2000, (2, 1031, 47)), rng.random((1031, 47)) > 0.3
    small_chw, known_hw = shrink(lambda row, n: (image_chw[:, row : row + n], valid_hw[row : row + n]), (1031, 47), 5)
    assert small_chw.shape == (2, 207, 10)
    block, mask = image_chw[:, 1025:1030, 45:47], valid_hw[1025:1030, 45:47]
    assert small_chw[:, 205, 9] == pytest.approx(block[:, mask].mean(1), rel=1e-5)
    assert known_hw[205, 9] == mask.any()
    assert shrink_factor((3349, 3391)) == 3
    assert shrink_factor((100, 1600)) == 1


@pytest.mark.parametrize("shape_hw", [(7, 5), (61, 47), (60, 45), (2, 47)])
def test_shrinking_whole_numbers_gives_their_means(shape_hw: tuple[int, int]):
    image_chw = np.random.default_rng(3).integers(0, 65536, (2, *shape_hw), dtype=np.uint16)
    valid_hw = np.ones(shape_hw, bool)

    def read(row: int, n: int):
        return image_chw[:, row : row + n], valid_hw[row : row + n]

    small_chw, known_hw = shrink(read, shape_hw, 5)
    assert known_hw.all()
    for row, col in np.ndindex(*known_hw.shape):
        block = image_chw[:, 5 * row : 5 * row + 5, 5 * col : 5 * col + 5]
        assert small_chw[:, row, col] == pytest.approx(block.mean((1, 2)), rel=1e-6)
    same_chw, _ = shrink(read, shape_hw, 1)
    assert same_chw.dtype == np.uint16
    assert (same_chw == image_chw).all()


def test_large_pictures_are_stretched_by_some_of_their_pixels():
    # A fourth of them, and 4 divides the width: of every fourth pixel, a column would be four times as many.
    image_hw = np.random.default_rng(5).normal(500, 100, (8191, 128)).astype(np.float32)
    image_hw[:, 0] = 9e9
    low, high = ends_of(image_hw.ravel(), 128)
    assert low == pytest.approx(np.percentile(image_hw, 2), abs=3)
    assert high == pytest.approx(np.percentile(image_hw, 98), abs=6)


def test_the_stretch_ignores_nodata():
    image_chw = np.tile(np.arange(1000, 1100, dtype=np.float32), (3, 7, 1))
    valid_hw = np.ones((7, 100), bool)
    image_chw[:, 0], valid_hw[0] = 65535, False
    shown_hwc = stretch(image_chw, valid_hw)
    assert (shown_hwc[0] == 128).all()
    assert shown_hwc[1, 0, 0] == 0
    assert shown_hwc[1, -1, 0] == 255
    assert 120 < shown_hwc[1, 50, 1] < 135
    assert (stretch(np.zeros((3, 5, 7)), np.zeros((5, 7), bool)) == 128).all()


def test_hatching_changes_only_what_does_not_count():
    image_hwc = np.full((31, 23, 3), 200, np.uint8)
    scored_hw = np.zeros((31, 23), bool)
    scored_hw[:11] = True
    out_hwc = hatch(image_hwc, scored_hw)
    assert (out_hwc[:11] == 200).all()
    assert set(np.unique(out_hwc[11:])) == {96, 153}


def test_a_picture_fits_into_its_bytes():
    noise_hwc = np.random.default_rng(1).integers(0, 255, (701, 997, 3), dtype=np.uint8)
    content, (height, width) = encode(noise_hwc, 60_000)
    assert len(content) <= 60_000
    assert height / width == pytest.approx(701 / 997, rel=0.01)
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (height, width, 3)
    red_hwc = np.zeros((13, 17, 3), np.uint8)
    red_hwc[..., 0] = 255
    back = cv2.imdecode(np.frombuffer(encode(red_hwc, 9_999)[0], np.uint8), cv2.IMREAD_COLOR)
    assert back[..., 2].mean() > 200 > 60 > back[..., 0].mean()


def test_the_threshold_curve_agrees_with_counting():
    rng = np.random.default_rng(11)
    level, truth = rng.integers(0, 256, 5003), rng.random(5003) > 0.6
    counts = np.stack([np.bincount(level[truth == side], minlength=256) for side in (False, True)])
    curve = curve_of("a", counts, 0.5)
    for i in (0, 99, 254):
        found = level >= i + 1
        assert curve.thresholds[i] == (i + 1) / 255
        assert curve.jaccard[i] == (found & truth).sum() / (found | truth).sum()
    assert curve.true == pytest.approx(np.full(12, 0.4), abs=0.08)


def test_a_line_is_interrupted_where_a_value_is_missing():
    chart = line_chart([Line("a", [0, 1, 2, 3], [0, float("nan"), 1, 2], "s0")], Frame(x1=3, y1=2), label="x")
    (path,) = re.findall(r' d="([^"]*)"', chart)
    assert re.sub(r"[\d. ]", "", path) == "MML"


def test_words():
    assert (number(None), number(float("nan")), number(0.12345)) == ("–", "–", "0.123")
    assert (percent(0.5), percent(0.0123), percent(0)) == ("50 %", "1.2 %", "0 %")
    assert (plural(1, "class", "classes"), plural(2, "place")) == ("1 class", "2 places")
    assert (area(12, "m2"), area(25_000, "m2"), area(3e6, "m2"), area(5, "px2")) == (
        "12 m²",
        "2.5 ha",
        "3.0 km²",
        "5 px",
    )
    assert (duration(3.21), duration(61), duration(7300)) == ("3.2 s", "1 min 1 s", "2 h 1 min")
    assert (nice_top([0.2, float("nan"), 1.2]), nice_top([]), nice_top([7.0])) == (1.5, 1.0, 8)


def tuned_report(difference: float, real: bool | None):
    data = make_report(3)
    ends = (difference - 0.01, difference + 0.01, "places")
    row = TunedRow(0.5, 0.5 + difference, difference, *ends, real)
    chosen = {"threshold": 0.4, "min_area": 4.0, "max_area": None, "reshape": "none", "distance": 0.0}
    choice = {
        "accepted": True, "why_not": "", "chosen": chosen | {"simplify": 0.0, "symmetries": 0},
        "jaccard": {"default": 0.4, "nested": 0.45}, "gain": {"low": 0.01, "high": 0.1},
    }  # fmt: skip
    score = replace(data.score, tuning=Tuning(row, {NASTY: row}))
    return replace(data, score=score, tuned={"classes": {NASTY: choice}})


@pytest.mark.parametrize(
    ("difference", "real", "said"),
    [
        (-0.044, True, "worse"),
        (0.044, True, "better"),
        (0.044, False, "better, perhaps by chance"),
        (-0.044, None, "worse; too little to tell"),
        (0.0, False, "no different"),
    ],
)
def test_the_held_out_scenes_stand_by_default_and_tuned(difference, real, said):
    data = tuned_report(difference, real)
    reader = Reader()
    reader.feed(render_report(data))
    assert said in reader.words
    assert f"{difference:+.3f}" in reader.words
    assert "tuning" in reader.words
    assert any(text.startswith("Tuning made it worse") for text in cautions(data)) == (real is True and difference < 0)


def test_a_tick_between_epochs_is_an_epoch():
    chart = str(line_chart([Line("a", (1, 6), (0, 1), "s0")], Frame(x0=1, x1=6), label="a"))
    assert ">4<" in chart
    assert "3.5" not in chart
