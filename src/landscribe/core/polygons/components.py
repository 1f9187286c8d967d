"""Union-find: which things belong together, by links between pairs of them."""

from __future__ import annotations

import numpy as np

from landscribe.core.arrays import Int32s, Ints
from landscribe.late import compiled


@compiled
def find_root(root: Int32s, label: int) -> int:
    """Return the root of a label and shorten the way to it."""
    while root[label] != label:
        root[label] = root[root[label]]
        label = root[label]
    return label


@compiled
def _link(root: Int32s, a: Int32s, b: Int32s) -> Int32s:
    for k in range(len(a)):
        x, y = find_root(root, a[k]), find_root(root, b[k])
        root[max(x, y)] = min(x, y)
    for k in range(len(root)):
        root[k] = find_root(root, k)
    return root


def components(n: int, a: Ints, b: Ints) -> Ints:
    """Number the connected components of `n` things with links a-b, int64 (n,), in order of their first members."""
    root = _link(np.arange(n, dtype=np.int32), a.astype(np.int32), b.astype(np.int32))
    return np.unique(root, return_inverse=True)[1].astype(np.int64)


@compiled
def join_labels(root: Int32s, a: int, b: int) -> int:
    """Make two labels one part and return its root, the smaller one."""
    a, b = find_root(root, a), find_root(root, b)
    root[max(a, b)] = min(a, b)
    return min(a, b)
