"""Rasters: opened safely, read by windows, written whole or not at all."""
