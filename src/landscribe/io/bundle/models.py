"""Finished models out of a bundle, wherever a folder of them is taken."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from landscribe.errors import IntegrityError, LandscribeError, problem
from landscribe.io.bundle.about import MODELS
from landscribe.io.bundle.archive import COPY_AGAIN, open_bundle, unpacked
from landscribe.io.run.tuned import TUNED


@contextlib.contextmanager
def models_at(models: Path | None) -> Iterator[Path | None]:
    """Yield the folder of finished models that is meant: the one given, or that of a bundle as long as the block lasts.

    Args:
        models: A folder, a bundle, or None.

    Raises:
        IntegrityError: If the bundle is damaged, of another version or without models; nothing was written then.
        LimitError: If it claims to be larger than a bundle can be.
    """
    if models is None or not is_bundle(models):
        yield models
        return
    bundle = open_bundle(models)
    if not any(name.startswith(f"{MODELS}/") for name in bundle.members):
        raise IntegrityError(problem(str(models), "holds no models", need=f"{MODELS}/NAME", do=COPY_AGAIN))
    with unpacked(bundle, lambda name: name.startswith(f"{MODELS}/") or name == TUNED) as folder:
        try:
            yield folder / MODELS
        except LandscribeError as error:  # a folder that is about to go away tells nobody anything
            if str(folder) not in str(error):
                raise
            said = str(error).replace(str(folder / MODELS), str(models)).replace(str(folder), str(models))
            raise type(error)(said) from error


def is_bundle(path: Path) -> bool:
    """Tell whether a path is meant as a bundle: a file that calls itself a zip, or begins as one."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return path.suffix.lower() == ".zip" or file.read(2) == b"PK"
