"""Keys are made in a process of their own: native code hears no signal until it is done, and whoever waits for it may leave at once."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptml.errors import KeySetError
from cryptml.processes.child import Child
from cryptml.processes.environment import reduced_environment

if TYPE_CHECKING:
    from cryptml.fhe.circuit_spec import CircuitSpec

MODULE = "cryptml_client.keys.making_process"

MAKING_SECONDS = 86_400.0
"""For keys of any size on a busy machine; a process that is still at work then does not end."""

MOST_KEY_BYTES = 1 << 36


@dataclass(frozen=True)
class MadeKeys:
    """Fresh keys as they are written into a file.

    Attributes:
        evaluation_keys: Digest of the evaluation half.
        payload: All keys, the secret ones too, unprotected; never shown.
    """

    evaluation_keys: str
    payload: bytes = field(repr=False)


def make_keys(spec: CircuitSpec) -> MadeKeys:
    """Make fresh keys for a circuit; whatever interrupts it, the process that makes them ends with it.

    Raises:
        KeySetError: If they cannot be made, for example because memory does not suffice.
    """
    threads = int(os.environ["OMP_NUM_THREADS"]) if os.environ.get("OMP_NUM_THREADS", "").isdigit() else os.cpu_count()
    try:
        child = Child(
            MODULE,
            threads=max(1, threads or 1),
            environment=reduced_environment(),
            failure=KeySetError,
            new_session=True,
        )
    except OSError as error:
        raise KeySetError(f"no process can be started to make keys ({error.strerror}); close other programs") from error
    deadline = time.monotonic() + MAKING_SECONDS
    try:
        request = {"do": "make", "key_set": spec.key_set, "specification": spec.parameters.native.decode()}
        reply = child.ask(request, deadline)
        payload = child.take(deadline, MOST_KEY_BYTES)
    except KeySetError as error:
        raise KeySetError(f"no keys were made: {error}; close other programs and try again") from error
    finally:
        child.stop(grace_seconds=0)
    digest = reply.get("evaluation_keys")
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise KeySetError("no keys were made: their process answered something that is no answer; try again")
    return MadeKeys(digest, payload)
