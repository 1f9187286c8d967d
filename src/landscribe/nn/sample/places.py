"""Where chips lie: pixels drawn at random without a list of all of them, and the maps of chips that are centred there.

All chips of a batch are drawn at once, as arrays. Those that reach out of their scene where they must not are drawn
again, all of them together, until none does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit

from landscribe.core.arrays import BoolArray, ByteArray, FloatArray, IntArray
from landscribe.core.recipe import ChipTable
from landscribe.errors import DataError, problem

BLOCK_PX = 256
"""Pixels, one behind the other, of which only the count is kept; the one that is wanted is looked for among them."""
TRIES = 100
"""Places in a scene before another scene is drawn, and scenes before there is no room."""


@dataclass(frozen=True)
class Places:
    """Where pixels of one kind are: enough to pick one at random without a list of all of them."""

    pixels_so_far: IntArray
    """int64: pixels of that kind up to and including each block of `BLOCK_PX`, those of all scenes in order."""
    scene_ends: IntArray
    """int64: pixels of that kind before each scene, with one more at the end."""

    @property
    def count(self) -> int:
        """Pixels of that kind."""
        return int(self.scene_ends[-1])


@dataclass(frozen=True)
class PlaceTable:
    """The labelled pixels of all scenes by kind: 0 is any of them, k + 1 one that class k touches."""

    so_far_kn: IntArray
    """int64 (K + 1, blocks): as `Places.pixels_so_far`."""
    ends_ks: IntArray
    """int64 (K + 1, S + 1): as `Places.scene_ends`."""
    first_s: IntArray
    """int64 (S,): first pixel of each scene."""
    size_s2: IntArray
    """int64 (S, 2): height and width of each scene."""
    labelled_n: ByteArray
    """uint8: 1 where a pixel is labelled."""
    coverage_nk: ByteArray
    """Covered share of each class, 0..255."""
    touched: int
    """The smallest share by which a class touches a pixel."""

    def kind(self, number: int) -> Places:
        """Return the places of one kind."""
        return Places(self.so_far_kn[number], self.ends_ks[number])

    @cached_property
    def scenes_of(self) -> tuple[IntArray, IntArray]:
        """Scenes with pixels of each kind, these first, int64 (K + 1, S), and how many of these there are, (K + 1,)."""
        has_ks = np.diff(self.ends_ks) > 0
        return np.argsort(~has_ks, axis=1, kind="stable"), has_ks.sum(axis=1)


def count_places(
    labelled_n: ByteArray, coverage_nk: ByteArray, size_s2: IntArray, first_s: IntArray, touched: int
) -> PlaceTable:
    """Count the pixels of each kind, in one pass; the arguments are fields of `PlaceTable`."""
    kinds, n_scenes = coverage_nk.shape[1] + 1, len(first_s)
    so_far_kn = np.zeros((kinds, -(-len(labelled_n) // BLOCK_PX)), np.int64)
    ends_ks = np.zeros((kinds, n_scenes + 1), np.int64)
    _count(labelled_n, coverage_nk, touched, np.append(first_s, len(labelled_n)), so_far_kn, ends_ks)
    np.cumsum(so_far_kn, axis=1, out=so_far_kn)
    np.cumsum(ends_ks, axis=1, out=ends_ks)
    return PlaceTable(so_far_kn, ends_ks, first_s, size_s2, labelled_n, coverage_nk, touched)


def draw_places(
    places: PlaceTable,
    classes: IntArray,
    chips: ChipTable,
    worst: tuple[IntArray, FloatArray],
    rng: np.random.Generator,
) -> tuple[IntArray, FloatArray]:
    """Draw the scene and the map of each chip of a batch, int64 (B,) and float64 (B, 6) as `Affine` has them.

    Args:
        places: Of the training scenes.
        classes: Kinds that the share `chips.oversample` is drawn from, int64; may be empty.
        chips: What a batch is.
        worst: Scene and reference (col, row) of the places that the share `chips.hard` is centred on; none of them is
            needed.
        rng: How much of it is used depends on where there is room, not on `worst`.

    Raises:
        DataError: If chips shall lie inside of scenes and there is no room for one.
    """
    n, (worst_scene_w, worst_point_w2) = chips.batch, worst
    hard_u, over_u, kind_u = rng.random((3, n))
    is_hard_b = (hard_u < chips.hard) & (len(worst_scene_w) > 0)
    kind_b = np.zeros(n, np.int64)
    if len(classes):
        kind_b = np.where(over_u < chips.oversample, classes[_choose(kind_u, len(classes))], 0)
    scene_b, map_b6, first_b, count_b = np.empty(n, np.int64), np.empty((n, 6)), *np.empty((2, n), np.int64)
    left = np.arange(n)
    for turn in range(TRIES**2):
        hard = is_hard_b[left]
        if turn == TRIES and hard.any():
            break
        if turn % TRIES == 0:
            # The scene stays while places in it are tried: a small one has as many chips as the others.
            first_b[left], count_b[left] = _draw_scenes(places, kind_b[left], chips.balance, rng)
        u = rng.random((10, len(left)))
        scene, point_2 = _points(places, kind_b[left], first_b[left] + _choose(u[0], count_b[left]), u[1:3])
        here_2 = (u[3:5].T - 0.5) * (chips.size - 2 * chips.context) * (kind_b[left] > 0)[:, None]
        if hard.any():
            chosen = _choose(u[0, hard], len(worst_scene_w))
            scene[hard], point_2[hard], here_2[hard] = worst_scene_w[chosen], worst_point_w2[chosen], 0
        map_6 = chip_maps(chips, point_2, here_2, u[5:])
        scene_b[left], map_b6[left] = scene, map_6
        if chips.edges == "mirror":
            return scene_b, map_b6
        left = left[~lie_inside(chips, map_6, places.size_s2[scene])]
        if not len(left):
            return scene_b, map_b6
    raise DataError(problem("chips", "no room inside the scenes", got=f"{chips.size} px", do='edges = "mirror"'))


def chip_maps(chips: ChipTable, point_b2: FloatArray, here_b2: FloatArray, u_5b: FloatArray) -> FloatArray:
    """Return the maps that lay chip points centre + `here` on reference points (col, row), float64 (B, 6).

    A sharp chip is moved, by less than a pixel, to where its pixels are the scene's.

    Args:
        chips: Of the batch.
        point_b2: Reference (col, row).
        here_b2: Distance from the chip's centre in chip pixels.
        u_5b: Numbers from 0 to 1, of which follow in turn: sharp, angle, zoom, flip of columns, flip of rows.
    """
    sharp_b = u_5b[0] < chips.sharp
    angle_b, zoom_b = chips.rotate_deg * (2 * u_5b[1] - 1), 1 + chips.scale * (2 * u_5b[2] - 1)
    angle_b, zoom_b = np.where(sharp_b, 90 * np.rint(angle_b / 90), angle_b), np.where(sharp_b, 1.0, zoom_b)
    flip_2b = np.where(chips.flips & (u_5b[3:] < 0.5), -zoom_b, zoom_b)
    turn_b = np.radians(angle_b)
    cos_b, sin_b = np.cos(turn_b), np.sin(turn_b)
    map_b6 = np.empty((len(point_b2), 6))
    map_b6[:, 0], map_b6[:, 1] = cos_b * flip_2b[0], -sin_b * flip_2b[1]
    map_b6[:, 3], map_b6[:, 4] = sin_b * flip_2b[0], cos_b * flip_2b[1]
    along_b, down_b = (chips.size / 2 + here_b2).T
    map_b6[:, 2] = point_b2[:, 0] - map_b6[:, 0] * along_b - map_b6[:, 1] * down_b
    map_b6[:, 5] = point_b2[:, 1] - map_b6[:, 3] * along_b - map_b6[:, 4] * down_b
    return np.where(sharp_b[:, None], np.rint(map_b6) + 0.0, map_b6)  # no negative noughts


def lie_inside(chips: ChipTable, map_b6: FloatArray, size_b2: IntArray) -> BoolArray:
    """Tell which chips lie in their scene, and with them all others of the same centre.

    Then places do not depend on angles: chips near an edge would otherwise be turned less.

    Args:
        chips: Of the batch.
        map_b6: Chip (col, row) to reference (col, row).
        size_b2: Height and width of each chip's scene.
    """
    loose, half = chips.sharp < 1, chips.size / 2
    reach = half * (1 + chips.scale * loose) * (np.sqrt(2) if chips.rotate_deg > 0 and loose else 1)
    map_b23 = map_b6.reshape(-1, 2, 3)
    centre_b2 = map_b23[:, :, :2].sum(axis=2) * half + map_b23[:, :, 2]
    return ((centre_b2 >= reach) & (centre_b2 <= size_b2[:, ::-1] - reach)).all(axis=1)


def _choose(u: FloatArray, count: IntArray | int) -> IntArray:
    """Return numbers below `count`, as likely as one another, from numbers below 1."""
    return (u * count).astype(np.int64)


def _draw_scenes(
    places: PlaceTable, kind_b: IntArray, balance: str, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Return which of the pixels of its kind each chip draws from, first and count: those of a scene, or all."""
    if balance == "area":
        return np.zeros_like(kind_b), places.ends_ks[kind_b, -1]
    scenes_ks, counts_k = places.scenes_of
    scene_b = scenes_ks[kind_b, _choose(rng.random(len(kind_b)), counts_k[kind_b])]
    first_b = places.ends_ks[kind_b, scene_b]
    return first_b, places.ends_ks[kind_b, scene_b + 1] - first_b


def _points(places: PlaceTable, kind_b: IntArray, nth_b: IntArray, u_2b: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return scene and reference (col, row) of a point within the nth pixel of a kind."""
    found_b = np.empty_like(nth_b)
    _find(places.so_far_kn, places.labelled_n, places.coverage_nk, places.touched, kind_b, nth_b, found_b)
    scene_b = np.searchsorted(places.first_s, found_b, side="right") - 1
    row_b, col_b = np.divmod(found_b - places.first_s[scene_b], places.size_s2[scene_b, 1])
    return scene_b, np.stack([col_b + u_2b[0], row_b + u_2b[1]], axis=1)


@njit(cache=True, nogil=True)
def _count(
    labelled_n: ByteArray,
    coverage_nk: ByteArray,
    touched: int,
    starts: IntArray,
    count_kn: IntArray,
    ends_ks: IntArray,
) -> None:
    for s in range(len(starts) - 1):
        for n in range(starts[s], starts[s + 1]):
            if labelled_n[n]:
                block = n // BLOCK_PX
                count_kn[0, block] += 1
                ends_ks[0, s + 1] += 1
                for k in range(coverage_nk.shape[1]):
                    if coverage_nk[n, k] >= touched:
                        count_kn[k + 1, block] += 1
                        ends_ks[k + 1, s + 1] += 1


@njit(cache=True, nogil=True)
def _find(
    so_far_kn: IntArray,
    labelled_n: ByteArray,
    coverage_nk: ByteArray,
    touched: int,
    kind_b: IntArray,
    nth_b: IntArray,
    found_b: IntArray,
) -> None:
    """Write which pixel is the nth of its kind, counted from 0."""
    for b in range(len(kind_b)):
        kind, left = kind_b[b], nth_b[b]
        block = np.searchsorted(so_far_kn[kind], left, side="right")
        if block:
            left -= so_far_kn[kind, block - 1]
        n = block * BLOCK_PX
        while n < len(labelled_n) - 1:
            if labelled_n[n] and (kind == 0 or coverage_nk[n, kind - 1] >= touched):
                if left == 0:
                    break
                left -= 1
            n += 1
        found_b[b] = n
