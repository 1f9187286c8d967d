"""Rules of the house that a machine can check."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src" / "landscribe").rglob("*.py"))
MAX_LINES = 400
MAX_FILES = 16
MAX_PACKAGES = 45
MAX_LOOP_LINES, MAX_LOOP_ARGUMENTS = 40, 5
MAX_TRAIN_LINES = 150
RUNS_DATA = re.compile(r"\bpickle\b|torch\.load|\beval\(|\bexec\(|yaml\.load|np\.load\(|shell=True|__import__\(")


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.name)
def test_files_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("folder", sorted({p.parent for p in SOURCES}), ids=lambda p: p.name)
def test_rooms_can_be_seen_at_a_glance(folder: Path) -> None:
    """More files than this want a room of their own."""
    assert len(list(folder.glob("*.py"))) <= MAX_FILES


def private_imports() -> list[tuple[str, str]]:
    """Return who imports a module whose name begins with an underscore from another folder."""
    found = []
    for path in SOURCES:
        here = ".".join(("landscribe", *path.relative_to(ROOT / "src" / "landscribe").parent.parts))
        for line in re.findall(r"^\s*(?:from|import) (landscribe[\w.]*)", path.read_text(), re.MULTILINE):
            room, private, _ = line.partition("._")
            if private and room != here:
                found.append((str(path.relative_to(ROOT)), line))
    return found


def test_what_begins_with_an_underscore_stays_in_its_room() -> None:
    assert not private_imports()


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.name)
def test_nothing_runs_from_data(path: Path) -> None:
    code = "\n".join(line.split("#")[0] for line in path.read_text().splitlines())
    # A network's own eval() takes no text; module.eval() is torch's switch out of training.
    code = re.sub(r"\.eval\(\)", "", code)
    if path.name == "pretrained.py":  # files of weights, of which torch takes tensors alone, and says so by this error
        code, count = re.subn(r"torch\.load\([^()]*, weights_only=True\)", "", code)
        assert count == 1
        code = re.sub(r"^import pickle$|pickle\.UnpicklingError", "", code, flags=re.MULTILINE)
    assert not RUNS_DATA.search(code)


def test_the_stages_of_networks_are_short_and_typed() -> None:
    """What grows here belongs into `nn/train` or `io/run`."""
    stage = ROOT / "src" / "landscribe" / "stages" / "train.py"
    assert len(stage.read_text().splitlines()) <= MAX_TRAIN_LINES
    files = (stage, *stage.with_name("predict").glob("*.py"))
    untyped = [path.name for path in files if re.search(r"\bAny\b", path.read_text())]
    assert not untyped


def test_the_training_loop_fits_on_a_screen() -> None:
    tree = ast.parse((ROOT / "src" / "landscribe" / "nn" / "train" / "loop.py").read_text())
    [loop] = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "train"]
    first, *_ = [
        node for node in loop.body if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]
    assert (loop.end_lineno or 0) - first.lineno + 1 <= MAX_LOOP_LINES
    assert len(ast.unparse(loop.args).split(",")) <= MAX_LOOP_ARGUMENTS


def test_there_is_no_junk_drawer() -> None:
    assert not [p for p in SOURCES if p.stem in {"utils", "util", "helpers", "misc", "common"}]


def core_packages() -> set[str]:
    """Return what an install without extras brings, from the metadata of what is installed."""
    from packaging.requirements import Requirement

    found: set[str] = set()
    waiting = ["landscribe"]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        found.add(name)
        for text in metadata.requires(name) or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                waiting.append(needed.name)
    return found


def test_the_core_install_stays_small() -> None:
    packages = core_packages()
    assert {"torch", "rasterio", "shapely"} <= packages
    assert len(packages) <= MAX_PACKAGES, sorted(packages)


def declared(where: str) -> set[str]:
    """Return the packages that pyproject.toml names, without versions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = {"core": project["dependencies"], **project["optional-dependencies"]}
    return {re.split(r"[^\w.-]", text)[0].lower() for text in lists[where]}


PACKAGE_OF = {"cv2": "opencv-python-headless"}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    ours = [path for path in SOURCES if path.parent.name != "qgis"]  # which QGIS imports, with what QGIS has
    nodes = [node for path in ours for node in ast.walk(ast.parse(path.read_text()))]
    roots = {name.name.partition(".")[0] for node in nodes if isinstance(node, ast.Import) for name in node.names}
    roots |= {str(node.module).partition(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
    roots -= {"landscribe", "triton"}  # the latter comes with torch's packages for GPUs, or is done without
    packages = {PACKAGE_OF.get(root, root) for root in roots - set(sys.stdlib_module_names)}
    extras = declared("tensorboard") | declared("onnx") | declared("dask")
    assert packages - extras == declared("core")


def test_the_oldest_versions_that_are_tried_are_those_that_are_allowed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lowest = dict(re.findall(r"^([\w.-]+)>=([\d.]+)", "\n".join(project["dependencies"]), re.MULTILINE))
    tried = dict(re.findall(r"^([\w.-]+)==([\d.]+)$", (ROOT / "constraints-oldest.txt").read_text(), re.MULTILINE))
    assert set(tried) == set(lowest) - {"torch"}
    wrong = {name: version for name, version in tried.items() if not f"{version}.".startswith(f"{lowest[name]}.")}
    assert not wrong


def test_a_stage_says_which_code_made_its_results() -> None:
    keyed = [path for path in SOURCES if "make_key(" in path.read_text() and path.stem != "runs"]
    assert len(keyed) > 10
    assert not [path.name for path in keyed if not re.search(r"^FORMAT = \d+$", path.read_text(), re.MULTILINE)]


def run_cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import sys\nsys.argv = ['landscribe', *sys.argv[1:]]\nfrom landscribe.cli import main\n"
        "try:\n    main()\nfinally:\n"
        "    heavy = {'torch', 'numba', 'geopandas', 'rasterio', 'cv2'} & set(sys.modules)\n"
        "    sys.stderr.write('HEAVY ' + ' '.join(sorted(heavy)) + '\\n')\n"
    )
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["burn", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    done = run_cli(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].split() == ["HEAVY"]


def test_every_command_is_in_the_reference() -> None:
    from landscribe.cli.app import app

    reference = (ROOT / "docs" / "commands.md").read_text()
    missing = [c.name for c in app.registered_commands if f"## `{c.name}`" not in reference]
    assert not missing


def test_every_recipe_setting_is_in_the_reference() -> None:
    from pydantic import BaseModel

    from landscribe.core import recipe

    reference = (ROOT / "docs" / "recipe.md").read_text()
    tables = [
        t for t in vars(recipe).values() if isinstance(t, type) and issubclass(t, BaseModel) and t is not BaseModel
    ]
    names = {field.alias or name for table in tables for name, field in table.model_fields.items()}
    assert not [name for name in sorted(names) if f"`{name}`" not in reference]


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda p: p.name)
def test_benchmarks_import_what_is_there(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("landscribe"):
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                assert hasattr(module, alias.name) or importlib.util.find_spec(f"{node.module}.{alias.name}")
