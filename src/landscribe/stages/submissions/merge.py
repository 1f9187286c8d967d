"""`merge`: several submissions -> one, by row, by class or by file, with lists of what to skip and to keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from landscribe.errors import DataError, problem
from landscribe.io.source.dstl import read_sample
from landscribe.io.source.submissions import EMPTY, Key, is_empty, read_texts, write_texts


@dataclass(frozen=True)
class Source:
    """A submission, and which of its classes to take.

    Examples:
        >>> import landscribe as ls
        >>> ls.Source(Path("submission.csv"), frozenset({1, 5})).class_ids == {1, 5}
        True
    """

    path: Path
    class_ids: frozenset[int] | None = None
    """ClassTypes from 1; None takes all."""


def merge(
    target: Path,
    sources: Sequence[Source],
    *,
    sample: Path | None = None,
    by: Literal["row", "class"] = "row",
    class_ids: Collection[int] | None = None,
    skip: Collection[Key] = (),
    keep: Collection[Key] | None = None,
) -> dict[str, int]:
    """Merge submissions; later files go before earlier ones. Polygons are kept to the last digit.

    Args:
        target: `.csv` or `.csv.gz` to write.
        sources: Submissions in order, plain or gzipped.
        sample: Sample submission, whose rows in their order the result has; None takes the rows of the first file.
        by: `row`: polygons of a later file replace those of the same image and class. `class`: a later file with any
            polygon of a class replaces the whole class, in all images.
        class_ids: Only these ClassTypes, from 1; None takes all.
        skip: Image id and ClassType of rows that become empty.
        keep: Image id and ClassType of the only rows that do not become empty; None keeps all.

    Returns:
        Counts of rows by what became of them.

    Raises:
        DataError: If a file is no submission, or a row in `skip` or `keep` is not asked for.

    Examples:
        >>> import landscribe as ls
        >>> first = ls.Source(run.root / "submission.csv.gz")
        >>> counts = ls.merge(Path("merged.csv"), [first, first])
        >>> Path("merged.csv").read_text().splitlines()[0]
        'ImageId,ClassType,MultipolygonWKT'
    """
    counts = Counter[str]()
    texts = [read_texts(source.path) for source in sources]
    asked = read_sample(sample) if sample is not None else list(texts[0])
    known = set(asked)
    unknown = sorted({*skip, *(keep or ())} - known)
    if unknown:
        raise DataError(problem("merge", "no such row to skip or keep", got=f"{unknown[0][0]}_{unknown[0][1]}"))
    chosen: dict[Key, tuple[str, str]] = {}
    for source, rows in zip(sources, texts, strict=True):
        full = {
            key: text
            for key, text in rows.items()
            if not is_empty(text) and (source.class_ids is None or key[1] in source.class_ids)
        }
        if by == "class":
            replaced = {class_id for _, class_id in full}
            gone = [key for key in chosen if key[1] in replaced and key not in full]
            counts["left out, class of a later file"] += len(gone)
            chosen = {key: value for key, value in chosen.items() if key not in set(gone)}
        counts["replaced by a later file"] += len(chosen.keys() & full.keys())
        chosen |= {key: (text, source.path.name) for key, text in full.items()}
    counts["left out, not in the sample"] = len(chosen.keys() - known)
    lines = []
    for image_id, class_id in asked:
        text, name = chosen.get((image_id, class_id), (EMPTY, ""))
        reason = None
        if class_ids is not None and class_id not in class_ids:
            reason = "left out, class not chosen"
        elif (image_id, class_id) in skip:
            reason = "left out, skipped"
        elif keep is not None and (image_id, class_id) not in keep:
            reason = "left out, not kept"
        if name and reason is None:
            counts[f"rows from {name}"] += 1
        elif name and reason is not None:
            counts[reason] += 1
        lines.append((image_id, class_id, text if reason is None else EMPTY))
    write_texts(target, lines)
    counts["rows"] = len(lines)
    return {reason: n for reason, n in counts.items() if n}
