"""A client that answers in the clear: what the calls above a `Client` do, without circuits and without a service."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import cast

from cryptml_client import Client, Prediction
from cryptml_client.jobs import JobBook

from cryptml.bundle import ClientBundle
from cryptml.errors import CryptmlError, ServiceError
from cryptml.listening import SilentListener
from cryptml.networks import FloatArray, Network
from cryptml.runtime import ClearEvaluator, run_split


class ClearClient:
    """What the calls use of a `Client`; ``errors`` take the place of answers, in their order, None for an answer."""

    def __init__(self, bundle: ClientBundle, network: Network, errors: Iterable[BaseException | None] = ()) -> None:
        self.bundle, self.prepared, self.asked = bundle, False, 0
        self._network, self._errors = network, iter(errors)

    def prepare(self) -> None:
        self.prepared = True

    def predict_region(self, region: FloatArray, *, jobs: JobBook | None = None) -> Prediction:
        if jobs is not None and jobs.find(0) is None:
            jobs.note(0, f"{self.asked:032x}")
        self.asked += 1
        error = next(self._errors, None)
        if error is not None:
            raise error
        answer = run_split(self.bundle, region, ClearEvaluator(self._network))
        chance = float(answer.probabilities[-1])
        return Prediction(
            answer, self.bundle.split.letters, 10, 20, 0, (self.bundle.classes[-1], chance), tuple(self.bundle.classes)
        )

    def predict_regions(
        self,
        regions: Iterable[FloatArray],
        *,
        in_flight: int,
        jobs: Callable[[int], JobBook] | None = None,
        waiting: Callable[[ServiceError], None] | None = None,
    ) -> Iterator[Prediction | CryptmlError]:
        self.waiting, self.in_flight = waiting, in_flight
        for place, each in enumerate(regions):
            try:
                yield self.predict_region(each, jobs=None if jobs is None else jobs(place))
            except CryptmlError as error:
                yield error


class Heard(SilentListener):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.remarks: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def remark(self, text: str) -> None:
        self.remarks.append(text)


def client_of(bundle: ClientBundle, network: Network, *errors: BaseException | None) -> tuple[ClearClient, Client]:
    found = ClearClient(bundle, network, errors)
    return found, cast("Client", found)
