"""Readers on seeds that are changed by chance, each read in a worker: python benchmarks/fuzz.py [SECONDS] [SEED].

Each reader has so many seconds (300). Counted is what was read, what was refused in one line, and what nobody thought
of; a reader that dies, hangs or eats memory is a failure, whose file is kept in `fuzz-found/`, and the exit code 1.
"""

from __future__ import annotations

import contextlib
import json
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from landscribe.apart import Limits, apart, start
from landscribe.errors import LandscribeError
from landscribe.process import settle_process

FOUND = Path("fuzz-found")
LIMITS = Limits(seconds=10.0, memory_share=0.1)
TOKENS = (
    b"nan", b"-inf", b"1e308", b"1e-320", b"null", b"[]", b"{}", b"[[", b"]]", b'"', b"\\u0000", b"\x00", b"\xff\xff",
    b"-1", b"99999999999999999999", b"true", b"(((", b")))", b",", b"\xef\xbb\xbf", b"../../x", b"EMPTY", b"\n",
)  # fmt: skip
SHAPE = [[1, 1, 9, 1, 9, 9]]
HOUSE = [[[1, 1], [9, 1], [9, 9], [1, 9], [1, 1]]]


def read_raster(path: Path) -> None:
    """Open a raster and read all of it."""
    from landscribe.io.raster.rasters import open_raster

    with open_raster(path, palette=True) as raster:
        for window in raster.info.grid.window.low_strips():
            raster.read(window)


def read_vector(path: Path) -> None:
    """Read polygons of any vector file, GeoJSON and WKT in CSV among them."""
    from landscribe.io.vector.standing import read_standing

    read_standing(path)


def read_drawing(path: Path) -> None:
    """Read COCO, YOLO and labelme, whichever the name says."""
    from landscribe.io.vector.coco import read_coco
    from landscribe.io.vector.labelme import read_labelme
    from landscribe.io.vector.yolo import read_yolo

    readers: dict[str, Callable[[Path], object]] = {"coco": read_coco, "yolo": read_yolo, "labelme": read_labelme}
    readers[path.stem.split("-")[0]](path)


def read_recipe(path: Path) -> None:
    """Read a recipe."""
    from landscribe.io.settings import load_recipe

    load_recipe(path)


def read_description(path: Path) -> None:
    """Look at a finished model."""
    from landscribe.io.models.finished import look_at_models

    folder = path.with_name("model")
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_bytes(path.read_bytes())
    (folder / "model.safetensors").write_bytes(b"")
    look_at_models(folder, trust=True)


def read_submission(path: Path) -> None:
    """Check every row of a submission."""
    from landscribe.io.source.submissions import check_submission

    check_submission(path)


def write_seeds(folder: Path) -> dict[Callable[[Path], None], list[Path]]:
    """Write small good files of each kind."""
    import rasterio

    random_n = np.random.default_rng(3)
    rasters = []
    for number, options in enumerate((
        {"dtype": "uint8", "count": 3, "compress": "deflate", "tiled": True, "blockxsize": 16, "blockysize": 16},
        {"dtype": "uint16", "count": 2, "compress": "lzw"}, {"dtype": "float32", "count": 1, "compress": "zstd"},
        {"dtype": "uint8", "count": 3, "driver": "JPEG"}, {"dtype": "uint8", "count": 1, "driver": "PNG"},
        {"dtype": "uint8", "count": 1, "driver": "JP2OpenJPEG"},
    )):  # fmt: skip
        path = folder / f"raster-{number}.tif"
        with rasterio.open(path, "w", **{"driver": "GTiff", "height": 47, "width": 53} | options) as file:
            file.write(random_n.integers(0, 200, (options["count"], 47, 53)).astype(options["dtype"]))
        rasters.append(path)
    feature = {"type": "Feature", "properties": {"class_name": "house"},
               "geometry": {"type": "Polygon", "coordinates": HOUSE}}  # fmt: skip
    coco = {"images": [{"id": 1, "file_name": "a.tif", "height": 20, "width": 20}],
            "categories": [{"id": 1, "name": "house"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": SHAPE}]}  # fmt: skip
    labelme = {"version": "5", "imagePath": "a.tif", "imageHeight": 20, "imageWidth": 20, "flags": {},
               "shapes": [{"label": "house", "shape_type": "polygon", "points": HOUSE[0]}]}  # fmt: skip
    sensor = {"name": "S", "kind": "rgb8", "bands": ["red"], "bits": 8}
    model = {"format": 1, "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "parameters": 1,
             "spec": {"name": "m", "classes": ["house"], "sensors": [sensor], "scales": {"S": 1.0}},
             "extra": {"trained_on": ["a"], "knows": {"classes": [], "scenes": [], "sensors": []}}}  # fmt: skip
    wkt = 'id,class_name,wkt\n1,house,"POLYGON ((1 1, 9 1, 9 9, 1 1))"\n'
    dstl = 'ImageId,ClassType,MultipolygonWKT\n6010_0_0,1,"MULTIPOLYGON (((0 0, 0.1 0, 0.1 -0.1, 0 0)))"\n'
    recipe = '[data]\nroot = "x"\nsensors.S = { path = "{scene}.tif", kind = "rgb8" }\n[[models]]\nname = "all"\n'
    texts = {
        "vector-a.geojson": json.dumps({"type": "FeatureCollection", "features": [feature, feature]}),
        "vector-b.csv": wkt, "coco-a.json": json.dumps(coco), "labelme-a.json": json.dumps(labelme),
        "yolo-a.txt": "0 0.1 0.1 0.9 0.1 0.9 0.9\n1 0.2 0.2 0.5 0.5 0.2 0.5\n", "recipe-a.toml": recipe,
        "model-a.json": json.dumps(model), "submission-a.csv": dstl,
    }  # fmt: skip
    for name, text in texts.items():
        (folder / name).write_text(text)

    def of(*kinds: str) -> list[Path]:
        return [folder / name for name in texts if name.split("-")[0] in kinds]

    return {read_raster: rasters, read_vector: of("vector"), read_drawing: of("coco", "yolo", "labelme"),
            read_recipe: of("recipe"), read_description: of("model"), read_submission: of("submission")}  # fmt: skip


def change(content: bytes, dice: random.Random) -> bytes:
    """Return a file with a few changes: bytes, cuts, pieces many times over, and tokens that readers stumble over."""
    found = bytearray(content)
    for _ in range(dice.randint(1, 6)):
        place = dice.randrange(len(found) + 1)
        until = min(len(found), place + dice.choice((1, 2, 4, 8, 64)))
        kind = dice.randrange(6)
        if kind == 0 and found:
            found[place % len(found)] = dice.randrange(256)
        elif kind == 1:
            del found[place:until]
        elif kind == 2:
            found[place:place] = found[place:until] * dice.choice((1, 3, 1000))
        elif kind == 3:
            found[place:until] = dice.choice(TOKENS)
        elif kind == 4:
            found[place:place] = dice.choice(TOKENS)
        elif dice.random() < 0.2:
            del found[place:]
    return bytes(found)


def fuzz(reader: Callable[[Path], None], seeds: list[Path], seconds: float, dice: random.Random) -> Counter[str]:
    """Read changed seeds for a while; return how often what happened."""
    counts: Counter[str] = Counter()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        seed = dice.choice(seeds)
        path = seed.with_name(seed.stem + "-changed" + seed.suffix)
        path.write_bytes(change(seed.read_bytes(), dice))
        name = f"{reader.__name__} {sum(counts.values())}"
        try:
            apart(name, partial(reader, path), limits=LIMITS)
            counts["read"] += 1
        except LandscribeError as error:
            bad = [w for w in ("the process that read it died", "no progress in", "out of memory") if w in str(error)]
            kind = bad[0] if bad else "unthought" if "holds something that cannot be read" in str(error) else "refused"
            counts[kind] += 1
            if bad or (kind == "unthought" and counts[kind] <= 3):
                FOUND.mkdir(exist_ok=True)
                (FOUND / f"{name.replace(' ', '-')}{path.suffix}").write_bytes(path.read_bytes())
                print(f"  {error}", flush=True)
    return counts


def main() -> None:
    """Fuzz every reader in turn."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 300.0
    dice = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    settle_process()
    from landscribe.stages import check  # noqa: F401  # so that workers have the readers at once

    start()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        seeds = write_seeds(Path(folder))
        for reader, files in seeds.items():
            with contextlib.suppress(LandscribeError):
                for path in files:
                    apart(path.name, reader, path)  # a seed is good, and what is compiled is compiled
            counts = fuzz(reader, files, seconds, dice)
            failed |= bool(set(counts) - {"read", "refused", "unthought"})
            print(f"{reader.__name__:17}", *(f"{what} {n}" for what, n in counts.most_common()), sep="  ", flush=True)
    print(f"largest process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
    sys.exit(failed)


if __name__ == "__main__":
    main()
