"""What others install us by says the same as pyproject.toml."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import landscribe

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA_NAMES = {"torch": "pytorch", "opencv-python-headless": "py-opencv"}
DOCKERFILES = ("Dockerfile", "Dockerfile.cuda")


def pythons() -> set[str]:
    """Return the versions of Python that the package says it is for."""
    return set(re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["classifiers"])))


def test_the_conda_recipe_has_the_dependencies_of_the_wheel() -> None:
    recipe = yaml.safe_load((ROOT / "packaging" / "conda" / "meta.yaml").read_text(encoding="utf-8"))
    pairs = [re.match(r"([\w.-]+)(.*)", text) for text in PROJECT["dependencies"]]
    wanted = {CONDA_NAMES.get(pair[1], pair[1]): pair[2] for pair in pairs if pair}
    found = dict(text.split(" ", 1) for text in recipe["requirements"]["run"])
    assert found.pop("python") == PROJECT["requires-python"]
    assert found == wanted
    assert recipe["package"] == {"name": "landscribe", "version": landscribe.__version__}
    assert recipe["build"]["entry_points"] == [f"landscribe = {PROJECT['scripts']['landscribe']}"]
    assert "python " + PROJECT["requires-python"] in recipe["requirements"]["host"]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_images_build_from_the_wheel_of_what_is_here(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY")]
    for source in (one for sources in copied for one in sources):
        assert (ROOT / source).exists()
        assert source in let_in
    versions = re.findall(r"^FROM python:(3\.\d+)-slim-bookworm", text, re.MULTILINE)
    assert len(versions) == 2
    assert set(versions) <= pythons()
    for line in ("pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .", "/wheels/*.whl", "USER 1000"):
        assert line in text
    needed = {"README.md", "LICENSE", "src", "recipes", "pyproject.toml"}  # what the build of the wheel reads
    assert needed <= {one for sources in copied for one in sources}


def test_an_image_for_processors_has_torch_without_cuda() -> None:
    index = "https://download.pytorch.org/whl/cpu"
    assert index in (ROOT / "Dockerfile").read_text()
    assert index not in (ROOT / "Dockerfile.cuda").read_text()
    for page in ("README.md", "docs/install.md"):
        assert f"pip install torch --index-url {index}" in (ROOT / page).read_text(encoding="utf-8")


def test_every_python_that_is_named_is_tested() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert set(workflow["jobs"]["test"]["strategy"]["matrix"]["python"]) == pythons()
    assert PROJECT["requires-python"] == f">={min(pythons(), key=lambda v: int(v[2:]))}"


def test_a_tag_says_the_version() -> None:
    make = ["make", "--silent", "version"]
    right = subprocess.run([*make, f"TAG=v{landscribe.__version__}"], cwd=ROOT, capture_output=True, text=True)
    assert right.returncode == 0, right.stderr
    wrong = subprocess.run([*make, "TAG=v99.0.0"], cwd=ROOT, capture_output=True, text=True)
    assert wrong.returncode != 0
    assert "tag v99.0.0 is not the version" in wrong.stderr
    release = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))
    assert any("make version" in step.get("run", "") for step in release["jobs"]["wheel"]["steps"])
