"""The page that a bundle explains itself with."""

from __future__ import annotations

from landscribe import __version__
from landscribe.io.bundle.about import ABOUT, GRAPH, ITEM, MODELS, RECIPE, REPLAY, About
from landscribe.io.bundle.archive import MANIFEST


def readme_text(about: About) -> str:
    """Return the text of `README.md`."""
    inputs = [
        f"- `{row.name}`: float32 (n, {len(row.bands)}, height{_over(row.step)}, width{_over(row.step)}), "
        f"bands {', '.join(row.bands)}, raw numbers as in the imagery"
        for row in about.inputs
    ]
    classes = [f"| {k} | {c.name} | {c.threshold:g} | {c.smallest_byte} |" for k, c in enumerate(about.classes)]
    lines = [
        f"# {about.name}",
        "",
        f"Networks of Landscribe {__version__}: satellite imagery to the probability of each class.",
        "",
        "| file | what |",
        "| --- | --- |",
        f"| `{GRAPH}` | one graph, ONNX opset 18: raw numbers in, probabilities out |",
        f"| `{MODELS}/` | the networks (safetensors, JSON): `landscribe run RECIPE --models BUNDLE.zip` |",
        f"| `{RECIPE}` | the whole recipe, thresholds and class rules in it |",
        f"| `{ABOUT}` | inputs, outputs, thresholds, tiles, for programs |",
        f"| `{ITEM}` | STAC item, Machine Learning Model extension |",
        f"| `{REPLAY}/` | a piece of a scene, and what must come out of it: `landscribe verify BUNDLE.zip` |",
        f"| `{MANIFEST}` | SHA-256 of every file |",
        *([f"| `{file}` | Deepness (QGIS): {name} |" for name, file in about.deepness.files.items()]
          if about.deepness else []),
        "",
        "## The graph",
        "",
        "Inputs, NaN where there are no data:",
        "",
        *inputs,
        "",
        f"Height and width are multiples of {about.divisor}, at least {2 * about.divisor}. Outputs: `probability`,",
        "float32 (n, classes, height, width), 0..1; `mask`, uint8, 1 where polygons are; `field`, float32, what",
        "thresholds are compared with.",
        "",
        f"A scene is mirrored by {about.context} px at its edges, up to a multiple of {about.divisor}.",
        f"Tiles that overlap by {about.radius} px on each side and begin at multiples of {about.divisor} have no seam.",
        *([f"The networks were made for patches of {about.patch} px with {about.context} px around them."]
          if about.patch else []),
        *([f"Within {about.context} px of a scene's edge nothing is predicted of: {', '.join(about.empty_edges)}."]
          if about.empty_edges else []),
        "",
        "| channel | class | threshold | smallest byte of 0..255 |",
        "| --- | --- | --- | --- |",
        *classes,
        "",
        *_sensors(about),
        *_deepness(about),
    ]  # fmt: skip
    return "\n".join(lines).rstrip() + "\n"


def _over(step: int) -> str:
    return f" / {step}" if step > 1 else ""


def _sensors(about: About) -> list[str]:
    if len(about.inputs) == 1 and about.inputs[0].step == 1 and about.inputs[0].sensor == about.reference:
        return []
    return [
        "## Several sensors",
        "",
        f"All inputs lie on the grid of `{about.reference}`. A sensor with a grid of its own is laid on it before:",
        *(f"`{row.name}` by {'a bicubic' if row.resample == 'cubic' else 'a bilinear'} mix of its pixels around the "
          f"centre of {'each pixel' if row.step == 1 else f'each square of {row.step} x {row.step} pixels'}."
          for row in about.inputs),
        "",
    ]  # fmt: skip


def _deepness(about: About) -> list[str]:
    if about.deepness is None:
        return ["## Deepness", "", f"There is no file for Deepness: {about.without_deepness}."]
    order = ", ".join(f"{row.sensor} {band}" for row in about.inputs for band in row.bands)
    return [
        "## Deepness",
        "",
        f"Each file holds one class with its threshold at 0.5, for tiles of {about.deepness.tile} px with "
        f"{about.deepness.overlap_percent} % overlap.",
        f"The layer has these bands in this order: {order}. A pixel that is 0 in all bands of a sensor counts as",
        "missing. At the edges of a layer Deepness sees nothing where Landscribe mirrors the scene.",
    ]
