"""``cryptml evaluate``: how good a trained network is, through its integer program, beside a plain baseline."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cryptml.cli.console import ConsoleListener, note, out, print_json, say
from cryptml.cli.options.data import DataOptions
from cryptml.cli.options.groups import with_option_groups
from cryptml.cli.output_files import check_new_file, write_private
from cryptml.cli.spelling import as_options
from cryptml.errors import SettingError
from cryptml.reports.table import plain_table

if TYPE_CHECKING:
    from cryptml.training import Judgement
    from cryptml.training.evaluation.measures import Measures
    from cryptml.training.evaluation.roc import OperatingPoint
    from cryptml.training.evaluation.study import NetworkJudgement

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
    from cryptml.datasets.registry import require_dataset

    require_dataset(dataset)  # before the imports below, which take seconds
    from cryptml.training.evaluation.study import JudgementRequest, judge_network

    wanted = _specificities(specificity)
    for file, option, kind in ((csv_file, "--csv", "CSV"), (roc, "--roc", "PNG")):
        if file is not None:
            check_new_file(file, option, kind, force=force)
    request = JudgementRequest(
        network, dataset, subset.value, wanted, baseline, seed, patients_from_name=options.patients_from_name
    )
    found = judge_network(request, listener=ConsoleListener())
    if csv_file is not None:
        write_private(csv_file, found.scores_csv())
    if roc is not None:
        from cryptml.reports.roc import draw_roc

        write_private(roc, draw_roc(found.roc_lines(), found.title))
    if json:
        document = found.to_json()
        refused = document["baseline_refused"]
        print_json({**document, "baseline_refused": refused and as_options(refused)})
        return
    _show(found)
    if found.refused is not None and baseline:
        note(f"no baseline: {as_options(found.refused)}")
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


def _show(found: NetworkJudgement) -> None:
    """Print all figures as tables."""
    network, part, subset, judged, beside = found.network, found.pictures, found.subset, found.judgement, found.baseline
    both = [(f"network {network.name}", judged)]
    both += [("logistic regression", beside.judgement)] if beside is not None else []
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
    levels = (("picture", judged.evaluation.image_level), ("patient", judged.evaluation.patient_level))
    for level, measures in levels:
        if measures is not None and measures.interval_refused is not None:
            say(f"no interval per {level}: {measures.interval_refused}\n")
    refused = judged.evaluation.patient_level_refused
    if refused is not None:
        say(f"no figures per patient: {refused}\n")
    if judged.points:
        headings = [("of", "left"), ("wanted", "right"), ("sensitivity", "right")]
        headings += [("specificity", "right"), ("threshold", "right")]
        points = [_point(name, point) for name, each in both for point in each.points]
        out.print(
            plain_table(
                f"Sensitivity for {positive} at a wanted specificity, thresholds chosen on these pictures",
                headings,
                points,
            )
        )
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
        (name, level, f"{measures.auc:.3f}", _interval(measures), f"{measures.accuracy:.3f}", str(count))
        for level, measures, count in levels
        if measures is not None
    ]


def _interval(measures: Measures) -> str:
    return measures.interval if measures.interval_refused is None else "none"


def _point(name: str, point: OperatingPoint) -> tuple[str, ...]:
    threshold = "none" if point.threshold is None else _threshold(point.threshold)
    return name, f"{point.wanted:g}", f"{point.sensitivity:.3f}", f"{point.specificity:.3f}", threshold


def _threshold(value: float) -> str:
    """Return a probability with so many digits that it is neither 0 nor 1 where it is not."""
    shown = f"{value:.3f}"
    return shown if 0.0005 <= value < 0.9995 or value in (0.0, 1.0) else f"{value:.7g}"
