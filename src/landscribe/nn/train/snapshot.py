"""The state of a training run as bytes: weights, their average, optimiser moments and the step."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from landscribe.errors import IntegrityError, problem
from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.train.hard import HardChips, WorstChips

FORMAT = 1
TENSORS_NAME, STEP_NAME = "state.safetensors", "state.json"


@dataclass(frozen=True)
class Learner:
    """What a training step changes."""

    net: SegmentationNet
    average: SegmentationNet
    """Moving average of `net`, same structure."""
    optimizer: torch.optim.Optimizer
    hard: HardChips | None = None
    """Losses of single chips, where the recipe wants hard ones."""

    @property
    def parameters(self) -> list[Tensor]:
        """What the optimiser moves, in its order."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    @cached_property
    def averaged(self) -> tuple[list[Tensor], list[Tensor]]:
        """What is averaged, of the average and of the network; found once, since it is asked for at each step."""
        return self._both(floating=True)

    @cached_property
    def copied(self) -> tuple[list[Tensor], list[Tensor]]:
        """Whole numbers, which the average has from the network."""
        return self._both(floating=False)

    def _both(self, *, floating: bool) -> tuple[list[Tensor], list[Tensor]]:
        states = (self.average.state_dict().values(), self.net.state_dict().values())
        ours, theirs = ([t for t in state if t.is_floating_point() == floating] for state in states)
        return ours, theirs


def save_state(learner: Learner, step: int) -> dict[str, bytes]:
    """Return the files `state.safetensors` and `state.json` of a training run after `step` steps."""
    tensors = {f"net.{name}": value for name, value in learner.net.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in learner.average.state_dict().items()}
    for i, parameter in enumerate(learner.parameters):
        for name, value in learner.optimizer.state[parameter].items():
            tensors[f"optimizer.{i}.{name}"] = value
    if learner.hard is not None:
        worst = learner.hard.worst
        tensors |= {"hard.scene": torch.from_numpy(worst.scene_n), "hard.point": torch.from_numpy(worst.point_n2)}
    content = save_safetensors({name: t.detach().cpu().contiguous() for name, t in tensors.items()})
    document = {
        "format": FORMAT,
        "step": step,
        "optimizer": type(learner.optimizer).__name__,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return {TENSORS_NAME: content, STEP_NAME: (json.dumps(document, indent=1) + "\n").encode()}


def load_state(learner: Learner, files: Mapping[str, bytes]) -> int:
    """Put a saved state into a learner of the same structure.

    Returns:
        The number of steps done.

    Raises:
        IntegrityError: If a file is missing, damaged, or belongs to another network or optimiser.
    """
    try:
        document = _Document.model_validate_json(files[STEP_NAME])
        content = files[TENSORS_NAME]
    except (KeyError, ValidationError) as error:
        raise IntegrityError(problem("training state", "unreadable", got=str(error)[:200], do="train anew")) from error
    digest = hashlib.sha256(content).hexdigest()
    if (document.format, document.sha256) != (FORMAT, digest):
        raise IntegrityError(problem(TENSORS_NAME, "SHA-256", got=digest, need=document.sha256, do="train anew"))
    if document.optimizer != type(learner.optimizer).__name__:
        raise IntegrityError(
            problem("training state", "optimizer", got=document.optimizer, need=type(learner.optimizer).__name__)
        )
    try:
        tensors = load_safetensors(content)
        learner.net.load_state_dict(_below("net.", tensors), strict=True)
        learner.average.load_state_dict(_below("average.", tensors), strict=True)
        for i, parameter in enumerate(learner.parameters):
            moments = _below(f"optimizer.{i}.", tensors)
            # In place of `load_state_dict`: moments must lie in memory as their parameter does (channels-last).
            learner.optimizer.state[parameter] = {name: _like(parameter, value) for name, value in moments.items()}
        if learner.hard is not None:
            learner.hard.worst = WorstChips(tensors["hard.scene"].numpy(), tensors["hard.point"].numpy())
    except (KeyError, SafetensorError, RuntimeError) as error:
        raise IntegrityError(
            problem("training state", "belongs to another network", got=str(error)[:200], do="train anew")
        ) from error
    return document.step


def mean_of(nets: Sequence[SegmentationNet]) -> SegmentationNet:
    """Return a network with the mean of the weights and batch statistics of some of one structure.

    Args:
        nets: At least one; counters are taken from the last.

    Source:
        Izmailov et al. (2018), arXiv:1803.05407, without the further pass over data; `reference_methods.md` 2.7.
    """
    mean = copy.deepcopy(nets[-1])
    states = [net.state_dict() for net in nets]
    for name, value in mean.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.stack([state[name].double() for state in states]).mean(dim=0))
    return mean


class _Document(BaseModel, frozen=True, extra="forbid"):
    format: int
    step: int
    optimizer: str
    sha256: str


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _like(parameter: Tensor, saved: Tensor) -> Tensor:
    if saved.ndim == 0:  # step counters: on the device for fused optimisers there, else on the host
        return saved.to(parameter.device)
    return torch.empty_like(parameter, dtype=saved.dtype).copy_(saved)
