"""Answers that come too slowly, never end, or break off."""

from __future__ import annotations

import random

from benchmarks.hostile_service.plays import Response
from benchmarks.hostile_service.stage import Attack, Wire
from benchmarks.hostile_service.wire.steps import over_wire


def drips(rng: random.Random, step: str) -> Attack:
    """Answers that come a byte at a time, or not."""
    name = rng.choice(["head", "body", "chunks", "nothing", "head without end", "half", "slow and right", "headers"])

    def act(wire: Wire) -> bool:
        whole = wire.honest.wire(wire.request.method)
        if name == "head":
            wire.drip(whole[:60], b"x")
        elif name == "body":
            wire.say(wire.honest.head((b"Content-Length", b"100000")))
            wire.drip(wire.honest.body[:10], b"x")
        elif name == "chunks":
            wire.say(wire.honest.head((b"Transfer-Encoding", b"chunked")))
            wire.drip(b"", b"1\r\nx\r\n")
        elif name == "nothing":
            wire.wait()
        elif name == "head without end":
            wire.drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")
        elif name == "headers":
            wire.drip(whole[:20], b"")
            wire.wait()
        elif name == "half":
            wire.say(whole[: len(whole) // 2])
            wire.wait()
        else:
            wire.drip(whole, b"", size=max(1, len(whole) // rng.randint(3, 30)))
            return True
        return False

    return over_wire(name, act, step, rng)


def endless(rng: random.Random, step: str) -> Attack:
    """Bodies and heads without an end, at full speed."""
    name = rng.choice(
        ["until closed", "chunked", "of a terabyte", "a JSON text", "spaces", "a head", "a header", "error"]
    )

    def act(wire: Wire) -> None:
        block = b"x" * 65536
        if name == "until closed":
            wire.say(wire.honest.head())
        elif name == "chunked":
            wire.say(wire.honest.head((b"Transfer-Encoding", b"chunked")))
            block = b"10000\r\n" + block + b"\r\n"
        elif name == "of a terabyte":
            wire.say(wire.honest.head((b"Content-Length", b"1099511627776")))
        elif name == "a JSON text":
            wire.say(wire.honest.head() + b'{"title":"')
        elif name == "spaces":
            wire.say(wire.honest.head())
            block = b" " * 65536
        elif name == "a head":
            wire.say(b"HTTP/1.1 200 OK\r\n")
            block = b"X-Header: y\r\n" * 5000
        elif name == "a header":
            wire.say(b"HTTP/1.1 200 OK\r\nX: ")
        else:
            wire.say(b"HTTP/1.1 500 No\r\nContent-Type: application/problem+json\r\n\r\n")
        wire.pour(block)

    return over_wire(name, act, step, rng)


def closings(rng: random.Random, step: str) -> Attack:
    """Connections that end at every point, gently or not; what comes behind an answer."""
    name = rng.choice(
        ["closed", "reset", "at once", "reset at once", "leftovers", "two answers", "garbage", "HEAD body"]
    )
    share = rng.random()

    def act(wire: Wire) -> bool:
        whole = wire.honest.wire(wire.request.method)
        if name in ("closed", "reset"):
            wire.say(whole[: int(share * len(whole))])
            if name == "reset":
                wire.reset()
        elif name == "reset at once":
            wire.reset()
        elif name == "leftovers":
            wire.say(whole + whole)
            return True
        elif name == "two answers":
            evil = b'{"title":"Unauthorized","detail":"no","status":401}'
            wire.say(whole + Response(401, evil, ((b"Content-Type", b"application/problem+json"),)).wire())
            return True
        elif name == "garbage":
            wire.say(whole + rng.randbytes(rng.choice([1, 100, 100_000])))
            return True
        elif name == "HEAD body":
            wire.say(wire.honest.wire("GET") + b"surplus")
            return True
        return False

    return over_wire(name, act, step, rng)
