"""What the benchmark asks of each way to answer, and the process that each of them has to itself."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from cryptml.errors import MeasurementError
from cryptml.networks.boundary import FloatArray
from cryptml.processes.answering import answer, milliseconds_since
from cryptml.processes.memory import peak_resident_bytes, reset_peak


@dataclass(frozen=True)
class Sizes:
    """Bytes on the wire, and work.

    Attributes:
        keys: What a client sends once.
        upload: Of an answer.
        download: Of an answer.
        bootstraps: Bootstraps of an answer.
        bits: Widest table input.
    """

    keys: int = 0
    upload: int = 0
    download: int = 0
    bootstraps: int = 0
    bits: int = 0


@dataclass(frozen=True)
class Answered:
    """One answer.

    Attributes:
        stages: Milliseconds by stage; ``evaluate`` is the server's.
        logits: (classes,) as decrypted.
        clear: (classes,) of the same network in the clear.
    """

    stages: dict[str, float]
    logits: FloatArray
    clear: FloatArray


class Contender(Protocol):
    """One way to answer.

    Attributes:
        sizes: Known once it has answered.
    """

    sizes: Sizes

    def prepare(self, cleanup: ExitStack) -> None:
        """Compile, make keys, start what must run, answer once where that is quick; ``cleanup`` stops it in the end."""
        ...

    def answer(self, region: FloatArray) -> Answered:
        """Answer one region, (side, side) float32 in [0, 1]."""
        ...

    def server_peak_bytes(self) -> int | None:
        """Most memory of a server in a process of its own; None where there is none."""
        ...


def main() -> None:
    """Serve the benchmark's requests for one contender (``python -m``, see `cryptml.processes.child.Child`)."""
    from benchmarks.side_by_side.contenders import make

    state: dict[str, Any] = {}
    cleanup = ExitStack()

    def prepare(request: dict[str, Any]) -> dict[str, Any]:
        os.chdir(cleanup.enter_context(tempfile.TemporaryDirectory()))  # compilers write where they run
        state["regions"] = np.load(request["regions"])
        started = time.perf_counter()
        try:
            state["contender"] = make(request["kind"], request["options"])
            state["contender"].prepare(cleanup)
        except Exception as error:
            cleanup.close()
            raise MeasurementError(f"{type(error).__name__}: {error}") from error
        prepared = milliseconds_since(started)
        state["peak known"] = reset_peak()
        return {"prepare_ms": prepared}

    def answer_one(request: dict[str, Any]) -> dict[str, Any]:
        started = time.perf_counter()
        answered = state["contender"].answer(state["regions"][request["index"]])
        stages = {**answered.stages, "all": sum(answered.stages.values()) or milliseconds_since(started)}
        return {
            "stages": stages,
            "same_label": bool(np.argmax(answered.logits) == np.argmax(answered.clear)),
            "difference": float(np.abs(answered.logits - answered.clear).max()),
        }

    def finish(_request: dict[str, Any]) -> dict[str, Any]:
        own = peak_resident_bytes() if state["peak known"] else None  # else it is that of compiling
        peaks = {"own": own, "server": state["contender"].server_peak_bytes()}
        cleanup.close()  # while there is time: services and folders with keys must not outlive this process
        return {"sizes": vars(state["contender"].sizes), "peak_bytes": peaks}

    with cleanup:
        answer({"prepare": prepare, "answer": answer_one, "finish": finish})


if __name__ == "__main__":
    main()
