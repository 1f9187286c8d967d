import math

import pytest

from landscribe.core.recipe import ScheduleTable, StageTable
from landscribe.nn.train.schedule import begins_anew, rate_at

FLAT = {"warmup": 0.0, "decay": "constant"}


def rates_of(schedule, epoch_steps=1):
    return [rate_at(schedule, step, epoch_steps) for step in range(schedule.epochs * epoch_steps)]


def stages(*parts, **kw):
    return tuple(StageTable(epochs=epochs, rate=rate, **kw) for epochs, rate in parts)


def test_rates_rise_and_fall():
    rates = rates_of(ScheduleTable(rate=1.0, warmup=0.1, epochs=20), epoch_steps=5)
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10] == 1
    assert rates[55] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.001
    assert set(rates_of(ScheduleTable(rate=1.0, epochs=7, **FLAT))) == {1.0}


def test_each_stage_has_its_rate_and_its_own_rise_and_fall():
    schedule = ScheduleTable(stages=stages((2, 1.0), (4, 0.5)), warmup=0.25)
    assert schedule.epochs == 6
    rates = rates_of(schedule, epoch_steps=2)
    assert rates[:2] == pytest.approx([1, 1])
    assert rates[2:4] == pytest.approx([0.5 * (1 + math.cos(math.pi * t / 3)) for t in (1, 2)])
    assert rates[4:7] == pytest.approx([0.25, 0.5, 0.5])
    assert rates[7:] == sorted(rates[7:], reverse=True)


@pytest.mark.parametrize(("epochs", "expected"), [(3, [1, 1, 2]), (7, [1, 1, 2, 2, 2, 2, 2]), (2, [1, 1]), (1, [1])])
def test_epochs_cut_stages_off_or_draw_the_last_one_out(epochs, expected):
    assert rates_of(ScheduleTable(epochs=epochs, stages=stages((2, 1.0), (2, 2.0)), **FLAT)) == expected


def test_a_power_per_epoch_counts_from_the_stage():
    schedule = ScheduleTable(stages=stages((2, 1.0), (2, 0.1)), warmup=0.0, decay="power", decay_factor=0.5)
    assert rates_of(schedule, 2) == pytest.approx([1, 1, 0.5, 0.5, 0.1, 0.1, 0.05, 0.05])


def test_a_new_optimiser_at_stages_that_ask_for_it_and_every_so_many_epochs():
    def anew(schedule, epoch_steps=3):
        return [s for s in range(schedule.epochs * epoch_steps) if begins_anew(schedule, s, epoch_steps)]

    assert anew(ScheduleTable(epochs=9)) == []
    assert anew(ScheduleTable(stages=stages((2, 1.0), (3, 0.5)))) == [6]
    assert anew(ScheduleTable(stages=stages((2, 1.0), (3, 0.5), restart=False))) == []
    assert anew(ScheduleTable(epochs=5, restart_every=2)) == [6, 12]
