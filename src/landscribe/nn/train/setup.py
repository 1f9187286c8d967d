"""What a training run is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from landscribe.core.arrays import FloatArray
from landscribe.core.grid import Window
from landscribe.core.recipe import ChipTable, LossTable, ModelTable, ScheduleTable
from landscribe.core.recipe.models import DRAWN
from landscribe.errors import DataError, RecipeError, problem
from landscribe.nn.device import Engine
from landscribe.nn.network.bundle import ModelSpec, SegmentationNet, build_network
from landscribe.nn.network.stem import compute_statistics
from landscribe.nn.sample.tones import colours_of
from landscribe.nn.train.bank import ChipBank, load_bank
from landscribe.nn.train.chips import steps_per_epoch
from landscribe.nn.train.decoded import DecodedScenes
from landscribe.nn.train.losses import class_weights
from landscribe.nn.train.ranks import Ranks

ALONE = Ranks()
SETTLE = 24
"""Batches that networks settle by whose encoder began with weights."""


@dataclass(frozen=True)
class Setup:
    """Everything that decides what a run learns.

    Raises:
        RecipeError: If the chip size does not divide, nothing is left of it within its frame, a process would have no
            chip of a batch, or a class that the network does not know has a weight.
        DataError: If labels have another number of classes than the network.
    """

    net: SegmentationNet
    """Training changes its weights in place."""
    bank: ChipBank
    """Training scenes."""
    engine: Engine
    """Device and precision."""
    loss: LossTable
    """Terms and class weights."""
    chips: ChipTable
    """What a batch is."""
    schedule: ScheduleTable
    """Optimiser, rate and length."""
    seed: int
    """Of chips and dropout."""
    state: Mapping[str, bytes] | None = None
    """Files of an earlier run that is to go on; None starts anew."""
    ranks: Ranks = ALONE
    """The processes that train together."""
    soft: ChipBank | None = None
    """Scenes with soft labels, from which every other batch is cut; behind the classes lies the weight of a pixel."""

    def __post_init__(self) -> None:
        known, divisor, size = len(self.bank.of_class), self.net.divisor, self.chips.size
        if known != len(self.net.spec.classes):
            raise DataError(problem("labels", "classes", got=known, need=len(self.net.spec.classes)))
        if size % divisor:
            raise RecipeError(problem("chips.size", "does not divide", got=size, need=f"multiple of {divisor}"))
        if 2 * self.chips.context >= size:
            raise RecipeError(problem("chips.context", "leaves nothing", got=self.chips.context, need=f"< {size // 2}"))
        if self.chips.batch < self.ranks.count:
            need = f"one for each of {self.ranks.count} processes"
            raise RecipeError(problem("chips.batch", "fewer chips than processes", got=self.chips.batch, need=need))
        lowest = (size // divisor) ** 2 * (self.chips.batch // self.ranks.count // self.schedule.accumulate or 1)
        if self.net.unet.known is not None and self.net.spec.network.norm == "batch" and lowest < 2:
            need = f"chips.size = {2 * divisor} or more chips at once: batch norm needs two"
            raise RecipeError(problem("chips", "one pixel of the lowest level at once", need=need))
        class_weights(self.loss, self.net.spec.classes)

    @cached_property
    def epoch_steps(self) -> int:
        """Steps of an epoch."""
        return self.schedule.steps or steps_per_epoch(self.bank, self.chips)

    @property
    def total_steps(self) -> int:
        """Steps of the whole run."""
        return self.epoch_steps * self.schedule.epochs

    @property
    def settle(self) -> int:
        """Batches from which batch norm takes its statistics again at the end."""
        wanted = self.schedule.settle
        if wanted is not None:
            return wanted
        network = self.net.spec.network
        return 0 if network.encoder is None or network.weights == DRAWN else SETTLE

    @property
    def keep(self) -> Window:
        """The part of a chip that is learned from."""
        return Window(0, 0, self.chips.size, self.chips.size).pad(-self.chips.context)

    @cached_property
    def weights_k(self) -> Tensor:
        """Weight of each class, float32 (K,), on the device."""
        return torch.tensor(class_weights(self.loss, self.net.spec.classes), device=self.engine.device)


def set_up(
    table: ModelTable,
    spec: ModelSpec,
    decoded: DecodedScenes,
    engine: Engine,
    home: torch.device,
    seed: int,
    state: Mapping[str, bytes] | None = None,
    ranks: Ranks = ALONE,
    quantiles: Mapping[str, Mapping[str, FloatArray]] | None = None,
) -> Setup:
    """Return a new network and its training scenes, laid out for sampling.

    Args:
        table: What the recipe says of the model.
        spec: Structure of the network.
        decoded: Training scenes with the sensors and classes of the network.
        engine: Device and precision.
        home: Device on which the scenes lie.
        seed: Of weights, chips and dropout.
        state: Files of an earlier run that is to go on.
        ranks: The processes that train together.
        quantiles: For `chips.match`, as `colours_of` takes them.

    Raises:
        DataError: If there is no labelled pixel, or a sensor has no valid one.
        RecipeError: If a table contradicts itself or the network.
    """
    net = build_network(spec, compute_statistics(decoded.scenes, table.inputs.clip_percent), seed=seed)
    bank = load_bank(decoded.scenes, net.sensor_steps, home, cubic=net.cubic_sensors, decoded=decoded)
    if table.chips.match:
        bank = replace(bank, colours=colours_of(decoded.scenes, bank.sensors, quantiles))
    if table.schedule.prior:
        guess_shares(net, bank, table.schedule.prior)
    return Setup(net, bank, engine, table.loss, table.chips, table.schedule, seed, state, ranks)


@torch.no_grad()
def guess_shares(net: SegmentationNet, bank: ChipBank, least: float) -> None:
    """Set the biases of a network's last layer so that it guesses each class's share of the labelled ground.

    Args:
        net: A new network, changed in place.
        bank: The training scenes.
        least: Share below which none is guessed, above 0: a class that is next to impossible would hardly be learned.

    Source:
        Lin et al. (2017), arXiv:1708.02002, section 3.3, with one share for all classes.
    """
    shares = [places.count / max(bank.anywhere.count, 1) for places in bank.of_class]
    guess_k = torch.tensor(shares, dtype=torch.float32).clamp(least, 1 - least)
    net.unet.head.get_parameter("bias").copy_(torch.logit(guess_k))
