import dataclasses

import numpy as np
import pytest
import torch
from affine import Affine

from landscribe.core.recipe import ChipTable
from landscribe.errors import DataError
from landscribe.io.run import decoded_files as module
from landscribe.io.run.decoded_files import BlockFiles, Room, memory_room
from landscribe.nn.network.stem import compute_statistics
from landscribe.nn.train import decoded as decoded_module
from landscribe.nn.train.chips import cut_chips, draw_plan, load_bank
from landscribe.nn.train.decoded import decode_scenes, decoded_bytes, in_memory
from scenes import make_arrays

CPU = torch.device("cpu")
TABLE = ChipTable(size=32, context=4, batch=7, oversample=0.5)


def make_scenes():
    """Two scenes of two sensors with holes; one raster is of another type and has values that are not finite."""
    rng = np.random.default_rng(0)
    scenes = []
    for number, (h, w) in enumerate([(1061, 83), (47, 53)]):
        fine = rng.integers(0, 60000, (3, h, w)).astype(np.uint16)
        coarse = rng.normal(size=(2, h // 4, w // 4)).astype(np.float32 if number else np.float64)
        coarse[:, 3:5, 4] = np.nan
        coverage = (rng.random((2, h, w)) < 0.1).astype(np.uint8) * 255
        valid = {"F": rng.random((h, w)) < 0.9, "C": np.ones((h // 4, w // 4), bool)}
        images, maps = {"F": fine, "C": coarse}, {"C": Affine.scale(0.25)}
        labelled = rng.random((h, w)) < 0.8
        scenes.append(
            make_arrays(images, maps=maps, valid=valid, coverage=coverage, labelled=labelled, name=f"s{number}")
        )
    return scenes


class Watched:
    """A scene that notes what is read of it."""

    def __init__(self, scene, reads):
        self.scene, self.reads = scene, reads

    def __getattr__(self, name):
        return getattr(self.scene, name)

    def read(self, sensor, window):
        self.reads.append((self.id, sensor, window.row, window.height))
        return self.scene.read(sensor, window)

    def read_coverage(self, window):
        self.reads.append((self.id, "labels", window.row, window.height))
        return self.scene.read_coverage(window)


def decode(scenes, store):
    return decode_scenes(scenes, ["F", "C"], [0, 1], store)


def batch_of(scenes, decoded=None, backend=None):
    bank = load_bank(scenes, {"F": 1, "C": 4}, CPU, backend=backend, decoded=decoded)
    return bank, cut_chips(bank, TABLE, draw_plan(bank, TABLE, 3, 5))


def tensors_of(chips):
    return [*chips.images.values(), *chips.valid.values(), chips.target, chips.weight]


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_chips_are_the_same_wherever_scenes_lie(tmp_path, monkeypatch, backend):
    monkeypatch.setattr(decoded_module, "STRIP_PX", 50_000)
    scenes, reads = make_scenes(), []
    stored = [Watched(scene, reads) for scene in scenes]
    plain_bank, plain = batch_of(scenes, backend=backend)
    for store in (in_memory, BlockFiles(tmp_path, "train", "a")):
        reads.clear()
        decoded = decode(stored, store)
        assert len(reads) == 3 + 1 + 1 + 1 + 3 + 1  # the high scene comes in three strips
        bank, chips = batch_of(decoded.scenes, decoded, backend)
        assert all(torch.equal(a, b) for a, b in zip(tensors_of(plain), tensors_of(chips), strict=True))
        assert np.array_equal(plain_bank.anywhere.pixels_so_far, bank.anywhere.pixels_so_far)
        statistics = compute_statistics(decoded.scenes, 1.0)
        for name, expected in compute_statistics(scenes, 1.0).items():
            tolerance = 0 if name == "F" else 1e-6  # a scene of doubles is kept in single precision
            for ours, theirs in zip(dataclasses.astuple(statistics[name]), dataclasses.astuple(expected), strict=True):
                assert np.allclose(ours, theirs, rtol=tolerance, atol=0)
        for mine, scene in zip(decoded.scenes, scenes, strict=True):
            assert np.array_equal(mine.coverage_khw, scene.coverage_khw)
            assert np.array_equal(mine.labelled_hw, scene.labelled_hw)
            assert np.array_equal(mine.images_chw["F"], scene.images_chw["F"])
        sizes = decoded.labels.values_nc.nbytes + decoded.labels.valid_n.nbytes
        sizes += sum(block.values_nc.nbytes + block.valid_n.nbytes for block in decoded.blocks.values())
        assert decoded_bytes(stored, ["F", "C"], [0, 1]) == sizes
    assert decoded_bytes([], ["F", "C"], [0, 1]) == 0


def test_only_the_sensors_and_classes_that_are_wanted_are_decoded():
    scene, reads = make_scenes()[1], []
    [found] = decode_scenes([Watched(scene, reads)], ["C"], [1], in_memory).scenes
    assert {name for _, name, *_ in reads} == {"C", "labels"}
    assert (*found.images_chw, *found.grids, *found.sensors) == ("C",) * 3
    assert (found.grid, found.grids["C"]) == (scene.grid, scene.grids["C"])
    assert np.array_equal(found.coverage_khw, scene.coverage_khw[[1]])


def test_a_bank_of_blocks_copies_nothing(tmp_path):
    stored = [Watched(scene, []) for scene in make_scenes()]
    decoded = decode(stored, BlockFiles(tmp_path, "train", "a"))
    bank = load_bank(decoded.scenes, {"F": 1, "C": 4}, CPU, decoded=decoded)
    for name, block in decoded.blocks.items():
        assert np.shares_memory(bank.sensors[name].values_nc, block.values_nc)
        assert np.shares_memory(decoded.scenes[1].images_chw[name], block.values_nc)
    assert np.shares_memory(bank.places.coverage_nk, decoded.labels.values_nc)


def test_files_of_the_same_key_are_used_again_and_others_written_anew(tmp_path):
    reads = []
    stored = [Watched(scene, reads) for scene in make_scenes()]
    first = decode(stored, BlockFiles(tmp_path, "train", "a"))
    count = len(reads)
    again = decode(stored, BlockFiles(tmp_path, "train", "a"))
    assert len(reads) == count
    assert np.array_equal(first.blocks["F"].values_nc, again.blocks["F"].values_nc)
    decode(stored, BlockFiles(tmp_path, "train", "b"))
    assert len(reads) == 2 * count
    # A file that lost its end, or whose mark was not written any more, does not count.
    largest = max(tmp_path.glob("train-F*.bin"), key=lambda p: p.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1])
    next(tmp_path.glob("train-labels*.json")).unlink()
    repaired = decode(stored, BlockFiles(tmp_path, "train", "b"))
    assert {name for _, name, *_ in reads[2 * count :]} == {"F", "labels"}
    assert np.array_equal(first.blocks["F"].values_nc, repaired.blocks["F"].values_nc)


def test_a_failure_leaves_no_file(tmp_path):
    class Broken(Watched):
        def read_coverage(self, window):
            raise DataError("damaged")

    broken = Broken(make_scenes()[0], [])
    with pytest.raises(DataError, match="damaged"):
        decode([broken], BlockFiles(tmp_path, "train", "a"))
    assert not list(tmp_path.glob("train-labels*"))
    assert not list(tmp_path.glob(".partial*"))


def test_what_is_written_into_a_block_does_not_reach_its_file(tmp_path):
    store = BlockFiles(tmp_path, "train", "a")
    store("x", 5, lambda flat: flat.fill(7))[:] = 0
    assert store("x", 5, lambda flat: flat.fill(9)).tolist() == [7] * 5


def test_the_budget_is_a_share_of_the_free_memory_for_all_processes_together(monkeypatch):
    monkeypatch.setattr(module, "free_memory_bytes", lambda: 8 << 30)
    assert memory_room(4 << 30, 0.5).fits
    assert not memory_room((4 << 30) + 1, 0.5).fits
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert memory_room(0, 0.5).budget_bytes == 1 << 30
    assert str(Room(3 << 29, 1 << 30)) == "scenes in files: 1.50 GiB of 1.00 GiB allowed by memory_share"
    assert str(Room(1 << 29, 1 << 30)) == "scenes in memory: 0.50 GiB of 1.00 GiB allowed by memory_share"
