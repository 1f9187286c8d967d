"""Files of models as somebody would write them anew: sealed, or as older versions wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from landscribe.core.seal import SEAL, seal


def read_values(path: Path) -> dict[str, Any]:
    """Return what a sealed file says, without its seal."""
    values = json.loads(path.read_text(encoding="utf-8"))
    values.pop(SEAL, None)
    return values


def write_sealed(path: Path, values: dict[str, Any]) -> None:
    """Write values with a seal of their own."""
    path.write_text(seal(values), encoding="utf-8")


def write_as_older(path: Path, values: dict[str, Any]) -> None:
    """Write the file of a model as before there were seals."""
    path.write_text(json.dumps(values | {"format": 1}), encoding="utf-8")
