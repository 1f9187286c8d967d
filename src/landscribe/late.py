"""What takes long to import, and is imported when something of it is first used.

GeoPandas with pandas takes a third of a second of processor time, numba a quarter: as much as all else that a command
needs before it begins. A module writes

    from landscribe.late import compiled
    from landscribe.late import geopandas as gpd

and goes on as if they were there: `gpd.GeoDataFrame` is looked up when it is used, and a compiled loop turns to numba
when it is first called. Who forks processes for work that will need a library imports it once, before (`load`).
"""

from __future__ import annotations

import contextlib
import functools
import glob
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    import geopandas
    import pandas
    import pyarrow

__all__ = [
    "ahead", "cache_folder", "compiled", "geopandas", "importing", "in_python", "is_compiled", "late", "load",
    "once_numba_is_there", "pandas", "pyarrow",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])

importing = threading.RLock()
"""Held while a library is imported here. Some change the filters of warnings meanwhile, which belong to the whole
process; so do pandas and GeoPandas at work (`one_at_a_time` in `core/features.py`, which holds it too)."""
_found: list[Any] = []
"""numba, once it is there."""
_waiting: list[Callable[[], None]] = []
_making = threading.Lock()
_in_python: list[None] = []
"""One for each block that is open."""


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


@contextlib.contextmanager
def ahead(names: Iterable[str]) -> Iterator[None]:
    """Import modules in a thread while the block goes on, which waits for something else; they are there at its end.

    Nothing may fork this process meanwhile. What cannot be imported is left to whoever needs it, and says so then.
    """

    def work() -> None:
        for name in wanted:
            with contextlib.suppress(ImportError):
                import_module(name)

    wanted = tuple(names)
    thread = threading.Thread(target=work, name="ahead")
    if wanted:
        thread.start()
    try:
        yield
    finally:
        if wanted:
            thread.join()


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


@contextlib.contextmanager
def in_python() -> Iterator[None]:
    """Let Python itself run the loops of this process, where there is so little to do that compiling takes longer.

    Whoever does so has tests that the results are those of the compiled loops, bit by bit: what is read from float32
    has to be made float64 where numba does that by itself.
    """
    _in_python.append(None)
    try:
        yield
    finally:
        _in_python.pop()


def is_compiled(loop: Any) -> bool:
    """Tell whether numba's cache on this machine has a loop that `compiled` made, for some types of arguments."""
    code = loop.py_func.__code__
    source = Path(code.co_filename)
    name = f"{source.stem}.{loop.py_func.__qualname__}-{code.co_firstlineno}.py{sys.version_info[0]}"
    indices = cache_folder(loop).glob(f"{glob.escape(name)}*.nbi")
    return any(index.stat().st_mtime >= source.stat().st_mtime for index in indices)


def cache_folder(loop: Any) -> Path:
    """Return where numba keeps a loop that `compiled` made."""
    return Path(loop.made.stats.cache_path)


class _Compiled:
    """A loop that numba compiles, or takes from its cache, when it is first called, from Python or by another loop."""

    def __init__(self, function: Callable[..., Any], error_model: str) -> None:
        functools.update_wrapper(self, function)
        self.py_func = function
        self._error_model = error_model
        self._made: Any = None

    def __call__(self, *args: Any) -> Any:
        if _in_python:
            return self._interpret(*args)
        made = self._made
        return self.made(*args) if made is None else made(*args)

    def _interpret(self, *args: Any) -> Any:
        import numpy as np  # which `--help` does without

        with np.errstate(over="ignore"):  # products of words of bits
            return self.py_func(*args)

    @property
    def made(self) -> Any:
        """What numba makes of it."""
        numba = _numba()  # before the lock: where numba compiles what calls this one, nothing of ours may be held
        with _making:
            if self._made is None:
                self._made = numba.njit(cache=True, nogil=True, error_model=self._error_model)(self.py_func)
            return self._made

    @property
    def _numba_type_(self) -> Any:
        """What numba asks of whatever a loop names."""
        return self.made._numba_type_


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
