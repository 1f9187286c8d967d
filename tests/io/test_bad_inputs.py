"""Bad and odd files that nobody here wrote, judged as their own page says.

Every file is read in a worker process, so that a decoder that crashes or hangs is that file's failure alone.
"""

from __future__ import annotations

import csv
import hashlib
import math
import multiprocessing
import os
import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from pyproj import CRS

from landscribe.errors import LandscribeError
from landscribe.io.raster.rasters import open_raster
from landscribe.io.vector.vectors import read_features
from landscribe.io.vector.wkt_csv import read_csv_layer, read_wkt_csv
from landscribe.process import most_memory_bytes

ROOT = Path(os.environ.get("LANDSCRIBE_BAD_INPUTS", Path(__file__).parents[3] / "shared" / "bad_inputs"))
SECONDS, MEMORY_BYTES = 60, 6 << 30
REASONS = (
    "colour table", "type of pixels", "no sensor's bands", "ground control points", "not a readable GTiff",
    "damaged or cut short", "too many bands", "complex numbers",
)  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not ROOT.is_dir(), reason="LANDSCRIBE_BAD_INPUTS is absent")]


def manifest(name: str) -> list[dict[str, str]]:
    with (ROOT / name).open(encoding="utf-8", newline="") as file:
        csv.field_size_limit(1 << 28)
        return list(csv.DictReader(file))


def in_workers(work: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    """Return the result of each item, or the exception that its worker died of."""
    results: list[Any] = [None] * len(items)
    waiting = list(range(len(items)))
    context = multiprocessing.get_context("spawn")
    while waiting:
        with ProcessPoolExecutor(1, mp_context=context, initializer=be_small) as pool:
            futures = [(k, pool.submit(work, items[k])) for k in waiting]
            for k, future in futures:
                try:
                    results[k] = future.exception(timeout=SECONDS) or future.result()
                except TimeoutError as late:
                    results[k] = late
                waiting.remove(k)
                if isinstance(results[k], Exception) and pool._broken:  # type: ignore[attr-defined]
                    break
    return results


def be_small() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def read_raster(row: dict[str, str]) -> dict[str, Any]:
    path = ROOT / row["file"]
    try:
        with open_raster(path) as raster:
            image_chw, valid_hw = raster.read()
            info = raster.info
            if info.alpha_band is not None:
                alpha_hw = raster._dataset.read(info.alpha_band)
                image_chw = np.insert(image_chw, info.alpha_band - 1, alpha_hw, axis=0)
    except LandscribeError as error:
        return {"refused": str(error), "code": error.exit_code}
    return {
        "digest": hashlib.sha256(np.ascontiguousarray(image_chw).tobytes()).hexdigest()[:16],
        "dtype": info.dtype,
        "shape": image_chw.shape,
        "transform": " ".join(str(v) for v in tuple(info.grid.transform)[:6]),
        "crs": None if info.grid.crs is None else info.grid.crs.to_wkt(),
        "nodata": info.nodata,
        "valid": (valid_hw.shape, int(valid_hw.sum())),
        "mib": most_memory_bytes() >> 20,
    }


def same_crs(text: str, wkt: str | None) -> bool:
    if not text or wkt is None:
        return not text and wkt is None
    with rasterio.Env():
        ours = rasterio.crs.CRS.from_wkt(wkt)
        if text.startswith(("PROJCS", "GEOGCS")):  # the manifest keeps the beginning
            return ours.to_wkt()[:50] == text[:50]
        if text.startswith("IGNF"):  # a guess of GDAL's; the file itself names no CRS
            return ours.is_projected
        return CRS.from_user_input(text).equals(CRS.from_wkt(wkt), ignore_axis_order=True)


def verdict(row: dict[str, str], got: Any) -> str | None:
    """Return what is wrong with a result, or None."""
    if isinstance(got, Exception):
        return f"the worker died: {got!r}"
    if "refused" in got:
        line = got["refused"]
        fine = line.startswith(str(ROOT / row["file"])) and "\n" not in line and got["code"] in (3, 5)
        return None if fine and any(reason in line for reason in REASONS) else f"refused without a reason: {line}"
    if row["expectation"] != "read_exactly_or_reject_with_reason":
        return f"read, and should not be: {got}"
    checks = {
        "pixels": got["digest"] == row["pixel_sha256_16"],
        "dtype": got["dtype"] == row["dtype"],
        "shape": got["shape"] == tuple(int(row[k]) for k in ("count", "height", "width")),
        "transform": got["transform"] == row["transform"],
        "crs": same_crs(row["crs"], got["crs"]),
        "nodata": {str(got["nodata"])} == set(row["nodata"].split()),
        "memory": got["mib"] < 2048,
    }
    wrong = [name for name, fine in checks.items() if not fine]
    return f"differs in {', '.join(wrong)}: {got}" if wrong else None


def test_every_tiff_is_read_exactly_or_refused_with_the_reason():
    rows = manifest("MANIFEST_tiff.csv")
    results = in_workers(read_raster, rows)
    wrong = {r["file"]: v for r, g in zip(rows, results, strict=True) if (v := verdict(r, g)) is not None}
    assert wrong == {}
    assert len(rows) == 223
    refused = [r for r, g in zip(rows, results, strict=True) if "refused" in g]
    # Colour tables, CMYK, Lab, complex numbers and control points are refused on purpose; that shall not creep.
    assert len([r for r in refused if r["expectation"].startswith("read_exactly")]) == 39


def read_vector(name: str) -> dict[str, Any]:
    path = ROOT / name
    try:
        frame, counts = read_features(path, legend=None, crs=CRS.from_epsg(4326), scene="s", class_name="thing")
    except LandscribeError as error:
        return {"refused": str(error)}
    return {"rows": len(frame), "valid": bool(frame.geometry.is_valid.all()), "counts": counts}


def test_every_vector_file_is_read_or_refused_and_nothing_is_lost():
    names = [row["file"] for row in manifest("MANIFEST_vector.csv")]
    results = dict(zip(names, in_workers(read_vector, names), strict=True))
    died = {name: got for name, got in results.items() if isinstance(got, Exception)}
    assert died == {}
    for name, got in results.items():
        if "refused" in got:
            assert got["refused"].startswith(str(ROOT / name)), got
            assert "\n" not in got["refused"]
        else:
            assert got["valid"]
            assert got["rows"] or got["counts"] or name.endswith("gpq__empty-collection.geojson"), name
    assert sum("refused" in got for got in results.values()) == 11
    assert sum(got.get("rows", 0) for got in results.values()) == 19


def test_polygons_are_repaired_to_an_area_between_the_two_defensible_ones(tmp_path: Path):
    rows = manifest("geometry/geometries.csv")
    outside, lost = {}, {}
    for row in rows:
        with (tmp_path / "one.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["WKT"], [row["wkt"]]])
        frame, counts = read_features(tmp_path / "one.csv", legend=None, crs=None, scene="s", class_name="thing")
        assert frame.geometry.is_valid.all(), row["id"]
        area = float(frame.geometry.area.sum())
        try:
            bounds = sorted(float(row[f"make_valid_{kind}_area"]) for kind in ("structure", "linework"))
        except ValueError:
            bounds = [math.nan]
        if not len(frame):
            assert counts, row["id"]  # with a reason
            lost[row["id"]] = row["kind"]
        elif row["kind"] == "invalid" and not bounds[0] * (1 - 1e-9) <= area <= bounds[-1] * (1 + 1e-9):
            outside[row["id"]] = (area, bounds)
        assert len(frame) or counts
    assert outside == {}
    kinds = list(lost.values())
    assert (kinds.count("unparseable_by_GEOS"), kinds.count("valid_but_odd")) == (23, 9)


def test_unreadable_rows_are_named_and_the_others_kept():
    rows = manifest("geometry/geometries.csv")
    unreadable = {k for k, row in enumerate(rows, start=2) if row["kind"] == "unparseable_by_GEOS"}
    not_numbers = {k for k, row in enumerate(rows, start=2) if "nan" in row["wkt"].lower()}
    table = read_wkt_csv(ROOT / "geometry" / "dstl_style_dirty_labels.csv")
    named = {int(line.split(":")[0].removeprefix("row ")) for line in table.problems}
    assert named == unreadable | not_numbers
    assert len(table.ids) == len(rows) - len(named)
    assert not shapely.is_missing(table.geometries).any()
    layer = read_csv_layer(ROOT / "geometry" / "geometries.csv")
    assert len(layer.geometries) == len(table.ids)


def naughty() -> list[str]:
    import json

    return json.loads((ROOT / "vector" / "big-list-of-naughty-strings__blns.json").read_text(encoding="utf-8"))


def test_naughty_strings_are_only_names(tmp_path: Path):
    from landscribe.core.features import join_features, make_features
    from landscribe.core.legend import LandClass
    from landscribe.io.names import safe_name
    from landscribe.io.vector.vectors import read_own, write_features

    square = np.array([shapely.box(0, 0, 1, 1)], dtype=object)
    texts = [text for text in naughty() if "\x00" not in text]
    names = {safe_name(text) for text in texts}
    assert len(names) == len(set(texts))
    for name in names:
        (tmp_path / "run" / f"{name}.txt").parent.mkdir(exist_ok=True)
        (tmp_path / "run" / f"{name}.txt").touch()
    assert len(list((tmp_path / "run").iterdir())) == len(names)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]
    frame = join_features(
        [make_features(text, LandClass(k, text, "#000000"), square) for k, text in enumerate(texts, 1)]
    )
    for ending in ("gpkg", "parquet", "geojson", "fgb", "csv"):
        write_features(tmp_path / f"o.{ending}", frame, legend=None)
        back = read_own(tmp_path / f"o.{ending}").sort_values("class_id")
        assert back["scene"].tolist() == texts, ending
        assert back["class_name"].tolist() == texts, ending
