"""Bundles for tests, and Deepness' way over a layer, written anew from what its source (0.6.5 and later) does."""

from __future__ import annotations

import importlib.util
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray
from landscribe.core.seal import seal, unseal

EXPORTER_SAYS = (
    "ignore::FutureWarning",
    "ignore::DeprecationWarning",
    "ignore:# The axis name:UserWarning",
)
"""Filters of what torch's exporter says of its own code."""


def has_onnx() -> bool:
    """Tell whether the extra is installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxscript", "onnxruntime"))


def members_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def forge(members: dict[str, bytes], **changed: bytes) -> dict[str, bytes]:
    """Members with other contents and a manifest that fits them, as a stranger would make one."""
    from hashlib import sha256

    forged = {**members, **{name.replace("__", "/").replace("_dot_", "."): c for name, c in changed.items()}}
    manifest = unseal(forged.pop("manifest.json"), "m", do="")
    manifest["members"] = {
        name: {"sha256": sha256(content).hexdigest(), "bytes": len(content)} for name, content in forged.items()
    }
    return {"manifest.json": seal(manifest).encode(), **forged}


def deepness_mask(model: Path, layer_hwc: AnyArray) -> BoolArray:
    """Return where Deepness finds the class of a model on a whole layer, (H, W).

    The layer is gone over in tiles from its left and, where tiles do not fit, from above its top; beyond it there are
    zeros. The middle of each tile is kept, at the edges of the whole its outer part too.
    """
    import cv2
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    told = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    (given,), (out,) = session.get_inputs(), session.get_outputs()
    _check(given, out, told)
    tile = int(told["tile_size"])
    overlap = int(tile * told["tiles_overlap"] / 100 * 2) // 2
    stride, half = tile - overlap, overlap // 2
    height, width, _ = layer_hwc.shape
    more_y, more_x = (_missing(size, tile, stride) for size in (height, width))
    whole_hwc = np.pad(layer_hwc, ((more_y, 0), (0, more_x), (0, 0)))
    found_hw = np.zeros(whole_hwc.shape[:2], np.uint8)
    rows, cols = (round((size - tile) / stride) + 1 for size in found_hw.shape)
    for i in range(rows):
        for j in range(cols):
            top, left = i * stride, j * stride
            piece = whole_hwc[top : top + tile, left : left + tile]
            batch = np.float32(piece[None, :, :, : given.shape[-3]] * 1.0 / 255.0)
            (result,) = session.run(None, {given.name: np.transpose(batch, (0, 3, 1, 2))})
            result[result < told["seg_thresh"]] = 0
            inside = (result != 0).astype(np.uint8)[0, 0]
            first_y, last_y = (0 if i == 0 else half), (tile if i == rows - 1 else tile - half)
            first_x, last_x = (0 if j == 0 else half), (tile if j == cols - 1 else tile - half)
            found_hw[top + first_y : top + last_y, left + first_x : left + last_x] = inside[
                first_y:last_y, first_x:last_x
            ]
    found_hw = cv2.medianBlur(found_hw, int(told["seg_small_segment"] // 2) * 2 + 1)
    return found_hw[more_y:, :width].astype(np.bool_)


def _missing(size: int, tile: int, stride: int) -> int:
    return tile - size if size <= tile else (stride - (size - tile) % stride) % stride


def _check(given: Any, out: Any, told: dict[str, Any]) -> None:
    """What the plugin itself asks of a model."""
    assert told["model_type"].capitalize() == "Segmentor"
    assert len(given.shape) == len(out.shape) == 4
    assert all(isinstance(size, int) for size in (*given.shape, *out.shape))
    assert given.shape[-1] == given.shape[-2] == told["tile_size"]
    assert out.shape == [1, 1, *given.shape[-2:]]
    assert [int(key) for key in told["class_names"]] == [0, 1]
