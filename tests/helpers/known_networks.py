"""EfficientNet-lite and ResNet by their papers, written anew: files of weights by chance, and what they give."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

BLOCKS = {
    "efficientnet-lite0": (
        (3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4),
        (3, 1, 6, 320, 1),
    ),
    "efficientnet-lite1": (
        (3, 1, 1, 16, 1), (3, 2, 6, 24, 3), (5, 2, 6, 40, 3), (3, 2, 6, 80, 4), (5, 1, 6, 112, 4), (5, 2, 6, 192, 5),
        (3, 1, 6, 320, 1),
    ),
    "efficientnet-lite2": (
        (3, 1, 1, 16, 1), (3, 2, 6, 24, 3), (5, 2, 6, 48, 3), (3, 2, 6, 88, 4), (5, 1, 6, 120, 4), (5, 2, 6, 208, 5),
        (3, 1, 6, 352, 1),
    ),
}  # fmt: skip
"""Kernel, stride, expansion, channels, repeats: the table of the paper, scaled by hand."""
RESNETS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}


def weights_file(name: str, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Return tensors as a file of that network has them, classifier and all, with weights by chance."""
    rng = np.random.default_rng(seed)
    found = {}

    def conv(there, channels_in, channels, kernel):
        scale = (2 / (channels_in * kernel**2)) ** 0.5
        found[f"{there}.weight"] = rng.normal(0, scale, (channels, channels_in, kernel, kernel))

    def norm(there, channels):
        found[f"{there}.weight"], found[f"{there}.bias"] = rng.normal(1, 0.2, channels), rng.normal(0, 0.2, channels)
        found[f"{there}.running_mean"] = rng.normal(0, 0.3, channels)
        found[f"{there}.running_var"] = rng.uniform(0.5, 2, channels)

    if name in BLOCKS:
        conv("_conv_stem", 3, 32, 3)
        norm("_bn0", 32)
        before, number = 32, 0
        for kernel, _, expansion, channels, repeats in BLOCKS[name]:
            for _ in range(repeats):
                there, wide = f"_blocks.{number}", before * expansion
                if expansion > 1:
                    conv(f"{there}._expand_conv", before, wide, 1)
                    norm(f"{there}._bn0", wide)
                conv(f"{there}._depthwise_conv", 1, wide, kernel)
                norm(f"{there}._bn1", wide)
                conv(f"{there}._project_conv", wide, channels, 1)
                norm(f"{there}._bn2", channels)
                before, number = channels, number + 1
        conv("_conv_head", before, 1280, 1)
        norm("_bn1", 1280)
        found["_fc.weight"], found["_fc.bias"] = rng.normal(0, 0.1, (1000, 1280)), np.zeros(1000)
    else:
        conv("conv1", 3, 64, 7)
        norm("bn1", 64)
        before = 64
        for stage, repeats in enumerate(RESNETS[name], start=1):
            channels = 32 * 2**stage
            for i in range(repeats):
                there = f"layer{stage}.{i}"
                conv(f"{there}.conv1", before, channels, 3)
                norm(f"{there}.bn1", channels)
                conv(f"{there}.conv2", channels, channels, 3)
                norm(f"{there}.bn2", channels)
                if before != channels:
                    conv(f"{there}.downsample.0", before, channels, 1)
                    norm(f"{there}.downsample.1", channels)
                before = channels
        found["fc.weight"], found["fc.bias"] = rng.normal(0, 0.1, (1000, 512)), np.zeros(1000)
    return {key: value.astype(np.float32) for key, value in found.items()}


def features_of(name: str, tensors: Mapping[str, NDArray[np.float32]], x: Tensor) -> list[Tensor]:
    """Return the maps at 2, 4, 8, 16 and 32 pixels: the papers anew, on the tensors of a file."""
    w = {key: torch.from_numpy(value) for key, value in tensors.items()}

    def norm(x, there, epsilon):
        field = (w[f"{there}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(x, *field, eps=epsilon)

    def same(x, there, stride, groups=1):
        kernel = w[f"{there}.weight"]
        pads = []
        for size in (x.shape[3], x.shape[2]):
            total = max((-(-size // stride) - 1) * stride + kernel.shape[-1] - size, 0)
            pads += [total // 2, total - total // 2]
        return functional.conv2d(functional.pad(x, pads), kernel, stride=stride, groups=groups)

    levels = {}
    if name in BLOCKS:
        x = functional.relu6(norm(same(x, "_conv_stem", 2), "_bn0", 1e-3))
        scale, number = 2, 0
        for _, stride, expansion, channels, repeats in BLOCKS[name]:
            for i in range(repeats):
                there, y, step = f"_blocks.{number}", x, stride if i == 0 else 1
                if expansion > 1:
                    y = functional.relu6(norm(same(y, f"{there}._expand_conv", 1), f"{there}._bn0", 1e-3))
                y = same(y, f"{there}._depthwise_conv", step, groups=y.shape[1])
                y = functional.relu6(norm(y, f"{there}._bn1", 1e-3))
                y = norm(same(y, f"{there}._project_conv", 1), f"{there}._bn2", 1e-3)
                x = x + y if step == 1 and x.shape[1] == channels else y
                scale, number = scale * step, number + 1
            levels[scale] = x
        return [levels[stride] for stride in (2, 4, 8, 16, 32)]

    def conv(x, there, stride=1):
        kernel = w[f"{there}.weight"]
        return functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)

    x = functional.relu(norm(conv(x, "conv1", 2), "bn1", 1e-5))
    levels[2] = x
    x = functional.max_pool2d(x, 3, 2, 1)
    for stage, repeats in enumerate(RESNETS[name], start=1):
        for i in range(repeats):
            there, step = f"layer{stage}.{i}", 2 if stage > 1 and i == 0 else 1
            y = functional.relu(norm(conv(x, f"{there}.conv1", step), f"{there}.bn1", 1e-5))
            y = norm(conv(y, f"{there}.conv2"), f"{there}.bn2", 1e-5)
            if f"{there}.downsample.0.weight" in w:
                x = norm(conv(x, f"{there}.downsample.0", step), f"{there}.downsample.1", 1e-5)
            x = functional.relu(x + y)
        levels[2 ** (stage + 1)] = x
    return [levels[stride] for stride in (2, 4, 8, 16, 32)]
