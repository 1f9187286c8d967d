"""Splits by place: which scenes train, which validate, and whether ground stands on both sides."""
