"""Polygons as rings of vertices: from and to shapely, repaired, flattened, joined and simplified."""
