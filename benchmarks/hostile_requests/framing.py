"""Requests whose lengths, headers or chunks are wrong."""

from __future__ import annotations

import random

from benchmarks.hostile_requests.maker import RequestMaker
from benchmarks.hostile_requests.target import CANARY, EVALUATIONS, V1, Shot

INSIDE = b'{"status":"live"}'
"""What a smuggled request would be answered with."""


class Framing(RequestMaker):
    """Lengths, offsets, headers and chunks."""

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
