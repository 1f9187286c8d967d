"""Serves a run as the command line does, until it is killed: `python view_session.py RUN [PORT]`."""

from __future__ import annotations

import sys

from landscribe.cli import main

sys.argv = [
    "landscribe",
    "view",
    sys.argv[1],
    "--port",
    sys.argv[2] if len(sys.argv) > 2 else "0",
    "--who",
    "tester",
    "--no-browser",
]
main()
