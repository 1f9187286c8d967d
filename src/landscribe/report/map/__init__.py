"""The map of a run: pictures, probabilities and polygons in one page, self-contained or from a local server."""

from landscribe.report.map.frames import Frame, frames_of, place_of
from landscribe.report.map.page import render_map

__all__ = ["Frame", "frames_of", "place_of", "render_map"]
