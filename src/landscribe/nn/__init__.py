"""Everything that uses torch: network input, network, chips, training, prediction, and models on disk."""

import os

# Large tensors on large pages: a prediction on a processor takes a fifth less time. Read by torch at its first tensor.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
