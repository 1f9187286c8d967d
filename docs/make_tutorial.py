"""Do what docs/tutorial.md says and draw its pictures: python docs/make_tutorial.py FOLDER [--images DIR] [--quick].

The pictures are synthetic, so that the truth is known and a script can stand in for the person who corrects: it clicks
in headless Chromium, which must be installed. What came of it is printed as JSON; FOLDER must be new. With --quick the
networks learn next to nothing and a few outlines of each picture are corrected.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from pyproj import CRS

from landscribe.core.grid import Grid
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.vector.vectors import read_own
from landscribe.worlds.world import WorldSpec, make_scene

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))
from browser import Page, open_page
from pointer import choose, draw, go_to, key

BUILDING = 1
UTM = CRS.from_epsg(32637)
SPEC = WorldSpec(scenes=8, height=331, width=347, seed=5, scenes_per_place=4)
LABELLED = 5
"""The first so many pictures come with labels; nobody has drawn anything on the others."""
REVIEWED = ("s5", "s6")
WIDTH, HEIGHT = 1280, 800
SETTINGS = ("schedule.epochs=5", "schedule.steps=40", "network.filters=16")
QUICK = ("schedule.epochs=2", "schedule.steps=6", "network.filters=6", "network.depth=3", "chips.size=128")
FEW = 3
SMALLEST_M2 = 12.0
GOOD = 0.75
"""Jaccard of an outline that is left as it is."""
READY = "typeof LS !== 'undefined' && LS.state?.scene >= 0 && LS.edit?.book(LS.here()).told"
SAVED = "LS.edit.state === 'saved' && !LS.edit.queue.length && !LS.edit.busy"


def grid_of(number: int) -> Grid:
    """Return where a picture lies: four in a row, a street between the rows."""
    left, top = 500_000 + 0.31 * 360 * (number % 4), 4_000_000 - 0.31 * 360 * (number // 4)
    return Grid(SPEC.height, SPEC.width, Affine(0.31, 0, left, 0, -0.31, top), UTM)


def write_folder(folder: Path) -> dict[str, gpd.GeoSeries]:
    """Write the pictures, and labels for some of them; return the true houses of all, in pixels."""
    (folder / "img").mkdir(parents=True)
    (folder / "lab").mkdir()
    truth = {}
    for number in range(SPEC.scenes):
        scene, grid, name = make_scene(SPEC, number), grid_of(number), f"s{number}"
        low, high = np.percentile(scene.images_chw["RGB"], (0.5, 99.5))
        image_chw = np.clip((scene.images_chw["RGB"] - low) / (high - low) * 254 + 1, 1, 255).astype(np.uint8)
        with write_raster(folder / "img" / f"{name}.tif", grid, count=3, dtype="uint8", rgb=True) as writer:
            writer.write(grid.window, image_chw)
        truth[name] = gpd.GeoSeries(scene.polygons[BUILDING])
        if number < LABELLED:
            houses = gpd.GeoDataFrame(geometry=grid.pixels_to_ground(scene.polygons[BUILDING]), crs=UTM)
            houses.to_file(folder / "lab" / f"{name}_houses.gpkg", driver="GPKG")
    return truth


def landscribe(folder: Path, *arguments: str) -> str:
    """Run a command there; return what it prints."""
    command = [sys.executable, "-m", "landscribe", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"landscribe {' '.join(arguments)}: {done.stderr}")
    return done.stdout


@contextlib.contextmanager
def looking(folder: Path, run: str) -> Iterator[Page]:
    """Serve a run and open its map."""
    command = [sys.executable, "-m", "landscribe", "view", run, "--port", "0", "--who", "ann", "--no-browser"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            address = server.stdout.readline().strip() if server.stdout else ""
            with open_page(address, width=WIDTH, height=HEIGHT) as page:
                page.until(READY)
                yield page
        finally:
            server.send_signal(signal.SIGINT)


def correct(
    page: Page, scene: str, found: gpd.GeoSeries, truth: gpd.GeoSeries, most: int | None = None
) -> dict[str, int]:
    """Reject outlines that are no good, draw houses that have none, and say that all of the picture was looked at.

    Args:
        page: The map.
        scene: Its id.
        found: Polygons of the run, in pixels.
        truth: Houses, in pixels.
        most: Outlines to reject at most, and houses to draw.
    """
    go_to(page, scene)
    done = {"rejected": 0, "drawn": 0, "drawn_px": 0}
    found = gpd.GeoSeries(shapely.make_valid(found.values))
    bad = [shape for shape in found if _alike(shape, truth).max(initial=0) < GOOD]
    for shape in bad[:most]:
        point = shape.representative_point()
        choose(page, point.x, point.y)
        key(page, "x")
        done["rejected"] += 1
    lacking = [house for house in truth if _alike(house, found).max(initial=0) < GOOD]
    for house in [house for house in lacking if house.area * 0.31**2 > SMALLEST_M2][:most]:
        key(page, "r")
        page.until("LS.edit.mode === 'draw'")
        draw(page, *list(house.simplify(0.5).exterior.coords)[:-1])
        key(page, "Escape")
        done["drawn"] += 1
        done["drawn_px"] += round(house.area)
    key(page, "i")
    page.until("LS.edit.mode === 'looked'")
    right, bottom = SPEC.width - 2, SPEC.height - 2
    draw(page, (2, 2), (right, 2), (right, bottom), (2, bottom))
    key(page, "Escape")
    page.until(SAVED)
    return done


def _alike(shape: shapely.Geometry, others: gpd.GeoSeries) -> np.ndarray:
    """Return the Jaccard of a shape with each of the others."""
    both = shapely.area(shapely.intersection(others.values, shape))
    return both / np.maximum(shapely.area(others.values) + shape.area - both, 1e-9)


def picture(page: Page, images: Path | None, name: str) -> None:
    """Keep what is seen, as a JPEG."""
    if images is not None:
        page.until("!LS.raster.busy && !LS.raster.queue.length")
        shot = images / f"{name}.png"
        page.screenshot(shot, full=False)
        cv2.imwrite(str(images / f"{name}.jpg"), cv2.imread(str(shot)), [cv2.IMWRITE_JPEG_QUALITY, 80])
        shot.unlink()


def main() -> None:
    """Walk through it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    folder, images = asked.folder, asked.images
    truth = write_folder(folder / "city")
    settings = [word for setting in (QUICK if asked.quick else SETTINGS) for word in ("--set", f"models.*.{setting}")]
    landscribe(folder, "init", "city", "--out", "city.toml", "--no-plan")
    landscribe(folder, "run", "city.toml", "--run", "runs/first", *settings)
    done = {}
    with looking(folder, "runs/first") as page:
        picture(page, images, "tutorial-map")
        for scene in REVIEWED:
            features = read_own(folder / "runs/first/features" / f"{scene}.parquet")
            pixels = gpd.GeoSeries(grid_of(int(scene[1:])).ground_to_pixels(features.geometry.to_numpy()))
            done[scene] = correct(page, scene, pixels, truth[scene], FEW if asked.quick else None)
        go_to(page, REVIEWED[0])
        page.evaluate("LS.panel.show('review')")
        picture(page, images, "tutorial-review")
        wrong = page.named("Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    said = landscribe(folder, "absorb", "runs/first", "city.toml")
    landscribe(folder, "run", "city.toml", "--run", "runs/second", *settings)
    if images is not None:
        with looking(folder, "runs/second") as page:
            go_to(page, "s7")
            picture(page, images, "tutorial-second")
    scores = [json.loads((folder / "runs" / run / "score.json").read_text()) for run in ("first", "second")]
    compared = landscribe(folder, "compare", "runs/first", "runs/second")
    means = [score["mean"]["polygon"]["jaccard"] for score in scores]
    print(
        json.dumps({"said": done, "absorbed": said, "compared": compared, "jaccard": means, "errors": wrong}, indent=1)
    )


if __name__ == "__main__":
    main()
