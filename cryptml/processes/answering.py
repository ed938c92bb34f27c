"""The far end of `cryptml.processes.child.Child`: a loop that answers JSON requests until its owner is gone."""

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

Answer = dict[str, Any] | tuple[dict[str, Any], memoryview]
"""JSON values, and bytes after them where the owner calls `cryptml.processes.child.Child.take`."""

Function = Callable[[dict[str, Any]], Answer]


def answer(functions: Mapping[str, Function]) -> None:
    """Answer requests on the socket that the command line names, for the owner that it names; failures are answers too."""
    threading.Thread(target=_leave_with, args=(int(sys.argv[2]),), daemon=True).start()
    connection = Connection(int(sys.argv[1]))
    while True:
        try:
            request = json.loads(connection.recv_bytes())
        except (EOFError, OSError):
            return
        payload: memoryview | None = None
        try:
            reply = functions[request["do"]](request)
            if isinstance(reply, tuple):
                reply, payload = reply
        except MemoryError:
            reply = {"error": "memory does not suffice"}
        except (CryptmlError, OSError, RuntimeError, ValueError) as error:
            reply = {"error": printable(str(error))[:500] or type(error).__name__}
        try:
            connection.send_bytes(json.dumps(reply).encode())
            if payload is not None:
                connection.send_bytes(payload)
        except OSError:
            return


def milliseconds_since(started: float) -> float:
    """Return the time since ``started`` of `time.perf_counter`, in milliseconds."""
    return (time.perf_counter() - started) * 1000


def _leave_with(parent: int) -> None:
    """End soon after the owner, killed or not, even in the middle of native code."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)
