"""Writing a module down as ONNX, and reading what is written with ONNX Runtime. The only home of both packages."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch

from landscribe.core.arrays import AnyArray, FloatArray
from landscribe.errors import IntegrityError, RecipeError, first_line, problem
from landscribe.nn.export.graph import FIELD, MASK, PROBABILITY, ProbabilityGraph

OPSET = 18
IR_VERSION = 8
"""What ONNX Runtime up to 1.17 reads, which Deepness asks for; torch writes 10."""
EXTRA = 'pip install "landscribe[onnx]"'
LARGEST_SIDE = 1 << 16
"""In steps of the divisor."""
LEAST_STEPS = 2
"""A graph is for at least so many steps of the divisor on a side: torch fixes sizes of 1."""
DOMAINS = frozenset({"", "ai.onnx"})


def export_graph(module: ProbabilityGraph) -> bytes:
    """Write the graph down: opset 18, any number of windows, any multiple of the divisor from twice of it on.

    Returns:
        The ONNX file, one piece, weights inside.

    Raises:
        RecipeError: If the extra packages are missing, or the graph is larger than a file of one piece may be.
    """
    _package("onnx")
    _package("onnxscript")
    spec = module.spec
    side = spec.divisor * 4
    examples = tuple(
        torch.zeros(2, len(each.sensor.bands), side // each.step, (side + spec.divisor) // each.step)
        for each in spec.inputs
    )
    many = torch.export.Dim("n", min=1, max=LARGEST_SIDE)
    high, wide = (torch.export.Dim(name, min=LEAST_STEPS, max=LARGEST_SIDE) for name in ("high", "wide"))
    shapes = tuple(
        {0: many, 2: _times(spec.divisor // each.step, high), 3: _times(spec.divisor // each.step, wide)}
        for each in spec.inputs
    )
    program: Any = torch.onnx.export(
        module,
        examples,
        dynamo=True,
        opset_version=OPSET,
        input_names=[each.name for each in spec.inputs],
        output_names=[PROBABILITY, MASK, FIELD],
        dynamic_shapes=(shapes,),
        verbose=False,
    )
    try:
        return to_bytes(program.model_proto)
    except ValueError as error:  # a message of protobuf ends at 2 GiB
        raise RecipeError(problem("networks", "too large for one ONNX file", got=str(error)[:100])) from None


def _times(factor: int, size: Any) -> Any:
    return size if factor == 1 else factor * size


def to_bytes(model: Any) -> bytes:
    """Return a model as a file, without what tells of the machine that wrote it."""
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version, model.doc_string = "landscribe", "", ""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        value.doc_string = ""
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def load_model(content: bytes, where: str) -> Any:
    """Read a graph and refuse what could do more than compute.

    Args:
        content: The file.
        where: Its name, for errors.

    Returns:
        The model, as `onnx` has it.

    Raises:
        IntegrityError: If it is damaged, has weights in other files, or operations of others.
    """
    onnx = _package("onnx")
    try:
        model = onnx.load_model_from_string(content)
        onnx.checker.check_model(model)
    except MemoryError:
        raise
    except Exception as error:  # protobuf and the checker have errors of their own, which change with the version
        raise IntegrityError(problem(where, "not an ONNX graph", got=str(error)[:100])) from error
    others = {node.domain for node in model.graph.node} | {own.domain for own in model.opset_import}
    if others - DOMAINS or model.functions or len(model.graph.sparse_initializer):
        got = ", ".join(sorted(others - DOMAINS)) or "functions"
        raise IntegrityError(problem(where, "more than plain ONNX", got=got))
    elsewhere = [w.name for w in model.graph.initializer if w.data_location == onnx.TensorProto.EXTERNAL]
    if elsewhere:
        raise IntegrityError(problem(where, "weights in another file", got=elsewhere[0]))
    return model


class GraphRunner:
    """A graph in ONNX Runtime, on the processor."""

    def __init__(self, content: bytes, where: str) -> None:
        load_model(content, where)
        runtime = _package("onnxruntime")
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except MemoryError:
            raise
        except Exception as error:  # ONNX Runtime has a class for each of its states, and exports none
            got = first_line(error)[:100]
            raise IntegrityError(problem(where, "ONNX Runtime does not take it", got=got)) from error

    def run(self, images: Mapping[str, FloatArray], outputs: Sequence[str]) -> list[AnyArray]:
        """Return some outputs for the pixels of each input."""
        return [np.asarray(value) for value in self._session.run(list(outputs), dict(images))]


def has_runtime() -> bool:
    """Tell whether graphs can be run here: ONNX Runtime, and `onnx` to look at them before."""
    return all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxruntime"))


def _package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise RecipeError(problem("ONNX", f"the package {name} is not installed", do=EXTRA)) from None
