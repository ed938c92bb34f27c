"""Honest services of the tiny network, recorded: what they answered to one client about one region."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import numpy as np
from cryptml_client import KeyStore

from cryptml.bundle import ClientBundle, ServerStep
from cryptml.bundle.build import build_bundle
from cryptml.errors import CryptmlError
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.files import sha256
from cryptml.networks import FloatArray, IntArray, Network, load_network
from cryptml.runtime import Timings, run_split
from cryptml.splits import Split
from cryptml.verification.local_service import local_service

MODEL = "tiny"
SPLITS = {"CCSSS": False, "SSCSS": True, "SCSCS": False}
"""Splits that are played, and whether their segments share keys: one segment, two with tables, three without (whose keys are small)."""

V1 = f"/v1/models/{MODEL}"
SECONDS = 60.0

ROUTES = (
    ("models", "GET", r"/v1/models"),
    ("manifest", "GET", r"/v1/models/[^/]+/client-bundle"),
    ("file", "GET", r"/v1/models/[^/]+/client-bundle/[^/]+"),
    ("keys", "HEAD", r"/v1/models/[^/]+/evaluation-keys/[^/]+"),
    ("upload", "PATCH", r"/v1/models/[^/]+/evaluation-keys/[^/]+"),
    ("evaluation", "POST", r"/v1/models/[^/]+/segments/\d+/evaluations"),
    ("job", "GET", r"/v1/jobs/[^/]+"),
    ("result", "GET", r"/v1/jobs/[^/]+/result"),
    ("delete", "DELETE", r"/v1/jobs/[^/]+"),
)


@dataclass(frozen=True)
class Request:
    """What a client sent.

    Attributes:
        method: Of HTTP.
        target: Path and query.
        headers: By small letters.
        body: All of it.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def step(self) -> str:
        """What it is for: a name of `ROUTES`, ``submit`` for an evaluation as a job, ``unknown`` for what no client should ask."""
        found = [
            name for name, method, path in ROUTES if method == self.method and re.fullmatch(path, self.path) is not None
        ]
        if found == ["evaluation"] and "prefer" in self.headers:
            return "submit"
        return found[0] if found else "unknown"

    @property
    def segment(self) -> int:
        """Number of the server segment that an evaluation is of."""
        found = re.search(r"/segments/(\d+)/", self.path)
        return int(found[1]) if found else 0


@dataclass(frozen=True)
class Response:
    """What a service answers.

    Attributes:
        status: Of HTTP.
        body: All of it.
        headers: Beside its length.
        reason: Behind the status.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    reason: bytes = b"OK"

    def wire(self, method: str = "GET") -> bytes:
        """Return it as it goes over the wire."""
        has_body = method != "HEAD" and self.status not in (204, 304)
        length = ((b"Content-Length", b"%d" % len(self.body)),) if has_body else ()
        lines = [b"HTTP/1.1 %d %s" % (self.status, self.reason)]
        lines += [name + b": " + value for name, value in (*self.headers, *length)]
        return b"\r\n".join([*lines, b"", self.body if has_body else b""])

    def head(self, *more: tuple[bytes, bytes], length: bool = False) -> bytes:
        """Return the head alone, with more headers, without a length unless asked for."""
        headers = (*self.headers, *more)
        whole = replace(self, headers=headers).wire() if length else replace(self, headers=headers).wire("HEAD")
        return whole[: whole.index(b"\r\n\r\n") + 4]

    def given(self, name: bytes, value: bytes | None) -> Response:
        """Return the answer with one header replaced, or without it."""
        rest = tuple(each for each in self.headers if each[0].lower() != name.lower())
        return replace(self, headers=rest if value is None else (*rest, (name, value)))


@dataclass
class Play:
    """One service, as it was recorded.

    Attributes:
        split: Of its bundle.
        manifest: The bundle's.
        files: That the manifest names.
        region: That the client asks about, (side, side) float32 in [0, 1].
        integers: The right answer about it.
        label: Its name.
        steps: The server segments.
        inputs: What each reads of that region, in the clear.
        ciphertexts: What the client sent for each.
        results: What the service answered for each, by segment: under the client's own key.
        key_sets: By segment.
        answers: By step and, for results, segment.
    """

    split: str
    manifest: bytes
    files: dict[str, bytes]
    region: FloatArray
    integers: list[int] = field(default_factory=list)
    label: str = ""
    steps: tuple[ServerStep, ...] = ()
    inputs: dict[int, IntArray] = field(default_factory=dict)
    ciphertexts: dict[int, bytes] = field(default_factory=dict)
    results: dict[int, Response] = field(default_factory=dict)
    key_sets: dict[int, KeySet] = field(default_factory=dict)
    answers: dict[str, Response] = field(default_factory=dict)

    def honest(self, request: Request) -> Response:
        """Return what the service that was recorded would answer, its keys being there."""
        step = request.step
        if step == "file":
            data = self.files.get(request.path.rpartition("/")[2])
            return NOT_FOUND if data is None else Response(200, data, OCTETS)
        if step in ("evaluation", "result"):
            number = request.segment if step == "evaluation" else int(request.path.split("/")[3], 16) % 16
            return self.results.get(number, NOT_FOUND)
        if step in ("submit", "job"):
            number = request.segment if step == "submit" else int(request.path.split("/")[3], 16) % 16
            answer = self.answers[step]
            return replace(answer, body=answer.body.replace(b"0" * 32, b"%032x" % number))
        if step == "upload":
            return self._uploaded(request)
        return self.answers.get(step, NOT_FOUND)

    def _uploaded(self, request: Request) -> Response:
        there = int(request.headers.get("upload-offset", "0")) + len(request.body)
        if there >= int(request.headers.get("upload-length", "0")):
            return self.answers["uploaded"]
        return self.answers["upload"].given(b"Upload-Offset", b"%d" % there)


OCTETS = ((b"Content-Type", b"application/octet-stream"),)
NOT_FOUND = Response(
    404,
    b'{"type":"urn:cryptml:problem:not-found","title":"Not found","status":404,"detail":"there is no such thing"}',
    ((b"Content-Type", b"application/problem+json"),),
    b"Not Found",
)


def recorded(answer: httpx.Response) -> Response:
    """Return an answer of a live service."""
    left_out = (b"content-length", b"transfer-encoding", b"connection", b"date", b"server")
    headers = tuple((name, value) for name, value in answer.headers.raw if name.lower() not in left_out)
    return Response(answer.status_code, answer.content, headers, answer.reason_phrase.encode())


def record(work: Path, keys: KeyStore, splits: Mapping[str, bool] | None = None) -> dict[str, Play]:
    """Build bundles, serve them for a while, and keep what was answered; the client's keys lie in its store then.

    Args:
        work: An empty folder.
        keys: Of the client.
        splits: Of `SPLITS`, all if None.
    """
    network = load_network(MODEL)
    side = network.front_end.side
    region = np.random.default_rng(5).random((side, side), dtype=np.float32)
    plays = {}
    for split, share in (splits or SPLITS).items():
        built = build_bundle(network, Split(split), work / split, backend=compile_integer_program, share_keys=share)
        client = built.folder / "client"
        bundle = ClientBundle.load(client)
        files = {path.name: path.read_bytes() for path in client.iterdir()}
        play = Play(split, files.pop("manifest.json"), files, region, steps=bundle.server_steps)
        with local_service([built.folder], work / f"{split}-data") as running:
            _ask(play, bundle, network, running.url, keys)
        plays[split] = play
    return plays


class _Recorder:
    """Evaluates segments at a live service and keeps its answers."""

    def __init__(self, play: Play, http: httpx.Client) -> None:
        self._play = play
        self._http = http

    def evaluate(self, step: ServerStep, values: IntArray, timings: Timings) -> IntArray:  # noqa: ARG002
        play, keys = self._play, self._play.key_sets[step.index]
        circuit = ClientCircuit(step.circuit, keys)
        names = {"CryptML-Circuit": sha256(step.circuit.client_specs), "CryptML-Evaluation-Keys": keys.digest}
        address = f"{V1}/segments/{step.index}/evaluations"
        ciphertext = circuit.encrypt(values)
        answer = self._http.post(address, content=ciphertext, headers=names).raise_for_status()
        play.inputs[step.index], play.ciphertexts[step.index] = values, ciphertext
        play.results[step.index] = recorded(answer)
        if "job" not in play.answers:
            submitted = self._http.post(address, content=ciphertext, headers={**names, "Prefer": "respond-async"})
            name = submitted.raise_for_status().json()["job"]
            done = self._http.get(f"/v1/jobs/{name}", headers={"Prefer": "wait=30"}).raise_for_status()
            deleted = self._http.delete(f"/v1/jobs/{name}")
            for what, each in (("submit", submitted), ("job", done), ("delete", deleted)):
                found = recorded(each)
                play.answers[what] = replace(found, body=found.body.replace(name.encode(), b"0" * 32)).given(
                    b"location", None
                )
        return circuit.decrypt(answer.content)


def _ask(play: Play, bundle: ClientBundle, network: Network, url: str, store: KeyStore) -> None:
    with httpx.Client(base_url=url, timeout=SECONDS) as http:
        play.answers["models"] = recorded(http.get("/v1/models").raise_for_status())
        manifest = http.get(f"{V1}/client-bundle").raise_for_status()
        if manifest.content != play.manifest:
            raise CryptmlError("the service serves another manifest than was built")
        play.answers["manifest"] = recorded(manifest)
        for step in bundle.server_steps:
            keys = store.load(step.circuit)
            if keys is None:
                keys = KeySet.generate(step.circuit)
                store.save(step.circuit, keys)
            play.key_sets[step.index] = keys
            address = f"{V1}/evaluation-keys/{keys.digest}?segment={step.index}"
            play.answers.setdefault("no keys", recorded(http.head(address)))
            data, there = keys.evaluation_keys, 0
            while http.head(address).status_code != httpx.codes.OK:
                names = {
                    "CryptML-Circuit": sha256(step.circuit.client_specs),
                    "Upload-Offset": str(there),
                    "Upload-Length": str(len(data)),
                }
                part = data[there : there + max(1, len(data) // 2)]
                answer = http.patch(address, content=part, headers=names).raise_for_status()
                there += len(part)
                play.answers["uploaded" if there == len(data) else "upload"] = recorded(answer)
            play.answers["keys"] = recorded(http.head(address))
        found = run_split(bundle, play.region, _Recorder(play, http))
    expected = network.run(network.quantise(play.region[None]))[0]
    play.integers, play.label = found.integers.tolist(), found.label
    if play.integers != expected.tolist():
        raise CryptmlError(f"the service answers {play.integers}, in the clear it is {expected.tolist()}")
