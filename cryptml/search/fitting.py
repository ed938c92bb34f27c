"""A network before it is trained: converted, compared, compiled and priced, and made to fit a time where it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cryptml.datasets import Dataset
from cryptml.errors import CircuitError, NetworkError, Problem, SettingError
from cryptml.fhe.backends.compilation import compile_integer_program
from cryptml.fhe.settings import CompilerSettings
from cryptml.listening import Listener, SilentListener
from cryptml.networks.architectures.adjustments import Adjustment
from cryptml.networks.architectures.registry import Architecture
from cryptml.networks.conversion.accumulators import TableInput, table_inputs
from cryptml.networks.network import Network
from cryptml.profiler.plan.listing import describe_layers
from cryptml.profiler.plan.report import load_report
from cryptml.search.ladder import millions_of, steps
from cryptml.search.price import RECORDED, RECORDED_ON, PriceModel
from cryptml.splits import Segment
from cryptml.training import check_convertible, pipeline, untrained
from cryptml.training.pipeline import TrainingResult
from cryptml.training.request import TrainingRequest

SEEN = 128
"""Pictures that an untrained network sees before it is priced."""

MOST_TABLE_BITS = 8
"""Of a network that is to stay as it is: beyond, a PBS takes seconds and keys take gigabytes."""


@dataclass(frozen=True)
class Draft:
    """An untrained network, compiled with all layers on the server.

    Attributes:
        network: Its integer program.
        adjustments: That were made to what was written.
        bootstraps: Programmable bootstraps of one evaluation.
        table_bits: Width of the widest table's input.
        evaluate_ms: Expected time of one evaluation, in milliseconds.
        key_bytes: Of the evaluation keys, as they are sent.
        input_bytes: Of an encrypted input.
        output_bytes: Of an encrypted answer.
    """

    network: Network
    adjustments: tuple[Adjustment, ...]
    bootstraps: int
    table_bits: int
    evaluate_ms: float
    key_bytes: int
    input_bytes: int
    output_bytes: int

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a layer, as `cryptml.profiler.plan.listing.describe_layers`."""
        return describe_layers(self.network)


def train(
    request: TrainingRequest,
    out: Path,
    *,
    force: bool = False,
    resume: bool = False,
    listener: Listener | None = None,
    heard: Callable[[Draft], None] | None = None,
) -> TrainingResult:
    """Train as `cryptml.training.pipeline.train`, after the network was drafted, priced, and made to fit where it has to.

    Networks of one's own are drafted always, the others where a time is given.

    Args:
        request: What to train; ``max_evaluate_ms``, ``as_is`` and ``profiles`` say what it has to keep.
        out: Folder for the network.
        force: Replace a network that is there.
        resume: Go on with an interrupted training of the same.
        listener: Hears of decisions and progress, and of every change of the network.
        heard: Called with the draft that is trained.

    Raises:
        CryptmlError: See `cryptml.training.pipeline.train`; a `NetworkError` with layer, width and remedy where the network does not fit.
    """
    listener = listener if listener is not None else SilentListener()
    if request.max_evaluate_ms is not None and not request.max_evaluate_ms > 0:
        raise SettingError(f"`max_evaluate_ms` is {request.max_evaluate_ms:g}; give more than 0")
    price = PriceModel.fit([load_report(path) for path in request.profiles]) if request.profiles else RECORDED

    def prepare(architecture: Architecture, data: Dataset) -> Architecture:
        if not architecture.is_own and request.max_evaluate_ms is None:
            return architecture
        chosen = data.subset("train") if "train" in data.subsets else data
        inputs = torch.from_numpy(architecture.front_end.apply(chosen.images[:SEEN]))
        draft = fitted(architecture, data.classes, inputs, request, price, listener)
        if heard is not None:
            heard(draft)
        return architecture.adjusted(draft.adjustments)

    return pipeline.train(request, out, force=force, resume=resume, listener=listener, prepare=prepare)


def fitted(
    architecture: Architecture,
    classes: tuple[str, ...],
    inputs: Tensor,
    request: TrainingRequest,
    price: PriceModel,
    listener: Listener,
) -> Draft:
    """Return the least changed draft of a network that compiles, and keeps the time that was asked for.

    Args:
        architecture: What was written.
        classes: Names of its outputs.
        inputs: (n, *front_end.shape) float32, of training pictures.
        request: What it has to keep.
        price: Of a machine.
        listener: Hears of each change and of the price.

    Raises:
        NetworkError: If the network cannot be cut or converted, or nothing makes it fit, with layers, widths and remedies.
    """
    module, _ = untrained(architecture, len(classes), inputs)
    reads = table_inputs(module, architecture.front_end.shape)
    attempt = _Attempts(architecture, classes, inputs, request, price, listener)
    widest = MOST_TABLE_BITS if request.as_is or request.max_evaluate_ms is not None else 0
    found = attempt.draft([]) if max((each.bits for each in reads), default=0) <= widest else None
    if request.as_is and found is None:
        raise NetworkError(f"network {architecture.spec!r} cannot stay as it is:", _problems(reads, request, attempt))
    for step in steps(request.max_evaluate_ms):
        if found is not None:
            break
        found = attempt.draft(step.adjustments(module, reads))
    if found is None:
        raise NetworkError(
            f"network {architecture.spec!r} does not fit, whatever is rounded:", _problems(reads, request, attempt)
        )
    for each in found.adjustments:
        listener.note(str(each))
    if not request.profiles:
        listener.remark(f"times are expected {RECORDED_ON}; give a `profile` of this machine for its own")
    return found


class _Attempts:
    """Drafts one after the other, each dearer thing left out: what cannot keep the time is not compiled."""

    def __init__(
        self,
        architecture: Architecture,
        classes: tuple[str, ...],
        inputs: Tensor,
        request: TrainingRequest,
        price: PriceModel,
        listener: Listener,
    ) -> None:
        self._architecture, self._classes, self._inputs = architecture, classes, inputs
        self._request, self._price, self._listener = request, price, listener
        self.last = "nothing was tried"
        self.least_ms = float("inf")
        self.by_layer: dict[str, int] = {}

    def draft(self, adjustments: list[Adjustment]) -> Draft | None:
        """Return the draft with some changes, None where it does not compile or does not keep the time."""
        budget = self._request.max_evaluate_ms
        network = check_convertible(self._architecture.adjusted(adjustments), self._classes, self._inputs)
        whole = Segment(0, len(network))
        rows = describe_layers(network)
        self.by_layer = {row["name"]: row["bootstraps"] for row in rows}
        expected = self._price.call + self._price.work * sum(
            row["bootstraps"] * millions_of(row["lookup_bits"]) for row in rows
        )
        if budget is not None and expected > budget:
            self.least_ms = min(self.least_ms, expected)
            self.last = f"one evaluation takes about {expected:.0f} ms, above {budget:g}"
            return None
        try:
            with self._listener.stage(f"compiling {self._architecture.name}, untrained"):
                compiled = compile_integer_program(network, whole, CompilerSettings(self._request.p_error))
        except CircuitError as error:
            self.last = str(error)
            return None
        compiled.discard()
        spec = compiled.spec
        milliseconds = self._price.milliseconds(spec)
        self.least_ms = min(self.least_ms, milliseconds)
        if budget is not None and milliseconds > budget:
            self.last = f"one evaluation takes about {milliseconds:.0f} ms, above {budget:g}"
            return None
        parameters = spec.parameters
        return Draft(
            network,
            tuple(adjustments),
            spec.bootstraps,
            spec.table_bits,
            milliseconds,
            parameters.evaluation_key_bytes,
            parameters.input_bytes,
            parameters.output_bytes,
        )


def _problems(reads: list[TableInput], request: TrainingRequest, attempts: _Attempts) -> list[Problem]:
    """Return what is too wide, and what takes the time."""
    found = [
        Problem(
            each.layer,
            f"its tables read {each.bits} bits, and {MOST_TABLE_BITS} are the most that a circuit affords",
            f"put RoundedAccumulator({each.channels}, bits=5) of cryptml.networks.modules directly behind {each.accumulator}, or leave out "
            "`as_is`"
            if each.accumulator is not None
            else f"give {', '.join(each.grids)} fewer bits",
        )
        for each in reads
        if request.as_is and each.bits > MOST_TABLE_BITS
    ]
    if not found:
        most = max(attempts.by_layer, key=attempts.by_layer.__getitem__, default="network")
        found.append(
            Problem(
                most,
                f"{attempts.last}; it has {attempts.by_layer.get(most, 0)} of {sum(attempts.by_layer.values())} programmable bootstraps",
                "make its maps smaller (a larger stride, fewer channels, an average in front of it)"
                + (
                    ", leave out `as_is`, or allow a larger `max_evaluate_ms`"
                    if request.as_is
                    else ", or allow a larger `max_evaluate_ms`"
                ),
            )
        )
    return found
