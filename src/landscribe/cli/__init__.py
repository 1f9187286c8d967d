"""The command line: the only place that talks to a person. Stages are imported inside the commands, so help is fast."""

from landscribe.cli.app import main

__all__ = ["main"]
