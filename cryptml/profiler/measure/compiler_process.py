"""The process that compiles segments, runs them in the clear and attacks them (``python -m``, see `cryptml.processes.answering`)."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cryptml.exposure.audit import audit_segment
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.settings import CompilerSettings, Grouping, Rounding
from cryptml.networks import Network, load_network
from cryptml.processes.answering import answer, milliseconds_since
from cryptml.profiler.measure.compiled_folder import read_spec, write_compiled
from cryptml.splits import Segment

KEY_PARAMETERS_DIGITS = 16
"""Of the digest: enough to tell a network's few sets apart."""


def compile_segment(request: dict[str, Any]) -> dict[str, Any]:
    """Compile a segment into ``folder``: what the client needs, and the circuit in a folder below.

    Where ``keys_of`` is such a folder, with the key parameters of the segment there.
    """
    network = _network(request["network"])
    folder = Path(request["folder"])
    keys_of = None if request["keys_of"] is None else read_spec(Path(request["keys_of"]))
    segment = Segment(request["start"], request["stop"])
    settings = CompilerSettings(request["p_error"], Grouping(request["grouping"]), Rounding(request["rounding"]))
    started = time.perf_counter()
    compiled = compile_integer_program(network, segment, settings, keys_of=keys_of)
    elapsed = milliseconds_since(started)
    write_compiled(folder, compiled)
    spec, parameters = compiled.spec, compiled.spec.parameters
    return {
        "compile_ms": elapsed,
        "complexity": spec.complexity,
        "key_parameters": parameters.key_parameters[:KEY_PARAMETERS_DIGITS],
        "evaluation_key_bytes": parameters.evaluation_key_bytes,
        "expanded_key_bytes": parameters.expanded_key_bytes,
        "upload_bytes": parameters.input_bytes,
        "download_bytes": parameters.output_bytes,
    }


def run_clear(request: dict[str, Any]) -> dict[str, Any]:
    """Time a segment as a client segment, on NumPy integers."""
    network = _network(request["network"])
    segment = Segment(request["start"], request["stop"])
    reads = network.boundaries[segment.start]
    values = np.random.default_rng(0).integers(reads.low, reads.high, (1, *reads.shape), dtype=np.int64, endpoint=True)
    network.run(values, segment)
    return {"run_ms": [_timed(lambda: network.run(values, segment)) for _ in range(request["repeats"])]}


def run_front_end(request: dict[str, Any]) -> dict[str, Any]:
    """Time the front end and the first quantisation of one region."""
    network = _network(request["network"])
    side = network.front_end.side
    region = np.random.default_rng(0).random((1, side, side), dtype=np.float32)
    network.quantise(region)
    return {"run_ms": [_timed(lambda: network.quantise(region)) for _ in range(request["repeats"])]}


def attack(request: dict[str, Any]) -> dict[str, Any]:
    """Attack a segment as a client would, and say with how many queries it was recovered exactly; None if it was not."""
    segment = Segment(request["start"], request["stop"])
    found = audit_segment(_network(request["network"]), segment, budget=request["queries"])
    return {"queries": found.queries if found.exact else None}


@cache
def _network(name: str) -> Network:
    return load_network(name)


def _timed(action: Any) -> float:
    started = time.perf_counter()
    action()
    return milliseconds_since(started)


if __name__ == "__main__":
    answer({"compile": compile_segment, "run_clear": run_clear, "run_front_end": run_front_end, "attack": attack})
