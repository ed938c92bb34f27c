"""The process that parses and runs ONNX files for `cryptml.networks.backbones.running`: native code meets them here alone."""

from __future__ import annotations

import logging
import resource
import warnings
from dataclasses import asdict
from typing import Any

import numpy as np
import onnxruntime

from cryptml.errors import printable
from cryptml.networks.backbones.inspection import inspect
from cryptml.networks.backbones.limits import ADDRESS_BYTES, BATCH, FILE_BYTES
from cryptml.processes.answering import Payload, converse

Reply = tuple[dict[str, Any], Payload | None]


class _Runner:
    """Holds one file at a time."""

    def __init__(self) -> None:
        self._session: onnxruntime.InferenceSession | None = None
        self._batch = 1

    def handle(self, head: dict[str, Any], payload: bytes) -> Reply:
        """Answer a request; whatever a hostile file makes native code raise is a sentence."""
        try:
            with np.errstate(all="ignore"):
                return self._load(payload) if head["do"] == "load" else self._run(head, payload)
        except MemoryError:
            return {"refused": ["it needs more memory than a backbone may have"]}, None
        except Exception as error:  # noqa: BLE001 (onnxruntime raises types of its own without a common base)
            said = next(iter(str(error).splitlines()), "")
            return {"refused": [f"it does not run ({type(error).__name__}: {printable(said)[:200]})"]}, None

    def _load(self, data: bytes) -> Reply:
        facts, problems = inspect(data)
        if facts is None:
            return {"refused": problems}, None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # What a machine's own instructions change is left out: client and provider shall see nearly the same.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self._batch = BATCH if facts.batched else 1
        return {"facts": asdict(facts)}, None

    def _run(self, head: dict[str, Any], payload: bytes) -> Reply:
        if self._session is None:
            return {"refused": ["no file was loaded"]}, None
        regions = np.frombuffer(payload, np.float32).reshape(head["shape"])
        name = self._session.get_inputs()[0].name
        found = []
        for start in range(0, len(regions), self._batch):
            part = regions[start : start + self._batch]
            (values,) = self._session.run(None, {name: part})
            if values.dtype != np.float32 or len(values) != len(part):
                return {"refused": [f"it gives {values.dtype} of shape {values.shape} for {len(part)} regions"]}, None
            found.append(values.reshape(len(part), -1))
        features = np.ascontiguousarray(np.concatenate(found))
        return {"features": features.shape[1]}, memoryview(features.data).cast("B")


def main() -> None:
    """Answer requests within limits of memory, until the owner is gone."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_BYTES, ADDRESS_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    converse(_Runner().handle)


if __name__ == "__main__":
    main()
