"""What the OpenAPI document says beside what FastAPI finds out by itself: bodies of bytes, and problem documents."""

from __future__ import annotations

from typing import Any

from cryptml_server.http.problems import ANSWERED, KIND_HEADER, TYPE_PREFIX

OCTETS = "application/octet-stream"
PROBLEM = "application/problem+json"
_PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {
            "type": "string",
            "description": "a URN that names the kind of problem, the same in every version; programs decide by it",
            "examples": [TYPE_PREFIX + kind for kind in sorted(ANSWERED)],
        },
        "title": {"type": "string", "description": "the kind in words, for people"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "what, which value, which bound, what to do"},
        "request_id": {"type": "string", "description": "that the service's log has; the header X-Request-Id too"},
    },
}

_PROBLEM_HEADERS = {
    KIND_HEADER: {
        "description": "the last part of the problem's type, for who gets no body",
        "schema": {"type": "string", "enum": sorted(ANSWERED)},
    },
    "Retry-After": {
        "description": "seconds after which to try again; there only where that can help",
        "schema": {"type": "integer", "minimum": 1},
    },
}


def problems(**described: str) -> dict[int | str, dict[str, Any]]:
    """Return the answers that are problem documents.

    Args:
        described: What each status means, by ``s`` and its number.
    """
    return {
        int(status.removeprefix("s")): {
            "description": words,
            "headers": _PROBLEM_HEADERS,
            "content": {PROBLEM: {"schema": _PROBLEM_SCHEMA}},
        }
        for status, words in described.items()
    }


def octets(description: str) -> dict[str, Any]:
    """Return the description of an answer that is a body of bytes."""
    return {"description": description, "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}}}


def takes_octets(description: str) -> dict[str, Any]:
    """Return what an operation's description gets for a request's body of bytes."""
    return {"requestBody": {"required": True, **octets(description)}}
