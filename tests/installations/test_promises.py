"""Every module that a small installation promises can be imported without what it leaves out, which is hidden here."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import distributions

import pytest

from tests.installations.promises import IMPORT_ALL, LATE, PACKAGES, locked, normal, require_only_training_fails


def left_out(part: str) -> set[str]:
    installed = {normal(each.name) for each in distributions()}
    return installed - locked(part) - {"cryptml"}


def import_all(part: str, hidden: set[str]) -> dict[str, str]:
    command = [sys.executable, str(IMPORT_ALL), *PACKAGES[part], "--hide", *sorted(hidden)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("part", PACKAGES)
def test_every_promised_module_is_imported_without_what_is_left_out(part: str) -> None:
    require_only_training_fails(import_all(part, left_out(part)))


def test_what_is_hidden_is_missed() -> None:
    failed = import_all("client", left_out("client") | {"pillow"})
    assert "ModuleNotFoundError: No module named 'PIL'" in failed.values()
    with pytest.raises(AssertionError):
        require_only_training_fails(failed)


def test_the_client_is_imported_without_what_is_heavy_or_needed_later() -> None:
    program = "import sys; from cryptml_client import *; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "httpx" in loaded
    assert loaded & set(LATE) == set()


def test_keys_and_evaluation_need_neither_torch_nor_z3() -> None:
    """Concrete itself, as a client and a worker have it."""
    program = "import sys, cryptml.fhe.concrete; print(*sorted(name.partition('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"concrete", "mlir"} <= loaded
    assert loaded & {"torch", "z3", "sklearn", "onnx", "pkg_resources"} == set()
