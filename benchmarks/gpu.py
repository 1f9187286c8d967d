"""The parts of benchmarks/gpu.sh: python benchmarks/gpu.py check|chips|step|scene|run|profile --out FOLDER [--quick].

`check` compares the ways of a GPU with the plain ones and with the processor; the others write figures. Each writes one
JSON object. On a processor, and with `--quick` at tiny sizes, the same code runs on torch's tensors.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from landscribe.core.recipe import ChipTable, LossTable, PredictTable, ScheduleTable
from landscribe.nn.device import Engine, choose_engine
from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.predict.in_flight import BLOCK_ROWS, device_strips, predict_bytes
from landscribe.nn.predict.reading import scene_reader
from landscribe.nn.predict.tiles import predict_tiles
from landscribe.nn.predict.whole import to_bytes
from landscribe.nn.sample import fused
from landscribe.nn.sample._torch_sampler import gather_plainly
from landscribe.nn.sample.places import draw_places
from landscribe.nn.scene import SceneArrays
from landscribe.nn.train import compile as compiling
from landscribe.nn.train.bank import ChipBank, load_bank
from landscribe.nn.train.chips import Chips, cut_chips, draw_plan
from landscribe.nn.train.loop import Callbacks, train
from landscribe.nn.train.setup import Setup
from landscribe.process import settle_process
from networks import BANDS, CLASSES, clock_of, make_net, make_scene, processor_name

RECIPE = """
[data]
source = "dstl"
root = "{root}"
[[models]]
name = "all"
network = {{ filters = {filters} }}
chips = {{ batch = {batch} }}
schedule = {{ epochs = {epochs}, steps = {steps}, rate = 2e-3 }}
"""


@dataclass(frozen=True)
class Sizes:
    """What is measured."""

    side: int
    chip: int
    batches: tuple[int, ...]
    steps: int
    scene: tuple[int, int]
    repeats: int
    world: tuple[str, ...]
    network: dict[str, int]


FULL = Sizes(
    2048, 112, (128, 256), 60, (3349, 3391), 5, ("--scenes", "8", "--height", "1024", "--width", "1021"),
    {"filters": 32, "batch": 64, "epochs": 3, "steps": 100},
)  # fmt: skip
QUICK = Sizes(
    192, 48, (4,), 4, (161, 173), 1, ("--scenes", "4", "--height", "160", "--width", "157"),
    {"filters": 4, "batch": 2, "epochs": 1, "steps": 2},
)  # fmt: skip
CONTEXT = 16


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=sorted(PARTS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    chosen = parser.parse_args()
    settle_process()
    engine = choose_engine()
    begin = time.perf_counter()
    found = PARTS[chosen.part](QUICK if chosen.quick else FULL, engine, chosen.out)
    on_gpu = engine.device.type == "cuda"
    machine = {
        "machine": torch.cuda.get_device_name(engine.device) if on_gpu else processor_name(),
        "precision": engine.precision, "torch": torch.__version__, "quick": chosen.quick,
        "sampler": fused.find_sampler(engine.device).reason, "seconds": time.perf_counter() - begin,
    }  # fmt: skip
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / f"{chosen.part}.json").write_text(json.dumps(machine | found, indent=1) + "\n")
    wrong = [name for name, row in found.get("checks", {}).items() if not row["fine"]]
    if wrong:
        sys.exit(f"other numbers: {', '.join(wrong)}")


def banks_of(sizes: Sizes, engine: Engine) -> tuple[SegmentationNet, ChipBank, ChipBank]:
    """Return a network, a bank as training has it on that device, and one for the processor's compiled loops."""
    scene = make_scene(sizes.side, sizes.side - 3)
    net = make_net(scene, CONTEXT)
    return (
        net,
        load_bank([scene], net.sensor_steps, engine.device, backend="torch"),
        load_bank([scene], net.sensor_steps, torch.device("cpu")),
    )


def table_of(sizes: Sizes, batch: int, **more: Any) -> ChipTable:
    """Return what a batch is."""
    return ChipTable(size=sizes.chip, context=min(CONTEXT, sizes.chip // 4), batch=batch, **more)


def setup_of(
    sizes: Sizes, engine: Engine, net: SegmentationNet, bank: ChipBank, batch: int, steps: int, **more: Any
) -> Setup:
    """Return a run of one epoch."""
    schedule = ScheduleTable(epochs=1, steps=steps, **more)
    return Setup(net, bank, engine, LossTable(), table_of(sizes, batch), schedule, seed=0)


@contextlib.contextmanager
def plain_sampler() -> Iterator[None]:
    """Gather by torch alone within."""
    found = fused.find_sampler

    def plainly(_device: torch.device) -> fused.Sampler:
        return fused.Sampler(gather_plainly, "plain")

    modules = [sys.modules["landscribe.nn.sample"], fused]
    for module in modules:
        module.find_sampler = plainly  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in modules:
            module.find_sampler = found  # type: ignore[attr-defined]


@contextlib.contextmanager
def without_graphs() -> Iterator[None]:
    """Start every kernel by itself within."""
    as_graph = compiling.as_graph
    compiling.as_graph = lambda net, *_rest: net  # type: ignore[assignment]
    try:
        yield
    finally:
        compiling.as_graph = as_graph


def check(sizes: Sizes, engine: Engine, _out: Path) -> dict[str, Any]:
    """Compare fast ways with plain ones and with the processor."""
    net, bank, on_processor = banks_of(sizes, engine)
    rows: dict[str, dict[str, Any]] = {}

    def row(name: str, far: float, most: float) -> None:
        rows[name] = {"far": far, "most": most, "fine": bool(far <= most)}

    def apart(ours: Chips, theirs: Chips) -> float:
        pairs = [(ours.images[n], theirs.images[n]) for n in ours.images] + [(ours.target, theirs.target)]
        pairs += [(ours.weight, theirs.weight)]
        return max(float((a.cpu() - b.cpu()).abs().max() / b.abs().max().cpu().clamp(min=1e-9)) for a, b in pairs)

    for name, more in (("plain", {}), ("all", {"strength": 1.0, "cutmix": 0.5})):
        table = table_of(sizes, sizes.batches[0], **more)
        plan = draw_plan(on_processor, table, 0, 0)
        ours, theirs = cut_chips(bank, table, plan), cut_chips(on_processor, table, plan)
        row(f"chips, {name}: against the processor", apart(ours, theirs), 1e-4)
        with plain_sampler():
            row(f"chips, {name}: against torch alone", apart(ours, cut_chips(bank, table, plan)), 1e-5)
    losses: dict[str, list[float]] = {}
    for name, context in (("graph", contextlib.nullcontext()), ("no graph", without_graphs())):
        said: list[str] = []
        with context:
            losses[name] = losses_of(sizes, engine, bank, said)
        rows[f"training, {name}"] = {"said": said, "fine": not said}
    ratio = max(abs(a / b - 1) for a, b in zip(losses["graph"], losses["no graph"], strict=True))
    row("training: losses of a graph against none", ratio, 0.02)
    scene = make_scene(*sizes.scene)
    for symmetries in (1, 8):
        ours, theirs = predicted(net, scene, engine, symmetries), predicted_plainly(net, scene, engine, symmetries)
        off = np.abs(ours.astype(int) - theirs)
        row(f"bytes of a scene, {symmetries} views: largest difference", float(off.max()), 1)
        row(f"bytes of a scene, {symmetries} views: share that differs", float((off > 0).mean()), 1e-3)
    return {"checks": rows}


def losses_of(sizes: Sizes, engine: Engine, bank: ChipBank, said: list[str]) -> list[float]:
    """Return the losses of some steps, during which torch raises where something waits for a GPU."""
    steps, losses = 6, []
    net = make_net(make_scene(sizes.side, sizes.side - 3), CONTEXT)

    def on_step(done: int, _total: int, loss: torch.Tensor) -> None:
        losses.append(loss)
        if engine.device.type == "cuda":
            torch.cuda.set_sync_debug_mode("error" if 2 <= done < steps - 1 else "default")

    try:
        train(setup_of(sizes, engine, net, bank, sizes.batches[0], steps), Callbacks(on_step, on_warning=said.append))
    finally:
        if engine.device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    return [float(loss) for loss in losses]


def time_of(run: Callable[[], object], engine: Engine, repeats: int) -> float:
    """Return the median seconds on the wall, after one call to warm up."""
    seconds = []
    for _ in range(repeats + 1):
        settle(engine)
        begin = time.perf_counter()
        run()
        settle(engine)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[1:])


def settle(engine: Engine) -> None:
    """Wait until a GPU has done all of its work."""
    if engine.device.type == "cuda":
        torch.cuda.synchronize(engine.device)


def chips(sizes: Sizes, engine: Engine, _out: Path) -> dict[str, Any]:
    """Time what is drawn and what is cut of a batch of 128."""
    _, bank, _ = banks_of(sizes, engine)
    batch, repeats = sizes.batches[0], 20 * sizes.repeats
    table, steps = table_of(sizes, batch), iter(range(10**6))
    rng, worst = np.random.default_rng(0), (np.empty(0, np.int64), np.empty((0, 2)))
    plan = draw_plan(bank, table, 0, 0)

    def cut() -> Chips:
        return cut_chips(bank, table, plan)

    def both() -> Chips:
        return cut_chips(bank, table, draw_plan(bank, table, 0, next(steps)))

    ways: dict[str, Callable[[], object]] = {
        "places drawn": lambda: draw_places(bank.places, bank.present, table, worst, rng),
        "plan drawn": lambda: draw_plan(bank, table, 0, next(steps)), "chips cut": cut, "drawn and cut": both,
    }  # fmt: skip
    found = {f"{name} ms": 1e3 * time_of(way, engine, repeats) for name, way in ways.items()}
    with plain_sampler():
        found["chips cut by torch alone ms"] = 1e3 * time_of(cut, engine, repeats)
    return {"batch": batch, "size": sizes.chip, "bands": BANDS, "masks": CLASSES} | found


def step(sizes: Sizes, engine: Engine, _out: Path) -> dict[str, Any]:
    """Time the training loop."""
    rows = []
    for batch in sizes.batches:
        for name, context in (("as it is", contextlib.nullcontext()), ("without a graph", without_graphs())):
            net, bank, _ = banks_of(sizes, engine)
            stamps: list[float] = []
            said: list[str] = []
            clock, every = clock_of(engine), max(1, sizes.steps // 6)

            def on_step(done: int, _total: int, _loss: torch.Tensor, stamps=stamps, clock=clock, every=every) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
                if done % every == 0:
                    stamps.append(clock())

            run = setup_of(sizes, engine, net, bank, batch, sizes.steps)
            with context:
                train(run, Callbacks(on_step, on_warning=said.append))
            seconds = statistics.median(np.diff(stamps)) / every
            memory = torch.cuda.max_memory_allocated(engine.device) / 2**30 if engine.device.type == "cuda" else 0.0
            parameters = sum(p.numel() for p in net.parameters())
            rows.append(
                {"batch": batch, "way": name, "ms": 1e3 * seconds, "patches/s": batch / seconds, "GiB": memory,
                 "parameters": parameters, "said": said}
            )  # fmt: skip
    return {"bands": BANDS, "size": sizes.chip, "steps": rows}


def predicted(net: SegmentationNet, scene: SceneArrays, engine: Engine, symmetries: int) -> np.ndarray:
    """Predict a scene as `predict` does on a GPU: bytes come back."""
    table = PredictTable(symmetries=symmetries)  # type: ignore[arg-type]
    reader = replace(scene_reader([net], scene, engine), sends=True)
    owners = tuple(((k, 1.0),) for k in range(CLASSES))
    windows = device_strips([net], table, scene.shape_hw, engine) or scene.grid.window.strips(BLOCK_ROWS)
    made = np.empty((CLASSES, *scene.shape_hw), np.uint8)
    with contextlib.closing(predict_bytes([net], reader, table, owners, windows)) as strips:
        for window, bytes_khw in zip(windows, strips, strict=True):
            made[:, *window.slices] = bytes_khw
    return made


def predicted_plainly(net: SegmentationNet, scene: SceneArrays, engine: Engine, symmetries: int) -> np.ndarray:
    """Predict a scene by probabilities that come back, tile by tile, and become bytes here."""
    table = PredictTable(symmetries=symmetries)  # type: ignore[arg-type]
    owners = tuple(((k, 1.0),) for k in range(CLASSES))
    made = np.empty((CLASSES, *scene.shape_hw), np.uint8)
    with contextlib.closing(predict_tiles([net], scene, engine, table)) as tiles:
        for window, p_khw in tiles:
            known = np.ones(window.shape_hw, np.bool_)
            made[:, *window.slices] = to_bytes(list(p_khw), known, owners, table)[:-1]
    return made


def scene(sizes: Sizes, engine: Engine, _out: Path) -> dict[str, Any]:
    """Time the prediction of a scene, one view and eight symmetries."""
    ground = make_scene(*sizes.scene)
    net = make_net(ground, CONTEXT).eval()
    found = {}
    for symmetries in (1, 8):
        for name, way in (("bytes come back", predicted), ("probabilities come back", predicted_plainly)):
            seconds = time_of(lambda w=way, s=symmetries: w(net, ground, engine, s), engine, sizes.repeats)  # type: ignore[misc]
            found[f"{symmetries} views, {name} s"] = seconds
    return {"scene": sizes.scene, "bands": BANDS, "classes": CLASSES} | found


def run(sizes: Sizes, _engine: Engine, out: Path) -> dict[str, Any]:
    """Time the command `run` on a synthetic world."""
    program = [sys.executable, "-c", "from landscribe.cli import main; main()"]
    world, recipe, folder = out / "world", out / "recipe.toml", out / f"run-{time.time_ns()}"
    if not world.is_dir():
        subprocess.run([*program, "world", str(world), *sizes.world, "--seed", "1"], check=True, stdout=sys.stderr)
    recipe.write_text(RECIPE.format(root=world.resolve().as_posix(), **sizes.network))
    begin = time.perf_counter()
    subprocess.run([*program, "run", str(recipe), "--run", str(folder)], check=True, stdout=sys.stderr)
    seconds = time.perf_counter() - begin
    return {"run s": seconds, "world": sizes.world, "network": sizes.network}


def profile(sizes: Sizes, engine: Engine, out: Path) -> dict[str, Any]:
    """Profile some steps: the kernels and operations that take longest."""
    net, bank, _ = banks_of(sizes, engine)
    kinds = [torch.profiler.ProfilerActivity.CPU]
    kinds += [torch.profiler.ProfilerActivity.CUDA] if engine.device.type == "cuda" else []
    steps, skipped = min(sizes.steps, 14), min(sizes.steps, 14) // 2
    profiler = torch.profiler.profile(activities=kinds)

    def on_step(done: int, _total: int, _loss: torch.Tensor) -> None:
        if done == skipped:
            settle(engine)
            profiler.start()
        if done == steps - 1:
            settle(engine)
            profiler.stop()

    train(setup_of(sizes, engine, net, bank, sizes.batches[0], steps), Callbacks(on_step))
    key = "self_device_time_total" if engine.device.type == "cuda" else "self_cpu_time_total"
    rows = sorted(profiler.key_averages(), key=lambda row: -getattr(row, key))[:40]
    (out / "profile.txt").write_text(profiler.key_averages().table(sort_by=key, row_limit=40))
    return {
        "steps": steps - 1 - skipped,
        "rows": [{"name": row.key, "calls": row.count, "us": getattr(row, key)} for row in rows],
    }


PARTS: dict[str, Callable[[Sizes, Engine, Path], dict[str, Any]]] = {
    "check": check, "chips": chips, "step": step, "scene": scene, "run": run, "profile": profile,
}  # fmt: skip


if __name__ == "__main__":
    main()
