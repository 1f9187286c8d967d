"""A scene with labels, as training and validation take it."""

from __future__ import annotations

from dataclasses import dataclass

from affine import Affine

from landscribe.core.arrays import AnyArray, BoolArray, ByteArray


@dataclass(frozen=True)
class SceneArrays:
    """One scene with labels in memory, every sensor at its own resolution."""

    scene: str
    images_chw: dict[str, AnyArray]
    """Raw values of each sensor (C, h, w): uint8, uint16, int16 or float32."""
    valid_hw: dict[str, BoolArray]
    """Of each sensor (h, w): False where there is no data."""
    maps: dict[str, Affine]
    """Reference (col, row) to that sensor's (col, row), continuous, counted from the top-left corner."""
    coverage_khw: ByteArray
    """Covered share of each class, 0..255, on the reference grid."""
    labelled_hw: BoolArray
    """False where nobody looked or the reference sensor has no data: neither learned from nor scored."""

    @property
    def shape_hw(self) -> tuple[int, int]:
        """Size of the reference grid."""
        return self.labelled_hw.shape[0], self.labelled_hw.shape[1]
