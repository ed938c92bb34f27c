"""A service without models and with one slow route, in a process of its own: ``python slow_service.py SETTINGS``."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
from cryptml_server import Settings, create_app
from cryptml_server.http.logs import configure_logging
from cryptml_server.http.serving import serve
from fastapi import Request

from benchmarks.machine import children

START_SECONDS = 60
LISTENS = "listening on "


class Running:
    """The process, its port, and what it has logged so far."""

    def __init__(self, process: subprocess.Popen[str], port: int, lines: list[str]) -> None:
        self.process = process
        self.port = port
        self.lines = lines

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def workers(self) -> list[int]:
        return children(self.process.pid)

    def tell(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait_for_line(self, part: str, seconds: float = 20) -> str:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = next((line for line in list(self.lines) if part in line), None)
            if found is not None:
                return found
            time.sleep(0.02)
        raise AssertionError(f"no line with {part!r} among {self.lines}")


@contextmanager
def slow_service(folder: Path, *, awaited: str = LISTENS, **settings: Any) -> Iterator[Running]:
    """Run it on a free port; without one where another line is awaited than that it listens."""
    given = {"data": str(folder / "data"), "port": 0, "insecure_anonymous": True, **settings}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CRYPTML_")}
    process = subprocess.Popen(
        [sys.executable, __file__, json.dumps(given)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    lines: list[str] = []

    def read() -> None:
        lines.extend(line.rstrip() for line in process.stdout or ())

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    try:
        running = Running(process, 0, lines)
        line = running.wait_for_line(awaited, START_SECONDS)
        running.port = int(line.rpartition(" ")[2]) if awaited == LISTENS else 0
        yield running
    finally:
        process.kill()
        process.wait()
        reading.join(10)
        if process.stdout is not None:
            process.stdout.close()


def main() -> None:
    settings = Settings(**json.loads(sys.argv[1]))
    configure_logging(settings)
    app = create_app(settings)

    later: list[asyncio.Future[None]] = []

    async def work(seconds: float) -> None:
        with app.state.draining.working():
            await anyio.sleep(seconds)
        sys.stdout.write("worked\n")
        sys.stdout.flush()

    @app.post("/v1/slow/{seconds}")
    async def slow(seconds: float, request: Request) -> dict[str, str]:
        body = await request.body()
        await anyio.sleep(seconds)
        if "later" in request.headers:  # what goes on when its request has been answered
            later.append(asyncio.ensure_future(work(float(request.headers["later"]))))
        return {"read": str(len(body))}

    @app.get("/v1/broken/{secret}")
    async def broken(secret: str) -> None:
        raise RuntimeError("unlucky")

    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # as serve does: nothing is held back
    bound.bind(("127.0.0.1", 0))

    def announce() -> None:
        sys.stdout.write(f"{LISTENS}{bound.getsockname()[1]}\n")
        sys.stdout.flush()

    serve(app, settings, bound, announce)


if __name__ == "__main__":
    main()
