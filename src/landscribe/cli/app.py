"""The program: commands, and exceptions turned into one line and an exit code."""

from __future__ import annotations

import signal
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import Abort, Exit, TyperException

from landscribe import __version__
from landscribe.cli import checks, files, flow, look, maps, planning, portable, review, submissions, trace
from landscribe.cli.console import say, stop_when_asked
from landscribe.errors import INTERRUPTED_EXIT_CODE, LandscribeError, LimitError, problem
from landscribe.io.atomic import as_meant
from landscribe.process import settle_process

INTERRUPTED = "interrupted; what was finished is kept, the same command goes on from there"


class _Group(TyperGroup):
    """The commands; a switch says nothing of its type."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_type(super().get_params(ctx))


class _Command(TyperCommand):
    """One command; a switch says nothing of its type."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_type(super().get_params(ctx))


def _without_type(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    return parameters


app = typer.Typer(
    name="landscribe",
    cls=_Group,
    help="Satellite imagery and polygons in, trained networks and georeferenced polygons with an honest score out.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 internal, 2 usage or recipe, 3 bad data, 4 some scenes failed, 5 a limit was hit, "
    "6 a file is damaged, 130 interrupted (Ctrl-C, SIGTERM).",
)
checks.register(app)
flow.register(app)
files.register(app)
trace.register(app)
submissions.register(app)
look.register(app)
planning.register(app)
portable.register(app)
review.register(app)
maps.register(app)
for one in app.registered_commands:
    one.cls = _Command


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"landscribe {__version__}")
        raise typer.Exit


@app.callback()
def top(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version."),
    ] = False,
) -> None:
    """Satellite imagery and polygons in, trained networks and georeferenced polygons with an honest score out."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _refusal(error: OSError) -> str:
    """Say what the system refused, and of which file."""
    where = "the system" if error.filename is None else str(error.filename)
    return problem(where, str(error.strerror or error), do="choose another place, or change its rights")


def main() -> None:
    """Run the command line and exit with the documented code."""
    settle_process()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop_when_asked)
    try:
        result = app(standalone_mode=False)
        code = result if isinstance(result, int) else 0
        if code == INTERRUPTED_EXIT_CODE:  # typer makes this of a KeyboardInterrupt
            say(INTERRUPTED)
    except LandscribeError as error:
        say(f"error: {as_meant(str(error))}")
        code = error.exit_code
    except Exit as stop:
        code = stop.exit_code
    except TyperException as error:
        say(f"error: {error.format_message()} See landscribe --help.")
        code = 2
    except (KeyboardInterrupt, Abort):
        say(INTERRUPTED)
        code = INTERRUPTED_EXIT_CODE
    except MemoryError as error:
        say(f"error: out of memory: {error}; use smaller tiles, fewer scenes or a smaller batch")
        code = 5
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    except OSError as error:
        say(f"error: {as_meant(_refusal(error))}")
        code = LimitError.exit_code
    sys.exit(code)
