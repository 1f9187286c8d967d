"""Scores: what two sides have in common, per class, with intervals, and settings chosen by them."""
