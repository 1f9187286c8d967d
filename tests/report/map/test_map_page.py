from __future__ import annotations

import base64
import hashlib
import json
import re
import tomllib
from pathlib import Path

import pytest

from landscribe.io.project import Project
from landscribe.io.run.runs import Run
from landscribe.report.map import page as page_module
from landscribe.report.map.page import SCRIPTS, asset_names, read_asset, render_map, render_shell
from landscribe.stages.maps.map import map as write_map
from odd_map import NASTY

ROOT = Path(__file__).parents[3]
WEB = Path(page_module.__file__).parent / "web"
SCRIPT = re.compile(r"<script(?: [^>]*)?>(.*?)</script>", re.DOTALL)
MANIFEST = {"title": NASTY, "report": None, "scenes": [{"id": NASTY}], "worst": [f"{NASTY}<!--\u2028"]}


def test_openlayers_is_the_file_of_its_package() -> None:
    note = json.loads((WEB / "ol.json").read_text())
    content = (WEB / "ol.js").read_bytes()
    assert hashlib.sha256(content).hexdigest() == note["sha256"]
    assert len(content) == note["bytes"]
    assert note["version"].startswith("10.")
    assert note["licence"] == "BSD-2-Clause"
    assert "Redistributions in binary form must reproduce" in (WEB / "ol.LICENSE").read_text()


def test_scripts_can_be_read_in_one_sitting() -> None:
    for path in WEB.glob("*.js"):
        if path.name != "ol.js":
            assert len(path.read_text().splitlines()) <= 400, path.name
            assert path.read_text().startswith('"use strict";'), path.name


def test_the_policy_names_every_script_and_style_of_the_page() -> None:
    text = render_map(MANIFEST, [{"images": []}])
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    said = policy[1].replace("&#x27;", "'")
    assert "default-src 'none'" in said
    blocks = [
        body
        for tag, body in re.findall(r"<(script|style)(?:(?! type=)[^>])*>(.*?)</(?:script|style)>", text, re.DOTALL)
        if tag
    ]
    digests = {f"'sha256-{base64.b64encode(hashlib.sha256(b.encode()).digest()).decode()}'" for b in blocks}
    named = set(re.findall(r"'sha256-[^']*'", said))
    assert digests == named
    assert len(named) == len(SCRIPTS) + 3
    assert "unsafe" not in said
    assert "http" not in said


def test_names_cannot_leave_their_block() -> None:
    text = render_map(MANIFEST, [{"id": NASTY}])
    assert NASTY not in text
    assert "<img" not in text
    block = re.search(r'<script id="manifest" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert block is not None
    assert json.loads(block[1]) == MANIFEST


def test_no_address_outside_is_in_the_page() -> None:
    text = render_map(MANIFEST, [])
    ours = text.replace(read_asset("ol.js"), "")  # which has names of XML that look like addresses
    names = set(re.findall(r"https?://[^\s\"'<)]+", ours))
    assert names <= {"http://www.w3.org/2000/svg"}
    assert "sourceMappingURL" not in text
    assert not re.search(r"(?:src|href)=\"(?!data:|#)", ours)


def test_a_server_gets_the_same_page_by_address() -> None:
    text, policy = render_shell({**MANIFEST, "server": {"token": "x"}}, "/web/", edit=True)
    assert "script-src 'self'" in policy
    addresses = re.findall(r'<script src="/web/([^"]+)">', text)
    assert addresses[0] == "ol.js"
    assert addresses[-1] == "start.js"
    assert {*addresses, "map.css"} <= asset_names()
    assert all((WEB / name).is_file() for name in asset_names())
    assert not re.search(r"<script>[^<]", text)


def test_the_page_of_a_run_says_what_it_shows(page_path: Path, odd_run: tuple[Project, Run]) -> None:
    text = page_path.read_text(encoding="utf-8")
    assert len(text) < 3_000_000
    block = re.search(r'<script id="manifest" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert block is not None
    manifest = json.loads(block[1])
    assert manifest["about"][0] == "7 scenes of 7."
    shown = sum(scene["counts"].get(kind, 0) for scene in manifest["scenes"] for kind in ("found", "truth"))
    assert manifest["about"][1].startswith(f"{shown} polygons of {shown} shown.")
    assert manifest["report"] == "report.html"
    assert "truth" not in next(scene for scene in manifest["scenes"] if scene["id"].startswith("unlabelled"))["layers"]
    project, run = odd_run
    assert write_map(project, run).current == ["all"]
    run.path("map.html").unlink()
    assert write_map(project, run).made == ["all"]


@pytest.mark.parametrize("name", ["report.html"])
def test_the_report_leads_to_the_map(odd_run: tuple[Project, Run], name: str) -> None:
    from landscribe.stages.report import report

    project, run = odd_run
    report(project, run)
    assert 'href="map.html"' in run.path(name).read_text(encoding="utf-8")


def test_the_licence_of_openlayers_goes_along() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "BSD-2-Clause" in project["license"]
    assert [(ROOT / name).read_text() for name in project["license-files"]][-1] == (WEB / "ol.LICENSE").read_text()
    assert "Copyright 2005-present, OpenLayers Contributors" in render_map(MANIFEST, [])
