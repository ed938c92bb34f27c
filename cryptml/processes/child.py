"""Child processes under limits of time and memory: what happens in one costs nothing but itself."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from cryptml.errors import CryptmlError, MeasurementError
from cryptml.processes.answering import FOLLOWS, Payload
from cryptml.processes.memory import resident_bytes
from cryptml.processes.spawning import spawn

POLL_SECONDS = 0.05
"""How often memory is compared with its limit."""

MOST_REPLY_BYTES = 16 << 20
"""Of an answer's JSON; what may be longer follows it."""

GRACE_SECONDS = 2.0
"""What a process gets to end by itself."""


class Child:
    """A process that answers JSON requests, one after the other.

    Args:
        module: Run as ``python -m``; calls `answer` with what it can do.
        threads: Of native code in it (``OMP_NUM_THREADS``).
        memory_bytes: Killed when it holds more; None for no limit.
        environment: All of it but the threads; None for this process's own.
        failure: What is raised where it does not answer.
        new_session: Whether signals to this process's group, such as Ctrl-C, leave it alone: its owner ends it.

    The process starts at once and imports while its owner does something else.
    """

    def __init__(
        self,
        module: str,
        *,
        threads: int,
        memory_bytes: int | None = None,
        environment: Mapping[str, str] | None = None,
        failure: type[CryptmlError] = MeasurementError,
        new_session: bool = False,
    ) -> None:
        self._module = module
        self._memory = memory_bytes
        self._failure = failure
        self._outgrown = 0
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (a file, not a pipe that could fill; closed by `stop`)
        self._process, self._connection = spawn(
            module, threads=threads, environment=environment, output=self._said, new_session=new_session
        )
        if memory_bytes is not None:
            threading.Thread(target=self._watch, daemon=True).start()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def says_more(self) -> bool:
        """Whether something came that nobody asked for, or the connection has ended: the next answer would not be one."""
        try:
            return self._connection.poll()
        except OSError:
            return True

    def ask(self, request: dict[str, Any], deadline: float, following: Payload | None = None) -> dict[str, Any]:
        """Return the answer to a request.

        Args:
            request: JSON values; ``do`` names the function.
            deadline: Of `time.monotonic`; the process is killed after it.
            following: Bytes behind the request, for a process that takes any.

        Raises:
            CryptmlError: As ``failure`` says, if the function fails, the process ends, takes too long or outgrows its memory.
        """
        if not self.alive:  # writing to nobody raises a signal, which LLVM's handlers turn into a crash of this process
            raise self._failure(f"{request['do']} {self._end()}")
        try:
            self._send(request, deadline, following)
            if not self._connection.poll(max(0.0, deadline - time.monotonic())):
                self.stop()
                raise self._failure(f"{request['do']} did not end within its time limit")
            reply = json.loads(self._receive(deadline, MOST_REPLY_BYTES))
        except (EOFError, OSError) as error:
            raise self._failure(f"{request['do']} {self._end()}") from error
        except (ValueError, RecursionError) as error:
            self._end()
            raise self._failure(f"{request['do']}: its process answered something that is no JSON") from error
        if not isinstance(reply, dict):
            self._end()
            raise self._failure(f"{request['do']}: its process answered something that is no answer")
        if "error" in reply:
            raise self._failure(f"{request['do']}: {reply['error']}")
        return reply

    def _send(self, request: dict[str, Any], deadline: float, following: Payload | None) -> None:
        if following is None:
            self._connection.send_bytes(json.dumps(request).encode())
            return
        # Sending more than fits between the two waits without a limit for an end that does not take it.
        with self._ended_at(deadline):
            self._connection.send_bytes(json.dumps({**request, FOLLOWS: True}).encode())
            self._connection.send_bytes(following)

    def take(self, deadline: float, most: int) -> bytes:
        """Return the bytes that follow an answer.

        Args:
            deadline: See `ask`.
            most: Bytes that are taken at most; the process is killed where there are more.

        Raises:
            CryptmlError: See `ask`.
        """
        try:
            return self._receive(deadline, most)
        except (EOFError, OSError) as error:
            raise self._failure(f"what follows an answer did not come: it {self._end()}") from error

    def _receive(self, deadline: float, most: int) -> bytes:
        # Receiving waits without a limit for an end that has sent a part.
        with self._ended_at(deadline):
            return self._connection.recv_bytes(most)

    @contextmanager
    def _ended_at(self, deadline: float) -> Iterator[None]:
        """Kill the process at a deadline, if what is done has not ended by then."""
        watch = threading.Timer(max(0.0, deadline - time.monotonic()), self._process.kill)
        watch.start()
        try:
            yield
        finally:
            watch.cancel()

    def stop(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """End the process, in the middle of a request too; an idle one ends by itself when the connection closes.

        Args:
            grace_seconds: What it gets for that.
        """
        self._connection.close()
        try:
            self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()  # what native code printed is dropped: it may hold values

    def _end(self) -> str:
        self._process.kill()
        code = self._process.wait()
        if self._outgrown:
            return f"outgrew its memory limit: {self._outgrown} bytes, at most {self._memory}"
        if code < 0:
            return f"ended its process with signal {signal.Signals(-code).name}"
        return f"ended its process with code {code}"

    def _watch(self) -> None:
        while self.alive and self._memory is not None:
            try:
                held = resident_bytes(self._process.pid)
            except MeasurementError:
                return
            if held > self._memory:
                self._outgrown = held
                self._process.kill()
                return
            time.sleep(POLL_SECONDS)


class Replaced:
    """A measuring process that is started anew for the next request where the one before has died.

    Args:
        module: See `Child`.
        threads: See `Child`.
        memory_bytes: See `Child`.
    """

    def __init__(self, module: str, *, threads: int, memory_bytes: int | None = None) -> None:
        self._module = module
        self._threads = threads
        self._memory = memory_bytes
        self._child: Child | None = None

    def __enter__(self) -> Replaced:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._child is not None:
            self._child.stop()

    def ask(self, request: dict[str, Any], deadline: float) -> dict[str, Any]:
        """See `Child.ask`."""
        if self._child is not None and not self._child.alive:
            self._child.stop()
            self._child = None
        if self._child is None:
            self._child = Child(self._module, threads=self._threads, memory_bytes=self._memory)
        return self._child.ask(request, deadline)
