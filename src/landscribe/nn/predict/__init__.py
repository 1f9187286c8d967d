"""Prediction of a whole scene: in tiles without seams or in patches, in float32, bf16 or bytes."""
