"""Coverage is measured where the work is done: in a service's own process, in its workers, in measuring processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from coverage import CoverageData

from tests.waiting import wait_until_ready

ROOT = Path(__file__).parent.parent
SECONDS = 60


def measured(tmp_path: Path) -> dict[str, set[int]]:
    """Lines that ran, of all processes together, by the end of a file's path."""
    found: dict[str, set[int]] = {}
    files = [path for path in tmp_path.glob(".coverage*") if path.stat().st_size]
    for path in files:
        data = CoverageData(str(path))
        data.read()
        for name in data.measured_files():
            arcs = data.arcs(name) or []
            found.setdefault("/".join(Path(name).parts[-2:]), set()).update(line for arc in arcs for line in arc)
    return found


def line_of(path: str, text: str) -> int:
    lines = (ROOT / path).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


def covered(folder: Path, *command: str) -> subprocess.Popen[str]:
    """Start a module under coverage with the project's own options; what an outer run set for its processes is left out."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return subprocess.Popen(
        [sys.executable, "-m", "coverage", "run", f"--data-file={folder}/.coverage", "-m", *command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.encrypted
def test_a_service_ended_by_sigterm_and_its_worker_are_measured(build_tiny: Any, tmp_path: Path) -> None:
    bundle = str(build_tiny("CCSCC").folder)
    service = covered(
        tmp_path, "cryptml", "serve", bundle, "--port", "0", "--data", f"{tmp_path}/data", "--insecure-anonymous"
    )
    try:
        assert service.stdout is not None
        url = next(line for line in service.stdout if " at http" in line).rpartition(" at ")[2].strip()
        with httpx.Client(base_url=url, timeout=SECONDS) as http:
            wait_until_ready(http, seconds=SECONDS)
        service.send_signal(signal.SIGTERM)
        assert service.wait(SECONDS) == 0
    finally:
        service.kill()
        service.communicate()
    found = measured(tmp_path)
    assert line_of("server/cryptml_server/http/serving.py", 'log.info("told to end') in found["http/serving.py"]
    assert (
        line_of("server/cryptml_server/workers/process.py", "self._circuits[folder] =") in found["workers/process.py"]
    )
    assert "fhe/server.py" in found, "what the worker alone imports"


def test_a_process_that_leaves_with_its_owner_is_measured(tmp_path: Path) -> None:
    code = tmp_path / "owner.py"
    code.write_text(
        "import os, subprocess, sys, time\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from cryptml.processes.child import Child\n"
        "child = Child('cryptml.profiler.measure.compiler_process', threads=1)\n"
        "try:\n    child.ask({'do': 'run_front_end', 'network': 'tiny', 'repeats': 1}, time.monotonic() + 60)\n"
        "finally:\n    print(child._process.pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    owner = subprocess.Popen(
        [sys.executable, "-m", "coverage", "run", f"--data-file={tmp_path}/.coverage", str(code), str(ROOT)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    said, _ = owner.communicate(timeout=SECONDS)
    assert owner.returncode == -signal.SIGKILL
    deadline = time.monotonic() + SECONDS
    while Path(f"/proc/{int(said)}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    found = measured(tmp_path)
    wanted = line_of(
        "cryptml/profiler/measure/compiler_process.py", 'return {"run_ms": [_timed(lambda: network.quantise'
    )
    assert wanted in found["measure/compiler_process.py"]
