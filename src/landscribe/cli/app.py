"""The program: commands, and exceptions turned into one line and an exit code."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer
from typer.exceptions import Abort, Exit, TyperException

from landscribe import __version__
from landscribe.cli import files, flow, look, submissions
from landscribe.cli.console import say, stop_when_asked
from landscribe.errors import INTERRUPTED_EXIT_CODE, LandscribeError

app = typer.Typer(
    name="landscribe",
    help="Satellite imagery and polygons in, trained networks and georeferenced polygons with an honest score out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 internal, 2 usage or recipe, 3 bad data, 4 some scenes failed, 5 a limit was hit, "
    "6 a file is damaged, 130 interrupted.",
)
flow.register(app)
files.register(app)
submissions.register(app)
look.register(app)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"landscribe {__version__}")
        raise typer.Exit


@app.callback()
def top(
    _version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version."),
    ] = False,
) -> None:
    """Satellite imagery and polygons in, trained networks and georeferenced polygons with an honest score out."""


def main() -> None:
    """Run the command line and exit with the documented code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop_when_asked)
    try:
        result = app(standalone_mode=False)
        code = result if isinstance(result, int) else 0
    except LandscribeError as error:
        say(f"error: {error}")
        code = error.exit_code
    except Exit as stop:
        code = stop.exit_code
    except TyperException as error:
        say(f"error: {error.format_message()} See landscribe --help.")
        code = 2
    except (KeyboardInterrupt, Abort):
        say("interrupted; what was finished is kept, the same command goes on from there")
        code = INTERRUPTED_EXIT_CODE
    except MemoryError as error:
        say(f"error: out of memory: {error}; use smaller tiles, fewer scenes or a smaller batch")
        code = 5
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    sys.exit(code)
