"""A tile with the pixels of its neighbours around it: what prediction sees of a scene that does not end at its edge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray, IntArray
from landscribe.core.grid import Grid, Window
from landscribe.core.pixel_source import PixelSource
from landscribe.core.sensors import SensorSpec
from landscribe.errors import DataError, IntegrityError
from landscribe.io.run.prepared import PreparedScene, open_prepared, sensor_raster
from landscribe.io.run.runs import Run
from landscribe.io.run.tiling import Tiling, find_tiles, window_on

Reader: TypeAlias = Callable[[Window], tuple[AnyArray, BoolArray]]
"""Gives pixels (C, h, w) and validity (h, w) of a window of a raster."""


class Frame(NamedTuple):
    """Pixels that are laid around a grid."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0

    def moved(self, window: Window) -> Window:
        """Return where a window of the grid lies on the one with the frame."""
        return Window(window.row + self.top, window.col + self.left, *window.shape_hw)

    def moved_back(self, window: Window) -> Window:
        """Return where a window of the grid with the frame lies on the one without."""
        return Window(window.row - self.top, window.col - self.left, *window.shape_hw)

    def around(self, grid: Grid) -> Grid:
        """Return the grid with the frame around it."""
        height, width = grid.height + self.top + self.bottom, grid.width + self.left + self.right
        return grid.crop(Window(-self.top, -self.left, height, width))


@dataclass(frozen=True)
class Surroundings:
    """A scene among its neighbours; a `PixelSource` on a grid that reaches into them.

    Where no tile lies within the frame, the scene is mirrored, as it is at its edges.
    """

    scene: PreparedScene
    beside: Sequence[tuple[PreparedScene, Mapping[str, Window]]]
    """Neighbours, and where each of their sensors lies in pixels of the scene's."""
    frames: Mapping[str, Frame]
    """Of each sensor."""

    @property
    def id(self) -> str:
        """Name of the scene."""
        return self.scene.id

    @property
    def frame(self) -> Frame:
        """Of the reference."""
        return self.frames[self.scene.reference]

    @property
    def grid(self) -> Grid:
        """The reference grid with the frame."""
        return self.grids[self.scene.reference]

    @property
    def sensors(self) -> Mapping[str, SensorSpec]:
        """What each raster holds."""
        return {name: self.scene.sensors[name] for name in self.frames}

    @property
    def grids(self) -> Mapping[str, Grid]:
        """Grid of each sensor, with the frame."""
        return {name: frame.around(self.scene.grids[name]) for name, frame in self.frames.items()}

    @property
    def absent(self) -> frozenset[str]:
        """Sensors of which the scene has nothing; such a scene has no surroundings."""
        return self.scene.absent

    def dtype(self, sensor: str) -> str:
        """Return the NumPy name of a sensor's pixel type."""
        return self.scene.dtype(sensor)

    def read(self, sensor: str, window: Window) -> tuple[AnyArray, BoolArray]:
        """Return raw values (C, h, w) and validity (h, w)."""
        frame = self.frames[sensor]
        parts = [(partial(self.scene.read, sensor), self.scene.grids[sensor].window)]
        parts += [(partial(scene.read, sensor), windows[sensor]) for scene, windows in self.beside]
        return read_among(parts, frame.moved_back(window))

    def read_coverage(self, window: Window) -> tuple[ByteArray, BoolArray]:
        """Read nothing of the neighbours: what they are labelled as is not for prediction to see."""
        return self.scene.read_coverage(self.frame.moved_back(window))

    def rasters(self, paths: Mapping[str, Path]) -> list[tuple[Path, Window]]:
        """Return rasters on the reference grids of neighbours, and where each lies in pixels of the scene's."""
        return [(paths[other.id], windows[self.scene.reference]) for other, windows in self.beside]


def read_among(parts: Sequence[tuple[Reader, Window]], there: Window) -> tuple[AnyArray, BoolArray]:
    """Read a window that may reach over the edge of a raster into others; where none lies, the first is mirrored.

    Args:
        parts: How to read the raster itself and the others, and where each lies in pixels of the first.
        there: In pixels of the first.

    Returns:
        Pixels (C, h, w) and validity (h, w).
    """
    seen = [(read, place, part) for read, place in parts if (part := there.intersection(place)) is not None]
    if len(seen) == 1 and seen[0][2] == there:
        return seen[0][0](_inside(there, seen[0][1]))
    image_chw, valid_hw = np.empty((0, *there.shape_hw), np.uint8), np.zeros(there.shape_hw, np.bool_)
    if sum(part.height * part.width for _, _, part in seen) < there.height * there.width:
        image_chw, valid_hw = _mirrored(*parts[0], there)
    for read, place, part in seen:
        pixels, valid = read(_inside(part, place))
        if not len(image_chw):
            image_chw = np.empty((len(pixels), *there.shape_hw), pixels.dtype)
        rows, cols = _inside(part, there).slices
        image_chw[:, rows, cols], valid_hw[rows, cols] = pixels, valid
    return image_chw, valid_hw


def _inside(part: Window, whole: Window) -> Window:
    return Window(part.row - whole.row, part.col - whole.col, *part.shape_hw)


def _mirrored(read: Reader, place: Window, there: Window) -> tuple[AnyArray, BoolArray]:
    """Read a raster as if it were mirrored at its edges."""
    rows, cols = _folded(there.row, there.row_stop, place.height), _folded(there.col, there.col_stop, place.width)
    (top, bottom), (left, right) = ((int(i.min()), int(i.max()) + 1) for i in (rows, cols))
    image_chw, valid_hw = read(Window(top, left, bottom - top, right - left))
    down, along = np.ix_(rows - top, cols - left)
    return np.ascontiguousarray(image_chw[:, down, along]), np.ascontiguousarray(valid_hw[down, along])


@dataclass(frozen=True)
class Mosaic:
    """The prepared scenes of a run, and which of them are tiles of one grid; looked at when it is first asked for."""

    run: Run
    scene_ids: Sequence[str]

    @cached_property
    def scenes(self) -> dict[str, PreparedScene]:
        """All of them but those that cannot be read, of which they tell when it is their turn."""
        found = {}
        for scene_id in self.scene_ids:
            with suppress(DataError, IntegrityError):
                found[scene_id] = open_prepared(self.run, scene_id)
        return found

    @cached_property
    def tiling(self) -> Tiling:
        """The tiles among them."""
        return find_tiles({scene_id: scene.grid for scene_id, scene in self.scenes.items()})

    def around(self, scene_id: str, sensors: Iterable[str], reach_px: int) -> Surroundings | None:
        """Return a scene among the tiles beside it; None where it has none of the same sensors.

        Args:
            scene_id: The scene.
            sensors: Those that are looked at, and the reference; others are not part of it.
            reach_px: How far it is looked, in pixels of the reference.
        """
        around = self.tiling.around(scene_id, reach_px) if scene_id in self.scenes else {}
        return _among(self.scenes[scene_id], [self.scenes[i] for i in around], sensors, reach_px) if around else None


def _among(
    scene: PreparedScene, others: Iterable[PreparedScene], sensors: Iterable[str], reach_px: int
) -> Surroundings | None:
    names = list(dict.fromkeys([scene.reference, *sensors]))
    if scene.absent.intersection(names):
        return None
    beside = []
    for other in others:
        if not _alike(scene, other, names):
            continue
        windows = {name: window_on(other.grids[name], scene.grids[name]) for name in names}
        placed = {name: window for name, window in windows.items() if window is not None}
        if len(placed) == len(names):
            beside.append((other, placed))
    sides = _sides(scene.grid, [windows[scene.reference] for _, windows in beside], reach_px)
    if not any(sides):
        return None
    frames = {name: _scaled(sides, scene.grid, scene.grids[name]) for name in names}
    return Surroundings(scene, beside, frames)


@contextmanager
def open_among(source: PreparedScene | Surroundings, sensors: Iterable[str]) -> Iterator[PixelSource]:
    """Yield a scene, or one among its neighbours, with rasters open, for one thread that reads many windows."""
    names = list(sensors)
    with ExitStack() as files:
        if isinstance(source, PreparedScene):
            yield files.enter_context(source.open_rasters(names))
            return
        scene = files.enter_context(source.scene.open_rasters(names))
        beside = [(files.enter_context(other.open_rasters(names)), windows) for other, windows in source.beside]
        yield replace(source, scene=scene, beside=beside)


def files_of(found: Surroundings) -> dict[str, list[str]]:
    """Return the rasters of each neighbour, as its record names them: a prediction depends on them."""
    return {
        other.id: [
            f"prepared/{sensor_raster(other.folder, name).relative_to(other.folder.parent).as_posix()}"
            for name in found.frames
        ]
        for other, _ in found.beside
    }


def _alike(scene: PreparedScene, other: PreparedScene, names: Sequence[str]) -> bool:
    """Tell whether another scene has the same sensors, with the same bands, in numbers of the same size."""
    return other.reference == scene.reference and all(
        name in other.grids
        and name not in other.absent
        and other.kinds[name] == scene.kinds[name]
        and other.bands[name] == scene.bands[name]
        and other.bits[name] == scene.bits[name]
        for name in names
    )


def _sides(grid: Grid, windows: Sequence[Window], reach_px: int) -> Frame:
    """Return how far the frame reaches on each side: not at all where no tile touches that side."""
    height, width = grid.shape_hw
    strips = (
        Window(-1, 0, 1, width),
        Window(0, -1, height, 1),
        Window(height, 0, 1, width),
        Window(0, width, height, 1),
    )
    touched = [any(strip.intersection(window) is not None for window in windows) for strip in strips]
    return Frame(*(reach_px if touches else 0 for touches in touched))


def _scaled(sides: Frame, reference: Grid, grid: Grid) -> Frame:
    """Return the frame of a sensor in its own pixels, as wide as that of the reference or a little wider."""
    if grid.shape_hw == reference.shape_hw:
        return sides
    scale = reference.pixel_map(grid)
    rows, cols = abs(scale.e) + abs(scale.d), abs(scale.a) + abs(scale.b)
    lengths = zip(sides, (rows, cols, rows, cols), strict=True)
    return Frame(*(int(np.ceil(length * factor)) + 2 if length else 0 for length, factor in lengths))


def _folded(start: int, stop: int, size: int) -> IntArray:
    """Return which pixel each of start..stop is where a row of `size` is mirrored at both ends."""
    folded = np.arange(start, stop) % (2 * size)
    return np.minimum(folded, 2 * size - 1 - folded)
