"""Files to values and back: rasters, vectors, scenes, recipes, run folders."""
