"""A graph as Deepness takes it finds the pixels that polygons are made of, tile by tile, without a seam."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_graph import RGB, Case, make_case

from landscribe.core.recipe import InputTable, NetworkTable, PredictTable, VectorizeTable
from landscribe.nn.export.deepness import deepness_graph, tile_and_overlap, why_not
from landscribe.nn.export.graph import ProbabilityGraph
from landscribe.nn.export.replay import predict_by_torch
from portable import EXPORTER_SAYS, deepness_mask, has_onnx
from scenes import make_arrays

needs_onnx = pytest.mark.skipif(not has_onnx(), reason="the extra landscribe[onnx] is not installed")
SMALL = NetworkTable(filters=3, depth=3)


@pytest.mark.parametrize(("divisor", "radius"), [(1, 3), (2, 9), (4, 23), (16, 107), (32, 151), (64, 100), (3, 7)])
def test_tiles_overlap_by_what_reaches_a_pixel_and_stand_on_the_pooling_grid(divisor: int, radius: int) -> None:
    size = tile_and_overlap(divisor, radius)
    assert size is not None
    tile, percent = size
    overlap = int(tile * percent / 100 * 2) // 2  # as the plugin reckons
    assert tile % divisor == 0
    assert (tile - overlap) % divisor == 0
    assert overlap // 2 >= radius
    assert (tile / (tile - overlap)) ** 2 < 3.2


def test_what_cannot_be_fed_is_said() -> None:
    assert tile_and_overlap(16, 900) is None
    _, plan, _ = make_case(Case((SMALL,)))
    assert why_not(plan, 0.5) is None
    assert "no CRS" in str(why_not(plan, None))
    _, branch, _ = make_case(Case((SMALL,), InputTable(low="branch"), two_sensors=True))
    assert "sensor 'M' enters at a grid of its own" in str(why_not(branch, 0.5))


@needs_onnx
@pytest.mark.slow
@pytest.mark.filterwarnings(*EXPORTER_SAYS)
@pytest.mark.parametrize("exclusive", [False, True])
def test_a_layer_of_many_tiles_has_our_pixels(exclusive: bool, tmp_path: Path) -> None:
    import onnx

    from landscribe.nn.export.onnx_file import export_graph

    table = VectorizeTable(exclusive=exclusive)
    nets, plan, _ = make_case(Case((SMALL,), predict=PredictTable(symmetries=1), vectorize=table))
    rng = np.random.default_rng(5)
    height, width = 176 * plan.divisor, 701
    slow_hw = np.kron(rng.uniform(0, 1500, (height // 16, width // 16 + 1)), np.ones((16, 16)))[:height, :width]
    image_chw = (slow_hw + rng.uniform(1, 400, (3, height, width))).astype(np.uint16)
    image_chw[:, 301:345, 400:] = 0
    valid_hw = (image_chw != 0).any(axis=0)
    scene = make_arrays({"RGB": image_chw}, valid={"RGB": valid_hw}, sensors=(RGB,))
    bytes_khw = np.rint(predict_by_torch(nets, plan, scene) * np.float32(255)).astype(np.uint8)
    share_khw = bytes_khw / np.float32(255)
    if exclusive:
        share_khw = share_khw / np.maximum(share_khw.sum(axis=0), np.float32(1e-9))
    plan = replace(plan, thresholds=tuple(float(np.quantile(share_hw[valid_hw], 0.6)) for share_hw in share_khw))
    content = export_graph(ProbabilityGraph(nets, plan))
    inner = np.s_[plan.radius : -plan.radius, plan.radius : -plan.radius]
    for k, name in enumerate(plan.legend):
        file = tmp_path / f"{name}.onnx"
        file.write_bytes(deepness_graph(content, plan, name, 0.31, {"RGB": ("uint16",)}))
        model = onnx.load(file)
        assert model.ir_version == 8
        told = {row.key: json.loads(row.value) for row in model.metadata_props}
        assert told["class_names"] == {"0": "background", "1": name}
        assert told["resolution"] == 31.0
        assert told["tile_size"] < min(height, width)  # several tiles
        found_hw = deepness_mask(file, np.moveaxis(image_chw, 0, -1))
        wanted_hw = share_khw[k] >= np.float32(plan.thresholds[k]) if exclusive else bytes_khw[k] >= plan.levels[k]
        assert 0.02 < wanted_hw.mean() < 0.98
        differ = int((found_hw[inner] != wanted_hw[inner]).sum())
        # Sums in another order may put one or two of half a million on the other side of the threshold.
        assert differ <= 3, differ
        assert not found_hw[310:340, 420:-20].any()
