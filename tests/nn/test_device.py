import pytest
import torch

from landscribe.errors import RecipeError
from landscribe.nn.device import Engine, bank_device, choose_engine, has_fast_bytes, processor_dtype
from landscribe.nn.predict.tiles import TILE_BYTES, tile_budget_bytes
from landscribe.nn.private_ops import can_train_on


def cpu_info(vendor, flags):
    core = f"processor\t: 0\nvendor_id\t: {vendor}\nflags\t\t: {flags}\n"
    return core + "\n" + core


@pytest.mark.parametrize(
    ("vendor", "flags", "dtype"),
    [
        ("GenuineIntel", "avx2 avx512f avx512_bf16 amx_bf16", torch.bfloat16),
        ("GenuineIntel", "avx2 avx512f avx512_bf16", torch.float32),
        ("AuthenticAMD", "avx2 avx512f avx512_bf16", torch.bfloat16),
        ("AuthenticAMD", "avx2", torch.float32),
        ("AuthenticAMD", "avx512_bf16_other", torch.float32),
    ],
)
def test_the_processor_decides_the_precision(vendor, flags, dtype):
    assert processor_dtype(cpu_info(vendor, flags))[0] == dtype


@pytest.mark.parametrize(
    ("vendor", "flags", "ceiling", "dtype", "fast_bytes"),
    [
        ("GenuineIntel", "avx2 avx512f avx512_vnni avx512_bf16 amx_bf16", "AVX512_CORE_AMX", torch.bfloat16, True),
        ("GenuineIntel", "avx2 avx512f avx512_vnni avx512_bf16 amx_bf16", "AVX512_CORE_FP16", torch.float32, True),
        ("AuthenticAMD", "avx2 avx512f avx512_vnni avx512_bf16", "AVX512_CORE_BF16", torch.bfloat16, True),
        ("AuthenticAMD", "avx2 avx512f avx512_vnni avx512_bf16", "AVX512_CORE_VNNI", torch.float32, True),
        ("AuthenticAMD", "avx2 avx512f avx512_vnni avx512_bf16", "AVX512_CORE", torch.float32, False),
        ("AuthenticAMD", "avx2 avx512f avx512_vnni avx512_bf16", "AVX2", torch.float32, False),
        ("AuthenticAMD", "avx2 avx512f avx512_vnni avx512_bf16", "ALL", torch.bfloat16, True),
        ("GenuineIntel", "avx2 avx_vnni", "", torch.float32, True),
        ("GenuineIntel", "avx2", "", torch.float32, False),
    ],
)
def test_what_the_library_may_not_use_is_taken_for_absent(vendor, flags, ceiling, dtype, fast_bytes):
    text = cpu_info(vendor, flags)
    assert processor_dtype(text, ceiling)[0] == dtype
    assert has_fast_bytes(text, ceiling) is fast_bytes


def test_an_unknown_processor_gets_float32():
    assert processor_dtype("")[0] == torch.float32


def test_what_was_asked_for_wins():
    engine = choose_engine("cpu", "float32")
    assert (engine.device.type, engine.dtype, engine.precision) == ("cpu", torch.float32, "float32")
    assert choose_engine("cpu", "bf16").precision == "bf16"


@pytest.mark.parametrize(
    ("device", "precision", "match"),
    [
        ("abacus", None, "'abacus'"),
        ("meta", None, "'meta'"),
        ("cuda:99", None, "absent, got 'cuda:99'"),
        ("xpu", None, r"need cpu \| cuda \| cuda:N \| mps"),
        ("cpu", "fp8", "got 'fp8', need bf16 | float32"),
    ],
)
def test_wrong_choices_are_named(device, precision, match):
    with pytest.raises(RecipeError, match=match):
        choose_engine(device, precision)


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="a Mac with its GPU")
def test_apples_gpu_is_one_of_them_where_there_is_one():
    with pytest.raises(RecipeError, match="device: absent, or other than the processor in a trial, got 'mps'"):
        choose_engine("mps")


def test_a_device_that_does_not_give_what_the_processor_gives_fails_the_trial():
    assert can_train_on(torch.device("cpu"))
    assert not can_train_on(torch.device("meta"))  # has no numbers at all


def test_scenes_stay_outside_of_a_device_that_cannot_cut_them():
    engine = Engine(torch.device("mps"), torch.float32, "as if")
    assert bank_device(engine, 1, 0.5) == torch.device("cpu")
    assert tile_budget_bytes(engine) == TILE_BYTES
