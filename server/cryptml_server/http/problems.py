"""Every error answer is a problem document (RFC 9457), made here of the errors of `cryptml_server.base.errors`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from cryptml_server.base.errors import (
    AmbiguousLength,
    InternalError,
    InvalidRequest,
    InvalidRequestTarget,
    MethodNotAllowed,
    NoSuchAddress,
    NotAuthenticated,
    NotReady,
    OtherOffset,
    RecordsUnavailable,
    ServerError,
    TooMany,
    Unavailable,
    UnknownKeys,
)
from cryptml_server.base.request_id import request_id
from cryptml_server.database import DatabaseUnavailable

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:cryptml:problem:"
"""Of every problem's ``type``; the kind follows. Clients decide by it: a kind never changes, a title may."""

KIND_HEADER = "CryptML-Problem"
"""Of every problem: its kind, for who gets no body, as an answer to HEAD has none."""

USUAL_PAUSE = 5
"""Seconds that are asked for where an error that time mends says none."""

INTERNAL_ERROR = 500

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answered:
    """How a kind of problem is answered.

    Attributes:
        status: HTTP status, 400 to 599.
        title: The kind in words, for people.
    """

    status: int
    title: str


ANSWERED: Mapping[str, Answered] = {
    "ambiguous-length": Answered(400, "Ambiguous length"),
    "invalid-request-target": Answered(400, "Invalid request target"),
    "not-authenticated": Answered(401, "Not authenticated"),
    "key-quota-used-up": Answered(403, "Key quota used up"),
    "query-budget-used-up": Answered(403, "Query budget used up"),
    "not-found": Answered(404, "Not Found"),
    "unknown-evaluation-keys": Answered(404, "Unknown evaluation keys"),
    "unknown-file": Answered(404, "Unknown file"),
    "unknown-job": Answered(404, "Unknown job"),
    "unknown-model": Answered(404, "Unknown model"),
    "unknown-segment": Answered(404, "Unknown segment"),
    "method-not-allowed": Answered(405, "Method Not Allowed"),
    "upload-too-slow": Answered(408, "Upload too slow"),
    "another-circuit": Answered(409, "Another circuit"),
    "another-offset": Answered(409, "Another offset"),
    "idempotency-key-used": Answered(409, "Idempotency key used"),
    "not-finished": Answered(409, "Not finished"),
    "upload-under-way": Answered(409, "Upload under way"),
    "not-served": Answered(410, "Not served"),
    "body-too-long": Answered(413, "Body too long"),
    "keys-too-long": Answered(413, "Keys too long"),
    "misdirected-request": Answered(421, "Misdirected request"),
    "body-too-short": Answered(422, "Body too short"),
    "digest-mismatch": Answered(422, "Digest mismatch"),
    "evaluation-failed": Answered(422, "Evaluation failed"),
    "invalid-request": Answered(422, "Invalid request"),
    "keys-truncated": Answered(422, "Keys truncated"),
    "unusable-ciphertext": Answered(422, "Unusable ciphertext"),
    "unusable-evaluation-keys": Answered(422, "Unusable evaluation keys"),
    "daily-quota-used-up": Answered(429, "Daily quota used up"),
    "too-many-evaluations-at-once": Answered(429, "Too many evaluations at once"),
    "too-many-jobs": Answered(429, "Too many jobs"),
    "too-many-lost-workers": Answered(429, "Too many lost workers"),
    "too-many-stopped-evaluations": Answered(429, "Too many stopped evaluations"),
    "too-many-unfinished-uploads": Answered(429, "Too many unfinished uploads"),
    "circuit-failure": Answered(500, "Circuit failure"),
    "internal-error": Answered(500, "Internal error"),
    "job-failure": Answered(500, "Job failure"),
    "circuit-unavailable": Answered(503, "Circuit unavailable"),
    "cluster-out-of-memory": Answered(503, "Cluster out of memory"),
    "database-unavailable": Answered(503, "Database unavailable"),
    "draining": Answered(503, "Draining"),
    "keys-unreadable": Answered(503, "Keys unreadable"),
    "no-room-on-the-cluster": Answered(503, "No room on the cluster"),
    "no-worker": Answered(503, "No worker"),
    "not-ready": Answered(503, "Not ready"),
    "other-version": Answered(503, "Other version"),
    "out-of-memory": Answered(503, "Out of memory"),
    "shutting-down": Answered(503, "Shutting down"),
    "too-busy": Answered(503, "Too busy"),
    "worker-lost": Answered(503, "Worker lost"),
    "evaluation-too-slow": Answered(504, "Evaluation too slow"),
    "no-room-for-keys": Answered(507, "No room for keys"),
}
"""Every kind of problem that this service answers with; the OpenAPI document lists them."""


def describe_problem(error: ServerError) -> dict[str, Any]:
    """Return the members of an error's problem document that are the same wherever it stands: type, title, status, detail.

    What was refused for now and is final all the same, as a job's end is, has status 500: nobody is to ask again and again.
    """
    answered = ANSWERED[error.kind]
    status = INTERNAL_ERROR if error.final and isinstance(error, TooMany | Unavailable) else answered.status
    return {"type": TYPE_PREFIX + error.kind, "title": answered.title, "status": status, "detail": error.detail}


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error that the application knows of with a problem document; `unexpected` answers the others."""

    async def on_error(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, ServerError):
            raise TypeError(type(error).__name__)
        return answer_problem(error, request)

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, HTTPException):
            raise TypeError(type(error).__name__)
        # What the framework adds stays, such as the methods that there are.
        return answer_problem(_of_framework(error), request, error.headers)

    async def on_validation(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, RequestValidationError):
            raise TypeError(type(error).__name__)
        # The offending value is left out: it is the client's, and may be anything.
        found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5])
        return answer_problem(InvalidRequest(found), request)

    async def on_database(request: Request, error: Exception) -> JSONResponse:
        _log.error("the database is unavailable (%s)", error)
        unavailable = RecordsUnavailable("the service cannot reach its records; try again", retry_after=5)
        return answer_problem(unavailable, request)

    async def on_disconnect(_: Request, __: Exception) -> Response:
        return Response(status_code=400)  # nobody is there to read it; the log and the metrics have 0

    app.add_exception_handler(ServerError, on_error)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(DatabaseUnavailable, on_database)
    app.add_exception_handler(ClientDisconnect, on_disconnect)


def unexpected(error: Exception, request: Request) -> JSONResponse:
    """Return the answer to an error that nobody expected; the log says which it was."""
    _log.error("unexpected %s", type(error).__name__, exc_info=error)
    return answer_problem(InternalError("the service failed; its log says why"), request)


def answer_problem(error: ServerError, request: Request, further: Mapping[str, str] | None = None) -> JSONResponse:
    """Return an error as a problem document with its headers; the log learns its kind."""
    document = describe_problem(error)
    if isinstance(error, NotReady):
        document["checks"] = error.checks
    request.state.problem = error.kind
    return JSONResponse(
        {**document, "request_id": request_id.get()},
        status_code=document["status"],
        headers={**(further or {}), **_headers(error), KIND_HEADER: error.kind},
        media_type=MEDIA_TYPE,
    )


def _headers(error: ServerError) -> dict[str, str]:
    """Return an error's headers: ``Retry-After`` is there exactly if trying again can help, and clients decide by that."""
    headers = {}
    pause = error.retry_after if error.retry_after or not isinstance(error, TooMany | Unavailable) else USUAL_PAUSE
    if pause is not None and not error.final:
        headers["Retry-After"] = str(pause)
    if isinstance(error, UnknownKeys | OtherOffset) and error.offset is not None:
        headers["Upload-Offset"] = str(error.offset)
    if isinstance(error, NotAuthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, AmbiguousLength | InvalidRequestTarget):
        headers["Connection"] = "close"
    return headers


def _of_framework(error: HTTPException) -> ServerError:
    """Return what the framework refuses by itself: addresses and methods that there are none of, bodies that it cannot parse."""
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return NoSuchAddress("there is no such address; see /docs for what is offered")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return MethodNotAllowed("the address does not take this method; see /docs for what is offered")
        case status if status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return InvalidRequest("the request cannot be understood; see /docs for what is offered")
        case _:
            return InternalError("the service failed; its log says why")
