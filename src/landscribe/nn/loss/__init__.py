"""Sums over pixels that losses are made of."""
