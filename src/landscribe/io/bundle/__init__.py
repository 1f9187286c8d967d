"""Bundles: a finished run in one zip that other programs can use and anybody can replay."""
