"""Keys are made in a process of their own: whoever waits for it may leave, and nothing half-made stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptml_client import Client
from cryptml_client.keys.making import make_keys

from benchmarks.machine import children
from cryptml.bundle import ClientBundle
from cryptml.errors import KeySetError
from cryptml.fhe.client import ClientCircuit, KeySet
from tests.bounds import ends
from tests.conftest import BuildTiny, TinyService
from tests.waiting import wait_for, wait_for_end

pytestmark = [pytest.mark.encrypted, pytest.mark.usefixtures("unmeasured_children")]

NEVER = """
import time
from cryptml.processes.answering import answer
from cryptml_client.keys.making_process import end_with
import sys

def make(head):
    time.sleep(600)

end_with(int(sys.argv[2]))
answer({"make": make})
"""

PROGRAM = """
import sys
from cryptml_client.keys import making
making.MODULE = "never_made"
from cryptml.cli.main import run
run()
"""


@pytest.fixture
def circuit(build_tiny: BuildTiny) -> Any:
    return ClientBundle.load(build_tiny("CCSSS").folder / "client").server_steps[0].circuit


def test_they_are_keys_and_are_not_shown(circuit: Any) -> None:
    made = make_keys(circuit)
    assert "payload" not in repr(made)
    keys = KeySet.deserialise(circuit, made.payload)
    assert keys.digest == made.evaluation_keys
    values = np.ones((1, *circuit.reads.shape), np.int64)
    assert ClientCircuit(circuit, keys).encrypt(values)
    altered = KeySet.deserialise(circuit, made.payload, "0" * 64)
    with pytest.raises(KeySetError, match="was altered"):
        _ = altered.evaluation_keys


def test_a_process_that_dies_costs_one_sentence(circuit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryptml_client.keys.making.MODULE", "no_such_module")
    with pytest.raises(KeySetError, match="no keys were made: make ended its process"):
        make_keys(circuit)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_who_interrupts_it_leaves_at_once(number: signal.Signals, tiny_service: TinyService, tmp_path: Path) -> None:
    (tmp_path / "never_made.py").write_text(NEVER)
    keys = tmp_path / "keys"
    command = ["keys", "make", "--server", tiny_service.url, "--keys", str(keys), "--trust-first-use"]
    path = f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    running = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *command],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    (maker,) = wait_for(lambda: children(running.pid), "the process that makes keys")
    with ends():
        running.send_signal(number)
        _, said = running.communicate()
        wait_for_end(maker)
    assert list(keys.glob("*.keys")) == []
    assert sorted(each.name for each in keys.iterdir() if not each.name.startswith(".")) == ["accepted-bundles.json"]
    if number is signal.SIGKILL:
        return
    assert running.returncode == 130
    assert said.splitlines()[-1].startswith(f"error: interrupted; 0 of 1 key sets are kept in {keys}")
    assert "Traceback" not in said


def test_an_interrupted_upload_keeps_the_keys(
    tiny_service: TinyService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cryptml_client.uploading.KeyUpload.send", interrupted)
    with (
        Client(tiny_service.url, keys=tmp_path, trust_first_use=True) as client,
        pytest.raises(KeyboardInterrupt, match="the keys are kept in .*; the same command goes on with their upload"),
    ):
        client.prepare()
    monkeypatch.undo()
    with Client(tiny_service.url, keys=tmp_path) as client:
        client.prepare()
        assert client.prepared
    assert len(list(tmp_path.glob("*.keys"))) == 1


def test_nothing_is_made_for_a_folder_that_cannot_be_written(
    tiny_service: TinyService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Any) -> None:
        raise KeySetError("read-only")

    def never(_: Any) -> None:
        raise AssertionError("keys are made")

    monkeypatch.setattr("cryptml_client.keys.store.KeyStore.require_writable", refused)
    monkeypatch.setattr("cryptml_client.preparing.make_keys", never)
    with (
        Client(tiny_service.url, keys=tmp_path, trust_first_use=True) as client,
        pytest.raises(KeySetError, match="read-only"),
    ):
        client.prepare()


def test_warnings_that_are_errors_are_none_of_ours(tiny_service: TinyService, tmp_path: Path) -> None:
    command = ["keys", "make", "--server", tiny_service.url, "--keys", str(tmp_path / "keys"), "--trust-first-use"]
    for arguments in (command, ["keys", "list", "--keys", str(tmp_path / "keys")]):
        done = subprocess.run(
            [sys.executable, "-m", "cryptml", *arguments],
            env={**os.environ, "PYTHONWARNINGS": "error"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
