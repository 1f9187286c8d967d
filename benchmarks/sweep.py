"""Prediction of a scene against plain tiles: python benchmarks/sweep.py [--json] [--height 3349] [--width 3391].

Plain: eager float32, channels-first, tiles of 96 px that yield 64 px, sixteen at a time. Ours: what `predict` runs,
one view and eight, and on a processor the same in bytes (`predict.precision = "int8"`). The share of the best rate is
that of the plain network's products, each pixel seen once, in that of the fastest convolution or product of the type.
Without `--height` a third of the scene is predicted: a plain pass over all of it takes minutes.
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from landscribe.core.arrays import FloatArray
from landscribe.core.recipe import PredictTable
from landscribe.nn.device import Engine, choose_engine
from landscribe.nn.network.bundle import SegmentationNet
from landscribe.nn.predict.tiles import predict_tiles, tile_side
from landscribe.nn.scene import SceneArrays
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
    plain_twin,
)
from side_by_side import report, time_in_turn

TILE, OUT, AT_ONCE = 96, 64, 16
FRAME = (TILE - OUT) // 2
PLAIN, OURS, OURS_8 = "plain: float32, 96-px tiles", "landscribe, one view", "landscribe, eight symmetries"
BYTES, BYTES_8 = "landscribe in int8, one view", "landscribe in int8, eight symmetries"


def predict_plainly(net: PlainUNet, image_chw: FloatArray, device: torch.device, whole: FloatArray) -> None:
    """Write probabilities of a normalised image, tile by tile, into (K, height, width)."""
    _, height, width = image_chw.shape
    rows, cols = -(-height // OUT), -(-width // OUT)
    margins = ((0, 0), (FRAME, FRAME + rows * OUT - height), (FRAME, FRAME + cols * OUT - width))
    framed = np.pad(image_chw, margins, mode="symmetric")
    places = [(i * OUT, j * OUT) for i in range(rows) for j in range(cols)]
    inner = slice(FRAME, FRAME + OUT)
    with torch.no_grad():
        for first in range(0, len(places), AT_ONCE):
            chosen = places[first : first + AT_ONCE]
            batch = torch.from_numpy(np.stack([framed[:, i : i + TILE, j : j + TILE] for i, j in chosen])).to(device)
            p = torch.sigmoid(net(batch))[:, :, inner, inner].cpu().numpy()
            for (i, j), one in zip(chosen, p, strict=True):
                whole[:, i : i + OUT, j : j + OUT] = one[:, : height - i, : width - j]


def predict_ours(net: SegmentationNet, scene: SceneArrays, engine: Engine, symmetries: int, whole: FloatArray) -> None:
    """Write probabilities of a scene of raw numbers, as `predict` makes them, into (K, height, width)."""
    table = PredictTable(symmetries=symmetries)  # type: ignore[arg-type]
    for window, p_khw in predict_tiles([net], scene, engine, table):
        whole[:, *window.slices] = p_khw


def main() -> None:
    """Run the benchmark."""
    arguments = parse(__doc__, height=1117, width=3391)
    engine = engine_of(arguments)
    scene = make_scene(arguments.height, arguments.width)
    net = make_net(scene).eval()
    plain = plain_twin(net).eval().to(engine.device)
    low, high, mean, std = (getattr(net.stem, f"{field}_0")[0].numpy() for field in ("low", "high", "mean", "std"))
    normal = (np.clip(scene.images_chw["M"].astype(np.float32), low, high) - mean) / std
    # Results go where those of the run before lay, as into a file: nobody keeps them.
    made = np.empty((CLASSES, *scene.shape_hw), np.float32)
    ways = {
        PLAIN: lambda: predict_plainly(plain, normal, engine.device, made),
        OURS: lambda: predict_ours(net, scene, engine, 1, made),
        OURS_8: lambda: predict_ours(net, scene, engine, 8, made),
    }
    in_bytes = choose_engine("cpu", "int8") if engine.device.type == "cpu" else engine
    if engine.device.type == "cpu":
        ways[BYTES] = lambda: predict_ours(net, scene, in_bytes, 1, made)
        ways[BYTES_8] = lambda: predict_ours(net, scene, in_bytes, 8, made)
    wall: dict[str, float] = {}
    seconds = time_in_turn(ways, arguments.repeats, clock_of(engine), wall)
    pixels = arguments.height * arguments.width
    rates = {name: pixels / s / 1e6 for name, s in seconds.items()}
    notes = {
        name: f"{rate:.3f} Mpx/s a thread, {wall[PLAIN] / wall[name]:.2f} x on the wall" for name, rate in rates.items()
    }
    engines = {PLAIN: Engine(engine.device, torch.float32, "plain"), OURS: engine, OURS_8: engine}
    engines |= {name: in_bytes for name in (BYTES, BYTES_8) if name in ways}
    known = {one.precision: limits(one) for one in engines.values()}
    flop = count_flop(lambda: plain(torch.zeros(1, BANDS, TILE, TILE, device=engine.device))) / TILE**2 * pixels
    shares = {
        name: flop * (8 if name in {OURS_8, BYTES_8} else 1) / seconds[name] / max(known[one.precision].values())
        for name, one in engines.items()
    }
    for name, share in shares.items():
        notes[name] += f", {share:.0%} of its best rate"
    for one, eight in ((OURS, OURS_8), (BYTES, BYTES_8)):
        if eight in notes:
            notes[eight] += f", {seconds[eight] / seconds[one]:.2f} times one view"
    side = tile_side([net], PredictTable(), scene.shape_hw, engine)
    report(f"{arguments.height} x {arguments.width}, {CLASSES} classes, tile {side}", seconds, PLAIN, notes)
    exact = np.empty_like(made)
    predict_ours(net, scene, Engine(engine.device, torch.float32, "benchmark"), 1, exact)
    difference: dict[str, float] = {}
    for name, way in ((engine.precision, OURS), ("int8", BYTES)):
        if way in ways:
            ways[way]()
            away = np.abs(made - exact)
            difference |= {f"{name} against float32, mean": float(away.mean())}
            difference |= {f"{name} against float32, largest": float(away.max())}
    ways[PLAIN]()
    inner = slice(FRAME * 8, -FRAME * 8)
    difference["context of 16 px against all, mean"] = float(np.abs(made - exact)[:, inner, inner].mean())
    print(f"  {difference}", file=sys.stderr)
    medians = {f"{name} s": s for name, s in seconds.items()} | {f"{name} Mpx/s": r for name, r in rates.items()}
    medians |= {f"{name} wall s": s for name, s in wall.items()}
    more = {"ratio_int8": seconds[PLAIN] / seconds[BYTES]} if BYTES in seconds else {}
    finish(
        "sweep", arguments, engine, medians, seconds[PLAIN] / seconds[OURS], tile=side, differences=difference,
        eight_symmetries_cost=seconds[OURS_8] / seconds[OURS], limits_flop_per_s=known, share_of_best=shares, **more,
    )  # fmt: skip


if __name__ == "__main__":
    main()
