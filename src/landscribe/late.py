"""What takes long to import, and is imported when something of it is first used.

GeoPandas with pandas takes a third of a second of processor time, numba a quarter: as much as all else that a command
needs before it begins. A module writes

    from landscribe.late import compiled
    from landscribe.late import geopandas as gpd

and goes on as if they were there: `gpd.GeoDataFrame` is looked up when it is used, and a compiled loop turns to numba
when it is first called. Who forks processes for work that will need a library imports it once, before (`load`).
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    import geopandas
    import pandas
    import pyarrow

__all__ = ["compiled", "geopandas", "importing", "late", "load", "once_numba_is_there", "pandas", "pyarrow"]

F = TypeVar("F", bound=Callable[..., Any])

importing = threading.RLock()
"""Held while a library is imported here. Some change the filters of warnings meanwhile, which belong to the whole
process; so do pandas and GeoPandas at work (`one_at_a_time` in `core/features.py`, which holds it too)."""
_found: list[Any] = []
"""numba, once it is there."""
_waiting: list[Callable[[], None]] = []
_making = threading.Lock()


class _Late:
    """A library, or the parts of it that are named, in waiting."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._module: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._module is None:
            if name.startswith("__"):  # who looks around in a module's names does not want the library
                raise AttributeError(name)
            with importing:
                load(self._names)
                self._module = sys.modules[self._names[0]]
        return getattr(self._module, name)


def late(*names: str) -> Any:
    """Return a library that is imported when something of it is first asked for.

    Args:
        *names: Of the library, then of the parts of it that are needed.
    """
    return _Late(names)


if not TYPE_CHECKING:
    geopandas, pandas, pyarrow = late("geopandas"), late("pandas"), late("pyarrow", "pyarrow.parquet")


def load(names: Iterable[str]) -> None:
    """Import libraries now, for processes that are forked from this one; `numba` with what compiled loops ask of it."""
    for name in names:
        if name == "numba":
            _numba()
        else:
            with importing:
                import_module(name)


def _numba() -> Any:
    if not _found:
        with importing:
            if not _found:
                module = import_module("numba")
                for act in _waiting:
                    act()
                _found.append(module)
    return _found[0]


def once_numba_is_there(act: Callable[[], None]) -> None:
    """Call something once numba was imported here, before it compiles anything."""
    with importing:
        if _found:
            act()
        else:
            _waiting.append(act)


class _Compiled:
    """A loop that numba compiles, or takes from its cache, when it is first called, from Python or by another loop."""

    def __init__(self, function: Callable[..., Any], error_model: str) -> None:
        functools.update_wrapper(self, function)
        self.py_func = function
        self._error_model = error_model
        self._made: Any = None

    def __call__(self, *args: Any) -> Any:
        made = self._made
        return self._make()(*args) if made is None else made(*args)

    def _make(self) -> Any:
        numba = _numba()  # before the lock: where numba compiles what calls this one, nothing of ours may be held
        with _making:
            if self._made is None:
                self._made = numba.njit(cache=True, nogil=True, error_model=self._error_model)(self.py_func)
            return self._made

    @property
    def _numba_type_(self) -> Any:
        """What numba asks of whatever a loop names."""
        return self._make()._numba_type_


@overload
def compiled(function: F, /) -> F: ...
@overload
def compiled(*, error_model: str) -> Callable[[F], F]: ...
def compiled(function: F | None = None, /, *, error_model: str = "python") -> F | Callable[[F], F]:
    """Let numba compile a loop when it is first called; it keeps the result in its cache and releases the GIL.

    Args:
        function: The loop, with arguments by place.
        error_model: `numpy` divides by zero as numpy does; `python` raises.
    """

    def wrap(loop: F) -> F:
        made: Any = _Compiled(loop, error_model)
        return made

    return wrap if function is None else wrap(function)
