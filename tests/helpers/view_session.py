"""Serves a run until it is killed: `python view_session.py RUN`; the address is its first line."""

from __future__ import annotations

import sys
from pathlib import Path

from landscribe.stages.maps.view import view

view([Path(sys.argv[1])], port=0, who="tester", browser=False, tell=lambda line: print(line, flush=True))  # noqa: T201
