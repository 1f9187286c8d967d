"""The exit code of `check`: 4 where some scenes cannot be used and the others can, 3 where anything else is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import shapely
from typer.testing import CliRunner

from landscribe.cli.app import app
from small_data import grid_at, project_of, write_image, write_polygons

LABELS = 'labels = { path = "lab/{scene}.gpkg", class = "house" }\n'


@pytest.mark.parametrize(
    ("good", "bad", "extra", "code"),
    [
        ("ab", "", "", 0),
        ("ab", "c", "", 4),
        ("", "abc", "", 3),
        ("ab", "c", '[[classes]]\nname = "house"\n[[classes]]\nname = "lake"\n', 3),  # no lake anywhere
    ],
)
def test_it_says_whether_the_others_can_be_used(tmp_path: Path, good: str, bad: str, extra: str, code: int) -> None:
    for number, scene in enumerate(good + bad):
        path = tmp_path / "img" / f"{scene}.tif"
        write_image(path, grid_at(number), seed=number, count=3)
        write_polygons(tmp_path / "lab" / f"{scene}.gpkg", [shapely.box(3, 5, 20, 30)], grid_at(number))
        if scene in bad:
            path.write_bytes(path.read_bytes()[:400])
    project_of(tmp_path, LABELS + extra)
    done = CliRunner().invoke(app, ["check", str(tmp_path / "r.toml")])
    assert done.exit_code == code, done.output
    for scene in bad:
        assert f"{scene}.tif" in done.output
