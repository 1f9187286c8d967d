"""The runs that are shown, whose files may change or vanish meanwhile."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from landscribe.errors import IntegrityError, LandscribeError, problem
from landscribe.io.digests import stamp_of
from landscribe.io.run.runs import Run

Stamp = tuple[int, ...]
MADE_BY = {"prepared": "prepare", "probability": "predict", "features": "vectorize"}
"""Folder of a run -> the stage that writes there."""


def identity_of(run: Run) -> str:
    """Return what tells a run from others that were, are or will be shown at the same address.

    Folders of runs often have the same name. Its place says which one is meant, and the folder's number in its file
    system whether another run was put into that place.
    """
    place = run.root.resolve()
    return hashlib.sha256(f"{place}\n{place.stat().st_ino}".encode("utf-8", "surrogateescape")).hexdigest()[:32]


class RefusedError(LandscribeError):
    """A request that cannot be answered, with its HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Shown:
    """A run that is shown."""

    key: str
    """Its name in addresses: a, b, ..."""
    run: Run
    identity: str = ""
    """What tells this run from others of its folder's name."""
    _checking: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def require_there(self) -> None:
        """Refuse where the run folder is gone.

        Raises:
            RefusedError: 410.
        """
        if not self.run.root.is_dir():
            do = "put it back, or start `landscribe view` where it is now"
            raise RefusedError(HTTPStatus.GONE, problem(str(self.run.root), "the run folder is gone", do=do))

    def checked(self, path: Path, item: str, stage: str = "") -> Stamp:
        """Compare a file with its record, that of a scene or another item of a stage, and return its stamp.

        Where size and times are those that were recorded the content is not hashed, which for a scene of gigabytes
        would take longer than somebody waits for a picture.

        Raises:
            RefusedError: 404 where the scene has no such file, 409 where it is not what was written, 410 where it or
                the run is gone, 503 while a stage makes it anew.
        """
        self.require_there()
        name = path.relative_to(self.run.root).as_posix()
        stage = stage or MADE_BY[name.partition("/")[0]]
        try:
            record, stamp = self.run.read_record(stage, item), stamp_of(path)
            if record is None:
                if not stamp:
                    raise RefusedError(HTTPStatus.NOT_FOUND, problem(str(path), "is not there", do=_again(stage)))
                what = "is being written, or never was finished"
                raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, problem(str(path), what, do=_again(stage)))
            if name not in record.outputs:
                raise RefusedError(HTTPStatus.NOT_FOUND, problem(str(path), "the scene has none"))
            if not stamp:
                raise RefusedError(HTTPStatus.GONE, problem(str(path), "has vanished", do=_again(stage)))
            if record.stamps.get(name) != stamp:
                with self._checking:
                    self.run.checked(path)
        except IntegrityError as error:
            raise RefusedError(HTTPStatus.CONFLICT, str(error)) from None
        return stamp


def _again(stage: str) -> str:
    return f"run `landscribe {stage}`"
