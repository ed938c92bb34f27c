"""What an answer is: of its service or of something between, and of the kind that was asked for."""

from __future__ import annotations

from typing import Any

import httpx

from cryptml.errors import ServiceError, ServiceProtocolError, ServiceRefused, printable
from cryptml.files import MAX_JSON_BYTES, read_json

JSON = frozenset(("application/json",))
OCTETS = frozenset(("application/octet-stream",))
PROBLEM = frozenset(("application/problem+json", "application/json"))
OWN_PROBLEMS = "urn:cryptml:problem:"
KIND_HEADER = "cryptml-problem"
MOST_NAME = 200
TOO_LARGE = 413
LEAST_ERROR, MOST_ERROR = 400, 599


def media_type(answer: httpx.Response) -> str:
    """Return an answer's media type without its parameters, in small letters; nothing where it names none, or several."""
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower()


def described(answer: httpx.Response) -> str:
    """Return what an answer says that it is, for a message."""
    kind = printable(media_type(answer))[:60]
    return "a page of HTML" if kind == "text/html" else kind or "nothing that says what it is"


def parse(body: bytes, what: str) -> Any:
    """Return the JSON that a service sent, within the bounds of `cryptml.files.read_json`.

    Raises:
        ServiceProtocolError: If it is none.
    """
    try:
        return read_json(body, what, ServiceError, limit=MAX_JSON_BYTES)
    except ServiceError as error:
        text = str(error).removesuffix("; write it again")
        raise ServiceProtocolError(f"{printable(text)}; check the address") from error


def refusal(answer: httpx.Response, body: bytes) -> ServiceRefused | None:
    """Return what a problem document says; None where the answer is none, or not its service's own."""
    if not LEAST_ERROR <= answer.status_code <= MOST_ERROR or media_type(answer) not in PROBLEM:
        return None
    try:
        problem = read_json(body, "the problem", ServiceError)
    except ServiceError:
        return None
    if not isinstance(problem, dict) or not {"title", "detail"} <= set(problem):
        return None
    if answer.status_code == TOO_LARGE and not str(problem.get("type", OWN_PROBLEMS)).startswith(OWN_PROBLEMS):
        return None
    title, detail = (
        printable(str(problem[name])[:length]) for name, length in (("title", MOST_NAME), ("detail", 1000))
    )
    return ServiceRefused(answer.status_code, title, detail, answer.headers, kind=_kind(problem))


def kind_of_head(answer: httpx.Response) -> str:
    """Return the kind of problem of an answer that has no body; empty where none is said."""
    return printable(answer.headers.get(KIND_HEADER, "")[:MOST_NAME])


def _kind(problem: dict[str, Any]) -> str:
    """Return the stable name of a problem: of its ``type``; where that is another's, or none, as old services made it of their titles."""
    named = str(problem.get("type", ""))
    if named.startswith(OWN_PROBLEMS):
        return printable(named.removeprefix(OWN_PROBLEMS)[:MOST_NAME])
    return printable(str(problem["title"])[:MOST_NAME]).lower().replace(" ", "-")
