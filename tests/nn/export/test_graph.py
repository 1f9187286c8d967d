"""The graph computes what `predict` computes, for every shape of network, scene and recipe that it is made for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from affine import Affine

from landscribe.core.arrays import AnyArray, FloatArray
from landscribe.core.recipe import DataTable, InputTable, NetworkTable, PredictTable, Recipe, VectorizeTable
from landscribe.core.sensors import SensorSpec
from landscribe.errors import IntegrityError, RecipeError
from landscribe.io.settings import load_recipe
from landscribe.nn.export.graph import FIELD, MASK, PROBABILITY, GraphSpec, ProbabilityGraph, plan_graph
from landscribe.nn.export.replay import compare, predict_by_graph, predict_by_torch
from landscribe.nn.network.bundle import ModelSpec, SegmentationNet, build_network
from landscribe.nn.network.layouts import Layout
from landscribe.nn.network.stem import BandStatistics
from landscribe.nn.scene import SceneArrays
from portable import EXPORTER_SAYS, has_onnx
from scenes import make_arrays

RGB = SensorSpec("RGB", "worldview3-rgb", ("red", "green", "blue"), 11)
M = SensorSpec("M", "worldview3-m", ("coastal", "blue", "green", "yellow", "red", "red_edge", "nir1", "nir2"), 11)
P = SensorSpec("P", "worldview3-p", ("pan",), 11)
H, W = 53, 61


@dataclass(frozen=True)
class Case:
    """Networks and how they predict."""

    tables: Sequence[NetworkTable]
    inputs: InputTable = field(default_factory=InputTable)
    predict: PredictTable = field(default_factory=PredictTable)
    classes: Sequence[tuple[str, ...]] = (("house", "road"),)
    vectorize: VectorizeTable = field(
        default_factory=lambda: VectorizeTable.model_validate({"threshold": {"default": 0.5}})
    )
    two_sensors: bool = False
    three_sensors: bool = False
    context: int = 8


SMALL = NetworkTable(filters=3, depth=3)
CASES = {
    "double": Case((SMALL,)),
    "residual": Case((NetworkTable(filters=3, depth=3, block="residual", up="transposed", activation="elu"),)),
    "learned way down": Case((NetworkTable(filters=3, depth=3, down="convolution", block="triple"),)),
    "no batch norm": Case((NetworkTable(filters=3, depth=2, batch_norm=False, activation="leaky_relu"),)),
    "inception": Case((NetworkTable(filters=8, depth=2, block="inception2", first_pool=4, activation="gelu"),)),
    "dense blocks": Case((NetworkTable(filters=4, depth=2, block="dense", activation="silu"),)),
    "segnet": Case((NetworkTable(family="segnet", filters=2),)),
    "densenet": Case((NetworkTable(family="densenet", filters=2),)),
    "lite encoder": Case((NetworkTable(encoder="efficientnet-lite0", filters=4, block="single"),),
                         InputTable(low="branch"), PredictTable(symmetries=1), two_sensors=True),
    "group norm": Case((NetworkTable(filters=4, depth=2, norm="group"),), predict=PredictTable(symmetries=1)),
    "residual encoder": Case((NetworkTable(encoder="resnet18", weights="none", filters=4),),
                             predict=PredictTable(symmetries=1)),
    "small unet": Case((NetworkTable(family="small-unet", filters=4, activation="selu"),)),
    "old": Case((NetworkTable(family="old", filters=2),)),
    "mini": Case((NetworkTable(family="mini", filters=8),)),
    "eight views": Case((SMALL,), predict=PredictTable(symmetries=8)),
    "four mirrors": Case((SMALL,), predict=PredictTable(symmetries=4, views="mirrors")),
    "views by class": Case((SMALL,), predict=PredictTable(symmetries=1, class_symmetries={"road": 4})),
    "geometric": Case((SMALL, SMALL), classes=(("house", "road"),) * 2,
                      predict=PredictTable(combine="geometric", symmetries=4)),
    "two networks": Case((SMALL, NetworkTable(filters=2, depth=3)), classes=(("house", "road"), ("road",)),
                         predict=PredictTable(symmetries=4, ensemble=True, weights={"net1": 3.0})),
    "two sensors": Case((SMALL,), InputTable(indices=("ndvi",), mask=True), two_sensors=True),
    "branch": Case((SMALL,), InputTable(low="branch", indices=("ndvi",), mask=True), two_sensors=True),
    "cubic": Case((SMALL,), InputTable(resample="cubic"), two_sensors=True),
    "one band": Case((SMALL,), InputTable(low="branch"), three_sensors=True, two_sensors=True),
    "empty edges": Case((SMALL,), predict=PredictTable(symmetries=1, empty_edges=("road",))),
    "patches": Case((SMALL,), predict=PredictTable(symmetries=1, patch=16)),
    "patches that overlap": Case((SMALL,), predict=PredictTable(symmetries=4, patch=16, step=8, combine="geometric")),
    "patches for two depths": Case((SMALL, NetworkTable(filters=2, depth=4)), classes=(("house",), ("road",)),
                                   predict=PredictTable(symmetries=4, patch=16, step=8)),
    "patches within": Case((SMALL,), predict=PredictTable(symmetries=1, patch=16, edges="empty")),
}  # fmt: skip


def make_case(case: Case, seed: int = 3) -> tuple[list[SegmentationNet], GraphSpec, SceneArrays]:
    """Networks with random weights and running statistics, their plan, and a scene with holes."""
    rng = np.random.default_rng(seed)
    sensors = (RGB, M)[: 1 + case.two_sensors] + ((P,) if case.three_sensors else ())
    scale = {"RGB": 1.0, "M": 4.0, "P": 1.0}
    nets = []
    for number, (table, classes) in enumerate(zip(case.tables, case.classes, strict=True)):
        statistics = {s.name: BandStatistics(*(np.full(len(s.bands), v, np.float32) for v in (20, 1900, 700, 300)))
                      for s in sensors}  # fmt: skip
        spec = ModelSpec(f"net{number}", classes, sensors, {s.name: scale[s.name] for s in sensors},
                         case.inputs, table, case.context)  # fmt: skip
        net = build_network(spec, statistics, seed=number)
        with torch.no_grad():
            for module in net.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.running_mean.copy_(torch.from_numpy(rng.normal(0, 0.3, module.num_features)))
                    module.running_var.copy_(torch.from_numpy(rng.uniform(0.3, 2, module.num_features)))
        nets.append(net.eval())
    recipe = Recipe(data=DataTable(root="."), predict=case.predict, vectorize=case.vectorize)
    rows = [net.spec.name for net in nets] if case.predict.ensemble else ["net"] * len(nets)
    plan = plan_graph(nets, rows, ("house", "road"), recipe, "RGB")
    images = {"RGB": rng.integers(0, 2047, (3, H, W)).astype(np.uint16)}
    valid = {"RGB": rng.random((H, W)) > 0.02}
    valid["RGB"][7:13, 40:] = False
    maps = {}
    if case.two_sensors:
        images["M"] = rng.integers(0, 2047, (8, 14, 16)).astype(np.uint16)
        valid["M"] = rng.random((14, 16)) > 0.05
        images["P"] = rng.integers(0, 2047, (1, H, W)).astype(np.uint16)
        maps["M"] = Affine.translation(0.3, -0.2) @ Affine.scale(0.25)
    return nets, plan, make_arrays(images, maps=maps, valid=valid, sensors=sensors)


@dataclass(frozen=True)
class InTorch:
    """The module itself, called as a graph is."""

    module: ProbabilityGraph

    def run(self, images: Mapping[str, FloatArray], outputs: Sequence[str]) -> list[AnyArray]:
        with torch.inference_mode():
            found = self.module(*(torch.from_numpy(images[each.name]) for each in self.module.spec.inputs))
        return [dict(zip((PROBABILITY, MASK, FIELD), found, strict=True))[name].numpy() for name in outputs]


@pytest.mark.parametrize("name", CASES)
def test_a_graph_over_a_scene_gives_what_predict_gives(name: str) -> None:
    nets, plan, scene = make_case(CASES[name])
    expected = predict_by_torch(nets, plan, scene)
    found = predict_by_graph(InTorch(ProbabilityGraph(nets, plan)), plan, scene)
    assert expected.std() > 0.005
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert not found[:, ~scene.valid_hw["RGB"]].any()
    if CASES[name].predict.empty_edges:
        assert not found[1, : plan.context].any()
        assert found[0, : plan.context].any()


@pytest.mark.parametrize("name", ["dstl-lopuhin", "dstl-ternaus"])
def test_networks_of_the_reference_methods_are_said_whole(name: str) -> None:
    recipe = load_recipe(name).recipe
    tables = {repr(t.network): t.network for t in recipe.models if t.kind == "network"}
    for table in tables.values():
        case = Case((table,), InputTable(resample="cubic"), recipe.predict.model_copy(update={"symmetries": 1}),
                    context=16, two_sensors=True)  # fmt: skip
        nets, plan, _ = make_case(case)
        side = (recipe.predict.patch or 0) + 2 * 16
        rng = np.random.default_rng(7)
        images = {
            e.name: rng.integers(0, 2047, (1, len(e.sensor.bands), side, side)).astype(np.float32) for e in plan.inputs
        }
        (found,) = InTorch(ProbabilityGraph(nets, plan)).run(images, [PROBABILITY])
        given = {n: torch.from_numpy(image) for n, image in images.items()}
        valid = {n: torch.ones(1, 1, side, side, dtype=torch.bool) for n in images}
        with torch.inference_mode():
            wanted = torch.sigmoid(nets[0](given, valid)).numpy()
        np.testing.assert_allclose(found, wanted, atol=1e-4)  # a step of 255 is 4e-3


def test_tiles_of_a_graph_have_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    nets, plan, scene = make_case(CASES["double"])
    runner = InTorch(ProbabilityGraph(nets, plan))
    whole = predict_by_graph(runner, plan, scene)
    monkeypatch.setattr("landscribe.nn.export.replay.GRAPH_TILE_PX", 13)
    np.testing.assert_allclose(predict_by_graph(runner, plan, scene), whole, atol=2e-6)


def test_the_mask_is_where_the_byte_is_at_or_above_the_threshold() -> None:
    table = VectorizeTable.model_validate({"threshold": {"default": 0.5, "road": 0.47}})
    nets, plan, scene = make_case(Case((SMALL,), predict=PredictTable(symmetries=1), vectorize=table))
    image = torch.from_numpy(scene.images_chw["RGB"][None, :, :48, :56].astype(np.float32))
    p, mask, share = ProbabilityGraph(nets, plan)(image)
    steps = np.rint(p.numpy() * np.float32(255))
    assert plan.levels == (128, 120)
    assert 0.01 < mask.float().mean() < 0.99
    np.testing.assert_array_equal(mask.numpy(), steps >= np.array([128, 120])[None, :, None, None])
    np.testing.assert_allclose(share.numpy(), steps / 255, atol=1e-7)


def test_a_pixel_without_data_is_zero_and_says_nothing_of_others() -> None:
    nets, plan, scene = make_case(CASES["double"])
    graph = ProbabilityGraph(nets, plan)
    image = torch.from_numpy(scene.images_chw["RGB"][None, :, :48, :56].astype(np.float32))
    image[:, 1, 20:27, 30:41] = float("nan")  # one band is enough
    image[:, 2, 3, 4] = float("inf")
    p, mask, _ = graph(image)
    assert torch.isfinite(p).all()
    assert not p[:, :, 20:27, 30:41].any()
    assert not mask[:, :, 20:27, 30:41].any()
    assert not p[:, :, 3, 4].any()
    image[:, [0, 2], 20:27, 30:41] = float("nan")
    assert torch.equal(graph(image)[0], p)
    assert (p > 0).float().mean() > 0.9


@pytest.mark.parametrize("shared", [False, True])
def test_classes_that_exclude_each_other_are_compared_with_the_best_other(shared: bool) -> None:
    from landscribe.core.owners import against_the_best_other

    table = VectorizeTable(exclusive=True, shared_borders=shared)
    nets, plan, scene = make_case(Case((SMALL,), predict=PredictTable(symmetries=1), vectorize=table))
    image = torch.from_numpy(scene.images_chw["RGB"][None, :, :48, :56].astype(np.float32))
    p, mask, share = (part.numpy()[0] for part in ProbabilityGraph(nets, plan)(image))
    wanted = against_the_best_other(np.rint(p * np.float32(255)).astype(np.uint8))
    np.testing.assert_allclose(share, wanted, atol=1e-6)
    assert (mask.sum(axis=0) <= 1).all() if shared else (mask == (share >= 0.5)).all()
    assert (mask.sum(axis=0) >= 1).all()


def test_a_class_that_no_network_knows_is_zero() -> None:
    nets, plan, scene = make_case(Case((SMALL,), classes=(("road",),)))
    found = predict_by_graph(InTorch(ProbabilityGraph(nets, plan)), plan, scene)
    assert not found[0].any()
    assert found[1].any()


def recipe_with(**predict: object) -> Recipe:
    return Recipe(data=DataTable(root="."), predict=PredictTable(**predict))  # type: ignore[arg-type]


def test_what_one_graph_cannot_say_is_refused_in_one_line() -> None:
    nets, _, _ = make_case(CASES["double"])
    with pytest.raises(RecipeError, match="takes its ranges from each scene; a graph has none"):
        plan_graph(nets, ["net"], ("house", "road"), recipe_with(precision="int8"), "RGB")
    others, _, _ = make_case(Case((NetworkTable(filters=3, depth=2),)))
    with pytest.raises(RecipeError, match="8 px in steps of 2 px and 8 px in steps of 4 px"):
        plan_graph([*nets, *others], ["net", "net"], ("house", "road"), recipe_with(), "RGB")
    strange = SensorSpec("RGB", "worldview3-rgb", ("blue", "green", "red"), 11)
    spec = ModelSpec("net", ("house",), (strange,), {"RGB": 1.0}, InputTable(), SMALL, 8)
    known = {"RGB": BandStatistics(*(np.ones(3, np.float32),) * 4)}
    with pytest.raises(RecipeError, match="read sensor 'RGB' in two ways"):
        plan_graph([*nets, build_network(spec, known)], ["net", "net"], ("house", "road"), recipe_with(), "RGB")


def test_noise_is_told_from_difference() -> None:
    expected = np.array([[[0, 3, 100, 255]]], np.uint8)
    noise = np.array([[[0.515, 3.49, 100.5001, 254.49]]]) / 255
    found, fine = compare(noise.astype(np.float32), expected)
    assert (found == expected).all()
    assert (fine.other, fine.most_steps) == (0, 0)
    found, one = compare(np.float32([[[0, 3.6, 100, 255]]]) / np.float32(255), expected)
    assert found.ravel().tolist() == [0, 4, 100, 255]
    assert one.fine
    assert str(one) == "1 of 4 probabilities differ, by 1 step of 255 at most"
    _, two = compare(np.float32([[[0, 3, 98, 255]]]) / np.float32(255), expected)
    assert not two.fine


needs_onnx = pytest.mark.skipif(not has_onnx(), reason="the extra landscribe[onnx] is not installed")


FLAT = NetworkTable(filters=3, depth=2, block="single")
"""What stands before and behind a network, and how often it is called, does not ask how deep it is."""
AROUND = {"branch": 1, "two networks": 1, "geometric": 4, "eight views": 8, "patches": 1, "cubic": 1, "one band": 1}
"""Views of cases that are about that."""
WITHIN = ("double", "residual", "densenet", "inception", "lite encoder")
"""Cases that are about networks: one view, and one or two of each of their blocks."""


@needs_onnx
@pytest.mark.slow
@pytest.mark.filterwarnings(*EXPORTER_SAYS)
@pytest.mark.parametrize("name", [*WITHIN, *AROUND])
def test_onnx_runtime_gives_what_torch_gives(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from landscribe.nn.export.onnx_file import GraphRunner, export_graph
    from landscribe.nn.network import encoders, layouts

    # Exporting takes as long as there are layers.
    few = encoders._efficientnet(encoders._stages(encoders.WIDTHS, (1, 2, 1, 1, 1, 1, 1)))
    monkeypatch.setitem(encoders.PLANS, "efficientnet-lite0", few)
    dense = layouts._densenet
    monkeypatch.setitem(layouts.LAYOUTS, "densenet", lambda table: shorter(dense(table)))
    case = replace(CASES[name], predict=CASES[name].predict.model_copy(update={"symmetries": AROUND.get(name, 1)}))
    if name in AROUND:
        case = replace(case, tables=[FLAT.model_copy(update={"filters": table.filters}) for table in case.tables])
    nets, plan, scene = make_case(case)
    content = export_graph(ProbabilityGraph(nets, plan))
    found = predict_by_graph(GraphRunner(content, "g"), plan, scene)
    np.testing.assert_allclose(found, predict_by_torch(nets, plan, scene), atol=3e-6)
    assert b"/tmp" not in content
    assert b"site-packages" not in content


def shorter(layout: Layout) -> Layout:
    """The same levels, with a stack of two layers on each of them."""
    down, up = (
        tuple(replace(stack, widths=stack.widths[:2]) for stack in side) for side in (layout.encoder, layout.decoder)
    )
    return replace(layout, encoder=down, decoder=up)


@needs_onnx
def test_a_graph_that_could_do_more_than_compute_is_not_run() -> None:
    from onnx import TensorProto, helper

    from landscribe.nn.export.onnx_file import load_model

    def graph(domain: str = "", external: bool = False) -> bytes:
        value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
        out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
        weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [2.0])
        if external:
            weight.ClearField("float_data")
            weight.data_location = TensorProto.EXTERNAL
            weight.external_data.add(key="location", value="../../etc/passwd")
        node = helper.make_node("Mul" if not domain else "Run", ["x", "w"], ["y"], domain=domain)
        made = helper.make_graph([node], "g", [value], [out], [weight])
        opsets = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
        return helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString()

    assert load_model(graph(), "g").graph.node[0].op_type == "Mul"
    with pytest.raises(IntegrityError, match=r"g: more than plain ONNX, got com\.stranger"):
        load_model(graph("com.stranger"), "g")
    with pytest.raises(IntegrityError, match="g: "):
        load_model(graph(external=True), "g")
    with pytest.raises(IntegrityError, match="g: not an ONNX graph"):
        load_model(b"\x08\x07 nothing", "g")
