"""The far end of a child process: a loop that answers its owner's requests until the owner is gone.

A request is a head, JSON, and where the head says ``follows``, bytes. So is an answer, where the owner knows that bytes follow.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from cryptml.errors import CryptmlError, printable

FOLLOWS = "follows"
"""In a request's head: bytes come behind it."""

Payload = bytes | memoryview
Answer = dict[str, Any] | tuple[dict[str, Any], memoryview]
"""JSON values, and bytes after them where the owner calls `cryptml.processes.child.Child.take`."""

Function = Callable[[dict[str, Any]], Answer]


def answer(functions: Mapping[str, Function]) -> None:
    """Answer requests by the functions that they name in ``do``; failures are answers too, by one sentence in ``error``."""

    def handle(head: dict[str, Any], _: bytes) -> tuple[dict[str, Any], Payload | None]:
        try:
            reply = functions[head["do"]](head)
        except MemoryError:
            return {"error": "memory does not suffice"}, None
        except (CryptmlError, OSError, RuntimeError, ValueError) as error:
            return {"error": printable(str(error))[:500] or type(error).__name__}, None
        return reply if isinstance(reply, tuple) else (reply, None)

    converse(handle)


def converse(handle: Callable[[dict[str, Any], bytes], tuple[dict[str, Any], Payload | None]]) -> None:
    """Answer requests on the socket that the command line names, for the owner that it names, until either is gone.

    Args:
        handle: Takes a request's head and the bytes behind it; returns an answer's head and the bytes behind that, None for none.
    """
    threading.Thread(target=_leave_with, args=(int(sys.argv[2]),), daemon=True).start()
    connection = Connection(int(sys.argv[1]))
    while True:
        try:
            head = json.loads(connection.recv_bytes())
            payload = connection.recv_bytes() if head.get(FOLLOWS) else b""
        except (EOFError, OSError):
            return
        reply, following = handle(head, payload)
        try:
            connection.send_bytes(json.dumps(reply).encode())
            if following is not None:
                connection.send_bytes(following)
        except OSError:
            return


def milliseconds_since(started: float) -> float:
    """Return the time since ``started`` of `time.perf_counter`, in milliseconds."""
    return (time.perf_counter() - started) * 1000


def _leave_with(parent: int) -> None:
    """End soon after the owner, killed or not, even in the middle of native code, which releases the interpreter's lock."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)
