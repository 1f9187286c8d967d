"""The public names exist, and importing the package is quick."""

from __future__ import annotations

import subprocess
import sys

import pytest

import landscribe


@pytest.mark.parametrize("name", landscribe.__all__)
def test_public_names_exist_and_are_documented(name: str) -> None:
    thing = getattr(landscribe, name)
    assert name in {"__version__", "DSTL_LEGEND"} or thing.__doc__


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'tarce'"):
        landscribe.tarce  # noqa: B018


def test_import_is_light() -> None:
    code = "import sys, landscribe; sys.exit(len({'torch', 'numpy', 'rasterio'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
