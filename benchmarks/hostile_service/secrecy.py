"""Whether all that a client sends is accounted for: known names, its evaluation keys, and ciphertexts under checked parameters."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from cryptml_client import KeyStore
from numpy.typing import NDArray

from benchmarks.hostile_service.plays import Play, Request
from benchmarks.hostile_service.stage import Log
from benchmarks.key_noise import secret_keys
from benchmarks.leaks import LEAST_VALUES, images_of, secret_key_images
from cryptml.fhe.circuit_spec import CircuitSpec
from cryptml.fhe.framing import is_whole
from cryptml.fhe.parameters import OVERHEAD_BYTES
from cryptml.fhe.security import log2_deviation
from cryptml.files import sha256
from cryptml.networks import FloatArray, load_network
from cryptml.splits import Segment

TORUS_BITS = 64
MUCH_BYTES = 1 << 20
"""Of evaluation keys, which come again and again: each part is looked through once."""

LEAST_SAMPLES = 96
"""Of noise; their deviation is known to 7 % then."""

MOST_OFF = 0.3
"""Of the deviation of noise from what it is to be: four times that."""

Words = NDArray[np.uint64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """What was seen behind the masks of ciphertexts.

    Attributes:
        samples: How many.
        ratio: Of its deviation to that of the security curve.
    """

    samples: int
    ratio: float

    @property
    def is_right(self) -> bool:
        """Whether it is on the curve, to within what so many samples can tell."""
        return abs(self.ratio - 1) <= MOST_OFF


HEADERS = {
    "host": r"127\.0\.0\.1:\d+",
    "accept": r"\*/\*",
    "accept-encoding": "identity",
    "connection": "keep-alive",
    "user-agent": r"cryptml/[\w.]+",
    "content-length": r"\d{1,10}",
    "content-type": "application/octet-stream",
    "cryptml-circuit": "[0-9a-f]{64}",
    "cryptml-evaluation-keys": "[0-9a-f]{64}",
    "upload-offset": r"\d{1,10}",
    "upload-length": r"\d{1,10}",
    "prefer": r"respond-async|wait=\d{1,3}",
    "idempotency-key": "[0-9a-f]{32}",
}
"""All that a client says in a head, and how."""

PATHS = (
    r"/v1/models",
    r"/v1/models/[a-z0-9-]{1,64}/client-bundle(/[a-z0-9][a-z0-9.-]{0,79})?",
    r"/v1/models/[a-z0-9-]{1,64}/evaluation-keys/[0-9a-f]{64}\?segment=\d{1,3}",
    r"/v1/models/[a-z0-9-]{1,64}/segments/\d{1,3}/evaluations",
    r"/v1/jobs/[0-9a-f]{32}(/result)?",
)


class Watch:
    """Looks at everything that a client sends.

    Args:
        plays: What is known of the picture and of what comes of it.
        keys: The client's.
    """

    def __init__(self, plays: dict[str, Play], keys: KeyStore) -> None:
        self.patterns = [*_of_the_picture(plays), *(("secret key", image) for image in secret_key_images(keys))]
        self._keys = keys
        self._noise: list[Floats] = []
        self.ciphertexts = 0
        self.bytes = 0
        self._seen: dict[str, tuple[int, str]] = {}
        self._looked: set[str] = set()
        self._runs = 0

    def look(self, play: Play, log: Log, *, foreign: bool) -> Iterator[str]:
        """Yield what is wrong with what came during one run.

        Args:
            play: The honest one.
            log: What came.
            foreign: Whether the service described circuits or keys of its own, so that these may be asked for.
        """
        self._runs += 1
        for piece in log.raw:
            self.bytes += len(piece)
            head, _, body = piece.partition(b"\r\n\r\n")
            digest = sha256(body) if len(body) > MUCH_BYTES else None
            looked = head if digest in self._looked else piece
            if digest is not None:
                self._looked.add(digest)
            yield from (f"{what} was sent" for what, image in self.patterns if image in looked)
        for request in log.requests:
            yield from self._unaccounted(play, request, foreign=foreign)

    def _unaccounted(self, play: Play, request: Request, *, foreign: bool) -> Iterator[str]:
        for name, value in request.headers.items():
            if name not in HEADERS or re.fullmatch(HEADERS[name], value) is None:
                yield f"a header {name}: {value[:60]!r} was sent"
        if not any(re.fullmatch(path, request.target) for path in PATHS):
            yield f"{request.method} {request.target[:80]!r} was asked"
        if not request.body:
            return
        if request.step == "upload":
            yield from self._not_keys(play, request, foreign=foreign)
        elif request.step in ("evaluation", "submit"):
            yield from self._not_encrypted(play, request, foreign=foreign)
        else:
            yield f"{len(request.body)} bytes were sent with {request.method} {request.path}"

    def _not_keys(self, play: Play, request: Request, *, foreign: bool) -> Iterator[str]:
        start = int(request.headers.get("upload-offset", "0"))
        known = [keys.evaluation_keys[start : start + len(request.body)] for keys in play.key_sets.values()]
        if request.body not in known and not foreign:
            yield "something else than the evaluation keys was uploaded"

    def _not_encrypted(self, play: Play, request: Request, *, foreign: bool) -> Iterator[str]:
        body = request.body
        if self._seen.setdefault(sha256(body), (self._runs, request.path)) != (self._runs, request.path):
            yield "the same ciphertext was sent for another evaluation"  # for the same one it may be sent again
        self.ciphertexts += 1
        if not is_whole(body):
            yield "a body was sent that is no message of Concrete"
        if foreign or not 0 <= request.segment < len(play.steps):
            return
        step = play.steps[request.segment]
        size = step.circuit.parameters.input_bytes
        if len(body) != len(play.ciphertexts[request.segment]) or not size <= len(body) <= size + OVERHEAD_BYTES:
            yield f"a ciphertext of {len(body)} bytes was sent, {size} and a head were to be"
        elif body[:16] != play.ciphertexts[request.segment][:16]:
            yield "a ciphertext was sent whose head is another"

    def look_behind_the_mask(self, circuit: CircuitSpec, request: Request) -> Iterator[str]:
        """Yield what is wrong with a ciphertext that is not seeded, looked at with the client's own secret key.

        Args:
            circuit: That it was made for.
            request: That carried it.
        """
        parameters, keys = circuit.parameters, self._keys.load(circuit)
        if keys is None:
            yield "a ciphertext was sent under keys that the client has not kept"
            return
        document = json.loads(circuit.client_specs)
        encryption = document["circuits"][0]["inputs"][0]["typeInfo"]["lweCiphertext"]["encryption"]
        secret = secret_keys(keys.keys, document)[encryption["keyId"]]
        start = _payload(request.body, parameters.input_bytes)
        if start is None:
            yield f"a ciphertext of {len(request.body)} bytes has no payload of {parameters.input_bytes}"
            return
        words = np.frombuffer(request.body[start : start + parameters.input_bytes], "<u8").reshape(-1, len(secret) + 1)
        phases = words[:, -1] - words[:, :-1][:, secret.astype(bool)].sum(axis=1, dtype=np.uint64)
        step = np.uint64(1) << np.uint64(TORUS_BITS - 1 - parameters.input_encoding.width)
        self._noise.append(_residues(phases, step) * 2.0 ** -(TORUS_BITS + log2_deviation(len(secret))))

    def noise(self) -> Noise | None:
        """Return what was seen of the noise, None where that were too few samples."""
        every = np.concatenate([np.zeros(0), *self._noise])
        if len(every) < LEAST_SAMPLES:
            return None
        return Noise(len(every), float(np.sqrt(np.mean(np.square(every)))))


def _residues(phases: Words, step: np.uint64) -> NDArray[np.int64]:
    """Return how far each phase is from the nearest message."""
    half = step >> np.uint64(1)
    return ((phases + half) % step).astype(np.int64) - np.int64(half)


def _payload(data: bytes, size: int) -> int | None:
    """Return where so many bytes of payload begin (Cap'n Proto: behind a pointer to a list of bytes)."""
    for place in range(0, 256, 8):
        (word,) = struct.unpack_from("<Q", data, place)
        if word & 3 == 1 and word >> 35 == size:
            return place + 8
    return None


def _of_the_picture(plays: dict[str, Play]) -> Iterator[tuple[str, bytes]]:
    network = load_network("tiny")
    for play in plays.values():
        region = play.region
        picture = np.repeat(np.repeat(region, 8, 0), 8, 1)
        yield from (("the picture", image) for image in images_of(picture))
        for what, values in (("the region", region), ("the front end", network.front_end.apply(region[None]))):
            yield from ((what, image) for image in images_of(values))
            yield from ((what, image) for image in _grey(values))
        first = network.quantise(region[None])
        for stop in range(len(network) + 1):
            reached = network.run(first, Segment(0, stop)) if stop else first
            yield from ((f"boundary {stop}", image) for image in images_of(reached))
            if reached.size < LEAST_VALUES:  # few values: looked for where they take many bytes
                kinds = ("<i8", ">i8", "<f8", ">f8") if reached.size < 8 else ("<i8", ">i8", "<i4", ">i4", "<f4", "<f8")
                yield from ((f"boundary {stop}", reached.astype(kind).tobytes()) for kind in kinds)


def _grey(values: FloatArray) -> Iterator[bytes]:
    for depth, kinds in ((255, ("u1",)), (65535, ("<u2", ">u2"))):
        scaled = np.rint(np.clip(values, 0, 1) * depth).ravel()
        yield from (scaled.astype(kind).tobytes() for kind in kinds)
