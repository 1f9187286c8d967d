"""Files of a folder -> groups that follow one pattern."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from landscribe.io.layout.words import BAND_WORD, LABEL_WORDS, QUALITY_WORDS, SENSOR_WORDS, SPLIT_WORDS
from landscribe.io.source.patterns import match_files

TILE = re.compile(r"^(.*?)(\d+)([-_/])(\d+)([-_/])(\d+)(\.[^./]+)$")
"""Three numbers at the end of a name: x, y, z or z, x, y of a web-mercator tile."""
ALNUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
LAST_WORD = re.compile(r"^(?P<base>.*?)(?P<sep>[-_. ])(?P<word>[A-Za-z][A-Za-z0-9]*)$")
FIRST_WORD = re.compile(r"^(?P<word>[A-Za-z][A-Za-z]*)(?P<sep>[-_. ])(?P<base>.+)$")
Looks: TypeAlias = Callable[[Sequence[Path]], str]
"""What files of one group have in common beside their names: bands and type of rasters, the kind of a vector file."""


@dataclass(frozen=True)
class Group:
    """Files whose paths differ in their fields only."""

    pattern: str
    """Path below the folder with `{fields}`; a single file without."""
    files: tuple[Path, ...]
    """Relative to the folder, in the order of their names."""
    fields: tuple[Mapping[str, str], ...]
    """What the fields read in each file."""
    scene: str = "{scene}"
    place: str = "{scene}"
    is_tile: bool = False
    """True for web-mercator tiles, whose frame is in the name."""
    sides: Mapping[str, str] | None = None
    """Reading of the field `side` -> train, validate or test, where folders say so."""


def find_groups(folder: Path, files: Sequence[Path], looks: Looks) -> list[Group]:
    """Return the patterns that files follow, the one with most files first.

    Files belong together when they have one ending and look alike, and stand in one folder with one role in their
    names (`x_mask.png` beside `x.png` has another), or in folders that differ in numbers, in words of a split, or hold
    other ground.

    Args:
        folder: The folder.
        files: Of it, relative.
        looks: Tells what files of one folder, ending and role are.
    """
    by_folder: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in sorted(files):
        by_folder[path.parent.as_posix(), path.suffix.lower()].append(path)
    atoms = [atom for paths in by_folder.values() for atom in split_roles(paths)]
    alike: dict[tuple[str, ...], list[list[Path]]] = defaultdict(list)
    for role, atom in atoms:
        depth = str(len(atom[0].parts))
        alike[depth, atom[0].suffix.lower(), role, looks(atom)].append(atom)
    joined = [paths for some in alike.values() for paths in _join_folders(some)]
    groups = [describe(folder, sorted(paths)) for paths in joined]
    return sorted(groups, key=lambda group: (-len(group.files), group.pattern))


def split_roles(paths: Sequence[Path]) -> list[tuple[str, list[Path]]]:
    """Tell apart files of one folder that differ in a word at the end or the beginning: 1_M, 1_P; x, x_mask.

    Returns:
        The word, "" for files without, and the files.
    """
    for expression in (LAST_WORD, FIRST_WORD):
        found = _roles(paths, expression)
        if len(found) > 1:
            return list(found.items())
    return [("", list(paths))]


def _roles(paths: Sequence[Path], expression: re.Pattern[str]) -> dict[str, list[Path]]:
    stems = {path.stem for path in paths}
    bases: dict[str, set[str]] = defaultdict(set)
    parted: dict[Path, tuple[str, str]] = {}
    for path in paths:
        match = expression.match(path.stem)
        if len(path.stem) > 1 and _is_role(path.stem) and expression is LAST_WORD:
            parted[path] = (path.stem, "")
            bases[path.stem].add("")
        elif match:
            parted[path] = (match["word"], match["base"])
            bases[match["word"]].add(match["base"])
    roles = set()
    for word, own in bases.items():
        others = {""}.union(stems, *(other for name, other in bases.items() if name != word))
        # An unknown word is a role where it stands behind names that also stand alone; between names of places it is
        # a part of the name: chico_1, claremont_1.
        if (_is_role(word) and len(own & others) * 2 >= len(own)) or own <= stems:
            roles.add(word)
    found: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        word = parted.get(path, ("", ""))[0]
        found[word if word in roles else ""].append(path)
    return found


def _is_role(word: str) -> bool:
    known = word.lower() in LABEL_WORDS | QUALITY_WORDS | SENSOR_WORDS
    return known or BAND_WORD.fullmatch(word) is not None


def _join_folders(atoms: list[list[Path]]) -> list[list[Path]]:
    """Join atoms of folders that hold parts of one set."""
    joined: list[list[Path]] = []
    for atom in atoms:
        home = next((group for group in joined if _are_parts(group, atom)), None)
        if home is None:
            joined.append(list(atom))
        else:
            home.extend(atom)
    return joined


def _are_parts(one: Sequence[Path], other: Sequence[Path]) -> bool:
    first, second = one[0].parent.parts, other[0].parent.parts
    differing = [(a, b) for a, b in zip(first, second, strict=True) if a != b]
    plain = [(a, b) for a, b in differing if re.sub(r"\d+", "0", a) != re.sub(r"\d+", "0", b)]
    if not plain:
        return True
    if all(a.lower() in SPLIT_WORDS and b.lower() in SPLIT_WORDS for a, b in plain):
        return True
    if any(_is_role(word) for pair in plain for word in pair) or len(plain) > 1:
        return False
    mine, theirs = {path.stem for path in one}, {path.stem for path in other}
    # Folders with the same single file each are scenes; with the same many files each they are sensors or labels.
    single = mine == theirs and len(theirs) == 1
    return single if mine & theirs else _same_words(one[0].stem, other[0].stem)


def _same_words(one: str, other: str) -> bool:
    return re.sub(r"\d+", "0", one) == re.sub(r"\d+", "0", other)


def describe(folder: Path, paths: Sequence[Path]) -> Group:
    """Return the pattern of files that belong together.

    Where no pattern fits all of them, and only them, the best one is returned; what it takes beside them is the
    caller's to exclude.

    Args:
        folder: The folder.
        paths: Relative, sorted.
    """
    texts = [path.as_posix() for path in paths]
    tiles = [TILE.search(text) for text in texts]
    for order in ("xyz", "zxy"):
        if all(match and _is_tile(match, order) for match in tiles):
            numbers = tuple(dict(zip(order, m.group(2, 4, 6), strict=True)) for m in tiles if m)
            one, two, three = order
            pattern = TILE.sub(rf"\1{{{one}}}\3{{{two}}}\5{{{three}}}\7", texts[0])
            return Group(pattern, tuple(paths), numbers, "{z}-{x}-{y}", "{z}-{x}-{y}", is_tile=True)
    if len(texts) == 1:
        stem = paths[0].stem
        return Group(texts[0], tuple(paths), ({},), stem, stem)
    if len({path.parent for path in paths}) == 1:
        return _one_folder(paths, texts)
    return _several_folders(folder, paths)


def _one_folder(paths: Sequence[Path], texts: list[str]) -> Group:
    start = _whole_words(_common_start(texts), len(texts[0]) - len(paths[0].name))
    end = _common_start([text[::-1] for text in texts])[::-1]
    # An end that begins within a number or word would cut scene ids apart: 1_a, 11_a.
    end = end[len(end) - len(end.lstrip(ALNUM)) :]
    if any(len(text) <= len(start) + len(end) for text in texts):
        start, end = texts[0].removesuffix(paths[0].name), paths[0].suffix
    fields = tuple({"scene": text[len(start) : len(text) - len(end)]} for text in texts)
    return Group(f"{start}{{scene}}{end}", tuple(paths), fields)


def _several_folders(folder: Path, paths: Sequence[Path]) -> Group:
    """Return a pattern with a field for each part of the path that changes."""
    parts = [(*path.parent.parts, path.stem) for path in paths]
    names: list[str] = []
    pieces, places = [], []
    sides: dict[str, str] | None = None
    for level, values in enumerate(zip(*parts, strict=True)):
        is_folder = level < len(parts[0]) - 1
        if len(set(values)) == 1:
            pieces.append(values[0])
            continue
        if is_folder and all(value.lower() in SPLIT_WORDS for value in values):
            pieces.append("{side}")
            names.append("side")
            sides = {value: SPLIT_WORDS[value.lower()] for value in values}
            continue
        numbered = is_folder or any(name not in ("side", "folder") for name in names)
        piece, new = _fields_in(values, names, "folder" if is_folder else "scene", numbered=numbered)
        pieces.append(piece)
        names += new
        places += new if is_folder else []
    pattern = "/".join(pieces) + paths[0].suffix
    read = dict(match_files(folder, pattern))
    fields = tuple(read.get(folder / path, {}) for path in paths)
    scene = _shortest_id(names, fields)
    place = "_".join("{" + name + "}" for name in places) or scene
    return Group(pattern, tuple(paths), fields, scene, place, sides=sides)


def _fields_in(values: Sequence[str], taken: Sequence[str], whole: str, *, numbered: bool) -> tuple[str, list[str]]:
    """Return the pattern of a part of a path: numbers that change become fields named after the word before them.

    Args:
        values: What the part reads in each file.
        taken: Fields there are already.
        whole: Name of the field of all that changes, where numbers do not tell.
        numbered: Whether numbers may.
    """
    pieces = [re.split(r"(\d+)", value) for value in values]
    fits = numbered and len({len(piece) for piece in pieces}) == 1
    fits = fits and all(len(set(column)) == 1 for column in list(zip(*pieces, strict=True))[::2])
    if not fits:
        name = whole if whole not in taken else f"{whole}{len(taken) + 1}"
        start, end = ("", "") if whole == "folder" else _common_ends(values)
        return f"{start}{{{name}}}{end}", [name]
    pattern = ""
    names: list[str] = []
    for column in zip(*pieces, strict=True):
        if len(set(column)) == 1:
            pattern += column[0]
            continue
        word = (re.findall(r"[A-Za-z]+", pattern) or ["part"])[-1].lower()
        name = word if word not in (*taken, *names) else f"{word}{len(taken) + len(names) + 1}"
        names.append(name)
        pattern += "{" + name + "}"
    return pattern, names


def _shortest_id(names: Sequence[str], fields: Sequence[Mapping[str, str]]) -> str:
    """Return the template of the scene id: the last fields that tell all files apart, without the side of a split."""
    usable = [name for name in names if name != "side"] or list(names)
    for start in range(len(usable) - 1, -1, -1):
        chosen = usable[start:]
        ids = {tuple(row.get(name, "") for name in chosen) for row in fields}
        # Numbers alone repeat from folder to folder by chance; where the folder counts, it stays in the id.
        if len(ids) == len(fields) and (start == 0 or chosen[0] == "scene"):
            return "_".join("{" + name + "}" for name in chosen)
    return "_".join("{" + name + "}" for name in names)


def _is_tile(match: re.Match[str], order: str) -> bool:
    numbers = dict(zip(order, (int(match.group(k)) for k in (2, 4, 6)), strict=True))
    x, y, z = (numbers[name] for name in "xyz")
    return 10 <= z <= 24 and max(x, y) < 2**z and min(x, y) > 2 ** (z - 10)


def _common_ends(values: Sequence[str]) -> tuple[str, str]:
    start = _whole_words(_common_start(values), 0)
    end = _common_start([value[::-1] for value in values])[::-1]
    end = end[len(end) - len(end.lstrip(ALNUM)) :]
    return (start, end) if all(len(value) > len(start) + len(end) for value in values) else ("", "")


def _common_start(texts: Sequence[str]) -> str:
    length = 0
    for column in zip(*texts, strict=False):
        if len(set(column)) > 1:
            break
        length += 1
    return texts[0][:length]


def _whole_words(start: str, least: int) -> str:
    # A beginning that ends within a number or word would cut scene ids apart: img1, img12.
    end = len(start)
    while end > least and start[end - 1].isalnum():
        end -= 1
    return start[:end]


def template_of(path: Path, fields: Mapping[str, str]) -> str | None:
    """Return a path with the readings of fields replaced by the fields, or None where one of them does not occur.

    Args:
        path: Of a file that belongs to a scene.
        fields: Of that scene's reference file.
    """
    text = path.as_posix()
    if not fields:
        return None
    for name, value in sorted(fields.items(), key=lambda item: -len(item[1])):
        if not value:
            return None
        edge = r"(?<![0-9])" if value[0].isdigit() else r"(?<![A-Za-z])" if value[0].isalpha() else ""
        close = r"(?![0-9])" if value[-1].isdigit() else r"(?![A-Za-z])" if value[-1].isalpha() else ""
        hits = [m for m in re.finditer(edge + re.escape(value) + close, text) if not _in_braces(text, m.start())]
        if not hits:
            return None
        # The file's own name tells more than the folders above it.
        at = hits[-1]
        text = text[: at.start()] + "{" + name + "}" + text[at.end() :]
    return text


def _in_braces(text: str, at: int) -> bool:
    return text.rfind("{", 0, at) > text.rfind("}", 0, at)


def fill(template: str, fields: Mapping[str, str]) -> PurePosixPath:
    """Return the path that a template stands for."""
    for name, value in fields.items():
        template = template.replace("{" + name + "}", value)
    return PurePosixPath(template)


def templates(group: Group, reference: Group, *, tries: int = 4) -> list[str]:
    """Return patterns of a group's files in the fields of the reference, the commonest first.

    Files of a whole part of the images, such as a layer for each folder of tiles, have all fields but the last.
    """
    found: dict[str, int] = {}
    step = max(1, len(group.files) // tries)
    for path in group.files[::step]:
        text = path.as_posix()
        for fields in reference.fields:
            *parts, _last = fields or [""]
            for chosen in (fields, {name: fields[name] for name in parts}):
                if chosen and all(value in text for value in chosen.values()):
                    template = template_of(path, chosen)
                    if template is not None:
                        found[template] = found.get(template, 0) + 1
    return sorted(found, key=lambda template: (-template.count("{"), -found[template], len(template)))[:12]
