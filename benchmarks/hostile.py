"""Sends thousands of hostile requests to a live service, and says what became of them and of the service.

PYTHONPATH=. python benchmarks/hostile.py
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import platform
import random
import re
import socket
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import schemathesis
from cryptml_server.app import open_database
from cryptml_server.settings import Settings
from cryptml_server.tenants import Quotas, TenantStore
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import Case, GenerationMode

from cryptml.bundle import ClientBundle
from cryptml.bundle.build import build_bundle
from cryptml.cli.local_service import LocalService, local_service
from cryptml.errors import CryptmlError
from cryptml.fhe.backends.integer import compile_integer_program
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.files import sha256
from cryptml.networks import load_network
from cryptml.profiler.machine import describe_machine
from cryptml.profiler.memory import resident_bytes
from cryptml.splits import Split

SEED = 20240607
THREADS = 4
WORKERS = 2
INTRUDERS = 3
"""Tenants that send mutated ciphertexts and keys; each is told to wait once it has cost ten workers."""

PATIENCE_SECONDS = 60.0
BRIEF_SECONDS = 0.25
"""After which a request that never ends is left."""

WARM_UP = 1000
MOST_GROWTH = 64 << 20
EVALUATION_SECONDS = 5
SETTLE_SECONDS = 60.0
CLASSES = ("2xx", "3xx", "4xx", "503", "other 5xx", "closed", "left")
CANARY = b"canary-5f1c0a9e"
INSIDE = b'{"status":"live"}'
"""What a smuggled request would be answered with."""

V1 = "/v1/models/tiny"
EVALUATIONS = f"{V1}/segments/0/evaluations"


@dataclass
class Answer:
    """What came back.

    Attributes:
        status: Of the first answer; None where the connection was closed without one, or left.
        left: Whether the request was given up by its sender.
        raw: All bytes.
    """

    status: int | None
    left: bool
    raw: bytes

    @property
    def kind(self) -> str:
        """One of `CLASSES`."""
        if self.status is None:
            return "left" if self.left else "closed"
        if self.status == 503:
            return "503"
        return "other 5xx" if self.status >= 500 else f"{self.status // 100}xx"


@dataclass(frozen=True)
class Shot:
    """A request as it goes over the wire.

    Attributes:
        data: Its bytes.
        brief: Whether it never ends, so that it is left soon.
        forbidden: Whether an answer that it succeeded is wrong.
        secret: Bytes that the answer must not have.
    """

    data: bytes
    brief: bool = False
    forbidden: bool = False
    secret: bytes = CANARY


@dataclass
class Tally:
    """All answers.

    Attributes:
        counts: By kind of request and class of answer.
        wrong: What should not have been answered so.
        seconds: That each kind took.
    """

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    statuses: Counter[int | None] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """Requests so far."""
        return sum(sum(found.values()) for found in self.counts.values())

    def add(self, kind: str, shot: Shot, answer: Answer) -> None:
        """Count an answer."""
        self.counts.setdefault(kind, Counter())[answer.kind] += 1
        self.statuses[answer.status] += 1
        said = f"{kind}: {answer.status} for {shot.data[:120]!r}"
        if answer.kind == "other 5xx":
            self.wrong.append(f"{said}: {answer.raw[-300:]!r}")
        if shot.forbidden and answer.kind in ("2xx", "3xx"):
            self.wrong.append(said)
        if shot.secret in answer.raw or CANARY in answer.raw or b"root:x:" in answer.raw:
            self.wrong.append(f"{said}: the answer holds what it must not")


class Target:
    """A service of the tiny network, an honest tenant and several others.

    Args:
        work: An empty folder.
    """

    def __init__(self, work: Path) -> None:
        self.work = work
        self.data = work / "service" / "data"
        self.data.mkdir(parents=True)
        self.bundle = build_bundle(
            load_network("tiny"), Split("CCSSS"), work / "bundle", backend=compile_integer_program
        )
        (work / "service" / "secret.txt").write_bytes(CANARY)
        (work / "secret.txt").write_bytes(CANARY)
        (step,) = ClientBundle.load(self.bundle.folder / "client").server_steps
        self.circuit = step.circuit
        self.identity = sha256(self.circuit.client_specs)
        self.keys = KeySet.generate(self.circuit)
        self.client = ClientCircuit(self.circuit, self.keys)
        self.values = np.ones((1, *self.circuit.reads.shape), dtype=np.int64)
        self.expected = load_network("tiny").run(self.values, self.circuit.segment)
        self.ciphertext = self.client.encrypt(self.values)
        database = open_database(Settings(data=self.data))
        store, quotas = TenantStore(database), Quotas(daily_evaluations=1_000_000)
        self.clinic = store.add("clinic", quotas)[1]
        self.intruders = [store.add(f"intruder{number}", quotas)[1] for number in range(INTRUDERS)]
        database.close()
        self.jobs: list[str] = []

    def service(self, stack: ExitStack) -> LocalService:
        """Start the service; everybody stores the same keys, and the honest tenant makes some jobs."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.metrics_port = free.getsockname()[1]
        variables = {
            "CRYPTML_WORKERS": str(WORKERS),
            "CRYPTML_METRICS_PORT": str(self.metrics_port),
            "CRYPTML_EVALUATION_SECONDS": str(EVALUATION_SECONDS),
        }
        running = stack.enter_context(local_service([self.bundle.folder], self.data, variables, anonymous=False))
        self.url = running.url
        parts = urlsplit(running.url)
        self.address = (str(parts.hostname), int(parts.port or 0))
        for token in (self.clinic, *self.intruders):
            with self.http(token) as http:
                http.put(
                    f"{V1}/evaluation-keys/{self.keys.digest}?segment=0",
                    content=self.keys.evaluation_keys,
                    headers={"CryptML-Circuit": self.identity},
                ).raise_for_status()
        with self.http(self.clinic) as http:
            for _ in range(10):
                made = http.post(EVALUATIONS, content=self.ciphertext, headers=self.names | {"Prefer": "respond-async"})
                self.jobs.append(made.raise_for_status().json()["job"])
        return running

    @contextmanager
    def http(self, token: str) -> Iterator[httpx.Client]:
        """A client with a tenant's token."""
        with httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_SECONDS
        ) as http:
            yield http

    @cached_property
    def names(self) -> dict[str, str]:
        """Headers that name circuit and keys."""
        return {"CryptML-Circuit": self.identity, "CryptML-Evaluation-Keys": self.keys.digest}

    def is_right(self) -> bool:
        """Whether the honest tenant's evaluation decrypts to what the network gives in the clear."""
        deadline = time.monotonic() + SETTLE_SECONDS
        with self.http(self.clinic) as http:
            while True:
                answer = http.post(EVALUATIONS, content=self.ciphertext, headers=self.names)
                if answer.status_code != 503 or time.monotonic() > deadline:
                    break
                time.sleep(1)
        return answer.status_code == 200 and np.array_equal(self.client.decrypt(answer.content), self.expected)

    def lost_workers(self) -> int:
        """Workers that were lost so far, by the service's own metrics."""
        text = httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=PATIENCE_SECONDS).text
        found = re.search(r"^cryptml_workers_lost_total (\S+)$", text, re.MULTILINE)
        if found is None:
            raise CryptmlError("the metrics do not say how many workers were lost")
        return int(float(found[1]))

    def send(self, shot: Shot) -> Answer:
        """Send a request over a connection of its own, and take what comes until it is closed."""
        raw, left = bytearray(), False
        try:
            with socket.create_connection(self.address, timeout=PATIENCE_SECONDS) as connection:
                with suppress(OSError):  # it may be answered before its end
                    connection.sendall(shot.data)
                connection.settimeout(BRIEF_SECONDS if shot.brief else PATIENCE_SECONDS)
                while block := connection.recv(1 << 16):
                    raw += block
        except TimeoutError:
            left = True
        except OSError:
            pass
        found = re.match(rb"HTTP/1\.[01] (\d{3})", raw)
        return Answer(int(found[1]) if found else None, left, bytes(raw))


Maker = Callable[[random.Random, int], Shot]


class Arsenal:
    """Makes hostile requests, the same ones for a seed.

    Args:
        target: What exists there.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.token = target.intruders[-1]
        self.stored = f"{V1}/evaluation-keys/{target.keys.digest}"
        self.bomb = b"\0" * (64 << 20)
        self.bombs = {
            "gzip": gzip.compress(self.bomb, 9),
            "deflate": zlib.compress(self.bomb, 9),
            "br": bytes.fromhex("8b7f80") + bytes(4096),
        }

    def kinds(self) -> dict[str, tuple[Maker, int]]:
        """What is made, with its share of the requests."""
        return {
            "wrong tokens": (self.wrong_token, 1200),
            "methods that do not exist": (self.method, 800),
            "addresses that leave the folder": (self.traversal, 2500),
            "others' jobs and keys": (self.others, 1200),
            "lengths and offsets": (self.lengths, 1200),
            "two lengths at once (smuggling)": (self.smuggling, 700),
            "headers: many, long, strange": (self.headers, 700),
            "chunked bodies that lie or never end": (self.chunked, 500),
            "compressed bombs": (self.compressed, 200),
            "JSON bombs": (self.json_bomb, 400),
            "keys in parts, mutated": (self.parts, 300),
            "keys, mutated": (self.whole_keys, 60),
            "ciphertexts: longer or shorter": (self.resized, 700),
            "ciphertexts: heads mutated": (self.heads, 700),
            "ciphertexts: bits flipped": (self.flipped, 300),
        }

    def request(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        *,
        token: str | None = None,
    ) -> bytes:
        """Return a well-formed request."""
        given = {
            "Host": "localhost",
            "Connection": "close",
            "Authorization": f"Bearer {token or self.token}",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("utf-8", "surrogateescape") + body

    def raw(self, method: str, path: str, lines: list[bytes], body: bytes = b"") -> bytes:
        """Return a request of lines as they are, behind a token and the names of circuit and keys."""
        usual = {"Host": "localhost", "Authorization": f"Bearer {self.token}", **self.target.names}
        head = [f"{name}: {value}".encode() for name, value in usual.items()]
        return b"\r\n".join([f"{method} {path} HTTP/1.1".encode(), *head, *lines, b"", body])

    def wrong_token(self, rng: random.Random, _: int) -> Shot:
        token = self.target.clinic
        name, _, secret = token.partition(".")
        tokens = [
            "",
            name,
            f".{secret}",
            f"{name}.",
            token[:-1],
            token[:-1] + ("A" if token[-1] != "A" else "B"),
            token + "=",
            token.upper(),
            token.swapcase(),
            f"{name}.{'A' * 43}",
            f"{'0' * 16}.{secret}",
            f"{self.target.intruders[0].partition('.')[0]}.{secret}",
            "' OR 1=1 --",
            "%00",
            "null",
            "A" * rng.choice([100, 5000, 20000]),
            rng.randbytes(32).hex(),
            token + " " + token,
        ]
        scheme = rng.choice(["Bearer", "bearer", "Basic", "Digest", "", "Bearer Bearer", "Bearer,"])
        if scheme.lower() != "bearer":
            tokens.append(token)
        chosen = rng.choice(tokens)
        method, path = rng.choice(
            [
                ("GET", "/v1/models"),
                ("GET", "/v1/jobs"),
                ("GET", f"/v1/jobs/{self.target.jobs[0]}"),
                ("HEAD", f"{self.stored}?segment=0"),
            ]
        )
        return Shot(self.request(method, path, {"Authorization": f"{scheme} {chosen}"}), forbidden=True)

    def method(self, rng: random.Random, _: int) -> Shot:
        methods = [
            "TRACE",
            "CONNECT",
            "OPTIONS",
            "PROPFIND",
            "PURGE",
            "DEBUG",
            "TRACK",
            "get",
            "G" * 3000,
            "POST",
            "PUT",
            "M-SEARCH",
        ]
        methods += ["DELETE", "PATCH", "\x01", "GET\t", "%47ET", "GET GET", "{}"]
        path = rng.choice(
            ["/v1/models", V1, "/v1/jobs", "/v1/health/live", "/openapi.json", "*", "http://example.org/v1/models"]
        )
        return Shot(self.request(rng.choice(methods), path), forbidden=True)

    def traversal(self, rng: random.Random, _: int) -> Shot:
        dots = rng.choice(
            [
                "..",
                "%2e%2e",
                "%252e%252e",
                ".%2e",
                "%c0%ae%c0%ae",
                "\uff0e\uff0e",
                "..%00",
                "%u002e%u002e",
                "....",
                "%2e%2e%00",
                "..;",
            ]
        )
        slash = rng.choice(["/", "%2f", "%252f", "\\", "%5c", "%c0%af", "//", "/./", "\u2215", "%ef%bc%8f"])
        files = [
            "secret.txt",
            "etc/passwd",
            "data/cryptml.db",
            "cryptml.db",
            "manifest.json",
            "server/manifest.json",
            "proc/self/environ",
        ]
        name = (
            (dots + slash) * rng.randint(1, 12)
            + rng.choice(files)
            + rng.choice(["", "%00", "%00.json", "%0a", "?", "#", "."])
        )
        beginning = rng.choice(
            [
                f"{V1}/client-bundle/",
                "/v1/models/",
                f"{V1}/evaluation-keys/",
                "/v1/jobs/",
                "/",
                "/v1/",
                "",
                "file:///",
                f"{V1}/segments/",
                f"{V1}/client-bundle/%00",
                f"{V1}/client-bundle//",
            ]
        )
        method = rng.choice(["GET", "GET", "GET", "HEAD", "DELETE", "PUT"])
        return Shot(self.request(method, beginning + name, {"CryptML-Circuit": self.target.identity}), forbidden=True)

    def others(self, rng: random.Random, _: int) -> Shot:
        job = rng.choice(self.target.jobs)
        digest = hashlib.sha256(rng.randbytes(8)).hexdigest()
        keys = {"CryptML-Circuit": self.target.identity, "CryptML-Evaluation-Keys": digest}
        method, path, head, body = rng.choice(
            [
                ("GET", f"/v1/jobs/{job}", {}, b""),
                ("GET", f"/v1/jobs/{job}", {"Prefer": "wait=1"}, b""),
                ("GET", f"/v1/jobs/{job}/result", {}, b""),
                ("DELETE", f"/v1/jobs/{job}", {}, b""),
                ("GET", f"/v1/jobs/{rng.randbytes(16).hex()}", {}, b""),
                ("GET", f"/v1/jobs/{job.upper()}/", {}, b""),
                ("GET", f"/v1/jobs/{job}%00", {}, b""),
                ("HEAD", f"{V1}/evaluation-keys/{digest}?segment=0", {}, b""),
                ("DELETE", f"{V1}/evaluation-keys/{digest}?segment=0", {}, b""),
                ("DELETE", f"{self.stored}?segment={rng.choice([1, 255, 256, -1, '0x0', '1e0'])}", {}, b""),
                ("POST", EVALUATIONS, keys, self.target.ciphertext),
                ("POST", EVALUATIONS, keys | {"Prefer": "respond-async"}, self.target.ciphertext),
            ]
        )
        return Shot(self.request(method, path, head, body), forbidden=True)

    def number(self, rng: random.Random) -> str:
        """A length that is none, or far from one."""
        size = len(self.target.keys.evaluation_keys)
        fixed = [
            "-1",
            "0",
            "1",
            "00",
            "+5",
            "0x10",
            "1e9",
            "1.5",
            " ",
            "",
            "NaN",
            "1,1",
            "5, 5",
            "\u0661".encode().decode("latin-1"),
        ]
        fixed += [
            str(2**31),
            str(2**32),
            str(2**50),
            str(2**50 + 1),
            str(2**63),
            str(2**64),
            "9" * 19,
            "9" * 400,
            "9" * 5000,
            "-" + "9" * 30,
        ]
        return rng.choice([*fixed, str(size), str(size - 1), str(rng.getrandbits(40))])

    def lengths(self, rng: random.Random, _: int) -> Shot:
        number, small = self.number(rng), rng.randbytes(rng.randint(0, 64))
        digest = rng.randbytes(32).hex()
        where = rng.randrange(4)
        if where == 0:
            method, path = rng.choice(
                [("POST", EVALUATIONS), ("PUT", f"{V1}/evaluation-keys/{digest}?segment=0"), ("GET", "/v1/models")]
            )
            lines = [b"Connection: close", f"Content-Length: {number}".encode("latin-1")]
            return Shot(self.raw(method, path, lines, small), brief=True)
        offset, length = (number, str(len(self.target.keys.evaluation_keys))) if where == 1 else ("0", number)
        if where == 3:
            offset, length = self.number(rng), number
        lines = [
            b"Connection: close",
            f"Upload-Offset: {offset}".encode("latin-1"),
            f"Upload-Length: {length}".encode("latin-1"),
        ]
        lines.append(f"Content-Length: {len(small)}".encode())
        return Shot(self.raw("PATCH", f"{V1}/evaluation-keys/{digest}?segment=0", lines, small))

    def smuggling(self, rng: random.Random, _: int) -> Shot:
        inner = b"GET /v1/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
        encodings = [
            b"Transfer-Encoding: chunked",
            b"Transfer-Encoding : chunked",
            b"Transfer-Encoding:\tchunked",
            b"Transfer-Encoding: xchunked",
            b"Transfer-Encoding: chunked, identity",
            b"Transfer-Encoding: identity",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            b" Transfer-Encoding: chunked",
            b"X: x\r\n Transfer-Encoding: chunked",
            b"X: x\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: \x0bchunked",
            b"transfer-encoding: CHUNKED",
        ]
        body = b"0\r\n\r\n" + inner
        length = rng.choice([len(body), 5, len(body) + 10, 3])
        lines = [f"Content-Length: {length}".encode(), rng.choice(encodings)]
        if rng.random() < 0.25:
            lines = [f"Content-Length: {length}".encode(), b"Content-Length: 0"]
            if rng.random() < 0.5:
                lines = [f"Content-Length: {length}, 0".encode()]
        rng.shuffle(lines)
        if b"Transfer-Encoding: chunked" in lines and length == 5:
            length = len(body)
        path = rng.choice([EVALUATIONS, "/v1/models", "/v1/nowhere"])
        refused = length == len(body)  # whatever is read of a shorter one, the rest is rightly a request of its own
        return Shot(self.raw("POST", path, lines, body), brief=True, secret=INSIDE if refused else CANARY)

    def headers(self, rng: random.Random, _: int) -> Shot:
        job = self.target.jobs[0]
        strange = bytes(rng.choice([*range(1, 32), *range(127, 256)]) for _ in range(rng.randint(1, 30)))
        lines = rng.choice(
            [
                [f"X-{number}: y".encode() for number in range(10_000)],
                [b"X: " + b"y" * (1 << 20)],
                [b"X" * (1 << 20) + b": y"],
                [b"X: " + strange],
                [b"X" + strange + b": y"],
                [b"X-Request-Id: " + strange],
                [b"X-Request-Id: " + b"a" * 30_000],
                [b"Host: evil.example"],
                [b"Authorization: Bearer x"] * 2,
                [b"CryptML-Circuit: " + b"0" * 64] * 3,
                [b"Prefer: " + b"wait=1," * 1000],
                [b"Prefer: wait=" + b"9" * rng.choice([5, 20, 200])],
                [b"Prefer: wait=-1; respond-async;;;,,,=" + strange],
                [b"Prefer: " + b"respond-async; " * 15],
                [b"Idempotency-Key: " + rng.choice([b"x", b"../" * 10, b"a" * 65, b"a" * 20_000, strange])],
                [
                    b"Upgrade: websocket",
                    b"Connection: Upgrade",
                    b"Sec-WebSocket-Key: eA==",
                    b"Sec-WebSocket-Version: 13",
                ],
                [b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABk"],
                [b"Expect: 200-ok"],
                [b"Range: bytes=0-,0-,0-,0-"],
                [b"Range: bytes=" + b"0-1," * 2000],
                [b"Range: bytes=-99999999999999999999"],
                [b"If-Range: " + strange, b"Range: bytes=0-0"],
                [b"Cookie: " + b"a=b; " * 3000],
                [b"X-Forwarded-For: " + b"1.1.1.1, " * 500],
                [b"Content-Type: " + strange],
                [b"no colon at all"],
                [b": no name"],
                [b""],
            ]
        )
        method, path = rng.choice(
            [
                ("GET", "/v1/models"),
                ("GET", f"/v1/jobs/{job}"),
                ("POST", EVALUATIONS),
                ("GET", f"{V1}/client-bundle/{sorted(self.target.bundle.client_files)[0]}"),
            ]
        )
        lines = [*lines, b"Connection: close"] if rng.random() < 0.9 else lines
        return Shot(self.raw(method, path, lines), brief=True)

    def chunked(self, rng: random.Random, _: int) -> Shot:
        lines = [b"Connection: close", b"Transfer-Encoding: chunked", b"Upload-Offset: 0"]
        lines.append(f"Upload-Length: {len(self.target.keys.evaluation_keys)}".encode())
        block = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
        body = rng.choice(
            [
                block * 20,
                b"5\r\nab",
                b"ffffffffffffffff\r\nabc",
                b"fffffffffffffffffffffffffff\r\nabc",
                b"-5\r\nabcde\r\n0\r\n\r\n",
                b"0x5\r\nabcde\r\n0\r\n\r\n",
                b"5;" + b"x" * 40_000 + b"\r\nabcde\r\n0\r\n\r\n",
                b"5\r\nabcdefgh\r\n0\r\n\r\n",
                b"zz\r\n",
                b"5\nabcde\n0\n\n",
                b"1\r\na\r\n" * 2000,
                b"0\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
                b"0\r\nContent-Length: 5\r\n\r\n",
                b"",
            ]
        )
        digest = rng.randbytes(32).hex()
        method, path = rng.choice(
            [
                ("POST", EVALUATIONS),
                ("PUT", f"{V1}/evaluation-keys/{digest}?segment=0"),
                ("PATCH", f"{V1}/evaluation-keys/{digest}?segment=0"),
                ("GET", "/v1/models"),
            ]
        )
        return Shot(self.raw(method, path, lines, body), brief=True)

    def compressed(self, rng: random.Random, _: int) -> Shot:
        coding = rng.choice(list(self.bombs))
        body = self.bombs[coding]
        method, path = rng.choice(
            [("POST", EVALUATIONS), ("PUT", f"{V1}/evaluation-keys/{rng.randbytes(32).hex()}?segment=0")]
        )
        head = {**self.target.names, "Content-Encoding": rng.choice([coding, f"{coding}, {coding}"])}
        return Shot(self.request(method, path, head, body), forbidden=True)

    def json_bomb(self, rng: random.Random, _: int) -> Shot:
        depth = rng.choice([1000, 100_000])
        bodies = [b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth, b'"' + b"\\u0000" * depth + b'"']
        bodies += [
            b"1" * depth,
            b'{"__proto__": {"x": 1}, "$ref": "file:///etc/passwd"}',
            json.dumps({"a": ["b"] * depth}).encode(),
        ]
        method, path = rng.choice(
            [
                ("POST", EVALUATIONS),
                ("PUT", f"{self.stored}0?segment=0"),
                ("POST", "/v1/jobs"),
                ("DELETE", "/v1/jobs/x"),
            ]
        )
        head = {
            **self.target.names,
            "Content-Type": rng.choice(
                ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]
            ),
        }
        return Shot(self.request(method, path, head, rng.choice(bodies)), forbidden=True)

    def _mutate(self, rng: random.Random, body: bytes, most: int) -> bytes:
        """Flip some bits, zero or repeat a piece."""
        found = bytearray(body)
        for _ in range(rng.choice([1, 1, 2, most])):
            # Where lengths and kinds stand decides more than the numbers do.
            place = rng.randrange(min(len(found), rng.choice([64, 512, len(found)])))
            found[place] ^= 1 << rng.randrange(8)
        if rng.random() < 0.2:
            start = rng.randrange(len(found) - 8)
            found[start : start + 8] = rng.choice([bytes(8), b"\xff" * 8, b"\xff" * 7 + b"\x7f"])
        return bytes(found)

    def parts(self, rng: random.Random, index: int) -> Shot:
        keys = self.target.keys.evaluation_keys
        digest = hashlib.sha256(bytes([index % 6])).hexdigest() if index % 3 else self.target.keys.digest[::-1]
        offset = rng.choice([0, 0, 1, len(keys) - 10, len(keys), len(keys) * 2, rng.randrange(len(keys))])
        size = rng.choice([0, 10, 4096, 1 << 16])
        head = {
            "CryptML-Circuit": self.target.identity,
            "Upload-Offset": str(offset),
            "Upload-Length": str(rng.choice([len(keys), len(keys), len(keys) - 1, len(keys) + 10])),
        }
        token = self.target.intruders[index % INTRUDERS]
        body = self._mutate(rng, keys[offset : offset + size] or b"0123456789", 20)
        return Shot(self.request("PATCH", f"{V1}/evaluation-keys/{digest}?segment=0", head, body, token=token))

    def whole_keys(self, rng: random.Random, index: int) -> Shot:
        keys = self._mutate(rng, self.target.keys.evaluation_keys, 200)
        size = rng.choice([len(keys), len(keys), len(keys) - rng.randint(1, 2000), len(keys) + rng.randint(1, 2000)])
        keys = (keys + rng.randbytes(2000))[:size]
        digest = hashlib.sha256(keys).hexdigest() if rng.random() < 0.9 else self.target.keys.digest[::-1]
        token = self.target.intruders[index % INTRUDERS]
        head = {"CryptML-Circuit": self.target.identity}
        return Shot(self.request("PUT", f"{V1}/evaluation-keys/{digest}?segment=0", head, keys, token=token))

    def resized(self, rng: random.Random, index: int) -> Shot:
        body = self.target.ciphertext
        body = (body + rng.randbytes(4096))[
            : max(0, len(body) + rng.choice([-1, 1, -8, 8, rng.randint(-len(body), 4096)]))
        ]
        token = self.target.intruders[index % INTRUDERS]
        return Shot(self.request("POST", EVALUATIONS, self.target.names, body, token=token))

    def heads(self, rng: random.Random, index: int) -> Shot:
        body = self.target.ciphertext
        body = self._mutate(rng, body[:64], 4) + body[64:]
        token = self.target.intruders[index % INTRUDERS]
        return Shot(self.request("POST", EVALUATIONS, self.target.names, body, token=token))

    def flipped(self, rng: random.Random, index: int) -> Shot:
        body = self._mutate(rng, self.target.ciphertext, 50)
        token = self.target.intruders[index % INTRUDERS]
        asked = {"Prefer": "respond-async"} if rng.random() < 0.1 else {}
        return Shot(self.request("POST", EVALUATIONS, self.target.names | asked, body, token=token))


def from_the_document(target: Target, tally: Tally, kind: str, examples: int) -> None:
    """Send what Schemathesis makes of the service's own OpenAPI document, right and wrong."""
    document = schemathesis.openapi.from_url(f"{target.url}/openapi.json")
    for found in document.get_all_operations():
        operation = found.ok()
        if operation is None:
            raise CryptmlError("Schemathesis cannot read the document")
        for mode in GenerationMode:
            if mode is GenerationMode.NEGATIVE and not list(operation.iter_parameters()) and not operation.body:
                continue

            @seed(SEED)
            @settings(
                max_examples=examples,
                database=None,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Case) -> None:
                path = case.path_parameters or {}
                if "model" in path and len(str(path["model"])) % 2:
                    case.path_parameters["model"] = "tiny"
                case.headers = {**(case.headers or {}), "Authorization": f"Bearer {target.intruders[0]}"}
                answer = case.call(base_url=target.url, timeout=PATIENCE_SECONDS)
                shot = Shot(f"{case.method} {case.formatted_path}".encode("utf-8", "surrogateescape"))
                tally.add(kind, shot, Answer(answer.status_code, False, answer.content))

            ask()


@contextmanager
def watched_children(pid: int) -> Iterator[list[int]]:
    """Count the child processes several times a second, for as long as the block takes."""
    found, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(0.2):
            found.append(len(children(pid)))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def children(pid: int) -> list[int]:
    """Return the ids of a process's children."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread ended
            found += map(int, path.read_text().split())
    return found


def listing(folder: Path, without: Path | None = None) -> dict[str, tuple[int, int, str]]:
    """Return size, time of change and digest of every file, but those below one folder."""
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (without is None or without not in path.parents)
    }


def open_files(pid: int) -> list[str]:
    """Return what a process has open."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            found.append(str(link.readlink()))
    return found


def expected_file(name: str, target: Target) -> bool:
    """Whether a service may have it open: its data, its bundle, libraries, sockets, pipes, devices."""
    if not name.startswith("/"):
        return name.startswith(("socket:", "pipe:", "anon_inode:"))
    roots = (target.data, target.bundle.folder, Path(sys.prefix), Path(sys.base_prefix), Path("/dev"), Path("/usr/lib"))
    return any(root == Path(name) or root in Path(name).parents for root in roots)


def attack(target: Target, running: LocalService, share: float, examples: int, out: Any) -> tuple[Tally, int]:
    """Send everything, and return the tally with the service's memory after the warm-up."""
    tally, arsenal = Tally(), Arsenal(target)
    warm = 0

    def fire(kind: str, maker: Maker, index: int) -> tuple[Shot, Answer]:
        shot = maker(random.Random(f"{SEED} {kind} {index}"), index)
        return shot, target.send(shot)

    with ThreadPoolExecutor(THREADS) as threads:
        for kind, (maker, number) in arsenal.kinds().items():
            began = time.monotonic()
            lost = target.lost_workers()
            for shot, answer in threads.map(partial(fire, kind, maker), range(round(number * share))):
                tally.add(kind, shot, answer)
                if not warm and tally.total >= WARM_UP * min(1, share):
                    warm = resident_bytes(running.pid)
            tally.seconds[kind] = time.monotonic() - began
            out.write(f"{kind}: {tally.seconds[kind]:.1f} s, {target.lost_workers() - lost} workers lost\n")
            out.flush()
    kind, began = "made from the OpenAPI document (Schemathesis)", time.monotonic()
    from_the_document(target, tally, kind, examples)
    tally.seconds[kind] = time.monotonic() - began
    return tally, warm


def table(tally: Tally) -> list[str]:
    """Return the lines of the table."""
    rows = [f"| kind | requests | {' | '.join(CLASSES)} |", f"|---|{'---:|' * (1 + len(CLASSES))}"]
    for kind, found in tally.counts.items():
        cells = [str(sum(found.values())), *(str(found[name]) for name in CLASSES)]
        rows.append(f"| {kind} | {' | '.join(cells)} |")
    sums = [sum(found[name] for found in tally.counts.values()) for name in CLASSES]
    rows.append(f"| all | {tally.total} | {' | '.join(map(str, sums))} |")
    return rows


def examine(target: Target, share: float, examples: int) -> int:
    """Attack a service, print what became of it, and return the exit status."""
    out = sys.stdout
    with ExitStack() as stack:
        running = target.service(stack)
        if not target.is_right():
            raise CryptmlError("the service does not answer rightly, before anything hostile was sent")
        outside, bundle = listing(target.work, target.data), listing(target.bundle.folder)
        before, began = resident_bytes(running.pid), time.monotonic()
        with watched_children(running.pid) as counts:
            tally, warm = attack(target, running, share, examples, sys.stderr)
        seconds = time.monotonic() - began
        right = target.is_right()
        deadline = time.monotonic() + SETTLE_SECONDS
        while len(children(running.pid)) > WORKERS and time.monotonic() < deadline:
            time.sleep(0.5)
        after = resident_bytes(running.pid)
        strangers = [name for name in open_files(running.pid) if not expected_file(name, target)]
        leftovers = [str(path) for path in target.data.rglob(".upload-*")]
        lost = target.lost_workers()
        same = Path(f"/proc/{running.pid}/cmdline").read_bytes().count(b"serve") > 0
        unchanged = outside == listing(target.work, target.data) and bundle == listing(target.bundle.folder)
    out.write("\n".join(table(tally)) + "\n\n")
    growth = after - warm
    verdicts = [
        (not tally.wrong, f"no 5xx but 503, nothing answered that must not be: {len(tally.wrong)} were"),
        (same and right, "the same process answers, and an honest tenant's encrypted evaluation is right"),
        (
            max(counts) <= WORKERS,
            f"{max(counts)} worker processes at most, of {WORKERS}; {lost} were lost and replaced",
        ),
        (
            growth <= MOST_GROWTH,
            f"memory of the service {before >> 20} MiB before, {warm >> 20} MiB after {WARM_UP} requests, {after >> 20} MiB at the end: "
            f"{growth / (1 << 20):+.0f} MiB, {MOST_GROWTH >> 20} allowed",
        ),
        (unchanged, "no file outside the data folder was made or changed, the bundle's neither"),
        (not strangers, f"open files are the service's own: {len(strangers)} are not"),
        (not leftovers, f"no upload was left behind: {len(leftovers)} were"),
    ]
    for holds, words in verdicts:
        out.write(f"- {'yes' if holds else 'NO'}: {words}\n")
    for each in [*tally.wrong[:40], *strangers, *leftovers]:
        out.write(f"  {each}\n")
    statuses = ", ".join(f"{status or 'none'} {count}" for status, count in sorted(tally.statuses.items(), key=str))
    out.write(f"\n{tally.total} requests in {seconds:.0f} s, seed {SEED}; by status: {statuses}\n")
    return 0 if all(holds for holds, _ in verdicts) else 1


def main() -> int:
    """Attack, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the requests of each kind")
    parser.add_argument(
        "--examples", type=int, default=25, help="that Schemathesis makes of each operation, right and wrong"
    )
    arguments = parser.parse_args()
    machine = describe_machine()
    today = datetime.now(timezone.utc).date().isoformat()
    sys.stdout.write(f"{machine['cpu']}, {machine['cores']} cores, {platform.system()}, {today}\n\n")
    with tempfile.TemporaryDirectory(prefix="cryptml-hostile-") as folder:
        return examine(Target(Path(folder)), arguments.share, arguments.examples)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CryptmlError as error:
        sys.exit(f"error: {error}")
