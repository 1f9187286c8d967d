"""Scenes on servers: looked at by their heads, copied once, and nobody is asked without both words of the recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid
from landscribe.errors import DataError, RecipeError
from landscribe.io.project import Project, open_project
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.stages.check import check, check_run
from landscribe.stages.prepare import prepare
from range_server import Server, range_server

SIDE = 701
NAMES = ("s1", "s2", "s3")
RECIPE = """
[data]
{network}
scenes = ["s1", "s2", "s3"]
sensors.RGB = {{ path = "{address}/{{scene}}.tif", kind = "rgb8" }}
labels = {{ path = "lab/{{scene}}.geojson", class = "house" }}
[validate]
split = "none"
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr("landscribe.io.remote.client.WAIT_S", 0.01)
    for folder in ("www", "lab", "items"):
        (tmp_path / folder).mkdir()
    for number, name in enumerate(NAMES):
        grid = grid_of(number)
        image = np.random.default_rng(number).integers(1, 255, (3, SIDE, SIDE), np.uint8)
        with write_raster(tmp_path / "www" / f"{name}.tif", grid, count=3, dtype="uint8", rgb=True) as writer:
            writer.write(grid.window, image)
        x, y = grid.transform @ (100, 100)
        ring = [[x, y], [x + 20, y], [x + 20, y - 20], [x, y - 20], [x, y]]
        feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
        crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
        text = json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature]})
        (tmp_path / "lab" / f"{name}.geojson").write_text(text)
    with range_server(tmp_path / "www") as known:
        yield known


def grid_of(number: int) -> Grid:
    left = 400_000 + 1000 * number
    return Grid(SIDE, SIDE, Affine(0.5, 0, left, 0, -0.5, 5_000_000), CRS.from_epsg(32633))


def open_remote(home: Path, address: str, network: str = "network = true") -> Project:
    (home / "r.toml").write_text(RECIPE.format(address=address, network=network))
    return open_project(load_recipe(home / "r.toml"))


def test_without_both_words_nobody_is_asked(tmp_path: Path, server: Server) -> None:
    for network in ("", "network = false"):
        with pytest.raises(RecipeError, match=r"does not allow the network, got http.*say network = true"):
            check(open_remote(tmp_path, server.address, network))
    (tmp_path / "r.toml").write_text(RECIPE.format(address="www", network="network = true"))
    assert check(open_project(load_recipe(tmp_path / "r.toml"))).errors == 0  # allowed, and all is on disk
    assert not server.asked


def test_check_reads_a_small_part(tmp_path: Path, server: Server) -> None:
    server.busy = 1
    result = check(open_remote(tmp_path, server.address))
    assert (result.errors, result.scenes, result.usable, result.labelled) == (0, 3, 3, 3)
    for name in NAMES:
        assert 0 < server.sent[f"{name}.tif"] < 0.05 * (server.folder / f"{name}.tif").stat().st_size


def test_prepare_copies_once_and_gives_what_files_on_disk_give(tmp_path: Path, server: Server) -> None:
    project, run = open_remote(tmp_path, server.address), open_run(tmp_path / "run")
    server.busy, server.cut = 1, {"s2.tif": 900_001}
    assert sorted(prepare(project, run).made) == list(NAMES)
    for name in NAMES:
        assert run.path("remote", name, "RGB.tif").read_bytes() == (server.folder / f"{name}.tif").read_bytes()
        said = json.loads(run.path("remote", name, "source.json").read_text())["RGB"]
        assert said["address"] == server.of(f"{name}.tif")
        assert said["etag"].startswith('"')
        assert said["bytes"] == (server.folder / f"{name}.tif").stat().st_size
        assert f"ETag {said['etag']}" in run.records("fetch")[name].notes[0]
    asked = server.asked.total()
    assert sorted(prepare(project, run).current) == list(NAMES)
    assert prepare(open_remote(tmp_path, server.address), open_run(tmp_path / "run")).made == []
    assert server.asked.total() == asked  # all is here
    assert not list(tmp_path.rglob(".partial-*"))
    local = open_run(tmp_path / "local")
    (tmp_path / "r.toml").write_text(RECIPE.format(address="www", network=""))
    prepare(open_project(load_recipe(tmp_path / "r.toml")), local)
    for file in ("sensors/RGB.tif", "coverage.tif", "scene.json"):
        assert run.path("prepared", "s1", file).read_bytes() == local.path("prepared", "s1", file).read_bytes()


def test_a_scene_that_a_server_refuses_is_named_and_the_others_are_done(tmp_path: Path, server: Server) -> None:
    project, run = open_remote(tmp_path, server.address), open_run(tmp_path / "run")
    server.codes["s2.tif"] = 403
    (finding,) = (f for f in check(project).findings if f.level == "error")
    assert (finding.lost, "refuses it (403)" in finding.text) == ("s2", True)
    result = prepare(project, run)
    assert sorted(result.made) == ["s1", "s3"]
    assert list(result.failed) == ["s2"]
    assert "s2.tif: the server refuses it (403)" in result.failed["s2"]
    assert sorted(path.name for path in run.path("remote").iterdir()) == ["s1", "s3"]
    server.codes.clear()
    result = prepare(project, run)
    assert (result.made, sorted(result.current), result.failed) == (["s2"], ["s1", "s3"], {})


def test_where_nothing_could_be_copied_no_folder_stays(tmp_path: Path, server: Server) -> None:
    project, run = open_remote(tmp_path, server.address), open_run(tmp_path / "run")
    server.codes |= {f"{name}.tif": 403 for name in NAMES}
    with pytest.raises(DataError, match="refuses it"):
        prepare(project, run)
    assert not run.path("remote").exists()


def test_a_file_that_changed_on_the_server_is_said(tmp_path: Path, server: Server) -> None:
    project, run = open_remote(tmp_path, server.address), open_run(tmp_path / "run")
    prepare(project, run)
    with write_raster(server.folder / "s1.tif", grid_of(0), count=3, dtype="uint8", rgb=True) as writer:
        writer.write(grid_of(0).window, np.full((3, SIDE, SIDE), 9, np.uint8))
    findings = check(project, copies=run.path("remote")).findings
    (text,) = (finding.text for finding in findings if "changed on the server" in finding.text)
    assert "s1.tif" in text
    (said,) = (note for note in check_run(project, run).notes if "changed on the server" in note)
    assert "s1.tif" in said
    assert prepare(project, run).made == []  # the copy stays in use
    run.path("remote", "s1", "RGB.tif").unlink()
    result = prepare(project, run)
    assert result.made == ["s1"]
    assert any("s1.tif: changed on the server since it was copied, got ETag" in note for note in result.notes)


def item(number: int, place: str, **asset: Any) -> dict[str, Any]:
    grid = grid_of(number)
    bands = [{"name": f"b{k}", "common_name": name} for k, name in enumerate(("red", "green", "blue"))]
    own = {
        "href": place,
        "eo:bands": bands,
        "raster:bands": [{"nodata": 0}] * 3,
        "proj:transform": [*tuple(grid.transform)[:6], 0, 0, 1],
        "proj:shape": [SIDE, SIDE],
    }
    properties = {"datetime": "2021-07-03T10:00:00Z", "proj:code": "EPSG:32633"}
    return {"type": "Feature", "id": NAMES[number], "properties": properties, "assets": {"visual": own | asset}}


def open_items(home: Path, items: list[dict[str, Any]], more: str = "") -> Project:
    for row in items:
        (home / "items" / f"{row['id']}.json").write_text(json.dumps(row))
    text = RECIPE.format(address="X", network='network = true\nsource = "stac"\nitems = "items/{name}.json"')
    text = text.replace('path = "X/{scene}.tif"', f'path = "visual"{more}')
    (home / "r.toml").write_text(text)
    return open_project(load_recipe(home / "r.toml"))


def test_items_say_where_files_are_and_how_they_are_read(tmp_path: Path, server: Server) -> None:
    turned = [{"common_name": name} for name in ("blue", "green", "red")]
    rows = [item(0, server.of("s1.tif")), item(1, "../www/s2.tif"), item(2, "../www/s3.tif", **{"eo:bands": turned})]
    project, run = open_items(tmp_path, rows), open_run(tmp_path / "run")
    files = {scene.id: scene.reference for scene in project.scenes.scenes}
    assert [bool(files[name].address) for name in NAMES] == [True, False, False]
    assert [files[name].bands for name in NAMES] == [None, None, (3, 2, 1)]
    assert all(files[name].nodata == 0 for name in NAMES)
    assert [finding.text for finding in check(project).findings if finding.level == "error"] == []
    assert sorted(prepare(project, run).made) == list(NAMES)
    assert set(server.asked) == {"s1.tif"}


@pytest.mark.parametrize(
    ("change", "words"),
    [({"proj:shape": [SIDE, SIDE + 1]}, "the item does not fit its file, got (701, 701), need proj:shape"),
     ({"proj:transform": [0.5, 0, 400_000, 0, -0.5, 5_000_000]}, "need proj:transform [0.5, 0.0, 400000.0"),
     ({"proj:code": "EPSG:32634"}, "UTM zone 33N, need EPSG:32634"),
     ({"proj:code": "WILD:1"}, "UTM zone 33N, need WILD:1"),
     ({"href": "../../s2.tif"}, "its file lies outside of the data folder"),
     ({"eo:bands": [{"common_name": n} for n in ("nir", "red", "green")]}, "other bands than the kind's, got nir, red"),
     ({"href": "file:///etc/passwd"}, "unknown kind of address, got file://"),
     ({"href": "/etc/passwd"}, "its file lies outside of the data folder"),
     ({"href": "https://h/a.tif?sig=hunter2"}, "an address with a query, got https://h;"),
     ({"href": "\x00"}, "its file has no name that can be"),
     ({"eo:bands": [{"common_name": {"red": 1}}], "proj:shape": "wide"}, "proj:shape is none, got wide"),
     ({"proj:shape": [-1, SIDE]}, "proj:shape is none, got [-1, 701], need height and width"),
     ({"proj:transform": [[]] * 6}, "proj:transform is none"),
     ({"proj:transform": [1, 2]}, "proj:transform is none, got [1, 2], need 6 or 9 numbers"),
     ({"href": "gone.tif"}, "items/gone.tif; a relative href begins in the folder of its item")],
)  # fmt: skip
def test_an_item_that_does_not_fit_its_file_is_a_line_and_the_rest_is_done(
    tmp_path: Path, server: Server, change: dict[str, Any], words: str
) -> None:
    rows = [item(0, server.of("s1.tif")), item(1, server.of("s2.tif"), **change), item(2, server.of("s3.tif"))]
    project, run = open_items(tmp_path, rows), open_run(tmp_path / "run")
    (line,) = (finding.text for finding in check(project).findings if finding.level == "error")
    assert words in line
    assert "\n" not in line
    assert "hunter2" not in line
    result = prepare(project, run)
    assert sorted(result.made) == ["s1", "s3"]
    assert words in result.failed["s2"]


def test_of_two_items_with_one_id_one_is_used_and_the_other_named(tmp_path: Path, server: Server) -> None:
    open_items(tmp_path, [item(k, f"../www/s{k + 1}.tif") for k in range(3)])
    (tmp_path / "items" / "t.json").write_text((tmp_path / "items" / "s1.json").read_text())
    recipe = tmp_path / "r.toml"
    recipe.write_text(recipe.read_text().replace('scenes = ["s1", "s2", "s3"]\n', ""))
    result = prepare(open_project(load_recipe(recipe)), open_run(tmp_path / "run"))
    assert sorted(result.made) == ["s1", "s2", "s3"]
    assert "a second item of the id 's1', got s1.json and t.json; take one of them away" in result.failed["t"]


def test_items_with_addresses_need_the_network_too(tmp_path: Path, server: Server) -> None:
    project = open_items(tmp_path, [item(0, server.of("s1.tif"))])
    (tmp_path / "r.toml").write_text((tmp_path / "r.toml").read_text().replace("network = true", ""))
    with pytest.raises(RecipeError, match=r"s1\.json, asset 'visual': an address, and the recipe does not allow"):
        check(open_project(load_recipe(tmp_path / "r.toml")))
    assert project.recipe.data.network
    assert not server.asked


def test_a_factor_that_only_the_item_knows_is_applied(tmp_path: Path, server: Server) -> None:
    scaled = [{"nodata": 0, "scale": 0.01, "offset": -0.1}] * 3
    rows = [item(k, f"../www/{name}.tif", **{"raster:bands": scaled}) for k, name in enumerate(NAMES)]
    project, run = open_items(tmp_path, rows, ", scale = true"), open_run(tmp_path / "run")
    prepare(project, run)
    facts = json.loads(run.path("prepared", "s1", "scene.json").read_text())["statistics"]["RGB"]
    assert facts["max"] == pytest.approx([2.44] * 3, abs=1e-6)
    assert facts["min"] == pytest.approx([-0.09] * 3, abs=1e-6)
