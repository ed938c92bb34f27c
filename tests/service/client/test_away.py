"""A service that goes away in the middle of a folder, over real sockets: it is waited for, and jobs are found again."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import PIL.Image
import pytest
from cryptml_client import Client
from cryptml_client.asking import AskedPicture, PictureRequest, read_pictures
from cryptml_client.batch.run import Run, RunAnswer, RunStopped
from cryptml_client.batch.settings import RunSettings
from cryptml_client.jobs import RemoteJob

from tests.conftest import TinyService
from tests.service.client.clear_client import Heard

pytestmark = [pytest.mark.encrypted, pytest.mark.usefixtures("unmeasured_children")]

SIDE = 8


class Gate:
    """Passes bytes on to a service while it is open; closed, nothing takes connections at its address."""

    def __init__(self, url: str) -> None:
        self._target = ("127.0.0.1", httpx.URL(url).port or 0)
        self._passing: list[socket.socket] = []
        self._port = 0
        self.open()
        self.url = f"http://127.0.0.1:{self._port}"

    def open(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def close(self) -> None:
        for each in (self._listening, *self._passing):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._passing.clear()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                near, _ = listening.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            self._passing += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while block := source.recv(65536):
                sink.sendall(block)


@pytest.fixture
def gate(tiny_service: TinyService) -> Iterator[Gate]:
    found = Gate(tiny_service.url)
    yield found
    found.close()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the tests of this file: the same circuit, whatever the address."""
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
def asked(tmp_path: Path) -> list[AskedPicture]:
    random = np.random.default_rng(0)
    for place in range(5):
        PIL.Image.fromarray(random.integers(0, 255, (30, 30), dtype=np.uint8)).save(tmp_path / f"{place}.png")
    return list(read_pictures(PictureRequest([tmp_path / f"{place}.png" for place in range(5)]), SIDE))


def client_of(gate: Gate, keys: Path, **more: Any) -> Client:
    return Client(gate.url, keys=keys, trust_first_use=True, proxy="none", **more)


@pytest.mark.parametrize("in_flight", [1, 2])
def test_it_is_waited_for_and_the_folder_is_answered(
    gate: Gate, keys: Path, asked: list[AskedPicture], tmp_path: Path, in_flight: int
) -> None:
    heard = Heard()
    settings = RunSettings(tmp_path / "out.csv", in_flight=in_flight)
    with client_of(gate, keys, patience_seconds=120) as client:
        found: list[RunAnswer] = []
        for each in Run(client, asked, settings, listener=heard).answers():
            found.append(each)
            if len(found) == 2:
                gate.close()
                threading.Timer(1.0, gate.open).start()
    assert [each.as_it_should_be for each in found] == [True] * 5
    assert len(heard.notes) == 1
    assert "the service is waited for" in heard.notes[0]


def test_beyond_patience_it_says_what_is_kept_and_goes_on_later(
    gate: Gate, keys: Path, asked: list[AskedPicture], tmp_path: Path
) -> None:
    settings = RunSettings(tmp_path / "out.csv")
    with client_of(gate, keys, patience_seconds=1) as client:
        given = Run(client, asked, settings).answers()
        for _ in range(3):
            next(given)
        gate.close()
        with pytest.raises(
            RunStopped, match=r"nothing answers at .*; 3 of 5 pictures are answered and kept in .*journal"
        ):
            list(given)
    gate.open()
    with client_of(gate, keys) as client:
        found = list(Run(client, asked, RunSettings(tmp_path / "out.csv", resume=True)).answers())
    assert [each.kept for each in found] == [True, True, True, False, False]
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 6


def test_a_job_that_was_left_is_fetched_by_the_next_program(
    gate: Gate, keys: Path, asked: list[AskedPicture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted: list[str] = []
    submit = RemoteJob.submit

    def counted(*given: Any) -> RemoteJob:
        job = submit(*given)
        submitted.append(job.name)
        return job

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RemoteJob, "submit", counted)
    heard = Heard()
    with client_of(gate, keys, background=True) as client:
        plain = client.predict_region(asked[0].square).answer  # type: ignore[arg-type]
        wait = RemoteJob.wait
        monkeypatch.setattr(RemoteJob, "wait", interrupted)
        run = Run(client, asked[:1], RunSettings(tmp_path / "out.csv", background=True), listener=heard)
        with pytest.raises(KeyboardInterrupt, match="0 of 1 pictures are answered and kept"):
            list(run.answers())
        monkeypatch.setattr(RemoteJob, "wait", wait)
    assert heard.remarks == [f"job {submitted[1]}: 0.png"]
    settings = RunSettings(tmp_path / "out.csv", background=True, resume=True)
    with client_of(gate, keys, background=True) as client:
        (found,) = Run(client, asked[:1], settings).answers()
    assert len(submitted) == 2, "it was fetched, not asked for again"
    assert found.document["label"] == plain.label
    with client_of(gate, keys, background=True) as client:  # fetched, and so deleted: what is gone is asked for anew
        journal = RunSettings(tmp_path / "again.csv", background=True)
        monkeypatch.setattr("cryptml_client.batch.run._Books.find", lambda *_: submitted[1])
        (again,) = Run(client, asked[:1], journal).answers()
    assert (len(submitted), again.document["logits"]) == (3, found.document["logits"])
