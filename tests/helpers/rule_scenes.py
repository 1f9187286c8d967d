"""Scenes of four bands whose model is a rule: what is green in them is a house, and no network is trained."""

from __future__ import annotations

RULE = """
[data]
sensors.S = { path = "{scene}.tif", kind = "rgbn" }
labels = { path = "houses.gpkg", class = "house" }
[[data.kinds]]
kind = "rgbn"
bands = ["red", "green", "blue", "nir"]
bits = 8
[[models]]
name = "rule"
kind = "index"
"""
"""A recipe up to what the rule is."""
