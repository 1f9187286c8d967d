"""Maps of a run: the page beside its report."""
