"""One scene of a run as a map shows it: its pictures, probabilities and polygons within a number of bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray
from landscribe.core.grid import Window
from landscribe.core.legend import Legend
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.prepared import PreparedScene
from landscribe.io.run.runs import Run
from landscribe.io.vector.vectors import read_own
from landscribe.report.map.bands import Band, Codes, bands_of, codes_of, read_bands, to_codes, views_of
from landscribe.report.map.frames import Frame, extent_of, place_of
from landscribe.report.map.layers import Layer, errors_of, judge, layer_of, move, thin
from landscribe.report.map.tiles import Tiled, factor_within, tile_within, top_level
from landscribe.report.pictures import shrink
from landscribe.workers import result_of, stop_if_asked, thread_pool

SIDE, BAND_SIDE, PROBABILITY_SIDE = 4096, 1024, 1024
"""Longest sides, in pixels, of the first picture, of the other bands, and of the probabilities."""
FAINT = 13
"""A class that is nowhere more probable than this, of 255, has no picture of its probability."""


@dataclass(frozen=True)
class Budget:
    """Bytes that one scene may take in the page."""

    picture: int
    bands: int
    probability: int
    polygons: int


@dataclass(frozen=True)
class SceneMap:
    """What a page holds of one scene."""

    row: Mapping[str, Any]
    """Its row in the manifest."""
    content: Mapping[str, Any]
    """Images and packed polygons."""
    found: Layer | None
    """What the model found, judged where the scene has labels."""
    truth: Layer | None
    kept: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """Layer -> numbers of the polygons that are in the page."""
    shown: int = 0
    """Polygons of prediction and truth in the page."""
    total: int = 0
    """All of them."""
    tolerance_px: float = 0.0
    """How far lines were moved at most."""
    coarser: int = 1
    """Pixels of the scene along one side of a pixel of the picture."""


def map_scene(
    run: Run,
    scene: PreparedScene,
    legend: Legend,
    frame: Frame,
    budget: Budget,
    pool: ThreadPoolExecutor,
    *,
    split: str,
    jaccard: float = math.nan,
) -> SceneMap:
    """Make what a page shows of one scene.

    Args:
        run: The run folder.
        scene: A prepared scene, with its corner where only that validates; what else there is of it is shown.
        legend: Classes to show.
        frame: Where it lies.
        budget: Bytes it may take.
        pool: Threads that make its pictures; how many makes no difference to them.
        split: Side of the split it stands on.
        jaccard: Its score, NaN where it has none.

    Raises:
        DataError: If a file is damaged.
    """
    place = place_of(scene.grid, frame)
    extent = extent_of(scene.grid, frame)
    origin, pixel = (extent[0], extent[3]), math.sqrt(abs(place.determinant))
    bands = bands_of(scene)
    # A thread of its own, for it waits for those of the pool. GeoPandas stays in this one.
    with thread_pool(1, "pictures") as beside:
        pictures = beside.submit(_pictures, scene, bands, budget, pool)
        layers = sides_of(run, scene, legend, frame)
        found, truth = layers.get("found"), layers.get("truth")
        if found is not None and truth is not None:
            layers |= errors_of(found, truth, _region(scene, frame), 0.25 * pixel)
        thinned = thin(layers, origin, pixel, budget.polygons)
        probability = _probability(run, scene, legend, budget.probability, pool)
        rows, images = result_of(pictures)
    names = ["picture", *(["probability"] if probability else []), *thinned.packed]
    row = {
        "id": scene.id,
        "frame": frame.id,
        "extent": list(extent),
        "size": [scene.grid.width, scene.grid.height],
        "split": split,
        "jaccard": None if math.isnan(jaccard) else round(jaccard, 4),
        "bands": rows,
        "views": views_of(scene, bands),
        "probability": [one["class"] for one in probability],
        "layers": names,
        "counts": {kind: len(layers[kind].area) for kind in ("found", "truth") if kind in layers},
    }
    kept = {
        kind: frozenset(thinned.packed[kind].get("id", ())) for kind in ("found", "truth") if kind in thinned.packed
    }
    coarser = 2 ** _levels_lost(scene, images[0])
    plain = [{"tiles": image.to_plain()} for image in images]
    content = {"images": plain, "probability": probability, "layers": dict(thinned.packed)}
    return SceneMap(row, content, found, truth, kept, thinned.shown, thinned.total, thinned.tolerance_px, coarser)


def sides_of(run: Run, scene: PreparedScene, legend: Legend, frame: Frame) -> dict[str, Layer]:
    """Return prediction and truth of a scene in its frame, as far as there are any, judged where there are both."""
    to_frame = ~frame.to_map
    file = run.features(scene.id)
    layers: dict[str, Layer] = {}
    if file.is_file():
        layers["found"] = layer_of(read_own(run.checked(file)), legend, to_frame)
    if scene.is_labelled:
        layers["truth"] = layer_of(scene.read_labels(), legend, to_frame)
    if len(layers) == 2:
        layers["found"], layers["truth"] = judge(layers["found"], layers["truth"], _region(scene, frame))
    return layers


def _region(scene: PreparedScene, frame: Frame) -> BaseGeometry:
    ground = np.empty(1, object)
    ground[0] = scene.labelled_ground()
    region: BaseGeometry = move(ground, ~frame.to_map)[0]
    return region


def _levels_lost(scene: PreparedScene, image: Tiled) -> int:
    return top_level(scene.grid.shape_hw) - image.top


def _pictures(
    scene: PreparedScene, bands: Sequence[Band], budget: Budget, pool: ThreadPoolExecutor
) -> tuple[list[dict[str, Any]], list[Tiled]]:
    """Return the bands as they stand in the manifest, and the images that hold them."""
    views = views_of(scene, bands)
    first = list(dict.fromkeys(views[0]["bands"]))
    rest = [k for k in range(len(bands)) if k not in first]
    rows: list[dict[str, Any]] = [{"name": band.name} for band in bands]
    images: list[Tiled] = []

    def codes(numbers: Sequence[int], factor: int) -> tuple[list[ByteArray], BoolArray]:
        image_chw, valid_hw = read_bands(scene, [bands[k] for k in numbers], factor)

        def code(band_hw: AnyArray) -> tuple[Codes, ByteArray]:
            stop_if_asked()
            own = codes_of(band_hw, valid_hw)
            return own, to_codes(band_hw, own)

        channels = []
        for k, (own, codes_hw) in zip(numbers, pool.map(code, image_chw), strict=True):
            rows[k] |= {"low": own.low, "high": own.high, "first": own.first, "last": own.last}
            channels.append(codes_hw)
        return channels, valid_hw

    def read_first(factor: int) -> tuple[ByteArray, BoolArray]:
        channels, valid_hw = codes(first, factor)
        # WebP knows grey pictures and those of three channels.
        merged = cv2.merge(channels + (channels[-1:] if len(channels) == 2 else []))
        return np.asarray(merged, np.uint8).reshape(*valid_hw.shape, -1), valid_hw

    shape_hw = scene.grid.shape_hw
    images.append(tile_within(read_first, shape_hw, SIDE, budget.picture, pool))
    for channel, k in enumerate(first):
        rows[k] |= {"image": 0, "channel": channel}
    for sensor in dict.fromkeys(bands[k].sensor for k in rest):
        numbers = [k for k in rest if bands[k].sensor == sensor]
        channels, valid_hw = codes(numbers, factor_within(shape_hw, BAND_SIDE))
        for k, channel_hw in zip(numbers, channels, strict=True):
            rows[k] |= {"image": len(images), "channel": 0}
            images.append(_tile_one(channel_hw, valid_hw, shape_hw, BAND_SIDE, budget.bands // len(rest), pool))
    return rows, images


def _probability(
    run: Run, scene: PreparedScene, legend: Legend, limit_bytes: int, pool: ThreadPoolExecutor
) -> list[dict[str, Any]]:
    file = run.probability(scene.id)
    if not file.is_file():
        return []
    factor = factor_within(scene.grid.shape_hw, PROBABILITY_SIDE)
    with open_raster(run.checked(file)) as raster:
        shape_hw = raster.info.grid.shape_hw

        def read(row: int, rows: int) -> tuple[AnyArray, BoolArray]:
            return raster.read(Window(row, 0, rows, shape_hw[1]))

        p_khw, valid_hw = shrink(read, shape_hw, factor)
    named = [(c, p_hw) for c, p_hw in zip(legend, p_khw, strict=True) if (p_hw[valid_hw] > FAINT).any()]
    rows = []
    for land_class, p_hw in named:
        codes_hw = np.rint(p_hw).astype(np.uint8)
        tiled = _tile_one(codes_hw, valid_hw, shape_hw, PROBABILITY_SIDE, limit_bytes // len(named), pool)
        rows.append({"class": land_class.id, "tiles": tiled.to_plain()})
    return rows


def _tile_one(
    codes_hw: ByteArray, valid_hw: BoolArray, shape_hw: tuple[int, int], side: int, limit: int, pool: ThreadPoolExecutor
) -> Tiled:
    return tile_within(lambda _factor: (codes_hw[..., None], valid_hw), shape_hw, side, limit, pool)
