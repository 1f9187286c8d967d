"""What a reader should know of the labels before trusting a score that rests on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from landscribe.core.ground import Ground, add_ground
from landscribe.io.labels.grids import WARPED
from landscribe.io.labels.ground import EMPTY_SIDE
from landscribe.io.labels.marks import WIDENED
from landscribe.io.labels.pictures import OFF_PALETTE, TAKEN
from landscribe.report.data import LabelEvidence
from landscribe.report.words import listed, percent, plural

MOST = 0.5
"""Where a class is this much of the labelled ground, its score says little by itself."""
BARELY = 0.005
"""A score this little above the share of positive ground is no better than it."""
UNLABELLED = 0.01


def label_cautions(
    evidence: LabelEvidence, jaccard: Mapping[str, float | None], dropped: Mapping[str, float]
) -> Iterator[str]:
    """List what of the labels weakens a score, most important first.

    Args:
        evidence: What the labels say, as `prepare` found it.
        jaccard: The score of each scored class; None where it has none.
        dropped: Reason -> how many, of all that `prepare` left out or mended.
    """
    yield from _about_shares(evidence.scored, jaccard)
    yield from _about_where_nobody_looked(evidence)
    total = sum(evidence.pixels.values())
    if dropped.get(TAKEN) or dropped.get(OFF_PALETTE):
        taken, lost = dropped.get(TAKEN, 0), dropped.get(OFF_PALETTE, 0)
        yield (
            f"The label pictures have colours or values off their palette: {_of(taken, total)} were taken for the "
            f"nearest one, {_of(lost, total)} count as unlabelled."
        )
    if dropped.get(WARPED):
        yield (
            f"Label pictures lie on another grid than the images ({_of(dropped[WARPED], total)}): their outlines are "
            "only as fine as the coarser of the two."
        )
    if dropped.get(WIDENED):
        yield (
            f"{plural(round(dropped[WIDENED]), 'label')} of lines or points became polygons of a width that the recipe "
            "gives: how well outlines are met says little."
        )


def _about_shares(scored: Mapping[str, Ground], jaccard: Mapping[str, float | None]) -> Iterator[str]:
    useless = [
        f"{name} (Jaccard {value:.3f}, {percent(ground.share)} of the ground)"
        for name, ground in scored.items()
        if (value := jaccard.get(name)) is not None and 0 < value <= ground.share + BARELY
    ]
    if useless:
        yield f"No better than saying yes everywhere: {listed(useless)}."
    most = [f"{name} ({percent(ground.share)})" for name, ground in scored.items() if ground.share >= MOST]
    if most:
        yield (
            "Most of the labelled ground that was scored is of one class, and saying yes everywhere would score as "
            f"much: {listed(most)}."
        )


def _about_where_nobody_looked(evidence: LabelEvidence) -> Iterator[str]:
    total = sum(evidence.pixels.values())
    whole = add_ground([evidence.scored, evidence.trained])
    unlabelled = max((ground.unlabelled for ground in whole.values()), default=0.0)
    seen = max((g.positive + g.negative + g.unlabelled for g in whole.values()), default=0.0)
    if unlabelled > UNLABELLED * seen:
        yield (
            f"{percent(unlabelled / seen)} of the imagery of labelled scenes is unlabelled: it was not trained on, "
            "and what was found there is neither right nor wrong."
        )
    if evidence.untouched:
        part = sum(evidence.pixels[scene] for scene in evidence.untouched) / total
        yield (
            f"A label file that scenes share has nothing in {plural(len(evidence.untouched), 'scene')} "
            f"({listed(list(evidence.untouched))}), {percent(part)} of the labelled ground: they count as searched and "
            "empty. If nobody looked there, every find in them is wrongly a false one; `labels.area` says where "
            "somebody looked."
        )
    one_sided = [f"{scene} ({percent(part)})" for scene, part in evidence.one_sided.items() if part > EMPTY_SIDE]
    if one_sided:
        yield (
            f"A label file that scenes share leaves more than a third empty on one side of {listed(one_sided)}: "
            "perhaps its author stopped there. `labels.area` says where somebody looked."
        )
    if evidence.taken_for_empty:
        yield (
            f"{plural(len(evidence.taken_for_empty), 'scene')} without a label file of their own "
            f"({listed(list(evidence.taken_for_empty))}) count as searched and empty, as `labels.missing` says."
        )


def _of(pixels: float, total: float) -> str:
    return f"{pixels:,.0f} pixels" if total <= 0 else f"{pixels:,.0f} pixels ({percent(pixels / total)})"
