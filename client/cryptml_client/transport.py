"""HTTP to one service, with every failure turned into one of CRYPTML's errors and every answer bounded."""

from __future__ import annotations

import math
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpcore
import httpx

from cryptml import __version__
from cryptml.errors import (
    ServiceError,
    ServiceProtocolError,
    ServiceRefused,
    ServiceUnavailable,
    SettingError,
)
from cryptml_client.http.addresses import is_loopback, service_address
from cryptml_client.http.answers import JSON, parse
from cryptml_client.http.connections import Connections
from cryptml_client.http.deadlines import ending_at
from cryptml_client.http.failures import Failures
from cryptml_client.http.proxies import choose_proxy
from cryptml_client.http.retries import retrying, was_put_off

MAX_JSON_BYTES = 16 << 20

MOST_PATIENCE = 86_400

UNKNOWN_KEYS = "unknown-evaluation-keys"

T = TypeVar("T")


class Transport:
    """A connection to a service.

    Attributes:
        leaving: Set when nobody is to begin to wait for long.

    Args:
        url: ``http://`` or ``https://`` and a host.
        timeout_seconds: For each request from the look-up of its host to the last byte of its answer, evaluation included.
        token: Of the tenant; None for a service that asks for none.
        ca_file: Certificates (PEM) of those who may vouch for the service, and for a proxy that is spoken to by https; the usual ones if
            None.
        patience_seconds: For which what may help itself is tried again, 0 for never: no attempt begins later, and the last one has its
            timeout.
        proxy: ``http://`` or ``https://`` and host and port of a proxy on the way, ``none`` for none; None for what `HTTP_PROXY`,
            `HTTPS_PROXY` and `NO_PROXY` say. See `cryptml_client.http.proxies.choose_proxy`.

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
        proxy: str | None = None,
    ) -> None:
        parsed = service_address(url)
        if not 0 < timeout_seconds <= 86_400:
            raise SettingError(f"a timeout of {timeout_seconds} s is out of bounds; give more than 0 and at most 86400")
        if not 0 <= patience_seconds <= MOST_PATIENCE:
            raise SettingError(f"a patience of {patience_seconds} s is out of bounds; give 0 to {MOST_PATIENCE}")
        if token is not None:
            _require_safe(token, parsed)
        self._url = str(parsed).rstrip("/")
        between = choose_proxy(parsed, proxy)
        self._failures = Failures(self._url, between, with_token=token is not None)
        self._timeout = timeout_seconds
        self._patience = patience_seconds
        self.leaving = threading.Event()
        self._http = httpx.Client(
            base_url=self._url,
            transport=Connections(_trusted(ca_file), between),
            headers={
                "User-Agent": f"cryptml/{__version__}",
                "Accept-Encoding": "identity",
                **({} if token is None else {"Authorization": f"Bearer {token}"}),
            },
            follow_redirects=False,
            trust_env=False,  # it would read passwords (.netrc) too; `choose_proxy` reads what is wanted
        )
        self._reached = self._reached_before = False

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def address(self) -> str:
        """The service's address, in one form however it was written."""
        return self._url

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get_json(
        self, path: str, headers: Mapping[str, str] | None = None, *, within: float = math.inf
    ) -> dict[str, Any]:
        """Return a JSON object; see `request`.

        Raises:
            ServiceError: See `request`; `ServiceProtocolError` if it is no JSON object.
        """
        body, _ = self.request("GET", path, headers=headers, limit=MAX_JSON_BYTES, kind=JSON, within=within)
        document = parse(body, f"what {self._url} answers to {path}")
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
            _, headers = self.request("HEAD", path, limit=0, query=query)
        except ServiceRefused as refused:
            if refused.kind == UNKNOWN_KEYS or (
                not refused.kind and refused.status == HTTPStatus.NOT_FOUND
            ):  # an older service
                there = refused.headers.get("upload-offset", "0")
                return False, int(there) if re.fullmatch("[0-9]{1,18}", there) else 0
            raise
        if headers.get("content-type", "").lower().startswith("text/html"):
            raise ServiceProtocolError(f"{self._url} answers HEAD {path} with a page of HTML; check the address")
        return True, 0

    def persist(self, attempt: Callable[[], T], waiting: Callable[[ServiceError], None] | None = None) -> T:
        """Return what an attempt returns; where it fails in a way that may help itself, after another one, for as long as patience goes.

        The pauses are those that the service asks for, or grow, and are never quite the same: clients that failed together do not come
        back together.

        Args:
            attempt: Safe to make again, whatever came of the last one.
            waiting: Told what the last attempt failed with, before each pause.

        Raises:
            ServiceError: Of the last attempt.
        """
        return retrying(self._is_retryable, self._patience, waiting)(attempt)

    def _is_retryable(self, error: BaseException) -> bool:
        # An address where nothing ever answered is more likely wrong than away.
        return was_put_off(error) or (isinstance(error, ServiceUnavailable) and self._reached)

    def request(
        self,
        method: str,
        path: str,
        *,
        limit: int,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, int] | None = None,
        kind: frozenset[str] | None = None,
        once: bool = False,
        counts: bool = False,
        within: float = math.inf,
    ) -> tuple[bytes, Mapping[str, str]]:
        """Send a request and return body and headers of a successful answer; see `persist`.

        Args:
            method: HTTP method.
            path: Below the service's address, beginning with ``/``.
            limit: Bytes that the body may have.
            content: The request's body.
            headers: Beside the usual ones.
            query: Parameters.
            kind: Media types that the answer may have; None for an answer whose body is not read.
            once: Whether it is not to be sent again, whatever happens.
            counts: Whether the service counts it each time that it comes: then it is sent again only where it was refused.
            within: Seconds in which all of it is over, attempts and pauses between them included.

        Raises:
            ServiceUnavailable: If nothing accepts the connection, or it breaks.
            ServiceTimeout: If the answer takes too long.
            ServiceRefused: If it is a problem document.
            ServiceProtocolError: If it is anything else that this protocol does not know, too long, compressed, or of another kind.
            ServiceError: If the connection was closed here.
        """
        end = time.monotonic() + within
        send = partial(self._send, method, path, limit, content, headers, query, kind, end)
        if once:
            return send()
        return retrying(was_put_off if counts else self._is_retryable, min(self._patience, within))(send)

    def _send(
        self,
        method: str,
        path: str,
        limit: int,
        content: bytes | None,
        headers: Mapping[str, str] | None,
        query: Mapping[str, int] | None,
        kind: frozenset[str] | None,
        end: float,
    ) -> tuple[bytes, Mapping[str, str]]:
        asked, what = time.monotonic(), f"{method} {path}"
        seconds = min(self._timeout, max(0.0, end - asked))
        try:
            with (
                ending_at(asked + seconds),
                self._http.stream(
                    method, path, content=content, headers=headers, params=query, timeout=seconds
                ) as answer,
            ):
                self._reached_before, self._reached = self._reached, True
                wrong = self._failures.unreadable(what, answer, kind) if answer.is_success else None
                if wrong is not None:
                    raise wrong
                ceiling = limit if answer.is_success else MAX_JSON_BYTES
                body = bytearray()
                for block in answer.iter_raw():
                    if time.monotonic() > asked + seconds:
                        raise self._failures.too_slow(what, seconds)
                    body += block
                    if len(body) > ceiling:
                        raise ServiceProtocolError(
                            f"{self._url} answers {what} with more than {ceiling} bytes; do not trust this service"
                        )
                if answer.is_success:
                    return bytes(body), answer.headers
                reached, sent = self._reached_before, len(content or b"")
                raise self._failures.refused(method, path, answer, bytes(body), sent, reached=reached)
        except httpcore.TimeoutException as error:
            raise self._failures.too_slow(what, seconds) from error
        except RuntimeError as error:
            if not self._http.is_closed:
                raise
            raise ServiceError(f"{what} was not asked: the client is closed") from error
        except UnicodeError as error:
            raise SettingError(f"{self._url!r} names no host; check the address") from error
        except httpcore.ProxyError as error:
            raise self._failures.not_passed_on(error) from error
        except httpcore.ConnectError as error:
            raise self._failures.not_reached(error) from error
        except (httpcore.ProtocolError, httpcore.NetworkError) as error:
            if self._http.is_closed:
                raise ServiceError(f"{what} has no answer: the client was closed") from error
            raise self._failures.broken(what, error, len(content or b""), reached=self._reached) from error


def _trusted(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context() if ca_file is None else ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as error:
        place = ca_file if ca_file is not None else "SSL_CERT_FILE or SSL_CERT_DIR"
        raise SettingError(f"the certificates in {place} cannot be used ({error}); give a PEM file") from error


def _require_safe(token: str, url: httpx.URL) -> None:
    """Refuse a token that is none, or that anybody on the way could read."""
    if not token.isascii() or not token.isprintable() or not token.strip() or " " in token:
        raise SettingError(
            "the token holds spaces or characters that no token has; copy it again, without a line's end"
        )
    if url.scheme == "http" and not is_loopback(url.host):
        raise SettingError(
            f"the token would travel to {url.host} in the clear; use the https:// address of the service, or a tunnel to it"
        )
