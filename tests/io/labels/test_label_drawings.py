"""Drawings on pictures: which image a scene is, sizes that differ, classes by name and id."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely

from landscribe.core.features import of_class
from landscribe.core.recipe import LabelTable
from landscribe.errors import DataError
from landscribe.io.labels.drawings import SCALED, STRAYS
from landscribe.io.labels.labels import Labels, read_labels
from landscribe.io.project import Project
from landscribe.io.vector.coco import read_coco
from landscribe.stages.check import check
from small_data import H, W, grid_at, project_of, write_image, write_polygons

HOUSE = shapely.box(7, 11, 23, 31)
RING = [7, 11, 23, 11, 23, 31, 7, 31]
COCO = 'labels = { path = "all.json" }\n'


def write_coco(path: Path, names: list[str], *, size: tuple[int, int] | None = (H, W), scale: float = 1.0) -> None:
    extent = {} if size is None else {"height": size[0], "width": size[1]}
    images = [{"id": k, "file_name": name} | extent for k, name in enumerate(names)]
    ring = [[v * scale for v in RING]]
    rows = [{"id": k, "image_id": k, "category_id": 3, "segmentation": ring} for k in range(len(names))]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": rows, "categories": [{"id": 3, "name": "house"}]}))
    read_coco.cache_clear()


def labels_of(project: Project, scene: str = "a") -> Labels:
    return read_labels(project.scenes.by_id(scene), project.legend, grid_at(0))


def pixels(labels: Labels, name: str = "house") -> list[shapely.Geometry]:
    return list(grid_at(0).ground_to_pixels(of_class(labels.features, name)))


@pytest.mark.parametrize(
    "name",
    [
        "a.tif",
        "A.JPG",
        "photos/2024/a.png",
        r"C:\photos\a.tif",
        "a_tif.rf.0123456789abcdef.jpg",
        "a.rf.00ff.png",
        "img/a",
    ],
)
def test_an_image_is_known_by_its_name(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / "img" / "a.tif", grid_at(0))
    write_coco(tmp_path / "all.json", ["other.tif", name, "aa.tif"])
    (house,) = pixels(labels_of(project_of(tmp_path, COCO)))
    assert house.symmetric_difference(HOUSE).area < 1e-6


def test_folders_tell_images_of_one_name_apart(tmp_path: Path) -> None:
    write_image(tmp_path / "img" / "a.tif", grid_at(0))
    write_coco(tmp_path / "all.json", ["x/a.tif", "img/a.tif"])
    assert len(pixels(labels_of(project_of(tmp_path, COCO)))) == 1
    write_coco(tmp_path / "all.json", ["x/a.tif", "y/a.tif"])
    with pytest.raises(DataError, match=r"several images for scene 'a', got x/a\.tif and y/a\.tif, need one"):
        labels_of(project_of(tmp_path, COCO))


def test_images_that_a_file_does_not_list_were_not_looked_at(tmp_path: Path) -> None:
    for scene in "abc":
        write_image(tmp_path / "img" / f"{scene}.tif", grid_at(0), seed=ord(scene))
    write_coco(tmp_path / "all.json", ["a.tif", "b.tif"])
    content = json.loads((tmp_path / "all.json").read_text())
    content["annotations"] = [*content["annotations"][:1], {"image_id": 99}]
    (tmp_path / "all.json").write_text(json.dumps(content))
    read_coco.cache_clear()
    project = project_of(tmp_path, COCO + "[validate]\nleak_check = false\n")
    found = {scene: labels_of(project, scene) for scene in "abc"}
    assert {scene: (labels.is_labelled, len(labels.features)) for scene, labels in found.items()} == {
        "a": (True, 1),
        "b": (True, 0),  # searched, and nothing found
        "c": (False, 0),
    }
    assert found["a"].file_counts == {STRAYS: 1}
    assert not found["a"].is_shared
    assert check(project).labelled == 2


def test_a_file_of_its_own_may_call_the_image_otherwise(tmp_path: Path) -> None:
    write_image(tmp_path / "img" / "a.tif", grid_at(0))
    text = 'labels = { path = "lab/{scene}.json" }'
    write_coco(tmp_path / "lab" / "a.json", ["IMG_0001.png"])
    assert len(pixels(labels_of(project_of(tmp_path, text)))) == 1
    write_coco(tmp_path / "lab" / "a.json", ["IMG_0001.png", "IMG_0002.png"])
    with pytest.raises(DataError, match=r"is of other images, got IMG_0001\.png, IMG_0002\.png, need a\.tif among"):
        labels_of(project_of(tmp_path, text))


def test_another_size_is_scaled_and_another_shape_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "img" / "a.tif", grid_at(0))
    write_coco(tmp_path / "all.json", ["a.tif"], size=(2 * H, 2 * W), scale=2.0)
    labels = labels_of(project_of(tmp_path, COCO))
    assert pixels(labels)[0].symmetric_difference(HOUSE).area < 1e-6
    assert labels.counts == {SCALED: 1}
    write_coco(tmp_path / "all.json", ["a.tif"], size=(W, H))
    with pytest.raises(DataError, match=r"scene 'a', all\.json: drawn on a picture of another shape, got \(83, 61\)"):
        labels_of(project_of(tmp_path, COCO))
    write_coco(tmp_path / "all.json", ["a.tif"], size=None)
    assert len(pixels(labels_of(project_of(tmp_path, COCO)))) == 1


def test_labelme_of_all_scenes_by_picture(tmp_path: Path) -> None:
    for scene in "ab":
        write_image(tmp_path / "img" / f"{scene}.tif", grid_at(0))
    shape = {"label": "house", "points": [[7, 11], [23, 11], [23, 31], [7, 31]], "shape_type": "polygon"}
    (tmp_path / "l.json").write_text(json.dumps({"version": "5", "shapes": [shape], "imagePath": "..\\photos\\b.jpg"}))
    project = project_of(tmp_path, 'labels = { path = "l.json" }')
    assert not labels_of(project, "a").is_labelled
    assert len(pixels(labels_of(project, "b"))) == 1


def test_names_of_yolo_order_the_classes(tmp_path: Path) -> None:
    write_image(tmp_path / "img" / "a.tif", grid_at(0))
    ring = "0.1 0.2 0.5 0.2 0.5 0.8"
    (tmp_path / "a.txt").write_text(f"2 {ring}\n0 {ring}\n10 {ring}\n")
    text = 'labels = { path = "{scene}.txt" }'
    assert project_of(tmp_path, text).legend.names == ("0", "2", "10")
    (tmp_path / "my.txt").write_text("tree\nroad\nhouse\n")
    named = project_of(tmp_path, 'labels = { path = "{scene}.txt", names = "my.txt" }')
    assert named.legend.names == ("tree", "house", "10")
    assert len(pixels(labels_of(named))) == 1
    classes = (
        '\n[[classes]]\nname = "lake"\nid = 0\n[[classes]]\nname = "house"\nid = 2\n[[classes]]\nname = "x"\nid = 10\n'
    )
    assert len(pixels(labels_of(project_of(tmp_path, text + classes)), "lake")) == 1
    with pytest.raises(DataError, match=r"labels\.names: no such file, got none\.txt"):
        _ = project_of(tmp_path, 'labels = { path = "{scene}.txt", names = "none.txt" }').scenes


def test_one_class_for_all_that_was_drawn(tmp_path: Path) -> None:
    write_image(tmp_path / "img" / "a.tif", grid_at(0))
    write_coco(tmp_path / "all.json", ["a.tif"])
    project = project_of(tmp_path, 'labels = { path = "all.json", class = "roof" }')
    assert project.legend.names == ("roof",)
    assert len(pixels(labels_of(project), "roof")) == 1


def test_names_that_differ_in_case_or_blanks(tmp_path: Path) -> None:
    write_image(tmp_path / "img" / "a.tif", grid_at(0))
    kinds = ["Wide  Road", "wide road", " wide road", "HOUSE"]
    write_polygons(tmp_path / "l.gpkg", [HOUSE] * 4, grid_at(0), kind=kinds)
    text = 'labels = { path = "l.gpkg", class_field = "kind" }\n'
    plain = project_of(tmp_path, text)
    assert plain.legend.names == ("HOUSE", "Wide  Road", "wide road")
    warnings = [finding.text for finding in check(plain).findings if finding.level == "warning"]
    assert (
        "classes 'Wide Road' and 'wide road': differ in case or blanks only; "
        "if they are one: [[classes]] name = 'Wide Road', also = ['wide road']"
    ) in warnings
    merged = text + '[[classes]]\nname = "road"\nalso = ["wide road", "Wide  Road"]\n[[classes]]\nname = "house"\n'
    labels = labels_of(project_of(tmp_path, merged))
    assert labels.features["class_name"].value_counts().to_dict() == {"road": 3, "house": 1}
    assert labels.file_counts == {"named 'HOUSE', taken for 'house'": 1}
    strange = text + '[[classes]]\nname = "house"\n'
    with pytest.raises(
        DataError, match=r"unknown class in column 'kind', got 'Wide Road', .* or in `also` of the class"
    ):
        labels_of(project_of(tmp_path, strange))


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="layers names no class"):
        LabelTable(path="a", layers={})
    with pytest.raises(ValueError, match="buffer_m and buffer_px both give a width"):
        LabelTable(path="a", buffer_m=1.0, buffer_px=2.0)
    with pytest.raises(ValueError, match="layer and layers both name layers"):
        LabelTable(path="a", layer="x", layers={"a": "y"})


def test_numbers_are_exact_where_nothing_is_moved(tmp_path: Path) -> None:
    write_image(tmp_path / "img" / "a.tif", grid_at(0, crs=None))
    write_coco(tmp_path / "all.json", ["a.tif"])
    project = project_of(tmp_path, COCO)
    labels = read_labels(project.scenes.by_id("a"), project.legend, grid_at(0, crs=None))
    assert np.array_equal(shapely.get_coordinates(labels.features.geometry.iloc[0])[:-1].ravel(), RING)
