"""Everything that uses torch: network input, network, chips, training, prediction, and models on disk."""
