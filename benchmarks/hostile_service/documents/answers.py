"""Lists of models and descriptions of jobs that are wrong."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

from benchmarks.hostile_service.documents.json_texts import HOSTILE, written
from benchmarks.hostile_service.plays import Play, Request, Response
from benchmarks.hostile_service.stage import Attack
from benchmarks.hostile_service.texts import TEXTS


def lists(_: Play, rng: random.Random) -> Attack:
    """Lists of models and other small documents that are none."""
    body = rng.choice(
        [
            b"[]",
            b"{}",
            b'{"models":[]}',
            b'{"models":{}}',
            b'{"models":5}',
            b'{"models":[5]}',
            b'{"models":[{"model":null}]}',
            b'{"models":[{"model":"../../etc/passwd"}]}',
            b'{"models":[{"model":"tiny\\n"}]}',
            b'{"models":[{"model":"%2e%2e"}]}',
            b'{"models":[{"model":{"a":["x"]}}]}',
            b'{"models":"' + b"x" * 1_000_000 + b'"}',
            b'{"models":[' + b",".join([b'{"model":"x"}'] * 200_000) + b"]}",
            b'{"models":[{"model":"\\u001b[2J"},{"model":"\\u202e"}]}',
            b"[" * 200_000,
            b'{"a":' * 200_000,
            b"\xff\xfe\x00",
            b"NaN",
            b"\xef\xbb\xbf{}",
            b"",
            rng.choice(HOSTILE).encode(),
        ]
    )

    def alter(_: Request, honest: Response, __: random.Random) -> Response:
        return replace(honest, body=body)

    return Attack(f"{body[:60]!r}", frozenset(("models",)), alter=alter)


def jobs(_: Play, rng: random.Random) -> Attack:
    """Jobs that never end, are others', or are no jobs."""
    state = rng.choice(["waiting", "running", "done", "failed", "done\n", "Done", 5, None, ["done"], TEXTS[0]])
    changes: dict[str, Any] = {
        "state": state,
        "expected_seconds": rng.choice([None, -1, 1e300, 10**19, 0, 1e-300, "5", [], True, 5e8]),
        "ahead": rng.choice([None, -1, 10**19, "x"]),
        "job": rng.choice(
            [
                "0" * 32,
                "f" * 32,
                "0" * 31,
                "../" * 10,
                "0" * 31 + "\n",
                "٠" * 32,
                5,
                None,
                "0" * 5000,
                "A" * 32,
                ["0"] * 32,
            ]
        ),
        "problem": rng.choice([None, {}, {"status": 500, "title": TEXTS[0], "detail": TEXTS[1]}, 5]),
    }
    name = rng.choice([*changes, "state", "state", "raw", "flapping"])
    step = rng.choice(["submit", "job"])
    raw = rng.choice(
        [b"[]", b"null", b"{}", b'{"state":NaN}', b'{"expected_seconds":1e999}', b"{" * 100_000, b"", b"\0" * 100]
    )
    count = 0

    def alter(_: Request, honest: Response, __: random.Random) -> Response:
        nonlocal count
        count += 1
        document = json.loads(honest.body)
        if name == "raw":
            return replace(honest, body=raw)
        if name == "flapping":
            states = ["waiting", "running", "waiting", "done"]
            return replace(honest, body=written({**document, "state": states[min(count - 1, 3)]}))
        return replace(honest, body=written({**document, name: changes[name]}))

    return Attack(
        f"{step}: {name} = {changes.get(name)!r}"[:100], frozenset((step,)), alter=alter, lasting=rng.random() < 0.7
    )
