"""Error answers and upload offsets that say what is not so."""

from __future__ import annotations

import json
import random

from benchmarks.hostile_service.plays import Request, Response
from benchmarks.hostile_service.stage import Attack
from benchmarks.hostile_service.texts import TEXTS


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
