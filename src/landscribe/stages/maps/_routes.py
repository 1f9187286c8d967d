"""What each address answers.

Parts of an address are numbers and names that are looked up; none is ever a part of a path.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import shapely
from affine import Affine

from landscribe.core.grid import Grid
from landscribe.errors import DataError, IntegrityError, LandscribeError, LimitError, problem
from landscribe.io.review.review import EDITED
from landscribe.io.review.review import FOUND as AS_FOUND
from landscribe.io.review.rows import Row, check_shape, check_words, split_by, to_page
from landscribe.io.run.prepared import COVERAGE
from landscribe.report.map.packing import STEPS_PER_PX, pack
from landscribe.report.map.page import asset_names, read_asset
from landscribe.stages.maps._compared import SIDES, compared
from landscribe.stages.maps._manifest import REPORT, REPORT_OF
from landscribe.stages.maps._polygons import Box, columns_of
from landscribe.stages.maps._server import Answer, as_json, line
from landscribe.stages.maps._shown import RefusedError, Shown
from landscribe.stages.maps._site import FOUND, PICTURE, PROBABILITY, TRUTH, Place, Site
from landscribe.stages.maps._tiles import tile_window

MOST_POLYGONS, POLYGONS = 20_000, 5_000
"""Polygons of an answer at most, and where the address does not say."""
MOST_EDITS, MOST_BANDS, MOST_JOINED = 5_000, 1 << 16, 50
SANDBOX = (
    "sandbox allow-scripts; default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)
SECONDS = 60
"""A browser keeps a tile so long without asking again."""
STATUS = {
    IntegrityError: HTTPStatus.CONFLICT,
    DataError: HTTPStatus.CONFLICT,
    LimitError: HTTPStatus.INSUFFICIENT_STORAGE,
}


@dataclass(frozen=True)
class Routes:
    """Answers requests that the guard let through."""

    site: Site
    page: bytes
    policy: str
    who: str

    def __call__(self, method: str, address: str, body: bytes) -> Answer:
        """Answer; whatever goes wrong is a status and one line."""
        try:
            return self._answer(method, address, body)
        except RefusedError as error:
            headers = {"Retry-After": "2"} if error.status == HTTPStatus.SERVICE_UNAVAILABLE else {}
            return Answer(f"{error}\n".encode(), status=error.status, headers=headers)
        except LandscribeError as error:
            return line(next((s for kind, s in STATUS.items() if isinstance(error, kind)), 500), str(error))
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                return line(HTTPStatus.GONE, f"{error.filename}: has vanished")
            return line(HTTPStatus.INSUFFICIENT_STORAGE, f"{error.filename or 'disk'}: {error.strerror or error}")
        except Exception as error:  # noqa: BLE001  # the border: a browser gets a line, and so does the terminal
            text = problem("view", "internal error", got=f"{type(error).__name__}: {error}"[:200])
            sys.stderr.write(text + "\n")
            return line(HTTPStatus.INTERNAL_SERVER_ERROR, text)

    def _answer(self, method: str, address: str, body: bytes) -> Answer:
        parts = urlsplit(address)
        names = [unquote(part) for part in parts.path.split("/")[1:]]
        query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        match ("POST" if method == "POST" else "GET"), names:
            case "GET", [""]:
                return Answer(self.page, "text/html; charset=utf-8", headers={"Content-Security-Policy": self.policy})
            case "GET", ["favicon.ico"]:
                return Answer(status=HTTPStatus.NO_CONTENT)
            case "GET", ["web", name] if name in asset_names():
                kind = "text/css" if name.endswith(".css") else "text/javascript"
                headers = {"Cache-Control": "no-cache"}
                return Answer(read_asset(name).encode(), f"{kind}; charset=utf-8", headers=headers)
            case "GET", [start, run, name] if (start, name) == (REPORT_OF, REPORT):
                return self._report(self.site.shown_as(run))
            case "GET", ["t", run, number, layer, z, x, y]:
                return self._tile(self.site.place(run, number), layer, _zxy(z, x, y), query.get("v", ""))
            case "GET", ["p", run, number, layer]:
                return self._polygons(self.site.place(run, number), layer, query)
            case "GET", ["e", run, number]:
                return self._review(self.site.place(run, number), query.get("since", "0"))
            case "POST", ["e", run, number]:
                return self._edit(self.site.place(run, number), body)
            case "POST", ["g", run, number]:
                return _reckon(self.site.place(run, number), body)
        return line(HTTPStatus.NOT_FOUND, "nothing is at this address")

    def _report(self, shown: Shown) -> Answer:
        """Return the report of a run, which may come from a stranger: a page that can ask this server for nothing."""
        path = shown.run.path(REPORT)
        shown.checked(path, "all", stage="report")
        return Answer(path.read_bytes(), "text/html; charset=utf-8", headers={"Content-Security-Policy": SANDBOX})

    def _tile(self, place: Place, layer: str, zxy: tuple[int, int, int], view: str) -> Answer:
        tiler = self.site.tiler
        if tile_window(self.site.scene(place).grid.shape_hw, zxy) is None:
            raise RefusedError(HTTPStatus.NOT_FOUND, problem("tile", "there is none", got="/".join(map(str, zxy))))
        if layer == PICTURE:
            numbers = [_whole(text, "bands", MOST_BANDS) for text in (view or "0,0,0").split(",")]
            if len(numbers) != 3:
                raise RefusedError(HTTPStatus.BAD_REQUEST, problem("bands", "not three", got=view[:40]))
            content, kind = tiler.picture([self.site.band(place, number) for number in numbers], zxy)
        elif layer.startswith(PROBABILITY):
            ids = [str(c.id) for c in self.site.legend_of(place)]
            wanted = layer.removeprefix(PROBABILITY)
            if wanted not in ids:
                raise RefusedError(HTTPStatus.NOT_FOUND, f"no such class: {wanted[:20]}")
            content, kind = tiler.probability(self.site.probability(place), zxy, ids.index(wanted) + 1)
        else:
            raise RefusedError(HTTPStatus.NOT_FOUND, f"no such layer: {layer[:40]}")
        return Answer(content, kind, headers={"Cache-Control": f"private, max-age={SECONDS}"})

    def _polygons(self, place: Place, layer: str, query: dict[str, str]) -> Answer:
        box = _box(query.get("bbox"), place.extent)
        limit = _whole(query.get("limit", str(POLYGONS)), "limit", MOST_POLYGONS)
        grid = self.site.scene(place).grid
        ground = _ground_box(box, place)
        step = _pixel(grid, place) / STEPS_PER_PX
        if layer in SIDES:
            found, truth = self.site.table(place, FOUND), self.site.table(place, TRUTH)
            place.shown.checked(self.site.scene(place).folder / COVERAGE, place.id)
            shapes, columns, left_off = compared(found, truth, self.site.scene(place), ground, layer, limit)
        else:
            table = self.site.table(place, layer)
            numbers = table.inside(ground)
            left_off, numbers = max(0, len(numbers) - limit), numbers[:limit]
            shapes, ids = table.shapes_and_ids(numbers)
            columns = columns_of(table, numbers, ids if layer == FOUND else None)
        origin = (place.extent[0], place.extent[1])
        return as_json({**pack(shapes, ~place.to_map, origin, step, columns), "left_off": left_off})

    def _review(self, place: Place, since: str) -> Answer:
        book = self.site.book(place)
        revision, rows = book.since(_whole(since, "since", 1 << 53))
        return as_json(self._told(place, rows) | {**book.to_state(), "revision": revision})

    def _edit(self, place: Place, body: bytes) -> Answer:
        why = self.site.read_only.get(place.shown.key)
        if why:
            raise RefusedError(HTTPStatus.LOCKED, why)
        edits, run = _edits(body)
        if run not in ("", place.shown.identity):
            do = "view the run that they are of"
            raise RefusedError(HTTPStatus.GONE, problem("edit", "edits of another run than is shown here", do=do))
        book = self.site.book(place)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        wanted, mended = [], {}
        for edit in edits:
            row, notes = self._row(place, edit, at)
            wanted.append((row, edit["was"]))
            if notes:
                mended[row.id] = "; ".join(notes)
        rows, against = book.edit(wanted)
        told = self._told(place, rows) | book.to_state() | {"mended": mended}
        return as_json(told | {"conflicts": [to_page(row, ~place.to_map) for row in against]})

    def _told(self, place: Place, rows: Sequence[Row]) -> dict[str, Any]:
        why = self.site.read_only.get(place.shown.key, "")
        return {"rows": [to_page(row, ~place.to_map) for row in rows], "read_only": why}

    def _row(self, place: Place, edit: dict[str, Any], at: str) -> tuple[Row, tuple[str, ...]]:
        try:
            texts = check_words(edit, self.site.legend_of(place))
            there = self.site.book(place).rows.get(texts["id"])
            notes: tuple[str, ...] = ()
            if edit.get("gone") is True:
                shape = None
            elif edit.get("shape") is not None:
                footprint = self.site.scene(place).grid.footprint
                shape, notes = check_shape(edit["shape"], place.to_map, footprint)
            elif there is not None and there.geometry is not None and texts["source"] != AS_FOUND:
                shape = there.geometry
            else:
                shape = self._found(place, texts["id"], edit.get("box"))
        except DataError as error:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
        model = self.site.model(place) if texts["source"] in (AS_FOUND, EDITED) else ""
        return Row(**texts, who=self.who, at=at, model=model, geometry=shape), notes  # type: ignore[arg-type]

    def _found(self, place: Place, name: str, box: object) -> shapely.Geometry:
        """Return the found polygon of a name, with all its digits, from where the page says that it lies."""
        table = self.site.table(place, FOUND)
        if not isinstance(box, list) or len(box) != 4:
            raise DataError(problem("edit, box", "not four numbers: where the polygon lies"))
        numbers = table.inside(_ground_box(_box(",".join(map(str, box)), place.extent), place))[:MOST_POLYGONS]
        shapes, ids = table.shapes_and_ids(numbers)
        if name in ids:
            found: shapely.Geometry = shapes[ids.index(name)]
            return found
        do = "reload the page: other polygons may have been found meanwhile"
        raise DataError(problem(f"edit, {name}", "no such polygon was found there", do=do))


def _reckon(place: Place, body: bytes) -> Answer:
    """Join shapes, or split one by a line, in frame coordinates; nothing is kept."""
    try:
        values = json.loads(body)
        shapes, across = list(values["shapes"]), values.get("line")
        if not shapes or len(shapes) > MOST_JOINED:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, f"shapes: got {len(shapes)}, need 1 to {MOST_JOINED}")
        whole = shapely.box(*place.extent)
        own = [check_shape(shape, Affine.identity(), whole)[0] for shape in shapes]
        made = [shapely.union_all(own)] if across is None else split_by(own[0], across)
    except DataError as error:
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "not shapes, with a line or without") from None
    return as_json({"shapes": [shapely.geometry.mapping(one) for one in made]})


def _edits(body: bytes) -> tuple[list[dict[str, Any]], str]:
    """Return the edits, and which run they are of; empty where that is not said."""
    try:
        values = json.loads(body)
        edits, run = list(values["edits"]), str(values.get("run", ""))
        fine = all(isinstance(e, dict) and type(e.get("was")) is int for e in edits)
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError):
        fine, edits, run = False, [], ""
    if not fine or not edits:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "edit: not a list of edits, each with the revision it was made on")
    if len(edits) > MOST_EDITS:
        text = problem("edit", "too many at once", got=len(edits), need=f"at most {MOST_EDITS}")
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
    return edits, run


def _zxy(*texts: str) -> tuple[int, int, int]:
    z, x, y = (_whole(text, "tile", 1 << 30) for text in texts)
    return z, x, y


def _whole(text: str, what: str, most: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) > most:
        raise RefusedError(
            HTTPStatus.BAD_REQUEST, problem(what, "not a whole number in its range", got=text[:40], need=f"0 to {most}")
        )
    return int(text)


def _box(text: str | None, extent: Box) -> Box:
    if not text:
        return extent
    try:
        left, bottom, right, top = (float(part) for part in text.split(","))
    except ValueError:
        left = bottom = right = top = float("nan")
    if not (np.isfinite([left, bottom, right, top]).all() and left <= right and bottom <= top):
        need = "left,bottom,right,top in the frame"
        raise RefusedError(HTTPStatus.BAD_REQUEST, problem("bbox", "not a box", got=text[:80], need=need))
    return left, bottom, right, top


def _ground_box(box: Box, place: Place) -> Box:
    corners = [place.to_map @ (x, y) for x in (box[0], box[2]) for y in (box[1], box[3])]
    xs, ys = zip(*corners, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _pixel(grid: Grid, place: Place) -> float:
    """Return about how many units of the frame a pixel has."""
    return abs((~place.to_map @ grid.transform).determinant) ** 0.5
