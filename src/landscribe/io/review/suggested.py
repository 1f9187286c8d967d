"""`suggested.json` of a run, and the same windows as a GeoPackage for QGIS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np
import shapely
from pyproj import CRS, Transformer

from landscribe.core.features import one_at_a_time
from landscribe.core.grid import Grid, Window
from landscribe.core.seal import seal, unseal
from landscribe.errors import IntegrityError, RecipeError, problem
from landscribe.io.atomic import atomic_path, write_text
from landscribe.io.names import safe_name
from landscribe.io.run.runs import Run
from landscribe.io.safety import require_output
from landscribe.io.vector.ogr import write_ogr
from landscribe.io.vector.styles import embed_style, outline_qml
from landscribe.late import geopandas as gpd
from landscribe.late import pandas as pd

SUGGESTED = "suggested.json"
FORMAT, LAYER = 1, "windows"
_AGAIN = "run `landscribe suggest` again"
_LONLAT = CRS.from_epsg(4326)
_COLOUR = "255,127,0,255"
_LINE = {
    "style": "no",
    "outline_color": _COLOUR,
    "outline_style": "solid",
    "outline_width": "0.8",
    "outline_width_unit": "MM",
    "joinstyle": "miter",
}


@dataclass(frozen=True)
class SuggestedWindow:
    """A window that is worth labelling."""

    rank: int
    """From 1, the most worth first."""
    scene: str
    window: Window
    """In pixels of the scene's reference."""
    score: float
    """1 is a window like most."""
    why: str
    """In words."""
    parts: Mapping[str, float]
    """What the score is the mean of."""


@dataclass(frozen=True)
class Suggested:
    """What `suggest` found."""

    windows: tuple[SuggestedWindow, ...] = ()
    looked_at: int = 0
    """Windows that could have been suggested."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Windows that could not, by reason."""
    size: str = ""
    """Side of a window, as it was asked for."""
    notes: tuple[str, ...] = ()
    """What was not looked at, and why."""


def write_suggested(file: Path, found: Suggested) -> None:
    """Write what was found, sealed."""
    rows = [{**asdict(row), "window": [*asdict(row.window).values()]} for row in found.windows]
    values = {"format": FORMAT, "size": found.size, "looked_at": found.looked_at, "left_out": dict(found.left_out)}
    write_text(file, seal({**values, "notes": list(found.notes), "windows": rows}))


def read_suggested(run: Run) -> Suggested | None:
    """Return what `suggest` found in a run; None where it was not asked, or what it went by was made anew since.

    Raises:
        IntegrityError: If the file is damaged, or not what was written.
    """
    file = run.path(SUGGESTED)
    record = run.read_record("suggest", "all")
    if record is None or not file.is_file():
        return None
    now = {name: digest for one in run.records("predict").values() for name, digest in one.outputs.items()}
    if any(now.get(name) != digest for name, digest in record.inputs.items() if name.startswith("probability/")):
        return None
    return parse_suggested(run.checked(file).read_bytes(), str(file))


def parse_suggested(content: bytes, where: str) -> Suggested:
    """Return what a `suggested.json` says.

    Raises:
        IntegrityError: If it is damaged.
    """
    values = unseal(content, where, do=_AGAIN, sealed=True)
    try:
        rows = tuple(
            SuggestedWindow(
                int(row["rank"]),
                str(row["scene"]),
                Window(*(int(n) for n in row["window"])),
                float(row["score"]),
                str(row["why"]),
                {str(name): float(part) for name, part in row["parts"].items()},
            )
            for row in values["windows"]
        )
        left_out = {str(reason): int(n) for reason, n in values["left_out"].items()}
        return Suggested(
            rows, int(values["looked_at"]), left_out, str(values["size"]), tuple(map(str, values["notes"]))
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(problem(where, "damaged", got=type(error).__name__, do=_AGAIN)) from None


def todo_files(out: Path, scenes: Mapping[str, Grid]) -> dict[Path, list[str]]:
    """Return the GeoPackages that windows go into: one for all scenes that lie somewhere, one for each other scene.

    Args:
        out: The first of them.
        scenes: Grid of each scene's reference.

    Raises:
        RecipeError: If one is there already, for it may hold somebody's notes, or is no GeoPackage by its name.
    """
    require_output(out, (), (".gpkg",))
    found: dict[Path, list[str]] = {}
    for scene_id, grid in scenes.items():
        target = out if grid.crs is not None else out.with_name(f"{out.stem}-{safe_name(scene_id)}.gpkg")
        found.setdefault(target, []).append(scene_id)
    for target in found:
        if target.exists():
            do = "choose another --to, or remove it if nobody worked on it"
            raise RecipeError(problem(str(target), "is there already", do=do))
    return found


def write_todo(out: Path, windows: Sequence[SuggestedWindow], scenes: Mapping[str, Grid]) -> dict[Path, int]:
    """Write suggested windows as polygons with rank, score and reason, and a style that shows ranks.

    Scenes of several CRS go together in longitude and latitude; pictures without a place get a file each, in pixels.

    Args:
        out: GeoPackage; whole or not at all.
        windows: What to write.
        scenes: Grid of each scene's reference.

    Returns:
        File -> number of windows.

    Raises:
        RecipeError: As `todo_files`.
        OSError: If the disk is full.
    """
    files = todo_files(out, {row.scene: scenes[row.scene] for row in windows})
    return {
        target: _write(target, [row for row in windows if row.scene in set(ids)], scenes)
        for target, ids in files.items()
    }


def _write(target: Path, rows: Sequence[SuggestedWindow], scenes: Mapping[str, Grid]) -> int:
    frames = {scenes[row.scene].crs for row in rows}
    crs = next(iter(frames)) if len(frames) == 1 else _LONLAT
    with one_at_a_time:
        frame = gpd.GeoDataFrame(
            {
                "rank": np.array([row.rank for row in rows], np.int32),
                "score": np.array([row.score for row in rows]),
                "why": pd.Series([row.why for row in rows], dtype="string"),
                "scene": pd.Series([row.scene for row in rows], dtype="string"),
                "note": pd.Series(["" for _ in rows], dtype="string"),
            },
            geometry=[_outline(row, scenes[row.scene], crs) for row in rows],
            crs=crs,
        )
        with atomic_path(target) as temporary:
            write_ogr(temporary, frame, LAYER, "GPKG", str(target))
            embed_style(temporary, LAYER, "geom", _style("rank"))
    return len(rows)


def _style(label: str) -> str:
    """Return a style of QGIS: outlines with the value of a column in each."""
    root = outline_qml(_LINE, "Symbology|Labeling")
    root.set("labelsEnabled", "1")
    settings = Xml.SubElement(Xml.SubElement(root, "labeling", {"type": "simple"}), "settings")
    shown = {"fieldName": label, "fontSize": "12", "textColor": _COLOUR, "fontWeight": "75"}
    text = Xml.SubElement(settings, "text-style", shown)
    Xml.SubElement(text, "text-buffer", {"bufferDraw": "1", "bufferSize": "1", "bufferColor": "255,255,255,255"})
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + Xml.tostring(root, encoding="unicode")


def _outline(row: SuggestedWindow, grid: Grid, crs: CRS | None) -> shapely.Polygon:
    outline = grid.crop(row.window).footprint
    if crs is None or grid.crs == crs:
        return shapely.orient_polygons(outline)
    to_other = Transformer.from_crs(grid.crs, crs, always_xy=True)
    moved = shapely.transform(outline, lambda xy: np.column_stack(to_other.transform(xy[:, 0], xy[:, 1])))
    return shapely.orient_polygons(moved)
