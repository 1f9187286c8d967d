"""What a window is worth, and why, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from landscribe.core.arrays import FloatArray
from landscribe.core.suggest.doubt import in_means

WORTH_SAYING = 1.2
"""Times the mean window."""
MOST_CLASSES = 2


@dataclass(frozen=True)
class Evidence:
    """What speaks for each of N windows; an empty field was not looked at."""

    classes: tuple[str, ...]
    doubt_nk: FloatArray
    """Mean entropy of a pixel for each class, in bits."""
    disagreement_nk: FloatArray | None = None
    """Mean disagreement of networks or views for each class, in bits."""
    unlike_n: FloatArray | None = None
    """Distance from the most alike training window."""

    @property
    def parts(self) -> dict[str, FloatArray]:
        """Each kind of evidence by its name, as multiples of the mean window's (N,)."""
        found = {"doubt": in_means(self.doubt_nk).mean(axis=1)}
        if self.disagreement_nk is not None:
            found["disagreement"] = in_means(self.disagreement_nk).mean(axis=1)
        if self.unlike_n is not None:
            found["unlike"] = in_means(self.unlike_n[:, None], least=1e-9)[:, 0]
        return found

    @property
    def worth_n(self) -> FloatArray:
        """Mean of the parts: 1 is a window like most."""
        return np.mean([*self.parts.values()], axis=0)


def say_why(evidence: Evidence, n: int) -> str:
    """Return why a window is worth labelling: what is above the mean, the strongest first."""
    parts = evidence.parts
    told = {
        "doubt": f"unsure{_of(evidence.classes, evidence.doubt_nk, n)}",
        "unlike": "unlike the training ground",
    }
    if evidence.disagreement_nk is not None:
        told["disagreement"] = f"predictions disagree{_of(evidence.classes, evidence.disagreement_nk, n)}"
    strong = sorted((name for name in parts if parts[name][n] >= WORTH_SAYING), key=lambda name: -parts[name][n])
    said = [f"{told[name]} ({parts[name][n]:.1f} times the mean)" for name in strong]
    return "; ".join(said) or "new among the chosen, else like most"


def _of(classes: Sequence[str], values_nk: FloatArray, n: int) -> str:
    """Name the classes that a value comes from."""
    own_k = in_means(values_nk)[n]
    names = [classes[k] for k in np.argsort(-own_k, kind="stable")[:MOST_CLASSES] if own_k[k] >= WORTH_SAYING]
    return f" of {' and '.join(names)}" if names and len(classes) > 1 else ""


def rounded(parts: Mapping[str, FloatArray], n: int) -> dict[str, float]:
    """Return the parts of one window, as they are written."""
    return {name: round(float(values[n]), 3) for name, values in parts.items()}
