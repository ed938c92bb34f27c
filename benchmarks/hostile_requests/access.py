"""Requests for what the asker may not have."""

from __future__ import annotations

import hashlib
import random

from benchmarks.hostile_requests.maker import RequestMaker
from benchmarks.hostile_requests.target import EVALUATIONS, V1, Shot


class Access(RequestMaker):
    """Tokens, methods and addresses that are wrong, and others' jobs and keys."""

    def wrong_token(self, rng: random.Random, _: int) -> Shot:
        token = self.target.clinic
        name, secret = token.split(".", 1)
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
