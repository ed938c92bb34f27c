"""The log: one handler for all of it, a request's id in every line, one line a request."""

from __future__ import annotations

import logging
import re
import secrets
import sys
import time
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger.json import JsonFormatter
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cryptml_server.base.errors import AmbiguousLength
from cryptml_server.base.metrics import Metrics
from cryptml_server.base.request_id import request_id
from cryptml_server.base.settings import Settings
from cryptml_server.http.problems import answer_problem, unexpected
from cryptml_server.http.request_target import to_origin_form

OWN = ("cryptml", "cryptml_server", "cryptml_client")
"""Loggers that `log_level` is of; of all others warnings are shown."""

FIELDS = ("method", "route", "status", "ms", "tenant", "bytes_in", "bytes_out", "problem")
"""Of a request's line. Bodies, tokens, queries and paths are none of them."""

UNKNOWN_ROUTE = "unknown"
METHODS = frozenset(("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"))
VERSION = "/v1"
HEALTH = f"{VERSION}/health/"
HEADER = "X-Request-Id"
SERVER_FAULT = 500

_given = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = logging.getLogger(__name__)


def configure_logging(settings: Settings) -> None:
    """Send every logger's lines, those of the HTTP server too, to stderr in the form that the settings name."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_add_request_id)
    handler.setFormatter(_json_formatter() if settings.log_format == "json" else _TextFormatter())
    level = logging.getLevelName(settings.log_level.upper())
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    for name in OWN:
        logging.getLogger(name).setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.DEBUG if level == logging.DEBUG else max(level, logging.WARNING))


class RequestLog:
    """Gives each request an id, a line in the log and a place in the metrics; answers what is ambiguous, or what nobody expected.

    Args:
        app: The application.
        metrics: Where requests are counted.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity = _identity(scope)
        request_id.set(identity)
        scope.setdefault("state", {})
        started = time.perf_counter()
        status, bytes_in, bytes_out, hung_up = 0, 0, 0, False

        async def receive_counted() -> Message:
            nonlocal bytes_in, hung_up
            message = await receive()
            hung_up = hung_up or (message["type"] == "http.disconnect" and not status)
            bytes_in += len(message.get("body", b""))
            return message

        async def send_counted(message: Message) -> None:
            nonlocal status, bytes_out
            if message["type"] == "http.response.start":
                status = 0 if hung_up else message["status"]  # nobody gets that answer
                message["headers"] = [*message.get("headers", ()), (HEADER.lower().encode(), identity.encode())]
            bytes_out += len(message.get("body", b""))
            await send(message)

        try:
            problem_of_target = to_origin_form(scope)
            if problem_of_target is not None:
                await answer_problem(problem_of_target, Request(scope))(scope, receive_counted, send_counted)
            elif {b"content-length", b"transfer-encoding"} <= {name for name, _ in scope["headers"]}:
                refused = AmbiguousLength("the request has both Content-Length and Transfer-Encoding; send one of them")
                await answer_problem(refused, Request(scope))(scope, receive_counted, send_counted)
            else:
                await self._app(scope, receive_counted, send_counted)
        except Exception as error:  # noqa: BLE001 (answered here, so that it has the request's id and is logged once)
            answer = unexpected(error, Request(scope))
            if not status and not hung_up:
                await answer(scope, receive, send_counted)
        finally:
            seconds = time.perf_counter() - started
            method = scope["method"] if scope["method"] in METHODS else "OTHER"
            route = route_template(scope)
            self._metrics.answered(route, method, status, seconds)
            problem: str | None = scope["state"].get("problem")
            if problem is not None:
                self._metrics.refused(problem)
            tenant: str | None = scope["state"].get("tenant_id")
            fields = (method, route, status, round(seconds * 1000, 1), tenant, bytes_in, bytes_out, problem)
            level = logging.DEBUG if route.startswith(HEALTH) and status < SERVER_FAULT else logging.INFO
            _log.log(level, "request", extra=dict(zip(FIELDS, fields, strict=True)))


def route_template(scope: Scope) -> str:
    """Return the path of the route that a request was given to, its parameters unfilled; never what the client wrote."""
    path: str | None = getattr(scope.get("route"), "path", None)
    if path is None:
        return UNKNOWN_ROUTE
    # A router within another knows its path from the inner one on.
    return path if path.startswith(f"{VERSION}/") or not scope["path"].startswith(f"{VERSION}/") else f"{VERSION}{path}"


def _identity(scope: Scope) -> str:
    """Return the id that a request brings, where it is fit for a log, else a new one."""
    name = HEADER.lower().encode()
    given = next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")
    return given if _given.fullmatch(given) else secrets.token_hex(16)


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = request_id.get()
    return True


class _TextFormatter(logging.Formatter):
    """Moment (UTC), level, logger, request, message; then what is known of the request."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s%(fields)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 (the library's name)
        """Return the moment in UTC, to the millisecond."""
        moment = datetime.fromtimestamp(record.created, UTC)
        return moment.strftime(datefmt or "%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"

    def format(self, record: logging.LogRecord) -> str:
        """Return a line."""
        found: dict[str, Any] = {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        record.fields = "".join(f" {name}={'-' if value is None else value}" for name, value in found.items())
        return super().format(record)


def _json_formatter() -> JsonFormatter:
    return JsonFormatter(
        ["levelname", "name", "message", "request_id"],
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp="time",
    )
