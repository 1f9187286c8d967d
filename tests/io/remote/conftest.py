"""A server, and no waiting between tries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from range_server import Server, range_server


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr("landscribe.io.remote.client.WAIT_S", 0.01)
    (tmp_path / "www").mkdir()
    with range_server(tmp_path / "www") as known:
        yield known
