"""What the server knows of the runs it shows: scenes by number, their rasters, polygons and reviews."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from affine import Affine

from landscribe.core.legend import Legend
from landscribe.errors import LandscribeError, problem
from landscribe.io.digests import stamp_of
from landscribe.io.names import safe_name
from landscribe.io.review.book import Book
from landscribe.io.review.found import FOLDER, models_digest
from landscribe.io.review.journal import Journal
from landscribe.io.run.prepared import FACTS, LABELS, PreparedScene, open_prepared, sensor_raster
from landscribe.io.run.runs import Run
from landscribe.stages.maps._polygons import Table, Tables
from landscribe.stages.maps._shown import RefusedError, Shown
from landscribe.stages.maps._tiles import Source, Tiler

PICTURE, PROBABILITY = "picture", "probability-"
TRUTH, FOUND = "truth", "found"


@dataclass(frozen=True)
class Place:
    """A scene of the map."""

    number: int
    shown: Shown
    id: str
    to_map: Affine
    """Frame -> ground coordinates."""
    extent: tuple[float, float, float, float]
    """In the frame: left, bottom, right, top."""
    bands: tuple[tuple[str, int], ...] = ()
    """Sensor of each band that can be shown, and the band's position there from 0."""


@dataclass(frozen=True)
class Site:
    """All that is served."""

    runs: Mapping[str, Shown]
    places: Sequence[Place]
    legends: Mapping[str, Legend]
    """Run -> its classes in band order."""
    read_only: Mapping[str, str] = field(default_factory=dict)
    """Run -> why nothing may be edited there."""
    tiler: Tiler = field(default_factory=Tiler)
    tables: Tables = field(default_factory=Tables)
    books: dict[int, Book] = field(default_factory=dict)
    _scenes: dict[int, tuple[tuple[int, ...], PreparedScene]] = field(default_factory=dict)
    _models: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def shown_as(self, run: str) -> Shown:
        """Return the run of an address.

        Raises:
            RefusedError: 404 where there is none.
        """
        if run not in self.runs:
            raise RefusedError(HTTPStatus.NOT_FOUND, f"no such run: {run[:40]}")
        return self.runs[run]

    def place(self, run: str, number: str) -> Place:
        """Return the scene of an address.

        Raises:
            RefusedError: 404 where there is none.
        """
        shown = self.shown_as(run)
        own = [place for place in self.places if place.shown.key == shown.key]
        k = int(number) if number.isascii() and number.isdigit() and len(number) < 9 else -1
        if not 0 <= k < len(own):
            raise RefusedError(HTTPStatus.NOT_FOUND, f"no such scene: {number[:40]}")
        return own[k]

    def legend_of(self, place: Place) -> Legend:
        """Return the classes of a scene's run, in band order."""
        return self.legends[place.shown.key]

    def scene(self, place: Place) -> PreparedScene:
        """Return what was prepared of a scene.

        Raises:
            RefusedError: As `Shown.checked`.
        """
        facts = place.shown.run.scene_folder(place.id) / FACTS
        stamp = stamp_of(facts)
        known = self._scenes.get(place.number)
        if known is None or known[0] != stamp:
            stamp = place.shown.checked(facts, place.id)
            known = self._scenes[place.number] = stamp, open_prepared(place.shown.run, place.id)
        return known[1]

    def band(self, place: Place, number: int) -> tuple[Source, int]:
        """Return the raster of a band of the manifest, and its number in it from 1.

        Raises:
            RefusedError: As `Shown.checked`, and 400 for an unknown band.
        """
        if not 0 <= number < len(place.bands):
            need = f"0 to {len(place.bands) - 1}"
            raise RefusedError(HTTPStatus.BAD_REQUEST, problem("bands", "no such band", got=number, need=need))
        sensor, at = place.bands[number]
        scene = self.scene(place)
        path = sensor_raster(scene.folder, sensor)
        stamp = place.shown.checked(path, place.id)
        grid = scene.grids.get(sensor)
        if grid is None:  # sharpened: on the grid of another sensor
            with self.tiler.handles.borrow(path, stamp) as raster:
                grid = raster.info.grid
        return Source(path, stamp, grid, scene.grid), at + 1

    def probability(self, place: Place) -> Source:
        """Return the probabilities of a scene.

        Raises:
            RefusedError: As `Shown.checked`.
        """
        path = place.shown.run.probability(place.id)
        stamp = place.shown.checked(path, place.id)
        with self.tiler.handles.borrow(path, stamp) as raster:
            grid = raster.info.grid
        return Source(path, stamp, grid, self.scene(place).grid)

    def table(self, place: Place, layer: str) -> Table:
        """Return the polygons that were found or are labels.

        Raises:
            RefusedError: As `Shown.checked`, and 404 for another layer.
            DataError: If they cannot be read.
        """
        run = place.shown.run
        paths = {FOUND: run.features(place.id), TRUTH: run.scene_folder(place.id) / LABELS}
        if layer not in paths:
            raise RefusedError(HTTPStatus.NOT_FOUND, f"no such layer: {layer[:40]}")
        return self.tables.get(paths[layer], place.shown.checked(paths[layer], place.id))

    def book(self, place: Place) -> Book:
        """Return the review of a scene.

        Raises:
            RefusedError: 410 where the run is gone.
            DataError: If there is a file that is no review.
        """
        place.shown.require_there()
        with self._lock:
            if place.number not in self.books:
                run, crs = place.shown.run, self.scene(place).grid.crs
                book = Book(
                    run.path(FOLDER), place.id, run.root.resolve().name, self.legend_of(place), crs,
                    can_write=not self.read_only.get(place.shown.key),
                )  # fmt: skip
                book.open()
                self.books[place.number] = book
            return self.books[place.number]

    def recover(self) -> list[str]:
        """Write edits that a killed process left in journals into their GeoPackages, and say what came of it."""
        said = []
        for key, shown in self.runs.items():
            if key in self.read_only:
                continue
            of_scene = {f".{safe_name(p.id)}.journal": p for p in self.places if p.shown is shown}
            left = [path for path in sorted(shown.run.path(FOLDER).glob(".*.journal")) if Journal(path).says]
            for path in left:
                if path.name not in of_scene:
                    said.append(problem(str(path), "edits of a scene that the run does not show, kept as they are"))
                    continue
                try:
                    book = self.book(of_scene[path.name])
                except (LandscribeError, OSError) as error:
                    said.append(f"edits of an earlier start are still in {path}: {error}")
                    continue
                book.fold()
                said += book.notes
                if not Journal(path).says:
                    said.append(f"{book.path}: has the edits of an earlier start that was killed")
        return said

    def model(self, place: Place) -> str:
        """Return what tells the models of a scene's run from others."""
        with self._lock:
            if place.shown.key not in self._models:
                self._models[place.shown.key] = models_digest(place.shown.run)
            return self._models[place.shown.key]

    def fold(self, *, now: bool = False) -> None:
        """Write the GeoPackages of scenes that nobody has edited for a moment, or all of them."""
        for book in list(self.books.values()):
            if now:
                book.fold()
            else:
                book.fold_if_due()


def places_of(manifest: Mapping[str, Any], runs: Mapping[str, Run]) -> tuple[dict[str, Shown], list[Place]]:
    """Return the runs and scenes of a manifest, numbered as there.

    Args:
        manifest: As the page has it.
        runs: Key of a run -> its folder.
    """
    shown = {run["key"]: Shown(run["key"], runs[run["key"]], run["id"]) for run in manifest["runs"]}
    frames = {frame["id"]: Affine(*frame["to_map"]) for frame in manifest["frames"]}
    places = [
        Place(
            k,
            shown[scene["run"]],
            scene["id"],
            frames[scene["frame"]],
            tuple(scene["extent"]),
            tuple((band["sensor"], band["at"]) for band in scene["bands"]),
        )
        for k, scene in enumerate(manifest["scenes"])
    ]
    return shown, places
