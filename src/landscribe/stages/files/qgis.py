"""`qgis`: put the plugin where QGIS looks for plugins."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from landscribe import __version__
from landscribe.errors import DataError, problem
from landscribe.io.atomic import write_text

NAME = "landscribe_qgis"
"""Folder of the plugin, and what `qgis_process plugins enable` calls it."""
SOURCE = Path(__file__).parents[2] / "qgis"


def plugins_folder(profile: str) -> Path:
    """Return where QGIS 3 keeps the plugins of a profile of this user.

    Raises:
        DataError: If there is no such profile beside others.
    """
    home = Path.home()
    if custom := os.environ.get("QGIS_CUSTOM_CONFIG_PATH"):
        root = Path(custom)
    elif sys.platform == "win32":
        root = Path(os.environ.get("APPDATA", home / "AppData" / "Roaming")) / "QGIS" / "QGIS3"
    elif sys.platform == "darwin":
        root = home / "Library" / "Application Support" / "QGIS" / "QGIS3"
    else:
        root = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "QGIS" / "QGIS3"
    profiles = root / "profiles"
    known = sorted(path.name for path in profiles.iterdir() if path.is_dir()) if profiles.is_dir() else []
    if known and profile not in known:
        raise DataError(problem(str(profiles), "no such profile", got=repr(profile), need=" or ".join(known)))
    return profiles / profile / "python" / "plugins"


def install_plugin(plugins: Path) -> Path:
    """Write the plugin, and the command of this environment into it; what stood there of it is replaced.

    Args:
        plugins: Folder of QGIS's plugins; made if it is not there.

    Returns:
        Folder of the plugin.

    Raises:
        OSError: If the folder cannot be written.
    """
    folder = plugins / NAME
    metadata = (SOURCE / "metadata.txt").read_text(encoding="utf-8").replace("{version}", __version__)
    write_text(folder / "command.json", json.dumps([sys.executable, "-m", "landscribe"]))
    write_text(folder / "metadata.txt", metadata)
    write_text(folder / "__init__.py", (SOURCE / "plugin.py").read_text(encoding="utf-8"))
    return folder
