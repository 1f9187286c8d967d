"""A model: what it is made of, how it is built, and how it lies on disk (safetensors and JSON, nothing that runs)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from landscribe.core.grid import Window
from landscribe.core.pixel_source import PixelSource
from landscribe.core.recipe import InputTable, ModelTable, NetworkTable
from landscribe.core.seal import seal, unseal
from landscribe.core.sensors import SensorSpec
from landscribe.errors import IntegrityError, LandscribeError, RecipeError, problem
from landscribe.nn.network.stem import BandStatistics, Stem, choose_steps
from landscribe.nn.network.unet import UNet, count_parameters, level_strides

FORMAT, UNSEALED = 2, 1
"""Of descriptions; before the second they had no seal."""
WEIGHTS_NAME, SPEC_NAME = "model.safetensors", "model.json"


@dataclass(frozen=True)
class ModelSpec:
    """Everything that decides the structure of a network and what it is fed with."""

    name: str
    classes: tuple[str, ...]
    sensors: tuple[SensorSpec, ...]
    """Sensors in stack order."""
    scales: dict[str, float]
    """Pixel size of each sensor divided by that of the reference grid."""
    inputs: InputTable
    network: NetworkTable
    context: int
    """Pixels seen around what is predicted; scenes are mirrored by as much at their edges."""


def model_spec(table: ModelTable, classes: tuple[str, ...], scenes: Sequence[PixelSource]) -> ModelSpec:
    """Return the description of a model for the sensors of scenes.

    Pixel sizes are those of the first scene, or for a sensor that it lacks of the first that has it.

    Args:
        table: What the recipe says of the model.
        classes: In the order of outputs.
        scenes: Training scenes, at least one.

    Raises:
        RecipeError: If the model wants a sensor that a scene lacks, or none of them has.
    """
    where, first = f"model {table.name!r}", scenes[0]
    names = table.inputs.sensors or tuple(first.sensors)
    for scene in scenes:
        missing = [name for name in names if name not in scene.sensors]
        if missing:
            do = f"the scene has {', '.join(scene.sensors)}; [data].optional says what a scene may lack"
            raise RecipeError(problem(where, f"sensor {missing[0]!r} is not in scene {scene.id!r}", do=do))
    unknown = sorted(set(table.chips.sensor_dropout) - set(names))
    if unknown:
        raise RecipeError(problem(where, "chips.sensor_dropout names no sensor of its own", got=unknown[0], need=names))
    scales = {}
    for name in names:
        scene = next((s for s in scenes if name not in s.absent), first)
        if name in scene.absent:
            raise RecipeError(problem(where, f"no training scene has sensor {name!r}"))
        scales[name] = float(1 / np.sqrt(abs(scene.grid.pixel_map(scene.grids[name]).determinant)))
    sensors = tuple(first.sensors[name] for name in names)
    return ModelSpec(table.name, classes, sensors, scales, table.inputs, table.network, table.chips.context)


class SegmentationNet(nn.Module):
    """Stem and U-Net: raw numbers in, logits out."""

    def __init__(self, spec: ModelSpec, stem: Stem, unet: UNet, steps: dict[str, int]) -> None:
        super().__init__()
        self.spec = spec
        self.stem = stem
        self.unet = unet
        self.sensor_steps = steps
        """Each sensor arrives on a grid with one pixel per `step` reference pixels."""

    @property
    def divisor(self) -> int:
        """Height and width of an input, in reference pixels, must be multiples of this."""
        return self.unet.divisor

    @property
    def receptive_radius(self) -> int:
        """Distance in reference pixels beyond which no input reaches an output."""
        return self.unet.receptive_radius

    @property
    def cubic_sensors(self) -> frozenset[str]:
        """Sensors laid on the reference grid by a bicubic: those with another grid, if the recipe says so."""
        if self.spec.inputs.resample != "cubic":
            return frozenset()
        return frozenset(name for name, scale in self.spec.scales.items() if scale != 1)

    def forward(self, images: Mapping[str, Tensor], valid: Mapping[str, Tensor], keep: Window | None = None) -> Tensor:
        """Return logits.

        Args:
            images: Raw values of each sensor, float32 (B, C, H / step, W / step).
            valid: Of each sensor, bool (B, 1, H / step, W / step).
            keep: Part of the H x W pixels whose logits are wanted; None keeps all.

        Returns:
            Logits (B, K, keep.height, keep.width) in the order of `spec.classes`.
        """
        logits: Tensor = self.unet(self.stem(images, valid), keep)
        return logits


def build_network(spec: ModelSpec, statistics: Mapping[str, BandStatistics], *, seed: int = 0) -> SegmentationNet:
    """Build a network with random weights.

    Args:
        spec: Its structure.
        statistics: Of each sensor, from the training scenes.
        seed: Of the weights; the same seed gives the same weights and leaves torch's own generator alone.

    Raises:
        RecipeError: If an index lacks a band or the spec contradicts itself.
    """
    missing = [s.name for s in spec.sensors if s.name not in statistics or s.name not in spec.scales]
    if missing or not spec.sensors or not spec.classes:
        raise RecipeError(
            problem(f"model {spec.name!r}", "no classes, no sensors, or a sensor without scale", got=missing)
        )
    scales = {s.name: spec.scales[s.name] for s in spec.sensors}
    steps = choose_steps(scales, level_strides(spec.network), spec.inputs.low)
    stem = Stem(spec.sensors, statistics, steps, spec.inputs.indices, masks=spec.inputs.mask)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet(stem.channels, len(spec.classes), spec.network)
    return channels_last(SegmentationNet(spec, stem, unet, steps))


def channels_last(net: SegmentationNet) -> SegmentationNet:
    """Lay the weights out as convolutions want them, in place."""
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks this form
    return net


def to_files(net: SegmentationNet, extra: Mapping[str, Any] | None = None) -> dict[str, bytes]:
    """Return a model's two files.

    Args:
        net: The network; its statistics are among the weights.
        extra: JSON values to keep beside the structure (history, versions, thresholds).

    Returns:
        `model.safetensors` and `model.json`; the latter has the SHA-256 of the former and a seal on all.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    weights = save_safetensors(tensors)
    spec = asdict(net.spec)
    spec["inputs"], spec["network"] = net.spec.inputs.model_dump(), net.spec.network.model_dump()
    document = {
        "format": FORMAT,
        "spec": spec,
        "parameters": count_parameters(net),
        "sha256": hashlib.sha256(weights).hexdigest(),
        "extra": dict(extra or {}),
    }
    return {WEIGHTS_NAME: weights, SPEC_NAME: seal(document, allow_nan=False).encode("utf-8")}


def from_files(
    files: Mapping[str, bytes], where: str = "model", *, trusted: bool = False
) -> tuple[SegmentationNet, ModelSpec, dict[str, Any]]:
    """Build the network of `to_files` again, in evaluation mode.

    Args:
        files: Name -> content.
        where: Folder that they come from, for errors.
        trusted: Take what somebody has edited, as far as it fits together.

    Raises:
        IntegrityError: If a file is missing, damaged, edited, or not a model of this project.
    """
    name_of = {name: f"{where}/{name}" for name in (WEIGHTS_NAME, SPEC_NAME)}
    for name in (WEIGHTS_NAME, SPEC_NAME):
        if name not in files:
            raise IntegrityError(problem(where, "file missing", got=sorted(files), need=name))
    values = unseal(files[SPEC_NAME], name_of[SPEC_NAME], do="copy it again, or say --trust", trusted=trusted)
    try:
        document = _Document.model_validate_json(json.dumps(values))
    except ValidationError as error:
        what = "not a model description"
        raise IntegrityError(problem(name_of[SPEC_NAME], what, got=str(error)[:200])) from error
    if document.format not in (FORMAT, UNSEALED):
        need, do = FORMAT, "update Landscribe"
        raise IntegrityError(problem(name_of[SPEC_NAME], "format", got=document.format, need=need, do=do))
    digest = hashlib.sha256(files[WEIGHTS_NAME]).hexdigest()
    if digest != document.sha256 and not trusted:
        do = "copy it again, or say --trust"
        raise IntegrityError(problem(name_of[WEIGHTS_NAME], "SHA-256", got=digest, need=document.sha256, do=do))
    spec = document.spec.to_spec()
    unknown = {s.name: BandStatistics(*(np.zeros(len(s.bands), np.float32),) * 4) for s in spec.sensors}
    try:
        _require_weights(spec, unknown, len(files[WEIGHTS_NAME]))
        net = build_network(spec, unknown)
        net.load_state_dict(load_safetensors(files[WEIGHTS_NAME]), strict=True)
    except (SafetensorError, RuntimeError, LandscribeError) as error:
        what = "does not fit its description"
        raise IntegrityError(problem(name_of[WEIGHTS_NAME], what, got=str(error)[:200])) from error
    return net.eval(), spec, document.extra


def _require_weights(spec: ModelSpec, statistics: Mapping[str, BandStatistics], file_bytes: int) -> None:
    """Refuse a description of a few lines that asks for a hundred gigabytes, before any of them is taken."""
    with torch.device("meta"):  # sizes without memory
        values = build_network(spec, statistics).state_dict().values()
    need = sum(value.numel() * value.element_size() for value in values)
    if need > file_bytes:
        raise IntegrityError(problem("weights", "too few", got=f"{file_bytes} bytes", need=need))


class _SensorDocument(BaseModel, frozen=True, extra="forbid"):
    name: str
    kind: str
    bands: tuple[str, ...]
    bits: int


class _SpecDocument(BaseModel, frozen=True, extra="forbid"):
    name: str
    classes: tuple[str, ...]
    sensors: tuple[_SensorDocument, ...]
    scales: dict[str, float]
    inputs: InputTable
    network: NetworkTable
    context: int

    def to_spec(self) -> ModelSpec:
        sensors = tuple(SensorSpec(s.name, s.kind, s.bands, s.bits) for s in self.sensors)
        return ModelSpec(self.name, self.classes, sensors, self.scales, self.inputs, self.network, self.context)


class _Document(BaseModel, frozen=True, extra="forbid"):
    format: int
    spec: _SpecDocument
    parameters: int
    sha256: str
    extra: dict[str, Any]
