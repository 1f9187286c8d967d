"""One of two processes that train together; started by test_ranks.py."""

import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from test_loop import ENGINE, make_net, run

from landscribe.core.recipe import ScheduleTable
from landscribe.nn.ranks import join_ranks, wait_for_all

TWO_EPOCHS = ScheduleTable(epochs=2, steps=2, average=0.9)


def gradients(net):
    return {name: p.grad.contiguous() for name, p in net.named_parameters()}


def main(task, folder):
    torch.set_num_threads(1)
    ranks = join_ranks(ENGINE.device)
    if task == "gradients":
        for accumulate in (1, 2):
            net = make_net(batch_norm=False)
            run(ScheduleTable(epochs=1, steps=1, clip_norm=0, accumulate=accumulate), net=net, ranks=ranks)
            save_file(gradients(net), folder / f"gradients-{accumulate}-{ranks.rank}.safetensors")
    states = []
    whole = run(
        TWO_EPOCHS, net=make_net(dropout=0.2), ranks=ranks, on_epoch=lambda e, row, state: states.append(state())
    )
    save_file({k: v.contiguous() for k, v in whole.state_dict().items()}, folder / f"whole-{ranks.rank}.safetensors")
    assert bool(states) == ranks.is_first
    if ranks.is_first:
        for name, content in states[0].items():
            (folder / name).write_bytes(content)
    wait_for_all(ranks)

    def die(done, total, loss):
        if done == 3 and not ranks.is_first:
            os.kill(os.getpid(), signal.SIGKILL)

    run(TWO_EPOCHS, net=make_net(dropout=0.2), ranks=ranks, on_step=die)


def resume(folder):
    torch.set_num_threads(1)
    ranks = join_ranks(ENGINE.device)
    state = {name: (folder / name).read_bytes() for name in ("state.safetensors", "state.json")}
    net = run(TWO_EPOCHS, net=make_net(seed=9, dropout=0.2), ranks=ranks, state=state)
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, folder / f"resumed-{ranks.rank}.safetensors")


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    resume(folder) if sys.argv[1] == "resume" else main(sys.argv[1], folder)
