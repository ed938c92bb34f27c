"""The process that makes keys: ``python -m cryptml_client.keys.making_process``, for its owner alone.

Secret keys leave it once, through the socket that its owner handed it, and lie nowhere else; what native code prints is dropped.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from typing import Any

from cryptml.fhe.client import KeySet
from cryptml.processes.answering import answer

PR_SET_PDEATHSIG = 1
"""Of Linux's ``sys/prctl.h``."""


def make(head: dict[str, Any]) -> tuple[dict[str, Any], memoryview]:
    """Return the digest of fresh keys' evaluation half; all keys follow it.

    Args:
        head: ``key_set``, its name, and ``specification``, written anew by the owner (`CircuitParameters.native`).
    """
    keys = KeySet.generate_native(head["key_set"], head["specification"].encode())
    digest = keys.digest  # before the keys themselves, so that memory never holds both serialised
    return {"evaluation_keys": digest}, memoryview(keys.serialise())


def end_with(owner: int) -> None:
    """Have the system end this process with its owner: native code makes keys without a look at anything else."""
    with suppress(OSError, AttributeError):  # another system than Linux: it ends once the keys are made
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != owner:
        os._exit(0)


if __name__ == "__main__":
    end_with(int(sys.argv[2]))
    answer({"make": make})
