"""A bundle is written whole and read as the file of a stranger: compared first, and nothing of it is trusted."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import zipfile
from pathlib import Path

import pytest

from landscribe.core.seal import seal
from landscribe.errors import IntegrityError, LandscribeError, LimitError, RecipeError
from landscribe.io.bundle.archive import Bundle, open_bundle, read_member, unpack, unpacked, write_bundle
from landscribe.io.bundle.models import models_at
from portable import forge, members_of, write_zip

MEMBERS = {"README.md": b"# words\n" * 7, "models/net/model.json": b"{}", "model.onnx": bytes(range(256)) * 41}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "b.zip", MEMBERS)
    return tmp_path / "b.zip"


def refused(path: Path, kind: type[LandscribeError] = IntegrityError) -> str:
    with pytest.raises(kind) as caught:
        open_bundle(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert caught.value.exit_code == {IntegrityError: 6, LimitError: 5, RecipeError: 2}[kind]
    return text


def test_what_is_written_comes_back(path: Path, tmp_path: Path) -> None:
    bundle = open_bundle(path)
    assert set(bundle.members) == set(MEMBERS)
    assert read_member(bundle, "README.md") == MEMBERS["README.md"]
    out = tmp_path / "out"
    out.mkdir()
    assert unpack(bundle, out, lambda name: name.startswith("models/")) == ["models/net/model.json"]
    assert [p.name for p in out.rglob("*.*")] == ["model.json"]
    with unpacked(bundle) as folder:
        assert {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")} == MEMBERS
    assert not folder.exists()
    with pytest.raises(IntegrityError, match="a part is missing, got no nothing"):
        read_member(bundle, "nothing")


def test_the_same_members_give_the_same_bytes(path: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(MEMBERS["model.onnx"])
    other = {**dict(reversed(MEMBERS.items())), "model.onnx": tmp_path / "model.onnx"}
    write_bundle(tmp_path / "other.zip", other)
    assert (tmp_path / "other.zip").read_bytes() == path.read_bytes()


def test_a_changed_byte_anywhere_is_told(path: Path, tmp_path: Path) -> None:
    """Bytes that say nothing (a time, the system that packed) are the archive's, and no member differs by them."""
    whole = path.read_bytes()
    told = 0
    for place in range(0, len(whole), 131):
        changed = bytearray(whole)
        changed[place] ^= 0x10
        (tmp_path / "c.zip").write_bytes(changed)
        try:
            bundle = open_bundle(tmp_path / "c.zip")
        except (IntegrityError, LimitError) as error:
            assert "\n" not in str(error)  # noqa: PT017
            told += 1
        else:
            assert {name: read_member(bundle, name) for name in bundle.members} == MEMBERS
    assert told > 0.9 * len(whole) / 131


@pytest.mark.parametrize("kept", [0, 1, 21, 500, -1, -30])
def test_a_bundle_that_is_cut_short_is_told(path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    assert "not a whole zip file" in refused(path)


def test_what_is_no_bundle_is_told(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "none.zip", RecipeError)
    assert "no such file" in refused(tmp_path, RecipeError)
    (tmp_path / "text.zip").write_text("not a zip")
    assert "not a whole zip file" in refused(tmp_path / "text.zip")
    assert "not a bundle, got no manifest.json" in refused(write_zip(tmp_path / "other.zip", {"a.txt": b"x"}))


def test_members_and_manifest_have_to_agree(path: Path, tmp_path: Path) -> None:
    members = members_of(path)
    without = {name: content for name, content in members.items() if name != "model.onnx"}
    assert "a part is missing, got no model.onnx" in refused(write_zip(tmp_path / "1.zip", without))
    assert "'more.txt' is in no manifest" in refused(write_zip(tmp_path / "2.zip", {**members, "more.txt": b"x"}))
    other = {**members, "model.onnx": members["model.onnx"][::-1]}
    assert "model.onnx: is not what was written" in refused(write_zip(tmp_path / "3.zip", other))
    longer = {**members, "model.onnx": members["model.onnx"] + b"x"}
    assert "model.onnx: is not what was written" in refused(write_zip(tmp_path / "4.zip", longer))
    edited = members["manifest.json"].replace(b'"landscribe": "0', b'"landscribe": "9')
    assert "a broken seal" in refused(write_zip(tmp_path / "5.zip", {**members, "manifest.json": edited}))


def test_another_version_is_told_before_anything_else_of_it(path: Path, tmp_path: Path) -> None:
    for version in (2, "x", None):
        manifest = seal({"format": version, "anything": 1}).encode()
        text = refused(write_zip(tmp_path / "v.zip", {**members_of(path), "manifest.json": manifest}))
        assert f"a bundle of another version, got {version}, need 1" in text


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"[" * 99_999, b"\xff", b'{"format": 1}'])
def test_a_damaged_manifest_is_told(path: Path, tmp_path: Path, content: bytes) -> None:
    refused(write_zip(tmp_path / "m.zip", {**members_of(path), "manifest.json": content}))


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "a/../../evil.txt",
        "/etc/evil",
        "C:/evil",
        "a\\evil",
        "./evil",
        "a//b",
        ".hid",
        "a/",
        "a\nb",
        "~x/..",
    ],
)
def test_a_name_names_a_file_in_the_folder_and_nothing_else(path: Path, tmp_path: Path, name: str) -> None:
    members = forge({**members_of(path), name: b"x"})
    text = refused(write_zip(tmp_path / "n.zip", members))
    assert "no name of a file in a bundle" in text
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["b.zip", "n.zip"]
    with pytest.raises(RecipeError, match="cannot be called so"):
        write_bundle(tmp_path / "w.zip", {name: b"x"})


def raw_zip(path: Path, rows: list[tuple[zipfile.ZipInfo, bytes]]) -> Path:
    twice = len({info.filename for info, _ in rows}) < len(rows)
    warned = pytest.warns(UserWarning, match="Duplicate") if twice else contextlib.nullcontext()
    with warned, zipfile.ZipFile(path, "w") as archive:
        for info, content in rows:
            archive.writestr(info, content)
    return path


def test_links_twins_and_passwords_are_told(path: Path, tmp_path: Path) -> None:
    members = members_of(path)
    plain = [(zipfile.ZipInfo(name), content) for name, content in members.items()]
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "'link': not a plain file" in refused(raw_zip(tmp_path / "l.zip", [*plain, (link, b"/etc/passwd")]))
    last = plain[-1][0].filename
    assert f"{last!r}: is there twice" in refused(raw_zip(tmp_path / "t.zip", [*plain, plain[-1]]))
    twin = zipfile.ZipInfo("README.MD")
    assert "is there twice" in refused(raw_zip(tmp_path / "u.zip", [*plain, (twin, b"x")]))
    content = bytearray(path.read_bytes())
    central = content.rindex(b"PK\x01\x02")
    content[central + 8] |= 1
    (tmp_path / "p.zip").write_bytes(content)
    assert "has a password" in refused(tmp_path / "p.zip")


def test_bombs_are_refused_before_they_are_unpacked(path: Path, tmp_path: Path) -> None:
    members = forge({**members_of(path), "zeros.json": bytes(40 << 20)})
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert "unpacks to more than a file of a bundle does" in refused(tmp_path / "z.zip", LimitError)
    many = {f"f{k}": b"" for k in range(10_001)}
    assert "too many files" in refused(write_zip(tmp_path / "many.zip", many), LimitError)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("manifest.json", b"{}")
    assert "packed in a way that bundles are not" in refused(tmp_path / "x.zip")


def test_a_bundle_that_lies_about_its_size_is_told(path: Path, tmp_path: Path) -> None:
    content = bytearray(path.read_bytes())
    central = content.rindex(b"PK\x01\x02")
    content[central + 24 : central + 28] = (1 << 31).to_bytes(4, "little")
    (tmp_path / "s.zip").write_bytes(content)
    refused(tmp_path / "s.zip", LimitError)


def test_a_bundle_that_changes_between_looking_and_unpacking_is_told(path: Path, tmp_path: Path) -> None:
    bundle = open_bundle(path)
    write_bundle(path, {**MEMBERS, "model.onnx": b"other"})
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(IntegrityError, match=r"model\.onnx: is not what was written"):
        unpack(bundle, out)


def test_models_are_taken_from_a_folder_or_a_bundle(path: Path, tmp_path: Path) -> None:
    with models_at(None) as nothing, models_at(tmp_path) as folder, models_at(tmp_path / "none") as absent:
        assert (nothing, folder, absent) == (None, tmp_path, tmp_path / "none")
    (tmp_path / "picture.tif").write_bytes(b"II*")
    with models_at(tmp_path / "picture.tif") as file:  # for whoever looks at models to refuse
        assert file == tmp_path / "picture.tif"
    with models_at(path) as models:
        assert [p.name for p in models.iterdir()] == ["net"]
    assert not models.exists()
    with pytest.raises(IntegrityError, match=rf"^{path}/net: odd$"), models_at(path) as models:
        raise IntegrityError(f"{models}/net: odd")
    write_bundle(path, {"README.md": b"x"})
    with pytest.raises(IntegrityError, match="holds no models"), models_at(path):
        pass


def test_a_bundle_of_which_nothing_can_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "gone").write_bytes(b"x")
    members: dict[str, bytes | Path] = {"a.txt": b"x", "b.onnx": tmp_path / "gone"}
    (tmp_path / "old.zip").write_bytes(b"old")
    os.chmod(tmp_path / "gone", 0o644)  # noqa: PTH101
    (tmp_path / "gone").unlink()
    with pytest.raises(FileNotFoundError):
        write_bundle(tmp_path / "old.zip", members)
    assert (tmp_path / "old.zip").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["old.zip"]


def test_members_are_described(path: Path) -> None:
    manifest = json.loads(members_of(path)["manifest.json"])
    assert manifest["format"] == 1
    assert manifest["members"]["model.onnx"]["bytes"] == len(MEMBERS["model.onnx"])
    assert isinstance(open_bundle(path), Bundle)
