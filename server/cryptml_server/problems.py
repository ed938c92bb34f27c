"""Every error answer is a problem document (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

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
        counts: bool | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.retry_after = retry_after
        self.headers = dict(headers or {})
        self.counts = status in (422, 504) if counts is None else counts


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error of the application, expected or not, with a problem document."""

    async def on_problem(_: Request, problem: Exception) -> JSONResponse:
        if not isinstance(problem, Problem):
            raise TypeError(type(problem).__name__)
        return _answer(problem)

    async def on_http(_: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, HTTPException):
            raise TypeError(type(error).__name__)
        return _answer(Problem(error.status_code, str(error.detail), f"{error.detail}; see /docs for what is offered"))

    async def on_validation(_: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, RequestValidationError):
            raise TypeError(type(error).__name__)
        # The offending value is left out: it is the client's, and may be anything.
        found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5])
        return _answer(Problem(422, "Invalid request", found))

    async def on_database(_: Request, error: Exception) -> JSONResponse:
        _log.error("the database is unavailable (%s)", error)
        return _answer(
            Problem(503, "Database unavailable", "the service cannot reach its records; try again", retry_after=5)
        )

    async def on_disconnect(_: Request, __: Exception) -> Response:
        return Response(status_code=400)  # nobody is there to read it

    async def on_anything(request: Request, error: Exception) -> JSONResponse:
        _log.error("unexpected %s in %s", type(error).__name__, request.scope.get("route"), exc_info=error)
        return _answer(Problem(500, "Internal error", "the service failed; its log says why"))

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(DatabaseUnavailable, on_database)
    app.add_exception_handler(ClientDisconnect, on_disconnect)
    app.add_exception_handler(Exception, on_anything)


def _answer(problem: Problem) -> JSONResponse:
    kind = problem.title.lower().replace(" ", "-")
    headers = dict(problem.headers)
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    return JSONResponse(
        {
            "type": f"urn:cryptml:problem:{kind}",
            "title": problem.title,
            "status": problem.status,
            "detail": problem.detail,
        },
        status_code=problem.status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )
