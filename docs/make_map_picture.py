"""Draw docs/images/map.jpg: python docs/make_map_picture.py landscribe-demo/run, the run of `make demo`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cv2

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "helpers"))
from browser import open_page  # noqa: E402  # a helper of the tests

PICTURE = ROOT / "docs" / "images" / "map.jpg"
SIZE = 1280, 800
STATE = """
for (const kind of ['fp', 'fn']) LS.state.on[kind] = true;
LS.state.side.truth = 'both';
LS.view.goScene(LS.manifest.scenes.findIndex((s) => s.id === '6030_0_0'), { instant: true });
document.querySelector('.more').open = true;
LS.swipe.toggle();
"""
STILL = "LS.vector.loaded.size > 0 && !LS.raster.busy && !LS.raster.queue.length"


def draw(run: Path, target: Path = PICTURE) -> None:
    """Open the map of a run as a person would have it and take a picture."""
    with (
        open_page((run / "map.html").resolve(), width=SIZE[0], height=SIZE[1]) as page,
        tempfile.TemporaryDirectory() as folder,
    ):
        page.until("typeof LS !== 'undefined' && LS.state?.scene >= 0")
        page.evaluate(STATE)
        page.until(STILL)
        page.evaluate("new Promise((done) => setTimeout(done, 1000))")
        shot = Path(folder) / "shot.png"
        page.screenshot(shot, full=False)
        cv2.imwrite(str(target), cv2.imread(str(shot)), (cv2.IMWRITE_JPEG_QUALITY, 86))


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
