"""Polygons in files: GeoPackage, GeoParquet, FlatGeobuf, GeoJSON and CSV with WKT."""
