"""Tables of features that need not fit into memory: written in lots, and read by columns."""
