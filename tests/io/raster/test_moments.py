from __future__ import annotations

import numpy as np
import pytest

from landscribe.io.raster.moments import moments_of

SHAPE_HW = (61, 47)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "int64", "float32", "float64"])
@pytest.mark.parametrize("bands", [1, 2, 3, 8])
@pytest.mark.parametrize("share", [1.0, 0.7, 0.01])
def test_moments_are_those_of_all_bands_at_once_to_the_last_bit(dtype: str, bands: int, share: float) -> None:
    rng = np.random.default_rng(3)
    if dtype.startswith("float"):
        image_chw = rng.normal(0.3, 0.1, (bands, *SHAPE_HW)).astype(dtype)
    else:
        most = min(np.iinfo(dtype).max, 1 << 40)  # squares far beyond what float64 holds exactly
        image_chw = rng.integers(0, most, (bands, *SHAPE_HW), dtype=dtype)
    valid_hw = rng.random(SHAPE_HW) < share
    own = moments_of(image_chw, valid_hw)
    assert own is not None
    values = image_chw[:, valid_hw].astype(np.float64)
    assert own.n == values.shape[1]
    assert own.total.tolist() == values.sum(axis=1).tolist()
    assert own.square.tolist() == (values**2).sum(axis=1).tolist()
    assert own.low.tolist() == values.min(axis=1).tolist()
    assert own.high.tolist() == values.max(axis=1).tolist()


def test_no_valid_pixel_has_no_moments() -> None:
    assert moments_of(np.zeros((3, *SHAPE_HW), np.uint8), np.zeros(SHAPE_HW, np.bool_)) is None
