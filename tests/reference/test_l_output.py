"""L16, L21, L31 to L35: what a run of method L reports, its commands, its submissions, its merging and voting."""

from __future__ import annotations

import csv
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely
from typer.testing import CliRunner

from landscribe.cli.app import app
from landscribe.core.grid import dstl_grid
from landscribe.core.legend import DSTL_LEGEND
from landscribe.core.recipe import Recipe
from landscribe.errors import RecipeError
from landscribe.io.project import Project
from landscribe.io.raster.geotiff import write_raster
from landscribe.io.raster.rasters import open_raster
from landscribe.io.run.prepared import open_prepared
from landscribe.io.run.runs import Run, open_run
from landscribe.io.settings import load_recipe
from landscribe.io.source.submissions import EMPTY, check_submission, read_texts, write_texts
from landscribe.io.vector.wkt_csv import read_wkt_csv
from landscribe.stages.predict import predict
from landscribe.stages.prepare import prepare
from landscribe.stages.score import score
from landscribe.stages.submit import submit
from landscribe.stages.train import train
from landscribe.stages.vectorize import vectorize, vectorize_scene

Variant = Callable[..., Project]
DOCS = Path(__file__).parents[2] / "docs"


def landscribe(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def history(run: Run) -> list[dict[str, str]]:
    with run.path("models", "all", "history.csv").open() as file:
        return list(csv.DictReader(file))


def test_l16_loss_and_jaccard_of_each_class_stand_in_the_history(run: Run) -> None:
    rows = history(run)
    assert [row["epoch"] for row in rows] == ["1.0", "2.0"]
    for name in DSTL_LEGEND.names:
        assert all(float(row[f"loss/{name}"]) >= 0 for row in rows)
        assert all(row[f"jaccard/{name}"] == "nan" or 0 <= float(row[f"jaccard/{name}"]) <= 1 for row in rows)
    for row in rows:
        losses = [float(row[f"loss/{name}"]) for name in DSTL_LEGEND.names]
        assert float(row["loss"]) == pytest.approx(np.mean(losses), abs=1e-4)
        assert len(set(losses)) == len(losses)
    # The Jaccard of each class is that of the scene that validates, by the probabilities that the run then wrote.
    scene = open_prepared(run, "6010_0_1")
    share_khw, _ = scene.read_coverage()
    with open_raster(run.probability(scene.id)) as raster:
        found_khw = raster.read(raster.info.grid.window)[0] >= 128
    for name, share_hw, found_hw in zip(DSTL_LEGEND.names, share_khw, found_khw, strict=True):
        true_hw = share_hw >= 128
        union = np.count_nonzero(true_hw | found_hw)
        expected = np.count_nonzero(true_hw & found_hw) / union if union else np.nan
        assert float(rows[-1][f"jaccard/{name}"]) == pytest.approx(expected, abs=2e-3, nan_ok=True), name


def test_l21_seconds_are_those_of_the_clock(variant: Variant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = time.perf_counter
    begin = clock()
    monkeypatch.setattr(time, "perf_counter", lambda: begin + 1e6 * (clock() - begin))  # a second is eleven days
    folder, one = open_run(tmp_path / "run"), variant("models.0.schedule.epochs=1")
    for stage in (prepare, train):
        stage(one, folder)
    most = 1e6 * (clock() - begin)
    (row,) = history(folder)
    records = {stage: sum(r.seconds for r in folder.records(stage).values()) for stage in ("prepare", "train")}
    assert 1e3 < float(row["seconds"]) < records["train"]
    assert records["prepare"] > 1e3
    assert records["train"] < most


def test_l21_seconds_and_rates_are_written_down(run: Run) -> None:
    for row in history(run):
        assert float(row["chips_per_s"]) * float(row["seconds"]) == pytest.approx(3 * 4)
    seconds = json.loads(run.path("run.json").read_text())["seconds"]
    for stage in ("prepare", "train", "predict", "vectorize", "score", "submit"):
        assert seconds[stage] == pytest.approx(sum(r.seconds for r in run.records(stage).values()), abs=0.01)
        assert seconds[stage] > 0
    assert all(record.counts["tiles"] == 4 for record in run.records("predict").values())


def test_l31_a_recipe_goes_through_a_run_and_back(home: Path, run: Run) -> None:
    recipe = load_recipe(home / "r.toml").recipe
    document = json.loads(run.path("run.json").read_text())["recipe"]
    assert Recipe.model_validate_json(json.dumps(document)) == recipe
    # What `hps=k=v` was is --set; an unknown name is refused, and so is a value of another type.
    assert load_recipe(home / "r.toml", ["models.0.chips.batch=7"]).recipe.models[0].chips.batch == 7
    with pytest.raises(RecipeError, match=r"unknown key 'models.0.chips.bath', did you mean 'batch'"):
        load_recipe(home / "r.toml", ["models.0.chips.bath=7"])
    with pytest.raises(RecipeError, match=r"models.0.chips.batch"):
        load_recipe(home / "r.toml", ["models.0.chips.batch=many"])


def test_l31_training_on_everything_from_the_command_line(home: Path, run: Run, tmp_path: Path) -> None:
    prepare_ = ("--run", tmp_path / "run", "--set", "validate.split=none", "--set", "validate.scenes=[]",
                "--set", "models.0.schedule.epochs=1")  # fmt: skip
    landscribe("prepare", home / "r.toml", *prepare_)
    landscribe("train", home / "r.toml", *prepare_)
    extra = json.loads((tmp_path / "run" / "models" / "all" / "model.json").read_text())["extra"]
    assert extra["trained_on"] == ["6010_0_0", "6010_0_1", "6020_0_0"]
    assert extra["held_out"] == []


def test_l32_the_submission_passes_the_check(home: Path, run: Run) -> None:
    sample = home / "world" / "sample_submission.csv"
    out = landscribe("check", run.path("submission.csv.gz"), "--sample", sample, "--decimals", "8")
    assert re.match(r"10 rows, \d+ with \d+ polygons of \d+ vertices, \d decimals, .* MB: 0 problems", out)


@pytest.mark.parametrize(("decimals", "gzip"), [(4, "true"), (7, "false")])
def test_l32_decimals_and_packing_are_chosen(variant: Variant, run: Run, decimals: int, gzip: str) -> None:
    chosen = variant(f"submit.decimals={decimals}", f"submit.gzip={gzip}")
    submit(chosen, run)
    path = run.path("submission.csv.gz" if gzip == "true" else "submission.csv")
    assert check_submission(path, decimals=decimals).problems == []
    assert check_submission(path).decimals <= decimals


def test_l32_perfect_masks_score_almost_one(variant: Variant, tmp_path: Path) -> None:
    masks = variant(
        'models=[{kind="labels"}]', "prepare.grow_px={}", "vectorize.threshold.default=0.5",
        "vectorize.min_area.default=0.0", "vectorize.simplify_px=0.0",
    )  # fmt: skip
    folder = open_run(tmp_path / "run")
    for stage in (prepare, train, predict, vectorize, score):
        stage(masks, folder)
    classes = json.loads(folder.path("score.json").read_text())["classes"]
    wide = [name for name in ("building", "road", "track", "crop", "waterway") if classes[name]["polygon"]["tp"] > 50]
    assert len(wide) >= 3
    for name in wide:
        assert classes[name]["polygon"]["jaccard"] > 0.97, name
    # On pixels nothing is lost; as polygons, what is narrower than a pixel is.
    shown = [row for row in classes.values() if row["pixel"]["tp"] > 0]
    assert all(row["pixel"]["jaccard"] == 1 for row in shown)
    assert len(shown) > len(wide)
    assert all(row["polygon"]["jaccard"] > 0.6 for row in shown)


def test_l32_masks_and_outlines_of_the_method_are_a_pair(variant: Variant, tmp_path: Path) -> None:
    found = {}
    for mode, connectivity in (("opencv", 8), ("contour", 4)):
        painted = variant(
            'models=[{kind="labels"}]', "prepare.grow_px={}", "prepare.target=opencv",
            "vectorize.threshold.default=0.5", "vectorize.min_area.default=0.0", "vectorize.simplify_px=0.0",
            f"vectorize.mode={mode}", f"vectorize.connectivity={connectivity}",
        )  # fmt: skip
        folder = open_run(tmp_path / "run")
        for stage in (prepare, train, predict, vectorize, score):
            stage(painted, folder)
        classes = json.loads(folder.path("score.json").read_text())["classes"]
        found[mode] = {name: classes[name]["polygon"]["jaccard"] for name in ("building", "road", "track")}
    # What the painting adds on every side, the outlines take away; where they do not, shapes are too wide. Crops have
    # holes, which lose both times.
    for name, value in found["opencv"].items():
        assert value > 0.9, (name, value)
        assert value > found["contour"][name] + 0.01, (name, value, found["contour"][name])


@pytest.mark.parametrize(("name", "epsilon", "least"), [("tree", 2.0, 50.0), ("small-vehicle", 1.0, 10.0)])
def test_l32_outlines_have_as_many_vertices_as_the_original(
    tmp_path: Path, name: str, epsilon: float, least: float
) -> None:
    """The recipe's way against findContours and approxPolyDP on the same mask, and how far it moves an outline."""
    field = cv2.GaussianBlur(np.random.default_rng(5).random((389, 421)), (0, 0), 3)
    mask = field > np.quantile(field, 0.6)
    bands = np.zeros((10, *mask.shape), np.uint8)
    bands[DSTL_LEGEND.index(name)] = 255 * mask
    grid = dstl_grid(*mask.shape, 0.0012, -0.0011)
    with write_raster(tmp_path / "p.tif", grid, count=10, dtype="uint8") as writer:
        writer.write(grid.window, bands)
    recipe = load_recipe("dstl-lopuhin").recipe
    exact = recipe.model_copy(update={"rules": ()})

    def outlines(recipe: Recipe) -> np.ndarray:
        return grid.ground_to_pixels(vectorize_scene(tmp_path / "p.tif", "s", recipe, DSTL_LEGEND)[0].geometry.array)

    ours = outlines(recipe)
    rings = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_KCOS)[0]
    theirs = [ring for ring in (cv2.approxPolyDP(r, epsilon, True) for r in rings) if cv2.contourArea(ring) >= least]
    per_ring = sum(len(ring) for ring in theirs) / len(theirs)
    closed = int(shapely.get_num_interior_rings(ours).sum()) + len(ours)
    assert len(ours) > 20
    assert (shapely.get_num_coordinates(ours).sum() - closed) / closed < 1.15 * per_ring
    assert (shapely.area(ours) >= least - 1e-6).all()
    lines = shapely.union_all(shapely.boundary(outlines(exact)))
    points = shapely.points(shapely.get_coordinates(shapely.segmentize(shapely.boundary(ours), 1.0)))
    assert epsilon / 2 < shapely.distance(points, lines).max() < epsilon + 1e-6


def test_l32_masks_of_what_validates_are_what_was_scored(variant: Variant, home: Path, tmp_path: Path) -> None:
    # A high threshold takes the rims away, so that pixels are not the truth; a smallest area takes polygons away.
    settings = ('models=[{kind="labels"}]', "vectorize.threshold.default=0.9", "vectorize.min_area.default=30.0")
    strict = variant(*settings)
    run = open_run(tmp_path / "run")
    for stage in (prepare, train, predict, vectorize, score):
        stage(strict, run)
    overrides = [word for setting in settings for word in ("--set", setting)]
    landscribe("pictures", home / "r.toml", "--run", run.root, "--masks", *overrides)
    folder = run.path("pictures", "masks")
    kinds = ("true", "pixel", "poly")
    names = {f"6010_0_1_{name}_{kind}_mask.png" for name in DSTL_LEGEND.names for kind in kinds}
    assert {path.name for path in folder.iterdir()} == names | {"6010_0_1_image.png"}
    assert cv2.imread(str(folder / "6010_0_1_image.png")).shape == (149, 163, 3)
    scored = json.loads(run.path("score.json").read_text())["scenes"]["6010_0_1"]
    differ, seen_small = set(), 0
    for name in DSTL_LEGEND.names:
        images = {kind: folder / f"6010_0_1_{name}_{kind}_mask.png" for kind in kinds}
        masks = {kind: cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for kind, path in images.items()}
        assert all(mask.shape == (149, 163) and set(np.unique(mask)) <= {0, 255} for mask in masks.values())
        true, pixel, poly = (masks[kind] > 0 for kind in kinds)
        if name != "structure":  # its labels are grown for training and for the score on pixels
            found = [int(np.count_nonzero(m)) for m in (true & pixel, ~true & pixel, true & ~pixel)]
            assert found == [scored[name]["pixel"][key] for key in ("tp", "fp", "fn")], name
        # Polygons are the pixels, without what is small, and but for a rim.
        assert not (poly & ~cv2.dilate(pixel.astype(np.uint8), np.ones((3, 3))).astype(bool)).any(), name
        count, part_hw, parts, _ = cv2.connectedComponentsWithStats(pixel.astype(np.uint8), connectivity=4)
        small = np.isin(part_hw, [k for k in range(1, count) if parts[k, cv2.CC_STAT_AREA] < 20])
        assert not (poly & small).any(), name
        seen_small += bool(small.any())
        differ |= {key for key, two in (("tp", (true, pixel)), ("pp", (pixel, poly))) if (two[0] != two[1]).any()}
    assert differ == {"tp", "pp"}
    assert seen_small


def square(size: int) -> str:
    return f"MULTIPOLYGON (((0 0, {size} 0, {size} {size}, 0 {size}, 0 0)))"


def test_l33_a_later_file_takes_the_whole_class(tmp_path: Path) -> None:
    keys = [(i, c) for i in ("6100_2_2", "6070_2_3") for c in (7, 9)]
    one = {keys[0]: square(1), keys[1]: square(2), keys[2]: square(3)}
    two = {keys[0]: "GEOMETRYCOLLECTION EMPTY", keys[1]: "POLYGON EMPTY", keys[2]: square(4)}
    for name, filled, order in (("one.csv", one, keys), ("two.csv.gz", two, keys[::-1]), ("sample.csv", {}, keys)):
        write_texts(tmp_path / name, [(*key, filled.get(key, EMPTY)) for key in order])
    files = (tmp_path / "one.csv", tmp_path / "two.csv.gz", "--sample", tmp_path / "sample.csv")

    def merged(*options: object) -> dict[tuple[str, int], str]:
        landscribe("merge", tmp_path / "out.csv.gz", *files, *options)
        rows = read_texts(tmp_path / "out.csv.gz")
        assert list(rows) == keys
        return {key: text for key, text in rows.items() if text != EMPTY}

    # Waterway of the first image is deleted by the original, since the second file has waterway elsewhere.
    assert merged("--by", "class") == {keys[1]: square(2), keys[2]: square(4)}
    assert merged() == {keys[0]: square(1), keys[1]: square(2), keys[2]: square(4)}
    assert merged("--skip", "6100_2_2_7", "--skip", "6070_2_3_7") == {keys[1]: square(2)}
    assert merged("--class", "waterway") == {keys[0]: square(1), keys[2]: square(4)}
    assert merged("--keep", "6100_2_2_9") == {keys[1]: square(2)}


def test_l34_every_option_of_the_method_has_its_setting_with_its_default() -> None:
    page = (DOCS / "reference-methods.md").read_text()
    settings = (DOCS / "recipe.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \| `([\w.]+)` \| `([^`]*)` \|", page, re.MULTILINE)
    options = {row[0] for row in rows}
    assert options >= {
        "classes", "net", "n_channels", "thresholds", "pre_buffer", "patch_inner", "patch_border", "augment_rotations",
        "augment_flips", "augment_channels", "validation_square", "dropout", "bn", "activation", "top_scale",
        "log_loss", "dice_loss", "jaccard_loss", "dist_loss", "dist_dice_loss", "dist_jaccard_loss", "filters_base",
        "n_epochs", "oversample", "lr", "lr_decay", "weight_decay", "batch_size", "--validation", "--threshold",
        "--epsilon", "--min-area", "--min-small-area", "--no-edges",
    }  # fmt: skip
    recipe = load_recipe("dstl-lopuhin").recipe.model_dump(mode="json", by_alias=True)
    for option, path, value in rows:
        here = recipe
        for part in path.split("."):
            here = here[int(part)] if isinstance(here, list) else here[part.replace("_vehicle", "-vehicle")]
        assert json.dumps(here) == value, (option, path, here)
        assert f"`{path.split('.')[-1]}`" in settings or path.split(".")[-1] in ("structure", *DSTL_LEGEND.names), path


def test_l34_options_stand_in_the_help() -> None:
    for command, options in {
        "run": ("--run", "--models", "--set", "--dry-run"),
        "check": ("--sample", "--decimals", "--max-mb", "--json"),
        "merge": ("--sample", "--by", "--class", "--skip", "--keep"),
        "vote": ("--at-least", "--sample", "--class", "--buffer", "--simplify", "--min-area", "--decimals"),
    }.items():
        text = re.sub(r"\x1b\[[0-9;]*m", "", landscribe(command, "--help"))
        assert not [option for option in options if option not in text], command


def test_l35_two_of_three_vote_is_exact(tmp_path: Path) -> None:
    unit = 2.7e-6
    boxes = [(0, 0, 10, 6), (5, 0, 15, 6), (7, 2, 17, 9)]
    for k, (left, bottom, right, top) in enumerate(boxes):
        whole = shapely.MultiPolygon([shapely.box(left * unit, bottom * unit, right * unit, top * unit)])
        write_texts(tmp_path / f"{k}.csv", [("6100_2_2", 9, whole.wkt), ("6100_2_2", 10, square(1))])
    files = [tmp_path / f"{k}.csv" for k in range(3)]
    landscribe("vote", tmp_path / "out.csv.gz", *files, "--class", "large-vehicle", "--decimals", "12")
    rows = read_wkt_csv(tmp_path / "out.csv.gz")
    pair = [shapely.intersection(shapely.box(*boxes[a]), shapely.box(*boxes[b])) for a, b in ((0, 1), (0, 2), (1, 2))]
    expected = shapely.area(shapely.union_all(pair))
    assert shapely.area(rows.geometries[0]) / unit**2 == pytest.approx(expected, rel=1e-6)
    assert np.array(shapely.is_empty(rows.geometries)).tolist() == [False, True]
