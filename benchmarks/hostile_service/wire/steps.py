"""Which requests an attack on HTTP meets."""

from __future__ import annotations

import random

from benchmarks.hostile_service.stage import Act, Attack

JOB_STEPS = ("submit", "job", "result", "delete")
STEPS = ("models", "manifest", "file", "keys", "upload", "evaluation", *JOB_STEPS)
BODIES = frozenset(STEPS) - {"keys", "delete"}


def some_step(rng: random.Random, *, bodies: bool = False) -> str:
    """Return which requests are met: evaluations and jobs more often, being cheap and dear to the client."""
    weights = {"models": 1, "manifest": 2, "file": 2, "keys": 2, "upload": 2, "evaluation": 6, "submit": 2}
    weights |= {"job": 2, "result": 2, "delete": 1}
    names = [name for name in weights if not bodies or name in BODIES]
    return rng.choices(names, [weights[name] for name in names])[0]


def over_wire(way: str, act: Act, step: str, rng: random.Random) -> Attack:
    """Return an attack on the requests of one step that answers over the wire."""
    return Attack(way, frozenset((step,)), act=act, lasting=rng.random() < 0.6, away=step == "upload")
