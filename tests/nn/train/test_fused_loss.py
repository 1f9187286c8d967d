"""Sums of the loss by kernels: what torch gives, in Triton's interpreter where there is no GPU."""

import importlib.util
import os
import subprocess
import sys
import types

import pytest
import torch

from landscribe.core.recipe import LossTable
from landscribe.nn.loss.sums import find_fault, find_kernels, sum_by, sum_pixels, sum_plainly
from landscribe.nn.train.losses import combine_terms

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
MODULE = "landscribe.nn.loss._triton_sums"
WANTED = "Triton is not installed: it comes with torch's packages for GPUs"


@pytest.fixture(scope="module")
def kernels():
    with pytest.MonkeyPatch.context() as patch:
        if DEVICE.type == "cpu":
            patch.setenv("TRITON_INTERPRET", "1")
        pytest.importorskip("triton", reason=WANTED)
        patch.delitem(sys.modules, MODULE, raising=False)
        yield importlib.import_module(MODULE)


def batch(classes, dtype=torch.float32, seed=0, shape=(3, 13, 17)):
    generator = torch.Generator().manual_seed(seed)
    n, height, width = shape
    logits = (5 * torch.randn(n, classes, height, width, generator=generator)).to(DEVICE, dtype)
    target = torch.rand(n, classes, height, width, generator=generator).to(DEVICE)
    weight = (torch.rand(n, 1, height, width, generator=generator) > 0.4).float().to(DEVICE)
    return logits.requires_grad_(), target.contiguous(memory_format=torch.channels_last), weight


def test_the_kernels_pass_their_trial(kernels):
    assert find_fault(kernels, DEVICE) == ""


@pytest.mark.parametrize("classes", [1, 3, 10, 64])
def test_loss_and_gradient_are_those_of_torch(kernels, classes):
    logits, target, weight = batch(classes)
    table, ones = LossTable(bce=1.0, jaccard=0.5, dice=0.3), torch.ones(classes, device=DEVICE)
    found = []
    for sums in (sum_by(kernels, logits, target, weight), sum_plainly(logits, target, weight)):
        loss, parts = combine_terms(sums, table, ones)
        (gradient,) = torch.autograd.grad(classes * loss, logits)
        found.append((loss, parts, gradient))
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-7)
    assert found[0][2].abs().max() > 1e-4


def test_large_logits_overflow_nowhere(kernels):
    logits, target, weight = batch(2)
    with torch.no_grad():
        logits[0, 0], logits[0, 1] = 500.0, -500.0
    ours, theirs = (
        sums.cross_entropy for sums in (sum_by(kernels, logits, target, weight), sum_plainly(logits, target, weight))
    )
    assert torch.allclose(ours, theirs, rtol=1e-5)
    (gradient,) = torch.autograd.grad(ours.sum(), logits)
    assert gradient.isfinite().all()


def test_a_trial_finds_a_wrong_gradient_wrong_sums_and_what_fails():
    class Plain:
        """Kernels by torch, right unless told otherwise."""

        MOST_CLASSES = 64
        factor = slope = 1.0

        def sum_fused(self, logits, target, weight):
            s = sum_plainly(logits.detach(), target, weight)
            return self.factor * torch.stack([s.cross_entropy, s.p, s.py, s.y, s.pixels])

        def gradient_fused(self, logits, target, weight, of_sums):
            x = logits.detach().requires_grad_()
            with torch.enable_grad():
                s = sum_plainly(x, target, weight)
                (gradient,) = torch.autograd.grad([s.cross_entropy, s.p, s.py], x, list(of_sums[:3]))
            return self.slope * gradient

    right, wrong_sums, wrong_gradient, broken = Plain(), Plain(), Plain(), Plain()
    wrong_sums.factor, wrong_gradient.slope = 1.01, 1.05
    broken.sum_fused = types.MethodType(lambda *_: (_ for _ in ()).throw(RuntimeError("no compiler\nmore")), broken)
    assert find_fault(right, torch.device("cpu")) == ""
    assert find_fault(wrong_sums, torch.device("cpu")) == "it gives other numbers"
    assert find_fault(wrong_gradient, torch.device("cpu")) == "it gives other numbers"
    assert find_fault(broken, torch.device("cpu")) == "no compiler"


def test_a_processor_sums_operation_by_operation():
    assert find_kernels(torch.device("cpu")) == (None, "operation by operation")
    logits, target, weight = batch(2)
    ours, theirs = (
        sum_pixels(logits.cpu(), target.cpu(), weight.cpu()),
        sum_plainly(logits.cpu(), target.cpu(), weight.cpu()),
    )
    assert torch.equal(ours.py, theirs.py)


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from landscribe.nn.loss._triton_sums import _gradient, _sums

strides = [f"{t}_{axis}" for t in "xy" for axis in "bkij"]
for kernel, more in ((_sums, {"parts": "*fp32"}), (_gradient, {"of_sums": "*fp32", "found": "*bf16"})):
    kinds = {"logits": "*bf16", "target": "*fp32", "weight": "*fp32", **more}
    kinds |= dict.fromkeys(("total", "height", "width", *strides), "i32")
    ways = {"N_CLASSES": 10, "PIXELS": 64, "CLASSES": 16}
    source = ASTSource(kernel, kinds | dict.fromkeys(ways, "constexpr"), ways)
    print(len(triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["ptx"]))
"""


def test_the_kernels_are_compiled_for_a_gpu_where_there_is_none(tmp_path):
    if not importlib.util.find_spec("triton"):
        pytest.skip(WANTED)
    here = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    here |= {"PYTHONPATH": os.pathsep.join(sys.path), "TRITON_CACHE_DIR": str(tmp_path)}
    made = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, timeout=300, env=here)
    assert made.returncode == 0, made.stderr
    assert min(int(line) for line in made.stdout.split()) > 1000
