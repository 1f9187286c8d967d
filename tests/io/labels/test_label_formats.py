"""Every label format that is read, written in small and read back; the table of the docs has a row for each."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from label_formats import CLASSES, WRITERS, grids
from landscribe.core.burn import burn_share
from landscribe.core.features import of_class
from landscribe.io.labels.labels import Labels, read_labels
from small_data import H, W, project_of, write_image

DOCS = Path(__file__).parents[3] / "docs"
ROUGH = {"lines and points with a width": 0.01, "mask in another CRS": 0.03}
"""Jaccard lost by metres that differ by a few parts in ten thousand between directions, and by pixels of the mask."""
NEEDS_CRS = {"one file for all scenes", "one mask for all scenes", "mask in another CRS"}


def shares(labels: Labels, name: str, scene: str, with_crs: bool) -> np.ndarray:
    pixels = grids(with_crs)[scene].ground_to_pixels(of_class(labels.features, name))
    return burn_share(pixels, (H, W)) / 255


@pytest.mark.parametrize("with_crs", [True, False], ids=["with a CRS", "pixels"])
@pytest.mark.parametrize("name", WRITERS)
def test_what_was_written_is_read(tmp_path: Path, name: str, with_crs: bool) -> None:
    if name in NEEDS_CRS and not with_crs:
        pytest.skip("scenes without a CRS share no ground")
    for scene, grid in grids(with_crs).items():
        write_image(tmp_path / "img" / f"{scene}.tif", grid)
    project = project_of(tmp_path, WRITERS[name](tmp_path, with_crs))
    assert project.legend.names == ("house", "road")
    assert [scene.id for scene in project.scenes.scenes] == ["a", "b"]
    for scene, grid in grids(with_crs).items():
        labels = read_labels(project.scenes.by_id(scene), project.legend, grid)
        assert labels.is_labelled
        assert labels.labelled(grid, grid.window).mean() > 0.97
        for class_name, own in CLASSES.items():
            expected = burn_share(np.array([own[scene]] if scene in own else [], dtype=object), (H, W)) / 255
            found = shares(labels, class_name, scene, with_crs)
            if not expected.any():
                assert not found.any()
                continue
            lost = 1 - np.minimum(found, expected).sum() / np.maximum(found, expected).sum()
            assert lost <= ROUGH.get(name, 1e-4), (scene, class_name)


def test_the_docs_have_a_row_for_each_format() -> None:
    page = (DOCS / "own-data.md").read_text()
    table = page.partition("## Label formats")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+?) \|", table, re.MULTILINE)
    assert [row for row in rows if row not in ("labels", "---", "file")][: len(WRITERS)] == list(WRITERS)
