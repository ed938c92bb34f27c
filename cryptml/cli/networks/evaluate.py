"""``cryptml evaluate``: how good a trained network is, through its integer program, beside a plain baseline."""

from __future__ import annotations

import csv
import io
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptml.cli.console import note, out, print_json, say
from cryptml.cli.options.data import DataOptions
from cryptml.cli.options.groups import with_option_groups
from cryptml.cli.output_files import check_new_file, write_private
from cryptml.datasets import Dataset
from cryptml.errors import DatasetError, SettingError
from cryptml.files import MAX_JSON_BYTES, read_bounded, read_json
from cryptml.networks import FloatArray, Network, load_network, resolve_network
from cryptml.reports.table import plain_table

if TYPE_CHECKING:
    from cryptml.reports.roc import RocLine
    from cryptml.training import Baseline, Judgement
    from cryptml.training.evaluation.roc import OperatingPoint

SPECIFICITIES = "0.8,0.9,0.95"


class Subset(StrEnum):
    """Which pictures."""

    train = "train"
    validation = "validation"
    test = "test"
    all = "all"


@with_option_groups
def evaluate(
    network: Annotated[str, typer.Argument(help="Folder of a trained network, or a shipped network's name.")],
    dataset: Annotated[str, typer.Option(help="Such as mias:PATH; see cryptml datasets.")],
    options: DataOptions,
    subset: Annotated[Subset, typer.Option(help="Which pictures.")] = Subset.test,
    specificity: Annotated[
        str, typer.Option(help="At which the sensitivity is told, from 0 to 1, separated by commas.")
    ] = SPECIFICITIES,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="New CSV file for the scores of every picture.")
    ] = None,
    roc: Annotated[Path | None, typer.Option(metavar="FILE", help="New PNG file for the ROC curve.")] = None,
    baseline: Annotated[
        bool, typer.Option("--baseline/--no-baseline", help="Fit a logistic regression to compare with.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge a network on a data set: AUC with a 95 % bootstrap interval, sensitivities, calibration, confusion matrix.

    Beside it stands a logistic regression on the same pictures, fitted to the training subset, its regularisation chosen on the
    validation subset. The network says which class is the positive one.
    """
    from cryptml.training import judge
    from cryptml.training.evaluation.measures import as_network_says, predict_integers

    wanted = _specificities(specificity)
    for file, option, kind in ((csv_file, "--csv", "CSV"), (roc, "--roc", "PNG")):
        if file is not None:
            check_new_file(file, option, kind, force=force)
    trained = load_network(network)
    data = options.load(dataset, trained.front_end.side)
    data = as_network_says(trained, data)
    _compare_division(network, data)
    part = data.subset(subset.value)
    predicted = predict_integers(trained, part)
    judged = judge(predicted, part, wanted, seed)
    plain, refused = _fit(data, part) if baseline else (None, "it was not asked for")
    scores = None if plain is None else plain.predict(part.images)
    beside = None if scores is None else judge(scores, part, wanted, seed)
    if csv_file is not None:
        places = [place for place, own in enumerate(data.subsets) if subset is Subset.all or own == subset.value]
        write_private(csv_file, _scores(part, places, predicted, trained.classes))
    if roc is not None:
        write_private(roc, _draw(trained.name, part, subset.value, predicted, scores))
    if json:
        entry = None if beside is None or plain is None else {**beside.to_json(), "strength": plain.strength}
        print_json({**judged.to_json(), "baseline": entry, "baseline_refused": refused})
        return
    _show(trained, part, subset.value, judged, beside)
    if refused is not None and baseline:
        note(f"no baseline: {refused}")
    for file, what in ((csv_file, "scores"), (roc, "ROC curve")):
        if file is not None:
            say(f"{what} written to {file}")


def _specificities(text: str) -> list[float]:
    """Read numbers from 0 to 1, separated by commas.

    Raises:
        SettingError: If the text is anything else.
    """
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 <= each <= 1 for each in found):
        raise SettingError(
            f"--specificity {text[:80]!r} is not numbers from 0 to 1 with commas between them; write such as {SPECIFICITIES}"
        )
    return found


def _compare_division(network: str, data: Dataset) -> None:
    """Warn where the network was trained on the same pictures in other subsets: it may have seen those that it is judged on.

    Raises:
        SettingError: If the record of the training cannot be read.
    """
    from cryptml.training.pipeline import FIGURES_FILE

    file = resolve_network(network) / FIGURES_FILE
    if not file.is_file():
        return
    record = read_json(read_bounded(file, MAX_JSON_BYTES, SettingError), FIGURES_FILE, SettingError)
    known = record.get("data") if isinstance(record, dict) else None
    if isinstance(known, dict) and known.get("pictures") == data.digest and known.get("subsets") != data.division:
        note(
            "warning: the network was trained on these pictures in other subsets, and may have learned from those that it is judged on; "
            "load them with the options of its training"
        )


def _fit(data: Dataset, judged: Dataset) -> tuple[Baseline | None, str | None]:
    """The baseline, or why there is none."""
    from cryptml.training import fit_baseline

    learned = judged.subsets.count("train")
    if learned:
        return (
            None,
            f"it would be judged on {learned} pictures that it learned from; choose --subset validation or test",
        )
    try:
        return fit_baseline(data), None
    except DatasetError as error:
        return None, str(error)


def _scores(part: Dataset, places: list[int], predicted: FloatArray, classes: tuple[str, ...]) -> bytes:
    """A table of all pictures as CSV; those that come from no file are named by their places in the whole data set."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    known = ["patient"] if part.patients_known else []
    writer.writerow(["picture", *known, "subset", "label", *(f"score {name}" for name in classes)])
    for place, (number, row) in enumerate(zip(places, predicted, strict=True)):
        picture = part.sources[place].file if part.sources else number
        owner = [part.patients[place]] if part.patients_known else []
        label = part.classes[part.labels[place]]
        writer.writerow([picture, *owner, part.subsets[place], label, *(f"{float(chance):.6f}" for chance in row)])
    return stream.getvalue().encode(errors="surrogateescape")


def _draw(name: str, part: Dataset, subset: str, predicted: FloatArray, beside: FloatArray | None) -> bytes:
    """ROC curves: of the positive class by network and baseline; where there is none, of each class against the others."""
    from cryptml.reports.roc import draw_roc

    if part.positive_label is None:
        lines = [
            _line(f"{name}: {each} against the others", part, predicted, label)
            for label, each in enumerate(part.classes)
        ]
        return draw_roc(lines, f"{part.name}, {subset}, {len(part)} pictures")
    lines = [_line(f"network {name}", part, predicted, part.positive_label)]
    if beside is not None:
        lines.append(_line("logistic regression", part, beside, part.positive_label))
    return draw_roc(lines, f"{part.name}, {subset}, {len(part)} pictures; positive: {part.positive_class}")


def _line(name: str, part: Dataset, predicted: FloatArray, label: int) -> RocLine:
    from cryptml.reports.roc import RocLine
    from cryptml.training.evaluation.auc import RocAuc
    from cryptml.training.evaluation.roc import roc_curve

    false_rate, true_rate, _ = roc_curve(part.labels, predicted, label)
    return RocLine(name, RocAuc(part.labels, predicted, part.name, label).value(), false_rate, true_rate)


def _show(network: Network, part: Dataset, subset: str, judged: Judgement, beside: Judgement | None) -> None:
    """Print all figures as tables."""
    both = [(f"network {network.name}", judged), *([("logistic regression", beside)] if beside is not None else [])]
    positive = part.positive_class
    told = f"positive class: {positive}" if positive else "each class against the others, averaged"
    columns = [
        ("of", "left"),
        ("level", "left"),
        ("AUC", "right"),
        ("95 % interval", "left"),
        ("accuracy", "right"),
        ("count", "right"),
    ]
    rows = [row for name, each in both for row in _rows(name, each)]
    out.print(plain_table(f"{network.name} on {part.name}, {subset}; {told}", columns, rows))
    refused = judged.evaluation.patient_level_refused
    if refused is not None:
        say(f"no figures per patient: {refused}\n")
    if judged.points:
        headings = [("specificity, at least", "right")]
        for name, _ in both:
            headings += [(f"{name}: sensitivity", "right"), ("specificity", "right"), ("threshold", "right")]
        points = [
            (f"{row[0].wanted:g}", *(cell for point in row for cell in _point(point)))
            for row in zip(*(each.points for _, each in both), strict=True)
        ]
        out.print(plain_table(f"Sensitivity for {positive}, thresholds chosen on these pictures", headings, points))
    of = f"probability of {positive}" if positive else "probability of the most probable class"
    figures = [(name, f"{each.calibration.brier:.3f}", f"{each.calibration.error:.3f}") for name, each in both]
    headings = [("of", "left"), ("Brier score", "right"), ("expected calibration error", "right")]
    out.print(plain_table(f"Calibration, {of}", headings, figures))
    bins = [
        (f"{each.low:.1f} to {each.high:.1f}", str(each.pictures), f"{each.probability:.3f}", f"{each.share:.3f}")
        for each in judged.calibration.bins
        if each.probability is not None and each.share is not None
    ]
    share = f"share of {positive}" if positive else "share that is right"
    headings = [("probability", "left"), ("pictures", "right"), ("mean probability", "right"), (share, "right")]
    out.print(plain_table(f"Reliability of network {network.name}, {of}", headings, bins))
    names = list(network.classes)
    counts = judged.evaluation.image_level.confusion
    confusion = [(name, *map(str, row)) for name, row in zip(names, counts, strict=True)]
    headings = [("true class", "left"), *((f"as {name}", "right") for name in names)]
    out.print(plain_table(f"Confusion of network {network.name}, pictures", headings, confusion))


def _rows(name: str, judged: Judgement) -> list[tuple[str, ...]]:
    found = judged.evaluation
    levels = [("picture", found.image_level, found.images), ("patient", found.patient_level, found.patients)]
    return [
        (name, level, f"{measures.auc:.3f}", measures.interval, f"{measures.accuracy:.3f}", str(count))
        for level, measures, count in levels
        if measures is not None
    ]


def _point(point: OperatingPoint) -> tuple[str, str, str]:
    threshold = "none" if point.threshold is None else f"{point.threshold:.3f}"
    return f"{point.sensitivity:.3f}", f"{point.specificity:.3f}", threshold
