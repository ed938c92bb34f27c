"""Names to addresses, addresses to connections, within the request's deadline."""

from __future__ import annotations

import ipaddress
import math
import socket
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any

import httpcore

from cryptml_client.http.deadlines import seconds_left
from cryptml_client.http.streams import Framed, Tcp, Unreachable

CONNECT_SECONDS = 10.0
"""For each of a host's addresses, within the request's time: the next one may answer."""

Found = list[tuple[Any, Any, int, str, Any]]


class Network(httpcore.NetworkBackend):
    """How httpcore reaches the network: nothing takes longer than the request that wants it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[tuple[str, int], Future[Found]] = {}

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 (the deadline counts)
        local_address: str | None = None,  # noqa: ARG002 (nobody asks for one)
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Return a connection to the first of a host's addresses that takes one.

        Raises:
            ConnectTimeout: When the time is over.
            Unreachable: If none does.
            UnicodeError: If that can be no host's name.
        """
        try:
            found = self._resolve(host, port)
        except OSError as error:
            raise Unreachable(host, "no such host") from error
        for family, kind, protocol, _, address in found:
            left = seconds_left()
            if left <= 0:
                break
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(min(CONNECT_SECONDS, left))
                connection.connect(address)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                connection.close()
                continue
            except BaseException:
                connection.close()
                raise
            return Framed(Tcp(connection))
        if seconds_left() <= 0:
            raise httpcore.ConnectTimeout
        raise Unreachable(host, "nothing takes connections")

    def _resolve(self, host: str, port: int) -> Found:
        """Return a host's addresses; whoever waits for the same ones waits for one question to the system, which cannot be called off."""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            pass
        else:
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        with self._lock:
            asked = self._asked.get((host, port))
            if asked is None:
                asked = self._asked[host, port] = Future()
                threading.Thread(target=self._ask, args=(asked, host, port), daemon=True).start()
        left = seconds_left()
        try:
            return asked.result(None if left == math.inf else max(0.0, left))
        except NotYet:
            if asked.done():
                raise
            raise httpcore.ConnectTimeout from None

    def _ask(self, asked: Future[Found], host: str, port: int) -> None:
        try:
            asked.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:  # noqa: BLE001 (it is raised where it is waited for)
            asked.set_exception(error)
        finally:
            with self._lock:
                del self._asked[host, port]
