"""Which proxy stands between a client and a service: as told, or as the environment's variables say."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

import httpx

from cryptml.errors import SettingError
from cryptml_client.http.addresses import MAX_PORT, is_loopback

NONE = ("none", "direct")
"""What to say instead of an address to use no proxy, whatever the environment says."""

PORTS = {"http": 80, "https": 443}

_host = re.compile(r"[A-Za-z0-9._:-]+")


@dataclass(frozen=True)
class Proxy:
    """A proxy that passes requests on (http services), or connections (https services).

    Attributes:
        scheme: By which it is spoken to, ``http`` or ``https``.
        host: Its name or address.
        port: Of it.
        source: What named it: an option's name, or a variable's.
        credentials: User and password, where it asks for them; never shown.
    """

    scheme: str
    host: str
    port: int
    source: str
    credentials: tuple[bytes, bytes] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def choose_proxy(service: httpx.URL, given: str | None, option: str = "the option proxy") -> Proxy | None:
    """Return the proxy for a service, None where it is asked directly.

    The environment says ``HTTP_PROXY`` or ``HTTPS_PROXY`` (by the service's scheme) and ``NO_PROXY`` (names and their subdomains, single
    addresses, or ``*``), in capital or small letters, small ones first; nothing else of it is read. Services on this machine are always
    asked directly.

    Args:
        service: Its address.
        given: Address of a proxy, or one of `NONE`; None for what the environment says.
        option: The name of what gave it, for messages.

    Raises:
        SettingError: If that is no address of a proxy that is spoken to by http or https.
    """
    if given is not None:
        proxy = None if given.lower() in NONE else _parse(given, option)
        return None if is_loopback(service.host) else proxy
    if is_loopback(service.host):
        return None
    variables = getproxies_environment()
    address = variables.get(service.scheme)
    port = service.port or PORTS[service.scheme]
    if address is None or any(
        proxy_bypass_environment(name, variables) for name in (service.host, f"{service.host}:{port}")
    ):
        return None
    small = f"{service.scheme}_proxy"
    return _parse(address, small if os.environ.get(small) else small.upper())


def _parse(address: str, source: str) -> Proxy:
    """Return the proxy of an address, which is never shown: it may hold a password."""
    text = address.strip()
    try:
        url = httpx.URL(text if "://" in text else f"http://{text}")
    except (httpx.InvalidURL, TypeError, UnicodeError):
        raise SettingError(_wrong(source)) from None
    if url.scheme.startswith("socks"):
        raise SettingError(
            f"{source} names a SOCKS proxy, which is not spoken here; name one that is spoken to by http:// or https://, or say {NONE[0]}"
        )
    host = url.raw_host.decode("ascii")
    if (
        url.scheme not in PORTS
        or (url.port or 0) > MAX_PORT
        or url.path != "/"
        or url.query
        or not _host.fullmatch(host)
    ):
        raise SettingError(_wrong(source))
    credentials = (url.username.encode(), url.password.encode()) if url.userinfo else None
    return Proxy(url.scheme, host, url.port or PORTS[url.scheme], source, credentials)


def _wrong(source: str) -> str:
    return f"{source} is not the address of a proxy; write it as http://host:port"
