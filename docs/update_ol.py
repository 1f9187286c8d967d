"""Take another release of OpenLayers: python docs/update_ol.py FOLDER, a folder that `npm pack ol` was unpacked into.

Copies `dist/ol.js` and the licence to `src/landscribe/report/map/web` and notes version, size and SHA-256 beside them;
a test compares the file with the note. The file is not changed, so that anybody can compare it with the package's.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

WEB = Path(__file__).parent.parent / "src" / "landscribe" / "report" / "map" / "web"


def update(package: Path, web: Path = WEB) -> None:
    """Copy what is needed of an unpacked package and note what it is.

    Args:
        package: Folder with `package.json`, `dist/ol.js` and `LICENSE.md`.
        web: Where to.
    """
    facts = json.loads((package / "package.json").read_text(encoding="utf-8"))
    shutil.copyfile(package / "dist" / "ol.js", web / "ol.js")
    shutil.copyfile(package / "LICENSE.md", web / "ol.LICENSE")
    content = (web / "ol.js").read_bytes()
    note = {
        "name": facts["name"],
        "version": facts["version"],
        "licence": facts["license"],
        "file": "dist/ol.js",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    (web / "ol.json").write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    update(Path(sys.argv[1]))
