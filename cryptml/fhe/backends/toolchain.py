"""Make Concrete's calls of the system's linker work everywhere.

Concrete 2.10 links each circuit by a shell command of its own: ``ld`` and ``ar`` must be on the path, and the names of its runtime
library and of the temporary folder go in unquoted, so that a space in either breaks it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cryptml.errors import CircuitError
from cryptml.fhe.concrete import server_module

TOOLS = {"ld": "ld.lld", "ar": "ar"}
"""What Concrete calls, and the command of the package ``ziglang`` that stands in for it."""

PLAIN_FOLDER = "/tmp"  # noqa: S108 (only where the usual temporary folder's name breaks the linker; folders in it are mkdtemp's)

_UNSAFE = re.compile(r"([^\w/.,:+@%=-])")
_lock = threading.RLock()


@contextmanager
def linkable() -> Iterator[None]:
    """Hold, while a circuit is compiled, an environment in which Concrete can link it; one compilation at a time.

    Raises:
        CircuitError: If there is no linker, or no temporary folder with a plain name.
    """
    with _lock, ExitStack() as stack:
        stack.enter_context(_quoted_runtime())
        stack.enter_context(_plain_temporary_folder())
        missing = [tool for tool in TOOLS if shutil.which(tool) is None]
        if missing:
            stack.enter_context(_stand_ins(missing))
        yield


@contextmanager
def _quoted_runtime() -> Iterator[None]:
    found = server_module.lookup_runtime_lib
    server_module.lookup_runtime_lib = lambda: _UNSAFE.sub(r"\\\1", found())
    try:
        yield
    finally:
        server_module.lookup_runtime_lib = found


@contextmanager
def _plain_temporary_folder() -> Iterator[None]:
    before = tempfile.tempdir
    if _UNSAFE.search(tempfile.gettempdir()):
        if not os.access(PLAIN_FOLDER, os.W_OK):
            raise CircuitError(
                f"the temporary folder {tempfile.gettempdir()!r} has a name that the linker does not take; set TMPDIR to another"
            )
        tempfile.tempdir = PLAIN_FOLDER
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextmanager
def _stand_ins(missing: list[str]) -> Iterator[None]:
    if importlib.util.find_spec("ziglang") is None:
        raise CircuitError(
            f"compiling needs {' and '.join(missing)}, which are not installed; install your system's binutils, or pip install ziglang"
        )
    before = os.environ.get("PATH", os.defpath)
    with tempfile.TemporaryDirectory(prefix="cryptml-tools-") as folder:
        for tool in missing:
            script = Path(folder) / tool
            quoted = sys.executable.replace("'", "'\\''")
            script.write_text(f"#!/bin/sh\nexec '{quoted}' -m ziglang {TOOLS[tool]} \"$@\"\n")
            script.chmod(0o700)
        os.environ["PATH"] = f"{folder}{os.pathsep}{before}"
        try:
            yield
        finally:
            os.environ["PATH"] = before
