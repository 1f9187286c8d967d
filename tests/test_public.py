"""The public names exist, and importing the package is quick."""

from __future__ import annotations

import inspect
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
    code = (
        "import __future__, sys, typing, importlib; before = set(sys.modules); import landscribe as ls; dir(ls)\n"
        "print(*sorted(set(sys.modules) - before))\n"
        "ls.DataError\n"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    new, after_an_error = done.stdout.splitlines()
    assert new == "landscribe"
    assert after_an_error == "landscribe"


@pytest.mark.parametrize(
    ("name", "heavy"),
    [
        ("Recipe", "torch numba rasterio geopandas"), ("Grid", "torch numba rasterio"), ("trace", "torch"),
        ("score", "torch"), ("progress_bars", "torch numpy pydantic rich"),
        ("load_recipe", "torch numba rasterio geopandas"),
    ],
)  # fmt: skip
def test_a_name_brings_what_it_needs_and_no_more(name: str, heavy: str) -> None:
    code = f"import sys, landscribe; landscribe.{name}; print(*sorted(set({heavy.split()}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", landscribe.__all__)
def test_arguments_have_names(name: str) -> None:
    """No function takes whatever comes: what can be set stands in its signature."""
    thing = getattr(landscribe, name)
    if name != "trace_pixels" and inspect.isfunction(thing):
        kinds = {parameter.kind for parameter in inspect.signature(thing).parameters.values()}
        assert inspect.Parameter.VAR_KEYWORD not in kinds
