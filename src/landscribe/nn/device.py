"""Where networks run and in which precision: decided once, here."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from landscribe.errors import LimitError, RecipeError, problem
from landscribe.nn import private_ops
from landscribe.process import is_ours

BYTES = torch.uint8
PRECISIONS = {"bf16": torch.bfloat16, "float32": torch.float32, "int8": BYTES}
DEVICES = "cpu | cuda | cuda:N | mps"
APPLE = torch.device("mps")
CPU_INFO = Path("/proc/cpuinfo")
CEILINGS = (
    "SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI", "AVX512_CORE_BF16",
    "AVX512_CORE_FP16", "AVX512_CORE_AMX", "AVX512_CORE_AMX_FP16",
)  # fmt: skip
"""What oneDNN can be told to stop at, each with all before it."""
LEAST_CEILING = {
    "avx_vnni": "AVX2_VNNI",
    "avx512_vnni": "AVX512_CORE_VNNI",
    "avx512_bf16": "AVX512_CORE_BF16",
    "amx_bf16": "AVX512_CORE_AMX",
}
"""Instruction of a processor -> the lowest of those at which oneDNN uses it."""
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
"""Numbers of settings of glibc's `mallopt`."""
KEPT_BYTES = 2**31 - 1
"""Free memory at the end of the heap that stays with the process."""


@dataclass(frozen=True)
class Engine:
    """A device and the type that convolutions run in. Tensors are channels-last on every engine."""

    device: torch.device
    dtype: torch.dtype
    """bfloat16 or float32, or uint8 at prediction; weights, statistics, loss and optimiser are float32 in any case."""
    reason: str
    """Why, for `doctor` and the manifest."""

    @property
    def samples(self) -> bool:
        """Whether rasters are cut and turned on the device: Apple's GPU has no double numbers, which that takes."""
        return self.device.type == "cuda"

    @property
    def precision(self) -> str:
        """`bf16`, `float32` or `int8`."""
        return next(name for name, dtype in PRECISIONS.items() if dtype == self.dtype)


def choose_engine(device: str | None = None, precision: str | None = None) -> Engine:
    """Choose the device and the precision that is fastest there; a process of our own keeps memory then.

    Args:
        device: `cpu`, `cuda`, `cuda:1` ..., `mps`; None takes the first GPU (the one of its own, in a process that
            `torchrun` started), Apple's where a trial of it goes well, else the processor.
        precision: `bf16` or `float32`, or `int8` for prediction on a processor; None decides between the former two by
            what the device has in silicon. `nn.predict.prepare_network.engine_for` goes on from there.

    Raises:
        RecipeError: If the device is absent, or the precision unknown or not for that device.
        LimitError: If there are more processes of `torchrun` on this machine than GPUs.
    """
    if precision is not None and precision not in PRECISIONS:
        raise RecipeError(problem("precision", "unknown", got=repr(precision), need=" | ".join(PRECISIONS)))
    chosen = _find_device(device)
    if chosen.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        name = torch.cuda.get_device_name(chosen)
        dtype, reason = (torch.bfloat16, f"{name} has bf16") if fast else (torch.float32, f"{name} lacks bf16")
    elif chosen.type == "mps":
        dtype, reason = torch.float32, "Apple's GPU, which gave what the processor gives in a trial"
    else:
        dtype, reason = processor_dtype(processor_text(), isa_ceiling())
    if precision is not None:
        dtype, reason = PRECISIONS[precision], "as asked for"
    if dtype == BYTES and (chosen.type != "cpu" or not private_ops.can_multiply_bytes()):
        got, need = (
            f"{chosen}, torch {torch.__version__}",
            "a processor whose convolutions of bytes work",
        )
        raise RecipeError(problem("predict.precision", "no int8 here", got=got, need=need, do="leave it out"))
    if chosen.type == "cpu" and is_ours():
        keep_memory()
    return Engine(chosen, dtype, reason)


def processor_text() -> str:
    """Return what the system says of the processor; nothing where it says nothing."""
    return CPU_INFO.read_text() if CPU_INFO.is_file() else ""


def isa_ceiling() -> str:
    """Return the instructions that oneDNN was told to stop at (`ONEDNN_MAX_CPU_ISA`), empty if it was not."""
    return os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "")).upper()


def _flags(cpu_info: str, ceiling: str) -> tuple[set[str], str]:
    """Return the instructions of a processor that may be used, and its vendor."""
    fields = dict(_field(line) for line in reversed(cpu_info.splitlines()) if ":" in line)
    known = ceiling in CEILINGS
    above = {flag for flag, least in LEAST_CEILING.items() if known and CEILINGS.index(ceiling) < CEILINGS.index(least)}
    return set(fields.get("flags", "").split()) - above, fields.get("vendor_id", "")


def has_fast_bytes(cpu_info: str, ceiling: str = "") -> bool:
    """Tell whether a processor adds up products of bytes in one instruction (VNNI); arguments as `processor_dtype`."""
    return bool(_flags(cpu_info, ceiling)[0] & {"avx512_vnni", "avx_vnni"})


def processor_dtype(cpu_info: str, ceiling: str = "") -> tuple[torch.dtype, str]:
    """Return the fastest convolution type of a processor, and why.

    Measured ratios of bf16 to float32 speed: AMX 4, AMD with AVX512_BF16 2.8, Intel with AVX512_BF16 but no AMX
    0.6, plain AVX-512 0.2, AVX2 0.1.

    Args:
        cpu_info: Text of /proc/cpuinfo; empty on systems without it.
        ceiling: Instructions that oneDNN stops at, as its `ONEDNN_MAX_CPU_ISA` has them; others are taken for none.
    """
    flags, vendor = _flags(cpu_info, ceiling)
    if "amx_bf16" in flags:
        return torch.bfloat16, "the processor has AMX"
    if "avx512_bf16" in flags and vendor == "AuthenticAMD":
        return torch.bfloat16, "the processor is an AMD with AVX512_BF16"
    return torch.float32, "bf16 is slower than float32 on this processor"


def bank_device(engine: Engine, need_bytes: int, share: float) -> torch.device:
    """Return where scenes are kept: on the engine's GPU, if they fit into that share of its free memory, else outside.

    Args:
        engine: Of the run.
        need_bytes: What the scenes take.
        share: Of the GPU's free memory.
    """
    if not engine.samples or need_bytes > share * torch.cuda.mem_get_info(engine.device)[0]:
        return torch.device("cpu")
    return engine.device


def keep_memory() -> bool:
    """Ask the C library to keep the memory of large tensors for the next ones; returns whether it will.

    Else each result of a convolution is fetched from the system page by page and given back at once: a third of the
    time of a prediction on some machines. To be called before torch has threads, which have heaps of their own that
    nothing keeps.
    """
    if not hasattr(ctypes.pythonapi, "mallopt"):
        return False
    mallopt = ctypes.pythonapi.mallopt
    return all(mallopt(*s) for s in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, KEPT_BYTES), (M_ARENA_MAX, 1)))


def prefers_bytes(engine: Engine) -> bool:
    """Tell whether prediction is to be in bytes where a network and a scene allow it.

    That is where `choose_engine` chose float32, on a processor that adds up products of bytes in one instruction.
    """
    on_processor = engine.device.type == "cpu" and engine.dtype == torch.float32
    return on_processor and has_fast_bytes(processor_text(), isa_ceiling()) and private_ops.can_multiply_bytes()


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


def has_mps() -> bool:
    """Tell whether torch has Apple's GPU here, and a trial on it gives what the processor gives."""
    return torch.backends.mps.is_available() and private_ops.can_train_on(APPLE)


def _find_device(name: str | None) -> torch.device:
    has_cuda = torch.cuda.is_available()
    if name is None and has_cuda:
        number, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if number >= count:  # sums over processes that share a GPU are none of NCCL's
            what, do = f"process {number + 1} of this machine has no GPU", f"start it with --nproc-per-node {count}"
            raise LimitError(problem("torchrun", what, got=count, need="one for each process", do=do))
        return torch.device("cuda", number)
    if name is None:
        return APPLE if has_mps() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise RecipeError(problem("device", "unknown", got=repr(name), need=DEVICES)) from error
    if device.type not in {"cpu", "cuda", "mps"}:
        raise RecipeError(problem("device", "unsupported", got=repr(name), need=DEVICES))
    if device.type == "mps" and not has_mps():
        what = "absent, or other than the processor in a trial"
        raise RecipeError(problem("device", what, got=repr(name), need="a Mac with its GPU", do="use cpu"))
    if device.type == "cuda":
        count = torch.cuda.device_count() if has_cuda else 0
        if (device.index or 0) >= count:
            raise RecipeError(problem("device", "absent", got=repr(name), need=f"one of {count} GPUs", do="use cpu"))
        return torch.device("cuda", device.index or 0)
    return device
