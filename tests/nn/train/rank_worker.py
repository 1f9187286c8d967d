"""Two processes that train together, and two that go on after one was killed; started by test_ranks.py.

Both pairs are forked from one process, which has imported and compiled what they need.
"""

import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

import torch
from safetensors.torch import save_file
from test_loop import CHIPS, CPU, ENGINE, SCENES, make_net, run

from landscribe.core.recipe import ScheduleTable
from landscribe.nn.train.chips import cut_chips, draw_plan, load_bank
from landscribe.nn.train.ranks import join_ranks, wait_for_all

HARD = CHIPS.model_copy(update={"hard": 0.5})
ENCODER = {"depth": 5, "encoder": "efficientnet-lite0", "weights": "none", "norm": "group"}
LARGE = CHIPS.model_copy(update={"size": 64})
TWO_EPOCHS = ScheduleTable(epochs=2, steps=2, average=0.9, settle=2)


def train(folder):
    ranks = join_ranks(ENGINE.device)
    states = []

    def keep(epoch):
        states.append(epoch.state())

    for accumulate in (1, 2):
        net = make_net(batch_norm=False)
        schedule = ScheduleTable(epochs=1, steps=1, clip_norm=0, accumulate=accumulate)
        run(schedule, net=net, chips=HARD, ranks=ranks, on_epoch=keep)
        gradients = {name: p.grad.contiguous() for name, p in net.named_parameters()}
        save_file(gradients, folder / f"gradients-{accumulate}-{ranks.rank}.safetensors")
        if ranks.is_first:
            (folder / f"state-{accumulate}.safetensors").write_bytes(states.pop()["state.safetensors"])
    net = make_net(**ENCODER)
    run(ScheduleTable(epochs=1, steps=1, clip_norm=0), net=net, chips=LARGE, ranks=ranks)
    gradients = {name: p.grad.contiguous() for name, p in net.named_parameters()}
    save_file(gradients, folder / f"encoder-{ranks.rank}.safetensors")
    whole = run(TWO_EPOCHS, net=make_net(dropout=0.2), chips=HARD, ranks=ranks, on_epoch=keep)
    save_file({k: v.contiguous() for k, v in whole.state_dict().items()}, folder / f"whole-{ranks.rank}.safetensors")
    assert bool(states) == ranks.is_first
    if ranks.is_first:
        for name, content in states[0].items():
            (folder / name).write_bytes(content)
    wait_for_all(ranks)

    def die(done, total, loss):
        if done == 3 and not ranks.is_first:
            os.kill(os.getpid(), signal.SIGKILL)

    run(TWO_EPOCHS, net=make_net(dropout=0.2), chips=HARD, ranks=ranks, on_step=die)


def resume(folder):
    ranks = join_ranks(ENGINE.device)
    state = {name: (folder / name).read_bytes() for name in ("state.safetensors", "state.json")}
    net = run(TWO_EPOCHS, net=make_net(seed=9, dropout=0.2), chips=HARD, ranks=ranks, state=state)
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, folder / f"resumed-{ranks.rank}.safetensors")


def fork(task, folder, rank, port):
    child = os.fork()
    if child:
        return child
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    code = 1
    try:
        task(folder)
        code = 0
    finally:
        if code:
            traceback.print_exc()
        os._exit(code)


def codes_of(task, folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    children = [fork(task, folder, rank, port) for rank in range(2)]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


if __name__ == "__main__":
    torch.set_num_threads(1)
    bank = load_bank(SCENES, {"F": 1}, CPU)
    cut_chips(bank, CHIPS, draw_plan(bank, CHIPS, 0, 0))  # loads the compiled gather
    folder = Path(sys.argv[1])
    (folder / "codes.json").write_text(json.dumps([codes_of(task, folder) for task in (train, resume)]))
