"""Networks: stem, blocks, layouts, the U-Net that runs them, and a model on disk."""
