"""Runs the application on a socket until it is told to end, and lets it finish what it has begun."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from cryptml.errors import SettingError
from cryptml_server.base.draining import Draining
from cryptml_server.base.settings import Settings
from cryptml_server.base.tls import tls_context
from cryptml_server.http.connections import bounded_protocol

MOST_HEAD_BYTES = 32 << 10
"""Of a request's method, path and headers together."""

GRACE_SECONDS = 2
"""For answers that are on their way when the time is over."""

LOOK_SECONDS = 0.05
SIGNALS = (signal.SIGINT, signal.SIGTERM)

_log = logging.getLogger(__name__)


def serve(app: FastAPI, settings: Settings, bound: socket.socket, announce: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or SIGINT, then end within the settings' time.

    At the first signal nothing new is begun, and what is at work has ``drain_seconds`` to finish; at the second, or when that time is
    over, workers are stopped and whoever waits is told so. No process is left behind.

    Args:
        app: The service, with ``state.draining`` and ``state.stop_workers``.
        settings: Its settings.
        bound: Not listening yet: whoever connects before the workers have tried every circuit is refused at once, instead of waiting.
        announce: Called once the service listens.

    Raises:
        SettingError: If certificate and key cannot be used, the port for metrics cannot be had, or another service listens here.
    """
    asyncio.run(_serve(app, settings, bound, announce))


async def _serve(app: FastAPI, settings: Settings, bound: socket.socket, announce: Callable[[], None]) -> None:
    tls = None
    if settings.tls_certificate is not None and settings.tls_key is not None:
        tls = tls_context(settings.tls_certificate, settings.tls_key)
    config = uvicorn.Config(
        app,
        http=bounded_protocol(head_seconds=settings.head_seconds, most=settings.connections, tls=tls),
        ws="none",
        lifespan="off",  # it is entered here, so that what it raises is raised
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=settings.connections,
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=MOST_HEAD_BYTES,
    )
    config.load()
    server = _Server(config)
    draining: Draining = app.state.draining
    ending = _Ending(server, draining, app.state.stop_workers)
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, ending.signalled)
    watching = asyncio.create_task(ending.wait(settings.drain_seconds))
    try:
        async with app.router.lifespan_context(app):
            ending.started = True
            if draining.is_set():
                return
            _listen(bound, config.backlog)
            announce()
            await server.serve(sockets=[bound])
    finally:
        watching.cancel()
        for number in SIGNALS:
            loop.remove_signal_handler(number)
        bound.close()


def _listen(bound: socket.socket, backlog: int) -> None:
    try:
        bound.listen(backlog)
    except OSError as error:
        raise SettingError(
            f"cannot listen on port {bound.getsockname()[1]} ({error.strerror}); another service took it; choose another with --port"
        ) from error


class _Server(uvicorn.Server):
    """A server that leaves signals to whoever runs it."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class _Ending:
    """How the service ends: first it drains, then it stops.

    Args:
        server: That answers.
        draining: What others ask.
        stop_workers: Ends all workers, in the middle of evaluations too.

    Attributes:
        started: Whether the workers have, so that requests may be at work.
    """

    def __init__(self, server: _Server, draining: Draining, stop_workers: Callable[[], Awaitable[None]]) -> None:
        self._server = server
        self._draining = draining
        self._stop_workers = stop_workers
        self.started = False
        self._told = asyncio.Event()
        self._told_twice = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None

    def signalled(self) -> None:
        """Take a signal."""
        if not self._draining.is_set():
            _log.info("told to end: finishing what is at work")
            self._draining.begin()
            self._told.set()
        elif not self._told_twice.is_set():
            _log.warning("told to end a second time: leaving at once")
            self._told_twice.set()
            self._server.force_exit = True
            self._stopping = asyncio.ensure_future(self._stop_workers())  # also one that is being started

    async def wait(self, seconds: float) -> None:
        """Wait for the signal, then for what is at work, then let the server end; while it starts, nothing is at work yet."""
        await self._told.wait()
        if not self.started:
            await self._stop_workers()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while self._at_work() and loop.time() < deadline and not self._told_twice.is_set():
            await asyncio.sleep(LOOK_SECONDS)
        if self._at_work():
            _log.warning("%d requests are broken off", self._at_work())
            await self._stop_workers()
        self._server.should_exit = True

    def _at_work(self) -> int:
        return len(self._server.server_state.tasks) + self._draining.at_work
