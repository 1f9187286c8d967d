"""Values and geometry: no files, no torch."""
