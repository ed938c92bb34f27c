"""The model card: what a network is, where it came from, how good it is and what it is not for.

The headings follow Mitchell et al., "Model Cards for Model Reporting", 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptml.datasets.description import DataDescription
from cryptml.networks.front_ends import FrontEnd
from cryptml.networks.network import Network
from cryptml.networks.shipped import DEFAULT_SPLITS, FOR_TESTS, FOR_TESTS_SAID
from cryptml.splits import Segment
from cryptml.training.cross_validation import CrossValidation
from cryptml.training.evaluation.fidelity import Fidelity
from cryptml.training.evaluation.measures import Evaluation, Measures
from cryptml.training.settings import TrainingSettings

INTENDED_USE = (
    "Research use only, not a medical device. It shows what private inference costs; it has not been validated for "
    "diagnosis, screening or triage, and no decision about a person may rest on it."
)


REFIT_SAID = (
    "The network itself was trained on all pictures after the cross-validation, so there are none left to judge it by: the "
    "cross-validated figures are the estimate of what it does on others. They are of networks trained in the same way, each without "
    "the pictures that it was judged on."
)


@dataclass(frozen=True)
class LayerDescription:
    """One layer as the card shows it.

    Attributes:
        name: Of the layer.
        kind: ``convolution``, ``linear``, ``activation``, ``pooling`` or ``residual``.
        output: Shape of its result.
        bits: Width of its result.
        parameters: Learned integers.
        bootstraps: Programmable bootstraps for one input.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    bits: int
    parameters: int
    bootstraps: int


def describe_layers(network: Network) -> tuple[LayerDescription, ...]:
    """Return one description a layer, in order."""
    return tuple(
        LayerDescription(
            layer.name,
            layer.kind,
            network.boundaries[index + 1].shape,
            network.boundaries[index + 1].bits,
            layer.parameters,
            network.bootstraps(Segment(index, index + 1)),
        )
        for index, layer in enumerate(network.layers)
    )


@dataclass(frozen=True)
class ModelCard:
    """Everything that a card says.

    Attributes:
        name: Of the network.
        architecture: Its specification.
        adjustments: What was changed of it before it was trained, in words.
        front_end: What the region goes through on the client, in the clear.
        layers: In order.
        data: What it was trained on.
        command: The exact command that trained it.
        settings: Of the training, the seed among them.
        fidelity: What encryption changes, by what it was simulated on.
        figures: Evaluations of the integer program by what they were made on, such as ``"validation"``.
        cross_validation: Teacher against quantised network; None where it was not run.
        refit: Whether the network learned from all pictures.
        versions: Of the software, by name.
        date: Of the training, ISO 8601.
    """

    name: str
    architecture: str
    adjustments: tuple[str, ...]
    front_end: FrontEnd
    layers: tuple[LayerDescription, ...]
    data: DataDescription
    command: str
    settings: TrainingSettings
    fidelity: Mapping[str, Fidelity]
    figures: Mapping[str, Evaluation]
    cross_validation: CrossValidation | None
    versions: Mapping[str, str]
    date: str
    refit: bool = False


def render_model_card(card: ModelCard) -> str:
    """Return the card as Markdown that ends in a newline."""
    sections = (
        (f"# {card.name}", f"Architecture `{card.architecture}`, trained on {card.date}.{_named(card)}"),
        ("## Intended use", f"{INTENDED_USE}{_for_tests(card.architecture)}"),
        ("## Network", _network(card)),
        ("## Data", _data(card.data)),
        ("## Training", _training(card)),
        ("## Results", _results(card)),
        ("## Encrypted against clear", _fidelity(card)),
        ("## Software", _table(("package", "version"), sorted(card.versions.items()))),
    )
    return "\n\n".join(f"{heading}\n\n{text}" for heading, text in sections) + "\n"


def _named(card: ModelCard) -> str:
    """Say that a network of a shipped architecture has weights of its own, where its name says so."""
    if card.architecture not in DEFAULT_SPLITS or card.name == card.architecture:
        return ""
    return f" Its weights are its own, not those of the shipped network `{card.architecture}`."


def _for_tests(architecture: str) -> str:
    return f"\n\nThe architecture `{architecture}` {FOR_TESTS_SAID}." if architecture in FOR_TESTS else ""


def _network(card: ModelCard) -> str:
    rows = [
        (
            layer.name,
            layer.kind,
            " x ".join(map(str, layer.output)),
            layer.bits,
            layer.parameters,
            layer.bootstraps,
        )
        for layer in card.layers
    ]
    side = card.front_end.side
    bootstraps = sum(layer.bootstraps for layer in card.layers)
    intro = (
        f"Takes a grey region of {side} x {side} pixels, {card.front_end.description}. "
        f"{len(rows)} layers, {sum(layer.parameters for layer in card.layers)} learned integers, {bootstraps} programmable bootstraps."
    )
    return (
        f"{intro}\n\n{_table(('layer', 'kind', 'output', 'bits', 'learned integers', 'programmable bootstraps'), rows)}"
    )


def _data(data: DataDescription) -> str:
    positive = f"The positive class is {data.positive}." if data.positive else "There is no positive class."
    twice = f" {len(data.duplicates)} pictures come more than once within a subset." if data.duplicates else ""
    intro = f"{data.name}: {data.size_words}, {data.side} x {data.side} pixels. {data.source} {positive}{twice}"
    return f"{intro}\n\n{_table(('subset', *data.classes), [(subset, *row) for subset, row in data.counts.items()])}"


def _training(card: ModelCard) -> str:
    settings = _table(("setting", "value"), list(card.settings.to_json().items()))
    changes = "".join(f"\n- {each}" for each in card.adjustments)
    said = f"\n\nBefore it was trained, the network as it was written was changed to fit:\n{changes}" if changes else ""
    return f"```sh\n{card.command.strip()}\n```{said}\n\n{settings}"


def _results(card: ModelCard) -> str:
    rows = [
        row for name, evaluation in card.figures.items() for row in _figure_rows(f"{name}, integer program", evaluation)
    ]
    if card.cross_validation is not None:
        title = f"{card.cross_validation.folds}-fold cross-validation per {card.data.unit}"
        rows += _figure_rows(f"{title}, integer program", card.cross_validation.quantised)
        rows += _figure_rows(f"{title}, float teacher", card.cross_validation.teacher)
    of = f"of {card.data.positive}" if card.data.positive else "of each class against the others, averaged,"
    note = f"AUC {of} with its 95 % percentile bootstrap interval, resampled per {card.data.unit}."
    without = dict.fromkeys(
        figure.patient_level_refused for figure in card.figures.values() if figure.patient_level_refused
    )
    notes = "".join(f" No figures per patient: {reason}." for reason in without)
    estimate = f" {REFIT_SAID}" if card.refit else ""
    table = _table(("on", "level", "count", "AUC", "95 % interval", "accuracy"), rows)
    return "\n\n".join([f"{note}{notes}{estimate}", table, *_differences(card)])


def _differences(card: ModelCard) -> list[str]:
    """Return how the network compares with others on the same folds; nothing where that was not looked at."""
    it = card.cross_validation
    if it is None or not it.differences:
        return []
    aucs = ", ".join(f"{auc:.3f}" for auc in it.aucs)
    seeds = f"seeds {it.settings.seed} to {it.settings.seed + len(it.aucs) - 1}" if len(it.aucs) > 1 else "one seed"
    intro = (
        f"Cross-validated AUC of the integer program with {seeds}, each with its own folds: {aucs}; "
        f"mean {sum(it.aucs) / len(it.aucs):.3f}. Less that of others on the same folds, with 95 % "
        f"bootstrap intervals of the difference, resampled per {card.data.unit}:"
    )
    rows = [(each.against, f"{each.auc:.3f}", f"{each.difference:+.3f}", each.interval) for each in it.differences]
    return [f"{intro}\n\n{_table(('against', 'AUC', 'difference', '95 % interval'), rows)}"]


def _fidelity(card: ModelCard) -> str:
    parts = []
    for name, it in card.fidelity.items():
        rows = [("input", f"{it.clipped:.3%}", "clipped by the client")]
        rows += [(each.layer, f"{each.values:.3%}", f"in {each.inputs:.2%} of the pictures") for each in it.clamping]
        ranges = _table(("in front of", "values out of range", ""), rows)
        if not it.rounding:
            parts.append(
                f"On {name}, nothing is rounded: encrypted answers equal the clear ones but for the p_error of {it.p_error:.1e} "
                f"a bootstrap.\n\n{ranges}"
            )
            continue
        rounded = [
            (each.layer, f"{each.same_label:.2%}", f"{each.auc_change:.4f}", f"{each.auc_worst:.4f}")
            for each in it.rounding
        ]
        parts.append(
            f"On {name}, accumulators are rounded approximately. In simulations at p_error {it.p_error:.1e}, by the first layer that "
            "reads accumulators on the server:\n\n"
            f"{_table(('rounding from', 'same label', 'AUC changes by, mean', 'at most'), rounded)}\n\n{ranges}"
        )
    return "\n\n".join([*parts, *_pooled(card.cross_validation)])


def _pooled(validation: CrossValidation | None) -> list[str]:
    """Return the paragraph on all pictures, each by the network of the fold that held it out; none where there is nothing to say."""
    if validation is None or validation.rounding is None:
        return []
    it = validation.rounding
    return [
        f"In {validation.folds}-fold cross-validation, on {validation.quantised.images} pictures that networks had not seen, at p_error "
        f"{validation.p_error:.1e}, all layers on the server: same label {it.same_label:.2%}, AUC changes by {it.auc_change:.4f} in the "
        f"mean, {it.auc_worst:.4f} at most."
    ]


def _figure_rows(name: str, evaluation: Evaluation) -> list[tuple[object, ...]]:
    levels: list[tuple[str, int | None, Measures | None]] = [
        ("picture", evaluation.images, evaluation.image_level),
        ("patient", evaluation.patients, evaluation.patient_level),
    ]
    return [
        (name, level, count, f"{it.auc:.3f}", it.interval, f"{it.accuracy:.3f}")
        for level, count, it in levels
        if it is not None
    ]


def _table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; bars in cells are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
