"""Places and maps of chips drawn one chip at a time, as one writes it at first: what `draw_places` is compared with."""

from __future__ import annotations

import numpy as np
from affine import Affine

from landscribe.core.arrays import FloatArray, IntArray
from landscribe.core.recipe import ChipTable
from landscribe.nn.sample.places import PlaceTable


class PlainPlaces:
    """Labelled pixels counted by rows of all scenes.

    Args:
        places: Of the scenes.
    """

    def __init__(self, places: PlaceTable) -> None:
        self.places = places
        heights, widths = places.size_s2.T
        self.row_scene = np.repeat(np.arange(len(heights)), heights)
        self.row_origin = np.concatenate([[0], np.cumsum(widths[self.row_scene])])
        self.first_row = np.concatenate([[0], np.cumsum(heights)[:-1]])
        labelled = places.labelled_n.astype(np.int64)
        kinds = [labelled, *(labelled * (kind >= places.touched) for kind in places.coverage_nk.T)]
        self.so_far = [np.cumsum(np.add.reduceat(kind, self.row_origin[:-1])) for kind in kinds]

    def draw(self, chips: ChipTable, rng: np.random.Generator) -> tuple[IntArray, FloatArray]:
        """Return the scene and the map of each chip; `mirror` at the edges, no hard chips."""
        present = [k for k, so_far in enumerate(self.so_far) if k and so_far[-1]]
        scene_b, map_b6 = np.empty(chips.batch, np.int64), np.empty((chips.batch, 6))
        inner = chips.size - 2 * chips.context
        for b in range(chips.batch):
            chosen = bool(present) and rng.random() < chips.oversample
            kind = present[int(rng.integers(len(present)))] if chosen else 0
            first, stop = self._scene(kind, chips.balance, rng)
            scene_b[b], row, col = self._pixel(kind, int(rng.integers(first, stop)), rng)
            here = rng.uniform(-inner / 2, inner / 2, 2) if kind else np.zeros(2)
            map_b6[b] = self._map(chips, (col, row), here, rng)
        return scene_b, map_b6

    def _scene(self, kind: int, balance: str, rng: np.random.Generator) -> tuple[int, int]:
        so_far = self.so_far[kind]
        if balance == "area":
            return 0, int(so_far[-1])
        ends = np.concatenate([[0], so_far[self.first_row[1:] - 1], [so_far[-1]]])
        chosen = rng.choice(np.flatnonzero(np.diff(ends)))
        return int(ends[chosen]), int(ends[chosen + 1])

    def _pixel(self, kind: int, nth: int, rng: np.random.Generator) -> tuple[int, float, float]:
        r = int(np.searchsorted(self.so_far[kind], nth, side="right"))
        nth -= int(self.so_far[kind][r - 1]) if r else 0
        pixels = slice(self.row_origin[r], self.row_origin[r + 1])
        mask = self.places.labelled_n[pixels] > 0
        if kind:
            mask &= self.places.coverage_nk[pixels, kind - 1] >= self.places.touched
        scene = int(self.row_scene[r])
        row = r - int(self.first_row[scene]) + rng.random()
        return scene, row, int(np.flatnonzero(mask)[nth]) + rng.random()

    def _map(
        self, chips: ChipTable, point: tuple[float, float], here: FloatArray, rng: np.random.Generator
    ) -> tuple[float, ...]:
        sharp = rng.random() < chips.sharp
        angle = rng.uniform(-chips.rotate_deg, chips.rotate_deg)
        zoom = rng.uniform(1 - chips.scale, 1 + chips.scale)
        flips = np.where(rng.random(2) < 0.5, -1.0, 1.0) if chips.flips else np.ones(2)
        if sharp:
            angle, zoom = 90.0 * round(angle / 90), 1.0
        turned = Affine.rotation(angle) @ Affine.scale(*(zoom * flips))
        back = Affine.translation(-chips.size / 2 - here[0], -chips.size / 2 - here[1])
        values = tuple(Affine.translation(*point) @ turned @ back)[:6]
        return tuple(float(round(v)) for v in values) if sharp else values
