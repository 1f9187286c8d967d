"""What a synthetic scene promises: shapes, bits, classes, valid polygons, plausible numbers."""

import hashlib
import re

import numpy as np
import pytest
import shapely

from landscribe.core.legend import DSTL_LEGEND
from landscribe.errors import DataError
from landscribe.worlds import SyntheticScene, WorldSpec, make_scene, scene_ids

SMALL = WorldSpec(scenes=5, height=211, width=263, seed=7, scenes_per_place=2)


@pytest.fixture(scope="module")
def default_world() -> list[SyntheticScene]:
    spec = WorldSpec()
    return [make_scene(spec, index) for index in range(spec.scenes)]


def digest(scene: SyntheticScene) -> str:
    parts = [scene.images_chw[sensor].tobytes() for sensor in ("RGB", "P", "M", "A")]
    parts += [b"".join(shapely.to_wkb(scene.polygons[number])) for number in range(1, 11)]
    parts.append(repr((scene.scene_id, scene.place, scene.shifts_px, scene.x_max, scene.y_min)).encode())
    return hashlib.sha256(b"|".join(parts)).hexdigest()


def test_same_spec_same_bits_and_no_scene_depends_on_another():
    alone = digest(make_scene(SMALL, 3))
    for index in range(3):
        make_scene(SMALL, index)
    assert digest(make_scene(SMALL, 3)) == alone
    more = WorldSpec(scenes=9, height=211, width=263, seed=7, scenes_per_place=2)
    assert digest(make_scene(more, 3)) == alone


def test_seed_and_index_change_the_land():
    first = make_scene(SMALL, 0).images_chw["RGB"]
    other_seed = make_scene(WorldSpec(scenes=1, height=211, width=263, seed=8), 0).images_chw["RGB"]
    assert not np.array_equal(first, other_seed)
    assert not np.array_equal(first, make_scene(SMALL, 1).images_chw["RGB"])


def test_ids_have_dstl_form_and_scenes_of_a_region_share_a_place():
    ids = scene_ids(SMALL)
    assert ids == ["6010_0_0", "6010_0_1", "6020_0_0", "6020_0_1", "6030_0_0"]
    assert scene_ids(WorldSpec(scenes=450, scenes_per_place=25))[-1] == "6180_4_4"
    assert all(re.fullmatch(r"6\d\d0_[0-4]_[0-4]", name) for name in scene_ids(WorldSpec(scenes=40)))
    scene = make_scene(SMALL, 4)
    assert (scene.scene_id, scene.place) == ("6030_0_0", "6030")


def test_shapes_and_dtypes():
    images = make_scene(SMALL, 0).images_chw
    assert {image.dtype for image in images.values()} == {np.dtype(np.uint16)}
    assert images["RGB"].shape == (3, 211, 263)
    assert images["M"].shape == (8, 53, 66)
    assert images["A"].shape == (8, 8, 11)
    bands, rows, cols = images["P"].shape
    assert (bands, cols) == (1, 263)
    assert rows in (211, 212)


def test_the_frame_is_that_of_dstl(default_world):
    scene = default_world[0]
    assert scene.x_max / 812 == pytest.approx(0.009169 / 3391)
    assert scene.y_min / 768 == pytest.approx(-0.009042 / 3349)


def test_numbers_fit_the_bits_and_the_means_of_dstl(default_world):
    stacks = {name: [scene.images_chw[name] for scene in default_world] for name in ("RGB", "P", "M", "A")}
    for name, top in (("RGB", 2047), ("P", 2047), ("M", 2047), ("A", 16383)):
        assert min(image.min() for image in stacks[name]) >= 1
        assert max(image.max() for image in stacks[name]) <= top
    mean = {name: np.mean([image.mean(axis=(1, 2)) for image in images], axis=0) for name, images in stacks.items()}
    np.testing.assert_allclose(mean["RGB"], [414, 460, 326], rtol=0.08)
    np.testing.assert_allclose(mean["P"], [503], rtol=0.08)
    np.testing.assert_allclose(mean["M"], [295, 326, 460, 482, 414, 528, 678, 530], rtol=0.08)
    np.testing.assert_allclose(mean["A"], [4243, 4473, 4179, 3708, 2887, 2590, 2526, 2417], rtol=0.15)
    spread = np.mean([image.std(axis=(1, 2)) for image in stacks["RGB"]], axis=0)
    np.testing.assert_allclose(spread, [62, 47, 25], rtol=0.35)


def test_every_class_occurs_and_all_but_rivers_in_every_scene(default_world):
    for scene in default_world:
        assert set(scene.polygons) == {land_class.id for land_class in DSTL_LEGEND}
        present = {number for number, shapes in scene.polygons.items() if len(shapes)}
        assert present >= set(range(1, 11)) - {7}
    with_river = {scene.place for scene in default_world if len(scene.polygons[7])}
    assert with_river == {scene.place for scene in default_world}


def test_class_areas_are_roughly_those_of_dstl(default_world):
    share = {
        number: np.mean([100 * shapely.area(scene.polygons[number]).sum() / (768 * 812) for scene in default_world])
        for number in range(1, 11)
    }
    limits = {
        1: (1.5, 6),
        2: (0.3, 2),
        3: (0.8, 5),
        4: (0.7, 5),
        5: (5, 18),
        6: (18, 45),
        7: (0.3, 4),
        8: (0.1, 1),
        9: (0.003, 0.4),
        10: (0.015, 0.4),
    }
    outside = {n: round(float(share[n]), 3) for n, (low, high) in limits.items() if not low <= share[n] <= high}
    assert outside == {}


def test_polygons_are_valid_plain_and_inside(default_world):
    frame = shapely.box(0, 0, 812, 768)
    for scene in default_world:
        for shapes in scene.polygons.values():
            assert shapes.dtype == object
            assert set(shapely.get_type_id(shapes)) <= {shapely.GeometryType.POLYGON}
            assert shapely.is_valid(shapes).all()
            assert shapely.covers(frame, shapes).all()
            assert (shapely.area(shapes) > 0).all()


def test_classes_overlap_as_crowns_hang_over(default_world):
    over = 0.0
    for scene in default_world:
        trees = shapely.union_all(scene.polygons[5])
        over += trees.intersection(shapely.union_all(scene.polygons[1])).area
    assert over > 0


@pytest.mark.parametrize(("height", "width"), [(128, 131), (149, 397), (509, 128)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_small_and_slender_scenes_work(height, width, seed):
    spec = WorldSpec(scenes=6, height=height, width=width, seed=seed, scenes_per_place=1)
    for index in (0, 2, 5):
        scene = make_scene(spec, index)
        assert scene.images_chw["RGB"].shape == (3, height, width)
        assert len(scene.polygons[3]) > 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("scenes", 0), ("height", 127), ("width", 5), ("seed", -1), ("scenes_per_place", 26), ("max_shift_px", -1.0)],
)
def test_impossible_worlds_are_refused(field, value):
    with pytest.raises(DataError, match=rf"{field} out of range, got {value}"):
        WorldSpec(**{field: value})


@pytest.mark.parametrize("index", [-1, 5])
def test_no_scene_of_that_index(index):
    with pytest.raises(DataError, match=rf"no such scene, got {index}, need 0 to 4"):
        make_scene(SMALL, index)
