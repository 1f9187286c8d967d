"""The report of thousands of scenes: the worst of them, the rule said, and a page that a browser opens."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from fake_report import make_report
from landscribe.report import render_report
from landscribe.report.data import ReportData, Unlike

SCENES = 10_007


@pytest.fixture(scope="module")
def many() -> ReportData:
    data = make_report(3)
    assert data.score is not None
    known = list(data.score.scenes.values())
    names = [f"tile_{k:05}_of_a_country" for k in range(SCENES)]
    score = replace(
        data.score,
        scenes={name: known[k % len(known)] for k, name in enumerate(names)},
        places=dict.fromkeys(names, "here"),
    )
    row = dict(data.alignment[1])
    return replace(
        data,
        score=score,
        splits={name: (f"place {k}", "validate") for k, name in enumerate(names)},
        unlike=tuple(Unlike(name, 0.5, 1.0) for name in names),
        alignment=tuple(row | {"scene": name} for name in names),
        failed=tuple((name, "the file is empty") for name in names),
        notes=tuple(f"{name}: a note" for name in names),
        recipe="scenes = " + repr(names),
    )


def test_the_page_stays_small_and_says_what_it_leaves_out(many: ReportData) -> None:
    page = render_report(many)
    assert len(page.encode()) < 15_000_000
    text = re.sub(r"<[^>]+>", " ", page)
    assert f"{SCENES - 3:,} more scenes are not pictured, to keep this page small: those with the lowest" in text
    assert f"{SCENES - 1000} better scenes are not listed; score.json has them." in text
    assert text.count(f"{SCENES - 500} more rows are not shown.") == 4  # unlike, alignment, failed, notes


def test_a_table_that_is_whole_says_nothing_of_more() -> None:
    assert "more rows are not shown" not in render_report(make_report(3))
