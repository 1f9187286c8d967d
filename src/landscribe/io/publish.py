"""Results laid where the user asked for them, out of the folder that they were made in; no other file is lost."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from landscribe.core.seal import seal, unseal
from landscribe.errors import RecipeError, problem
from landscribe.io.atomic import atomic_path, write_text

LIST = "published.json"


@dataclass
class Published:
    """A folder of results, and what was laid there before."""

    folder: Path
    list_file: Path
    stamps: dict[str, tuple[int, int]] = field(default_factory=dict)
    """File name -> bytes and modification time in ns when it was laid there."""
    sources: dict[str, str] = field(default_factory=dict)
    """Name of a result -> what it was made from."""

    def require_free(self, files: Mapping[str, Path]) -> None:
        """Refuse to write over files that are not ours, or that somebody changed since.

        Args:
            files: File name -> what is to be laid there; it need not be there yet.

        Raises:
            RecipeError: With the first of them.
        """
        for name, source in files.items():
            target = self.folder / name
            if not target.exists() or self.stamps.get(name) == _stamp(target):
                continue
            # One that was laid by a run that was cut off before it could note it.
            if not (source.is_file() and target.is_file() and filecmp.cmp(source, target, shallow=False)):
                what = "was changed since it was written" if name in self.stamps else "is there already, and no result"
                raise RecipeError(problem(str(target), what, do="move it away, or take another folder"))

    def require_same(self, sources: Mapping[str, Path]) -> None:
        """Refuse to replace the result of another source of the same name.

        Raises:
            RecipeError: With the first of them.
        """
        for name, source in sources.items():
            before = self.sources.get(name, str(source))
            if before != str(source):
                what = f"holds the result of {before}, which that of {source} would replace"
                raise RecipeError(problem(str(self.folder / name), what, do="take another folder"))

    def lay(self, source: Path, name: str, *, link: bool = False) -> None:
        """Lay a file into the folder, as a second name of the same file where that is asked for and possible.

        Raises:
            RecipeError: If a file is there that is not ours.
        """
        self.require_free({name: source})
        target = self.folder / name
        if not (link and target.exists() and target.samefile(source)):
            with atomic_path(target) as temporary:
                if not (link and _linked(source, temporary)):
                    shutil.copyfile(source, temporary)
        self.stamps[name] = _stamp(target)

    def write(self) -> None:
        """Keep what was laid."""
        write_text(self.list_file, seal({"files": self.stamps, "sources": self.sources}))


def open_published(folder: Path, list_folder: Path) -> Published:
    """Look at a folder of results.

    Args:
        folder: Where results are laid.
        list_folder: Where their list is kept.

    Raises:
        RecipeError: If the folder is a file, or the list is damaged.
    """
    if folder.exists() and not folder.is_dir():
        raise RecipeError(problem(str(folder), "is a file", need="a folder"))
    file = list_folder / LIST
    if not file.is_file():
        return Published(folder, file)
    try:
        content = unseal(file.read_bytes(), str(file), do="take another folder, or delete it", sealed=False)
        stamps = {name: (int(size), int(when)) for name, (size, when) in content["files"].items()}
        return Published(folder, file, stamps, {str(k): str(v) for k, v in content["sources"].items()})
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise RecipeError(problem(str(file), "damaged", do="take another folder, or delete it")) from None


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:
        return False  # other disks and some file systems know no second names
    return True
