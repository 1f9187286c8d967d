"""Where models lie in a folder: one folder each, and in it one for each snapshot that was kept."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from landscribe.errors import DataError, problem
from landscribe.io.atomic import write_bytes
from landscribe.io.models.formulas import FORMULA

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
MODEL_FILES = (WEIGHTS, DESCRIPTION)
SNAPSHOT_PREFIX = "epoch-"


def snapshot_folder(folder: Path, epoch: int) -> Path:
    """Return where the snapshot of an epoch lies, given the folder of its model."""
    return folder / f"{SNAPSHOT_PREFIX}{epoch:05d}"


def snapshot_folders(folder: Path) -> list[Path]:
    """Return the snapshots of a model in the order of their epochs."""
    return sorted(path.parent for path in folder.glob(f"{SNAPSHOT_PREFIX}*/{DESCRIPTION}"))


def keep_snapshots(folder: Path, count: int, last: int) -> None:
    """Remove all snapshots but those of `count` epochs up to the `last` one."""
    kept = {snapshot_folder(folder, epoch) for epoch in range(last + 1 - count, last + 1)}
    for path in folder.glob(f"{SNAPSHOT_PREFIX}*"):
        if path not in kept:
            # Its description first: without one, the rest is no model.
            (path / DESCRIPTION).unlink(missing_ok=True)
            shutil.rmtree(path)


def model_folders(folder: Path, names: Collection[str] | None, *, snapshots: bool = False) -> dict[str, list[Path]]:
    """Find models.

    Args:
        folder: A folder with one folder for each model, or itself the folder of one.
        names: Of the models wanted; None takes all there are.
        snapshots: Take the snapshots of each network in place of the finished one.

    Returns:
        The folders of each model by its name: one, or as many as there are snapshots.

    Raises:
        DataError: If there is no model, one that is wanted is missing, or has no snapshots.
    """
    kinds = (DESCRIPTION, FORMULA)
    found = {path.parent.name: path.parent for kind in kinds for path in sorted(folder.glob(f"*/{kind}"))}
    found = {name: path for name, path in found.items() if not name.startswith(SNAPSHOT_PREFIX)}
    if any((folder / kind).is_file() for kind in kinds):
        found[folder.name] = folder
    do = "run `landscribe train` first"
    if not found:
        raise DataError(
            problem(str(folder), "no finished model", need=" or ".join(f"NAME/{kind}" for kind in kinds), do=do)
        )
    missing = [name for name in names or () if name not in found]
    if missing:
        raise DataError(problem(str(folder), "no such model", got=", ".join(found), need=missing[0], do=do))
    chosen = {name: path for name, path in found.items() if names is None or name in names}
    if not snapshots:
        return {name: [path] for name, path in chosen.items()}
    kept = {n: snapshot_folders(p) if (p / DESCRIPTION).is_file() else [p] for n, p in chosen.items()}
    without = [name for name, paths in kept.items() if not paths]
    if without:
        do = "set schedule.snapshots and train, or predict.snapshots = false"
        raise DataError(problem(str(folder), "model without snapshots", got=without[0], do=do))
    return kept


def read_model(folder: Path) -> dict[str, bytes]:
    """Read the files of one model.

    Raises:
        DataError: If one is missing.
    """
    missing = [name for name in MODEL_FILES if not (folder / name).is_file()]
    if missing:
        raise DataError(problem(str(folder), f"{missing[0]} is missing", need=" and ".join(MODEL_FILES)))
    return {name: (folder / name).read_bytes() for name in MODEL_FILES}


def write_model(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Write the files of one model, its description last; return where they lie."""
    for name in MODEL_FILES:
        write_bytes(folder / name, files[name])
    return [folder / name for name in MODEL_FILES]
