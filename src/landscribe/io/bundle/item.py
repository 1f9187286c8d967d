"""The STAC item of a bundle, by the Machine Learning Model extension 1.5, so that catalogues can find the models."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from landscribe.io.bundle.about import GRAPH, About

STAC_VERSION = "1.1.0"
EXTENSION = "https://stac-extensions.github.io/mlm/v1.5.0/schema.json"
TASK = "semantic-segmentation"
DIMENSIONS = ["batch", "channel", "height", "width"]
ONNX_TYPE = "application/octet-stream; framework=onnx"


def item_text(
    about: About,
    *,
    architecture: str,
    parameters: int,
    written: str,
    outlines: Sequence[Sequence[tuple[float, float]]],
    others: Mapping[str, str],
) -> str:
    """Return the item as JSON.

    Args:
        about: What the bundle says of itself.
        architecture: What networks it holds, in a few words.
        parameters: Trained numbers of all of them.
        written: When they were trained, ISO 8601 in UTC: scenes say no dates of their own.
        outlines: Corners of the training scenes in longitude and latitude; none where they lie nowhere.
        others: Further files that whoever runs the model wants -> what they are.
    """
    rings = [[list(corner) for corner in (*outline, outline[0])] for outline in outlines if len(outline) >= 3]
    points = [corner for ring in rings for corner in ring]
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [EXTENSION],
        "id": slug(about.name),
        "geometry": {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]} if rings else None,
    }
    if points:
        lon, lat = [p[0] for p in points], [p[1] for p in points]
        item["bbox"] = [min(lon), min(lat), max(lon), max(lat)]
    item["properties"] = {
        "datetime": written,
        "description": "Satellite imagery to the probability of each class; the date is that of training.",
        "mlm:name": slug(about.name),
        "mlm:architecture": architecture,
        "mlm:framework": "ONNX",
        "mlm:tasks": [TASK],
        "mlm:pretrained": True,
        "mlm:pretrained_source": None,
        "mlm:total_parameters": parameters,
        "mlm:input": [
            {
                "name": row.name,
                "bands": [{"name": band} for band in row.bands],
                "input": {"shape": [-1, len(row.bands), -1, -1], "dim_order": DIMENSIONS, "data_type": "float32"},
                "resize_type": None,
                "pre_processing_function": None,
            }
            for row in about.inputs
        ],
        "mlm:output": [_output("probability", "float32", about), _output("mask", "uint8", about)],
    }
    bands = list(dict.fromkeys(band for row in about.inputs for band in row.bands))
    model = {
        "href": f"./{GRAPH}",
        "type": ONNX_TYPE,
        "title": "Raw numbers to probabilities, one graph",
        "roles": ["mlm:model"],
        "mlm:artifact_type": "onnx",
        "bands": [{"name": band} for band in bands],
    }
    assets = {slug(name): {"href": f"./{name}", "title": title, "roles": ["data"]} for name, title in others.items()}
    return json.dumps({**item, "links": [], "assets": {"model": model, **assets}}, indent=1, ensure_ascii=False) + "\n"


def _output(name: str, kind: str, about: About) -> dict[str, Any]:
    count = len(about.classes)
    return {
        "name": name,
        "tasks": [TASK],
        "result": {"shape": [-1, count, -1, -1], "dim_order": DIMENSIONS, "data_type": kind},
        "classification:classes": [
            {"value": k, "name": slug(c.name), "description": c.name, "color_hint": c.colour.removeprefix("#")}
            for k, c in enumerate(about.classes)
        ],
        "post_processing_function": None,
    }


def slug(text: str) -> str:
    """Return a name of letters, digits, `-` and `_`, as catalogues want it."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_") or "model"
    return plain if plain[0].isalpha() and len(plain) > 2 else f"model-{plain}"
