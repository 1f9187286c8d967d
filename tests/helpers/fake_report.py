"""A run that never was, for looking at its report."""

from __future__ import annotations

from dataclasses import replace

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine

from landscribe.core.burn import burn_mask
from landscribe.core.features import join_features, make_features, of_class
from landscribe.core.grid import Grid
from landscribe.core.legend import LandClass, Legend
from landscribe.core.score.areas import Areas
from landscribe.core.score.scores import score_features
from landscribe.report.data import ReportData, SceneView, Unlike
from landscribe.report.overlays import ClassGround, draw_layers
from landscribe.report.pictures import encode, hatch, stretch
from landscribe.report.views import curve_of

NASTY = "<img src=x onerror=alert(1)>"
LEGEND = Legend(
    (
        LandClass(1, "building", "#B22222", countable=True),
        LandClass(2, "tree", "#1B7837"),
        LandClass(3, NASTY, "#D9C84A"),
        LandClass(4, "standing-water", "#67A9CF"),
    )
)
GRID = Grid(211, 307, Affine.identity())
REGION = shapely.box(0, 0, 307, 180)


def blobs(rng: np.random.Generator, count: int, radius: float) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 17, endpoint=False)
    reach = radius * rng.uniform(0.6, 1.2, (count, 17))
    centre = rng.uniform(10, 200, (count, 2)) * (1.45, 1.0)
    return shapely.polygons(
        np.stack((centre[:, :1] + reach * np.cos(angle), centre[:, 1:] + reach * np.sin(angle)), -1)
    )


def houses(rng: np.random.Generator, count: int) -> np.ndarray:
    corner = rng.uniform(5, 190, (count, 2)) * (1.5, 1.0)
    size = rng.uniform(6, 18, (count, 2))
    return shapely.box(*corner.T, *(corner + size).T)


def make_sides(scene: str, seed: int) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame]:
    rng = np.random.default_rng(seed)
    true, found = [], []
    for land_class, shapes in zip(LEGEND, (houses(rng, 14), blobs(rng, 40, 6), blobs(rng, 2, 30)), strict=False):
        moved = shapely.transform(shapes[1:], lambda xy: xy + rng.normal(0, 1.0 + seed % 3, 2))
        true.append(make_features(scene, land_class, shapes))
        found.append(make_features(scene, land_class, np.concatenate((moved, houses(rng, 1)))))
    return join_features(found), join_features(true)


def make_view(scene: str, predicted: gpd.GeoDataFrame, truth: gpd.GeoDataFrame, seed: int) -> SceneView:
    rng = np.random.default_rng(seed)
    image_chw = rng.normal(300, 25, (3, *GRID.shape_hw)).astype(np.float32)
    for land_class, colour in zip(LEGEND, ((160, 120, 110), (-60, 60, -80), (90, 80, 0)), strict=False):
        mask_hw = burn_mask(of_class(truth, land_class.name), GRID.shape_hw) > 0
        image_chw += np.array(colour, np.float32)[:, None, None] * mask_hw
    scored_hw = np.zeros(GRID.shape_hw, bool)
    scored_hw[:180] = True
    content, shape_hw = encode(hatch(stretch(image_chw, np.ones(GRID.shape_hw, bool)), scored_hw), 200_000)
    ground = {n: ClassGround(of_class(predicted, n), of_class(truth, n)) for n in LEGEND.names}
    layers, tolerance = draw_layers(ground, Affine.identity(), shape_hw, 300_000, REGION)
    return SceneView(
        scene, f"place {seed // 2}", "validate", content, *shape_hw, layers, tolerance, 1, ("red", "green", "blue")
    )


def make_report(scenes: int = 5) -> ReportData:
    ids = [f"scene_{i}" for i in range(scenes)]
    sides = [make_sides(scene, i) for i, scene in enumerate(ids)]
    predicted, truth = (join_features(part) for part in zip(*sides, strict=True))
    rng = np.random.default_rng(99)
    pixel = {scene: {name: Areas(900, 80, 90) for name in LEGEND.names[:3]} for scene in ids}
    score = score_features(
        predicted, truth, LEGEND, dict.fromkeys(ids, GRID), dict.fromkeys(ids, REGION),
        places={scene: f"place {i // 2}" for i, scene in enumerate(ids)}, pixel=pixel, boundary=3.0,
    )  # fmt: skip
    levels = np.arange(256) / 255
    counts = (rng.uniform(0.8, 1.2, (2, 256)) * 3000 * np.stack((1 - levels, levels)) ** 2).astype(np.int64)
    epochs = np.arange(1, 31)
    history = tuple(
        {
            "epoch": float(e), "step": 50.0 * e, "loss": float(0.2 + np.exp(-e / 6)), "seconds": 4.0,
            "valid_loss": float(0.3 + np.exp(-e / 7)), "valid_jaccard": float(0.6 - 0.5 * np.exp(-e / 8)),
            **{f"jaccard/{n}": float(0.7 - 0.1 * k - 0.5 * np.exp(-e / 8)) for k, n in enumerate(LEGEND.names)},
        }
        for e in epochs
    )  # fmt: skip
    return ReportData(
        title=f"fake {NASTY}",
        legend=LEGEND,
        written="2026-01-02 03:04 UTC",
        score=score,
        scenes=tuple(make_view(scene, *side, i) for i, (scene, side) in enumerate(zip(ids, sides, strict=True))),
        splits={scene: (f"place {i // 2}", "validate") for i, scene in enumerate(ids)} | {"other": (NASTY, "train")},
        unlike=(
            Unlike("held-out scenes together", 0.42, 1.31),
            Unlike(f"scene {NASTY}", float("nan"), float("nan")),
        ),
        areas={
            "train": {"building": 40_000.0, "tree": 5000.0, NASTY: 100.0, "standing-water": 0.0},
            "validate": {"building": 9000.0, "tree": 8000.0, NASTY: 4000.0, "standing-water": 0.0},
        },
        area_unit="px2",
        histories={"all": history},
        curves=tuple(curve_of(name, counts, 0.5) for name in LEGEND.names[:3]),
        alignment=tuple(
            dict(zip(("scene", "sensor", "row_px", "col_px", "score", "spread", "decision"), row, strict=True))
            for row in (
                ("scene_0", "RGB", "0.0", "0.0", "", "", "reference"),
                ("scene_0", "M", "2.31", "-1.5", "0.93", "0.04", "applied"),
                ("scene_1", NASTY, "0.0", "0.0", "0.12", "9.3", "refused"),
            )
        ),
        dropped=(("prepare", f"outside of the scene {NASTY}", 17), ("vectorize", "building: below minimum area", 1234)),
        failed=(("scene_9", f"damaged {NASTY}"),),
        notes=(f"no model owns {NASTY!r}",),
        recipe=f'seed = 0\n[data]\nroot = "{NASTY}</pre></script>"\n',
        versions={"landscribe": "0.1.0", "python": "3.11", NASTY: "1"},
        seconds={"prepare": 12.3, "train": 4000.0, "predict": 61.0},
    )  # fmt: skip


def make_unscored() -> ReportData:
    """The same without any truth."""
    data = make_report(2)
    bare = tuple(
        replace(
            v,
            split="unlabelled",
            layers=tuple(replace(x, truth="", found="", invented="", missed="") for x in v.layers),
        )
        for v in data.scenes
    )
    areas = dict.fromkeys(LEGEND.names, 1200.0)
    return replace(data, score=None, scenes=bare, curves=(), areas={}, unlike=(), predicted_areas=areas, splits={})
