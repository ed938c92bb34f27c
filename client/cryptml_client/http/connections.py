"""httpx over httpcore over connections that end when the request's time does."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator

import httpcore
import httpx

from cryptml_client.http.network import Network
from cryptml_client.http.proxies import Proxy
from cryptml_client.http.streams import Framed

MOST = 100
MOST_IDLE = 20
IDLE_SECONDS = 5.0
"""httpx's own defaults."""

BODILESS = (204, 304)

ACTED_UPON = frozenset((b"location", b"set-cookie"))
"""Headers that httpx acts upon by itself, if only to read them: nobody is followed, and nothing is kept that would tell one request
from another."""

SWITCHING = 101


class Connections(httpx.BaseTransport):
    """Sends requests to one service, directly or through a proxy.

    Raises httpcore's errors as they are: they say where it failed. An answer's head may have 100 KiB (httpcore's bound for h11, to which
    one read of 64 KiB comes), and so may each preliminary answer and what stands behind the last chunk of a body; how many of them there
    are is bounded by the request's time alone, and none is kept.

    Args:
        tls: What is trusted of the service, and of a proxy that is spoken to by https.
        proxy: On the way, None for none.
    """

    def __init__(self, tls: ssl.SSLContext, proxy: Proxy | None) -> None:
        between = None
        if proxy is not None:
            between = httpcore.Proxy(
                httpcore.URL(scheme=proxy.scheme, host=proxy.host, port=proxy.port, target="/"),
                auth=proxy.credentials,
                ssl_context=tls if proxy.scheme == "https" else None,
            )
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            proxy=between,
            max_connections=MOST,
            max_keepalive_connections=MOST_IDLE,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=Network(),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its answer, whose body has yet to come."""
        url = request.url
        body = request.stream
        if not isinstance(body, httpx.SyncByteStream):
            raise TypeError(type(body).__name__)
        answer = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=body,
                extensions=request.extensions,
            )
        )
        headers = httpx.Headers([each for each in answer.headers if each[0].lower() not in ACTED_UPON])
        stream = answer.extensions.get("network_stream")
        if isinstance(stream, Framed):
            stream.expect_body(_length(request.method, answer.status, headers))
        if not isinstance(answer.stream, Iterable):
            raise TypeError(type(answer.stream).__name__)
        return httpx.Response(answer.status, headers=headers, stream=_Body(answer.stream), extensions=answer.extensions)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, inner: Iterable[bytes]) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        yield from self._inner

    def close(self) -> None:
        if hasattr(self._inner, "close"):
            self._inner.close()


def _length(method: str, status: int, headers: httpx.Headers) -> int | None:
    """Return how many bytes of body follow a head (RFC 9112, section 6.3), None where that is not known."""
    if method == "HEAD" or status in BODILESS:
        return 0
    said = headers.get("content-length", "")
    if status == SWITCHING or "transfer-encoding" in headers or not said.isdecimal():
        return None
    return int(said)
