"""Start a command as the plugin for QGIS does, cancel it, and print how that ended; run by the Python of QGIS.

python3 qgis_cancel.py PLUGIN.py COMMAND...
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
import time

from qgis.core import QgsApplication, QgsProcessingException, QgsProcessingFeedback


def main() -> None:
    """Cancel at the first line of progress."""
    application = QgsApplication([], False)
    application.initQgis()
    spec = importlib.util.spec_from_file_location("plugin", sys.argv[1])
    plugin = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plugin)
    feedback = QgsProcessingFeedback(False)

    def cancel() -> None:
        while feedback.progress() == 0:
            time.sleep(0.05)
        feedback.cancel()

    threading.Thread(target=cancel, daemon=True).start()
    begin = time.monotonic()
    try:
        plugin.call(sys.argv[2:], feedback)
        said = "done"
    except QgsProcessingException as error:
        said = str(error)
    print(json.dumps({"said": said, "percent": feedback.progress(), "seconds": time.monotonic() - begin}), flush=True)  # noqa: T201
    os._exit(0)


if __name__ == "__main__":
    main()
