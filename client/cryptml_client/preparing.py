"""The keys of one client for one bundle: found or made, and their evaluation half where the service has it."""

from __future__ import annotations

from contextlib import suppress

from cryptml.bundle import ClientBundle, ServerStep
from cryptml.errors import KeySetError
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml_client.keys.making import make_keys
from cryptml_client.keys.store import KeyStore
from cryptml_client.keys.uses import KeyUse, KeyUses
from cryptml_client.progress import Progress
from cryptml_client.transport import Transport
from cryptml_client.uploading import KeyUpload


class PreparedKeys:
    """What encrypts and decrypts, once `prepare` has run.

    Args:
        transport: To the service.
        store: Of the keys.
        progress: Told of stages that take long.

    Attributes:
        circuits: By segment index, with this client's keys.
        digests: By segment index, of the evaluation keys.
    """

    def __init__(self, transport: Transport, store: KeyStore, progress: Progress) -> None:
        self._transport = transport
        self._store = store
        self._progress = progress
        self._key_sets: list[KeySet] = []
        self.circuits: dict[int, ClientCircuit] = {}
        self.digests: dict[int, str] = {}

    @property
    def evaluation_key_bytes(self) -> int:
        """Size of the evaluation keys all together."""
        return sum(len(key_set.evaluation_keys) for key_set in self._key_sets)

    def prepare(self, bundle: ClientBundle) -> None:
        """Make or find the keys of a bundle's circuits, and see to it that the service has their evaluation half.

        Raises:
            KeyboardInterrupt: With what is kept, and how to go on.
            CryptmlError: As `cryptml_client.Client.prepare`.
        """
        sharing: dict[str, list[ServerStep]] = {}
        for step in bundle.server_steps:
            sharing.setdefault(step.circuit.key_set, []).append(step)
        self._key_sets = []
        for done, steps in enumerate(sharing.values()):
            name = _named(steps, len(bundle.server_steps))
            key_set = self._load(steps[0], name)
            if key_set is None:
                key_set = self._make(steps[0], name, done, len(sharing))
            for each in steps:
                self.circuits[each.index] = ClientCircuit(each.circuit, key_set)
                self.digests[each.index] = key_set.digest
            self._upload(bundle.model, steps[0], key_set, name)
            self._key_sets.append(key_set)

    def _load(self, step: ServerStep, name: str) -> KeySet | None:
        with self._progress.stage(f"opening keys for {name}"):
            return self._store.load(step.circuit)

    def _make(self, step: ServerStep, name: str, done: int, total: int) -> KeySet:
        self._store.require_writable()
        try:
            with self._progress.stage(f"making keys for {name}"):
                made = make_keys(step.circuit)
                self._store.save_made(step.circuit, made)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{done} of {total} key sets are kept in {self._store.folder}, nothing of the one that was being made; the same command "
                "makes the rest"
            ) from None
        return KeySet.deserialise(step.circuit, made.payload, made.evaluation_keys)

    def _upload(self, model: str, step: ServerStep, key_set: KeySet, name: str) -> None:
        use = KeyUse(key_set.name, key_set.digest, self._transport.address, model, step.index)
        with suppress(
            KeySetError
        ):  # the keys lie where nothing can be written, or the file is damaged: they work all the same
            KeyUses(self._store.folder).note(use)
        upload = KeyUpload(self._transport, model, step, key_set, self._progress)
        if upload.is_stored():
            return
        try:
            with self._progress.stage(f"uploading evaluation keys for {name}"):
                upload.send()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"the keys are kept in {self._store.folder}; the same command goes on with their upload where it was"
            ) from None


def _named(steps: list[ServerStep], total: int) -> str:
    numbers = ", ".join(str(each.index + 1) for each in steps)
    return f"segment{'s' if len(steps) > 1 else ''} {numbers} of {total}"
