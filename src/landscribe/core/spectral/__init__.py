"""What bands say without a network: indices, spectral rules, pansharpening."""
