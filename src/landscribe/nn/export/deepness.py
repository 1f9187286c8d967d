"""A graph as Deepness, the plugin of QGIS, takes it: one stacked picture in, one class out, a tile of a fixed size.

Deepness multiplies by 1/255 whatever the type, knows no missing pixels, has one threshold for all classes, and takes
the largest of the channels. So the graph begins with 255 times its input, rounded where the imagery has whole numbers;
a sensor's pixel is missing where all its bands are 0; and each class is a graph of its own with one channel, in which
its threshold has become 0.5.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from landscribe.nn.export.graph import FIELD, WHOLE, GraphSpec
from landscribe.nn.export.onnx_file import load_model, to_bytes

TILES = range(256, 1025)
"""Sides of tiles that are looked at."""
MOST_OVERLAP = 80
IMAGE, OUTPUT = "image", "output"
THRESHOLD = 0.5


def why_not(spec: GraphSpec, pixel_m: float | None) -> str | None:
    """Return why Deepness cannot be fed, in a few words; None where it can.

    Args:
        spec: Of the graph.
        pixel_m: Side of a reference pixel in metres.
    """
    coarse = [each.sensor.name for each in spec.inputs if each.step > 1]
    if coarse:
        return f"sensor {coarse[0]!r} enters at a grid of its own, and a stacked picture has one"
    if len({each.sensor.name for each in spec.inputs}) < len(spec.inputs):
        return "a sensor enters twice, laid on the reference grid in two ways"
    if pixel_m is None:
        return "the scenes have no CRS, and Deepness asks for pixels in centimetres"
    if tile_and_overlap(spec.divisor, spec.radius) is None:
        return f"{spec.radius} px around a pixel reach it, more than tiles of {TILES.stop - 1} px can overlap"
    return None


def tile_and_overlap(divisor: int, radius: int) -> tuple[int, int] | None:
    """Return the side of a tile and the overlap in percent that cost the least and give no seam; None if none does.

    The step from tile to tile is a multiple of the divisor, so that each tile stands on the pooling grid of the first.
    """
    found = []
    for tile in TILES:
        least = math.ceil(200 * radius / tile)
        for percent in range(least, MOST_OVERLAP + 1) if tile % divisor == 0 else ():
            overlap = int(tile * percent / 100)
            step = tile - overlap
            if step % divisor == 0 and overlap // 2 >= radius:
                found.append(((tile / step) ** 2, tile, percent))
    if not found:
        return None
    # A tenth more work is little against tiles that are half as large.
    least_work = min(work for work, _, _ in found)
    return min((tile, percent) for work, tile, percent in found if work <= 1.1 * least_work)


def deepness_graph(
    content: bytes, spec: GraphSpec, class_name: str, pixel_m: float, types: Mapping[str, tuple[str, ...]]
) -> bytes:
    """Return the graph of one class for Deepness.

    Args:
        content: The whole graph.
        spec: Of it; `why_not` has nothing against it.
        class_name: The class.
        pixel_m: Side of a reference pixel in metres.
        types: Pixel types that each sensor was trained on.

    Returns:
        The ONNX file, with the metadata that Deepness reads.
    """
    from onnx import TensorProto, helper

    model = load_model(content, "model.onnx")
    graph = model.graph
    size = tile_and_overlap(spec.divisor, spec.radius)
    tile, percent = size if size is not None else (TILES.start, 0)
    bands = sum(len(each.sensor.bands) for each in spec.inputs)
    before, constants = _raw_numbers(spec, types)
    after, more = _one_class(spec, spec.legend.index(class_name))
    nodes = [*before, *graph.node, *after]
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*constants, *more])
    graph.input.append(helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, [1, bands, tile, tile]))
    graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, 1, tile, tile]))
    metadata = {
        "model_type": "Segmentor",
        "class_names": {"0": "background", "1": class_name},
        "resolution": round(100 * pixel_m, 6),
        "tile_size": tile,
        "tiles_size": tile,
        "tiles_overlap": percent,
        "seg_thresh": THRESHOLD,
        "seg_small_segment": 0,
    }
    helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    return to_bytes(model)


def _raw_numbers(spec: GraphSpec, types: Mapping[str, tuple[str, ...]]) -> tuple[list[Any], list[Any]]:
    """Return nodes from the stacked picture to the inputs of the graph, and their constants."""
    from onnx import helper

    nodes = [helper.make_node("Mul", [IMAGE, "deep_whole"], ["deep_raw"])]
    constants = [_number("deep_whole", WHOLE), _number("deep_zero", 0.0), _number("deep_missing", math.nan)]
    start = 0
    constants.append(_whole_numbers("deep_axis", [1]))
    for k, each in enumerate(spec.inputs):
        stop = start + len(each.sensor.bands)
        constants += [_whole_numbers(f"deep_start{k}", [start]), _whole_numbers(f"deep_stop{k}", [stop])]
        names = ["deep_raw", f"deep_start{k}", f"deep_stop{k}", "deep_axis"]
        nodes.append(helper.make_node("Slice", names, [f"deep_own{k}"]))
        value = f"deep_own{k}"
        if all("float" not in kind for kind in types.get(each.sensor.name, ())):
            nodes.append(helper.make_node("Round", [value], [f"deep_round{k}"]))
            value = f"deep_round{k}"
        nodes += [
            helper.make_node("Abs", [value], [f"deep_abs{k}"]),
            helper.make_node("ReduceMax", [f"deep_abs{k}", "deep_axis"], [f"deep_most{k}"], keepdims=1),
            helper.make_node("Greater", [f"deep_most{k}", "deep_zero"], [f"deep_known{k}"]),
            helper.make_node("Where", [f"deep_known{k}", value, "deep_missing"], [each.name]),
        ]
        start = stop
    return nodes, constants


def _one_class(spec: GraphSpec, k: int) -> tuple[list[Any], list[Any]]:
    """Return nodes from what thresholds are compared with to one channel with the threshold at 0.5."""
    from onnx import helper

    threshold = spec.thresholds[k] if spec.exclusive and len(spec.legend) > 1 else spec.levels[k] / WHOLE
    # Whole bytes compare exactly; shares are what they are.
    scale = 1.0 if spec.exclusive and len(spec.legend) > 1 else WHOLE
    level, most = threshold * scale, scale
    above = THRESHOLD / (most - level) if most > level else 0.0
    constants = [
        _whole_numbers("deep_class", [k]),
        _whole_numbers("deep_next", [k + 1]),
        *(_number(name, value) for name, value in (
            ("deep_scale", scale), ("deep_level", level), ("deep_below", THRESHOLD / level), ("deep_above", above),
            ("deep_half", THRESHOLD),
        )),
    ]  # fmt: skip
    nodes = [helper.make_node("Slice", [FIELD, "deep_class", "deep_next", "deep_axis"], ["deep_share"])]
    nodes.append(helper.make_node("Mul", ["deep_share", "deep_scale"], ["deep_scaled"]))
    value = "deep_scaled"
    if scale == WHOLE:
        nodes.append(helper.make_node("Round", [value], ["deep_steps"]))
        value = "deep_steps"
    nodes += [
        helper.make_node("Less", [value, "deep_level"], ["deep_outside"]),
        helper.make_node("Mul", [value, "deep_below"], ["deep_low"]),
        helper.make_node("Sub", [value, "deep_level"], ["deep_over"]),
        helper.make_node("Mul", ["deep_over", "deep_above"], ["deep_more"]),
        helper.make_node("Add", ["deep_more", "deep_half"], ["deep_high"]),
        helper.make_node("Where", ["deep_outside", "deep_low", "deep_high"], [OUTPUT]),
    ]
    return nodes, constants


def _number(name: str, value: float) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor(name, TensorProto.FLOAT, [], [value])


def _whole_numbers(name: str, values: list[int]) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
