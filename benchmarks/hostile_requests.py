"""Hostile requests of many kinds, the same ones for a seed."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import zlib
from collections.abc import Callable

from benchmarks.hostile_target import CANARY, EVALUATIONS, INTRUDERS, V1, Shot, Target

INSIDE = b'{"status":"live"}'
"""What a smuggled request would be answered with."""

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
