"""Evaluation keys on their way to a service: in parts, each behind what is there, so that little is sent twice."""

from __future__ import annotations

from cryptml.bundle import ServerStep
from cryptml.errors import ServiceProtocolError, ServiceRefused
from cryptml.fhe.client import KeySet
from cryptml.files import MAX_JSON_BYTES, sha256
from cryptml_client.progress import Progress
from cryptml_client.transport import Transport

PART_BYTES = 8 << 20
CONFLICT = 409
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
    """

    def __init__(self, transport: Transport, model: str, step: ServerStep, keys: KeySet, progress: Progress) -> None:
        self._transport = transport
        self._path = f"/v1/models/{model}/evaluation-keys/{keys.digest}"
        self._query = {"segment": step.index}
        self._circuit = sha256(step.circuit.client_specs)
        self._data = keys.evaluation_keys
        self._progress = progress
        self._offset: int | None = None
        self._disagreements = 0

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
            ServiceError: If it does not take the keys, or the connection keeps breaking.
        """
        while not self._transport.persist(self._send_part):
            self._progress.portion(self._offset or 0, len(self._data))

    def _send_part(self) -> bool:
        """Send the next part, and return whether it was the last."""
        if self._offset is None and self.is_stored():
            return True
        offset, self._offset = self._offset or 0, None  # unknown again if this attempt breaks off
        headers = {
            "Content-Type": "application/octet-stream",
            "CryptML-Circuit": self._circuit,
            "Upload-Offset": str(offset),
            "Upload-Length": str(len(self._data)),
        }
        part = self._data[offset : offset + PART_BYTES]
        try:
            _, answered = self._transport.request(
                "PATCH",
                self._path,
                content=part,
                headers=headers,
                query=self._query,
                limit=MAX_JSON_BYTES,
                once=True,
            )
        except ServiceRefused as refusal:
            if (
                refusal.status == CONFLICT
                and "upload-offset" in refusal.headers
                and self._disagreements < MOST_DISAGREEMENTS
            ):
                self._disagreements += (
                    1  # another service behind the same address, or another program with the same keys
                )
                return False
            raise
        if offset + len(part) == len(self._data):
            return True
        there = answered.get("upload-offset")
        if there is None:  # somebody else has uploaded them meanwhile
            return True
        if there != str(offset + len(part)):
            raise ServiceProtocolError(
                f"the service has {there} bytes of the keys after {offset + len(part)} were sent; check the address"
            )
        self._offset = offset + len(part)
        return False
