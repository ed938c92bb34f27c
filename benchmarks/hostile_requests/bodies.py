"""Requests whose bodies are damaged keys, damaged ciphertexts, or bombs."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import zlib

from benchmarks.hostile_requests.maker import RequestMaker
from benchmarks.hostile_requests.target import EVALUATIONS, INTRUDERS, V1, Shot, Target


class Bodies(RequestMaker):
    """Compressed and JSON bombs, keys and ciphertexts that are changed."""

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        bomb = b"\0" * (64 << 20)
        self.bombs = {
            "gzip": gzip.compress(bomb, 9),
            "deflate": zlib.compress(bomb, 9),
            "br": bytes.fromhex("8b7f80") + bytes(4096),
        }

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
