import pytest

from landscribe.core.recipe import ScheduleTable
from landscribe.nn.schedule import rate_at


def test_rates_rise_and_fall():
    schedule = ScheduleTable(rate=1.0, warmup=0.1, epochs=1)
    rates = [rate_at(schedule, step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10] == 1
    assert rates[55] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.001
    constant = ScheduleTable(rate=1.0, warmup=0.0, decay="constant", epochs=1)
    assert {rate_at(constant, step, 7) for step in range(7)} == {1.0}
