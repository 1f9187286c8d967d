"""Soft labels: the mean of views and networks, weighted by certainty and agreement."""

import numpy as np
import torch

from landscribe.core.grid import Window
from landscribe.core.recipe import InputTable, NetworkTable, PredictTable
from landscribe.core.sensors import SensorSpec
from landscribe.nn.device import choose_engine
from landscribe.nn.network.bundle import ModelSpec, build_network
from landscribe.nn.network.stem import compute_statistics
from landscribe.nn.predict.soft import soft_labels
from scenes import make_arrays

SHAPE = (47, 61)
SENSOR = SensorSpec("F", "f", ("red", "green", "nir"), 8)
FIELDS = np.random.default_rng(1).integers(1, 250, (3, 4, 5), dtype=np.uint8).repeat(13, 1).repeat(13, 2)
FIELDS = FIELDS[:, : SHAPE[0], : SHAPE[1]]
SCENE = make_arrays({"F": FIELDS}, sensors=(SENSOR,))
EXACT = choose_engine("cpu", "float32")


def make_net(seed, odd=0.0):
    """A network that says something of noise; `odd` makes it another one, a little."""
    spec = ModelSpec("m", ("a", "b"), (SENSOR,), {"F": 1.0}, InputTable(), NetworkTable(filters=4, depth=2), 8)
    net = build_network(spec, compute_statistics([SCENE], 0.1), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    torch.nn.init.normal_(net.unet.head.weight, 0, 2, generator=generator)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    seen = torch.from_numpy(SCENE.images_chw["F"][None, :, :46, :60].astype(np.float32))
    with torch.no_grad():
        net.train()({"F": seen}, {"F": torch.ones(1, 1, 46, 60, dtype=torch.bool)})
        net.unet.head.bias[0] += odd
    return net.eval()


def label(nets, predict=None, least=0.0, bound=1.0):
    whole = np.zeros((3, *SHAPE), np.uint8)
    table = predict or PredictTable(symmetries=1)
    for window, part_khw in soft_labels(nets, SCENE, EXACT, table, least=least, bound=bound):
        whole[:, *window.slices] = part_khw
    return whole


def views_of(nets, turns):
    """What each network says of each quarter turn of the mirrored scene, turned back, (N, K, H, W)."""
    frame = 8
    image = np.pad(SCENE.images_chw["F"], ((0, 0), (frame, frame), (frame, frame)), mode="symmetric").astype(np.float32)
    image = np.pad(image, ((0, 0), (0, image.shape[1] % 2), (0, image.shape[2] % 2)), mode="symmetric")
    found = []
    for net in nets:
        for k in range(turns):
            turned = torch.from_numpy(np.rot90(image, k, (1, 2)).copy())[None]
            with torch.no_grad():
                logits = net({"F": turned}, {"F": torch.ones(1, 1, *turned.shape[2:], dtype=torch.bool)})[0]
            back = np.rot90(torch.sigmoid(logits).numpy(), -k, (1, 2))
            found.append(back[:, frame : frame + SHAPE[0], frame : frame + SHAPE[1]])
    return np.array(found, np.float64)


def test_labels_are_means_and_weights_fall_with_doubt_and_disagreement():
    nets = [make_net(1), make_net(1, odd=2.0)]
    views_nkhw = views_of(nets, 4)
    mean, spread = views_nkhw.mean(axis=0), views_nkhw.std(axis=0)
    weight = np.abs(2 * mean - 1).min(axis=0) * (1 - 2 * spread.max(axis=0))
    inner = Window(0, 0, *SHAPE).pad(-16).slices  # frames of the oracle end at another pixel
    found = label(nets)
    assert np.abs(found[:2] / 255 - mean)[:, *inner].max() < 0.01
    assert np.abs(found[2] / 255 - weight)[inner].max() < 0.02
    assert found[2][inner].std() > 10
    contradicted = label([make_net(1), make_net(2)])[2][inner]
    assert contradicted.mean() < 0.5 * label([make_net(1)])[2][inner].mean()


def test_little_certainty_is_none_and_no_label_is_too_certain():
    nets = [make_net(1), make_net(1, odd=2.0)]
    whole, part = label(nets), label(nets, least=0.3, bound=0.9)
    kept = whole[2] >= np.rint(0.3 * 255)
    assert 0 < kept.mean() < 1
    assert (part[2] == whole[2] * kept).mean() > 0.99
    assert (part[:2].min(), part[:2].max()) == (26, 230)
    assert whole[:2].max() > 240


def test_tiles_are_not_seen():
    nets = [make_net(3)]
    whole, tiled = label(nets), label(nets, PredictTable(symmetries=8, tile=32))
    eight = label(nets, PredictTable(symmetries=8))
    assert np.abs(tiled.astype(int) - eight).max() <= 1
    assert np.abs(eight.astype(int) - whole).max() > 1
