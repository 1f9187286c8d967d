"""Draw the picture of docs/augmentation.md: python docs/make_chip_picture.py runs/demo/pictures/chips/all.png.

The sheet is that of `landscribe pictures demo --run runs/demo --chips` with strength, match and cutmix.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2

from landscribe.stages.pictures.chips import GAP_PX, HEAD_PX, SIDE_PX

TARGET = Path(__file__).parent / "images" / "chips.jpg"
WIDTH, ROWS = 1300, 5


def draw(sheet: Path, target: Path = TARGET) -> None:
    """Write the first rows of a sheet, smaller."""
    picture = cv2.imread(str(sheet))[: HEAD_PX + ROWS * (SIDE_PX + GAP_PX)]
    size = WIDTH, round(WIDTH * picture.shape[0] / picture.shape[1])
    smaller = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(target), smaller, [cv2.IMWRITE_JPEG_QUALITY, 82])


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
