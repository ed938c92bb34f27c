"""JSON documents of which a part is replaced, by JSON or not."""

from __future__ import annotations

import json
import random
from typing import Any

from benchmarks.hostile_service.texts import TEXTS
from benchmarks.json_changes import EXTREMES, PLACE, mutations

MANY = 400_000


def written(document: Any, token: str | None = None) -> bytes:
    """Return a document's JSON, `PLACE` in it replaced by a token, whatever that is."""
    text = json.dumps(document)
    return (text if token is None else text.replace(json.dumps(PLACE), token)).encode()


def token_for(value: Any, rng: random.Random) -> str:
    """Return JSON, or something like it, to stand in a value's place."""
    if rng.random() < 0.25:
        return rng.choice(HOSTILE)
    if isinstance(value, bool) or value is None:
        return rng.choice(EXTREMES)
    if isinstance(value, (int, float)):
        return rng.choice(mutations(value))
    if isinstance(value, str):
        text = rng.choice(TEXTS)
        return rng.choice([json.dumps(text), json.dumps(value + text[:20]), json.dumps(value[:-1]), "5", "null"])
    if isinstance(value, list):
        return rng.choice(
            [
                "[]",
                json.dumps(value * 2),
                json.dumps(value[::-1]),
                json.dumps(value[1:]),
                json.dumps([value]),
                *EXTREMES,
            ]
        )
    return rng.choice(EXTREMES)


HOSTILE = (
    "[" * 30 + "]" * 30,
    "[" * 45 + "]" * 45,
    "[" * 100_000,
    '{"a":' * 20_000,
    "[" + ",".join(['"x"'] * MANY) + "]",
    "[" + ",".join(["{}"] * MANY) + "]",
    "[" + ",".join(["[]"] * MANY) + "]",
    "[" + ",".join(["0.5"] * MANY) + "]",
    "[" + ",".join(["-1"] * MANY) + "]",
    "{" + ",".join(f'"k{i}":0' for i in range(MANY // 2)) + "}",
    json.dumps("y" * (8 << 20)),
    "1" * 5000,
    "-" + "9" * 21,
    "0." + "3" * 100_000,
    '{"a":1,"a":2}',
    '{"__proto__":{"side":1}}',
    '{"\\u001b[2J\\n":1}',
    '{"\\u202e":{"\\u0000":[]}}',
    '"\\ud800"',
    "1e-320",
    "1e-300",
    "1e300",
    "3.4e38",
    "1e38",
    "1e-38",
    "65536",
    "4096",
    "[65536,65536,65536]",
    "[1,65536,65536]",
    "[1,4096,4096]",
    "256",
    "[256,256]",
)
