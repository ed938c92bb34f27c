"""What the client does when things go wrong on the way: tries again where that is safe, goes on where it was, keeps order."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import numpy as np
import pytest
from cryptml_client import AsyncClient, Client, KeyStore, Prediction
from cryptml_client.evaluator import RemoteEvaluator
from cryptml_client.transport import Transport
from cryptml_client.uploading import KeyUpload

from cryptml.bundle import ClientBundle
from cryptml.errors import ServiceError, ServiceRefused, ServiceUnavailable, SettingError
from cryptml.fhe.client import KeySet
from cryptml.networks import FloatArray
from cryptml.runtime import ClearEvaluator, run_split
from cryptml.verification.local_service import local_service
from tests.bounds import ENDS_SECONDS
from tests.service.client.scripted import scripted

BUSY = json.dumps({"title": "Too busy", "detail": "try later"}).encode()


def test_a_busy_service_is_asked_again_when_it_says() -> None:
    with scripted((503, BUSY, {"Retry-After": "1"}), (503, BUSY, {"Retry-After": "0"}), (200, b"{}", {})) as (
        url,
        asked,
    ):
        started = time.monotonic()
        with Transport(url, 10, patience_seconds=30) as transport:
            assert transport.get_json("/v1/models") == {}
        assert time.monotonic() - started >= 1
    assert len(asked) == 3


def test_patience_has_an_end_and_is_not_begun_in_vain() -> None:
    with (
        scripted((429, BUSY, {"Retry-After": "3600"})) as (url, asked),
        Transport(url, 10, patience_seconds=600) as patient,
    ):
        started = time.monotonic()
        with pytest.raises(ServiceRefused, match="429"):
            patient.get_json("/v1/models")
        assert time.monotonic() - started < ENDS_SECONDS
        assert len(asked) == 1
    with scripted((422, BUSY, {})) as (url, asked), Transport(url, 10, patience_seconds=20) as patient:
        with pytest.raises(ServiceRefused, match="422"):
            patient.get_json("/v1/models")
        assert len(asked) == 1


def test_a_broken_connection_is_made_again_but_a_wrong_address_is_not() -> None:
    with scripted((200, b"{}", {}), (0, b"", {}), (200, b"{}", {})) as (url, asked):
        with Transport(url, 10, patience_seconds=30) as transport:
            for _ in range(2):
                assert transport.get_json("/v1/models") == {}
        assert len(asked) == 3
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Transport(f"http://127.0.0.1:{port}", 10, patience_seconds=600) as transport:
        started = time.monotonic()
        with pytest.raises(ServiceUnavailable):
            transport.get_json("/v1/models")
        assert time.monotonic() - started < ENDS_SECONDS


def test_settings_out_of_bounds(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="patience"):
        Client("http://127.0.0.1:1", patience_seconds=-1)
    with pytest.raises(SettingError, match="certificates"):
        Client("https://127.0.0.1:1", ca_file=tmp_path / "missing.pem")
    with pytest.raises(SettingError, match="in flight"):
        AsyncClient("http://127.0.0.1:1", in_flight=0)


def test_a_cancelled_client_deletes_its_job_and_closes(tmp_path: Path) -> None:
    job = f"/v1/jobs/{'0' * 32}"
    step: Any = SimpleNamespace(
        index=0, circuit=SimpleNamespace(client_specs=b"", parameters=SimpleNamespace(output_bytes=1))
    )
    answers: Any = (202, json.dumps({"job": "0" * 32}).encode(), {}), (200, b'{"state": "waiting"}', {})

    async def ask(asking: AsyncClient, asked: list[str]) -> None:
        async def question() -> None:
            async with asking:
                await asking.predict_region(np.zeros((1, 1), np.float32))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(question)
            while f"GET {job}" not in asked:
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()

    with scripted(*answers) as (url, asked):
        asking = AsyncClient(url, keys=KeyStore(tmp_path), trust_first_use=True, background=True)
        inner = asking._client
        evaluator = RemoteEvaluator(
            inner._transport, "tiny", {}, {0: "0"}, native=threading.Lock(), jobs=inner._progress
        )
        answer: Any = lambda _: evaluator._ask(step, b"x")  # noqa: E731
        inner.predict_region = answer  # type: ignore[method-assign]
        anyio.run(ask, asking, asked)
        assert inner._transport._http.is_closed
        assert asked[-1] == f"DELETE {job}"
        with pytest.raises(ServiceError, match="the client is closed"):
            inner._transport.get_json("/v1/models")


class CuttingProxy:
    """Passes bytes on to a service, and cuts the first connections after some bytes of requests."""

    def __init__(self, url: str, cuts: list[int]) -> None:
        self.target = ("127.0.0.1", httpx.URL(url).port or 0)
        self.cuts = cuts
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listening.accept()
            except OSError:
                return
            most = self.cuts.pop(0) if self.cuts else 1 << 40
            far = socket.create_connection(self.target)
            for source, sink, bound in ((near, far, most), (far, near, 1 << 40)):
                threading.Thread(target=self._pass, args=(source, sink, bound), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, most: int) -> None:
        passed = 0
        with suppress(OSError):
            while block := source.recv(4096):
                passed += len(block)
                if passed > most:
                    break
                sink.sendall(block)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def service(build_tiny: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with local_service([build_tiny("CCSSS").folder], tmp_path_factory.mktemp("service")) as running:
        yield running.url


@pytest.mark.encrypted
def test_an_upload_goes_on_behind_what_is_there(
    service: str, build_tiny: Callable[[str], Any], tiny_regions: FloatArray, tmp_path: Path
) -> None:
    (step,) = ClientBundle.load(build_tiny("CCSSS").folder / "client").server_steps
    made, store = KeySet.generate(step.circuit), KeyStore(tmp_path / "keys")
    store.save(step.circuit, made)
    proxy = CuttingProxy(service, [700_000, 500_000, 900_000, 300_000])
    portions: list[float] = []

    class Watching:
        @contextmanager
        def stage(self, _: str) -> Iterator[None]:
            yield

        def portion(self, done: float, total: float) -> None:
            portions.append(done / total)

    with Transport(proxy.url, 60.0, patience_seconds=60.0) as transport:
        upload = KeyUpload(transport, "tiny", step, made, Watching(), part_bytes=1 << 18)
        assert not upload.is_stored()
        upload.send()
    assert proxy.cuts == []
    with Client(proxy.url, keys=store, trust_first_use=True) as client:
        assert client.predict_region(tiny_regions[0]).answer.label
        assert client.evaluation_key_bytes > 2_400_000, "the upload takes more than what the cuts let through"
    assert portions == sorted(portions), "nothing that was there is sent again"
    proxy.listening.close()


@pytest.mark.encrypted
def test_jobs_give_the_same_answers_and_are_cleaned_up(
    service: str, tiny: Any, tiny_regions: FloatArray, tmp_path: Path
) -> None:
    keys = KeyStore(tmp_path / "keys")
    with Client(service, keys=keys, trust_first_use=True, background=True) as client:
        prediction = client.predict_region(tiny_regions[0])
        expected = run_split(client.bundle, tiny_regions[0], ClearEvaluator(tiny))
        np.testing.assert_array_equal(prediction.answer.integers, expected.integers)
        assert prediction.answer.timings.stages["server_evaluate"] > 0
    assert httpx.get(f"{service}/v1/jobs").json() == {"jobs": []}


@pytest.mark.encrypted
@pytest.mark.parametrize("background", [False, True])
def test_many_in_flight_come_in_order(
    service: str, tiny: Any, tiny_regions: FloatArray, tmp_path: Path, background: bool
) -> None:
    regions = list(tiny_regions[:12])
    regions[5] = np.zeros((3, 3), np.float32)
    with Client(service, keys=KeyStore(tmp_path / "keys"), trust_first_use=True, background=background) as client:
        found = list(client.predict_regions(regions, in_flight=5))
        expected = [
            None if number == 5 else run_split(client.bundle, region, ClearEvaluator(tiny))
            for number, region in enumerate(regions)
        ]

    async def ask() -> list[Any]:
        async with AsyncClient(
            service, keys=KeyStore(tmp_path / "keys"), trust_first_use=True, background=background, in_flight=3
        ) as asking:
            assert (await asking.bundle()).model == "tiny"
            return [*await asking.predict_regions(regions), await asking.predict_region(regions[0])]

    asynchronous = anyio.run(ask)
    for answers in (found, asynchronous[:-1]):
        for number, answer in enumerate(answers):
            if number == 5:
                assert not isinstance(answer, Prediction)
                assert "shape" in str(answer) or "3" in str(answer)
            else:
                np.testing.assert_array_equal(answer.answer.integers, expected[number].integers)  # type: ignore[union-attr]
    np.testing.assert_array_equal(asynchronous[-1].answer.integers, expected[0].integers)  # type: ignore[union-attr]


@pytest.mark.encrypted
def test_an_abandoned_question_stops_no_other(service: str, tiny_regions: FloatArray, tmp_path: Path) -> None:
    async def ask() -> Prediction:
        async with AsyncClient(service, keys=KeyStore(tmp_path / "keys"), trust_first_use=True) as asking:
            await asking.prepare()
            with anyio.move_on_after(0.001):
                await asking.predict_region(tiny_regions[0])
            return await asking.predict_region(tiny_regions[1])

    assert anyio.run(ask).answer.label
