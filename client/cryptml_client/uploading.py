"""Evaluation keys on their way to a service: in parts, each behind what is there, so that little is sent twice."""

from __future__ import annotations

from cryptml.bundle import ServerStep
from cryptml.errors import ServiceProtocolError, ServiceRefused, ServiceUnavailable
from cryptml.fhe.client import KeySet
from cryptml.files import MAX_JSON_BYTES, sha256
from cryptml_client.http.answers import JSON, TOO_LARGE
from cryptml_client.progress import Progress
from cryptml_client.transport import Transport

PART_BYTES = 8 << 20
"""Of the first part; smaller ones where that does not come through."""

USUAL_LIMIT = 1 << 20
"""Below it a connection that breaks is a broken connection: proxies that close instead of answering have limits of a megabyte or more."""

LEAST_PART_BYTES = 64 << 10
"""What no proxy refuses: the default limits of common ones are 1 MB and more."""

ANOTHER_OFFSET = "another-offset"
"""The kind of problem where the service has other bytes of the keys than this program thought."""
MOST_DISAGREEMENTS = 20
"""About where to go on, before the upload is given up."""


class KeyUpload:
    """One key set's evaluation half, for one service.

    Args:
        transport: To the service.
        model: Its name there.
        step: A server segment that the keys are for.
        keys: Of this client; their secret half stays.
        progress: Told how much is there.
        part_bytes: Of the first part; smaller ones where that does not come through.
    """

    def __init__(
        self,
        transport: Transport,
        model: str,
        step: ServerStep,
        keys: KeySet,
        progress: Progress,
        *,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._transport = transport
        self._path = f"/v1/models/{model}/evaluation-keys/{keys.digest}"
        self._query = {"segment": step.index}
        self._circuit = sha256(step.circuit.client_specs)
        self._keys = keys
        self._progress = progress
        self._offset: int | None = None
        self._there = 0
        self._disagreements = 0
        self._most = part_bytes

    @property
    def _data(self) -> bytes:
        return self._keys.evaluation_keys  # serialised for an upload alone, not for the question whether they are there

    def is_stored(self) -> bool:
        """Return whether the service has the keys; if not, learn how much of them.

        Raises:
            ServiceError: If it does not say.
        """
        stored, self._offset = self._transport.stored(self._path, self._query)
        return stored

    def send(self) -> None:
        """Send what the service does not have.

        Raises:
            ServiceError: If it does not take the keys, or the connection keeps breaking, with parts of `USUAL_LIMIT` too.
        """
        while not self._transport.persist(self._send_part):
            self._progress.portion(self._there, len(self._data))

    def _send_part(self) -> bool:
        """Send the next part, and return whether it was the last."""
        if self._offset is None and self.is_stored():
            return True
        offset, self._offset = self._offset or 0, None  # unknown again if this attempt breaks off
        if offset > len(self._data):
            raise ServiceProtocolError(
                f"the service has {offset} bytes of keys that have {len(self._data)}; check the address"
            )
        if offset < self._there:
            self._disagree(None)
        self._there = offset
        headers = {
            "Content-Type": "application/octet-stream",
            "CryptML-Circuit": self._circuit,
            "Upload-Offset": str(offset),
            "Upload-Length": str(len(self._data)),
        }
        part = self._data[offset : offset + self._most]
        try:
            _, answered = self._transport.request(
                "PATCH",
                self._path,
                content=part,
                headers=headers,
                query=self._query,
                limit=MAX_JSON_BYTES,
                kind=JSON,
                once=True,
            )
        except ServiceRefused as refusal:
            if refusal.kind != ANOTHER_OFFSET or "upload-offset" not in refusal.headers:
                raise
            self._disagree(refusal)  # another service behind the same address, or another program with the same keys
            return False
        except (ServiceProtocolError, ServiceUnavailable) as error:
            # A proxy with a limit says so, or closes the connection.
            if isinstance(error, ServiceProtocolError) and error.status != TOO_LARGE:
                raise
            if len(part) <= LEAST_PART_BYTES or (isinstance(error, ServiceUnavailable) and len(part) <= USUAL_LIMIT):
                raise
            self._most = max(LEAST_PART_BYTES, min(self._most, len(part)) // 2)
            return False
        if offset + len(part) == len(self._data):
            return True
        there = answered.get("upload-offset")
        self._there = offset + len(part)
        if there is None:  # somebody else has uploaded them meanwhile
            return True
        if there != str(offset + len(part)):
            raise ServiceProtocolError(
                f"the service has {there} bytes of the keys after {offset + len(part)} were sent; check the address"
            )
        self._offset = offset + len(part)
        return False

    def _disagree(self, refusal: ServiceRefused | None) -> None:
        """Count a disagreement about how much is there.

        Raises:
            ServiceError: If there were too many.
        """
        self._disagreements += 1
        if self._disagreements <= MOST_DISAGREEMENTS:
            return
        if refusal is not None:
            raise refusal
        raise ServiceProtocolError(
            f"the service lost parts of the keys more than {MOST_DISAGREEMENTS} times; have its provider look at its disk and replicas"
        )
