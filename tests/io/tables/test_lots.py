"""Tables written in lots: the same polygons as in one piece, old or new and never half, parts that are compact."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow.parquet
import pyogrio
import pytest
import shapely
from pyproj import CRS

from landscribe.core.features import join_features, make_features
from landscribe.core.legend import LandClass, Legend
from landscribe.errors import DataError
from landscribe.io.tables.columns import class_areas, unpacked_bytes
from landscribe.io.tables.hilbert import along_hilbert
from landscribe.io.tables.lots import write_lots, write_parts
from landscribe.io.vector.vectors import read_own, write_features

UTM = CRS.from_epsg(32633)
LEGEND = Legend((LandClass(1, "house", "#B22222"), LandClass(2, "tree", "#1B7837")))


def lot(number: int, count: int = 13) -> gpd.GeoDataFrame:
    rng = np.random.default_rng(number)
    corner = rng.uniform(0, 100, (count, 2)) + np.array([500_000 + 100 * (number % 7), 5_000_000 + 100 * (number // 7)])
    boxes = shapely.box(*corner.T, *(corner + rng.uniform(1, 9, (count, 2))).T)
    return make_features(
        f"s{number:02}", tuple(LEGEND)[number % 2], boxes, score=0.5, area=shapely.area(boxes), crs=UTM
    )


def shown(frame: gpd.GeoDataFrame) -> list[tuple[object, ...]]:
    shapes = shapely.normalize(shapely.set_precision(frame.geometry.to_numpy(), 0))
    columns = (frame[name].tolist() for name in ("scene", "class_id", "class_name", "score", "area"))
    return sorted(zip(*columns, shapely.to_wkb(shapes, hex=True), strict=True))


@pytest.mark.parametrize("ending", ["gpkg", "fgb"])
def test_lots_are_the_table_in_one_piece(tmp_path: Path, ending: str) -> None:
    lots = [lot(number) for number in range(11)] + [lot(12, 0)]
    path = tmp_path / f"features.{ending}"
    assert write_lots(path, iter(lots), crs=UTM, legend=LEGEND, caution="") == 11 * 13
    write_features(tmp_path / f"whole.{ending}", join_features(lots), legend=LEGEND)
    found = read_own(path)
    assert found.crs == UTM
    assert shown(found) == shown(join_features(lots)) == shown(read_own(tmp_path / f"whole.{ending}"))
    one, other = (pyogrio.read_info(tmp_path / f"{name}.{ending}", layer=0) for name in ("features", "whole"))
    assert (list(one["fields"]), list(one["dtypes"])) == (list(other["fields"]), list(other["dtypes"]))
    assert not list(tmp_path.glob(".partial-*"))


def test_a_map_without_a_polygon_is_a_table(tmp_path: Path) -> None:
    assert write_lots(tmp_path / "features.gpkg", iter(()), crs=UTM, legend=LEGEND, caution="mind") == 0
    assert read_own(tmp_path / "features.gpkg").crs == UTM
    assert pyogrio.read_info(tmp_path / "features.gpkg", layer="features")["layer_metadata"] == {"CAUTION": "mind"}
    (part,) = write_parts(tmp_path / "map", iter(()), legend=LEGEND)
    assert len(read_own(part)) == 0


def test_an_error_of_a_lot_comes_through_and_leaves_the_old_table(tmp_path: Path) -> None:
    path = tmp_path / "features.gpkg"
    write_lots(path, iter([lot(1)]), crs=UTM, legend=LEGEND)
    before = path.read_bytes()

    def lots() -> Iterator[gpd.GeoDataFrame]:
        yield lot(2)
        raise DataError("s03: damaged features")

    with pytest.raises(DataError, match="s03: damaged features"):
        write_lots(path, lots(), crs=UTM, legend=LEGEND)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".partial-*"))
    with pytest.raises(DataError, match="cannot be written in lots"):
        write_lots(tmp_path / "features.csv", iter([lot(1)]), crs=UTM, legend=LEGEND)


def test_parts_are_geoparquet_with_boxes_in_the_order_of_a_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("landscribe.io.tables.lots.PART_ROWS", 40)
    lots = [lot(number) for number in range(11)]
    parts = write_parts(tmp_path / "map", iter(lots), legend=LEGEND, caution="mind")
    assert [path.name for path in parts] == [f"part-{k:05}.parquet" for k in range(4)]
    assert shown(join_features([read_own(path) for path in parts])) == shown(join_features(lots))
    for path in parts:
        facts = pyarrow.parquet.read_schema(path).metadata
        geo = json.loads(facts[b"geo"])
        assert geo["version"] == "1.1.0"
        assert geo["columns"]["geometry"]["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
        assert facts[b"CAUTION"] == b"mind"
        bounds = shapely.bounds(gpd.read_parquet(path).geometry.to_numpy())
        assert along_hilbert(bounds).tolist() == list(range(len(bounds)))
        few = gpd.read_parquet(path, bbox=tuple(bounds[0]))  # by the column of boxes
        assert 0 < len(few) < len(bounds)


def test_the_curve_visits_each_cell_and_goes_to_a_neighbour() -> None:
    side = 16
    row, col = np.divmod(np.random.default_rng(7).permutation(side * side), side)
    order = along_hilbert(np.column_stack([col, row, col + 1, row + 1]).astype(float))
    steps = np.abs(np.diff(row[order])) + np.abs(np.diff(col[order]))
    assert (steps == 1).all()
    assert along_hilbert(np.empty((0, 4))).tolist() == []
    assert along_hilbert(np.zeros((3, 4))).tolist() == [0, 1, 2]


def test_columns_are_read_without_polygons(tmp_path: Path) -> None:
    path, frame = tmp_path / "s.parquet", join_features([lot(1), lot(2)])
    write_features(path, frame, legend=LEGEND)
    assert class_areas(path) == pytest.approx(frame.groupby("class_name")["area"].sum().to_dict())
    wkb = sum(map(len, shapely.to_wkb(frame.geometry.to_numpy())))
    assert wkb <= unpacked_bytes(path) < 1.3 * wkb + 500
    path.write_bytes(b"PAR1 and no more")
    for read in (class_areas, unpacked_bytes):
        with pytest.raises(DataError, match=r"s\.parquet"):
            read(path)


WRITE = """
import sys, shapely, numpy as np
from pathlib import Path
sys.path[:0] = {paths!r}
import test_lots
from landscribe.io.tables import lots as writer
from landscribe.io.tables.lots import write_lots, write_parts
from landscribe.process import most_memory_bytes
writer.PART_ROWS = 20_000
def lots(count):
    for number in range(count):
        yield test_lots.lot(number, 10_000)
peaks = []
for count in (4, 24):
    folder = Path(sys.argv[1])
    write_lots(folder / "f.gpkg", lots(count), crs=test_lots.UTM, legend=test_lots.LEGEND)
    write_parts(folder / "map", lots(count), legend=test_lots.LEGEND)
    peaks.append(most_memory_bytes() / 2**20)
print(peaks[1] - peaks[0])
"""


def test_memory_follows_a_lot_and_not_their_number(tmp_path: Path) -> None:
    script = WRITE.format(paths=[str(Path(__file__).parent), *sys.path])
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    whole_mb = 20 * 10_000 * 400 / 1e6  # twenty lots more, as objects with their boxes
    assert float(done.stdout) < 0.5 * whole_mb
