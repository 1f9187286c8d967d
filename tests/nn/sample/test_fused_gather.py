"""The gather as one kernel: what torch gives, operation by operation; in Triton's interpreter where there is no GPU."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from affine import Affine

from landscribe.nn.sample._torch_sampler import Gathered, gather_plainly
from landscribe.nn.sample.fused import find_fault, find_sampler, trials
from landscribe.nn.sample.pixels import Raster, pack_rasters
from landscribe.nn.sample.sending import send

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
MODULE = "landscribe.nn.sample._triton_sampler"


@pytest.fixture(scope="module")
def fused():
    """The kernel; without a GPU it is read by Triton's interpreter, which Triton decides when it is first imported."""
    with pytest.MonkeyPatch.context() as patch:
        if DEVICE.type == "cpu":
            patch.setenv("TRITON_INTERPRET", "1")
        pytest.importorskip("triton", reason="Triton is not installed: it comes with torch's packages for GPUs")
        patch.delitem(sys.modules, MODULE, raising=False)
        yield importlib.import_module(MODULE).gather_fused


def test_the_kernel_passes_its_trial(fused):
    assert find_fault(fused, DEVICE) == ""


@pytest.mark.parametrize("bands", [1, 2, 5, 64, 67])
@pytest.mark.parametrize("cubic", [False, True])
def test_the_kernel_gives_what_torch_gives_for_any_number_of_bands(fused, bands, cubic):
    rng = np.random.default_rng(bands)
    image = rng.integers(0, 65_535, (bands, 23, 19)).astype(np.uint16)
    rasters = [Raster(image, rng.random((23, 19)) > 0.1, Affine.scale(1.3), (19, 17))]
    bank = pack_rasters(rasters, DEVICE, cubic=cubic)
    chip = np.array([tuple(Affine.translation(-3, 5) @ Affine.rotation(20))[:6]] * 2)
    sent = send({"raster": np.zeros(2, np.int64), "map": chip, "gain": np.ones((2, bands), np.float32)}, DEVICE)
    wanted = Gathered(sent["raster"], sent["map"], (13, 31), 1, sent["gain"], None, True)
    (ours, seen), (theirs, known) = fused(bank, wanted), gather_plainly(bank, wanted)
    assert ours.shape == theirs.shape == (2, bands, 13, 31)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(seen, known)
    assert 0.3 < known.float().mean() < 1
    assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()
    assert (ours[~seen.expand_as(ours)] == 0).all()


def test_whole_pixels_come_out_as_they_are(fused):
    image = np.random.default_rng(1).integers(0, 65_535, (3, 11, 7)).astype(np.uint16)
    bank = pack_rasters([Raster(image, np.ones((11, 7), bool), Affine.identity(), (11, 7))], DEVICE)
    sent = send({"raster": np.zeros(1, np.int64), "map": np.array([[1.0, 0, 0, 0, 1, 0]])}, DEVICE)
    found, seen = fused(bank, Gathered(sent["raster"], sent["map"], (11, 7), 1, None, None, False))
    assert np.array_equal(found[0].cpu().numpy(), image.astype(np.float32))
    assert seen.all()


def test_a_trial_finds_other_numbers_another_mask_and_what_fails():
    def wrong(bank, wanted):
        values, seen = gather_plainly(bank, wanted)
        return 1.001 * values, seen

    def blind(bank, wanted):
        values, seen = gather_plainly(bank, wanted)
        return values, torch.ones_like(seen)

    def broken(_bank, _wanted):
        raise RuntimeError("\n  no compiler\nand more")

    assert find_fault(gather_plainly, DEVICE) == ""
    assert find_fault(wrong, DEVICE) == find_fault(blind, DEVICE) == "it gives other numbers"
    assert find_fault(broken, DEVICE) == "no compiler"


def test_trials_go_every_way():
    kinds = {
        (bank.values_nc.dtype, bank.unsigned, bank.cubic, wanted.mirror, wanted.step, wanted.gain_bc is None)
        for bank, wanted in trials(DEVICE)
    }
    for place, values in enumerate(
        ({torch.int16, torch.uint8, torch.float32}, *[{True, False}] * 3, {1, 2}, {True, False})
    ):
        assert {kind[place] for kind in kinds} == values
    for bank, wanted in trials(DEVICE):
        _, seen = gather_plainly(bank, wanted)
        assert 0.1 < seen.float().mean() < 1


def test_a_processor_takes_torch_and_says_so():
    sampler = find_sampler(torch.device("cpu"))
    assert sampler.take is gather_plainly
    assert sampler.reason.startswith("torch, operation by operation")


def test_what_is_sent_arrives_as_it_was():
    arrays = {
        "a": np.arange(7, dtype=np.int64), "b": np.array([[True, False, True]]), "none": np.empty((0, 3), np.float32),
        "c": np.linspace(0, 1, 6).reshape(2, 3), "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    }  # fmt: skip
    sent = send(arrays, DEVICE)
    assert sent.keys() == arrays.keys()
    for name, array in arrays.items():
        assert np.array_equal(sent[name].cpu().numpy(), array)
        assert sent[name].cpu().numpy().dtype == array.dtype
    assert len({t.untyped_storage().data_ptr() for t in sent.values()}) == 1


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from landscribe.nn.sample._triton_sampler import _gather

kinds = {"values": "*i16", "valid": "*u8", "raster_b": "*i64", "map_b6": "*fp64", "whole_r5": "*i64"}
kinds |= {"map_r6": "*fp64", **dict.fromkeys(("gain_bc", "offset_bc", "image"), "*fp32")}
kinds |= {"seen_out": "*u8", "height": "i32", "width": "i32"}
ways = {"N_BANDS": 3, "STEP": 1, "MIRROR": False, "CUBIC": True, "UNSIGNED": True, "GAIN": True, "OFFSET": True}
ways |= {"PIXELS": 256, "BANDS": 4}
source = ASTSource(_gather, kinds | dict.fromkeys(ways, "constexpr"), ways)
print(len(triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["ptx"]))
"""


def test_the_kernel_is_compiled_for_a_gpu_where_there_is_none(tmp_path):
    """What the interpreter takes is more than what the compiler does; that needs no GPU to try."""
    if not importlib.util.find_spec("triton"):
        pytest.skip("Triton is not installed: it comes with torch's packages for GPUs")
    here = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    here |= {"PYTHONPATH": os.pathsep.join(sys.path), "TRITON_CACHE_DIR": str(tmp_path)}
    made = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, timeout=300, env=here)
    assert made.returncode == 0, made.stderr
    assert int(made.stdout) > 1000
