"""Why a service gave no usable answer, in sentences that name who stands between, too."""

from __future__ import annotations

import re

import httpcore
import httpx

from cryptml.errors import (
    ServiceError,
    ServiceProtocolError,
    ServiceRefused,
    ServiceTimeout,
    ServiceUnavailable,
    printable,
)
from cryptml_client.http.answers import JSON, TOO_LARGE, described, kind_of_head, media_type, refusal
from cryptml_client.http.proxies import NONE, Proxy
from cryptml_client.http.streams import Unreachable, Untrusted
from cryptml_client.http.tokens import NO_TOKEN, REFUSED

UNAUTHORISED = 401
PROXY_AUTHENTICATION = 407
UNAVAILABLE = (429, 502, 503, 504)
"""What a proxy in front, or the service in need, answers for a while."""

MUCH_BYTES = 1_000_000
"""Of a request: proxies with a limit of 1 MB, the usual one, may close the connection instead of saying so."""

NO_CONTENT = 204

PLAIN = "WRONG_VERSION_NUMBER"
"""What OpenSSL says of an answer that is no TLS, such as one of HTTP."""


class Failures:
    """Makes the errors for one service.

    Args:
        url: Its address.
        proxy: On the way to it; None for none.
        with_token: Whether a token is sent to it.
    """

    def __init__(self, url: str, proxy: Proxy | None, *, with_token: bool = False) -> None:
        self._url = url
        self._with_token = with_token
        self._proxy = proxy
        self._way = "" if proxy is None else f", through the proxy {proxy}"

    def too_slow(self, what: str, seconds: float) -> ServiceTimeout:
        """Return the error for an answer that did not come in time."""
        return ServiceTimeout(
            f"{self._url} did not answer {what} within {seconds:.6g} s{self._way}; try later or allow more time"
        )

    def broken(self, what: str, error: Exception, sent: int, *, reached: bool) -> ServiceError:
        """Return the error for a connection that ended early, or said something that is not HTTP.

        Args:
            what: Was asked.
            error: Of the connection.
            sent: Bytes of the request's body.
            reached: Whether the service has answered before.
        """
        kind = type(error).__name__
        again = (
            f"try again; if this repeats, ask whoever runs the proxy in front of the service to allow requests of {sent} bytes"
            if sent >= MUCH_BYTES
            else "try again"
        )
        if reached or not isinstance(error, httpcore.ProtocolError):
            return ServiceUnavailable(f"{self._url} broke off in the middle of {what} ({kind}{self._way}); {again}")
        return ServiceProtocolError(
            f"{self._url} broke off or does not speak HTTP ({kind}{self._way}); check the address"
        )

    def not_reached(self, error: httpcore.ConnectError) -> ServiceUnavailable:
        """Return the error for a connection that did not come about: to the service, or to the proxy on the way."""
        host = error.host if isinstance(error, Unreachable) else ""
        proxy = self._proxy if self._proxy is not None and self._proxy.host == host else None
        reason = printable(str(error))[:200]
        if isinstance(error, Untrusted):
            where = self._url if proxy is None else f"the proxy {proxy}"
            if PLAIN in reason and where == self._url:
                return ServiceUnavailable(
                    f"{where} speaks no TLS at all ({reason}); try http:// if its provider says so"
                )
            return ServiceUnavailable(
                f"{where} speaks no TLS that is trusted here ({reason}); check the address, "
                "or name the certificates of those who vouch for it as CA file"
            )
        if proxy is not None:
            return ServiceUnavailable(
                f"the proxy {proxy} does not answer ({reason}); check {proxy.source}, or name {NONE[0]} as proxy to go without"
            )
        return ServiceUnavailable(
            f"nothing answers at {self._url}{self._way}; check the address and that the service runs"
        )

    def not_passed_on(self, error: httpcore.ProxyError) -> ServiceError:
        """Return the error for a proxy that makes no connection to the service."""
        found = re.match("[0-9]{3}", str(error))
        return self._proxy_refuses(int(found[0]) if found else 0)

    def unreadable(self, what: str, answer: httpx.Response, kind: frozenset[str] | None) -> ServiceProtocolError | None:
        """Return the error for a successful answer whose body is packed, or of another kind than what was asked for; None for others."""
        packed = answer.headers.get("content-encoding", "").strip().lower()
        if packed not in ("", "identity"):
            return ServiceProtocolError(
                f"{self._url} answers {what} with Content-Encoding {printable(packed)[:40]}, which was not asked for and is not unpacked"
                f"{self._way}; let nothing between compress answers"
            )
        if kind is not None and answer.status_code != NO_CONTENT and media_type(answer) not in kind:
            wrong = "something that is not JSON" if kind == JSON else "no ciphertext or file"
            return ServiceProtocolError(
                f"{self._url} answers {what} with {wrong} ({described(answer)}{self._way}); check the address"
            )
        return None

    def refused(
        self, method: str, path: str, answer: httpx.Response, body: bytes, sent: int, *, reached: bool
    ) -> ServiceError:
        """Return the error for an answer that is no success.

        Args:
            method: Of the request.
            path: Of the request.
            answer: Its head.
            body: Its body.
            sent: Bytes of the request's body.
            reached: Whether the service has answered before.
        """
        status, what = answer.status_code, f"{method} {path}"
        if 300 <= status < 400:
            return ServiceProtocolError(
                f"{self._url} answers {what} with status {status}, a redirect, and none is followed{self._way}; "
                "give the address that the service itself has",
                status,
            )
        if status == PROXY_AUTHENTICATION and self._proxy is not None:
            return self._proxy_refuses(status)
        said: ServiceRefused | None
        if method == "HEAD" and 400 <= status < 600:  # has no body by definition
            title = printable(answer.reason_phrase)[:200]
            said = ServiceRefused(status, title, what, answer.headers, kind=kind_of_head(answer))
        else:
            said = refusal(answer, body)
        if (
            said is not None and status == UNAUTHORISED
        ):  # a service says the same whatever was sent, so that nobody learns by guessing
            detail = REFUSED if self._with_token else NO_TOKEN
            return ServiceRefused(status, said.title, detail, answer.headers, kind=said.kind)
        if said is not None:
            return said
        if status == TOO_LARGE:
            between = (
                "something between here and"
                if self._proxy is None
                else f"the proxy {self._proxy}, or something between it and"
            )
            return ServiceProtocolError(
                f"{between} {self._url} takes no request of {sent} bytes (status {status}, not the service's own); "
                f"have its limit raised to {sent} bytes or more (nginx: client_max_body_size)",
                status,
            )
        if reached and status in UNAVAILABLE:
            return ServiceUnavailable(
                f"{self._url} has no answer to {what} now (status {status}{self._way}); try again"
            )
        return ServiceProtocolError(
            f"{self._url} answers {what} with status {status} and no problem document ({described(answer)}{self._way}); check the address",
            status,
        )

    def _proxy_refuses(self, status: int) -> ServiceError:
        source = "the proxy's address" if self._proxy is None else self._proxy.source
        if status == PROXY_AUTHENTICATION:
            return ServiceProtocolError(
                f"the proxy {self._proxy} wants a user and a password before it lets {self._url} be asked (status {status}); "
                f"give those it knows in {source}, as http://user:password@host:port",
                status,
            )
        message = (
            f"the proxy {self._proxy} does not connect to {self._url} (status {status}); have its rules allow it, or check the address "
            f"and {source}"
        )
        return ServiceUnavailable(message) if status in UNAVAILABLE else ServiceProtocolError(message, status)
