"""Bodies whose lengths, chunks or packing are wrong."""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial

from benchmarks.hostile_service.plays import Request, Response
from benchmarks.hostile_service.stage import Attack, Wire
from benchmarks.hostile_service.wire.steps import over_wire


def lengths(rng: random.Random, step: str) -> Attack:
    """Content-Length that lies."""

    def tell(value: Callable[[int], bytes], wire: Wire, *more: tuple[bytes, bytes]) -> None:
        body = wire.honest.body
        wire.say(wire.honest.head(*more, (b"Content-Length", value(len(body)))) + body)
        if rng.random() < 0.3:
            wire.wait(3)

    values: dict[str, Callable[[int], bytes]] = {
        "one less": lambda n: b"%d" % max(0, n - 1),
        "one more": lambda n: b"%d" % (n + 1),
        "none": lambda n: b"0",  # noqa: ARG005
        "a terabyte": lambda n: b"1099511627776",  # noqa: ARG005
        "20 digits": lambda n: b"9" * 20,  # noqa: ARG005
        "5000 digits": lambda n: b"1" * 5000,  # noqa: ARG005
        "negative": lambda n: b"-%d" % n,
        "signed": lambda n: b"+%d" % n,
        "hexadecimal": lambda n: b"0x%x" % n,
        "with an exponent": lambda n: b"1e3",  # noqa: ARG005
        "a word": lambda n: b"all",  # noqa: ARG005
        "empty": lambda n: b"",  # noqa: ARG005
        "other digits": lambda n: "١٢٣".encode(),  # noqa: ARG005
        "superscript": lambda n: b"\xb2\xb3",  # noqa: ARG005
        "a list": lambda n: b"%d, %d" % (n, n),
        "two of a list": lambda n: b"%d, %d" % (n, n + 1),
        "underscore": lambda n: b"1_0",  # noqa: ARG005
    }
    name = rng.choice([*values, "twice", "twice different", "with chunks", "with chunks that lie"])
    if name in values:
        return over_wire(name, partial(tell, values[name]), step, rng)

    def double(wire: Wire) -> None:
        size = len(wire.honest.body)
        other = size + (7 if name == "twice different" else 0)
        tell(lambda n: b"%d" % n, wire, (b"Content-Length", b"%d" % other))

    def chunked(wire: Wire) -> None:
        body = wire.honest.body
        head = wire.honest.head((b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"%d" % (len(body) + 3)))
        wire.say(head + (b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n" if name == "with chunks" else body))

    return over_wire(name, double if name.startswith("twice") else chunked, step, rng)


def chunks(rng: random.Random, step: str) -> Attack:
    """Chunked bodies that are wrong, endless or tiny."""
    body = b"7\r\npicture\r\n"
    wrong = {
        "size is a word": b"zz\r\nabc\r\n0\r\n\r\n",
        "size is negative": b"-5\r\nabc\r\n0\r\n\r\n",
        "size of 20 digits": b"f" * 20 + b"\r\nabc",
        "size of 16 digits": b"7fffffffffffffff\r\nabc",
        "size of 100000 digits": b"0" * 100_000 + b"3\r\nabc\r\n0\r\n\r\n",
        "too short": b"3\r\nabcdef\r\n0\r\n\r\n",
        "no line's end": b"3\nabc\n0\n\n",
        "no end": body,
        "closed in a chunk": b"ffff\r\nabc",
        "a NUL in the size": b"3\0\r\nabc\r\n0\r\n\r\n",
        "an extension of 90000": b"3;" + b"x" * 90_000 + b"\r\nabc\r\n0\r\n\r\n",
        "an extension of 10 MB": b"3;" + b"x" * 10_000_000 + b"\r\nabc\r\n0\r\n\r\n",
        "a trailer of 10 MB": body + b"0\r\nX: " + b"y" * 10_000_000 + b"\r\n\r\n",
        "trailers with a NUL": body + b"0\r\nX\0: y\r\n\r\n",
        "a trailer that is a head": body + b"0\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\n\r\n",
    }
    endless = {
        "chunks of one byte without end": (b"", b"1\r\nx\r\n" * 2000),
        "chunks with extensions without end": (b"", b"1;a=b;c=d;e=f\r\nx\r\n" * 500),
        "trailers without end": (body + b"0\r\n", b"X-Trailer: yes\r\n" * 1000),
        "a trailer's line without end": (body + b"0\r\nX: ", b"y" * 16384),
        "an extension without end": (b"3;", b"x" * 16384),
        "a size without end": (b"", b"0" * 16384),
        "a chunk without end": (b"fffffff\r\n", b"x" * 16384),
    }
    name = rng.choice([*wrong, *endless])

    def act(wire: Wire) -> None:
        wire.say(wire.honest.head((b"Transfer-Encoding", b"chunked")))
        if name in wrong:
            wire.say(wrong[name])
            if name == "no end":
                wire.wait()
        else:
            wire.say(endless[name][0])
            wire.pour(endless[name][1])

    return over_wire(name, act, step, rng)


@lru_cache
def _bomb(coding: str) -> bytes:
    data = b"\0" * (256 << 20)
    return gzip.compress(data, 9) if coding == "gzip" else zlib.compress(data, 9)


def packed(rng: random.Random, step: str) -> Attack:
    """Bodies packed by Content-Encoding: bombs, and honest ones."""
    coding = rng.choice(
        ["gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip", "x-gzip", "\x1b[2J", "compress"]
    )
    bomb = rng.random() < 0.6

    def alter(_: Request, honest: Response, __: random.Random) -> Response:
        if bomb:
            body = _bomb("deflate" if coding == "deflate" else "gzip")
        else:
            body = zlib.compress(honest.body) if coding == "deflate" else gzip.compress(honest.body)
        return replace(honest, body=body, headers=(*honest.headers, (b"Content-Encoding", coding.encode())))

    return Attack(f"{coding}{', a bomb' if bomb else ''}", frozenset((step,)), alter=alter, away=step == "upload")
