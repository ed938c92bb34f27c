"""Ctrl-C and SIGTERM at long work, in processes of their own: one line says what was kept and how to go on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bounds import ENDS_SECONDS
from tests.waiting import wait_for

INTERRUPTED = 130


@contextmanager
def started(*command: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def interrupted(process: subprocess.Popen[str], when: Callable[[], object], number: int = signal.SIGINT) -> str:
    """Return the last line on stderr of a process that is interrupted once something is so."""

    def so() -> bool:
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        return bool(when())

    wait_for(so, "the work to begin")
    process.send_signal(number)
    _, complaint = process.communicate(timeout=10 * ENDS_SECONDS)
    assert process.returncode == INTERRUPTED, complaint
    assert "Traceback" not in complaint
    return complaint.strip().splitlines()[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_is_gone_on_with(tmp_path: Path, number: int) -> None:
    out = tmp_path / "net"
    command = ["cryptml", "train", "--dataset", "phantom:images=200", "--network", "tiny", "--out", str(out)]
    command += ["--epochs", "9000", "--views", "2"]
    state = tmp_path / "net.unfinished" / "state.json"
    with started(*command) as process:
        said = interrupted(process, state.exists, number)
    kept = re.fullmatch(
        rf"error: interrupted; {re.escape(str(out))}\.unfinished keeps (\d+) finished epochs; the same command with "
        "--resume goes on from there",
        said,
    )
    assert kept, said
    before = state.read_bytes()
    with started(*command, "--resume") as process:
        said = interrupted(process, lambda: state.read_bytes() != before)
    again = re.search(r"keeps (\d+) finished", said)
    assert again, said
    assert int(again[1]) > int(kept[1])
    assert not out.exists()
