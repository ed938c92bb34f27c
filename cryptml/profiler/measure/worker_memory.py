"""What a circuit takes of a worker, measured in processes of their own: `cryptml build` writes it, `cryptml doctor` adds it up."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from cryptml.bundle.build import Measure
from cryptml.bundle.server import WorkerMemory
from cryptml.errors import MeasurementError
from cryptml.fhe.circuit_spec import CircuitSpec
from cryptml.networks import Network
from cryptml.processes.child import Child
from cryptml.profiler.measure.compiled_folder import write_spec
from cryptml.profiler.measure.measurement import CLIENT_MODULE, SERVER_MODULE
from cryptml.profiler.measure.samples import sample_input

TIMEOUT_SECONDS = 1800.0
"""For all of one circuit's measurement: two evaluations among it."""


def measure_worker_memory(
    network: Network, spec: CircuitSpec, circuit: Path, *, threads: int, timeout_seconds: float = TIMEOUT_SECONDS
) -> WorkerMemory:
    """Load a circuit in a new process, and two key sets, and evaluate with each: what the second one adds is what each further one adds.

    The same keys are deserialised twice, which takes as much as two clients' keys; they are made up here and deleted.

    Args:
        network: Whose segment; inputs that no table clamps are looked for.
        spec: What a client must know.
        circuit: Folder of the compiled circuit.
        threads: Of the server's process.
        timeout_seconds: For all of it.

    Raises:
        MeasurementError: If a process ends or takes too long.
    """
    deadline = time.monotonic() + timeout_seconds
    values = sample_input(network, spec.segment, 0)
    with (
        tempfile.TemporaryDirectory(prefix="cryptml-") as name,
        Child(SERVER_MODULE, threads=threads) as server,
    ):
        folder = Path(name)
        keys, given = folder / "evaluation-keys", folder / "input"
        write_spec(folder, spec)
        with Child(CLIENT_MODULE, threads=threads) as client:
            client.ask({"do": "make_keys", "folder": str(folder), "keys": str(keys)}, deadline)
            client.ask({"do": "encrypt", "input": str(given), "values": values.ravel().tolist()}, deadline)
        baseline = server.ask({"do": "baseline"}, deadline)["resident_bytes"]
        opened = server.ask({"do": "load_circuit", "circuit": str(circuit)}, deadline)["resident_bytes"]
        steps = []
        for _ in range(2):
            steps.append(server.ask({"do": "hold_keys", "keys": str(keys)}, deadline))
            steps.append(server.ask({"do": "use_keys", "input": str(given)}, deadline))
    _, first, loaded, second = steps
    each = max(0, second["resident_bytes"] - first["resident_bytes"])
    return WorkerMemory(
        threads=threads,
        baseline_bytes=baseline,
        circuit_bytes=max(0, opened - baseline),
        runtime_bytes=max(0, first["resident_bytes"] - opened - each),
        key_set_bytes=each,
        transient_bytes=max(
            0,
            loaded["peak_bytes"] - first["resident_bytes"] - each,
            second["peak_bytes"] - second["resident_bytes"],
        ),
    )


def measuring(network: Network, threads: int, tell: Callable[[str], None]) -> Measure:
    """Return what `cryptml.bundle.build.build_bundle` is given to measure each circuit.

    A circuit that cannot be measured, for want of memory say, costs no bundle: it is said, and left out.

    Args:
        network: Whose segments are measured.
        threads: Of the server's process.
        tell: Told what is being done.
    """

    def measure(spec: CircuitSpec, circuit: Path) -> dict[str, int] | None:
        tell(f"measuring the memory of segment {spec.segment} ...")
        try:
            return asdict(measure_worker_memory(network, spec, circuit, threads=threads))
        except MeasurementError as error:
            tell(f"the memory of segment {spec.segment} is not known: {error}")
            return None

    return measure
