"""The client against a live service, and against services that are down, slow or lying."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptml_client import Client, KeyStore

from cryptml.bundle import ClientBundle
from cryptml.errors import (
    BundleError,
    ImageError,
    KeySetError,
    ServiceProtocolError,
    ServiceRefused,
    ServiceTimeout,
    ServiceUnavailable,
    SettingError,
)
from cryptml.images import Region, image_from_array
from cryptml.networks import FloatArray, Network

pytestmark = [pytest.mark.encrypted, pytest.mark.usefixtures("unmeasured_children")]


def test_predictions_equal_the_clear_network(
    tiny_service: Any, tiny: Network, tiny_regions: FloatArray, tmp_path: Path
) -> None:
    with Client(tiny_service.url, keys=KeyStore(tmp_path / "keys"), trust_first_use=True) as client:
        for region in tiny_regions[:4]:
            prediction = client.predict_region(region)
            assert np.array_equal(prediction.answer.logits, tiny.logits(region[None])[0])
            document = prediction.to_json()
            assert set(document) == {
                "label",
                "probability",
                "probabilities",
                "logits",
                "split",
                "timings_ms",
                "upload_bytes",
                "download_bytes",
                "spot_checks",
                "positive",
                "positive_probability",
            }
            assert document["split"] == "CCSSS"
            assert document["label"] in tiny.classes
            assert 0.5 <= document["probability"] <= 1
            assert {"encrypt", "server_evaluate", "network", "decrypt"} <= set(document["timings_ms"])
            assert min(document["upload_bytes"], document["download_bytes"]) > 0


def test_keys_are_made_once_and_uploaded_again_when_the_service_forgot_them(
    tiny_service: Any, tiny_regions: FloatArray, tmp_path: Path
) -> None:
    store = KeyStore(tmp_path / "keys", passphrase="correct horse")
    with Client(tiny_service.url, keys=store, trust_first_use=True) as client:
        client.prepare()
    (stored,) = store.list()
    assert stored.encrypted
    assert stored.path.stat().st_mode & 0o777 == 0o600
    before = stored.path.read_bytes()
    with Client(tiny_service.url, keys=store, trust_first_use=True) as client:
        first = client.predict_region(tiny_regions[0])
        for path in Path(tiny_service.data).rglob(stored.evaluation_keys):
            path.unlink()
        again = client.predict_region(tiny_regions[0])
    assert np.array_equal(first.answer.integers, again.answer.integers)
    assert stored.path.read_bytes() == before


def test_a_picture_is_cropped_before_anything_is_sent(tiny_service: Any, tmp_path: Path) -> None:
    picture = image_from_array(np.random.default_rng(0).random((40, 60)))
    with Client(tiny_service.url, keys=KeyStore(tmp_path / "keys"), trust_first_use=True) as client:
        assert client.predict(picture, Region(10, 8, 24)).answer.label
        with pytest.raises(ImageError, match="40"):
            client.predict(picture, Region(50, 30, 24))
        with pytest.raises(ImageError):
            client.predict(tmp_path / "missing.png")


def test_the_model_must_be_known(tiny_service: Any, tmp_path: Path) -> None:
    with (
        Client(tiny_service.url, model="nobody", keys=KeyStore(tmp_path), trust_first_use=True) as client,
        pytest.raises(ServiceRefused, match=r"404 Unknown model.*there are: tiny"),
    ):
        client.prepare()


@pytest.mark.parametrize("url", ["", "ftp://host", "host:80", "http://", "http://host:99999"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(SettingError, match="not an address of a service"):
        Client(url)


def test_a_service_that_is_down(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        Client(f"http://127.0.0.1:{port}", keys=KeyStore(tmp_path), trust_first_use=True) as client,
        pytest.raises(ServiceUnavailable, match="nothing answers at"),
    ):
        client.prepare()


def test_a_service_that_is_slow(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with (
            Client(url, keys=KeyStore(tmp_path), trust_first_use=True, timeout_seconds=0.3) as client,
            pytest.raises(ServiceTimeout, match=r"within 0\.3 s"),
        ):
            client.prepare()


def test_a_service_that_speaks_something_else(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 3)

        threading.Thread(target=answer, daemon=True).start()
        with (
            Client(
                f"http://127.0.0.1:{listening.getsockname()[1]}", keys=KeyStore(tmp_path), trust_first_use=True
            ) as client,
            pytest.raises(ServiceProtocolError, match="does not speak HTTP"),
        ):
            client.prepare()


Answers = dict[str, tuple[int, bytes]]


@contextmanager
def liar(answers: Answers) -> Iterator[str]:
    """Serve fixed bytes for fixed paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, b"nothing"))
            self.send_response(status)
            octets = "/client-bundle/" in self.path or self.path.endswith("/evaluations")
            self.send_header("Content-Type", f"application/{'octet-stream' if octets else 'json'}")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def honest_answers(bundle_folder: Path) -> Answers:
    answers: Answers = {"/v1/models": (200, b'{"models": [{"model": "tiny"}]}')}
    for path in (bundle_folder / "client").iterdir():
        name = "" if path.name == "manifest.json" else f"/{path.name}"
        answers[f"/v1/models/tiny/client-bundle{name}"] = (200, path.read_bytes())
    return answers


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>hello</html>", "not JSON"),
        (b"[1, 2]", "list"),
        (b'{"models": 7}', "not one"),
        (b'{"models": [{"model": "a"}, {"model": "b"}]}', "2 models"),
        (b"[" * 100_000, "not JSON"),
        (b" " * (17 << 20), "more than"),
    ],
)
def test_a_service_that_answers_garbage(body: bytes, message: str, tmp_path: Path) -> None:
    with (
        liar({"/v1/models": (200, body)}) as url,
        Client(url, keys=KeyStore(tmp_path), trust_first_use=True) as client,
        pytest.raises(ServiceProtocolError, match=message),
    ):
        client.prepare()


def test_an_error_that_is_no_problem_document(tmp_path: Path) -> None:
    with (
        liar({"/v1/models": (500, b"oops")}) as url,
        Client(url, keys=KeyStore(tmp_path), trust_first_use=True) as client,
        pytest.raises(ServiceProtocolError, match="status 500"),
    ):
        client.prepare()


def test_control_characters_of_a_service_do_not_reach_the_terminal(tmp_path: Path) -> None:
    body = json.dumps({"title": "bad\u001b[2J", "detail": "\u0007detail"}).encode()
    with (
        liar({"/v1/models": (400, body)}) as url,
        Client(url, keys=KeyStore(tmp_path), trust_first_use=True) as client,
        pytest.raises(ServiceRefused) as caught,
    ):
        client.prepare()
    assert str(caught.value).isprintable()


def test_a_bundle_altered_on_the_way(build_tiny: Callable[[str], Any], tmp_path: Path) -> None:
    answers = honest_answers(build_tiny("CCSSS").folder)
    path = "/v1/models/tiny/client-bundle/weights.safetensors"
    body = bytearray(answers[path][1])
    body[-1] ^= 1
    answers[path] = (200, bytes(body))
    with (
        liar(answers) as url,
        Client(url, keys=KeyStore(tmp_path), trust_first_use=True) as client,
        pytest.raises(BundleError, match=r"weights\.safetensors of the client bundle was altered"),
    ):
        client.prepare()


@pytest.mark.parametrize("variance", [0.0, 1e-60, 1e12, 1e36, 1e300])
def test_a_service_that_switches_the_noise_off(
    build_tiny: Callable[[str], Any], tmp_path: Path, variance: float
) -> None:
    """The attack that matters: parameters without noise, or with so much that nothing of it is left, would let the service read the picture."""
    from cryptml.files import sha256

    answers = honest_answers(build_tiny("CCSSS").folder)
    manifest = json.loads(answers["/v1/models/tiny/client-bundle"][1])
    specs = json.loads(answers["/v1/models/tiny/client-bundle/circuit-0.json"][1])
    specs["circuits"][0]["inputs"][0]["typeInfo"]["lweCiphertext"]["encryption"]["variance"] = variance
    weak = json.dumps(specs).encode()
    manifest["files"]["circuit-0.json"] = {"sha256": sha256(weak), "bytes": len(weak)}
    (circuit,) = [step["circuit"] for step in manifest["steps"] if "circuit" in step]
    circuit["key_set"] = sha256(weak)
    answers["/v1/models/tiny/client-bundle/circuit-0.json"] = (200, weak)
    answers["/v1/models/tiny/client-bundle"] = (200, json.dumps(manifest).encode())
    with (
        liar(answers) as url,
        Client(url, keys=KeyStore(tmp_path), trust_first_use=True) as client,
        pytest.raises(BundleError, match="an input: noise of variance .* do not send anything to this service"),
    ):
        client.prepare()
    assert not list(tmp_path.iterdir())


def test_an_answer_that_is_no_ciphertext(
    build_tiny: Callable[[str], Any], tiny_regions: FloatArray, tmp_path: Path
) -> None:
    from cryptml.errors import CiphertextError

    answers = honest_answers(build_tiny("CCCSC").folder)
    answers["/v1/models/tiny/segments/0/evaluations"] = (200, b"\x00" * 4096)
    with (
        liar(answers) as url,
        Client(url, keys=KeyStore(tmp_path), trust_first_use=True) as client,
        pytest.raises(CiphertextError, match="is cut off"),
    ):
        client.predict_region(tiny_regions[0])


class TestKeyStore:
    @pytest.fixture(scope="class")
    def circuit(self, build_tiny: Callable[[str], Any]) -> Any:
        return ClientBundle.load(build_tiny("CCSCC").folder / "client").server_steps[0].circuit

    @pytest.fixture(scope="class")
    def keys(self, circuit: Any) -> Any:
        from cryptml.fhe.client import KeySet

        return KeySet.generate(circuit)

    def test_round_trip(self, circuit: Any, keys: Any, tmp_path: Path) -> None:
        for passphrase in (None, "a passphrase"):
            store = KeyStore(tmp_path / str(passphrase), passphrase)
            assert store.load(circuit) is None
            path = store.save(circuit, keys)
            assert path.stat().st_mode & 0o777 == 0o600
            assert store.folder.stat().st_mode & 0o777 == 0o700
            loaded = store.load(circuit)
            assert loaded is not None
            assert loaded.digest == keys.digest
            secret = keys.serialise()
            assert (secret[1000:1400] in path.read_bytes()) == (passphrase is None)

    def test_another_passphrase_does_not_open(self, circuit: Any, keys: Any, tmp_path: Path) -> None:
        KeyStore(tmp_path, "right").save(circuit, keys)
        with pytest.raises(KeySetError, match="another passphrase, or the file was altered"):
            KeyStore(tmp_path, "wrong").load(circuit)
        with pytest.raises(KeySetError, match="is encrypted; give its passphrase"):
            KeyStore(tmp_path).load(circuit)

    def test_damage_is_named(self, circuit: Any, keys: Any, tmp_path: Path) -> None:
        store = KeyStore(tmp_path)
        path = store.save(circuit, keys)
        whole = path.read_bytes()
        for damaged, message in (
            (whole[:-10], "altered or cut short"),
            (whole[:-1] + bytes([whole[-1] ^ 1]), "altered or cut short"),
            (b"", "not a key file"),
            (b"CRYPTML-KEYS 9\n" + whole[15:], "not a key file"),
            (b"CRYPTML-KEYS 1\n{}\n", "not a key file"),
        ):
            path.write_bytes(damaged)
            with pytest.raises(KeySetError, match=message):
                store.load(circuit)

    def test_keys_that_others_can_read_are_not_used(self, circuit: Any, keys: Any, tmp_path: Path) -> None:
        store = KeyStore(tmp_path)
        store.save(circuit, keys).chmod(0o644)
        with pytest.raises(KeySetError, match="chmod 600"):
            store.load(circuit)

    def test_list_and_delete(self, circuit: Any, keys: Any, tmp_path: Path) -> None:
        store = KeyStore(tmp_path)
        assert list(store.list()) == []
        store.save(circuit, keys)
        (entry,) = store.list()
        assert entry.evaluation_keys == keys.digest
        with pytest.raises(KeySetError, match="there is no key set 'zzzzzzzz'"):
            store.delete("zzzzzzzz")
        with pytest.raises(KeySetError, match="has 7 digits of a key set's name; give 8 or more"):
            store.delete(entry.key_set[:7])
        other = entry.path.with_name(f"{entry.key_set[:8]}{'0' * 56}.keys")
        other.write_bytes(b"damaged")
        with pytest.raises(KeySetError, match="2 key sets begin with"):
            store.delete(entry.key_set[:8])
        store.delete(other.stem)
        store.delete(entry.key_set[:8])
        assert list(store.list()) == []

    def test_a_folder_that_cannot_be_written(self, circuit: Any, keys: Any, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(KeySetError, match="cannot be written"):
            KeyStore(tmp_path / "file").save(circuit, keys)

    def test_keys_of_another_circuit_are_refused(
        self, circuit: Any, keys: Any, build_tiny: Callable[[str], Any], tmp_path: Path
    ) -> None:
        """A file of one circuit under the name of another."""
        other = ClientBundle.load(build_tiny("CCSSS").folder / "client").server_steps[0].circuit
        store = KeyStore(tmp_path)
        path = store.save(circuit, keys)
        path.rename(store._path(other))
        with pytest.raises(KeySetError, match="holds keys for another circuit"):
            store.load(other)

    def test_a_damaged_file_can_be_deleted(self, circuit: Any, keys: Any, tmp_path: Path) -> None:
        store = KeyStore(tmp_path)
        path = store.save(circuit, keys)
        path.write_bytes(b'CRYPTML-KEYS 1\n{"circuit": 5, "evaluation_keys": 1, "sha256": 2, "cipher": 3}\n')
        with pytest.raises(KeySetError, match="not a key file"):
            list(store.list())
        store.delete(path.name[:12])
        assert not path.exists()

    def test_a_full_disk_is_said_and_leaves_nothing(
        self, circuit: Any, keys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import errno
        import os

        def full(_descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("cryptml.files.os.fsync", full)
        with pytest.raises(KeySetError, match="No space left on device"):
            KeyStore(tmp_path).save(circuit, keys)
        assert list(tmp_path.iterdir()) == []
