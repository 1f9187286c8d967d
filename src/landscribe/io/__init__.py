"""Files to values and back: rasters, vectors, scenes, recipes, run folders."""

from landscribe.io import safety as safety  # sets the environment of GDAL before any module here imports it
