"""A search from data set and profiles to designs on disk: one call for the command line, a notebook or a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptml.datasets import load_data
from cryptml.errors import SettingError
from cryptml.files import require_writable, to_json_bytes, write_bytes
from cryptml.listening import Listener, SilentListener, saying
from cryptml.networks.architectures.design import Design
from cryptml.networks.architectures.registry import load_architecture
from cryptml.networks.front_ends import FrontEnd, restore_front_end
from cryptml.profiler.plan.report import load_report
from cryptml.search.price import PriceModel
from cryptml.search.study import Found, Search, SearchSettings
from cryptml.training import TrainingSettings, recipe_behind, teacher_epochs
from cryptml.training.pipeline import make_examples
from cryptml.training.torch_settings import training_torch_settings

FRONTIER_FILE = "frontier.json"
DESIGNS = "designs"

TUNED: Mapping[str, str] = {"pictures": "reference", "scattering": "scatter", "deep": "deep"}
"""Whose front end each kind takes."""


@dataclass(frozen=True)
class SearchRequest:
    """What to search.

    Attributes:
        dataset: Such as ``mias:PATH``.
        max_evaluate_ms: Budget of one evaluation, all layers on the server, on this machine.
        profiles: Reports measured on this machine, for the price.
        front_end: What the first layer reads, a key of `TUNED`.
        side: Rows and columns of a region.
        begin_with: Designs to look at first, ``.json`` files.
        designs: To train in all, earlier runs included.
        folds: Of the cross-validation, per patient where patients are known.
        epochs: Most passes over the training set; the network's own if None.
        augmentation: What variants may differ in; the data set's own choice if None.
        seed: Of everything random.
        patients_from_name: See `cryptml.datasets.LoadOptions`.
    """

    dataset: str
    max_evaluate_ms: float
    profiles: Sequence[Path]
    front_end: str = "pictures"
    side: int = 32
    begin_with: Sequence[Path] = field(default_factory=tuple)
    designs: int = 30
    folds: int = 5
    epochs: int | None = None
    augmentation: str | None = None
    seed: int = 0
    patients_from_name: str | None = None

    def training(self) -> tuple[TrainingSettings, FrontEnd]:
        """Return how each design is trained, and behind which front end."""
        tuned = load_architecture(TUNED[self.front_end])
        given: dict[str, Any] = {"epochs": self.epochs, "augmentation": self.augmentation, "seed": self.seed}
        settings = replace(
            recipe_behind(tuned.front_end), **{name: value for name, value in given.items() if value is not None}
        )
        return settings, restore_front_end({**tuned.front_end.to_json(), "side": self.side})


@dataclass(frozen=True)
class SearchResult:
    """What a search has found so far.

    Attributes:
        found: Every design that was trained.
        price: What a design costs before it is trained.
        data: Name of the data set.
        document: Frontier and price as JSON values, as `FRONTIER_FILE` holds them.
    """

    found: Sequence[Found]
    price: PriceModel
    data: str
    document: Mapping[str, Any]

    @property
    def frontier(self) -> list[Found]:
        """The designs that no other beats in both time and accuracy."""
        return [each for each in self.found if each.frontier]


def search(
    request: SearchRequest,
    out: Path,
    *,
    listener: Listener | None = None,
    heard: Callable[[SearchResult], None] | None = None,
) -> SearchResult:
    """Price, train and cross-validate designs until there are as many as asked for; what was found lies in the folder.

    Args:
        request: What to search.
        out: Folder of the search; one that holds it goes on.
        listener: Hears of progress.
        heard: Called after each design with what has been found so far.

    Raises:
        DatasetError: If the data cannot be loaded.
        NetworkError: If a design to begin with cannot be built.
        ReportError: If the profiles do not tell a price.
        SettingError: If the folder holds another search.
    """
    listener = listener if listener is not None else SilentListener()
    require_writable(out, SettingError)
    kept = f"{out} keeps the designs that were finished; the same command goes on after them by itself"
    with saying(kept), training_torch_settings():
        price = PriceModel.fit([load_report(path) for path in request.profiles])
        training, front_end = request.training()
        data = load_data(request.dataset, request.side, request.patients_from_name, listener)
        examples = make_examples(data, front_end, training, listener)
        name = data.name
        settings = SearchSettings(name, request.max_evaluate_ms, request.folds, training)
        study = Search(out, examples, price, settings)
        study.begin_with([Design.load(file) for file in request.begin_with])

        def write() -> SearchResult:
            result = _write(study.found(), price, name, out)
            if heard is not None:
                heard(result)
            return result

        missing = request.designs - study.completed
        if missing > 0:
            with listener.bar("teachers", request.folds * teacher_epochs(training)) as bar:
                study.prepare(lambda epoch, total, *_: bar(epoch, total))
            _train(study, missing, request.folds * training.epochs, write, listener)
        return write()


def _write(found: Sequence[Found], price: PriceModel, data: str, out: Path) -> SearchResult:
    """Write everything that was found so far; designs that left the frontier go."""
    (out / DESIGNS).mkdir(exist_ok=True)
    for each in found:
        (out / DESIGNS / f"{each.number}.json").unlink(missing_ok=True)
    for each in found:
        if each.frontier:
            each.design.save(out / DESIGNS / f"{each.number}.json")
    rows = [
        {"number": each.number, "auc": each.auc, "evaluate_ms": each.evaluate_ms, "lookups": each.design.bootstraps}
        for each in found
        if each.frontier
    ]
    document = {"designs": len(found), "price": asdict(price), "frontier": rows}
    write_bytes(out / FRONTIER_FILE, to_json_bytes(document))
    return SearchResult(found, price, data, document)


def _train(study: Search, missing: int, epochs: int, write: Callable[[], object], listener: Listener) -> None:
    """Train so many more designs, of so many epochs each."""
    with listener.bar("designs", missing * epochs) as bar:
        for number in range(missing):
            start = number * epochs

            def heard(epoch: int, _total: int, _loss: float, _auc: float | None, start: int = start) -> None:
                bar(start + epoch)

            def told(what: str, number: int = number, start: int = start) -> None:
                bar(start, what=f"design {number + 1} of {missing}: {what}")

            study.step(heard, told)
            write()
