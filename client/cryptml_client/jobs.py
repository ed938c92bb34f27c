"""One evaluation as a job of the service: accepted at once, waited for, fetched, and deleted."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any, Protocol

from cryptml.errors import ServiceError, ServiceProtocolError, ServiceTimeout
from cryptml_client.http.answers import JSON, OCTETS, parse
from cryptml_client.progress import Progress
from cryptml_client.transport import MAX_JSON_BYTES, Transport

WAIT_SECONDS = 5
"""Of one question whether it is done: then its user hears how far it is, and no connection is silent for long."""

LEAST_SECONDS = 0.25
"""Between two questions."""

DELETE_SECONDS = 10.0
"""For saying that a job is not wanted any more: where that does not come through, it expires."""

MOST_EXPECTED = 1e9
"""Seconds; a service that expects more says nothing."""


class JobBook(Protocol):
    """Remembers the jobs of one picture where another program finds them: they are left at the service when this one ends."""

    def find(self, segment: int) -> str | None:
        """Return the name of a segment's job that an earlier program asked for, None where there was none."""
        ...

    def note(self, segment: int, job: str) -> None:
        """Remember a segment's job."""
        ...


class RemoteJob:
    """A job, as its client sees it.

    Attributes:
        name: At the service, 32 hexadecimal digits.

    Args:
        transport: To the service.
        document: What the service said of it.

    Raises:
        ServiceProtocolError: If that is no job.
    """

    def __init__(self, transport: Transport, document: Any) -> None:
        self._transport = transport
        name = document.get("job") if isinstance(document, Mapping) else None
        if not isinstance(name, str) or len(name) != 32 or set(name) - set("0123456789abcdef"):
            raise ServiceProtocolError("the service answers with something that is no job; check the address")
        self.name = name
        self._path = f"/v1/jobs/{name}"

    @classmethod
    def submit(cls, transport: Transport, path: str, ciphertext: bytes, headers: Mapping[str, str]) -> RemoteJob:
        """Ask for an evaluation; sent twice, it is still one.

        Raises:
            ServiceError: If it is not accepted.
        """
        own = {"Prefer": "respond-async", "Idempotency-Key": secrets.token_hex(16)}
        body, _ = transport.request(
            "POST", path, content=ciphertext, headers={**headers, **own}, limit=MAX_JSON_BYTES, kind=JSON
        )
        return cls(transport, parse(body, "the service's answer about a job"))

    def wait(self, progress: Progress, seconds: float) -> None:
        """Wait until the job ended.

        Args:
            progress: Told of the seconds that have passed, and those that are expected.
            seconds: For which to wait, in all: the last question has what is left of them.

        Raises:
            ServiceTimeout: If it has not ended by then.
            ServiceError: If the service does not say, or the client is about to close.
        """
        started = time.monotonic()
        while True:
            if self._transport.leaving.is_set():
                raise ServiceError("the job is not waited for any more: the client is about to close")
            left = seconds - (time.monotonic() - started)
            if left <= 0:
                raise _too_slow(seconds)
            wait = {"Prefer": f"wait={max(1, min(WAIT_SECONDS, round(left)))}"}
            asked = time.monotonic()
            try:
                document = self._transport.get_json(self._path, headers=wait, within=left)
            except ServiceTimeout as error:
                if time.monotonic() - started < seconds:
                    raise
                raise _too_slow(seconds) from error
            if document.get("state") in ("done", "failed"):
                return
            expected = document.get("expected_seconds")
            passed = time.monotonic() - started
            if time.monotonic() - asked < LEAST_SECONDS:
                time.sleep(min(LEAST_SECONDS, max(0.0, seconds - passed)))  # it does not hold its answers
            if isinstance(expected, (int, float)) and 0 <= expected <= MOST_EXPECTED:
                progress.portion(passed, passed + expected)

    def result(self, limit: int) -> tuple[bytes, Mapping[str, str]]:
        """Return the encrypted output and the answer's headers.

        Args:
            limit: Bytes that it may have.

        Raises:
            ServiceRefused: With what the job failed with.
        """
        return self._transport.request("GET", f"{self._path}/result", limit=limit, kind=OCTETS)

    def delete(self) -> None:
        """Delete the job at the service; where it is at work, it stops.

        Raises:
            ServiceError: If that cannot be done; it will expire.
        """
        self._transport.request("DELETE", self._path, limit=0, within=DELETE_SECONDS)


def _too_slow(seconds: float) -> ServiceTimeout:
    return ServiceTimeout(f"the job did not end within {seconds:g} s; allow more time")
