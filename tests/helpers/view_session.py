"""Serves a run as the command line does, until it is killed: `python view_session.py RUN`."""

from __future__ import annotations

import sys

from landscribe.cli import main

sys.argv = ["landscribe", "view", sys.argv[1], "--port", "0", "--who", "tester", "--no-browser"]
main()
