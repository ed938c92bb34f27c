"""Measuring processes: limits that hold, failures that cost only themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cryptml.errors import MeasurementError
from cryptml.processes.child import Child
from cryptml.processes.memory import peak_resident_bytes, resident_bytes
from tests.bounds import ENDS_SECONDS

MODULE = """
import os, time
from cryptml.errors import CircuitError
from cryptml.processes.answering import answer

held = []

def grow(request):
    for _ in range(200):
        held.append(bytearray(os.urandom(1 << 20)) * 8)
        time.sleep(0.01)
    return {}

def refuse(request):
    raise CircuitError("too wide \\x1b[31m")

answer({
    "double": lambda request: {"result": 2 * request["value"], "threads": os.environ["OMP_NUM_THREADS"]},
    "abort": lambda request: os.abort(),
    "leave": lambda request: os._exit(7),
    "sleep": lambda request: time.sleep(60),
    "grow": grow,
    "refuse": refuse,
})
"""


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sample_process.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def soon(seconds: float = 30) -> float:
    return time.monotonic() + seconds


def test_requests_are_answered_one_after_another() -> None:
    with Child("sample_process", threads=3) as child:
        for value in (1, 20):
            assert child.ask({"do": "double", "value": value}, soon()) == {"result": 2 * value, "threads": "3"}
        with pytest.raises(MeasurementError, match=r"refuse: too wide \[31m"):
            child.ask({"do": "refuse"}, soon())
        assert child.ask({"do": "double", "value": 3}, soon())["result"] == 6


@pytest.mark.parametrize(
    ("what", "said"), [("abort", "signal SIGABRT"), ("leave", "code 7"), ("unknown", "ended its process")]
)
def test_a_death_is_a_sentence(what: str, said: str) -> None:
    with Child("sample_process", threads=1) as child:
        with pytest.raises(MeasurementError, match=said):
            child.ask({"do": what}, soon())
        assert not child.alive
        with pytest.raises(MeasurementError):
            child.ask({"do": "double", "value": 1}, soon())


def test_time_is_limited() -> None:
    with Child("sample_process", threads=1) as child:
        child.ask({"do": "double", "value": 1}, soon())
        started = time.monotonic()
        with pytest.raises(MeasurementError, match="time limit"):
            child.ask({"do": "sleep"}, soon(0.3))
        assert time.monotonic() - started < ENDS_SECONDS
        assert not child.alive


def test_memory_is_limited() -> None:
    with (
        Child("sample_process", threads=1, memory_bytes=300 << 20) as child,
        pytest.raises(MeasurementError, match="outgrew its memory limit"),
    ):
        child.ask({"do": "grow"}, soon())


def test_a_child_does_not_outlive_a_killed_owner(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from cryptml.processes.child import Child\nimport time\n"
            "child = Child('sample_process', threads=1)\nprint(child._process.pid, flush=True)\n"
            "child.ask({'do': 'sleep'}, time.monotonic() + 60)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    deadline = soon(20)
    while Path(f"/proc/{pid}/cmdline").exists() and b"sample_process" in Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_memory_is_the_programs_own() -> None:
    assert 0 < resident_bytes() <= peak_resident_bytes()
    assert resident_bytes(os.getpid()) > 1 << 20
    with pytest.raises(MeasurementError, match="cannot be read"):
        resident_bytes(2**22 + 1)
