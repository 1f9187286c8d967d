"""Which gather a device takes: one kernel of Triton where a trial of it gives what torch gives, else torch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from affine import Affine
from torch import Tensor

from landscribe.errors import first_line
from landscribe.nn.sample._torch_sampler import Gathered, gather_plainly
from landscribe.nn.sample.pixels import Raster, RasterBank, pack_rasters
from landscribe.nn.sample.sending import send

Gather: TypeAlias = Callable[[RasterBank, Gathered], tuple[Tensor, Tensor]]
"""From a bank and places in it to values and validity; see `sample`."""
CLOSE = 1e-4
"""By which both may differ, in what is largest."""


@dataclass(frozen=True)
class Sampler:
    """What gathers on a device."""

    take: Gather
    reason: str
    """Why, for `doctor`."""


@functools.cache
def find_sampler(device: torch.device) -> Sampler:
    """Return the fastest gather that works on a device."""
    if device.type != "cuda":
        return Sampler(gather_plainly, "torch, operation by operation: the kernel is for GPUs of NVIDIA and AMD")
    try:
        from landscribe.nn.sample._triton_sampler import gather_fused
    except ImportError:
        return Sampler(gather_plainly, "torch, operation by operation: no Triton here, training is slower")
    fault = find_fault(gather_fused, device)
    if fault:
        return Sampler(gather_plainly, f"torch, operation by operation: the kernel failed its trial, {fault}")
    return Sampler(gather_fused, "one kernel for each sensor, tried")


def find_fault(gather: Gather, device: torch.device) -> str:
    """Return why a gather may not be taken on a device, in one line; nothing where it gives what torch gives."""
    for bank, wanted in trials(device):
        expected, known = gather_plainly(bank, wanted)
        try:
            found, seen = gather(bank, wanted)
            far = (found - expected).abs().max() > CLOSE * expected.abs().max()
        except Exception as error:  # noqa: BLE001 - compilers raise what they like, and a slower way is at hand
            return first_line(error)
        if found.shape != expected.shape or bool(far) or not torch.equal(seen, known):
            return "it gives other numbers"
    return ""


def trials(device: torch.device) -> list[tuple[RasterBank, Gathered]]:
    """Return small gathers that between them go every way that there is: types, edges, holes, both mixes."""
    rng, sizes = np.random.default_rng(0), ((13, 11), (7, 17))
    turned = [Affine.translation(4, 3) @ Affine.rotation(angle) @ Affine.scale(0.7, -0.8) for angle in (31, -77, 0)]
    maps_b6 = np.array([tuple(affine)[:6] for affine in turned])
    found = []
    for dtype, cubic, mirror, step in (
        ("uint16", False, True, 1),
        ("uint8", True, False, 2),
        ("float32", True, True, 1),
    ):
        rasters = [
            Raster(
                rng.integers(1, 250, (3, *hw)).astype(dtype) * np.dtype(dtype).type(200 if dtype == "uint16" else 1),
                rng.random(hw) > 0.1, Affine.translation(0.3, -0.4) @ Affine.scale(0.9), (hw[0] + 1, hw[1]),
            )
            for hw in sizes
        ]  # fmt: skip
        linear = rng.normal(1, 0.1, (2, 3, 3)).astype(np.float32)
        sent = send({"raster": np.array([0, 1, 1]), "map": maps_b6, "gain": linear[0], "offset": linear[1]}, device)
        wanted = Gathered(sent["raster"], sent["map"], (9, 10), step, sent["gain"], sent["offset"], mirror)
        bank = pack_rasters(rasters, device, cubic=cubic)
        found += [(bank, wanted), (bank, replace(wanted, gain_bc=None, offset_bc=None))]
    return found
