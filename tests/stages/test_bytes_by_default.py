"""Bytes without being asked for: on processors that are made for them, for scenes that are large and stand alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid
from landscribe.io.project import StageResult, open_project
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.library.model import load_model
from landscribe.nn import device, private_ops
from landscribe.stages.doctor import doctor
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from small_scenes import TO_PREDICT, train_small

pytestmark = pytest.mark.skipif(not private_ops.can_multiply_bytes(), reason="this torch has no convolutions of bytes")
SIDE = 571
FLAGS = {"fast": "avx2 avx512f avx512_vnni", "slow": "avx2 avx512f", "bf16": "avx2 avx512_vnni amx_bf16"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_small(tmp_path_factory.mktemp("small"))


@pytest.fixture
def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(device, "CPU_INFO", tmp_path / "cpuinfo")

    def choose(kind: str) -> None:
        (tmp_path / "cpuinfo").write_text(f"vendor_id\t: GenuineIntel\nflags\t\t: {FLAGS[kind]}\n")

    return choose


def write(folder: Path, name: str, height: int, east_px: int) -> None:
    grid = Grid(height, SIDE, Affine(2, 0, 300_000 + 2 * east_px, 0, -2, 5_000_000), CRS.from_epsg(32633))
    image = np.random.default_rng(east_px).integers(1, 255, (3, *grid.shape_hw), dtype=np.uint8)
    with write_raster(folder / "img" / f"{name}.tif", grid, count=3, dtype="uint8") as writer:
        writer.write(grid.window, image)


def predicted(folder: Path, models: Path, more: str = "") -> tuple[Run, StageResult]:
    (folder / "r.toml").write_text(TO_PREDICT.replace("tile = 32", more))
    project, run = open_project(load_recipe(folder / "r.toml")), open_run(folder / "run")
    prepare(project, run)
    return run, predict(project, run, models=models)


def said(result: StageResult) -> list[str]:
    return [note for note in result.notes if "in bytes" in note]


def test_a_large_scene_alone_is_predicted_in_bytes_and_nothing_else_is(
    tmp_path: Path, models: Path, processor: Callable[[str], None]
) -> None:
    (tmp_path / "img").mkdir()
    write(tmp_path, "large", SIDE, 0)
    write(tmp_path, "small", 97, 50_000)
    write(tmp_path, "west", SIDE, 90_000)
    write(tmp_path, "east", SIDE, 90_000 + SIDE)
    processor("fast")
    run, result = predicted(tmp_path, models)
    in_bytes = {i: bool(record.counts.get("scenes in bytes")) for i, record in run.records("predict").items()}
    assert in_bytes == {"large": True, "small": False, "west": False, "east": False}
    [note] = said(result)
    assert note.startswith("predicted in bytes, for speed: 1 of 4 scenes")


def test_another_processor_makes_nothing_anew_and_its_own_precision(
    tmp_path: Path, models: Path, processor: Callable[[str], None]
) -> None:
    (tmp_path / "img").mkdir()
    write(tmp_path, "large", SIDE, 0)
    made = {}
    for kind in FLAGS:
        processor(kind)
        run, result = predicted(tmp_path, models)
        assert said(result) != []  # of the first, which is kept
        assert result.current == (["large"] if made else [])
        made[kind] = run.probability("large").read_bytes()
    assert len(set(made.values())) == 1
    processor("slow")
    run.forget("predict", "large")
    _, result = predicted(tmp_path, models)
    assert said(result) == []
    assert run.probability("large").read_bytes() != made["fast"]
    processor("fast")
    run.forget("predict", "large")
    _, result = predicted(tmp_path, models, 'precision = "float32"')
    assert said(result) == []


def test_images_in_memory_get_the_bytes_of_the_run(
    tmp_path: Path, models: Path, processor: Callable[[str], None]
) -> None:
    (tmp_path / "img").mkdir()
    write(tmp_path, "large", SIDE, 0)
    processor("fast")
    run, _ = predicted(tmp_path, models)
    model = load_model(models, overrides=["predict.symmetries=1"])
    with open_raster(run.probability("large")) as raster:
        expected = dict(zip(raster.info.descriptions, raster.read()[0], strict=True))
    found = model.predict(tmp_path / "img" / "large.tif")
    for name, band_hw in zip(found.classes, found.values_khw, strict=True):
        np.testing.assert_array_equal(band_hw, expected[name])


def test_doctor_says_so(processor: Callable[[str], None]) -> None:
    for kind, text in (("fast", "tried; taken for large scenes where the recipe says nothing"), ("slow", "tried")):
        processor(kind)
        assert ('precision "int8"', text, True) in doctor()
