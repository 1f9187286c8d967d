"""Which label files belong to which images, and which class their paths tell."""

from __future__ import annotations

import re
from pathlib import Path

from landscribe.io.layout.groups import Group, fill, templates
from landscribe.io.layout.words import GENERIC, class_word, pieces


def reach(group: Group, reference: Group) -> tuple[str, int]:
    """Return the pattern of label files in the fields of the images, and how many images have one."""
    paths = {path.as_posix() for path in group.files}
    best, most = "", 0
    for template in templates(group, reference):
        hits = sum(fill(template, fields).as_posix() in paths for fields in reference.fields)
        if hits > most:
            best, most = template, hits
    return best, most


def path_word(folder: Path, path: str, *, several: bool) -> tuple[str | None, bool]:
    """Return the class that a path tells, and whether it is a known noun.

    Its own name goes first, then its folders, then the folder of all. Of a file among several, such as one for each
    class, its own name is taken in any case.
    """
    parts = [re.sub(r"\{[^}]*\}", " ", part) for part in path.rpartition(".")[0].split("/")[::-1]]
    word, known = class_word(*parts)
    if not known and several:
        telling = [part for part in parts if [word for word in pieces(part) if word not in GENERIC]]
        word = "_".join(word for word in pieces(telling[0]) if word not in GENERIC) if telling else None
        return word, word is not None
    if known:
        return word, known
    of_all, known = class_word("", folder.resolve().name)
    return (of_all, True) if known else (word, False)
