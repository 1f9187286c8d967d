"""The exception tree. Each branch has the exit code that the command line returns for it.

A message is one line: *where: what, got, need; do*. `problem` builds it, so that all of them read alike.
"""

from __future__ import annotations


def problem(where: str, what: str, *, got: object = None, need: object = None, do: str | None = None) -> str:
    """Compose the one-line message of an error.

    Args:
        where: The file, scene, sensor or recipe key at fault.
        what: What is wrong with it.
        got: What was found; left out when None.
        need: What was expected; left out when None.
        do: What the user can do about it; left out when None.

    Returns:
        ``where: what, got ..., need ...; do``.
    """
    text = f"{where}: {what}"
    if got is not None:
        text += f", got {got}"
    if need is not None:
        text += f", need {need}"
    if do is not None:
        text += f"; {do}"
    return " ".join(text.split())


def some(names: list[str]) -> str:
    """Return a few names, and how many more there are."""
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def first_line(error: BaseException) -> str:
    """Return what an error of a library says, in one line that is never empty."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))


class LandscribeError(Exception):
    """Anything Landscribe itself raises; exit code 1 when nothing more precise applies.

    Examples:
        >>> import landscribe as ls
        >>> try:
        ...     ls.load_recipe("no-such-recipe.toml")
        ... except ls.LandscribeError as error:
        ...     print(type(error).__name__, error.exit_code)
        RecipeError 2
    """

    exit_code = 1


class RecipeError(LandscribeError):
    """The recipe or the command line is wrong.

    Examples:
        >>> import landscribe as ls
        >>> issubclass(ls.RecipeError, ls.LandscribeError), ls.RecipeError.exit_code
        (True, 2)
    """

    exit_code = 2


class DataError(LandscribeError):
    """The input data cannot be used as they are.

    Examples:
        >>> import landscribe as ls
        >>> ls.DataError.exit_code
        3
    """

    exit_code = 3


class PartialError(LandscribeError):
    """Some scenes failed, the others are done; the message names the failed ones.

    Examples:
        >>> import landscribe as ls
        >>> ls.PartialError.exit_code
        4
    """

    exit_code = 4


class LimitError(LandscribeError):
    """A limit on memory, size, disk or time was hit.

    Examples:
        >>> import landscribe as ls
        >>> ls.LimitError.exit_code
        5
    """

    exit_code = 5


class IntegrityError(LandscribeError):
    """A file is not what its manifest says: damaged, half-written or foreign.

    Examples:
        >>> import landscribe as ls
        >>> ls.IntegrityError.exit_code
        6
    """

    exit_code = 6


BAD_FILE = (DataError, IntegrityError, LimitError)
"""What one bad file raises: where several are worked on, that one is named and the others go on."""
INTERRUPTED_EXIT_CODE = 130
