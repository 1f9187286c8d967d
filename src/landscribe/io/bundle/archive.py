"""The zip of a bundle: written whole, and read as a file of a stranger is read, nothing of it trusted.

What is read is compared with the manifest first, all of it; only then is anything unpacked, and compared once more on
the way to the disk. A name can only name something below the folder, and nothing is larger than its own claim.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import re
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landscribe import __version__
from landscribe.apart import Limits, apart
from landscribe.core.seal import seal, unseal
from landscribe.errors import IntegrityError, LimitError, RecipeError, problem
from landscribe.io.atomic import atomic_path, sweep_beside
from landscribe.io.safety import check_output
from landscribe.workers import stop_if_asked

FORMAT = 1
"""Of bundles."""
MANIFEST = "manifest.json"
MOST_MEMBERS = 10_000
MOST_TEXT_BYTES = 16 << 20
"""Of what is read into memory as text: the manifest, the recipe, what a bundle says of itself."""
MOST_BYTES = 64 << 30
SMALL_BYTES = 1 << 20
MOST_RATIO = 200
"""A text of blanks is packed a thousand times, a long one of ours ten times."""
CHUNK_BYTES = 1 << 20
PACKED_ENDINGS = (".json", ".toml", ".md", ".csv")
"""What is packed; weights and rasters gain nothing by it."""
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_NAME = re.compile(r"[A-Za-z0-9_~+][A-Za-z0-9_.~+ -]*(/[A-Za-z0-9_~+][A-Za-z0-9_.~+ -]*){0,7}")
_ZIP_ERRORS = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, EOFError,
    ValueError, KeyError, IndexError,
)  # fmt: skip
"""Of a damaged archive, of packings that Python does not know, and of passwords."""
COPY_AGAIN = "get the bundle again"


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every byte was compared with its manifest."""

    path: Path
    landscribe: str
    """Version that made it."""
    members: Mapping[str, tuple[str, int]]
    """Name -> SHA-256 and bytes, the manifest itself left out."""


def write_bundle(path: Path, members: Mapping[str, bytes | Path]) -> None:
    """Write a bundle, whole or not at all; the same members give the same bytes.

    Args:
        path: The zip.
        members: Name -> content, or the file that has it.

    Raises:
        RecipeError: If a member cannot have its name.
        OSError: If the disk is full.
    """
    wrong = [name for name in members if not _NAME.fullmatch(name)]
    if wrong:
        raise RecipeError(problem(str(path), "a file of a bundle cannot be called so", got=repr(wrong[0])))
    sizes = {name: len(v) if isinstance(v, bytes) else v.stat().st_size for name, v in members.items()}
    check_output(path, sum(sizes.values()))
    sweep_beside(path)
    rows = {}
    for name, content in sorted(members.items()):
        with _opened(content) as file:
            rows[name] = {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": sizes[name]}
    manifest = seal({"format": FORMAT, "landscribe": __version__, "members": rows}).encode("utf-8")
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", allowZip64=True) as archive:
        for name, content in ((MANIFEST, manifest), *sorted(members.items())):
            info = zipfile.ZipInfo(name, ZIP_TIME)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            packed = name.endswith(PACKED_ENDINGS)
            info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
            info.file_size = len(manifest) if name == MANIFEST else sizes[name]
            with archive.open(info, "w") as target, _opened(content) as file:
                while chunk := file.read(CHUNK_BYTES):
                    stop_if_asked()
                    target.write(chunk)


def open_bundle(path: Path) -> Bundle:
    """Look at a bundle and compare all of it with its manifest; nothing is written.

    Raises:
        RecipeError: If there is no such file.
        IntegrityError: If it is no bundle, of another version, incomplete, or a byte of it was changed.
        LimitError: If it claims to be larger than a bundle can be.
    """
    if not path.is_file():
        raise RecipeError(problem(str(path), "no such file", need="a bundle, as `landscribe export` writes it"))
    return apart(str(path), _look, path, paths=[path], limits=Limits(seconds=60.0))


def read_member(bundle: Bundle, name: str) -> bytes:
    """Return the content of a small member.

    Raises:
        IntegrityError: If it is missing or was changed since the bundle was opened.
        LimitError: If it is larger than a text is.
    """
    if bundle.members.get(name, ("", 0))[1] > MOST_TEXT_BYTES:
        raise LimitError(problem(f"{bundle.path}: {name}", "too large", need=f"at most {MOST_TEXT_BYTES} bytes"))
    parts: list[bytes] = []
    with _open_zip(bundle.path) as archive:
        _read(archive, bundle, name, parts.append)
    return b"".join(parts)


def unpack(bundle: Bundle, folder: Path, wanted: Callable[[str], bool] = lambda _name: True) -> list[str]:
    """Unpack members into a folder that is there, each compared with its digest on the way; return their names.

    Raises:
        IntegrityError: If one was changed since the bundle was opened.
        OSError: If the disk is full.
    """
    names = [name for name in bundle.members if wanted(name)]
    check_output(folder / MANIFEST, sum(bundle.members[name][1] for name in names))
    with _open_zip(bundle.path) as archive:
        for name in names:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                _read(archive, bundle, name, file.write)
    return names


@contextlib.contextmanager
def unpacked(bundle: Bundle, wanted: Callable[[str], bool] = lambda _name: True) -> Iterator[Path]:
    """Yield a folder of its own with members in it, which goes away with the block."""
    with tempfile.TemporaryDirectory(prefix="landscribe-bundle-", ignore_cleanup_errors=True) as folder:
        unpack(bundle, Path(folder), wanted)
        yield Path(folder)


def require_members(bundle: Bundle, names: Collection[str]) -> None:
    """Refuse a bundle that lacks a part.

    Raises:
        IntegrityError: With the first one that is missing.
    """
    missing = [name for name in names if name not in bundle.members]
    if missing:
        raise IntegrityError(problem(str(bundle.path), "a part is missing", got=f"no {missing[0]}", do=COPY_AGAIN))


def _look(path: Path) -> Bundle:
    with _open_zip(path) as archive:
        infos = _checked_infos(path, archive.infolist())
        if MANIFEST not in infos:
            raise IntegrityError(problem(str(path), "not a bundle", got=f"no {MANIFEST}"))
        if infos[MANIFEST].file_size > MOST_TEXT_BYTES:
            raise LimitError(problem(f"{path}: {MANIFEST}", "too large", need=f"at most {MOST_TEXT_BYTES} bytes"))
        bundle = _manifest(path, _text(archive, path))
        absent = sorted(set(bundle.members) - set(infos))
        if absent:
            raise IntegrityError(problem(str(path), "a part is missing", got=f"no {absent[0]}", do=COPY_AGAIN))
        strange = sorted(set(infos) - set(bundle.members) - {MANIFEST})
        if strange:
            raise IntegrityError(problem(str(path), f"{strange[0]!r} is in no manifest", do=COPY_AGAIN))
        for name in bundle.members:
            _read(archive, bundle, name, lambda _chunk: None)
    return bundle


def _manifest(path: Path, content: bytes) -> Bundle:
    where = f"{path}: {MANIFEST}"
    try:
        values: dict[str, Any] = json.loads(content)
        version = values["format"]
    except (ValueError, RecursionError, TypeError, KeyError):
        raise IntegrityError(problem(where, "damaged", do=COPY_AGAIN)) from None
    if version != FORMAT:
        got, do = str(version)[:20], "use the Landscribe that made it, or export again"
        raise IntegrityError(problem(where, "a bundle of another version", got=got, need=FORMAT, do=do))
    values = unseal(content, where, do=COPY_AGAIN, sealed=True)
    try:
        members = {str(name): (str(row["sha256"]), int(row["bytes"])) for name, row in values["members"].items()}
        return Bundle(path, str(values["landscribe"]), members)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise IntegrityError(problem(where, "damaged", got=type(error).__name__, do=COPY_AGAIN)) from None


def _checked_infos(path: Path, infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Refuse what a bundle does not hold, before anything of it is read."""
    if len(infos) > MOST_MEMBERS:
        raise LimitError(problem(str(path), "too many files", got=f"{len(infos):,}", need=f"at most {MOST_MEMBERS:,}"))
    found: dict[str, zipfile.ZipInfo] = {}
    folded: set[str] = set()
    for info in infos:
        name, mode = info.filename, info.external_attr >> 16
        where = f"{path}: {name[:100]!r}"
        if (
            not _NAME.fullmatch(name)
            or info.orig_filename != name
            or any(part in ("", ".", "..") for part in name.split("/"))
        ):
            raise IntegrityError(problem(where, "no name of a file in a bundle"))
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise IntegrityError(problem(where, "not a plain file"))
        if name.casefold() in folded:
            raise IntegrityError(problem(where, "is there twice"))
        if info.flag_bits & 0x1:
            raise IntegrityError(problem(where, "has a password"))
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise IntegrityError(problem(where, "packed in a way that bundles are not"))
        if info.file_size > SMALL_BYTES and info.file_size > MOST_RATIO * max(1, info.compress_size):
            got = f"{info.file_size} bytes in {info.compress_size}"
            raise LimitError(problem(where, "unpacks to more than a file of a bundle does", got=got))
        found[name] = info
        folded.add(name.casefold())
    total, size = sum(info.file_size for info in infos), path.stat().st_size
    if total > MOST_BYTES or total > MOST_RATIO * size:
        got, need = f"{total} bytes in {size}", f"at most {MOST_RATIO} times, and {MOST_BYTES >> 30} GiB"
        raise LimitError(problem(str(path), "unpacks to more than a bundle does", got=got, need=need))
    return found


def _text(archive: zipfile.ZipFile, path: Path) -> bytes:
    with _refusing(path, MANIFEST), archive.open(MANIFEST) as file:
        return file.read(MOST_TEXT_BYTES + 1)


def _read(archive: zipfile.ZipFile, bundle: Bundle, name: str, take: Callable[[bytes], Any]) -> None:
    """Hand out the content of a member piece by piece, and refuse it at the end if it is not what was written."""
    if name not in bundle.members:
        raise IntegrityError(problem(str(bundle.path), "a part is missing", got=f"no {name}", do=COPY_AGAIN))
    digest, size = bundle.members[name]
    own, count = hashlib.sha256(), 0
    with _refusing(bundle.path, name), archive.open(name) as file:
        while chunk := file.read(CHUNK_BYTES):
            stop_if_asked()
            count += len(chunk)
            if count > size:
                break
            own.update(chunk)
            take(chunk)
    if count != size or own.hexdigest() != digest:
        where = f"{bundle.path}: {name}"
        raise IntegrityError(problem(where, "is not what was written", got="another SHA-256", do=COPY_AGAIN))


@contextlib.contextmanager
def _open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    with _refusing(path, None), zipfile.ZipFile(path) as archive:
        yield archive


@contextlib.contextmanager
def _refusing(path: Path, name: str | None) -> Iterator[None]:
    """Turn what Python says of a damaged archive into one line."""
    try:
        yield
    except (*_ZIP_ERRORS, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # a place before the file's beginning
            raise
        where, what = str(path), "not a whole zip file"
        if name is not None:
            where, what = f"{path}: {name}", "is not what was written"
        got = " ".join(str(error).split())[:100]
        raise IntegrityError(problem(where, what, got=got, do=COPY_AGAIN)) from None


@contextlib.contextmanager
def _opened(content: bytes | Path) -> Iterator[io.BufferedReader | io.BytesIO]:
    if isinstance(content, Path):
        with content.open("rb") as file:
            yield file
    else:
        yield io.BytesIO(content)
