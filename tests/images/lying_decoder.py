"""A process in the decoder's place that answers lies; the name of the file that is asked for says which."""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

HONEST = {"rows": 2, "columns": 2}
PIXELS = struct.pack("<4f", 0, 0.25, 0.5, 1)
REFUSALS: dict[str, Any] = {
    "refused-empty": "",
    "refused-number": 7,
    "refused-nothing": None,
    "refused-unprintable": "\x1b\x00\n\x07",
    "refused-escapes": "\x1b]0;title\x07 it is\nof\u202e two lines",
    "refused-long": "long " * 200_000,
}
REPLIES: dict[str, Any] = {
    "rows-more": {**HONEST, "rows": 3},
    "rows-none": {**HONEST, "rows": 0},
    "rows-negative": {"rows": -2, "columns": -2},
    "rows-text": {**HONEST, "rows": "2"},
    "rows-true": {"rows": True, "columns": 4},
    "rows-fraction": {**HONEST, "rows": 2.0},
    "rows-infinite": {**HONEST, "rows": float("inf")},
    "rows-huge": {"rows": 10**18, "columns": 10**18},
    "rows-limit": {"rows": 2**20, "columns": 2**20},
    "rows-missing": {"columns": 2},
    "source-number": {**HONEST, "source": 5},
    "source-unprintable": {**HONEST, "source": "\x1b[31m"},
    "answer-list": [1, 2],
    "answer-number": 1,
    "answer-null": None,
    "error": {"error": "\x1b[31m" + "e" * 100_000},
    "error-number": {"error": 5},
}
PAYLOADS = {
    "nan": struct.pack("<4f", 0, float("nan"), 0, 0),
    "infinite": struct.pack("<4f", 0, float("inf"), 0, 0),
    "negative": struct.pack("<4f", 0, -1e-3, 0, 0),
    "above-one": struct.pack("<4f", 0, 1.001, 0, 0),
    "bytes-less": PIXELS[:-1],
    "bytes-more": PIXELS + b"\0",
    "bytes-none": b"",
    "bytes-many": bytes(1 << 20),
}
TEXTS = {
    "text": b"Segmentation fault",
    "text-empty": b"",
    "text-binary": bytes(range(256)),
    "text-nested": b"[" * 1_000_000,
    "text-digits": b"1" * 100_000,
    "text-large": b'"' + b"x" * (17 << 20) + b'"',
}


def main() -> None:
    """Answer as the files' names say."""
    descriptor = int(sys.argv[1])
    connection = Connection(descriptor)
    with suppress(EOFError, OSError):
        while True:
            request = json.loads(connection.recv_bytes())
            answer(connection, descriptor, Path(request["path"]).stem, request["do"])


def answer(connection: Connection, descriptor: int, lie: str, do: str) -> None:
    """Send one lie, or the truth: a picture whose source is this process's number."""
    truth = {**HONEST, "source": f"process {os.getpid()}", "frames": 10**15 if lie == "frames-huge" else 1}
    if lie in TEXTS:
        connection.send_bytes(TEXTS[lie])
        return
    if lie in REFUSALS:
        connection.send_bytes(json.dumps({"refused": REFUSALS[lie]}).encode())
        return
    if lie in REPLIES:
        reply = REPLIES[lie]
        connection.send_bytes(json.dumps({"source": "lie", **reply} if isinstance(reply, dict) else reply).encode())
        connection.send_bytes(PIXELS)
        return
    if lie == "silent":
        time.sleep(60)
    if lie == "dies":
        os._exit(3)
    if lie == "killed":
        os.kill(os.getpid(), 9)
    raw = socket.socket(fileno=os.dup(descriptor))
    if lie == "drip":
        raw.sendall(struct.pack("!i", 1000))
        while True:
            raw.sendall(b"{")
            time.sleep(0.05)
    if lie == "length-huge":
        raw.sendall(struct.pack("!iQ", -1, 2**62))
        time.sleep(60)
    if lie == "length-negative":
        raw.sendall(struct.pack("!i", -5))
        time.sleep(60)
    connection.send_bytes(json.dumps(truth).encode())
    if do == "describe":
        return
    if lie == "dies-in-the-middle":
        raw.sendall(struct.pack("!i", len(PIXELS)) + PIXELS[:7])
        os._exit(0)
    if lie == "drips-pixels":
        raw.sendall(struct.pack("!i", len(PIXELS)))
        ends = time.monotonic() + 2
        while True:
            raw.sendall(b"\0" if time.monotonic() < ends else b"")
            time.sleep(0.2)
    connection.send_bytes(PAYLOADS.get(lie, PIXELS))
    if lie == "answers-twice":
        connection.send_bytes(json.dumps(truth).encode())
        connection.send_bytes(PIXELS)


if __name__ == "__main__":
    main()
