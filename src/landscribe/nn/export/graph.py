"""All that prediction does with the pixels of a window, as one module that can be written down as a graph.

Raw numbers go in, NaN where there are no data; probabilities come out, and which pixels are at or above the thresholds.
Inside are the stem, the views, the networks and the mean over all of them. Outside stay reading, laying a sensor on the
reference grid, and going over a scene in windows.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from landscribe.core.grid import Window
from landscribe.core.owners import Owners, find_owners
from landscribe.core.recipe import PredictTable, Recipe
from landscribe.core.sensors import SensorSpec
from landscribe.core.tracing import smallest_byte
from landscribe.errors import RecipeError, problem
from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.network.unet import fold_batch_norm
from landscribe.nn.predict.reading import reaching_window
from landscribe.nn.predict.tiles import VIEWS

PROBABILITY, MASK, FIELD = "probability", "mask", "field"
"""Names of the outputs; the last one is what thresholds are compared with, 0..1."""
LARGEST = float(torch.finfo(torch.float32).max)
WHOLE = 255.0
SAME_SCALE = 1e-6
"""Pixels of two sensors are of one size where nothing but rounding tells them apart."""


@dataclass(frozen=True)
class GraphInput:
    """Pixels of one sensor, float32 (B, C, H / step, W / step), NaN where there are no data."""

    name: str
    sensor: SensorSpec
    step: int
    """Reference pixels on a side that are one of its pixels."""
    cubic: bool
    """Laid on the reference grid by a bicubic, not by a bilinear."""
    scale: float
    """Size of the sensor's own pixels in those of the reference."""


@dataclass(frozen=True)
class GraphSpec:
    """What goes into a graph, what comes out, and how a scene is gone over with it."""

    legend: tuple[str, ...]
    """Classes in the order of channels."""
    inputs: tuple[GraphInput, ...]
    members: tuple[tuple[str, ...], ...]
    """Of each network, the input of each of its sensors."""
    owners: tuple[Owners, ...]
    """Of each class; none for one that no network knows."""
    reference: str | None
    """The input whose missing pixels are 0 in all classes; None where no network looks at the reference sensor."""
    predict: PredictTable
    thresholds: tuple[float, ...]
    exclusive: bool
    shared_borders: bool
    divisor: int
    """Height and width in reference pixels are multiples of this."""
    context: int
    """Pixels by which a scene is mirrored at its edges."""
    radius: int
    """Pixels around one that reach it."""

    @property
    def levels(self) -> tuple[int, ...]:
        """The smallest byte of each class that is at or above its threshold."""
        return tuple(smallest_byte(threshold) for threshold in self.thresholds)

    def seen(self, tile: Window, shape_hw: tuple[int, int]) -> Window:
        """Return what of a mirrored scene the graph has to see for a tile that begins on the pooling grid."""
        return reaching_window(tile, shape_hw, self.divisor, self.context, self.radius)


def plan_graph(
    nets: Sequence[SegmentationNet], rows: Sequence[str], legend: Sequence[str], recipe: Recipe, reference: str
) -> GraphSpec:
    """Return what the graph of some networks is like.

    Args:
        nets: At least one.
        rows: Row of `[[models]]` of each.
        legend: Classes of the run.
        recipe: As it is carried out: what was tuned is in it.
        reference: Name of the reference sensor.

    Raises:
        RecipeError: If it cannot be said in one graph, with the reason.
    """
    predict, table = recipe.predict, recipe.vectorize
    if predict.precision == "int8":
        do = "--set predict.precision=float32"
        raise RecipeError(
            problem("predict.precision = 'int8'", "takes its ranges from each scene; a graph has none", do=do)
        )
    if predict.adapt != "none":
        what, do = "takes statistics from each place; a graph has none", "--set predict.adapt=none"
        raise RecipeError(problem(f"predict.adapt = {predict.adapt!r}", what, do=do))
    divisor, context = _frame(nets, predict)
    owners = find_owners(legend, [(row, net.spec.classes) for row, net in zip(rows, nets, strict=True)], predict)
    inputs: dict[tuple[str, int, bool], GraphInput] = {}
    members = []
    for net in nets:
        own = []
        for sensor in net.spec.sensors:
            key = (sensor.name, net.sensor_steps[sensor.name], sensor.name in net.cubic_sensors)
            if key not in inputs:
                others = sum(name == sensor.name for name, _, _ in inputs)
                name = f"{sensor.name}-{others + 1}" if others else sensor.name
                inputs[key] = GraphInput(name, sensor, *key[1:], net.spec.scales[sensor.name])
            if inputs[key].sensor != sensor:
                got = f"{', '.join(inputs[key].sensor.bands)} and {', '.join(sensor.bands)}"
                raise RecipeError(problem("networks", f"read sensor {sensor.name!r} in two ways", got=got))
            own.append(inputs[key].name)
        members.append(tuple(own))
    names = [each.name for each in inputs.values()]
    clash = sorted({name for name in names if names.count(name) > 1} | {*names} & {PROBABILITY, MASK, FIELD})
    if clash:
        raise RecipeError(problem("networks", "an input would have the name of another value", got=clash[0]))
    whole = [
        each.name for net in nets for each in inputs.values()
        if each.sensor.name == reference and each.step == 1 and abs(net.spec.scales.get(reference, 0) - 1) < SAME_SCALE
    ]  # fmt: skip
    return GraphSpec(
        tuple(legend),
        tuple(inputs.values()),
        tuple(members),
        owners,
        whole[0] if whole else None,
        predict,
        tuple(table.threshold.of(name) for name in legend),
        table.exclusive,
        table.shared_borders,
        divisor,
        context,
        max(net.receptive_radius for net in nets),
    )


def _frame(nets: Sequence[SegmentationNet], predict: PredictTable) -> tuple[int, int]:
    """Return the divisor and the context that all networks have, or refuse them.

    Patches see their context and nothing more, so that networks of several depths may stand side by side there; else
    the frame in which a scene is mirrored ends at the pooling grid of each.
    """
    frames = sorted({(net.divisor, net.spec.context) for net in nets})
    contexts = {context for _, context in frames}
    if len(frames) > 1 and (predict.patch is None or len(contexts) > 1):
        got = " and ".join(f"{context} px in steps of {divisor} px" for divisor, context in frames)
        raise RecipeError(problem("networks", "see different frames of a scene; one graph has one", got=got))
    return math.lcm(*(divisor for divisor, _ in frames)), frames[0][1]


class ProbabilityGraph(nn.Module):
    """Raw numbers to `probability`, float32 (B, K, H, W), `mask`, uint8, and `field`, float32, of the same shape.

    A pixel is in `mask` where polygons would hold it: where its probability as a byte, or with `exclusive` its share in
    itself and the best other class, is at or above the threshold of the class.
    """

    def __init__(self, nets: Sequence[SegmentationNet], spec: GraphSpec) -> None:
        super().__init__()
        self.spec = spec
        ready = [copy.deepcopy(net).eval().requires_grad_(False).float().cpu() for net in nets]
        for net in ready:
            fold_batch_norm(net.unet)
            net.unet.joins, net.stem.clamps = False, False
        self.nets = nn.ModuleList(ready)
        self.eval()

    def forward(self, *images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Take the pixels of each input of the plan, in its order."""
        named = dict(zip((each.name for each in self.spec.inputs), images, strict=True))
        known = {name: (torch.abs(image) <= LARGEST).all(dim=1, keepdim=True) for name, image in named.items()}
        outputs: list[Tensor] = []
        for net, own in zip(self.nets, self.spec.members, strict=True):
            sensors = [sensor.name for sensor in net.spec.sensors]  # type: ignore[union-attr]
            seen = {sensor: named[name] for sensor, name in zip(sensors, own, strict=True)}
            valid = {sensor: known[name] for sensor, name in zip(sensors, own, strict=True)}
            p = _mean_of_views(net, seen, valid, self.spec.predict)  # type: ignore[arg-type]
            outputs += [p[:, k : k + 1] for k in range(p.shape[1])]
        p = torch.cat([_mean_of_owners(outputs, shares, self.spec.predict.combine) for shares in self.spec.owners], 1)
        if self.spec.reference is not None:
            p = torch.where(known[self.spec.reference], p, 0.0)
        return p, *self._against_thresholds(p)

    def _against_thresholds(self, p: Tensor) -> tuple[Tensor, Tensor]:
        steps = torch.round(p * WHOLE)
        if not self.spec.exclusive or len(self.spec.legend) == 1:
            levels = torch.tensor(self.spec.levels, dtype=torch.float32).reshape(1, -1, 1, 1)
            return (steps >= levels).to(torch.uint8), steps / WHOLE
        best, second = (part.unsqueeze(1) for part in steps.topk(2, dim=1).values.unbind(1))
        other = torch.where(steps == best, second, best)
        share = torch.where(steps + other > 0, steps / torch.clamp(steps + other, min=1.0), 0.0)
        least = torch.tensor(self.spec.thresholds, dtype=torch.float32).reshape(1, -1, 1, 1)
        inside = share >= least
        if self.spec.shared_borders:
            numbers = torch.arange(len(self.spec.legend)).reshape(1, -1, 1, 1)
            inside = inside & (steps.argmax(dim=1, keepdim=True) == numbers)
        return inside.to(torch.uint8), share


def _mean_of_views(
    net: SegmentationNet, seen: dict[str, Tensor], valid: dict[str, Tensor], predict: PredictTable
) -> Tensor:
    """Return what a network gives, averaged over the views of each class; as `average_views` does."""
    stacks = net.stem(seen, valid)
    counts = [predict.views_of(name) for name in net.spec.classes]
    take = functional.logsigmoid if predict.combine == "geometric" else torch.sigmoid
    views = list(enumerate(VIEWS[predict.views][: max(counts)]))
    total: Tensor | None = None
    for odd in (0, 1):
        # Views of one shape go through the network together, so that it stands in the graph twice at the most.
        some = [view for view in views if view[1][0] % 2 == odd]
        if not some:
            continue
        turned = {step: torch.cat([_turn(stack, *view) for _, view in some]) for step, stack in stacks.items()}
        logits = net.unet(turned)
        parts = logits.reshape(len(some), -1, *logits.shape[1:]).unbind(0)
        for (number, view), part in zip(some, parts, strict=True):
            p = _unturn(take(part), *view)
            if number >= min(counts):
                p = p * torch.tensor([float(number < n) for n in counts]).reshape(1, -1, 1, 1)
            total = p if total is None else total + p
    if total is None:
        raise RecipeError(problem("predict.symmetries", "none"))
    mean = total if max(counts) == 1 else total / torch.tensor(counts, dtype=torch.float32).reshape(1, -1, 1, 1)
    return mean.exp() if predict.combine == "geometric" else mean


def _mean_of_owners(outputs: Sequence[Tensor], shares: Owners, combine: str) -> Tensor:
    if not shares:
        return torch.zeros_like(outputs[0])
    if len(shares) == 1:
        return outputs[shares[0][0]]
    terms = [weight * (outputs[i].log() if combine == "geometric" else outputs[i]) for i, weight in shares]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total.exp() if combine == "geometric" else total


def _turn(x: Tensor, turns: int, flip: bool) -> Tensor:
    return torch.rot90(x.flip(-1) if flip else x, turns, (-2, -1))


def _unturn(x: Tensor, turns: int, flip: bool) -> Tensor:
    back = torch.rot90(x, -turns, (-2, -1))
    return back.flip(-1) if flip else back
