"""Time the server of `view` on a synthetic scene: tiles and polygons, against reading all that is asked for.

    python benchmarks/view.py --side 20000 --polygons 1000000

Ours go through HTTP, from the request to the last byte. The plain ways read the window at full resolution and shrink
it, and filter the whole table; they have no HTTP. Times on the wall, medians in milliseconds.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from pyproj import CRS

from landscribe.core.features import make_features
from landscribe.core.grid import Grid, Window
from landscribe.core.legend import LandClass, Legend
from landscribe.core.seal import seal
from landscribe.core.sensors import CATALOGUE
from landscribe.io.atomic import write_text
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.prepared import FACTS, facts_of, sensor_raster
from landscribe.io.run.runs import Made, Run, note_made
from landscribe.io.settings import RUN_FILE
from landscribe.io.vector.vectors import write_features
from landscribe.stages.maps.view import serve

HOUSE = LandClass(1, "house", "#AA0000")
TILES = 24


def make_scene(run: Run, side: int, polygons: int) -> None:
    """Write a prepared scene of three bands and what was found in it."""
    grid = Grid(side, side, Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000), CRS.from_epsg(32633))
    folder = run.scene_folder("big")
    raster = sensor_raster(folder, "RGB")
    rng = np.random.default_rng(0)
    patch = rng.normal(90, 30, (3, 1024, 1024)).clip(1, 250)
    raster.parent.mkdir(parents=True)
    with write_raster(raster, grid, count=3, dtype="uint8", mask=True) as writer:
        for window in grid.window.strips(1024):
            row = np.tile(patch[:, : window.height], (1, 1, -(-side // 1024)))[..., :side]
            writer.write(window, (row + np.linspace(-20, 20, side)).clip(1, 255).astype(np.uint8))
            writer.write_mask(window, np.ones(window.shape_hw, np.bool_))
    sensor = CATALOGUE["rgb8"]
    facts = facts_of("place", {"RGB": sensor}, (), labelled=False)
    statistics_ = {"valid_pixels": side * side, "invalid_pixels": 0, "mean": [90.0] * 3, "std": [30.0] * 3}
    facts |= {"statistics": {"RGB": statistics_}, "shifts": {}, "grids": {"RGB": grid.to_plain()}}
    write_text(folder / FACTS, json.dumps(facts))
    note_made(run, "prepare", "big", "key", Made((raster, folder / FACTS)))
    x, y = rng.uniform(0, side - 40, (2, polygons))
    w, h = rng.gamma(2, 6, (2, polygons)) + 2
    pixels = shapely.box(x, y, x + w, y + h)
    found = make_features(
        "big", HOUSE, grid.pixels_to_ground(pixels), score=rng.random(polygons), area=w * h / 4, crs=grid.crs
    )
    write_features(run.features("big"), found, legend=Legend((HOUSE,)))
    note_made(run, "vectorize", "big", "key", Made((run.features("big"),), {"house: kept": polygons}))
    classes = [{"id": HOUSE.id, "name": HOUSE.name, "colour": HOUSE.colour}]
    write_text(run.path(RUN_FILE), seal({"classes": classes, "scenes": {"big": {"place": "place", "split": ""}}}))


def milliseconds(act: Callable[[], Any]) -> float:
    """Return how long something takes, on the wall."""
    begin = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - begin)


def main() -> None:
    """Make the scene where it is not there, ask in turn, print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--polygons", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="folder for the scene, used again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        run = Run((options.keep or Path(temporary)) / f"run-{options.side}-{options.polygons}")
        if not run.path(RUN_FILE).is_file():
            make_scene(run, options.side, options.polygons)
        measure(run, options.side)


def measure(run: Run, side: int) -> None:
    """Ask the server and do the same by hand, in turn."""
    raster, table = sensor_raster(run.scene_folder("big"), "RGB"), run.features("big")
    top = int(np.ceil(np.log2(side / 256)))
    rng = np.random.default_rng(1)
    rows: dict[str, tuple[list[float], list[float]]] = {}

    def note(name: str, ours: float, plain: float | None) -> None:
        both = rows.setdefault(name, ([], []))
        both[0].append(ours)
        if plain is not None:
            both[1].append(plain)

    with serve([run.root], port=0) as server:
        thread = threading.Thread(target=server.forever)
        thread.start()
        head, _, token = server.address.partition("/?token=")
        host = head.removeprefix("http://")

        def ask(path: str) -> bytes:
            line = http.client.HTTPConnection(host)  # each on a line of its own: the server ends idle ones
            line.request("GET", path, headers={"X-Landscribe-Token": token})
            answer = line.getresponse()
            body = answer.read()
            line.close()
            if answer.status != 200:
                raise SystemExit(f"{path}: {answer.status} {body.decode()}")
            return body

        def plain_tile(z: int, x: int, y: int) -> None:
            factor = 1 << (top - z)
            part = Window(y * 256 * factor, x * 256 * factor, 256 * factor, 256 * factor)
            window = part.intersection(Window(0, 0, side, side)) or part
            with open_raster(raster) as one:
                image_chw, _ = one.read(window, limit_bytes=1 << 40)
            cv2.imencode(".jpg", cv2.resize(image_chw.transpose(1, 2, 0), (256, 256), interpolation=cv2.INTER_AREA))

        def first() -> bytes:
            return ask("/t/a/0/picture/0/0/0?v=0,1,2")

        note("first tile, the whole scene", milliseconds(first), milliseconds(lambda: plain_tile(0, 0, 0)))
        for z in (top, top - 3):
            most = max(side // (256 << (top - z)), 1)
            for _ in range(TILES):
                x, y = (int(v) for v in rng.integers(0, most, 2))
                path = f"/t/a/0/picture/{z}/{x}/{y}?v=0,1,2"
                note(
                    f"tile of level {z} of {top}",
                    milliseconds(lambda p=path: ask(p)),
                    milliseconds(lambda z=z, x=x, y=y: plain_tile(z, x, y)),
                )
                note("tile that was asked for before", milliseconds(lambda p=path: ask(p)), None)
        note("polygons, the first time", milliseconds(lambda: ask("/p/a/0/found?limit=1")), None)
        whole: list[gpd.GeoDataFrame] = []
        rows["polygons, the first time"][1].append(milliseconds(lambda: whole.append(gpd.read_parquet(table))))
        manifest = json.loads(
            ask("/").decode().partition('id="manifest"')[2].partition(">")[2].partition("</script>")[0]
        )
        left, bottom, right, _ = manifest["scenes"][0]["extent"]
        pixel = (right - left) / side
        for width in (600, 2_000, side):
            for _ in range(5):
                x, y = (float(v) for v in rng.uniform(0, max(side - width, 1), 2))
                box = [left + x * pixel, bottom + y * pixel, left + (x + width) * pixel, bottom + (y + width) * pixel]
                path = f"/p/a/0/found?limit=8000&bbox={','.join(f'{v:.3f}' for v in box)}"
                ground = (400_000 + x / 2, 5_000_000 - side / 2 + y / 2)
                plain = None
                if width < side:
                    cut = (slice(ground[0], ground[0] + width / 2), slice(ground[1], ground[1] + width / 2))
                    plain = milliseconds(lambda c=cut: filtered(table, c))
                note(f"polygons in {width} x {width} px", milliseconds(lambda p=path: ask(p)), plain)
        server.stop()
        thread.join()
    for name, (ours, plain_ms) in rows.items():
        other = f"{statistics.median(plain_ms):9.1f}" if plain_ms else "        -"
        print(f"{name:34} {statistics.median(ours):9.1f} {other}")


def filtered(table: Path, cut: tuple[slice, slice]) -> str:
    """Return the polygons of a box as GeoJSON from the whole table."""
    return str(gpd.read_parquet(table).cx[cut].to_json())


if __name__ == "__main__":
    main()
