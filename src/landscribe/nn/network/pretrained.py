"""Weights that others have trained, from their files into an encoder."""

from __future__ import annotations

import math
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from landscribe.apart import Limits, apart
from landscribe.core.spectral.colours import require_colour
from landscribe.errors import DataError, RecipeError, problem, some
from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.network.encoders import FIRST, Encoder, widened

Tensors = Mapping[str, NDArray[np.float32]]
COUNTER = "num_batches_tracked"
_DAMAGED = (
    pickle.UnpicklingError, SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError,
    AttributeError, IndexError, zipfile.BadZipFile,
)  # fmt: skip
"""What reading a file that is none of weights may raise."""


def teach(net: SegmentationNet, path: Path, wavelengths_nm: Mapping[str, Sequence[float]], limits: Limits) -> None:
    """Let the encoder of a new network begin with the weights of a file, which is read in a process apart.

    Args:
        net: A network with an encoder, changed in place.
        path: The file.
        wavelengths_nm: As for `load_encoder`.
        limits: Of the process.

    Raises:
        RecipeError: If a band says neither wavelength nor colour.
        DataError: If the file is damaged, would run code, or has other tensors than the encoder.
    """
    tensors = apart(str(path), read_tensors, path, limits=limits, paths=(path,))
    load_encoder(net, tensors, str(path), wavelengths_nm)


def read_tensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read the tensors of a .safetensors file, or of a .pth or .pt file, of which nothing but tensors is taken.

    To be called in a process apart.

    Returns:
        float32 arrays by name; counters of batches are left out.

    Raises:
        DataError: If the file is damaged, or would run code.
    """
    found: Any
    try:
        if path.suffix == ".safetensors":
            found = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGED as error:
        got = "damaged, or code beside tensors" if isinstance(error, pickle.UnpicklingError) else type(error).__name__
        raise DataError(problem(str(path), "not a file of tensors alone", got=got)) from None
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise DataError(problem(str(path), "not a table of tensors", got=type(found).__name__))
    tensors = {str(name): value for name, value in found.items() if not str(name).endswith(COUNTER)}
    odd = [name for name, value in tensors.items() if not value.is_floating_point() or value.layout != torch.strided]
    if odd:
        raise DataError(problem(str(path), "tensors of other kinds than plain floats", got=some(odd)))
    return {name: np.array(value.detach().float().numpy()) for name, value in tensors.items()}


def load_encoder(
    net: SegmentationNet, tensors: Tensors, where: str, wavelengths_nm: Mapping[str, Sequence[float]]
) -> None:
    """Put weights of a network of photographs into the encoder of a new network, in place.

    The first convolution is widened to the bands of full resolution; see `widened`.

    Args:
        net: A network with an encoder.
        tensors: As `read_tensors` gives them.
        where: The file, for errors.
        wavelengths_nm: Of the bands of each sensor; 0 where nobody said it.

    Raises:
        RecipeError: If a band says neither wavelength nor colour.
        DataError: If the file has other tensors than the encoder.
    """
    encoder = net.unet.known
    if encoder is None:
        raise RecipeError(problem(f"model {net.spec.name!r}", "has no encoder"))
    shares, zeros = _shares_of(net, wavelengths_nm)
    state = {}
    for name, value in _in_order(encoder, tensors, where).items():
        state[name] = widened(value, shares, zeros) * encoder.input_scale if name == FIRST else value
    current = encoder.state_dict()
    kept = {name: value for name, value in current.items() if name not in state}
    encoder.load_state_dict(state | kept, strict=True)


def _in_order(encoder: Encoder, tensors: Tensors, where: str) -> dict[str, Tensor]:
    """Return the tensors of a file by our names; all of them are there, of the right shape, and no others."""
    theirs = {}
    for name in encoder.state_dict():
        module, _, field = name.rpartition(".")
        if module in encoder.names and field != COUNTER:
            theirs[name] = f"{encoder.names[module]}.{field}"
    missing = sorted(set(theirs.values()) - set(tensors))
    strange = sorted(n for n in set(tensors) - set(theirs.values()) if not n.startswith(encoder.left_over))
    if missing or strange:
        said = [f"{len(missing)} missing ({some(missing)})"] if missing else []
        said += [f"{len(strange)} of another network ({some(strange)})"] if strange else []
        raise DataError(problem(where, "not the weights of this encoder", got=" and ".join(said)))
    found = {}
    for ours, name in theirs.items():
        value, shape = torch.from_numpy(tensors[name]), tuple(encoder.state_dict()[ours].shape)
        need = (shape[0], 3, *shape[2:]) if ours == FIRST else shape
        if tuple(value.shape) != need:
            raise DataError(problem(where, f"shape of {name!r}", got=tuple(value.shape), need=need))
        if not math.isfinite(float(value.abs().sum())):
            raise DataError(problem(where, f"values of {name!r}", got="NaN or infinity", need="numbers"))
        found[ours] = value
    return found


def _shares_of(
    net: SegmentationNet, wavelengths_nm: Mapping[str, Sequence[float]]
) -> tuple[list[tuple[float, float, float]], int]:
    """Return the colours of each band of full resolution, and how many channels come after the bands."""
    shares = []
    for i in net.stem.groups[1]:
        sensor = net.stem.sensors[i]
        bands = zip(sensor.bands, wavelengths_nm[sensor.name], strict=True)
        shares += [require_colour(net.spec.name, sensor.name, band, nm, sensor.kind) for band, nm in bands]
    return shares, net.stem.channels[1] - len(shares)
