"""A trained network judged on a data set: one call for the command line, a notebook or a program."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptml.datasets import Dataset, load_data
from cryptml.errors import DatasetError, SettingError, counted
from cryptml.files import MAX_JSON_BYTES, read_bounded, read_json
from cryptml.listening import NOTHING_KEPT, Listener, SilentListener, saying
from cryptml.networks import FloatArray, Network, load_network, resolve_network
from cryptml.networks.shipped import FOR_TESTS, FOR_TESTS_SAID
from cryptml.networks.storage import architecture_of
from cryptml.training.evaluation.baseline import Baseline, fit_baseline
from cryptml.training.evaluation.judgement import Judgement, judge
from cryptml.training.evaluation.measures import as_network_says, predict_integers
from cryptml.training.evaluation.roc import SPECIFICITIES, RocLine

FIGURES_FILE = "figures.json"
"""What a training says of its network, beside it: figures, settings, and which pictures were in which subset."""

ALL = "all"
"""In the place of a subset's name: every picture."""

BASELINE = "logistic regression"


@dataclass(frozen=True)
class JudgementRequest:
    """What to judge, and on what.

    Attributes:
        network: Folder of a trained network, or a shipped network's name.
        dataset: Such as ``mias:PATH``; see `cryptml.datasets`.
        subset: ``train``, ``validation``, ``test``, or ``all``.
        specificities: Where the sensitivity is told, each in [0, 1].
        baseline: Whether a logistic regression is fitted to the training pictures, to compare with.
        seed: Of the bootstrap.
        patients_from_name: See `cryptml.datasets.LoadOptions`.
    """

    network: str
    dataset: str
    subset: str = "test"
    specificities: Sequence[float] = SPECIFICITIES
    baseline: bool = True
    seed: int = 0
    patients_from_name: str | None = None


@dataclass(frozen=True, eq=False)
class JudgedBaseline:
    """A logistic regression on the same pictures.

    Attributes:
        strength: The inverse of its regularisation, scikit-learn's C, that the validation pictures chose.
        predicted: Probabilities (n, classes) float32.
        judgement: What they are worth.
    """

    strength: float
    predicted: FloatArray
    judgement: Judgement


@dataclass(frozen=True, eq=False)
class NetworkJudgement:
    """What a network is worth on a set of pictures, beside a baseline.

    Attributes:
        network: That was judged, through its integer program.
        subset: Of the pictures.
        pictures: The n that it was judged on, with the network's classes in its order.
        places: Of each of them in the whole data set, n.
        predicted: Probabilities (n, classes) float32.
        judgement: What they are worth.
        baseline: A logistic regression on the same pictures; None where it was refused.
        refused: Why there is none; None where there is one.
    """

    network: Network
    subset: str
    pictures: Dataset
    places: tuple[int, ...]
    predicted: FloatArray
    judgement: Judgement
    baseline: JudgedBaseline | None
    refused: str | None

    def to_json(self) -> dict[str, Any]:
        """Return all figures as JSON values, those of the network at the top level."""
        beside = self.baseline
        entry = None if beside is None else {**beside.judgement.to_json(), "strength": beside.strength}
        return {**self.judgement.to_json(), "baseline": entry, "baseline_refused": self.refused}

    def scores_csv(self) -> bytes:
        """Return a row for every picture, CSV in UTF-8: what it is, and its probabilities.

        Pictures that come from no file are named by their places in the whole data set.
        """
        part = self.pictures
        stream = io.StringIO(newline="")
        writer = csv.writer(stream, lineterminator="\n")
        known = ["patient"] if part.patients_known else []
        scores = [f"score {name}" for name in self.network.classes]
        writer.writerow(["picture", *known, "subset", "label", *scores])
        for place, (number, row) in enumerate(zip(self.places, self.predicted, strict=True)):
            picture = part.sources[place].file if part.sources else number
            owner = [part.patients[place]] if part.patients_known else []
            label = part.classes[part.labels[place]]
            writer.writerow([picture, *owner, part.subsets[place], label, *(f"{float(chance):.6f}" for chance in row)])
        return stream.getvalue().encode(errors="surrogateescape")

    def roc_lines(self) -> list[RocLine]:
        """Return ROC curves: of the positive class by network and baseline; where there is none, of each class against the others."""
        part, labels = self.pictures, self.pictures.labels
        name, positive = self.network.name, part.positive_label
        if positive is None:
            return [
                RocLine.of(f"{name}: {each} against the others", labels, self.predicted, label)
                for label, each in enumerate(part.classes)
            ]
        lines = [RocLine.of(f"network {name}", labels, self.predicted, positive)]
        if self.baseline is not None:
            lines.append(RocLine.of(BASELINE, labels, self.baseline.predicted, positive))
        return lines

    @property
    def title(self) -> str:
        """Of the ROC curves."""
        part = self.pictures
        told = f"{part.name}, {self.subset}, {counted(len(part), 'picture')}"
        return told if part.positive_label is None else f"{told}; positive: {part.positive_class}"


@saying(NOTHING_KEPT)
def judge_network(request: JudgementRequest, *, listener: Listener | None = None) -> NetworkJudgement:
    """Judge a network on a data set, beside a logistic regression on the same pictures.

    The network says which class is the positive one.

    Args:
        request: What to judge, and on what.
        listener: Hears of progress, and where the network may have learned from the pictures that it is judged on.

    Raises:
        DatasetError: If the data cannot be loaded, the classes have other names than the network's, or one does not occur.
        NetworkError: If there is no such network.
        SettingError: If a specificity is out of bounds, or the record of the training cannot be read.
    """
    listener = listener if listener is not None else SilentListener()
    for each in request.specificities:
        if not 0 <= each <= 1:
            raise SettingError(f"`specificities` holds {each:g}, which is not from 0 to 1; choose others, such as 0.9")
    network = load_network(request.network)
    data = load_data(request.dataset, network.front_end.side, request.patients_from_name, listener)
    data = as_network_says(network, data)
    architecture = architecture_of(request.network)
    if architecture in FOR_TESTS:
        listener.note(f"{architecture} {FOR_TESTS_SAID}")
    warning = division_warning(resolve_network(request.network), data)
    if warning is not None:
        listener.note(f"warning: {warning}")
    part = data.subset(request.subset)
    predicted = predict_integers(network, part)
    judged = judge(predicted, part, request.specificities, request.seed)
    plain, refused = _fit(data, part) if request.baseline else (None, "it was not asked for")
    beside = None
    if plain is not None:
        scores = plain.predict(part.images)
        beside = JudgedBaseline(plain.strength, scores, judge(scores, part, request.specificities, request.seed))
    places = (place for place, own in enumerate(data.subsets) if request.subset in (ALL, own))
    return NetworkJudgement(network, request.subset, part, tuple(places), predicted, judged, beside, refused)


def division_warning(folder: Path, data: Dataset) -> str | None:
    """Say that a network has or may have learned from what it is to be judged on: these pictures, all or in other subsets.

    Args:
        folder: Of the trained network.
        data: That it is to be judged on.

    Returns:
        A sentence; None where the training has left no record, or the division is the same.

    Raises:
        SettingError: If the record of the training cannot be read.
    """
    file = folder / FIGURES_FILE
    if not file.is_file():
        return None
    record = read_json(read_bounded(file, MAX_JSON_BYTES, SettingError), FIGURES_FILE, SettingError)
    known = record.get("data") if isinstance(record, dict) else None
    if not isinstance(known, dict) or known.get("pictures") != data.digest:
        return None
    if known.get("refit") is True:
        return (
            "the network was trained on all of these pictures, so that its figures on them flatter it; its model card has the "
            "cross-validated estimate"
        )
    if known.get("subsets") == data.division:
        return None
    expression = known.get("patients_from_name", ...)
    options = "the options of its training"
    if isinstance(expression, str):
        options = f"`patients_from_name` {shlex.quote(expression)}, as for its training"
    elif expression is None:
        options = "no `patients_from_name`, as for its training, or with the index of then"
    return (
        "the network was trained on these pictures in other subsets, and may have learned from those that it is judged on; "
        f"load them with {options}"
    )


def _fit(data: Dataset, judged: Dataset) -> tuple[Baseline | None, str | None]:
    """The baseline, or why there is none."""
    learned = judged.subsets.count("train")
    if learned:
        return (
            None,
            f"it would be judged on {counted(learned, 'picture')} that it learned from; choose `subset` validation or test",
        )
    try:
        return fit_baseline(data), None
    except DatasetError as error:
        return None, str(error)
