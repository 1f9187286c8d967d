"""Which label files a scene has, what several of them say together, and where somebody looked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely

from landscribe.core.burn import burn_share
from landscribe.core.features import of_class
from landscribe.core.grid import Window
from landscribe.errors import DataError
from landscribe.io.labels.ground import empty_side, measure_ground
from landscribe.io.labels.labels import Labels, read_labels
from landscribe.io.project import Project
from small_data import H, W, grid_at, project_of, write_bands, write_image, write_polygons

HOUSE, ROAD = shapely.box(7, 11, 23, 31), shapely.box(0, 40, 83, 47)


def images(folder: Path, *scenes: str) -> None:
    for number, scene in enumerate(scenes):
        write_image(folder / "img" / f"{scene}.tif", grid_at(number), seed=number)


def labels_of(project: Project, scene: str, number: int = 0) -> Labels:
    return read_labels(project.scenes.by_id(scene), project.legend, grid_at(number))


def share(labels: Labels, name: str, number: int = 0) -> np.ndarray:
    return burn_share(grid_at(number).ground_to_pixels(of_class(labels.features, name)), (H, W))


def looked(labels: Labels, number: int = 0) -> np.ndarray:
    return labels.labelled(grid_at(number), grid_at(number).window)


TWO = """
[[data.labels]]
path = "houses/{scene}.gpkg"
class = "house"
[[data.labels]]
path = "roads/{scene}.tif"
values = { road = 3 }
unlabelled = 9
"""


def test_several_tables_say_together_what_is_there(tmp_path: Path) -> None:
    images(tmp_path, "a", "b", "c")
    road_hw = np.zeros((H, W), np.uint8)
    road_hw[40:47], road_hw[:, :5] = 3, 9
    for number, scene in enumerate("ab"):
        write_polygons(tmp_path / "houses" / f"{scene}.gpkg", [HOUSE], grid_at(number))
    for number, scene in ((0, "a"), (2, "c")):
        write_bands(tmp_path / "roads" / f"{scene}.tif", road_hw[None], grid_at(number))
    project = project_of(tmp_path, TWO)
    assert project.legend.names == ("house", "road")
    labels = labels_of(project, "a")
    assert (share(labels, "house") == burn_share(np.array([HOUSE]), (H, W))).all()
    assert (share(labels, "road") == 255 * (road_hw == 3)).all()
    assert (looked(labels) == (road_hw != 9)).all()
    # Where one of its files is missing nobody looked for all classes.
    scenes = {scene.id: scene for scene in project.scenes.scenes}
    assert scenes["b"].unlabelled == ("roads/b.tif",)
    assert scenes["c"].unlabelled == ("houses/c.gpkg",)
    assert not scenes["b"].label_files
    with pytest.raises(DataError, match=r"scene 'b': no labels, need roads/b\.tif"):
        labels_of(project, "b", 1)
    empty = project_of(tmp_path, TWO.replace('class = "house"', 'class = "house"\nmissing = "empty"'))
    assert not labels_of(empty, "c", 2).features["class_name"].eq("house").any()
    assert (share(labels_of(empty, "c", 2), "road", 2) == 255 * (road_hw == 3)).all()


def test_one_table_reads_as_a_list_of_one(tmp_path: Path) -> None:
    images(tmp_path, "a")
    write_polygons(tmp_path / "l.gpkg", [HOUSE], grid_at(0))
    one = project_of(tmp_path, 'labels = { path = "l.gpkg", class = "house" }')
    several = project_of(tmp_path, 'labels = [{ path = "l.gpkg", class = "house" }]')
    assert one.recipe == several.recipe
    assert len(one.recipe.data.labels) == 1


def test_outside_of_the_area_nobody_looked(tmp_path: Path) -> None:
    images(tmp_path, "a", "b", "c")
    write_polygons(tmp_path / "l.gpkg", [HOUSE, shapely.box(W + 3, 5, W + 19, 17)], grid_at(0))
    area = shapely.Polygon([(0, 0), (W + 30, 0), (W + 30, H), (10, H)])
    write_polygons(tmp_path / "aoi.gpkg", [area], grid_at(0))
    project = project_of(tmp_path, 'labels = { path = "l.gpkg", class = "house", area = "aoi.gpkg" }')
    rows, cols = np.mgrid[:H, :W] + 0.5
    for number, scene in enumerate("ab"):
        labels = labels_of(project, scene, number)
        inside = shapely.contains_xy(area, cols + number * W, rows)
        assert (looked(labels, number) == inside).all()
        assert inside.any()
        assert labels.is_labelled
        assert not labels.is_shared
    assert not labels_of(project, "c", 2).is_labelled
    assert not looked(labels_of(project, "c", 2), 2).any()


def test_an_area_per_scene(tmp_path: Path) -> None:
    images(tmp_path, "a", "b")
    for number, scene in enumerate("ab"):
        write_polygons(tmp_path / "lab" / f"{scene}.gpkg", [HOUSE], grid_at(number))
    write_polygons(tmp_path / "aoi" / "a.geojson", [shapely.box(0, 0, 29, H)], grid_at(0))
    project = project_of(
        tmp_path, 'labels = { path = "lab/{scene}.gpkg", class = "house", area = "aoi/{scene}.geojson" }'
    )
    assert looked(labels_of(project, "a")).sum() == 29 * H
    assert not labels_of(project, "b", 1).is_labelled


def test_a_shared_area_that_is_not_there_is_said(tmp_path: Path) -> None:
    images(tmp_path, "a")
    project = project_of(tmp_path, 'labels = { path = "l.gpkg", class = "house", area = "aoi.gpkg" }')
    with pytest.raises(DataError, match=r"labels\.area: no such file, got aoi\.gpkg"):
        _ = project.scenes


def test_one_mask_for_all_scenes_says_nothing_beyond_itself(tmp_path: Path) -> None:
    images(tmp_path, "a", "b", "c")
    mask_hw = np.random.default_rng(3).integers(0, 2, (H, W + 37), dtype=np.uint8)
    write_bands(tmp_path / "mask.tif", mask_hw[None], grid_at(0, w=W + 37))
    project = project_of(tmp_path, 'labels = { path = "mask.tif", values = { house = 1 } }')
    whole, part, none = (labels_of(project, scene, number) for number, scene in enumerate("abc"))
    assert whole.coverage_khw is not None
    assert part.coverage_khw is not None
    assert (whole.coverage_khw[0] == 255 * mask_hw[:, :W]).all()
    assert (part.coverage_khw[0, :, :37] == 255 * mask_hw[:, W:]).all()
    assert looked(part, 1).sum() == 37 * H
    assert not none.is_labelled


def test_a_mask_of_its_own_elsewhere_is_refused(tmp_path: Path) -> None:
    images(tmp_path, "a")
    write_bands(tmp_path / "m" / "a.tif", np.ones((1, H, W), np.uint8), grid_at(5))
    project = project_of(tmp_path, 'labels = { path = "m/{scene}.tif", values = { house = 1 } }')
    with pytest.raises(DataError, match="scene 'a', labels: the label picture lies outside of the image"):
        labels_of(project, "a")


def test_masks_beside_the_images_are_no_images(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b", "old_mask")):
        write_image(tmp_path / f"{name}.tif", grid_at(number))
    for number, scene in enumerate("ab"):
        write_bands(tmp_path / f"{scene}_mask.tif", np.ones((1, H, W), np.uint8), grid_at(number))
    text = 'labels = { path = "{scene}_mask.tif", values = { house = 1 } }\n'
    project = project_of(tmp_path, 'sensors.RGB = { path = "{scene}.tif", kind = "rgb8" }\n' + text)
    assert {s.id: bool(s.label_files) for s in project.scenes.scenes} == {"a": True, "b": True, "old_mask": False}


@pytest.mark.parametrize("picture", [False, True])
def test_ground_is_measured_as_it_is_burnt(tmp_path: Path, picture: bool) -> None:
    images(tmp_path, "a")
    grid, rng = grid_at(0), np.random.default_rng(5)
    write_polygons(tmp_path / "l.gpkg", [HOUSE, shapely.box(20, 20, 31.5, 40)], grid)
    mask_hw = rng.integers(0, 3, (H, W), dtype=np.uint8)
    write_bands(tmp_path / "m.tif", mask_hw[None], grid)
    write_polygons(tmp_path / "aoi.gpkg", [shapely.box(0, 0, W, 37)], grid)
    how = 'path = "m.tif", values = { house = 1 }, unlabelled = 2' if picture else 'path = "l.gpkg", class = "house"'
    labels = labels_of(project_of(tmp_path, f'labels = {{ {how}, area = "aoi.gpkg" }}'), "a")
    valid_hw = rng.random((H, W)) < 0.8
    seen_hw = valid_hw & (np.arange(H) < 37)[:, None] & (mask_hw != 2 if picture else True)
    house_hw = mask_hw == 1 if picture else share(labels, "house") / 255
    project = project_of(tmp_path, f"labels = {{ {how} }}")
    strips = [(w, valid_hw[w.slices]) for w in (Window(0, 0, 23, W), Window(23, 0, H - 23, W))]
    ground = measure_ground(labels, project.legend, grid, strips)["house"]
    assert ground.positive == pytest.approx(house_hw[seen_hw].sum())
    assert ground.positive + ground.negative == pytest.approx(seen_hw.sum())
    assert ground.unlabelled == valid_hw.sum() - seen_hw.sum()


def test_the_emptiest_side(tmp_path: Path) -> None:
    images(tmp_path, "a")
    for box, expected in (
        ((3, 2, 29, 60), ("right", 1 - 29 / W)),
        ((50, 2, 150, 60), ("left", 50 / W)),
        ((3, 41, 80, 60), ("top", 41 / H)),
        ((3, -7, 80, 13), ("bottom", 1 - 13 / H)),
        ((W + 5, 2, W + 29, 60), ("any", 1.0)),
    ):
        (tmp_path / "l.gpkg").unlink(missing_ok=True)
        write_polygons(tmp_path / "l.gpkg", [shapely.box(*box)], grid_at(0))
        labels = labels_of(project_of(tmp_path, 'labels = { path = "l.gpkg", class = "house" }'), "a")
        side, part = empty_side(labels, grid_at(0))
        assert (side, pytest.approx(part)) == expected
        assert labels.is_shared
