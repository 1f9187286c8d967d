"""Results are laid where the user asked for them, and no other file is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from landscribe.errors import RecipeError
from landscribe.io.publish import Published, open_published


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "out" / "run" / "made.tif"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"first")
    return path


def opened(made: Path) -> Published:
    return open_published(made.parent.parent, made.parent)


@pytest.mark.parametrize("link", [False, True])
def test_a_result_is_laid_and_laid_again(made: Path, link: bool) -> None:
    published = opened(made)
    published.lay(made, "a.tif", link=link)
    published.write()
    assert (published.folder / "a.tif").read_bytes() == b"first"
    assert (published.folder / "a.tif").samefile(made) is link
    made.unlink()
    made.write_bytes(b"second")
    again = opened(made)
    again.require_free({"a.tif": made})
    again.lay(made, "a.tif", link=link)
    assert (published.folder / "a.tif").read_bytes() == b"second"


def test_a_file_that_is_not_ours_is_not_lost(made: Path) -> None:
    (made.parent.parent / "a.tif").write_bytes(b"somebody's")
    for act in (lambda p: p.require_free({"a.tif": made}), lambda p: p.lay(made, "a.tif")):
        with pytest.raises(RecipeError, match=r"a.tif: is there already, and no result; move it away"):
            act(opened(made))
    assert (made.parent.parent / "a.tif").read_bytes() == b"somebody's"


def test_a_result_that_somebody_changed_is_not_lost(made: Path) -> None:
    published = opened(made)
    published.lay(made, "a.tif")
    published.write()
    (published.folder / "a.tif").write_bytes(b"edited in place")
    with pytest.raises(RecipeError, match="was changed since it was written"):
        opened(made).require_free({"a.tif": made})


def test_what_was_laid_before_a_run_was_killed_is_ours(made: Path) -> None:
    opened(made).lay(made, "a.tif")  # and not noted
    opened(made).require_free({"a.tif": made})


def test_the_result_of_another_source_is_not_replaced(made: Path) -> None:
    published = opened(made)
    published.sources["a"] = "/x/a.tif"
    published.write()
    again = opened(made)
    again.require_same({"a": Path("/x/a.tif"), "b": Path("/y/b.tif")})
    with pytest.raises(RecipeError, match=r"holds the result of /x/a.tif, which that of /y/a.tif would replace"):
        again.require_same({"a": Path("/y/a.tif")})


def test_a_file_in_place_of_the_folder_and_a_damaged_list(made: Path) -> None:
    with pytest.raises(RecipeError, match="is a file, need a folder"):
        open_published(made, made.parent)
    (made.parent / "published.json").write_text('{"files": 3}')
    with pytest.raises(RecipeError, match=r"published.json: damaged"):
        opened(made)
