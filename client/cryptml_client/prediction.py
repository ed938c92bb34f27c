"""What the client tells its user about one picture."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from cryptml.errors import CryptmlError
from cryptml.runtime import Answer


@dataclass(frozen=True, eq=False)
class Prediction:
    """The decrypted answer and what it cost.

    Attributes:
        answer: Label, probabilities, logits, timings.
        split: Who ran which layer.
        upload_bytes: Ciphertext sent for this picture, without keys.
        download_bytes: Ciphertext received.
        spot_checks: That were asked about before it, and passed.
        positive: The network's positive class, and its probability; None where the network has none.
        classes: Of the network, in the order of the answer's probabilities.
    """

    answer: Answer
    split: str
    upload_bytes: int
    download_bytes: int
    spot_checks: int = 0
    positive: tuple[str, float] | None = None
    classes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Name of the most probable class."""
        return self.answer.label

    @property
    def probability(self) -> float:
        """Of the most probable class, from 0 to 1."""
        return float(self.answer.probabilities.max())

    @property
    def probabilities(self) -> dict[str, float]:
        """Probability of each class by its name."""
        return {name: float(chance) for name, chance in zip(self.classes, self.answer.probabilities, strict=False)}

    def to_json(self) -> dict[str, Any]:
        """Return the prediction as JSON values; ``probability`` is that of the label."""
        positive, chance = self.positive if self.positive is not None else (None, None)
        return {
            "label": self.answer.label,
            "probability": round(self.probability, 6),
            "positive": positive,
            "positive_probability": None if chance is None else round(chance, 6),
            "probabilities": {name: round(chance, 6) for name, chance in self.probabilities.items()},
            "logits": [round(float(logit), 6) for logit in self.answer.logits],
            "split": self.split,
            "timings_ms": {stage: round(value, 3) for stage, value in self.answer.timings.stages.items()},
            "upload_bytes": self.upload_bytes,
            "download_bytes": self.download_bytes,
            "spot_checks": self.spot_checks,
        }


def outcomes(questions: Iterable[Callable[[], Prediction]], in_flight: int) -> Iterator[Prediction | CryptmlError]:
    """Ask questions and yield what came of each, in their order; whoever stops listening waits for none that is on its way.

    Args:
        questions: Each is asked once; read as they are needed.
        in_flight: That are asked at once, each in a thread; one after the other, in this thread, for 1.

    Yields:
        An answer, or the error that took its place.
    """
    if in_flight == 1:
        for question in questions:
            yield _outcome(question)
        return
    waiting: deque[Future[Prediction]] = deque()
    for question in questions:
        waiting.append(_begun(question))
        if len(waiting) >= in_flight:
            yield _outcome(waiting.popleft().result)
    while waiting:
        yield _outcome(waiting.popleft().result)


def _outcome(question: Callable[[], Prediction]) -> Prediction | CryptmlError:
    try:
        return question()
    except CryptmlError as error:
        return error


def _begun(question: Callable[[], Prediction]) -> Future[Prediction]:
    """Ask a question in a thread that holds up no program that ends."""
    future: Future[Prediction] = Future()

    def ask() -> None:
        try:
            future.set_result(question())
        except BaseException as error:  # noqa: BLE001 (it is raised where it is waited for)
            future.set_exception(error)

    threading.Thread(target=ask, name="cryptml", daemon=True).start()
    return future
