"""The machines of a Ray cluster, measuring one segment at a time each with the code that measures on one machine.

Between this process and a node go text and bytes: files of networks and circuits, requests and answers in JSON.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from queue import Queue
from types import TracebackType
from typing import Any

from cryptml.cluster import connect, last_line
from cryptml.errors import ReportError, SettingError
from cryptml.networks import load_network
from cryptml.networks.storage import resolve_network
from cryptml.node_folder import NodeFolder
from cryptml.profiler.measure.compiled_folder import CIRCUIT_FOLDER
from cryptml.profiler.measure.machine import describe_machine
from cryptml.profiler.measure.machines import Entry, Tell, ThisMachine
from cryptml.profiler.measure.measurement import Limits
from cryptml.profiler.measure.trials import allocations
from cryptml.splits import Segment

Files = tuple[tuple[str, bytes], ...]
"""Names and contents of a folder without folders."""

Circuit = tuple[Files, Files]
"""What `cryptml.profiler.measure.compiled_folder.write_compiled` wrote: the folder, and the circuit's below."""

PLACE_SECONDS = 60.0
"""Within which every node must be free of other work."""

RETURN_SECONDS = 60.0
"""Beyond the limits of a measurement, which the node keeps itself: for files on their way."""

CLOSE_SECONDS = 1.0
"""What an idle actor gets to leave its machine tidy."""

ALIKE = ("cpu", "cores", "python", "versions")
"""In what all machines must agree."""

NAME_DIGITS = 12
"""Of a node's id, which names a machine in reports: it is drawn by chance, and no host's name."""


_log = logging.getLogger(__name__)


class NodeMachine:
    """An actor that takes up a whole node.

    Args:
        network: Files of the network's folder.
        limits: Of each segment, JSON.
    """

    def __init__(self, network: Files, limits: str) -> None:
        self._folder = NodeFolder()
        loaded = load_network(str(self._folder.write("network", network)))
        self._machine = ThisMachine(loaded, Limits(**json.loads(limits)))
        self._number = 0

    def describe(self) -> str:
        """Return what `describe_machine` says, JSON."""
        return json.dumps(describe_machine())

    def run(self, what: str, start: int, stop: int, measured: str, *circuits: Circuit) -> str:
        """Do what a method of `ThisMachine` does with circuits that lie in folders as long as it takes; return its entry, JSON."""
        folders = [self._unpack(circuit) for circuit in circuits]
        segment = Segment(start, stop)
        match what:
            case "measure":
                entry = self._machine.measure(segment, folders[0], _discard_progress)
            case "compare":
                entry = self._machine.compare(segment, (folders[0], folders[1]), _discard_progress)
            case _:
                entry = self._machine.divide(segment, folders[0], json.loads(measured), _discard_progress)
        for folder in folders:
            self._folder.drop(folder.name)
        return json.dumps(entry)

    def close(self) -> None:
        """Leave nothing on this machine."""
        self._folder.remove()

    def _unpack(self, circuit: Circuit) -> Path:
        self._number += 1
        outer, inner = circuit
        folder = self._folder.write(f"segment-{self._number}", outer)
        self._folder.write(f"segment-{self._number}/{CIRCUIT_FOLDER}", inner)
        return folder


class ClusterMachines:
    """All nodes of a cluster with CPUs; `cryptml.profiler.measure.machines.Machines`.

    Args:
        address: Of the cluster, see `cryptml.cluster.connect`.
        name: Of the network, folder or shipped.
        limits: Of each segment.

    Raises:
        ReportError: If they are not alike: a profile adds up times of different segments.
        SettingError: If the cluster cannot be joined, or a node is busy.
    """

    def __init__(self, address: str, name: str, limits: Limits) -> None:
        self._ray = connect(address)
        self._limits = limits
        self._actors: dict[str, Any] = {}
        self._free: Queue[str] = Queue()
        network, stated = _files(resolve_network(name)), json.dumps(asdict(limits))
        try:
            for node in self._ray.nodes():
                cpus = node["Resources"].get("CPU", 0)
                if node["Alive"] and cpus:
                    self._actors[node["NodeID"][:NAME_DIGITS]] = self._place(node["NodeID"], cpus, network, stated)
            self._require_alike()
        except BaseException:
            self.close()
            raise
        for machine in self._actors:
            self._free.put(machine)

    def __enter__(self) -> ClusterMachines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def count(self) -> int:
        """See `Machines.count`."""
        return len(self._actors)

    def measure(self, segment: Segment, folder: Path, tell: Tell) -> Entry:
        """See `Machines.measure`; the entry says which machine it was."""
        return self._run("measure", segment, [folder], {}, tell)

    def compare(self, segment: Segment, folders: tuple[Path, Path], tell: Tell) -> Entry:
        """See `Machines.compare`."""
        return self._run("compare", segment, folders, {}, tell)

    def divide(self, segment: Segment, folder: Path, measured: Mapping[str, Any], tell: Tell) -> Entry:
        """See `Machines.divide`."""
        return self._run("divide", segment, [folder], measured, tell)

    def close(self) -> None:
        """See `Machines.close`."""
        for actor in self._actors.values():
            self._end(actor)

    def _run(
        self, what: str, segment: Segment, folders: Sequence[Path], measured: Mapping[str, Any], tell: Tell
    ) -> Entry:
        limit = self._limits.timeout_seconds * (len(allocations(self._limits.threads)) + 1) + RETURN_SECONDS
        machine = self._free.get()
        try:
            tell(f"on machine {machine}")
            circuits = [(_files(folder), _files(folder / CIRCUIT_FOLDER)) for folder in folders]
            reference = self._actors[machine].run.remote(
                what, segment.start, segment.stop, json.dumps(measured), *circuits
            )
            entry: Entry = json.loads(self._ray.get(reference, timeout=limit))
        except self._ray.exceptions.RayError as error:
            raise SettingError(
                f"machine {machine} of the cluster was lost while it measured segment {segment} ({type(error).__name__}); "
                "see to it, and go on with `resume`"
            ) from error
        finally:
            self._free.put(machine)
        return {**entry, "machine": machine}

    def _place(self, node: str, cpus: float, network: Files, limits: str) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        options = {"num_cpus": cpus, "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}
        return self._ray.remote(NodeMachine).options(**options).remote(network, limits)

    def _end(self, actor: Any) -> None:
        try:
            self._ray.get(actor.close.remote(), timeout=CLOSE_SECONDS)
        except self._ray.exceptions.RayError:
            _log.info("an actor was ended before it had left its machine tidy")
        self._ray.kill(actor)

    def _require_alike(self) -> None:
        own = describe_machine()
        if not self._actors:
            raise SettingError("no node of the cluster has a CPU to measure with; start one with ray start --num-cpus")
        for machine, actor in self._actors.items():
            try:
                found = json.loads(self._ray.get(actor.describe.remote(), timeout=PLACE_SECONDS))
            except self._ray.exceptions.GetTimeoutError as error:
                raise SettingError(
                    f"machine {machine} of the cluster was not free within {PLACE_SECONDS:g} s; a measurement takes a whole "
                    "machine, so stop what runs there"
                ) from error
            except self._ray.exceptions.RayError as error:
                raise SettingError(
                    f"machine {machine} of the cluster cannot measure ({last_line(error)}); install the same version of "
                    "cryptml[ray] on every machine"
                ) from error
            differing = [name for name in ALIKE if found[name] != own[name]]
            if differing:
                said = "; ".join(f"{name} {found[name]} there, {own[name]} here" for name in differing)
                raise ReportError(
                    f"machine {machine} of the cluster is not like this one ({said}); a profile adds up segments that "
                    "different machines measured, so take machines that are alike, or leave out `ray_address`"
                )


def _files(folder: Path) -> Files:
    return tuple((path.name, path.read_bytes()) for path in sorted(folder.iterdir()) if path.is_file())


def _discard_progress(_what: str) -> None:
    """Discard it: no one watches on a node."""
