"""The tests on a real Ray cluster, in processes of their own: Ray's library may end the process that it is in, long after a cluster's end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.encrypted


@pytest.mark.parametrize("file", ["tests/service/workers/cluster_service.py", "tests/profiler/cluster_machines.py"])
def test_on_a_real_cluster(file: str, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed; cryptml[ray] has it")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:cov",
        f"--basetemp={tmp_path}/inner",
        file,
    ]
    # What this run's own options are must not be the inner one's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
