"""The id of the request that is being answered, for whatever is said about it."""

from __future__ import annotations

from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""A hyphen where no request is being answered."""
