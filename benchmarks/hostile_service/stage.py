"""A service over plain sockets that answers as it was recorded, but for what an attack says otherwise."""

from __future__ import annotations

import random
import re
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from benchmarks.hostile_service.plays import Play, Request, Response
from benchmarks.sockets import serve_each, stop_listening

DRIP_SECONDS = 0.02
MOST_SECONDS = 12.0
"""For which one connection is played with at most; no client stays so long."""

BLOCK = 1 << 16

_length = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Gone(Exception):
    """The client has closed the connection."""


@dataclass
class Wire:
    """A connection on which a request has come.

    Attributes:
        request: What came.
        honest: What a service that keeps to the protocol would answer.
        rng: For this attack.
    """

    connection: socket.socket
    request: Request
    honest: Response
    rng: random.Random
    ends: float

    def say(self, data: bytes) -> None:
        """Send bytes."""
        self.connection.sendall(data)

    def drip(self, data: bytes, again: bytes = b"", size: int = 1) -> None:
        """Send bytes one by one, then some more for as long as anybody listens."""
        for start in range(0, len(data), size):
            self.say(data[start : start + size])
            self.wait(DRIP_SECONDS)
        while again:
            self.say(again)
            self.wait(DRIP_SECONDS)

    def pour(self, data: bytes) -> None:
        """Send the same bytes for as long as anybody listens."""
        while True:
            self.say(data)
            if time.monotonic() > self.ends:
                raise Gone

    def wait(self, seconds: float = MOST_SECONDS) -> None:
        """Say nothing for a while.

        Raises:
            Gone: If the client leaves meanwhile.
        """
        until = min(time.monotonic() + seconds, self.ends)
        while (left := until - time.monotonic()) > 0:
            readable, _, _ = select.select([self.connection], [], [], left)
            if readable and not self.connection.recv(BLOCK, socket.MSG_PEEK):
                raise Gone
            if readable:
                time.sleep(min(left, DRIP_SECONDS))
        if time.monotonic() > self.ends:
            raise Gone

    def reset(self) -> None:
        """End the connection at once, what is on its way being lost."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Gone


Act = Callable[[Wire], bool | None]
"""Answers in its own way, and says whether the connection is kept."""

Alter = Callable[[Request, Response, random.Random], Response]


@dataclass
class Attack:
    """What one run of the client meets.

    Attributes:
        way: What is done, for a message.
        steps: Which requests (`Request.step`) it meets; none where `answers` says all.
        act: Answers over the wire.
        alter: Changes the honest answer, where there is no `act`.
        lasting: Whether each such request meets it, not only the first.
        well_formed: Whether what the client decrypts alone differs: then it must ask exactly what it asks an honest service.
        away: Whether the service says that it has no keys yet.
        play: Whose answers are given; the honest one's if None.
    """

    way: str
    steps: frozenset[str] = frozenset()
    act: Act | None = None
    alter: Alter | None = None
    lasting: bool = True
    well_formed: bool = False
    away: bool = False
    play: Play | None = None


@dataclass
class Log:
    """What came during one run.

    Attributes:
        requests: In their order.
        times: When each was whole.
        attacked: How many met the attack.
        raw: Every byte, a piece a request; what is no whole request too.
    """

    requests: list[Request] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    attacked: int = 0
    raw: list[bytes] = field(default_factory=list)


class Stage:
    """Listens on a port of its own; one client at a time asks it.

    Attributes:
        url: Its address.
        log: Of the run that is on.
    """

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._lock = threading.Lock()
        self._run = 0
        self._open: set[socket.socket] = set()
        self.log = Log()
        serve_each(self._listening, self._serve)

    def begin(self, play: Play, attack: Attack, rng: random.Random) -> None:
        """Play another service from now on."""
        with self._lock:
            self._run += 1
            self.log = Log()
            self._play, self._attack, self._rng = play, attack, rng

    def finish(self) -> Log:
        """Return what came, and answer nobody any more until the next run; connections that are kept stay open."""
        with self._lock:
            self._run += 1
            log, self.log = self.log, Log()
            return log

    def drop(self) -> None:
        """Close all connections."""
        with self._lock:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Listen no more."""
        self.drop()
        stop_listening(self._listening)

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            with suppress(OSError, Gone), connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.settimeout(MOST_SECONDS)
                rest = b""
                while True:
                    request, rest = self._read(connection, rest)
                    if request is None or not self._answer(connection, request):
                        return
        finally:
            with self._lock:
                self._open.discard(connection)

    def _read(self, connection: socket.socket, rest: bytes) -> tuple[Request | None, bytes]:
        """Return the next request and what stands behind it."""
        data = bytearray(rest)
        try:
            while (end := data.find(b"\r\n\r\n")) < 0:
                if not self._more(connection, data):
                    return None, b""
            found = _length.search(bytes(data[: end + 2]))
            whole = end + 4 + (int(found[1]) if found else 0)
            attack = self._early(bytes(data[:end]))
            while attack is None and len(data) < whole:
                if not self._more(connection, data):
                    return None, b""
        finally:
            self.log.raw.append(bytes(data))
        lines = bytes(data[:end]).decode("latin-1").split("\r\n")
        method, target, _ = (*lines[0].split(" "), "", "")[:3]
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        return Request(method, target, headers, bytes(data[end + 4 : whole])), bytes(data[whole:])

    def _more(self, connection: socket.socket, data: bytearray) -> bool:
        block = connection.recv(1 << 20)
        data += block
        return bool(block)

    def _early(self, head: bytes) -> bool | None:
        """Whether an answer is to come before a body: attacks that say so."""
        return True if getattr(self._attack.act, "early", False) and b"Content-Length: 0" not in head else None

    def _answer(self, connection: socket.socket, request: Request) -> bool:
        with self._lock:
            play, attack, rng, log = self._play, self._attack, self._rng, self.log
            log.requests.append(request)
            log.times.append(time.monotonic())
            meets = request.step in attack.steps and (attack.lasting or not log.attacked)
            log.attacked += meets
        honest = (attack.play or play).honest(request)
        if attack.away and request.step == "keys":
            honest = play.answers["no keys"]
        if not meets or (attack.act is None and attack.alter is None):
            connection.sendall(honest.wire(request.method))
            return True
        if attack.act is not None:
            wire = Wire(connection, request, honest, rng, time.monotonic() + MOST_SECONDS)
            return bool(attack.act(wire))
        assert attack.alter is not None
        connection.sendall(attack.alter(request, honest, rng).wire(request.method))
        return True
