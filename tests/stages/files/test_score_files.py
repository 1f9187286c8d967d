from __future__ import annotations

import csv
import gzip
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from pyproj import CRS
from shapely import MultiPolygon, box

from landscribe.core.features import empty_features, join_features, make_features
from landscribe.core.legend import LandClass, Legend
from landscribe.core.score.left_out import LeftOut, alarms
from landscribe.core.score.score import NotScored, Score
from landscribe.core.score.scores import score_features
from landscribe.errors import DataError
from landscribe.io.vector.vectors import write_features
from landscribe.stages.files.compare import compare_runs, comparison_table
from landscribe.stages.files.score_files import score_files

UTM = CRS.from_epsg(32611)
HOUSE, FIELD = LandClass(1, "house", "#B22222", countable=True), LandClass(2, "field", "#D9C84A", countable=True)
X, Y = 660_000.0, 4_000_000.0


def some(land_class: LandClass, *polygons: object, scene: str = "", crs: CRS | None = UTM) -> gpd.GeoDataFrame:
    out = np.empty(len(polygons), dtype=object)
    out[:] = polygons
    return make_features(scene, land_class, out, crs=crs)


def town(shift: float = 0.0) -> gpd.GeoDataFrame:
    houses = [box(X + 30 * i + shift, Y, X + 30 * i + 11 + shift, Y + 13) for i in range(5)]
    return join_features([some(HOUSE, *houses), some(FIELD, box(X, Y + 50, X + 170, Y + 90 + shift))])


@pytest.mark.parametrize("ending", ["gpkg", "geojson", "parquet", "fgb"])
def test_every_format_gives_the_same_score(tmp_path, ending):
    predicted, truth = tmp_path / f"ours.{ending}", tmp_path / f"theirs.{ending}"
    write_features(predicted, town(2.0), legend=None)
    write_features(truth, town(), legend=None)
    found = score_files(predicted, truth)
    house = found.classes["house"]
    assert house.polygon.jaccard == pytest.approx(9 / 13, rel=1e-4)
    assert house.polygon.tp == pytest.approx(5 * 9 * 13, rel=2e-3)
    assert house.objects.tp == 5
    assert found.classes["field"].polygon.jaccard == pytest.approx(40 / 42, rel=1e-4)
    assert found.unit == "m2"
    assert Score.from_json(found.to_json()) == found


def test_formats_and_crs_may_differ(tmp_path):
    predicted, truth = tmp_path / "ours.parquet", tmp_path / "theirs.geojson"
    write_features(predicted, town(2.0), legend=None)
    write_features(truth, town(), legend=None)
    assert score_files(predicted, truth).classes["house"].polygon.jaccard == pytest.approx(9 / 13, rel=1e-4)
    assert score_files(truth, predicted).classes["house"].polygon.jaccard == pytest.approx(9 / 13, rel=1e-4)


def test_the_class_can_be_in_any_column_or_in_none(tmp_path):
    predicted, truth = tmp_path / "ours.gpkg", tmp_path / "theirs.geojson"
    write_features(predicted, town(), legend=None)
    plain = gpd.GeoDataFrame({"kind": ["house"] * 5 + ["field"]}, geometry=town().geometry.to_numpy(), crs=UTM)
    plain.to_crs(4326).to_file(truth, driver="GeoJSON", engine="pyogrio")
    assert score_files(predicted, truth, class_field="kind").mean.polygon.jaccard == pytest.approx(1, rel=1e-4)
    with pytest.raises(DataError, match=r"no class in both files, got house, field in ours.gpkg; feature in theirs"):
        score_files(predicted, truth)
    assert list(score_files(truth, truth).classes) == ["feature"]
    with pytest.raises(DataError, match=r"--class-field: no such column in either file, got 'knid', need .*kind in th"):
        score_files(predicted, truth, class_field="knid")


def write_dstl(path: Path, rows: list[tuple[str, int, str]]) -> None:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", newline="") as file:
        csv.writer(file).writerows([("ImageId", "ClassType", "MultipolygonWKT"), *rows])


def wkt(*polygons: object) -> str:
    return shapely.to_wkt(
        shapely.transform(MultiPolygon(polygons), lambda xy: xy * (1e-5, -1e-5)), rounding_precision=-1
    )


def test_submissions_are_scored_on_the_images_that_both_name(tmp_path):
    empty = "MULTIPOLYGON EMPTY"
    truth = [
        ("6110_1_2", 1, wkt(box(0, 0, 4, 4), box(9, 0, 13, 4))), ("6110_1_2", 10, empty),
        ("6140_1_2", 1, wkt(box(0, 0, 4, 4))), ("6010_1_2", 1, wkt(box(0, 0, 4, 4))), ("6100_1_3", 1, empty),
    ]  # fmt: skip
    predicted = [
        ("6110_1_2", 1, wkt(box(0, 0, 4, 4))), ("6110_1_2", 10, wkt(box(0, 0, 1, 1))), ("6140_1_2", 1, empty),
        ("6100_1_3", 1, wkt(box(0, 0, 2, 4))), ("6999_0_0", 1, wkt(box(0, 0, 2, 4))),
    ]  # fmt: skip
    write_dstl(tmp_path / "truth.csv", truth)
    write_dstl(tmp_path / "ours.csv.gz", predicted)
    found = score_files(tmp_path / "ours.csv.gz", tmp_path / "truth.csv")
    assert set(found.scenes) == {"6110_1_2", "6140_1_2", "6100_1_3"}
    assert found.conventions.scenes_not_scored == NotScored(truth=1, predicted=1)
    assert found.places["6140_1_2"] == found.places["6110_1_2"]
    building = found.classes["building"]
    assert building.polygon.jaccard == pytest.approx(16 / (16 + 8 + 32))
    assert (building.objects.tp, building.objects.fp, building.objects.fn) == (1, 1, 2)
    assert found.classes["small-vehicle"].polygon.jaccard == 0
    assert found.classes["road"].polygon.jaccard is None
    assert found.unit == "unit2"
    assert found.left_out == (
        LeftOut("scenes", "which the prediction does not name", 1, 4, ("6010_1_2",)),
        LeftOut("polygons", "true, in scenes that are not scored", 1, 4),
        LeftOut("scenes", "which the truth does not name", 1, 4, ("6999_0_0",)),
        LeftOut("polygons", "predicted, in scenes that are not scored", 1, 4),
    )


@pytest.mark.parametrize("crs", [None, UTM])
@pytest.mark.parametrize("ending", ["gpkg", "geojson", "parquet", "fgb", "csv"])
def test_an_empty_prediction_misses_everything_whatever_it_says_of_coordinates(tmp_path, ending, crs):
    scenes = ("a", "b")
    for name, own in (("pixels", None), ("ground", UTM)):
        truth = join_features([some(HOUSE, box(0, 0, 4, 4), scene=s, crs=own) for s in scenes])
        write_features(tmp_path / f"{name}.gpkg", truth, legend=None)
    empty = tmp_path / f"empty.{ending}"
    write_features(empty, empty_features(crs), legend=None)
    for name in ("pixels", "ground"):
        found = score_files(empty, tmp_path / f"{name}.gpkg")
        assert tuple(found.scenes) == scenes
        assert found.classes["house"].polygon.jaccard == 0
        assert found.classes["house"].polygon.fn == pytest.approx(32, rel=1e-2)
        assert found.classes["house"].objects.fn == 2
        assert alarms(found) == ["nothing is predicted in any scored scene: all that is true counts as missed"]
        (other_way,) = alarms(score_files(tmp_path / f"{name}.gpkg", empty))
        assert other_way.startswith("nothing is true")
    assert score_files(empty, empty).mean.polygon.jaccard is None


def test_an_all_empty_submission_is_scored_and_leaves_no_rows_out(tmp_path):
    write_dstl(tmp_path / "truth.csv", [(i, 1, wkt(box(0, 0, 4, 4))) for i in ("6110_1_2", "6140_1_2")])
    write_dstl(tmp_path / "header.csv", [])
    write_dstl(tmp_path / "rows.csv", [(i, k, "MULTIPOLYGON EMPTY") for i in ("6110_1_2", "6140_1_2") for k in (1, 2)])
    for name in ("header", "rows"):
        found = score_files(tmp_path / f"{name}.csv", tmp_path / "truth.csv")
        assert len(found.scenes) == 2
        assert found.classes["building"].polygon.jaccard == 0
        assert found.conventions.left_out == {}
        assert len(alarms(found)) == 1


def test_scenes_are_told_apart(tmp_path):
    truth = join_features([some(HOUSE, box(0, 0, 4, 4), scene=s, crs=None) for s in ("a", "b")])
    predicted = join_features([some(HOUSE, box(0, 0, 4, 4), scene="a", crs=None)])
    for name, side in (("truth", truth), ("ours", predicted)):
        write_features(tmp_path / f"{name}.gpkg", side, legend=None)
    found = score_files(tmp_path / "ours.gpkg", tmp_path / "truth.gpkg")
    assert found.mean.polygon.jaccard == 0.5
    assert found.mean.polygon.low == 0
    write_features(tmp_path / "other.gpkg", some(HOUSE, box(0, 0, 4, 4), scene="z", crs=None), legend=None)
    with pytest.raises(DataError, match=r"no scene in both files, got z in other.gpkg; a, b in truth.gpkg"):
        score_files(tmp_path / "other.gpkg", tmp_path / "truth.gpkg")
    write_features(tmp_path / "bare.gpkg", some(HOUSE, box(0, 0, 4, 4), crs=None), legend=None)
    with pytest.raises(DataError, match="cannot be told apart"):
        score_files(tmp_path / "bare.gpkg", tmp_path / "truth.gpkg")


def test_a_file_without_scenes_meets_one_with(tmp_path):
    write_features(tmp_path / "ours.parquet", town(2.0).assign(scene="tile_7"), legend=None)
    write_features(tmp_path / "truth.gpkg", town(), legend=None)
    found = score_files(tmp_path / "ours.parquet", tmp_path / "truth.gpkg")
    assert found.classes["house"].polygon.jaccard == pytest.approx(9 / 13, rel=1e-6)


def test_a_crs_on_one_side_only_is_refused(tmp_path):
    write_features(tmp_path / "with.gpkg", town(), legend=None)
    write_features(tmp_path / "without.gpkg", town().set_crs(None, allow_override=True), legend=None)
    for one, other in (("with", "without"), ("without", "with")):
        with pytest.raises(DataError, match="no CRS"):
            score_files(tmp_path / f"{one}.gpkg", tmp_path / f"{other}.gpkg")


def test_what_was_left_out_is_said(tmp_path):
    truth = tmp_path / "truth.csv"
    write_dstl(truth, [("a", 1, wkt(box(0, 0, 4, 4))), ("a", 2, "POLYGON ((0 0"), ("b", 1, wkt(box(0, 0, 4, 4)))])
    left_out = score_files(truth, truth).conventions.left_out
    assert left_out["truth"] == left_out["predicted"]
    ((reason, count),) = left_out["truth"].items()
    assert "row" in reason
    assert count == 1


def write_score(folder: Path, shift: float) -> Path:
    rng = np.random.default_rng(1)
    corners = rng.uniform(0, 90, (11, 9, 2))
    truth = join_features(
        [some(HOUSE, *(box(*c, *(c + 9)) for c in cs), scene=f"s{i}") for i, cs in enumerate(corners)]
    )
    moved = truth.set_geometry(
        shapely.transform(truth.geometry.to_numpy(), lambda xy: xy + np.array((shift, 0))), crs=UTM
    )
    folder.mkdir()
    (folder / "score.json").write_text(score_features(moved, truth, Legend((HOUSE,))).to_json())
    return folder


def test_runs_are_compared_by_folder_or_file(tmp_path):
    first, second = write_score(tmp_path / "one", 3.0), write_score(tmp_path / "two", 1.0)
    result = compare_runs(first, second / "score.json")
    assert result.mean.real is True
    assert result.mean.difference > 0.1
    heads, rows = comparison_table(result)
    assert len(heads) == len(rows[0])
    assert [row[-2:] for row in rows] == [["better", "places"]] * 2
    assert comparison_table(compare_runs(second, first))[1][0][-2] == "worse"
    assert comparison_table(compare_runs(first, first))[1][0][-2] == "no"


@pytest.mark.parametrize("content", ["[]", "{", '{"classes": {}}', "[" * 100_000, "3"])
def test_what_is_no_score_is_refused(tmp_path, content):
    (tmp_path / "score.json").write_text(content)
    with pytest.raises(DataError, match="not a score"):
        compare_runs(tmp_path, tmp_path)


def test_a_run_without_a_score_says_what_to_do(tmp_path):
    with pytest.raises(DataError, match="run `landscribe score` first"):
        compare_runs(tmp_path, tmp_path)
