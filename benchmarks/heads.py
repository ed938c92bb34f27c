"""What an answer of each network costs with all layers on the server, beside the network `scatter`, in turn in one run.

    python -m benchmarks.heads [--networks scatter,line,deep] [--rounds 9]

Everything happens in one process, without HTTP: front end, encryption, evaluation and decryption of one synthetic region after the other.
The first network is what ratios are to. AUCs are those of the networks' own cross-validations, as their files have them; queries are
those that a published attack needs, where one is known for the whole segment.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from concrete import fhe

from benchmarks.machine import heading
from cryptml.building import BuildRequest, build
from cryptml.bundle.client import ClientBundle
from cryptml.datasets import load_dataset
from cryptml.exposure.facts import segment_exposure
from cryptml.fhe.client import ClientCircuit, KeySet
from cryptml.fhe.server import ServerCircuit, load_evaluation_keys
from cryptml.networks import FloatArray, Network
from cryptml.networks.storage import load_network, resolve_network
from cryptml.profiler.plan.choice import Constraints
from cryptml.splits import Segment
from cryptml.training.evaluation.study import FIGURES_FILE

STAGES = ("front end", "encrypt", "evaluate", "decrypt")


@dataclass(eq=False)
class Head:
    """A network whose only segment is compiled, and the seconds that its stages took.

    Attributes:
        name: Of the network.
        network: Its integer program.
        client: With the secret key.
        server: Its circuit.
        keys: Evaluation keys.
        seconds: By stage, one each round.
        wrong: Rounds whose answer is not that of the network in the clear.
    """

    name: str
    network: Network
    client: ClientCircuit
    server: ServerCircuit
    keys: fhe.EvaluationKeys
    seconds: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    wrong: int = 0

    @staticmethod
    def compile(name: str, folder: Path) -> Head:
        """Build a bundle, and make a key set for it."""
        letters = "S" * len(load_network(name))
        built = build(
            BuildRequest(name, letters, constraints=Constraints(allow_recovery=1), spot_checks=0, measure=False), folder
        )
        [step] = ClientBundle.load(folder / "client").server_steps
        keys = KeySet.generate(step.circuit)
        server = ServerCircuit(built.bundle.circuit_folder(0))
        return Head(
            name,
            built.network,
            ClientCircuit(step.circuit, keys),
            server,
            load_evaluation_keys(keys.evaluation_keys),
        )

    def answer(self, region: FloatArray, *, counted: bool) -> None:
        """Ask about one region, (1, side, side)."""
        times = [time.perf_counter()]
        grid = self.network.boundaries[0]
        values = grid.quantise(self.network.front_end.apply(region))
        times.append(time.perf_counter())
        sent = self.client.encrypt(values)
        times.append(time.perf_counter())
        received = self.server.evaluate(sent, self.keys)
        times.append(time.perf_counter())
        found = self.client.decrypt(received)
        times.append(time.perf_counter())
        if counted:
            whole = Segment(0, len(self.network))
            self.wrong += int((found != self.network.run(values, whole)).any())
            for stage, start, stop in zip(STAGES, times, times[1:], strict=False):
                self.seconds[stage].append(stop - start)

    def row(self, baseline: Head) -> str:
        """Return a line of the table."""
        medians = {stage: 1e3 * statistics.median(each) for stage, each in self.seconds.items()}
        ratios = [
            statistics.median(a / b for a, b in zip(self._rounds(kind), baseline._rounds(kind), strict=True))
            for kind in (("evaluate",), STAGES)
        ]
        whole = Segment(0, len(self.network))
        exposure = segment_exposure(self.network, whole)
        document = json.loads((resolve_network(self.name) / FIGURES_FILE).read_text())
        validated = document["cross_validation"]
        aucs = validated.get("aucs") or [validated["quantised"]["auc"]]
        cells = [
            f"`{self.name}`",
            f"{validated['quantised']['dataset']} {sum(aucs) / len(aucs):.3f}",
            str(self.network.boundaries[0].size),
            str(self.network.bootstraps(whole)),
            *(f"{medians[stage]:.1f}" for stage in STAGES),
            f"{ratios[0]:.2f}",
            f"{ratios[1]:.2f}",
            f"{len(self.seconds['evaluate']) - self.wrong} of {len(self.seconds['evaluate'])}",
            "none known" if exposure.queries is None else f"{exposure.queries:,}",
        ]
        return f"| {' | '.join(cells)} |"

    def _rounds(self, stages: tuple[str, ...]) -> list[float]:
        return [sum(each) for each in zip(*(self.seconds[stage] for stage in stages), strict=True)]


def main() -> None:
    """Print one line a network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default="scatter,line,deep")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        heads = [Head.compile(name, Path(folder) / str(place)) for place, name in enumerate(given.networks.split(","))]
        for number in range(given.rounds + 1):
            for head in heads:
                side = head.network.front_end.side
                pictures = load_dataset(f"phantom:images={given.rounds + 1}", side).images
                head.answer(pictures[number : number + 1], counted=number > 0)
    print(f"{heading()}, {given.rounds} rounds; medians in ms, ratios to `{heads[0].name}` by round")
    titles = (
        "network",
        "cross-validated AUC",
        "inputs",
        "PBS",
        *STAGES,
        "evaluation, ratio",
        "all, ratio",
        "equal",
        "queries",
    )
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}")
    for head in heads:
        print(head.row(heads[0]))


if __name__ == "__main__":
    main()
