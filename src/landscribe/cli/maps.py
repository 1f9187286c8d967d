"""The command that serves maps: `view`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import typer

from landscribe.cli.console import say, tell


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("view")(view)


def view(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; several that share scenes stand side by side.")],
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port on this machine; 8377 or any that is free.")
    ] = None,
    who: Annotated[str, typer.Option(help="Name that goes with each edit; your login name.")] = "",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
) -> None:
    """Look at runs of any size in the browser, and correct what they found. Ctrl-C ends it; edits are kept at once."""
    from landscribe.stages.maps.view import serve

    with serve(runs, port=port, who=who) as served:
        for line in served.said:
            say(line)
        tell(served.address)
        say("Ctrl-C ends it; edits lie in the folder `review` of the run")
        if not no_browser:
            served.show()
        with contextlib.suppress(KeyboardInterrupt):  # the way to end it
            served.forever()
    say("ended; all edits are kept")
