"""Addresses of services: read, checked, and shown without what is secret in them."""

from __future__ import annotations

import ipaddress
import re

import httpx

from cryptml.errors import SettingError, printable

MAX_PORT = 65_535

_user = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)?.*@", re.DOTALL)


def service_address(url: str) -> httpx.URL:
    """Return a service's address.

    Raises:
        SettingError: If it is none, or holds a user's name or password.
    """
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError, UnicodeError):
        raise _no_address(url) from None
    if parsed.scheme not in ("http", "https") or not parsed.host or (parsed.port or 0) > MAX_PORT:
        raise _no_address(url)
    if parsed.userinfo:
        raise SettingError(
            f"the address {shown(url)} holds a user's name or password, which no service asks for; "
            "write it as http://host:port, and give the token apart"
        )
    return parsed


def shown(url: str) -> str:
    """Return an address as it may be shown: without user and password, and without control characters."""
    return printable(_user.sub(r"\1", str(url)))[:200]


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine by its own name or address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.lower().rstrip(".")
        return name == "localhost" or name.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or (mapped is not None and mapped.is_loopback)


def _no_address(url: str) -> SettingError:
    return SettingError(f"{shown(url)!r} is not an address of a service; write it as http://host:port")
