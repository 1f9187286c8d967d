"""What benchmarks of networks share: the network written plainly, scenes, limits of the machine, results on disk."""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from affine import Affine
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from landscribe.core.grid import Grid, Window
from landscribe.core.recipe import InputTable, NetworkTable
from landscribe.core.sensors import SensorSpec
from landscribe.nn.device import BYTES, CPU_INFO, Engine, choose_engine
from landscribe.nn.network.bundle import ModelSpec, SegmentationNet, build_network
from landscribe.nn.network.stem import compute_statistics
from landscribe.nn.network.unet import UNet
from landscribe.nn.predict.byte_layers import Filter, pack
from landscribe.nn.scene import SceneArrays
from landscribe.process import settle_process

BANDS, CLASSES = 16, 10
SENSOR = SensorSpec("M", "m", tuple(f"b{i}" for i in range(BANDS)), 11)
RESULTS = Path(__file__).parent / "results"


class PlainUNet(nn.Module):
    """The U-Net as one writes it at first: upsample, concatenate, convolve everything."""

    def __init__(self, channels: int = BANDS, classes: int = CLASSES, filters: int = 32, depth: int = 5) -> None:
        super().__init__()
        widths = [filters * 2**level for level in range(depth)]
        below = [channels, *widths[:-1]]
        self.down = nn.ModuleList(double(a, b) for a, b in zip(below, widths, strict=True))
        self.up = nn.ModuleList(double(a + b, a) for a, b in itertools.pairwise(widths))
        self.head = nn.Conv2d(filters, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to logits (B, K, h, w)."""
        skips = []
        for level, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        for level in reversed(range(len(self.up))):
            x = functional.interpolate(x, scale_factor=2)
            x = self.up[level](torch.cat([x, skips[level]], dim=1))
        logits: Tensor = self.head(x)
        return logits


def double(channels_in: int, channels_out: int) -> nn.Sequential:
    """Two convolutions with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True),
        nn.Conv2d(channels_out, channels_out, 3, padding=1), nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True),
    )  # fmt: skip


def plain_twin(net: SegmentationNet) -> PlainUNet:
    """Return the plain network with the same weights."""
    plain = PlainUNet()
    theirs = list(net.unet.state_dict().values())
    names = plain.state_dict().keys()
    plain.load_state_dict(dict(zip(names, (t.clone().contiguous() for t in theirs), strict=True)))
    return plain


def make_scene(height: int, width: int, seed: int = 0) -> SceneArrays:
    """A scene of 16 bands on one grid, with labels of ten classes."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:height, :width]
    image = np.empty((BANDS, height, width), np.uint16)
    field = np.zeros((height, width), np.float32)
    for band in range(BANDS):
        a, b = rng.uniform(20, 90, 2)
        field = (np.sin(cols / a) * np.cos(rows / b)).astype(np.float32)
        image[band] = 1000 + 500 * field + rng.integers(0, 200, (height, width))
    steps = np.linspace(-0.9, 0.9, CLASSES)
    coverage = np.stack([(np.abs(field - s) < 0.1).astype(np.uint8) * np.uint8(255) for s in steps])
    valid = np.ones((height, width), bool)
    grid = Grid(height, width, Affine.identity())
    return SceneArrays(f"s{seed}", grid, {"M": SENSOR}, {"M": grid}, {"M": image}, {"M": valid}, coverage, valid)


def make_net(scene: SceneArrays, context: int = 16) -> SegmentationNet:
    """The U-Net of 7.86 million parameters for such scenes, with batch norm statistics that are not trivial."""
    classes = tuple(f"class{k}" for k in range(CLASSES))
    spec = ModelSpec("m", classes, (SENSOR,), {"M": 1.0}, InputTable(), NetworkTable(), context)
    net = build_network(spec, compute_statistics([scene], 0.1))
    generator = torch.Generator().manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.7, 1.3, generator=generator)
    return net


def clock_of(engine: Engine) -> Callable[[], float]:
    """Processor seconds of all threads on a processor; seconds until all work is done on a GPU."""
    if engine.device.type == "cpu":
        return time.process_time

    def clock() -> float:
        torch.cuda.synchronize(engine.device)
        return time.perf_counter()

    return clock


def count_flop(run: Callable[[], Any]) -> float:
    """Products and sums of the convolutions that a call makes, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())


def training_step(
    net: UNet, maps: tuple[int, int, int], *, lower: bool, begin: Callable[[], None], keep: Window | None = None
) -> Callable[[], None]:
    """Return a training step of a network on noise, forward, backward and update.

    Args:
        net: Made channels-last.
        maps: Chips, bands and side in pixels.
        lower: In bf16.
        begin: Called first.
        keep: Part of a chip whose logits count.
    """
    batch, bands, side = maps
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4, fused=True)
    x = torch.randn(batch, bands, side, side).contiguous(memory_format=torch.channels_last)

    def step() -> None:
        begin()
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=lower):
            y = net({1: x}, keep)
        y.float().square().mean().backward()
        optimizer.step()

    return step


def copy_rate(engine: Engine) -> float:
    """Bytes a second, read and written, of a large copy by one thread, or by a GPU."""
    clock, source = clock_of(engine), torch.ones(2**28, dtype=torch.uint8, device=engine.device)
    target, seconds = torch.empty_like(source), []
    for _ in range(6):
        begin = clock()
        target.copy_(source)
        seconds.append(clock() - begin)
    return 2 * len(source) / min(seconds[1:])


def limits(engine: Engine) -> dict[str, float]:
    """FLOP/s (on a processor: of one thread) of a large product, and of 3x3 convolutions of 64 and 512 channels."""
    clock, device, dtype = clock_of(engine), engine.device, engine.dtype

    def best(run: Callable[[], Any], flop: float) -> float:
        run()
        seconds = []
        for _ in range(5):
            begin = clock()
            run()
            seconds.append(clock() - begin)
        return flop / min(seconds)

    if dtype == BYTES:
        return {f"convolution {c}": best(*byte_convolution(c, side)) for c, side in ((64, 256), (512, 32))}
    n = 2048 if device.type == "cpu" else 8192
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    found = {"product": best(lambda: a @ b, 2 * n**3)}
    for channels, side in ((64, 256), (512, 32)):
        batch = 1 if device.type == "cpu" else 64
        x = torch.randn(batch, channels, side, side, device=device).to(dtype, memory_format=torch.channels_last)
        weight = torch.randn(channels, channels, 3, 3, device=device).to(dtype, memory_format=torch.channels_last)
        flop = 2 * 9 * channels**2 * side**2 * batch
        found[f"convolution {channels}"] = best(lambda x=x, w=weight: functional.conv2d(x, w, padding=1), flop)
    return found


def byte_convolution(channels: int, side: int) -> tuple[Callable[[], Any], float]:
    """Return a 3x3 convolution of bytes, and its products and sums."""
    ones = torch.ones(channels)
    convolution = pack(Filter(torch.randn(channels, channels, 3, 3), None, (1, 1)), ones, ones)
    x = torch.randint(0, 256, (1, channels, side, side), dtype=torch.uint8).contiguous(
        memory_format=torch.channels_last
    )
    return lambda: convolution(x), 2 * 9 * channels**2 * side**2


def parse(description: str | None, **options: Any) -> argparse.Namespace:
    """Read the command line that all these benchmarks have; threads are set."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--save", action="store_true", help="keep the object under benchmarks/results/")
    parser.add_argument("--device", help="cpu, cuda, cuda:1; default: the first GPU, else the processor")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    for name, default in options.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    return arguments


def plain_device(arguments: argparse.Namespace) -> torch.device:
    """Return the device that the command line asks for, as one writes that plainly."""
    return torch.device(arguments.device or ("cuda" if torch.cuda.is_available() else "cpu"))


def engine_of(arguments: argparse.Namespace) -> Engine:
    """Return the engine that the command line asks for."""
    settle_process()  # memory is kept as by the command line
    return choose_engine(arguments.device)


def finish(
    name: str, arguments: argparse.Namespace, engine: Engine, medians: dict[str, float], ratio: float, **more: Any
) -> None:
    """Say the ratio, and write the one object where that was asked for."""
    machine = torch.cuda.get_device_name(engine.device) if engine.device.type == "cuda" else processor_name()
    options = {k: v for k, v in vars(arguments).items() if k not in {"json", "save"} and v is not None}
    command = " ".join(["python", f"benchmarks/{name}.py", *(f"--{k} {v}" for k, v in options.items())])
    result = {
        "benchmark": name, "command": command, "machine": machine, "precision": engine.precision,
        "threads": arguments.threads, "torch": torch.__version__, "medians": medians, "ratio": ratio, **more,
    }  # fmt: skip
    text = json.dumps(result, indent=1)
    print(f"  ratio {ratio:.2f}; {machine}, {engine.precision}, {arguments.threads} threads", file=sys.stderr)
    if arguments.json:
        print(text)
    if arguments.save:
        RESULTS.mkdir(exist_ok=True)
        slug = "-".join("".join(c if c.isalnum() else " " for c in machine.lower()).split())
        (RESULTS / f"{name}-{slug}.json").write_text(text + "\n")


def processor_name() -> str:
    """Return what the system calls its processor, with what matters here of its instructions."""
    text = CPU_INFO.read_text() if CPU_INFO.is_file() else ""
    fields = dict(line.split(":", 1) for line in reversed(text.splitlines()) if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    known = [flag for flag in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if flag in fields.get("flags", "").split()]
    model = f"family {fields['cpu family']} model {fields['model']}" if "cpu family" in fields else ""
    return " ".join([fields.get("model name", platform.processor()), model, *known[:1]]).strip()
