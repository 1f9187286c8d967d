"""For notebooks and other programs: finished models, polygons and scores of values that are in memory.

What is taken is an array, an open data set of rasterio or a DataArray of xarray; what comes back carries its Grid. The
same machines as in a run are at work, with the same errors in one line. Nothing is written unless a path is given.
"""
