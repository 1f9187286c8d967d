"""A prepared scene: native-resolution rasters with corrected georeference, labels as shares and as polygons."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray, FloatArray
from landscribe.core.grid import STRIP_ROWS, Grid, Window
from landscribe.core.quantiles import LEVELS, quantiles_of
from landscribe.core.sensors import Sensor, SensorSpec, describe_sensors
from landscribe.core.split.looks import Look
from landscribe.core.trace import trace_blocks
from landscribe.core.tracing import PIXEL_EDGES
from landscribe.errors import DataError, problem
from landscribe.io.digests import stamp_of
from landscribe.io.raster.rasters import Raster, open_raster, write_raster
from landscribe.io.raster.suspects import thin
from landscribe.io.run.runs import Run
from landscribe.io.vector.vectors import read_own
from landscribe.late import geopandas as gpd

COVERAGE, LABELS, FACTS = "coverage.tif", "labels.parquet", "scene.json"
QUANTILES = "quantiles"
"""Key of a sensor's quantiles in what `prepare` notes of a scene, band by band at `core.quantiles.LEVELS`."""
RANGES = ("type", "percentiles")
"""What is kept of the statistics of a scene that is open."""


def sensor_raster(folder: Path, name: str) -> Path:
    """Return where the raster of a sensor lies, given the folder of its prepared scene."""
    return folder / "sensors" / f"{name}.tif"


@dataclass(frozen=True)
class PreparedScene:
    """What `prepare` wrote for one scene; a `PixelSource`."""

    id: str
    folder: Path
    place: str
    reference: str
    kinds: Mapping[str, str]
    """Sensor name -> kind, the reference first."""
    bands: Mapping[str, tuple[str, ...]]
    bits: Mapping[str, int]
    """Sensor name -> significant bits, as the catalogue or the recipe says."""
    grids: Mapping[str, Grid]
    """Sensor name -> grid with the shift in its georeference."""
    is_labelled: bool
    look: Look
    """Brightness of its valid pixels, sensor by sensor."""
    ranges: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    """Sensor name -> its `type` and `percentiles`, as `io.models.ranges` compares them."""
    within: Window | None = None
    """Part of the scene whose labels count; None for all of it."""
    without: Window | None = None
    """Part whose labels do not."""
    absent: frozenset[str] = frozenset()
    """Sensors of which the scene has nothing but one pixel without data."""
    opened: Mapping[str, Raster] = field(default_factory=dict, repr=False, compare=False)
    """Rasters that are open and read from there; others are opened for each window."""
    checked: Callable[[Path], Path] = field(default=Path, repr=False, compare=False)
    """Compares a file with its record before it is read; `Run.checked`."""

    @property
    def grid(self) -> Grid:
        """The reference grid."""
        return self.grids[self.reference]

    def raster(self, sensor: str) -> Path:
        """Return where the raster of a sensor lies, compared with its record."""
        return self.checked(sensor_raster(self.folder, sensor))

    @property
    def coverage(self) -> Path:
        """Where the covered shares lie, compared with their record."""
        return self.checked(self.folder / COVERAGE)

    @cached_property
    def sensors(self) -> dict[str, SensorSpec]:
        """What each raster holds, the reference first."""
        return describe_sensors(self.kinds, self.bands, self.bits)

    @contextmanager
    def open_rasters(self, sensors: Iterable[str]) -> Iterator[PreparedScene]:
        """Yield the scene with the rasters of some sensors open, for one thread that reads many windows."""
        with ExitStack() as files:
            rasters = {name: files.enter_context(open_raster(self.raster(name))) for name in sensors}
            yield replace(self, opened=rasters)

    def read(self, sensor: str, window: Window | None = None) -> tuple[AnyArray, BoolArray]:
        """Read raw numbers (C, h, w) and validity (h, w) of one sensor, of the whole raster or a window inside it."""
        if sensor in self.opened:
            return self.opened[sensor].read(window)
        with open_raster(self.raster(sensor)) as raster:
            return raster.read(window)

    def dtype(self, sensor: str) -> str:
        """Return the NumPy name of a sensor's pixel type."""
        with open_raster(self.raster(sensor)) as raster:
            return raster.info.dtype

    def read_coverage(self, window: Window | None = None) -> tuple[ByteArray, BoolArray]:
        """Read the covered shares (K, h, w), 0..255, and which pixels are labelled (h, w)."""
        with open_raster(self.coverage) as raster:
            coverage_khw, labelled_hw = raster.read(window)
        return coverage_khw, labelled_hw & self.counts_hw(window or self.grid.window)

    def counts_hw(self, window: Window) -> BoolArray:
        """Tell which pixels of a window `within` and `without` let count, (h, w)."""
        counts_hw = np.ones(window.shape_hw, dtype=np.bool_)
        for part, inside in ((self.within, True), (self.without, False)):
            common = None if part is None else part.intersection(window)
            if part is not None:
                part_hw = np.zeros(window.shape_hw, dtype=np.bool_)
                if common is not None:
                    part_hw[Window(common.row - window.row, common.col - window.col, *common.shape_hw).slices] = True
                counts_hw &= part_hw == inside
        return counts_hw

    def read_labels(self) -> gpd.GeoDataFrame:
        """Read the label polygons in ground coordinates."""
        return read_own(self.checked(self.folder / LABELS))

    def labelled_ground(self) -> BaseGeometry:
        """Return the labelled and valid ground in ground coordinates, the footprint where it is all of the scene."""
        ground = self._labelled_whole()
        for part, cut in ((self.within, shapely.intersection), (self.without, shapely.difference)):
            ground = ground if part is None else cut(ground, self.grid.crop(part).footprint)
        return ground

    def _labelled_whole(self) -> BaseGeometry:
        with open_raster(self.coverage) as raster:

            def read(window: Window) -> BoolArray:
                return raster.read(window, bands=[1])[1]

            if all(read(window).all() for window in self.grid.window.strips()):
                # Beyond the picture nothing is known, so labels that reach over its edge end there.
                return self.grid.footprint
            traced = trace_blocks(read, self.grid.shape_hw, PIXEL_EDGES, block=STRIP_ROWS)
        return shapely.multipolygons(self.grid.pixels_to_ground(traced.geometries))


@dataclass(frozen=True)
class Relabelled:
    """A prepared scene with other labels in place of its own; a `PixelSource`."""

    scene: PreparedScene
    labels: Callable[[Window], tuple[ByteArray, BoolArray]]
    """Gives shares of a window, (K, h, w), 0..255, and which pixels count (h, w)."""

    @property
    def id(self) -> str:
        """Name of the scene."""
        return self.scene.id

    @property
    def grid(self) -> Grid:
        """The reference grid."""
        return self.scene.grid

    @property
    def sensors(self) -> Mapping[str, SensorSpec]:
        """What each raster holds."""
        return self.scene.sensors

    @property
    def grids(self) -> Mapping[str, Grid]:
        """Grid of each sensor."""
        return self.scene.grids

    @property
    def absent(self) -> frozenset[str]:
        """Sensors of which the scene has nothing."""
        return self.scene.absent

    def dtype(self, sensor: str) -> str:
        """Return the NumPy name of a sensor's pixel type."""
        return self.scene.dtype(sensor)

    def read(self, sensor: str, window: Window) -> tuple[AnyArray, BoolArray]:
        """Return raw values (C, h, w) and validity (h, w) of a window inside the sensor's grid."""
        return self.scene.read(sensor, window)

    def read_coverage(self, window: Window) -> tuple[ByteArray, BoolArray]:
        """Return the other labels (K, h, w), and which pixels count (h, w)."""
        return self.labels(window)


def _look(statistics: list[Mapping[str, Any]]) -> Look:
    mean, std = (np.array([value for row in statistics for value in row[key]]) for key in ("mean", "std"))
    # A sensor without a valid pixel has no brightness to compare.
    return Look(min((row["valid_pixels"] for row in statistics), default=0), mean, std)


def open_prepared(run: Run, scene_id: str) -> PreparedScene:
    """Open a prepared scene; one that this process has opened, and that is the same, is not read again.

    Raises:
        DataError: If the scene is not prepared, or was by a version that noted less.
        IntegrityError: If what was noted of it was changed.
    """
    file = _facts_file(run, scene_id)
    stamp = stamp_of(file)
    known = run.opened.get(scene_id)
    if known is None or known[0] != stamp:
        known = run.opened[scene_id] = stamp, _opened(run, scene_id, _read(file))
    scene: PreparedScene = known[1]
    return scene


def read_facts(run: Run, scene_id: str) -> dict[str, Any]:
    """Return what `prepare` noted of a scene.

    Raises:
        DataError: If the scene is not prepared.
        IntegrityError: If it was changed since.
    """
    return _read(_facts_file(run, scene_id))


def _facts_file(run: Run, scene_id: str) -> Path:
    file = run.scene_folder(scene_id) / FACTS
    if not file.is_file():
        raise DataError(problem(f"scene {scene_id!r}", "not prepared", do="run `landscribe prepare` first"))
    return run.checked(file)


def _read(file: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return facts


def _opened(run: Run, scene_id: str, facts: Mapping[str, Any]) -> PreparedScene:
    folder = run.scene_folder(scene_id)
    try:
        grids = {sensor: Grid.from_plain(values) for sensor, values in facts["grids"].items()}
        return PreparedScene(
            scene_id,
            folder,
            facts["place"],
            facts["reference"],
            facts["kinds"],
            {sensor: tuple(names) for sensor, names in facts["bands"].items()},
            facts["bits"],
            grids,
            bool(facts["labelled"]),
            _look(list(facts["statistics"].values())),
            {name: {k: row.get(k) for k in RANGES} for name, row in facts["statistics"].items()},
            absent=frozenset(facts["absent"]),
            checked=run.checked,
        )
    except KeyError as error:
        do = "run `landscribe prepare` again"
        where = str(folder / FACTS)
        raise DataError(problem(where, f"says nothing of {error}: made by another version", do=do)) from None


def scene_quantiles(run: Run, scene_id: str) -> dict[str, FloatArray]:
    """Return the quantiles of each sensor of a prepared scene, float32 (C, Q), NaN where it has no valid pixel.

    They are those that `prepare` noted; of scenes prepared by a version that did not, they are taken from the rasters,
    which gives the same.
    """
    facts, found = read_facts(run, scene_id), {}
    for name, row in facts["statistics"].items():
        if QUANTILES in row:
            found[name] = np.array(row[QUANTILES], np.float32)
        elif not row["valid_pixels"]:
            found[name] = np.full((len(facts["bands"][name]), len(LEVELS)), np.nan, np.float32)
        else:
            found[name] = _taken_again(open_prepared(run, scene_id), name)
    return found


def _taken_again(scene: PreparedScene, sensor: str) -> FloatArray:
    grid = scene.grids[sensor]
    with open_raster(scene.raster(sensor)) as raster:
        parts = [thin(*raster.read(window), window, grid) for window in grid.window.strips()]
    image_chw = np.concatenate([image_chw for image_chw, _ in parts], axis=1)
    return quantiles_of(image_chw, np.concatenate([valid_hw for _, valid_hw in parts]))


def quantiles_to_plain(quantiles_cq: FloatArray) -> list[list[float]]:
    """Return quantiles as JSON has them, with no more digits than float32 has."""
    return [[float(str(value)) for value in row] for row in quantiles_cq]


def facts_of(place: str, sensors: Mapping[str, Sensor], absent: Iterable[str], *, labelled: bool) -> dict[str, Any]:
    """Return what `scene.json` holds, the reference being the first sensor."""
    return {
        "place": place,
        "reference": next(iter(sensors)),
        "kinds": {name: sensor.kind for name, sensor in sensors.items()},
        "bands": {name: list(sensor.band_names) for name, sensor in sensors.items()},
        "bits": {name: sensor.bits for name, sensor in sensors.items()},
        "absent": sorted(absent),
        "labelled": labelled,
    }


def write_blank(folder: Path, name: str, sensor: Sensor, reference: Grid) -> Path:
    """Write one pixel without data over the whole scene, in place of a sensor that the scene lacks.

    Whatever reads prepared scenes then meets missing pixels, as in any other scene with nodata.
    """
    path, grid = sensor_raster(folder, name), reference.resize(1, 1)
    dtype = "float32" if sensor.bits == 0 else "uint8" if sensor.bits <= 8 else "uint16"
    count = len(sensor.bands)
    with write_raster(path, grid, count=count, dtype=dtype, descriptions=sensor.band_names, mask=True) as writer:
        writer.write(grid.window, np.zeros((count, 1, 1), dtype))
        writer.write_mask(grid.window, np.zeros((1, 1), np.bool_))
    return path


def blank_statistics(sensor: Sensor) -> dict[str, Any]:
    """Return the statistics of a sensor that a scene lacks."""
    zeros = [0.0] * len(sensor.bands)
    return {"valid_pixels": 0, "invalid_pixels": 1, "mean": zeros, "std": zeros, "min": None, "max": None}
