"""First lines, statuses, redirects and headers that are wrong, strange or many."""

from __future__ import annotations

import random
from dataclasses import replace

from benchmarks.hostile_service.plays import Request, Response
from benchmarks.hostile_service.stage import Attack, Wire
from benchmarks.hostile_service.wire.steps import over_wire


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

    return over_wire(name, act, step, rng)


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

    return over_wire(name, act, step, rng)


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

    return over_wire(name, act, step, rng)
