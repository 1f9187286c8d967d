"""What a reader should know before trusting a run, said by the numbers themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from landscribe.core.score.left_out import alarms
from landscribe.core.score.rows import ClassRow
from landscribe.core.score.score import Score, lost_to_polygons
from landscribe.core.split.places import unlikeness
from landscribe.io.models.ranges import CAUTION
from landscribe.io.raster.suspects import TAKEN_FOR_DATA
from landscribe.report.data import ReportData
from landscribe.report.label_cautions import label_cautions
from landscribe.report.words import MANY_NAMES, listed, plural, times

FEW_PLACES = 8
"""Below this number a bootstrap over places is known to give intervals that are too narrow."""
WIDE = 0.2
LOST = 0.03
UNLIKE = 0.35
STRANGE = 1.0
SKEWED = 1.5


def cautions(data: ReportData) -> list[str]:
    """List what weakens the evidence, most important first; an empty list means that none of the checks found any."""
    found = [*_about_failures(data)]
    if data.score is None:
        return [
            "There is no score: no scene with labels was held out from training, so nothing here says how good the "
            "polygons are. Look at the pictures, and label a few scenes that no model has seen.",
            *found,
        ]
    return [
        *_about_evidence(data, data.score),
        *_about_labels(data, data.score),
        *_about_split(data),
        *_about_classes(data.score),
        *found,
    ]


def _about_labels(data: ReportData, score: Score) -> Iterator[str]:
    jaccard = {name: row.polygon.jaccard for name, row in score.classes.items()}
    return label_cautions(data.labels, jaccard, {reason: count for _, reason, count in data.dropped})


def _about_failures(data: ReportData) -> Iterator[str]:
    if data.failed:
        names = sorted({item for item, _ in data.failed})
        yield f"Failed, and missing from everything below: {listed(names)}."
    outside = [note for note in data.notes if CAUTION in note]
    if outside:
        yield f"Polygons of these scenes may be worth nothing. {' '.join(f'{note}.' for note in outside[:MANY_NAMES])}"
    taken = [f"{count:,.0f} {reason}" for _, reason, count in data.dropped if reason.endswith(TAKEN_FOR_DATA)]
    if taken:
        yield f"Taken for brightness by statistics and networks: {listed(taken)}. `landscribe check` says what to set."
    doubtful = [f"{row['scene']} {row['sensor']}" for row in data.alignment if _is_doubtful(row)]
    if doubtful:
        yield f"Shifts that could not be estimated with confidence: {listed(doubtful)}."


def _is_doubtful(row: Mapping[str, str]) -> bool:
    return not any(word in row.get("decision", "") for word in ("reference", "not estimated", "applied", "accepted"))


def _about_evidence(data: ReportData, score: Score) -> Iterator[str]:
    for alarm in alarms(score):
        yield f"{alarm[:1].upper()}{alarm[1:]}."
    scenes = len(score.scenes)
    places = len({data.splits[scene][0] for scene in score.scenes if scene in data.splits})
    if places < 2:
        yield (
            f"Everything that was scored ({plural(scenes, 'scene')}) lies in one place: nothing is known about how the "
            "model does elsewhere. Intervals are about scenes, or parts of a scene, of this place only."
        )
    elif places < FEW_PLACES:
        yield (
            f"The score rests on {places} places. With so few, the true uncertainty is larger than the intervals say."
        )
    tuned = score.tuning.mean if score.tuning is not None else None
    if tuned is not None and tuned.real and (tuned.difference or 0) < 0:
        yield (
            f"Tuning made it worse on the held-out scenes: mean Jaccard {tuned.tuned:.3f}, and "
            f"{tuned.default:.3f} by the recipe without what was tuned."
        )
    adapted = score.adapting.mean if score.adapting is not None else None
    if adapted is not None and adapted.real and (adapted.difference or 0) < 0:
        yield (
            f"Adapting made it worse on the held-out scenes: mean Jaccard {adapted.tuned:.3f}, and "
            f"{adapted.default:.3f} without."
        )
    mean = score.mean.polygon
    if mean.low is not None and mean.high is not None and mean.high - mean.low > WIDE:
        yield (
            f"The interval of the mean is {mean.high - mean.low:.2f} wide: differences between runs smaller than "
            "that say nothing unless `landscribe compare` finds them real."
        )


def _about_classes(score: Score) -> Iterator[str]:
    rows = score.classes
    empty = [name for name, row in rows.items() if row.polygon.jaccard is None]
    if empty:
        yield f"Neither true nor predicted in any scored scene, so not scored at all: {listed(empty)}."
    places = score.conventions.places
    single = [name for name, row in rows.items() if row.places == 1 and places > 1]
    if single:
        yield f"Seen in one place only, so the interval is too narrow for other places: {listed(single)}."
    missing = [name for name, row in rows.items() if row.polygon.recall == 0]
    if missing:
        yield f"Present in the truth and never found: {listed(missing)}."
    for word, skewed in (("much more", _skewed(rows, 1)), ("much less", _skewed(rows, -1))):
        if skewed:
            yield f"Predicted {word} ground than there is: {listed(skewed)}."
    lost = [f"{name} ({cost:.3f})" for name, row in rows.items() if (cost := lost_to_polygons(row) or 0.0) > LOST]
    if lost:
        yield (
            "The polygons score lower than the pixels they came from; thresholds, minimum areas, simplification or "
            f"rules cost this much Jaccard: {listed(lost)}."
        )


def _skewed(rows: Mapping[str, ClassRow], sign: int) -> list[str]:
    found = []
    for name, row in rows.items():
        polygon = row.polygon
        predicted, true = polygon.tp + polygon.fp, polygon.tp + polygon.fn
        if predicted > 0 and true > 0 and sign * math.log(predicted / true) > math.log(SKEWED):
            found.append(f"{name} ({times(predicted / true)})")
    return found


def _about_split(data: ReportData) -> Iterator[str]:
    if data.split_edited:
        yield "The split was edited by hand: which scenes are scored was chosen by a person, not drawn."
    train, validate = data.areas.get("train"), data.areas.get("validate")
    if not train or not validate:
        return
    names = data.legend.names
    distance = unlikeness(np.array([train.get(n, 0.0) for n in names]), np.array([validate.get(n, 0.0) for n in names]))
    if distance > UNLIKE:
        yield (
            f"Training and validation show different mixtures of classes ({100 * distance:.0f} % of the labelled area "
            "would have to change class to make them alike)."
        )
    looks = data.unlike[0].looks if data.unlike else math.nan
    if looks > STRANGE:
        yield (
            f"The held-out scenes are brighter or darker than the training scenes, by {looks:.1f} standard deviations "
            "of training pixels: the score is about ground that looks otherwise."
        )
    unseen = [n for n in names if validate.get(n, 0.0) > 0 and train.get(n, 0.0) == 0]
    if unseen:
        yield f"Validated but never in the training labels: {listed(unseen)}."
