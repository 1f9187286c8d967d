"""A training step against the same network written plainly: python benchmarks/train_step.py [--json] [--batch 32].

Plain: eager float32, channels-first, chips cut one by one with NumPy and OpenCV, memory as the C library hands it out.
Ours: the loop that `train` runs, chips, average of weights and history included. On a GPU the plain way runs there too.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import cv2
import numpy as np
import torch

from landscribe.core.recipe import ChipTable, LossTable, ScheduleTable
from landscribe.nn.device import Engine
from landscribe.nn.scene import SceneArrays
from landscribe.nn.train.chips import cut_chips, draw_plan, load_bank
from landscribe.nn.train.loop import Callbacks, train
from landscribe.nn.train.losses import segmentation_loss
from landscribe.nn.train.setup import Setup
from networks import (
    BANDS,
    CLASSES,
    PlainUNet,
    clock_of,
    count_flop,
    engine_of,
    finish,
    limits,
    make_net,
    make_scene,
    parse,
    plain_device,
    plain_twin,
)
from side_by_side import report

SIZE, CONTEXT = 112, 16
WARM = 2


def cut_plainly(scene: SceneArrays, rng: np.random.Generator, mean: Any, std: Any) -> tuple[Any, Any]:
    """One chip: a turn about a random place, then flips; image and masks by OpenCV, four bands at a time."""
    image, mask = scene.images_chw["M"], scene.coverage_khw
    height, width = scene.shape_hw
    margin = SIZE
    row, col = rng.integers(margin, height - margin), rng.integers(margin, width - margin)
    cut = (slice(None), slice(row - margin, row + margin), slice(col - margin, col + margin))
    turn = cv2.getRotationMatrix2D((margin, margin), rng.uniform(-180, 180), 1.0)
    turn[:, 2] -= margin - SIZE / 2

    def warp(stack: Any) -> Any:
        groups = [stack[i : i + 4].transpose(1, 2, 0) for i in range(0, len(stack), 4)]
        turned = [cv2.warpAffine(np.ascontiguousarray(g), turn, (SIZE, SIZE), flags=cv2.INTER_LINEAR) for g in groups]
        return np.concatenate([t.reshape(SIZE, SIZE, -1) for t in turned], axis=2).transpose(2, 0, 1)

    x, y = warp(image[cut].astype(np.float32)), warp(mask[cut].astype(np.float32) / 255)
    for axis in (1, 2):
        if rng.random() < 0.5:
            x, y = np.flip(x, axis), np.flip(y, axis)
    inner = slice(CONTEXT, SIZE - CONTEXT)
    return (x - mean) / std, y[:, inner, inner]


def time_plain(
    net: PlainUNet, scene: SceneArrays, engine: Engine, batch: int, steps: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the median seconds of a step, and of its chips alone."""
    clock, device = clock_of(engine), engine.device
    net = net.to(device).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    pixels = scene.images_chw["M"].reshape(BANDS, -1)[:, ::997].astype(np.float32)
    mean, std = pixels.mean(1)[:, None, None], pixels.std(1)[:, None, None]
    weights = torch.ones(CLASSES, device=device)
    seconds, chips = [], []
    for _ in range(steps + WARM):
        begin = clock()
        pairs = [cut_plainly(scene, rng, mean, std) for _ in range(batch)]
        x, y = (torch.from_numpy(np.stack([p[i] for p in pairs])).float().to(device) for i in (0, 1))
        chips.append(clock() - begin)
        logits = net(x)[:, :, CONTEXT:-CONTEXT, CONTEXT:-CONTEXT]
        known = torch.ones_like(y[:, :1])
        loss, _ = segmentation_loss(logits, y, known, LossTable(), weights)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        seconds.append(clock() - begin)
    return statistics.median(seconds[WARM:]), statistics.median(chips[WARM:])


def time_ours(net: Any, scene: SceneArrays, engine: Engine, table: ChipTable, steps: int) -> tuple[float, float]:
    """Return the median seconds of a step of the loop, and of cutting a batch of chips alone."""
    clock = clock_of(engine)
    bank = load_bank([scene], net.sensor_steps, engine.device)
    stamps: list[float] = []
    schedule = ScheduleTable(epochs=1, steps=steps + WARM)
    every = 1 if engine.device.type == "cpu" else 10

    def on_step(done: int, _total: int, _loss: torch.Tensor) -> None:
        if done >= WARM and (done - WARM) % every == 0:
            stamps.append(clock())

    train(Setup(net, bank, engine, LossTable(), table, schedule, seed=0), Callbacks(on_step=on_step))
    chips = []
    for step in range(5):
        begin = clock()
        cut_chips(bank, table, draw_plan(bank, table, 0, step))
        chips.append(clock() - begin)
    return statistics.median(np.diff(stamps)) / every, statistics.median(chips)


def main() -> None:
    """Run the benchmark."""
    arguments = parse(__doc__, batch=32, steps=8, side=1024)
    scene = make_scene(arguments.side, arguments.side - 3)
    table = ChipTable(size=SIZE, context=CONTEXT, batch=arguments.batch)
    net = make_net(scene)
    begin = time.perf_counter()
    # Before our engine is chosen: that changes how the whole process gets its memory.
    plain = Engine(plain_device(arguments), torch.float32, "plain")
    plain_steps, rng = max(2, arguments.steps // 3), np.random.default_rng(0)
    plain_step, plain_chips = time_plain(plain_twin(net), scene, plain, arguments.batch, plain_steps, rng)
    engine = engine_of(arguments)
    our_step, our_chips = time_ours(net, scene, engine, table, arguments.steps)
    x = torch.randn(1, BANDS, SIZE, SIZE)
    flop = count_flop(lambda: PlainUNet()(x).sum().backward()) * arguments.batch
    known = limits(engine)
    rate = flop / our_step
    peak = max(known.values())
    report(
        f"training step, {BANDS} bands, {SIZE} px, batch {arguments.batch}",
        {"plain: eager float32, chips one by one": plain_step, "landscribe": our_step},
        "plain: eager float32, chips one by one",
        {
            "plain: eager float32, chips one by one": f"{arguments.batch / plain_step:.1f} patches/s a thread",
            "landscribe": f"{arguments.batch / our_step:.1f} patches/s a thread, chips {our_chips / our_step:.1%}",
        },
    )
    print(
        f"  {rate / 1e9:.0f} GFLOP/s of the plain network's arithmetic: {rate / known['convolution 64']:.0%} of a "
        f"64-channel convolution, {rate / peak:.0%} of the best rate measured ({peak / 1e9:.0f})",
        file=sys.stderr,
    )
    medians = {
        "plain step s": plain_step, "step s": our_step, "plain chips s": plain_chips, "chips s": our_chips,
        "plain patches/s": arguments.batch / plain_step, "patches/s": arguments.batch / our_step,
    }  # fmt: skip
    finish(
        "train_step", arguments, engine, medians, plain_step / our_step, chips_share=our_chips / our_step,
        limits_flop_per_s=known, share_of_convolution_64=rate / known["convolution 64"], share_of_best=rate / peak,
        wall_s=time.perf_counter() - begin,
    )  # fmt: skip


if __name__ == "__main__":
    main()
