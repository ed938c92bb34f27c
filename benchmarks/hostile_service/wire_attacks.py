"""Answers that break HTTP, or keep to it and wear out whoever reads them."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial

from benchmarks.hostile_service.plays import Request, Response
from benchmarks.hostile_service.stage import Act, Attack, Wire

JOB_STEPS = ("submit", "job", "result", "delete")
STEPS = ("models", "manifest", "file", "keys", "upload", "evaluation", *JOB_STEPS)
BODIES = frozenset(STEPS) - {"keys", "delete"}

Chosen = Callable[[random.Random, str], Attack]


def some_step(rng: random.Random, *, bodies: bool = False) -> str:
    """Return which requests are met: evaluations and jobs more often, being cheap and dear to the client."""
    weights = {"models": 1, "manifest": 2, "file": 2, "keys": 2, "upload": 2, "evaluation": 6, "submit": 2}
    weights |= {"job": 2, "result": 2, "delete": 1}
    names = [name for name in weights if not bodies or name in BODIES]
    return rng.choices(names, [weights[name] for name in names])[0]


def _over_wire(way: str, act: Act, step: str, rng: random.Random) -> Attack:
    return Attack(way, frozenset((step,)), act=act, lasting=rng.random() < 0.6, away=step == "upload")


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
        return _over_wire(name, partial(tell, values[name]), step, rng)

    def double(wire: Wire) -> None:
        size = len(wire.honest.body)
        other = size + (7 if name == "twice different" else 0)
        tell(lambda n: b"%d" % n, wire, (b"Content-Length", b"%d" % other))

    def chunked(wire: Wire) -> None:
        body = wire.honest.body
        head = wire.honest.head((b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"%d" % (len(body) + 3)))
        wire.say(head + (b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n" if name == "with chunks" else body))

    return _over_wire(name, double if name.startswith("twice") else chunked, step, rng)


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

    return _over_wire(name, act, step, rng)


def status_lines(rng: random.Random, step: str) -> Attack:
    """First lines that are none, and statuses that are strange."""
    lines = {
        "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/0.9": b"<html>yes</html>",
        "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "HTTP/3.7": b"HTTP/3.7 200 OK\r\nContent-Length: 0\r\n\r\n",
        "no status": b"HTTP/1.1\r\n\r\n",
        "status of a word": b"HTTP/1.1 OK 200\r\n\r\n",
        "status 99999": b"HTTP/1.1 99999 Much\r\nContent-Length: 0\r\n\r\n",
        "status -1": b"HTTP/1.1 -1 Less\r\nContent-Length: 0\r\n\r\n",
        "status 000": b"HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n",
        "status 600": b"HTTP/1.1 600 Beyond\r\nContent-Length: 0\r\n\r\n",
        "status 999": b"HTTP/1.1 999 Beyond\r\nContent-Length: 0\r\n\r\n",
        "empty lines": b"\r\n" * 5000,
        "NULs": b"\0" * 300,
        "random": rng.randbytes(rng.choice([1, 20, 3000, 200_000])),
        "TLS": bytes.fromhex("1603010200010001fc0303") + rng.randbytes(500),
        "a reason of 90000": b"HTTP/1.1 200 " + b"x" * 90_000 + b"\r\nContent-Length: 0\r\n\r\n",
        "a reason with escapes": b"HTTP/1.1 404 \x1b[2J\x1b[31mowned\x07\r\nContent-Length: 0\r\n\r\n",
        "a reason in Latin-1": "HTTP/1.1 500 Füße\r\nContent-Length: 0\r\n\r\n".encode("latin-1"),
        "a reason from right to left": "HTTP/1.1 403 \u202eevil\r\nContent-Length: 0\r\n\r\n".encode(),
        "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nxx",
        "early hints, then nothing": b"HTTP/1.1 103 Early Hints\r\n\r\n",
        "no content": b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nabcde",
        "not modified": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nabcde",
        "reset content": b"HTTP/1.1 205 Reset Content\r\n\r\n",
        "part of it": b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/5\r\nContent-Length: 2\r\n\r\nab",
        "multi-status": b"HTTP/1.1 207 Multi\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 without a length": b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{}",
    }
    name = rng.choice([*lines, "another status", "another status", "without its head"])

    def act(wire: Wire) -> bool:
        if name == "another status":
            status = rng.choice([*range(200, 209), 226, 300, 304, *range(400, 432), 451, 499, *range(500, 512), 599])
            wire.say(replace(wire.honest, status=status).wire(wire.request.method))
            return True
        if name == "without its head":
            wire.say(wire.honest.body)
            return False
        wire.say(lines[name])
        if name == "early hints, then nothing":
            wire.wait()
        return rng.random() < 0.3

    return _over_wire(name, act, step, rng)


def preliminary(rng: random.Random, step: str) -> Attack:
    """Preliminary answers (1xx) without end, or huge, or before a right one."""
    name = rng.choice(
        ["without end", "without end, with headers", "dripping", "200, then right", "huge head", "a 100 with a body"]
    )

    def act(wire: Wire) -> bool:
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"
        if name == "without end":
            wire.pour(b"HTTP/1.1 100 Continue\r\n\r\n" * 500)
        elif name == "without end, with headers":
            wire.pour(hint * 300)
        elif name == "dripping":
            wire.drip(b"", hint)
        elif name == "huge head":
            wire.pour(b"HTTP/1.1 102 Processing\r\n" + b"X: " + b"y" * 60_000 + b"\r\n\r\n")
        elif name == "a 100 with a body":
            wire.say(b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nabcde" + wire.honest.wire(wire.request.method))
        else:
            wire.say(hint * 200 + wire.honest.wire(wire.request.method))
            return True
        return False

    return _over_wire(name, act, step, rng)


def redirects(elsewhere: str, rng: random.Random, step: str) -> Attack:
    """Redirects: elsewhere, to files, in circles."""
    target = rng.choice(
        [
            elsewhere,
            elsewhere + "/v1/models",
            "file:///etc/passwd",
            "",
            "/v1/models",
            "//" + elsewhere.partition("//")[2],
            "gopher://localhost/x",
            "http://[::1",
            "http://user:secret@localhost/",
            "javascript:alert(1)",
            "data:application/json,{}",
            "\x00",
            "x" * 50_000,
            "https://" + elsewhere.partition("//")[2],
        ]
    )
    status = rng.choice([300, 301, 302, 303, 305, 307, 308])
    more: tuple[tuple[bytes, bytes], ...] = ((b"Location", target.encode()),)
    if rng.random() < 0.3:
        more += ((b"Refresh", b"0; url=" + elsewhere.encode()), (b"Alt-Svc", b'h2="localhost:1"'))

    def alter(_: Request, honest: Response, __: random.Random) -> Response:
        return replace(honest, status=status, headers=(*honest.headers, *more), reason=b"Found")

    return Attack(f"{status} to {target[:60]!r}", frozenset((step,)), alter=alter, lasting=True, away=step == "upload")


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

    return _over_wire(name, act, step, rng)


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

    return _over_wire(name, act, step, rng)


def kinds_of_body(rng: random.Random, step: str) -> Attack:
    """Another media type, or several, or none."""
    kind = rng.choice(
        [
            None,
            b"",
            b"text/html",
            b"text/html; charset=utf-7",
            b"application/json, application/octet-stream",
            b"application/x-python-pickle",
            b"multipart/byteranges; boundary=x",
            b"application/zip",
            b"image/svg+xml",
            b"APPLICATION/JSON ; charset=\xff",
            b"application/\x1b[31mjson",
            b"application/json" + b" " * 60_000,
            b"application/octet-stream;" * 2000,
            b"application/problem+json",
        ]
    )
    page = rng.random() < 0.5

    def alter(_: Request, honest: Response, __: random.Random) -> Response:
        found = honest.given(b"Content-Type", kind)
        return replace(found, body=b"<html><script>alert(1)</script></html>") if page else found

    return Attack(f"{kind!r}", frozenset((step,)), alter=alter, lasting=rng.random() < 0.6, away=step == "upload")


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


def headers(rng: random.Random, step: str) -> Attack:
    """Heads of many, huge, strange headers."""
    floods: dict[str, bytes] = {
        "5000 headers": b"X-A: b\r\n" * 5000,
        "99 KB in one": b"X: " + b"y" * 99_000 + b"\r\n",
        "1 MB in one": b"X: " + b"y" * 1_000_000 + b"\r\n",
        "NUL": b"X: a\0b\r\n",
        "a bare CR": b"X: a\rb\r\n",
        "a bare LF": b"X: a\nY: b\n",
        "folded": b"X: a\r\n b\r\n\tc\r\n",
        "a space before the colon": b"Content-Type : application/json\r\n",
        "no colon": b"nothing at all\r\n",
        "no name": b": nothing\r\n",
        "not ASCII": "Größe: ü\r\n".encode("latin-1"),
        "UTF-8": "X: \u202e\u2066\r\n".encode(),
        "escape": b"X: \x1b[2J\r\n",
        "two types": b"Content-Type: text/html\r\nContent-Type: application/octet-stream\r\n",
        "cookies": b"Set-Cookie: a=b; Domain=localhost; Path=/\r\n" * 300,
        "a cookie": b"Set-Cookie: who=%d; Path=/; Max-Age=99999999\r\n" % rng.getrandbits(40),
        "a strange cookie": b"Set-Cookie: \xff=\x01; Expires=Thu, 99 Foo 99999; Max-Age=" + b"9" * 400 + b"\r\n",
        "Server-Timing": b"Server-Timing: evaluate;dur=" + rng.choice([b"-5", b"1e999", b"nan", b"9" * 300]) + b"\r\n",
        "Server-Timing twice": b"Server-Timing: evaluate;dur=999999999999.9\r\n" * 20,
        "Retry-After": b"Retry-After: "
        + rng.choice([b"1000000000", b"-1", b"Wed, 21 Oct 2065 07:28:00 GMT", b"\xb2"])
        + b"\r\n",
        "Upload-Offset": b"Upload-Offset: "
        + rng.choice([b"-1", b"99999999999999999999", b"1e3", b"\xb2", b"x"])
        + b"\r\n",
        "Connection": b"Connection: close, keep-alive, upgrade, content-length\r\nKeep-Alive: timeout=99999999999\r\n",
        "Transfer-Encoding gzip": b"Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding chunked, gzip": b"Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding xchunked": b"Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    }
    name = rng.choice([*floods, "a cookie", "a cookie"])

    def act(wire: Wire) -> bool:
        whole = wire.honest.wire(wire.request.method)
        line, _, rest = whole.partition(b"\r\n")
        wire.say(line + b"\r\n" + floods[name] + rest)
        return rng.random() < 0.7

    return _over_wire(name, act, step, rng)


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

    return _over_wire(name, act, step, rng)


TEXTS = (
    "\x1b[2J\x1b[1;31mowned\x07",
    "line\nline\r\nline",
    "\u202eright to left\u2066",
    "\x00" * 20,
    "\ud800 lone",
    "\u2028\u2029\x85",
    "\u200b\ufeff\u00ad",
    "x" * 100_000,
    "<script>alert(1)</script>",
    "%s %n {0} {x.__class__}",
    "",
    "😀" * 3000,
    "'; DROP TABLE keys; --",
    "a\u0300" * 5000,
)


def problems(rng: random.Random, step: str) -> Attack:
    """Problem documents with hostile texts, of every status, for ever."""
    status = rng.choice(
        [400, 401, 402, 403, 404, 404, 404, 408, 409, 410, 411, 413, 415, 422, 425, 429, 500, 501, 503, 507]
    )
    title = rng.choice(["Unknown evaluation keys"] * 6 + ["Unauthorized", "Other circuit", "Conflict", *TEXTS])
    detail: object = rng.choice([*TEXTS, "they are not stored", None, 5, 1e300, ["x"] * 50, {"a": {"b": 1}}, True])
    document: dict[str, object] = {
        "type": rng.choice(["urn:cryptml:problem:x", "about:blank", 5, "", "urn:cryptml:problem:" + "x" * 5000]),
        "title": title if rng.random() < 0.9 else rng.choice([None, 7, ["x"], {}]),
        "status": rng.choice([status, 200, -1, "x", 10**18, None]),
        "detail": detail,
        "request_id": rng.choice(TEXTS),
    }
    if rng.random() < 0.2:
        del document[rng.choice(list(document))]
    more = rng.choice(
        [
            (),
            (),
            ((b"Retry-After", rng.choice([b"0", b"0", b"1", b"1000000000", b"999999999", b"-1", b"nan", b"\xb9"])),),
            ((b"Upload-Offset", rng.choice([b"0", b"1", b"5", b"999999999999", b"\xb2", b"-1", b"x"])),),
            ((b"WWW-Authenticate", b'Basic realm="\xff"'),),
        ]
    )
    body = json.dumps(document).encode()
    if rng.random() < 0.15:
        body = rng.choice(
            [b"[]", b"null", b'"x"', b"{", b"[" * 100_000, b'{"title":1' + b"0" * 5000 + b"}", b"\xff\xfe{}", b""]
        )
    kind = rng.choice(
        [b"application/problem+json"] * 4 + [b"application/json", b"text/plain", b"application/problem+xml"]
    )

    def alter(_: Request, __: Response, ___: random.Random) -> Response:
        return Response(status, body, ((b"Content-Type", kind), *more), b"No")

    way = f"{status} {title[:40]!r} {more!r}"
    return Attack(way, frozenset((step,)), alter=alter, lasting=rng.random() < 0.8, away=rng.random() < 0.5)


def uploads(rng: random.Random, _: str) -> Attack:
    """Offsets of uploads that lie, go back, or never reach the end."""
    name = rng.choice(
        ["beyond", "back", "never", "same", "word", "large", "conflict", "conflict back", "HEAD lies", "201 early"]
    )

    def alter(request: Request, honest: Response, _: random.Random) -> Response:
        offset, length = (int(request.headers.get(f"upload-{each}", "0")) for each in ("offset", "length"))
        there = offset + len(request.body)
        part = Response(204, headers=((b"Upload-Offset", b"%d" % there),), reason=b"No Content")
        if request.method == "HEAD":
            lies = {"HEAD lies": rng.choice([b"-1", b"999999999999", b"\xb2", b"16", b"18446744073709551616"])}
            return honest.given(b"Upload-Offset", lies.get(name, b"0"))
        if name in ("conflict", "conflict back"):
            told = b"%d" % (max(0, offset - 8) if name == "conflict back" else min(length, offset + 8))
            return Response(409, b"{}", ((b"Upload-Offset", told), (b"Content-Type", b"application/json")), b"Conflict")
        lie = {
            "beyond": b"%d" % (length + 10),
            "back": b"0",
            "same": b"%d" % offset,
            "word": b"\x1b[2Jmuch",
            "large": b"9" * 40,
        }.get(name)
        if name == "never":
            return part if there < length else Response(404, b"", ((b"Upload-Offset", b"0"),), b"No")
        if name == "201 early":
            return honest.given(b"Upload-Offset", None)
        return honest if lie is None else part.given(b"Upload-Offset", lie)

    return Attack(name, frozenset(("upload", "keys")), alter=alter, away=True)
