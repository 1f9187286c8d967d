"""Finished models: their files, what they know of the scenes they were trained on, and models without weights."""
