"""Writes requests: well-formed ones, and ones of lines as they are."""

from __future__ import annotations

from benchmarks.hostile_requests.target import V1, Target


class RequestMaker:
    """Writes requests of one of the hostile tenants.

    Args:
        target: What exists there.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.token = target.intruders[-1]
        self.stored = f"{V1}/evaluation-keys/{target.keys.digest}"

    def request(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        *,
        token: str | None = None,
    ) -> bytes:
        """Return a well-formed request."""
        given = {
            "Host": "localhost",
            "Connection": "close",
            "Authorization": f"Bearer {token or self.token}",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("utf-8", "surrogateescape") + body

    def raw(self, method: str, path: str, lines: list[bytes], body: bytes = b"") -> bytes:
        """Return a request of lines as they are, behind a token and the names of circuit and keys."""
        usual = {"Host": "localhost", "Authorization": f"Bearer {self.token}", **self.target.names}
        head = [f"{name}: {value}".encode() for name, value in usual.items()]
        return b"\r\n".join([f"{method} {path} HTTP/1.1".encode(), *head, *lines, b"", body])
