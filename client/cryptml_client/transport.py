"""HTTP to one service, with every failure turned into one of CRYPTML's errors and every answer bounded."""

from __future__ import annotations

import ipaddress
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx
import tenacity

from cryptml import __version__
from cryptml.errors import (
    ServiceError,
    ServiceProtocolError,
    ServiceRefused,
    ServiceTimeout,
    ServiceUnavailable,
    SettingError,
    printable,
)

MAX_JSON_BYTES = 16 << 20
MAX_PORT = 65_535
MOST_PATIENCE = 86_400
CONFLICT = 409

T = TypeVar("T")


class Transport:
    """A connection to a service.

    Attributes:
        leaving: Set when nobody is to begin to wait for long.

    Args:
        url: ``http://`` or ``https://`` and a host.
        timeout_seconds: For each request from its start to the end of its answer, evaluation included.
        token: Of the tenant; None for a service that asks for none.
        ca_file: Certificates (PEM) of those who may vouch for the service; the usual ones if None.
        patience_seconds: For which what may help itself is tried again; 0 for never.

    Raises:
        SettingError: If one of them cannot be used, or the token would travel in the clear.
    """

    def __init__(
        self,
        url: str,
        timeout_seconds: float,
        token: str | None = None,
        *,
        ca_file: Path | None = None,
        patience_seconds: float = 0.0,
    ) -> None:
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, TypeError, UnicodeError) as error:
            raise SettingError(f"{url!r} is not an address of a service; write it as http://host:port") from error
        if parsed.scheme not in ("http", "https") or not parsed.host or (parsed.port or 0) > MAX_PORT:
            raise SettingError(f"{url!r} is not an address of a service; write it as http://host:port")
        if not 0 < timeout_seconds <= 86_400:
            raise SettingError(f"a timeout of {timeout_seconds} s is out of bounds; give more than 0 and at most 86400")
        if not 0 <= patience_seconds <= MOST_PATIENCE:
            raise SettingError(f"a patience of {patience_seconds} s is out of bounds; give 0 to {MOST_PATIENCE}")
        if token is not None:
            _require_safe(token, parsed)
        self._url = str(parsed).rstrip("/")
        self._timeout = timeout_seconds
        self.leaving = threading.Event()
        connecting = min(timeout_seconds, 10.0)
        self._http = httpx.Client(
            base_url=self._url,
            timeout=httpx.Timeout(timeout_seconds, connect=connecting),
            headers={
                "User-Agent": f"cryptml/{__version__}",
                "Accept-Encoding": "identity",
                **({} if token is None else {"Authorization": f"Bearer {token}"}),
            },
            follow_redirects=False,
            trust_env=False,
            verify=_trusted(ca_file),
        )
        self._reached = self._reached_before = False
        self._retrying, self._retrying_refused = (
            tenacity.Retrying(
                retry=tenacity.retry_if_exception(helps),
                stop=tenacity.stop_before_delay(patience_seconds),
                wait=_pause,
                reraise=True,
            )
            for helps in (self._may_help_itself, _was_put_off)
        )

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get_json(self, path: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return a JSON object.

        Raises:
            ServiceError: See `request`; `ServiceProtocolError` if it is no JSON object.
        """
        body, _ = self.request("GET", path, headers=headers, limit=MAX_JSON_BYTES)
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ServiceProtocolError(
                f"{self._url} answers {path} with something that is not JSON; check the address"
            ) from error
        if not isinstance(document, dict):
            raise ServiceProtocolError(
                f"{self._url} answers {path} with a {type(document).__name__}; check the address"
            )
        return document

    def stored(self, path: str, query: Mapping[str, int]) -> tuple[bool, int]:
        """Return whether a resource is there (HEAD), and if not, how many bytes of it are.

        Raises:
            ServiceError: For anything but yes or no.
        """
        try:
            self.request("HEAD", path, limit=0, query=query)
        except ServiceRefused as refusal:
            if refusal.status == 404:
                there = refusal.headers.get("upload-offset", "0")
                return False, int(there) if re.fullmatch("[0-9]{1,18}", there) else 0
            raise
        return True, 0

    def persist(self, attempt: Callable[[], T]) -> T:
        """Return what an attempt returns; where it fails in a way that may help itself, after another one, for as long as patience goes.

        The pauses are those that the service asks for, or grow, and are never quite the same: clients that failed together do not come
        back together.

        Args:
            attempt: Safe to make again, whatever came of the last one.

        Raises:
            ServiceError: Of the last attempt.
        """
        return self._retrying(attempt)

    def _may_help_itself(self, error: BaseException) -> bool:
        # An address where nothing ever answered is more likely wrong than away.
        return _was_put_off(error) or (isinstance(error, ServiceUnavailable) and self._reached)

    def request(
        self,
        method: str,
        path: str,
        *,
        limit: int,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, int] | None = None,
        once: bool = False,
        counts: bool = False,
    ) -> tuple[bytes, Mapping[str, str]]:
        """Send a request and return body and headers of a successful answer; see `persist`.

        Args:
            method: HTTP method.
            path: Below the service's address, beginning with ``/``.
            limit: Bytes that the body may have.
            content: The request's body.
            headers: Beside the usual ones.
            query: Parameters.
            once: Whether it is not to be sent again, whatever happens.
            counts: Whether the service counts it each time that it comes: then it is sent again only where it was refused.

        Raises:
            ServiceUnavailable: If nothing accepts the connection, or it breaks.
            ServiceTimeout: If the answer takes too long.
            ServiceRefused: If it is a problem document.
            ServiceProtocolError: If it is anything else that this protocol does not know, or too long.
            ServiceError: If the connection was closed here.
        """
        send = partial(self._send, method, path, limit, content, headers, query)
        if once:
            return send()
        return (self._retrying_refused if counts else self._retrying)(send)

    def _send(
        self,
        method: str,
        path: str,
        limit: int,
        content: bytes | None,
        headers: Mapping[str, str] | None,
        query: Mapping[str, int] | None,
    ) -> tuple[bytes, Mapping[str, str]]:
        deadline = time.monotonic() + self._timeout
        try:
            with self._http.stream(method, path, content=content, headers=headers, params=query) as answer:
                self._reached_before, self._reached = self._reached, True
                ceiling = limit if answer.is_success else MAX_JSON_BYTES
                body = bytearray()
                for block in answer.iter_raw():
                    if time.monotonic() > deadline:
                        raise self._too_slow(method, path)
                    body += block
                    if len(body) > ceiling:
                        raise ServiceProtocolError(
                            f"{self._url} answers {method} {path} with more than {ceiling} bytes; do not trust this service"
                        )
                if answer.is_success:
                    return bytes(body), answer.headers
                raise self._refusal(method, path, answer, bytes(body))
        except httpx.TimeoutException as error:
            raise self._too_slow(method, path) from error
        except RuntimeError as error:
            if not self._http.is_closed:
                raise
            raise ServiceError(f"{method} {path} was not asked: the client is closed") from error
        except UnicodeError as error:
            raise SettingError(f"{self._url!r} names no host; check the address") from error
        except httpx.ConnectError as error:
            raise ServiceUnavailable(
                f"nothing answers at {self._url}; check the address and that the service runs"
            ) from error
        except (httpx.RemoteProtocolError, httpx.DecodingError) as error:
            if self._reached:
                raise ServiceUnavailable(
                    f"{self._url} broke off in the middle of {method} {path}; try again"
                ) from error
            raise ServiceProtocolError(
                f"{self._url} broke off or does not speak HTTP; check the address ({type(error).__name__})"
            ) from error
        except httpx.TransportError as error:
            raise ServiceUnavailable(
                f"the connection to {self._url} failed ({type(error).__name__}); try again"
            ) from error

    def _too_slow(self, method: str, path: str) -> ServiceTimeout:
        return ServiceTimeout(
            f"{self._url} did not answer {method} {path} within {self._timeout:g} s; try later or allow more time"
        )

    def _refusal(
        self, method: str, path: str, answer: httpx.Response, body: bytes
    ) -> ServiceRefused | ServiceProtocolError | ServiceUnavailable:
        if method == "HEAD":  # has no body by definition
            return ServiceRefused(answer.status_code, answer.reason_phrase, f"{method} {path}", answer.headers)
        try:
            problem = json.loads(body)
            title, detail = str(problem["title"])[:200], str(problem["detail"])[:1000]
        except (ValueError, KeyError, TypeError, RecursionError):
            if self._reached_before and answer.status_code in (
                429,
                502,
                503,
                504,
            ):  # a proxy in front, or the service in need
                return ServiceUnavailable(
                    f"{self._url} has no answer to {method} {path} now (status {answer.status_code}); try again"
                )
            return ServiceProtocolError(
                f"{self._url} answers {method} {path} with status {answer.status_code} and no problem document; check the address"
            )
        return ServiceRefused(answer.status_code, printable(title), printable(detail), answer.headers)


def _was_put_off(error: BaseException) -> bool:
    """Return whether the service refused for now."""
    if not isinstance(error, ServiceRefused):
        return False
    return error.status in (429, 503) or (error.status == CONFLICT and "retry-after" in error.headers)


def _pause(state: tenacity.RetryCallState) -> float:
    """Return how long to wait before the next attempt: a little longer than the service asks for, or than the last time."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.headers.get("retry-after", "") if isinstance(error, ServiceRefused) else ""
    least = float(asked) if re.fullmatch("[0-9]{1,9}", asked) else 0.0
    growing: float = tenacity.wait_random_exponential(multiplier=0.5, max=15)(state)
    return least + (min(growing, 0.1 * least + 0.2) if least else growing)


def _trusted(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context() if ca_file is None else ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        raise SettingError(f"the certificates in {ca_file} cannot be used ({error}); give a PEM file") from error


def _require_safe(token: str, url: httpx.URL) -> None:
    """Refuse a token that is none, or that anybody on the way could read."""
    if not token.isascii() or not token.isprintable() or not token.strip() or " " in token:
        raise SettingError(
            "the token holds spaces or characters that no token has; copy it again, without a line's end"
        )
    if url.scheme == "http" and not _is_loopback(url.host):
        raise SettingError(
            f"the token would travel to {url.host} in the clear; use the https:// address of the service, or a tunnel to it"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
