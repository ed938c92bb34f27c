"""Ten ordinary Brevitas networks from their modules to encrypted answers, by training and building alone; prints a Markdown table.

python -m benchmarks.ordinary_networks --max-evaluate-ms 4000 --answers 2
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from brevitas import nn as qnn
from cryptml_client import Client, KeyStore
from torch import Tensor, nn

from cryptml.building import BuildRequest
from cryptml.building import build as build_bundle
from cryptml.datasets import load_dataset
from cryptml.errors import CryptmlError
from cryptml.networks import load_network
from cryptml.networks.rounding.envelope import split_envelope
from cryptml.profiler.plan.listing import describe_layers
from cryptml.search.fitting import Draft
from cryptml.search.fitting import train as train_fitted
from cryptml.splits import Split
from cryptml.training.pipeline import train as train_as_written
from cryptml.training.request import TrainingRequest
from cryptml.verification.local_service import local_service

SIDE = 12


def _grid(bits: int = 4) -> nn.Module:
    return qnn.QuantIdentity(bit_width=bits, return_quant_tensor=True)


def _relu(bits: int = 4) -> nn.Module:
    return qnn.QuantReLU(bit_width=bits, return_quant_tensor=True)


def _conv(inputs: int, outputs: int, kernel: int, **more: Any) -> nn.Module:
    return qnn.QuantConv2d(inputs, outputs, kernel, bias=False, weight_bit_width=4, **more)


def _dense(inputs: int, outputs: int) -> nn.Module:
    return qnn.QuantLinear(inputs, outputs, bias=True, weight_bit_width=4)


class Swish(nn.Module):
    """A user's own activation."""

    def forward(self, x: Tensor) -> Tensor:
        """Return values of the same shape."""
        return x * x.sigmoid()


class PlainResidual(nn.Module):
    """A residual block as it is written everywhere."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = _conv(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.grid = _grid(3)

    def forward(self, x: Any) -> Any:
        """Return values of the same shape."""
        return self.grid(self.norm(self.conv(x))) + self.grid(x)


def three_convolutions(classes: int) -> nn.Module:
    """Three convolutions with batch normalisation, 4 bits."""
    return nn.Sequential(
        *(_grid(), _conv(1, 4, 3, stride=2), nn.BatchNorm2d(4), _relu(), _conv(4, 4, 3), nn.BatchNorm2d(4), _relu()),
        *(_conv(4, 8, 3), nn.BatchNorm2d(8), _relu(), nn.Flatten(), _dense(8, classes)),
    )


def max_pooling(classes: int) -> nn.Module:
    """A convolution with max pooling."""
    return nn.Sequential(
        *(
            _grid(),
            _conv(1, 4, 3, stride=2),
            nn.BatchNorm2d(4),
            _relu(3),
            nn.MaxPool2d(2),
            nn.Flatten(),
            _dense(16, classes),
        )
    )


def same_and_dilated(classes: int) -> nn.Module:
    """Strided padding "same", then dilation."""
    return nn.Sequential(
        *(_grid(), _conv(1, 4, 3, stride=3, padding="same"), _relu(), _conv(4, 4, 2, dilation=2), nn.BatchNorm2d(4)),
        *(_relu(), nn.Flatten(), _dense(16, classes)),
    )


def residual(classes: int) -> nn.Module:
    """A residual block of the user's own."""
    return nn.Sequential(
        *(
            _grid(),
            _conv(1, 3, 4, stride=4),
            nn.BatchNorm2d(3),
            _relu(3),
            PlainResidual(3),
            _relu(3),
            nn.AdaptiveAvgPool2d(1),
        ),
        *(nn.Flatten(), _dense(3, classes)),
    )


def rows(classes: int) -> nn.Module:
    """One-dimensional convolutions over the rows of a picture."""
    return nn.Sequential(
        *(
            nn.Flatten(1, 2),
            _grid(),
            qnn.QuantConv1d(SIDE, 6, 3, bias=False, weight_bit_width=4),
            nn.BatchNorm1d(6),
            _relu(),
        ),
        *(nn.MaxPool1d(2), nn.Flatten(), _dense(30, classes)),
    )


def single_logit(classes: int) -> nn.Module:  # noqa: ARG001 (one output whatever they are)
    """A perceptron with one output."""
    return nn.Sequential(nn.Flatten(), _grid(), _dense(SIDE * SIDE, 12), nn.BatchNorm1d(12), _relu(), _dense(12, 1))


def nested_own(classes: int) -> nn.Module:
    """Nested Sequentials, an activation of the user's own, one quantiser used twice."""
    act = _grid(3)
    features = nn.Sequential(_conv(1, 4, 4, stride=2), Swish(), act, nn.Sequential(_conv(4, 4, 3), Swish(), act))
    return nn.Sequential(_grid(), features, nn.AvgPool2d(3), nn.Flatten(), _dense(4, classes))


def tiny_qat_cnn(classes: int) -> nn.Module:
    """Concrete ML's own: pruned, with functions in its forward."""
    from concrete.ml.pytest.torch_models import TinyQATCNN

    return TinyQATCNN(classes, 4, 10, True, True, False)


def quant_custom_model(classes: int) -> nn.Module:
    """Concrete ML's own: three linear layers."""
    from concrete.ml.pytest.torch_models import QuantCustomModel

    return nn.Sequential(nn.Flatten(), QuantCustomModel(SIDE * SIDE, classes, hidden_shape=16, n_bits=4))


def single_mix_net(classes: int) -> nn.Module:
    """Concrete ML's own: one convolution, here in front of a classifier."""
    from concrete.ml.pytest.torch_models import SingleMixNet

    blur = SingleMixNet(use_conv=True, use_qat=True, inp_size=0, n_bits=4)
    return nn.Sequential(blur, _relu(), nn.AvgPool2d(2), nn.Flatten(), _dense(25, classes))


NETWORKS: tuple[Callable[[int], nn.Module], ...] = (
    *(three_convolutions, max_pooling, same_and_dilated, residual, rows, single_logit, nested_own),
    *(tiny_qat_cnn, quant_custom_model, single_mix_net),
)
SIDES = {"tiny_qat_cnn": 8}
for _each in NETWORKS:
    _each.side = SIDES.get(_each.__name__, SIDE)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Row:
    """One network.

    Attributes:
        name: Of its function.
        written_bits: Widest table as it was written, where it could be trained so.
        written_auc: Of that.
        draft: What it was fitted to.
        auc: Of the fitted network.
        measured_s: Median of the encrypted evaluations.
        inside: Answers within what rounding may change, of how many.
    """

    name: str
    written_bits: str
    written_auc: str
    draft: Draft
    auc: float
    measured_s: float
    inside: str

    def __str__(self) -> str:
        draft, changed = self.draft, {"rounding": 0, "weights": 0, "grid": 0}
        for each in draft.adjustments:
            changed[each.kind] += 1
        changes = ", ".join(f"{count} {kind}" for kind, count in changed.items() if count) or "none"
        cells = (self.name, self.written_bits, self.written_auc, changes, draft.table_bits, draft.bootstraps)
        costs = (f"{draft.key_bytes / 1e6:.0f}", f"{draft.evaluate_ms / 1e3:.2f}", f"{self.measured_s:.2f}")
        return "| " + " | ".join(map(str, (*cells, *costs, f"{self.auc:.3f}", self.inside))) + " |"


def _request(arguments: argparse.Namespace, name: str, **more: Any) -> TrainingRequest:
    spec = f"benchmarks.ordinary_networks:{name}"
    return TrainingRequest(
        arguments.dataset, spec, epochs=arguments.epochs, views=4, teacher=False, seed=arguments.seed, **more
    )


def _row(arguments: argparse.Namespace, name: str, work: Path) -> Row:
    try:
        written = train_as_written(_request(arguments, name), work / "written")
        bits = str(max(row["lookup_bits"] for row in describe_layers(written.network)))
        auc = f"{written.figures['test'].auc:.3f}"
    except CryptmlError:
        bits, auc = "over 16", "none"  # no table of Concrete is so wide
    drafts: list[Draft] = []
    request = _request(arguments, name, max_evaluate_ms=arguments.max_evaluate_ms)
    result = train_fitted(request, work / "net", heard=drafts.append)
    build_bundle(BuildRequest(str(work / "net"), measure=False, spot_checks=0), work / "bundle")
    network = load_network(work / "net")
    data = load_dataset(arguments.dataset, network.front_end.side).subset("test")
    split, times, inside = Split("S" * len(network)), [], 0
    with (
        local_service([work / "bundle"], work / "data") as service,
        Client(service.url, keys=KeyStore(work / "keys"), trust_first_use=True) as client,
    ):
        client.prepare()
        client.predict_region(data.images[0])  # the first evaluation after loading keys is slower
        for region in data.images[: arguments.answers]:
            begun = time.perf_counter()
            answer = client.predict_region(region).answer
            times.append(time.perf_counter() - begun)
            values = network.quantise(region[None])
            inside += bool(split_envelope(network, split, values).holds(answer.integers[None]))
    return Row(
        name, bits, auc, drafts[0], result.figures["test"].auc, statistics.median(times), f"{inside} of {len(times)}"
    )


def main() -> int:
    """Return 0 if every network was built and every answer lies within what rounding may change."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--max-evaluate-ms", type=float, default=4000.0)
    parser.add_argument("--answers", type=int, default=2)
    parser.add_argument("--dataset", default="phantom:images=300")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[each.__name__ for each in NETWORKS])
    arguments = parser.parse_args()
    out, failed = sys.stdout, 0
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    out.write(
        f"{arguments.dataset}, at most {arguments.max_evaluate_ms:g} ms, {datetime.now(UTC).date()}, {machine}\n\n"
    )
    headings = (
        *("network", "widest table as written (bits)", "AUC as written", "changes", "table (bits)", "PBS", "keys (MB)"),
        *("expected (s)", "one answer over HTTP (s)", "AUC fitted", "answers within the rounding"),
    )
    out.write(f"| {' | '.join(headings)} |\n|{'---|' * len(headings)}\n")
    for name in arguments.only:
        try:
            with tempfile.TemporaryDirectory() as folder:
                row = _row(arguments, name, Path(folder))
        except CryptmlError as error:
            failed += 1
            out.write(f"| {name} | {error} |\n")
            continue
        failed += row.inside.split(" of ")[0] != row.inside.split(" of ")[1]
        out.write(f"{row}\n")
        out.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
