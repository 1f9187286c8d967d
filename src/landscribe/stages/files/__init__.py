"""Single steps on plain files, without a run folder."""
