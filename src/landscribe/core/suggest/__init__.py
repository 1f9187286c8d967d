"""Which windows are worth labelling next; no files, no networks."""
