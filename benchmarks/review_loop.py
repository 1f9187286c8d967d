"""Look, correct, train again on Las Vegas: python benchmarks/review_loop.py FOLDER [--seeds 1] [--steps 60].

Two tiles with labels, two without, two held out. A first network looks at the bare tiles; a script that knows the truth
stands in for a person, in the file that people get: it accepts polygons that fit a roof, rejects those that fit none,
gives the others the shape of the roof, and draws the roofs that were missed. The file is absorbed, the same recipe is
run again, and the two runs are compared on the held-out tiles. Real imagery is read from LANDSCRIBE_DATA.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely

from landscribe.errors import LandscribeError
from landscribe.io.project import open_project
from landscribe.io.run.runs import open_run
from landscribe.io.settings import load_recipe
from landscribe.pipeline import run_pipeline
from landscribe.stages.files.compare import compare_runs
from landscribe.stages.review.absorb import absorb
from landscribe.stages.review.review import review

LABELLED, BARE, HELD_OUT = ("img225", "img246"), ("img1265", "img1385"), ("img802", "img2144")
FITS, NOTHING = 0.5, 0.2
RECIPE = """
seed = {seed}
[data]
root = "data"
sensors.RGB = {{ path = "img/{{scene}}.tif", kind = "worldview3-rgb" }}
labels = {{ path = "lab/{{scene}}.geojson", class = "building" }}
[[classes]]
name = "building"
colour = "#E4572E"
countable = true
[[models]]
name = "buildings"
network = {{ filters = {filters} }}
loss = {{ bce = 0.2, dice = 0.8 }}
chips = {{ gain = 0.2, band_gain = 0.15, band_offset = 1.0, scale = 0.25 }}
schedule = {{ epochs = {epochs}, steps = {steps}, rate = 2e-3, average = 0.97 }}
[predict]
symmetries = 1
[validate]
split = "named"
scenes = ["img802", "img2144"]
"""


def lay_out(folder: Path, source: Path) -> None:
    """Copy images, and the labels of all tiles but the bare ones."""
    for part in ("img", "lab"):
        (folder / "data" / part).mkdir(parents=True, exist_ok=True)
    for scene in (*LABELLED, *BARE, *HELD_OUT):
        image = source / "RGB-PanSharpen" / f"RGB-PanSharpen_AOI_2_Vegas_{scene}.tif"
        shutil.copyfile(image, folder / "data" / "img" / f"{scene}.tif")
        if scene not in BARE:
            shutil.copyfile(_truth(source, scene), folder / "data" / "lab" / f"{scene}.geojson")


def _truth(source: Path, scene: str) -> Path:
    return source / "geojson" / f"buildings_AOI_2_Vegas_{scene}.geojson"


def correct(path: Path, source: Path) -> dict[str, int]:
    """Do to a review what a person does who sees the roofs; all of each bare tile is looked at."""
    features = pyogrio.read_dataframe(path, layer="features")
    counts = dict.fromkeys(("accepted", "rejected", "edited", "drawn"), 0)
    drawn, areas = [], []
    for scene in BARE:
        truth = gpd.read_file(_truth(source, scene)).to_crs(features.crs).geometry
        roofs = shapely.make_valid(shapely.force_2d(truth.to_numpy()))
        own = features.index[features["scene"] == scene]
        seen = np.zeros(len(roofs), bool)
        for row in own:
            shape = features.geometry[row]
            shared = shapely.area(shapely.intersection(roofs, shape))
            best = int(np.argmax(shared)) if len(roofs) else -1
            fit = shared[best] / shapely.union(roofs[best], shape).area if best >= 0 else 0.0
            if fit >= FITS:
                features.loc[row, "verdict"] = "accept"
                counts["accepted"] += 1
            elif shared.sum() < NOTHING * shape.area or seen[best]:
                features.loc[row, "verdict"] = "reject"
                counts["rejected"] += 1
            else:
                features.loc[[row], "geometry"] = gpd.GeoSeries([roofs[best]], index=[row], crs=features.crs)
                counts["edited"] += 1
            if features.loc[row, "verdict"] != "reject":
                seen[best] = True
        missed = roofs[~seen]
        counts["drawn"] += len(missed)
        drawn += [{"class_name": "building", "geometry": shape} for shape in missed]
        areas.append(shapely.box(*shapely.total_bounds(np.concatenate([roofs, features.geometry[own].to_numpy()]))))
    added = gpd.GeoDataFrame(drawn, geometry="geometry", crs=features.crs)
    both = gpd.GeoDataFrame(pd.concat([features, added], ignore_index=True), crs=features.crs)
    pyogrio.write_dataframe(both, path, layer="features", driver="GPKG", geometry_type="Unknown")
    looked = gpd.GeoDataFrame({"note": [""] * len(areas)}, geometry=areas, crs=features.crs)
    pyogrio.write_dataframe(looked, path, layer="looked", driver="GPKG")
    return counts


def once(folder: Path, source: Path, seed: int, text: str) -> dict[str, object]:
    """Run, review, absorb, run again, compare."""
    home = folder / f"seed{seed}"
    lay_out(home, source)
    (home / "city.toml").write_text(text)
    for name in ("first", "second"):
        for result in run_pipeline(open_project(load_recipe(home / "city.toml")), open_run(home / name)):
            print(f"seed {seed}, {name}, {result.stage}: {len(result.made)} made", *result.notes, flush=True)
        if name == "first":
            review(open_run(home / name), home / "review.gpkg")
            counts = correct(home / "review.gpkg", source)
            print(counts, *absorb(home / "city.toml", [home / "review.gpkg"], who="script").taken[0].notes, sep="\n")
    found = compare_runs(home / "first", home / "second")
    mean = {name: getattr(found.mean, name) for name in ("first", "second", "difference", "low", "high")}
    return {"seed": seed, "review": counts, "scenes": found.scenes, **mean}


def main() -> None:
    """Do it for each seed and print one line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--filters", type=int, default=12)
    given = parser.parse_args()
    if not os.environ.get("LANDSCRIBE_DATA"):
        raise LandscribeError("LANDSCRIBE_DATA: not set")
    source = Path(os.environ["LANDSCRIBE_DATA"]) / "vegas"
    for seed in range(given.seeds):
        text = RECIPE.format(seed=seed, filters=given.filters, epochs=given.epochs, steps=given.steps)
        print(json.dumps(once(given.folder, source, seed, text)), flush=True)


if __name__ == "__main__":
    main()
