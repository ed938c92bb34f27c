"""Rules of the repository that a machine can hold."""

from __future__ import annotations

import ast
import email
import hashlib
import importlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import trove_classifiers

ROOT = Path(__file__).parent.parent
APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""SHA-256 of https://www.apache.org/licenses/LICENSE-2.0.txt."""

SOURCES = sorted(
    [*(ROOT / "cryptml").rglob("*.py"), *(ROOT / "server").rglob("*.py"), *(ROOT / "client").rglob("*.py")]
)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def test_imports_run_one_way() -> None:
    result = run(tool("lint-imports"), "--no-cache")
    assert result.returncode == 0, result.stdout


def test_style() -> None:
    result = run(tool("ruff"), "check", ".")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_unpickles_or_prints(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert imported & {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle", "jsonpickle"} == set()
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert calls & {"torch.load", "eval", "exec", "print", "shutil.unpack_archive"} == set()
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]


@pytest.mark.parametrize(
    "package",
    [
        "cryptml.bundle",
        "cryptml.datasets",
        "cryptml.networks",
        "cryptml.search",
        "cryptml.training",
        "cryptml_client",
        "cryptml_server",
    ],
)
def test_public_names_are_said_and_there(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__all__ == sorted(module.__all__)
    for name in module.__all__:
        assert hasattr(module, name), name


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_repository_holds_no_data_and_no_big_files() -> None:
    listed = run("git", "ls-files", "-z")
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert not [path for path in files if path.suffix in {".dcm", ".npz", ".pgm", ".keys"}]
    assert not [path for path in files if path.is_file() and path.stat().st_size > 2 << 20]


def check_contents(wheel: Path) -> None:
    """Licence, notice and metadata are there; each package says that it is typed; schemas, weights and migrations came along."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        told = email.message_from_bytes(archive.read(metadata))
        folder = metadata.rpartition("/")[0]
        for name in ("LICENSE", "NOTICE"):
            assert archive.read(f"{folder}/licenses/{name}") == (ROOT / name).read_bytes()
    assert {f"{package}/py.typed" for package in ("cryptml", "cryptml_server", "cryptml_client")} <= names
    assert "cryptml/schemas/server-bundle.schema.json" in names
    assert "cryptml/networks/shipped/reference/weights.safetensors" in names
    assert any(name.startswith("cryptml_server/database/migrations/versions/0002_all_tables") for name in names)
    assert told["License-Expression"] == "Apache-2.0"
    assert told.get_all("License-File") == ["LICENSE", "NOTICE"]
    assert told["Author"] == "CRYPTML developers"
    assert "TFHE" in told["Keywords"]
    classifiers = told.get_all("Classifier") or []
    assert "Typing :: Typed" in classifiers
    assert not [each for each in classifiers if each.startswith("License ::")], "PEP 639 has the expression instead"
    known = set(trove_classifiers.classifiers)
    assert [each for each in classifiers if each not in known] == []


def test_the_licence_is_whole_and_the_notice_names_the_patents() -> None:
    text = (ROOT / "LICENSE").read_bytes()
    assert hashlib.sha256(text).hexdigest() == APACHE_2
    notice = " ".join((ROOT / "NOTICE").read_text().split())
    assert "commercial use, also through this distribution, needs a patent licence from Zama" in notice


def test_the_wheel_installs_into_an_empty_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built without a network, installed alone, imported beside the dependencies of this environment."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    built = run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "-w",
        str(tmp_path),
        ".",
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("cryptml-*.whl")
    check_contents(wheel)
    environment = tmp_path / "environment"
    assert run(sys.executable, "-m", "venv", "--without-pip", str(environment)).returncode == 0
    python = str(environment / "bin" / "python")
    installed = run(
        sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", str(wheel)
    )
    assert installed.returncode == 0, installed.stderr
    alone = subprocess.run(
        [python, "-c", "import cryptml, cryptml.errors, cryptml.splits; print(cryptml.__version__, cryptml.__file__)"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert str(environment) in alone.stdout
    (site,) = (environment / "lib").glob("python*/site-packages")
    dependencies = [path for path in sys.path if path.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(dependencies) + "\n")
    listing = subprocess.run(
        [str(environment / "bin" / "split-profiler"), "list", "tiny", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert listing.stdout.count('"split"') == 32
