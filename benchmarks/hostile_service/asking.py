"""Clients in processes of their own, watched from outside: what they say, what they print, how long they take, how they end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

import certifi

from cryptml.errors import MeasurementError

START_SECONDS = 180.0
BEGIN, END = (f"-----{word} CERTIFICATE-----" for word in ("BEGIN", "END"))


@dataclass
class Outcome:
    """What became of one run.

    Attributes:
        said: What the client's process said: an answer, an error, or a crash; empty where it said nothing.
        printed: What it wrote beside that.
        ended: How the process ended, where it did.
        hung: Whether it had to be killed.
        seconds: That it took, seen from outside.
    """

    said: dict[str, Any] = field(default_factory=dict)
    printed: str = ""
    ended: str = ""
    hung: bool = False
    seconds: float = 0.0


class Watched:
    """A process with a client in it; a new one takes its place where it ends.

    Args:
        keys: The client's folder.
        region: File of what it asks about.
        log: Where it may write what nobody wants to read.
    """

    def __init__(self, keys: Path, region: Path, log: Path) -> None:
        self._command = [sys.executable, "-m", "benchmarks.hostile_service.asker", str(keys), str(region)]
        self._log = log
        trusted = log.with_suffix(".pem")  # nobody speaks TLS here, and reading all authorities takes a third of a run
        authorities = Path(certifi.where()).read_text()
        trusted.write_text(authorities[authorities.index(BEGIN) : authorities.index(END)] + END + "\n")
        own = {
            "PYTHONUNBUFFERED": "1",
            "PYTHONFAULTHANDLER": "1",
            "OMP_NUM_THREADS": "1",
            "SSL_CERT_FILE": str(trusted),
        }
        self._environment = os.environ | own
        self._process: subprocess.Popen[str] | None = None
        self.generation = 0

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._process is not None:
            return
        self.generation += 1
        with self._log.open("w") as log:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environment,
            )
        self._process = process
        lines: Queue[str] = Queue()
        self._lines = lines

        def read() -> None:
            for line in process.stdout or ():
                lines.put(line)
            lines.put("")

        Thread(target=read, daemon=True).start()
        if not self._line(START_SECONDS):
            raise MeasurementError(f"the client's process does not start: {self._log.read_text()[-500:]}")
        self._printed = self._log.stat().st_size

    def ask(self, order: dict[str, Any], seconds: float) -> Outcome:
        """Let the client ask, and wait so long."""
        self.start()
        process = self._process
        if process is None or process.stdin is None:
            raise MeasurementError("the client's process is not there")
        began = time.monotonic()
        outcome = Outcome()
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        line = self._line(seconds)
        outcome.seconds = time.monotonic() - began
        if line:
            outcome.said = json.loads(line)
        else:
            outcome.hung = line is None
            code = self.stop()
            if not outcome.hung:
                outcome.ended = f"exit status {code}"
        with self._log.open() as log:
            log.seek(self._printed)
            outcome.printed = log.read(4000)
        self._printed = self._log.stat().st_size
        return outcome

    def stop(self) -> int | None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return None
        if process.poll() is None:
            process.kill()
        code = process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        return code

    def _line(self, seconds: float) -> str | None:
        """Return the next line, nothing where the process ended, None where there is none in time."""
        try:
            return self._lines.get(timeout=seconds)
        except Empty:
            return None
