from __future__ import annotations

import numpy as np
import pytest

from landscribe.report.map.bands import codes_of, to_codes


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_looked_up_codes_are_those_that_are_computed(dtype: str) -> None:
    most = np.iinfo(dtype).max
    band_hw = np.random.default_rng(3).integers(0, most, (311, 307), dtype=dtype)
    assert band_hw.size > most
    codes = codes_of(band_hw // 3, np.ones(band_hw.shape, np.bool_))
    looked_up = to_codes(band_hw, codes)
    assert looked_up.dtype == np.uint8
    assert (looked_up == to_codes(band_hw.astype(np.float32), codes)).all()
    assert len(np.unique(looked_up)) > 60


def test_codes_leave_out_what_is_invalid() -> None:
    band_hw = np.arange(700, dtype=np.float32).reshape(28, 25)
    valid_hw = np.ones(band_hw.shape, np.bool_)
    band_hw[0], valid_hw[0] = 1e9, False
    codes = codes_of(band_hw, valid_hw)
    assert (codes.first, codes.last) == (25.0, 699.0)
    assert codes_of(band_hw, np.zeros(band_hw.shape, np.bool_)).last == 255
