"""Every error answer is a problem document (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from cryptml_server.base.request_id import request_id
from cryptml_server.database import DatabaseUnavailable

MEDIA_TYPE = "application/problem+json"

_log = logging.getLogger(__name__)


class Problem(Exception):
    """An answer that is not the one hoped for.

    Attributes:
        status: HTTP status, 400 to 599.
        title: Short and fixed for its kind; doubles as the last part of ``type``.
        detail: One sentence: what, which value, which bound, what to do.
        retry_after: Seconds after which to try again, if that can help.
        headers: Of the answer, beside the usual ones.
        members: Of the document, beside the usual ones.
        counts: Whether an evaluation that ends so counts as one of its tenant's: where the client's body was evaluated, or killed workers.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
        counts: bool | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.retry_after = retry_after
        self.headers = dict(headers or {})
        self.members = dict(members or {})
        self.counts = status in (422, 504) if counts is None else counts


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error that the application knows of with a problem document; `unexpected` answers the others."""

    async def on_problem(request: Request, problem: Exception) -> JSONResponse:
        if not isinstance(problem, Problem):
            raise TypeError(type(problem).__name__)
        return answer_problem(problem, request)

    async def on_http(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, HTTPException):
            raise TypeError(type(error).__name__)
        problem = Problem(error.status_code, str(error.detail), f"{error.detail}; see /docs for what is offered")
        return answer_problem(problem, request)

    async def on_validation(request: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, RequestValidationError):
            raise TypeError(type(error).__name__)
        # The offending value is left out: it is the client's, and may be anything.
        found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5])
        return answer_problem(Problem(422, "Invalid request", found), request)

    async def on_database(request: Request, error: Exception) -> JSONResponse:
        _log.error("the database is unavailable (%s)", error)
        return answer_problem(
            Problem(503, "Database unavailable", "the service cannot reach its records; try again", retry_after=5),
            request,
        )

    async def on_disconnect(_: Request, __: Exception) -> Response:
        return Response(status_code=400)  # nobody is there to read it; the log and the metrics have 0

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(DatabaseUnavailable, on_database)
    app.add_exception_handler(ClientDisconnect, on_disconnect)


def unexpected(error: Exception, request: Request) -> JSONResponse:
    """Return the answer to an error that nobody expected; the log says which it was."""
    _log.error("unexpected %s", type(error).__name__, exc_info=error)
    return answer_problem(Problem(500, "Internal error", "the service failed; its log says why"), request)


def ambiguous(request: Request) -> JSONResponse:
    """Return the answer to a request that says its length in two ways: a proxy may have read another one than it is."""
    problem = Problem(
        400,
        "Ambiguous length",
        "the request has both Content-Length and Transfer-Encoding; send one of them",
        headers={"Connection": "close"},
    )
    return answer_problem(problem, request)


def answer_problem(problem: Problem, request: Request) -> JSONResponse:
    """Return a problem as a document; the log learns its kind."""
    kind = problem.title.lower().replace(" ", "-")
    request.state.problem = kind
    headers = dict(problem.headers)
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    return JSONResponse(
        {
            "type": f"urn:cryptml:problem:{kind}",
            "title": problem.title,
            "status": problem.status,
            "detail": problem.detail,
            "request_id": request_id.get(),
            **problem.members,
        },
        status_code=problem.status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )
