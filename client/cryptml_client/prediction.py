"""What the client tells its user about one picture."""

from __future__ import annotations

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
    """

    answer: Answer
    split: str
    upload_bytes: int
    download_bytes: int
    spot_checks: int = 0
    positive: tuple[str, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the prediction as JSON values; ``probability`` is that of the label."""
        positive, chance = self.positive if self.positive is not None else (None, None)
        return {
            "label": self.answer.label,
            "probability": round(float(self.answer.probabilities.max()), 6),
            "positive": positive,
            "positive_probability": None if chance is None else round(chance, 6),
            "logits": [round(float(logit), 6) for logit in self.answer.logits],
            "split": self.split,
            "timings_ms": {stage: round(value, 3) for stage, value in self.answer.timings.stages.items()},
            "upload_bytes": self.upload_bytes,
            "download_bytes": self.download_bytes,
            "spot_checks": self.spot_checks,
        }


def outcome_of(asked: Future[Prediction]) -> Prediction | CryptmlError:
    """Return an answer once it is there, or the error that took its place."""
    try:
        return asked.result()
    except CryptmlError as error:
        return error
