"""What a request asks for, in the one form that the application knows: a path."""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.types import Scope

from cryptml_server.base.errors import InvalidRequestTarget, MisdirectedRequest, ServerError

_absolute = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)([^?#]*)")
_authority = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::[0-9]{0,5})?")


def to_origin_form(scope: Scope) -> ServerError | None:
    """Change a request in the absolute form (``GET http://host/path``; RFC 9112, section 3.2.2) into one in the origin form.

    A server must take the absolute form, and its host instead of the header's: whatever checks ``Host`` afterwards checks that one.

    Args:
        scope: Of the request; changed in place.

    Returns:
        What to answer where the target is of another form (``*``, ``host:port``) or no address of this service; None otherwise.
    """
    target: bytes = scope.get("raw_path") or b""
    if target.startswith(b"/"):
        return None
    found = _absolute.fullmatch(target)
    if found is None or not _authority.fullmatch(found[2]):
        return InvalidRequestTarget(
            "the request's target is neither a path nor an address with host and path; ask for a path such as /v1/models"
        )
    if found[1].lower().decode() != scope["scheme"]:
        return MisdirectedRequest(
            f"the request's target is of another scheme than {scope['scheme']}, by which it came; ask by the same one",
        )
    path = found[3] or b"/"
    scope["raw_path"], scope["path"] = path, unquote(path.decode("ascii"))
    scope["headers"] = [(b"host", found[2]), *((name, value) for name, value in scope["headers"] if name != b"host")]
    return None
